"""The hot path and the plain one give the same answer to the same body."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from salver.types.signature import Column
from tests.echo import echo_folder
from tests.server.wire import Response, Wire, post
from tests.serving import serving

_COLUMNS = {
    "plain": (Column("a"), Column("b", dtype="float32")),
    "mixed": (
        Column("a", nullable=True, infinite=True),
        Column("b", dtype="category", categories=("red", "green"), unseen=True),
        Column("c", dtype="int64"),
    ),
}
_GOLDEN = {"plain": [[1.0, 2.0]], "mixed": [[1.0, "red", 3]]}


@pytest.fixture(scope="module")
def wire(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Wire]:
    folder = tmp_path_factory.mktemp("models")
    models = [echo_folder(folder / name, columns=columns, rows=_GOLDEN[name]) for name, columns in _COLUMNS.items()]
    with serving(models) as server, Wire(server.url) as made:
        yield made


numbers = st.floats(allow_nan=True) | st.integers(-(2**70), 2**70) | st.sampled_from([1e39, "NaN", "Infinity", "1"])
texts = st.text(st.characters(codec=None, categories=["L", "N", "Cs", "So"]), max_size=4)
values = numbers | texts | st.sampled_from(["red", "green", "blue", None, True, [], {}, [1.0]])
rows = (
    st.lists(numbers, min_size=2, max_size=2)
    | st.lists(values, max_size=4)
    | st.dictionaries(st.sampled_from(["a", "b", "c", "d"]), values, max_size=4)
    | values
)
rest = st.fixed_dictionaries(
    {},
    optional={
        "probabilities": st.booleans() | st.none(),
        "key": texts | st.text(min_size=250, max_size=260) | st.none() | st.integers(),
        "keys": st.lists(st.text(max_size=3) | st.none(), max_size=3) | st.none(),
        "other": st.none(),
    },
)
rows_asked = st.fixed_dictionaries({"features": rows}) | st.fixed_dictionaries({"instances": st.lists(rows, max_size=4) | rows})
questions = st.builds(lambda asked, more: json.dumps(asked | more).encode(), rows_asked, rest)
torn = st.builds(lambda question, at: question[:at], questions, st.integers(1, 60))
bodies = questions | torn | st.binary(min_size=1, max_size=40)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example(model="plain", body=b'{"features":[1,2]}')
@example(model="plain", body=b'{"features":[1,2],"features":[3,4]}')
@example(model="plain", body=b'{"features":[1,1e999]}')
@example(model="plain", body=b'{"features":[-0.0,1e39]}')
@example(model="plain", body=b'{"features":[1,2],"key":"\\ud800"}')
@example(model="mixed", body=b'{"features":[1,"\\udfff",3]}')
@example(model="plain", body=b"\xff")
@example(model="plain", body=b"[" * 5000)
@example(model="mixed", body=b'{"instances":[]}')
@given(model=st.sampled_from(sorted(_COLUMNS)), body=bodies)
def test_the_two_paths_agree(wire: Wire, model: str, body: bytes) -> None:
    hot, again, plain = (
        wire.ask(post(f"/models/{model}/predict", body, *headers)) for headers in ((), (), ("server-timing: 1",))
    )
    assert ("server-timing" in plain.headers) == (plain.status == 200)
    assert "server-timing" not in hot.headers
    assert seen(hot) == seen(again) == seen(plain)


def seen(response: Response) -> tuple[int, str, Any]:
    """What a client sees, apart from ids."""
    content = json.loads(response.body, parse_constant=_refuse)
    for name in ("id", "ids"):
        content.pop(name, None)
    return response.status, response.headers["content-type"], content


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is no JSON")
