"""A disk of one's own: a small ext4 file system in a file, mounted by the kernel's loop driver. Needs root on Linux.

It can be filled, made read-only and frozen (`fsfreeze`: every write waits until it is thawed), as real ones are and do.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class Disk:
    """A mounted file system of a few MB."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def fill(self) -> Path:
        """Take all the space there is; the file that has it."""
        filling = self.folder / "filling"
        with filling.open("wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(4096))
            except OSError:
                return filling

    def read_only(self, wanted: bool) -> None:
        """Mount it anew, for reading only or for both."""
        _run("mount", "-o", f"remount,{'ro' if wanted else 'rw'}", str(self.folder))

    @contextmanager
    def stalled(self) -> Iterator[None]:
        """Every write to it hangs, and can't even be killed, until this ends or the process of the test does."""
        thaw = 'read _; exec fsfreeze --unfreeze "$0"'  # a pipe ends with whoever holds it
        with subprocess.Popen(["sh", "-c", thaw, str(self.folder)], stdin=subprocess.PIPE) as thawing:
            _run("fsfreeze", "--freeze", str(self.folder))
            yield
        assert thawing.returncode == 0


@contextmanager
def mounted(folder: Path, size_bytes: int = 24 * 2**20) -> Iterator[Disk]:
    """A new file system at `folder`/disk, gone afterwards."""
    assert os.geteuid() == 0, "a file system is mounted for this test, which only root may do; nothing else stands in for it"
    image, place = folder / "disk.img", folder / "disk"
    with image.open("wb") as file:
        file.truncate(size_bytes)
    place.mkdir()
    _run("mkfs.ext4", "-q", "-F", "-m", "0", "-O", "^has_journal", str(image))
    _run("mount", "-o", "loop", str(image), str(place))
    try:
        yield Disk(place)
    finally:
        _run("umount", "--lazy", str(place))
        image.unlink()


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr or done.stdout}"
