"""A model in its own framework, in a process of its own: the server imports no training library and survives its crashes."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

from salver.artifact.manifest import RuntimeSpec
from salver.errors import PredictionFailed, Unavailable
from salver.frameworks.messages import Answer, Ask, Failed, Message, pack, receive, send, unpack
from salver.types.signature import Columns, Signature


class NativeRuntime:
    """Starts the model's process, and starts it again for the next call when it has died."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._process, self._wire = _start(path)

    def predict(self, inputs: Columns) -> Columns:
        if self._process.poll() is not None:
            self._stop()
            self._process, self._wire = _start(self._path)
        try:
            send(self._wire, Ask(pack(inputs)))
            message = receive(self._wire)
        except (EOFError, OSError) as error:
            # Closing the wire makes sure that the process is gone by the next call, whatever state it is in.
            self._stop()
            raise Unavailable(
                "the model's process ended during this prediction; it is started again", code="model_crashed"
            ) from error
        if isinstance(message, Answer):
            return unpack(message.outputs)
        raise PredictionFailed(f"the model raised {_kind(message)}")

    def close(self) -> None:
        self._stop()

    def _stop(self) -> None:
        _end(self._process, self._wire)


def _start(path: Path) -> tuple[subprocess.Popen[bytes], socket.socket]:
    ours, theirs = socket.socketpair()
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-m", "salver.frameworks.host", str(theirs.fileno()), str(path)],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
        )
    try:
        message: Message = receive(ours)
    except (EOFError, OSError) as error:
        _end(process, ours)
        raise Unavailable("the model's process ended while it loaded the model; its own output says why") from error
    if isinstance(message, Failed):
        _end(process, ours)
        raise Unavailable(f"the model's process could not load the model: {message.kind}: {message.text}")
    return process, ours


def _end(process: subprocess.Popen[bytes], wire: socket.socket) -> None:
    wire.close()
    if process.poll() is None:
        process.kill()
    process.wait()


def _kind(message: Message) -> str:
    return message.kind if isinstance(message, Failed) else type(message).__name__


def load(spec: RuntimeSpec, signature: Signature, folder: Path) -> NativeRuntime:
    return NativeRuntime(folder / spec.file)
