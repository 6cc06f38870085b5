"""Ids that two lists have in common, whatever their sizes."""

from __future__ import annotations

import numpy as np
import pytest

from salver.log.match import match


@pytest.mark.parametrize(("wanted", "have"), [(0, 5), (5, 0), (3, 20_000), (20_000, 3), (5000, 5000)])
def test_every_pair_is_found_and_no_other(wanted: int, have: int) -> None:
    draw = np.random.default_rng(wanted)
    pool = draw.integers(0, 2**63, (4000, 2), dtype=np.uint64)
    pool[::5, 1] = pool[0, 1]  # ids of one batch share half of their bits
    pool[0] = 0  # the null id is equal to none
    some, among = (pool[draw.integers(0, len(pool), count)] for count in (wanted, have))
    at, rows = match(some, among)
    by_id: dict[bytes, list[int]] = {}
    for row, one in enumerate(among):
        by_id.setdefault(one.tobytes(), []).append(row)
    want = {(i, row) for i, one in enumerate(some) if one.any() for row in by_id.get(one.tobytes(), [])}
    found = list(zip(at.tolist(), rows.tolist(), strict=True))
    assert len(found) == len(set(found))
    assert set(found) == want
