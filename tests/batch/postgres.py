"""A PostgreSQL of our own, from Debian's package, gone when the test is over."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.programs import program
from tests.serving import free_port

SUPERUSER = "salver"


@contextmanager
def postgres() -> Iterator[str]:
    """The URL of an empty database. PostgreSQL refuses to run as root, so there it runs as the package's own user."""
    binaries = Path(program("pg_ctl", package="postgresql", among="/usr/lib/postgresql/*/bin")).resolve().parent
    folder = Path(tempfile.mkdtemp(prefix="salver-postgres-"))
    port = free_port()
    user = "postgres" if os.geteuid() == 0 else None
    if user:
        shutil.chown(folder, user)
    started = subprocess.run(
        [binaries / "initdb", "-D", folder / "data", "-U", SUPERUSER, "-A", "trust", "-N"],
        user=user, group=user, extra_groups=[] if user else None, cwd="/", capture_output=True, text=True,
    )  # fmt: skip
    assert started.returncode == 0, started.stderr
    options = ["-D", folder / "data", "-p", str(port), "-k", folder, "-h", "127.0.0.1", "-F"]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            [binaries / "postgres", *options],
            user=user, group=user, extra_groups=[] if user else None, cwd="/", stdout=log, stderr=log,
        )  # fmt: skip
    try:
        deadline_s = time.monotonic() + 30
        while subprocess.run([binaries / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(port)]).returncode:
            assert server.poll() is None and time.monotonic() < deadline_s, (folder / "log").read_text()
            time.sleep(0.05)
        yield f"postgresql://{SUPERUSER}@127.0.0.1:{port}/postgres"
    finally:
        server.terminate()
        server.wait(30)
        shutil.rmtree(folder, ignore_errors=True)
