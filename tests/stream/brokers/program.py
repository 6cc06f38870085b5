"""What brokers have in common that are a program of their own."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tests.serving import free_port
from tests.stream.brokers import PARTITIONS, wait_for


class Program:
    """A program that answers on a port of its own and keeps what it has in a folder."""

    def __init__(self, folder: Path, scheme: str, user: str = "") -> None:
        self._folder = folder
        self._port = free_port()
        self._url = f"{scheme}://{user}127.0.0.1:{self._port}"
        self._process: subprocess.Popen[bytes] | None = None

    def kill(self) -> None:
        if self._process:
            self._process.kill()
            self._process.wait()

    def end(self) -> None:
        self.kill()

    def source(self, topic: str, divided: bool = False) -> str:
        return f"{self._url}/{topic}" + (f"?partitions={PARTITIONS}" if divided else "")

    def sink(self, topic: str) -> str:
        return f"{self._url}/{topic}"

    def _run(self, command: Sequence[str | Path], answers: Callable[[], object], seconds: float = 60.0, **how: Any) -> None:
        """Start it, and return when it answers."""
        process = self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **how)

        def lives_and_answers() -> object:
            assert process.poll() is None, f"{command[0]} has ended"
            return answers()

        wait_for(lives_and_answers, seconds)
