"""What every runtime does alike. A kind without an example here fails."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, get_args

import msgspec
import numpy as np
import pytest

from salver.artifact.manifest import RuntimeKind, RuntimeSpec
from salver.frameworks.base import Trained
from salver.frameworks.files import adapt
from salver.lower import ways
from salver.runtimes.base import Runtime, load
from salver.types.signature import Column, Columns, Output, Signature, rows_of, take

_ROWS = 40


class Example(NamedTuple):
    """A runtime of some kind, and rows for it."""

    runtime: Runtime
    signature: Signature
    rows: Columns


def trained() -> Trained:
    from sklearn.datasets import load_iris
    from sklearn.linear_model import LogisticRegression

    X, y = load_iris(return_X_y=True)
    return adapt(LogisticRegression(max_iter=1000).fit(X, y))


def numbers() -> Any:
    return np.random.default_rng(0).uniform(0, 8, (_ROWS, 4))


def lowered(way: str, folder: Path) -> tuple[RuntimeSpec, Signature, Columns]:
    model = trained()
    return ways.WAYS[way](model, folder), model.signature, {"X": numbers()}


def native(folder: Path) -> tuple[RuntimeSpec, Signature, Columns]:
    model = trained()
    (folder / "model.pkl").write_bytes(pickle.dumps(model.model))
    columns = dict(zip(model.signature.names, numbers().T, strict=True))
    return RuntimeSpec("native", "model.pkl", "columns"), model.signature, columns


def echo(folder: Path) -> tuple[RuntimeSpec, Signature, Columns]:
    (folder / "echo.json").write_bytes(msgspec.json.encode({}))
    return RuntimeSpec("echo", "echo.json", "matrix"), Signature((Column("a"),), (Output("prediction"),)), {"X": numbers()}


EXAMPLES: dict[str, Callable[[Path], tuple[RuntimeSpec, Signature, Columns]]] = {
    "linear": lambda folder: lowered("linear", folder),
    "onnx": lambda folder: lowered("graph", folder),
    "native": native,
    "echo": echo,
}


@pytest.fixture(scope="module", params=get_args(RuntimeKind))
def example(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Example]:
    folder = tmp_path_factory.mktemp(request.param)
    spec, signature, rows = EXAMPLES[request.param](folder)
    assert spec.kind == request.param
    runtime = load(spec, signature, folder)
    yield Example(runtime, signature, rows)
    runtime.close()


def assert_same(one: Columns, other: Columns) -> None:
    assert one.keys() == other.keys()
    for name, values in one.items():
        np.testing.assert_allclose(values, other[name], rtol=1e-12)


def test_outputs_are_as_the_signature_says(example: Example) -> None:
    answer = example.runtime.predict(example.rows)
    assert sorted(answer) == sorted(output.name for output in example.signature.outputs)
    for output in example.signature.outputs:
        values = answer[output.name]
        assert values.shape == (_ROWS, *output.shape)
        assert values.dtype == (np.int64 if output.classes is not None else np.dtype(output.dtype))


def test_answers_are_in_the_order_of_the_rows(example: Example) -> None:
    order = np.random.default_rng(1).permutation(_ROWS)
    straight = example.runtime.predict(example.rows)
    shuffled = example.runtime.predict({name: values[order] for name, values in example.rows.items()})
    assert_same({name: values[order] for name, values in straight.items()}, shuffled)


@pytest.mark.parametrize("size", [1, 7, _ROWS])
def test_a_row_has_the_same_answer_in_a_batch_of_any_size(example: Example, size: int) -> None:
    whole = example.runtime.predict(example.rows)
    for start in range(0, _ROWS, size):
        part = slice(start, start + size)
        assert_same(take(whole, part), example.runtime.predict(take(example.rows, part)))


def test_what_it_is_given_stays_as_it_was(example: Example) -> None:
    before = {name: values.copy() for name, values in example.rows.items()}
    example.runtime.predict(example.rows)
    assert_same(before, example.rows)


def test_an_answer_stays_as_it_was(example: Example) -> None:
    answer = example.runtime.predict(example.rows)
    before = {name: values.copy() for name, values in answer.items()}
    example.runtime.predict(take(example.rows, slice(1, 4)))
    assert rows_of(answer) == _ROWS
    assert_same(before, answer)


@pytest.mark.parametrize("kind", get_args(RuntimeKind))
def test_one_may_be_closed_while_another_of_the_same_model_works(kind: str, tmp_path: Path) -> None:
    spec, signature, rows = EXAMPLES[kind](tmp_path)
    first, second = (load(spec, signature, tmp_path) for _ in range(2))
    expected = first.predict(rows)
    first.close()
    assert_same(expected, second.predict(rows))
    second.close()
