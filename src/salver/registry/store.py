"""Where models are kept: named bytes on a folder or an object store, and one way to settle who was first.

Names are paths with forward slashes. All that several writers may write at once is made by `create`, which one of them wins.
Why nothing more is needed: docs/decisions/numbered-documents.md.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from salver.config import store_url
from salver.errors import ConfigError

REMOTE = ("s3", "gs", "az")


class Store(Protocol):
    """Each method raises StoreError when the store can't be reached or refuses."""

    url: str

    def create(self, name: str, data: bytes) -> bool:
        """Store `data` under a name that is free, whole or not at all; False when the name is taken."""
        ...

    def read(self, name: str, limit_bytes: int) -> bytes | None:
        """What is stored there, None when nothing is. Raises StoreError when it is larger than the limit."""
        ...

    def names(self, folder: str) -> list[str]:
        """The names of all that is stored below `folder`, at any depth, in no particular order."""
        ...

    def children(self, folder: str) -> list[str]:
        """The names of the folders directly in `folder`."""
        ...

    def upload(self, name: str, file: Path) -> None:
        """Store the bytes of `file`, in place of what was there."""
        ...

    def download(self, name: str, file: Path, limit_bytes: int) -> None:
        """Write what is stored there to `file`. Raises StoreError when it is missing or larger than the limit."""
        ...

    def remove(self, names: list[str]) -> None:
        """Remove these; those that are gone already are no error."""
        ...


def open_store(url: str | None = None) -> Store:
    """The store at `url`: a folder, file://, s3://BUCKET/PREFIX, gs://BUCKET/PREFIX or az://CONTAINER/PREFIX.

    Raises ConfigError for any other, StoreError when the package that reaches it is not installed.
    """
    chosen = store_url(url)
    scheme, separator, rest = chosen.partition("://")
    if not separator or scheme == "file":
        from salver.registry.folder import FolderStore

        return FolderStore(Path(rest if separator else chosen).expanduser())
    if scheme not in REMOTE:
        raise ConfigError(f"a store is a folder or starts with s3://, gs:// or az://; {scheme}:// is not known")
    from salver.registry.objects import ObjectStore

    return ObjectStore(chosen)
