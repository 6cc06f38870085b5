"""A store in a folder, which may be a network drive that several machines share."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from salver.errors import StoreError

TEMPORARY = ".tmp-"
"""Begins the names of files that are being written, or whose writer was killed."""


class FolderStore:
    """Files below a folder. A file gets its name by a hard link, which fails where that name is taken, even over NFS."""

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        self.url = str(self.root)

    def __repr__(self) -> str:
        return f"<FolderStore {self.url}>"

    def create(self, name: str, data: bytes) -> bool:
        with self._said():
            path = self.root / name
            if path.exists():
                return False
            with self._written(path) as (file, temporary):
                file.write(data)
                _flush(file)
                try:
                    os.link(temporary, path)
                except FileExistsError:
                    return False
            _flush_folder(path.parent)
            return True

    def read(self, name: str, limit_bytes: int) -> bytes | None:
        with self._said():
            try:
                with (self.root / name).open("rb") as file:
                    data = file.read(limit_bytes + 1)
            except (FileNotFoundError, NotADirectoryError):
                return None
        if len(data) > limit_bytes:
            raise StoreError(f"{self.url}/{name} is larger than {limit_bytes} bytes; it is not read")
        return data

    def names(self, folder: str) -> list[str]:
        with self._said():
            return [
                (Path(parent) / file).relative_to(self.root).as_posix()
                for parent, _, files in os.walk(self.root / folder)
                for file in files
            ]

    def children(self, folder: str) -> list[str]:
        with self._said():
            try:
                return [entry.name for entry in (self.root / folder).iterdir() if entry.is_dir()]
            except FileNotFoundError:
                return []

    def upload(self, name: str, file: Path) -> None:
        with self._said():
            path = self.root / name
            with self._written(path) as (into, temporary), file.open("rb") as source:
                shutil.copyfileobj(source, into, 2**20)
                _flush(into)
                temporary.replace(path)
            _flush_folder(path.parent)

    def download(self, name: str, file: Path, limit_bytes: int) -> None:
        with self._said():
            path = self.root / name
            if not path.is_file() or path.stat().st_size > limit_bytes:
                raise StoreError(f"{path} is missing or larger than it should be; `salver verify` tells more")
            shutil.copyfile(path, file)

    def remove(self, names: list[str]) -> None:
        with self._said():
            for name in names:
                (self.root / name).unlink(missing_ok=True)
                for parent in (self.root / name).parents:
                    if parent == self.root or parent.parent == self.root:
                        break
                    try:
                        parent.rmdir()
                    except OSError:  # it is not empty
                        break

    @contextmanager
    def _written(self, path: Path) -> Generator[tuple[IO[bytes], Path]]:
        """An open file beside `path`, gone in the end under the name it has here."""
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.parent / f"{TEMPORARY}{secrets.token_hex(8)}"
        try:
            with temporary.open("xb") as file:
                yield file, temporary
        finally:
            temporary.unlink(missing_ok=True)

    @contextmanager
    def _said(self) -> Generator[None]:
        try:
            yield
        except OSError as error:
            raise StoreError(f"the store {self.url}: {error.strerror or type(error).__name__}") from error


def _flush(file: IO[bytes]) -> None:
    """To the disk: what was published must survive a power cut too."""
    file.flush()
    os.fsync(file.fileno())


def _flush_folder(folder: Path) -> None:
    with suppress(OSError):  # where folders can't be opened (Windows), names are safe without it
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
