"""A store on S3, Google Cloud Storage or Azure Blob Storage, or whatever speaks their protocols.

Credentials, region and endpoint come from the environment, under the names that the clouds' own tools use. `create` is a put
with `If-None-Match: *` (on Google's, generation 0), which the store itself decides.
"""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from salver.errors import StoreError

_CONDITIONS = "conditions.txt"
"""An object that exists only to be created again, and that not to succeed."""


class ObjectStore:
    """Objects below a prefix."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        try:
            from obstore.store import from_url
        except ImportError:
            raise StoreError(f"{self.url} is reached by the package obstore: pip install 'salver[store]'") from None
        self._decides = False  # it is known that the store honours conditions
        # An endpoint of one's own that has no TLS was named by its user; nothing else is spoken to without.
        plain = any(name.startswith("AWS_ENDPOINT") and value.startswith("http://") for name, value in os.environ.items())
        with self._said():
            self._store: Any = from_url(self.url, client_options={"allow_http": plain})

    def __repr__(self) -> str:
        return f"<ObjectStore {self.url}>"

    def create(self, name: str, data: bytes) -> bool:
        import obstore
        from obstore.exceptions import AlreadyExistsError, PreconditionError

        with self._said():
            self._require_conditions()
            try:
                obstore.put(self._store, name, data, mode="create")
            except (AlreadyExistsError, PreconditionError):
                # A put whose answer was lost is sent again, and then finds its own bytes there.
                found = obstore.get(self._store, name)
                return found.meta["size"] == len(data) and bytes(found.bytes()) == data
            return True

    def read(self, name: str, limit_bytes: int) -> bytes | None:
        import obstore

        with self._said():
            try:
                found = obstore.get(self._store, name)
            except FileNotFoundError:
                return None
            if found.meta["size"] > limit_bytes:
                raise StoreError(f"{self.url}/{name} is larger than {limit_bytes} bytes; it is not read")
            return bytes(found.bytes())

    def names(self, folder: str) -> list[str]:
        import obstore

        with self._said():
            return [found["path"] for page in obstore.list(self._store, f"{folder}/") for found in page]

    def children(self, folder: str) -> list[str]:
        import obstore

        with self._said():
            found = obstore.list_with_delimiter(self._store, f"{folder}/")
            return [prefix.rstrip("/").rpartition("/")[2] for prefix in found["common_prefixes"]]

    def upload(self, name: str, file: Path) -> None:
        import obstore

        with self._said():
            obstore.put(self._store, name, file)

    def download(self, name: str, file: Path, limit_bytes: int) -> None:
        import obstore

        with self._said(), file.open("wb") as into:
            found = obstore.get(self._store, name)
            if found.meta["size"] > limit_bytes:
                raise StoreError(f"{self.url}/{name} is larger than its manifest says; `salver verify` tells more")
            for chunk in found.stream():
                into.write(chunk)

    def remove(self, names: list[str]) -> None:
        import obstore

        with self._said():
            for name in names:
                with suppress(FileNotFoundError):
                    obstore.delete(self._store, name)

    def _require_conditions(self) -> None:
        """Raises StoreError where a store takes no notice of conditions: each writer there would believe to be the first."""
        import obstore
        from obstore.exceptions import AlreadyExistsError, PreconditionError

        if self._decides:
            return
        try:
            for _ in range(2):
                obstore.put(self._store, _CONDITIONS, b"This store honours If-None-Match.\n", mode="create")
        except (AlreadyExistsError, PreconditionError):
            self._decides = True
            return
        raise StoreError(f"the store {self.url} takes no notice of If-None-Match, so versions could be lost; use another")

    @contextmanager
    def _said(self) -> Generator[None]:
        try:
            yield
        except StoreError:
            raise
        except Exception as error:  # obstore's errors, and those of the file here
            raise StoreError(f"the store {self.url}: {_gist(error)}") from error


def _gist(error: Exception) -> str:
    """What went wrong, without the request's address, which may be signed."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    kind = type(error).__name__
    hints = {
        "FileNotFoundError": "the object or the bucket is not there",
        "NotFoundError": "the object or the bucket is not there",
        "PermissionDeniedError": "access is denied; look at the credentials in the environment",
        "PermissionError": "access is denied; look at the credentials in the environment",
        "UnauthenticatedError": "the credentials in the environment are not accepted",
    }
    return hints.get(kind, f"it could not be reached or refused ({kind}); look at its address, region and credentials")
