"""The process of a model that its own framework serves: `python -m salver.frameworks.host SOCKET_FD MODEL_FILE [TYPE …]`.

Reads the model, says Ready, answers until the server closes the socket. Knows nothing of HTTP, batches or other models.
TYPE names a type in a .skops file that may be made although skops does not know it.
"""

from __future__ import annotations

import signal
import socket
import sys
import warnings
from pathlib import Path

from salver.frameworks.base import Trained
from salver.frameworks.files import read
from salver.frameworks.messages import Failed, Ready, answer, receive, send
from salver.types.signature import Columns


def serve(wire: socket.socket, trained: Trained) -> None:
    """Answer each Ask until the other side is gone."""
    send(wire, Ready())
    while True:
        try:
            asked = receive(wire)
        except EOFError:
            return
        if not isinstance(asked, dict):
            continue
        try:
            outputs = _predict(trained, asked)
        except Exception as error:
            send(wire, Failed(type(error).__name__, str(error)))
        else:
            answer(wire, outputs)


def _predict(trained: Trained, columns: Columns) -> Columns:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a model's advice to its trainer, once a prediction, helps nobody here
        return trained.predict(columns)


def main(arguments: list[str]) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        # Sent to the server's whole group; the server still answers what is in flight and then closes the socket.
        signal.signal(number, signal.SIG_IGN)
    sys.dont_write_bytecode = True  # a version's folder stays as it was saved, also where it has code
    wire = socket.socket(fileno=int(arguments[0]))
    try:
        trained = read(Path(arguments[1]), tuple(arguments[2:]))
    except Exception as error:
        send(wire, Failed(type(error).__name__, str(error)))
        raise
    serve(wire, trained)


if __name__ == "__main__":
    main(sys.argv[1:])
