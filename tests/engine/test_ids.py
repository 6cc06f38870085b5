"""Prediction ids are UUIDv7, unique and ascending."""

from __future__ import annotations

import uuid

from hypothesis import given
from hypothesis import strategies as st

from salver.engine.ids import IdSource

_MS = 1_700_000_000_000


@given(count=st.integers(0, 10_000), ms=st.integers(0, 2**48 - 1))
def test_a_batch_of_ids(count: int, ms: int) -> None:
    made = IdSource().batch(count, ms)
    assert len(made) == count
    for text in made[:3] + made[-3:]:
        read = uuid.UUID(text)
        assert (str(read), read.version, read.variant) == (text, 7, uuid.RFC_4122)
        assert read.int >> 80 == ms


def test_ids_ascend_within_a_batch() -> None:
    made = IdSource().batch(4096, _MS)
    assert made == sorted(set(made))


def test_ids_are_unique_across_batches_and_sources() -> None:
    sources = [IdSource() for _ in range(4)]
    made = [text for source in sources for _ in range(500) for text in source.batch(3, _MS)]
    made += sources[0].batch(20_000, _MS)
    assert len(set(made)) == len(made)


def test_later_ids_sort_behind_earlier_ones() -> None:
    source = IdSource()
    assert source.batch(1, _MS)[0] < source.batch(1, _MS + 1)[0]
