"""The heads of a connection's plain calls: blocks of compressed headers that were seen before, and what they say.

A client spells a header out once; after that, its block points into the table that the compression keeps. So the same block
says the same for as long as the table is the same: then nobody needs to decode it.
"""

from __future__ import annotations

from typing import NamedTuple

from h2.connection import H2Connection

_AT_MOST = 64  # blocks of a connection


class Head(NamedTuple):
    """What a plain call's headers say."""

    headers: dict[str, str]
    shown: list[tuple[bytes, bytes]]  # the same, as the gate reads them
    timeout_ns: int  # 0 where none is given


class Heads:
    """Those of one connection."""

    def __init__(self, http2: H2Connection) -> None:
        self._table = http2.decoder.header_table
        self._known: dict[bytes, Head] = {}
        self._seen = self.table()

    def table(self) -> tuple[int, object]:
        """Tells one state of the table from another: what is added comes first, and what is dropped leaves it shorter."""
        entries = self._table.dynamic_entries
        return len(entries), entries[0] if entries else None

    def find(self, block: bytes) -> Head | None:
        """What a block says, if that is known."""
        if self._known and not self._is_as_seen():
            self._known.clear()
        return self._known.get(block)

    def learn(self, block: bytes, head: Head) -> None:
        """Remember what a block said that left the table alone."""
        if not self._is_as_seen() or len(self._known) >= _AT_MOST:
            self._known.clear()
            self._seen = self.table()
        self._known[block] = head

    def _is_as_seen(self) -> bool:
        length, first = self.table()
        return length == self._seen[0] and first is self._seen[1]
