"""The process of a model that its own framework serves: `python -m salver.frameworks.host SOCKET_FD MODEL_FILE`.

Reads the model, says Ready, answers until the server closes the socket. Knows nothing of HTTP, batches or other models.
"""

from __future__ import annotations

import signal
import socket
import sys
import warnings
from pathlib import Path

from salver.frameworks.base import Trained
from salver.frameworks.files import read
from salver.frameworks.messages import Answer, Ask, Failed, Ready, pack, receive, send, unpack


def serve(wire: socket.socket, trained: Trained) -> None:
    """Answer each Ask until the other side is gone."""
    send(wire, Ready())
    while True:
        try:
            message = receive(wire)
        except EOFError:
            return
        if isinstance(message, Ask):
            send(wire, _answer(trained, message))


def _answer(trained: Trained, ask: Ask) -> Answer | Failed:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a model's advice to its trainer, once a prediction, helps nobody here
            return Answer(pack(trained.predict(unpack(ask.columns))))
    except Exception as error:
        return Failed(type(error).__name__, str(error))


def main(arguments: list[str]) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        # Sent to the server's whole group; the server still answers what is in flight and then closes the socket.
        signal.signal(number, signal.SIG_IGN)
    wire = socket.socket(fileno=int(arguments[0]))
    try:
        trained = read(Path(arguments[1]))
    except Exception as error:
        send(wire, Failed(type(error).__name__, str(error)))
        raise
    serve(wire, trained)


if __name__ == "__main__":
    main(sys.argv[1:])
