"""Keys and rates, without a store or a server."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from salver.door.bucket import Bucket
from salver.door.key import ALL, SCOPES, new_key, parse
from salver.door.ring import Ring, shown_in
from salver.errors import ConfigError, Forbidden, Unauthenticated

S = 10**9


def test_a_key_opens_its_scopes_and_models() -> None:
    key, _ = new_key("a", ("predict", "label"), models=("iris",))
    opened = [(scope, model) for scope in (*SCOPES, None) for model in ("iris", "churn", ALL, None) if key.opens(scope, model)]
    assert opened == [(scope, model) for scope in ("predict", "label", None) for model in ("iris", None)]
    every, _ = new_key("b", ("predict",))
    assert every.opens("predict", ALL) and every.opens(None, "iris") and not every.opens("label", "iris")


def test_no_two_keys_are_alike() -> None:
    made = [new_key("a", ("predict",)) for _ in range(100)]
    assert len({key.id for key, _ in made}) == len({shown for _, shown in made}) == 100
    assert all(parse(shown)[0] == key.id and key.digest not in shown for key, shown in made)


@pytest.mark.parametrize("name", ["", "a b", "a/b", "a\n", "x" * 65, "-a"])
def test_a_name_is_plain(name: str) -> None:
    with pytest.raises(ConfigError):
        new_key(name, ("predict",))


def test_who_gets_in() -> None:
    ring = Ring()
    key, shown = new_key("a", ("predict",), models=("iris",))
    assert ring.enter([], "predict", "iris") is None
    ring.hold([], ever=False)
    assert not ring.closed
    ring.hold([key], ever=True)
    assert ring.enter([shown], "predict", "iris") == key
    for wrong in ([], [""], ["salver_x"], [shown, shown + "x"], [shown.upper()], [f" {shown}"]):
        with pytest.raises(Unauthenticated):
            ring.enter(wrong, "predict", "iris")
    for scope, model in (("label", "iris"), ("predict", "churn"), ("predict", ALL)):
        with pytest.raises(Forbidden) as refused:
            ring.enter([shown], scope, model)
        assert refused.value.who == "a" and "label" not in refused.value.message and "iris" not in refused.value.message
    ring.hold([], ever=True)
    with pytest.raises(Unauthenticated):
        ring.enter([shown], "predict", "iris")
    ring.hold([], ever=False)
    assert ring.closed  # once closed, always


def test_whether_a_key_is_needed() -> None:
    key, shown = new_key("a", ("predict",))
    never, always = Ring("never"), Ring("always")
    never.hold([key], ever=True)
    assert never.enter([], "manage", ALL) is None
    with pytest.raises(Unauthenticated):
        always.enter([shown], "predict", ALL)


def test_a_key_that_is_over() -> None:
    now = datetime.now(UTC)
    ring = Ring()
    over, shown = new_key("a", ("predict",), expires=(now - timedelta(seconds=1)).isoformat())
    ring.hold([over], ever=True)
    with pytest.raises(Unauthenticated):
        ring.enter([shown], "predict", ALL)


def test_a_key_keeps_its_bucket_while_others_come_and_go() -> None:
    ring = Ring(requests_per_s=5)
    (one, _), (two, _), (free, _) = (new_key(name, ("predict",), **more) for name, more in _RATES.items())
    ring.hold([one], ever=True)
    bucket = ring.bucket(one)
    ring.hold([one, two, free], ever=True)
    assert ring.bucket(one) is bucket is not None
    assert ring.bucket(two) is not None and ring.bucket(free) is None and ring.bucket(None) is None


_RATES = {"one": {}, "two": {"requests_per_s": 2}, "free": {"requests_per_s": 0}}


def test_what_a_request_shows() -> None:
    headers = [(b"host", b"a"), (b"authorization", b"bEaReR  abc "), (b"x-api-key", b"abc"), (b"x-api-key", b"def")]
    assert shown_in(headers) == ["abc", "def"]
    assert shown_in([(b"authorization", b"Basic abc")]) == [""]
    assert shown_in([(b"host", b"a")]) == []


def test_a_bucket_takes_a_burst_and_then_its_rate() -> None:
    bucket = Bucket(10, burst=3)
    assert [bucket.take(S) for _ in range(5)] == [True, True, True, False, False]
    assert bucket.wait_s(S) == pytest.approx(0.1)
    assert not bucket.take(S + S // 10 - 1)
    assert bucket.take(S + S // 10) and not bucket.take(S + S // 10)
    assert [bucket.take(10 * S) for _ in range(4)] == [True, True, True, False]


@given(
    per_s=st.integers(1, 1000),
    burst=st.integers(1, 50),
    steps_ns=st.lists(st.integers(0, S // 5), min_size=1, max_size=300),
)
def test_a_bucket_never_gives_more_than_it_has(per_s: int, burst: int, steps_ns: list[int]) -> None:
    """In any span of time: at most the burst and what the rate adds."""
    bucket, now_ns = Bucket(per_s, burst), S
    taken: list[int] = []
    for step_ns in steps_ns:
        now_ns += step_ns
        if bucket.take(now_ns):
            taken.append(now_ns)
        else:
            assert bucket.wait_s(now_ns) > 0
    for first in range(0, len(taken), 7):
        for last in range(first, len(taken)):
            assert last - first + 1 <= burst + (taken[last] - taken[first]) * per_s / S + 1e-6
