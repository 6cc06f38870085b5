"""A PostgreSQL of our own, from Debian's package, gone when the test is over."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.programs import program
from tests.serving import free_port

SUPERUSER = "salver"


class Postgres:
    """A server with an empty database. PostgreSQL refuses to run as root, so there it runs as the package's own user."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._binaries = Path(program("pg_ctl", package="postgresql", among="/usr/lib/postgresql/*/bin")).resolve().parent
        self._port = free_port()
        self.url = f"postgresql://{SUPERUSER}@127.0.0.1:{self._port}/postgres"
        user = "postgres" if os.geteuid() == 0 else None
        self._as: dict[str, Any] = {"user": user, "group": user, "extra_groups": [] if user else None, "cwd": "/"}
        if user:
            shutil.chown(folder, user)
        command = [self._binaries / "initdb", "-D", folder / "data", "-U", SUPERUSER, "-A", "trust", "-N"]
        made = subprocess.run(command, capture_output=True, text=True, **self._as)
        assert made.returncode == 0, made.stderr

    def start(self) -> None:
        """Return when it answers; what was committed before is there again."""
        folder = self._folder
        options = ["-D", folder / "data", "-p", str(self._port), "-k", folder, "-h", "127.0.0.1", "-F"]
        with (folder / "log").open("ab") as log:
            self._process = subprocess.Popen([self._binaries / "postgres", *options], stdout=log, stderr=log, **self._as)
        deadline_s = time.monotonic() + 60
        ready = [self._binaries / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self._port)]
        while subprocess.run(ready).returncode:
            assert self._process.poll() is None and time.monotonic() < deadline_s, (folder / "log").read_text()
            time.sleep(0.05)

    def kill(self) -> None:
        """At once: all connections are cut, nothing is put in order, and it has to recover when it is started."""
        self._process.send_signal(signal.SIGQUIT)
        self._process.wait(30)

    def end(self) -> None:
        self._process.terminate()
        self._process.wait(30)


@contextmanager
def postgres() -> Generator[Postgres]:
    """Start one."""
    folder = Path(tempfile.mkdtemp(prefix="salver-postgres-"))
    try:
        server = Postgres(folder)
        server.start()
        try:
            yield server
        finally:
            server.end()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
