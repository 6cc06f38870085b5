"""How accurate a model is in production: its predictions joined with their labels, by the time of the prediction."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from salver.errors import ConfigError, NotFound
from salver.log.duck import named, quoted
from salver.log.flat import typed
from salver.log.joined import joined
from salver.log.signatures import noted
from salver.log.view import Log
from salver.monitors.confusion import Confusion
from salver.monitors.estimate import Estimate
from salver.monitors.ranking import of_numbers, of_probabilities

if TYPE_CHECKING:
    import duckdb

_MANY_CLASSES = 1000
_OWN = {
    "version": "version::VARCHAR",
    "route": "route",
    "hour": "strftime(make_timestamp(ts), '%Y-%m-%d %H:00')",
    "day": "strftime(make_timestamp(ts), '%Y-%m-%d')",
}
_SPANS_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


class Group(msgspec.Struct):
    """Predictions that have something in common. `delay_s` is from a prediction to its label: the median and the 95 % point."""

    of: dict[str, str | None]
    predictions: int
    labelled: int
    coverage: float
    delay_s: dict[str, float] | None = None
    metrics: dict[str, Estimate] = {}
    classes: dict[str, dict[str, Estimate]] = {}


class Accuracy(msgspec.Struct):
    """A model's accuracy by its labels. `task` is "classification" or "regression"."""

    model: str
    task: str
    by: list[str]
    since: str | None
    groups: list[Group]


class Question(msgspec.Struct):
    """What is asked: `by` names version, route, hour, day or inputs of the model; times are µs since 1970."""

    by: list[str] = []
    since_us: int | None = None
    until_us: int | None = None
    version: int | None = None

    @property
    def condition(self) -> str:
        parts = [f"ts >= {self.since_us}"] if self.since_us is not None else []
        parts += [f"ts < {self.until_us}"] if self.until_us is not None else []
        parts += [f"version = {self.version}"] if self.version is not None else []
        return " and ".join(parts) or "true"


def accuracy(log: Path, model: str, question: Question | None = None) -> Accuracy:
    """Measure it. Raises NotFound when the model has no predictions, ConfigError when it gives no single answer a row."""
    question = question or Question()
    with joined(log, model) as connection:
        task, classes = _task(connection, log, model)
        groups = _groups(connection, log, model, question)
        labelled = _labelled(connection, question, classes)
    since = None if question.since_us is None else str(np.datetime64(question.since_us, "us"))
    order = np.argsort(labelled["place"], kind="stable")
    bounds = np.searchsorted(labelled["place"][order], np.arange(len(groups) + 1))
    for place, group in enumerate(groups):
        rows = order[bounds[place] : bounds[place + 1]] if len(groups) > 1 else slice(None)
        _measure(group, {name: array[rows] for name, array in labelled.items()}, classes)
    return Accuracy(model, task, question.by, since, groups)


def since(text: str, now_us: int) -> int:
    """`7d`, `12h`, `30m` before now, or an ISO date, in µs since 1970. Raises ConfigError."""
    found = re.fullmatch(r"(\d+)([smhdw])", text)
    if found:
        return now_us - int(found[1]) * _SPANS_S[found[2]] * 1_000_000
    try:
        return int(np.datetime64(text, "us").astype(np.int64))
    except ValueError:
        raise ConfigError("a time is a span (30m, 12h, 7d, 2w) or a date in UTC (2026-01-31, 2026-01-31T12:00)") from None


def _task(connection: duckdb.DuckDBPyConnection, log: Path, model: str) -> tuple[str, list[str]]:
    """What the model does, and its classes as they are spelled in `joined`, in the order of its probabilities."""
    first = connection.execute("select prediction from joined limit 1").fetchone()
    if first is None:
        raise NotFound(f"the log in {log} has no predictions of a model '{model}'", code="unknown_model")
    signature = noted(log, model)
    output = signature.prediction if signature else None
    if (output and output.shape) or (first[0] or "[").startswith(("[", "{")):
        raise ConfigError(f"model '{model}' answers with several values a row; its accuracy is not measured yet")
    if output and output.classes is not None:
        return "classification", [_spelled(one) for one in output.classes]
    if signature and signature.task != "classification" and first[0] and re.match(r"[-\d.]", first[0]):
        return "regression", []
    query = f"select distinct * from (select prediction from joined union all select label from joined) limit {_MANY_CLASSES}"
    values = sorted(row[0] for row in connection.execute(query).fetchall() if row[0] is not None)
    numbers = all(re.match(r"[-\d.]", value) for value in values)
    if signature is None and numbers and not all(float(value).is_integer() for value in values):
        return "regression", []
    return "classification", sorted(values, key=float) if numbers else values


def _spelled(value: Any) -> str:
    text = msgspec.json.encode(value).decode()
    return text if isinstance(value, str | bool) else str(float(text))


def _groups(connection: duckdb.DuckDBPyConnection, log: Path, model: str, question: Question) -> list[Group]:
    """All groups, in order, as a table of the connection too."""
    names = [f"g{i}" for i in range(len(question.by))]
    others = [by for by in question.by if by not in _OWN]
    source = "joined"
    if others:
        _inputs(connection, log, model, others)
        source = "joined left join inputs using (id)"
    exprs = [f"{_OWN.get(by) or named('of_' + by)} as {name}" for by, name in zip(question.by, names, strict=True)]
    keys = ", ".join([*exprs, "id", "ts", "label", "label_ts"])
    connection.execute(f"create or replace temp view keyed as select {keys} from {source} where {question.condition}")
    columns = "".join(f"{name}, " for name in names)
    counts = (
        f"select {columns} count(*) as rows, count(label) as labelled, "
        "approx_quantile((label_ts - ts) / 1e6, [0.5, 0.95]) filter (where label is not null) as delay "
        f"from keyed {'group by all' if names else ''}"
    )
    connection.execute(
        "create or replace temp table groups as "
        f"select *, row_number() over (order by {', '.join(names) or '1'}) - 1 as place from ({counts})"
    )
    groups: list[Group] = []
    for row in connection.execute("select * from groups order by place").fetchall():
        *of, rows, labelled, delay, _ = row
        told = {"p50": delay[0], "p95": delay[1]} if delay else None
        groups.append(Group(dict(zip(question.by, of, strict=True)), rows, labelled, labelled / rows if rows else 0.0, told))
    return groups


def _inputs(connection: duckdb.DuckDBPyConnection, log: Path, model: str, names: list[str]) -> None:
    values = ", ".join(f"{typed('inputs', name)} as {named('of_' + name)}" for name in names)
    found = Log(log).sql(f"select id, {values} from predictions where model = ?", [model]).to_arrow()
    unknown = [name for name in names if found.column(f"of_{name}").null_count == len(found)]
    if unknown:
        raise ConfigError(f"model '{model}' has no column '{unknown[0]}'; group by version, route, hour, day or an input")
    connection.register("inputs", found)


def _labelled(connection: duckdb.DuckDBPyConnection, question: Question, classes: list[str]) -> dict[str, Any]:
    """The rows that have labels, as arrays: place of the group, label, prediction, weight, and each class's probability."""
    names = [f"g{i}" for i in range(len(question.by))]
    listed = "[" + ", ".join(map(quoted, classes)) + "]"

    def value(column: str) -> str:
        return f"list_position({listed}, {column})::INTEGER - 1" if classes else f"try_cast({column} as DOUBLE)"

    wide = connection.execute("select max(len(probabilities)) from joined").fetchone()
    shares = range(1, len(classes) + 1) if classes and wide and wide[0] == len(classes) else ()
    columns = [
        f"{value('prediction')} as prediction",
        f"{value('label')} as label",
        "coalesce(weight, 1.0) * coalesce(label_weight, 1.0) as weight",
        *(f"probabilities[{k}] as p{k}" for k in shares),
    ]
    query = f"select {', '.join(columns)}, 0 as place from joined where label is not null and {question.condition}"
    if names:
        same = " and ".join(f"keyed.{name} is not distinct from groups.{name}" for name in names)
        places = f"select id, place from keyed join groups on {same} where label is not null"
        query = f"select {', '.join(columns)}, place from joined join ({places}) using (id) where label is not null"
    found = connection.execute(query).fetchnumpy()
    given = [found[f"p{k}"] for k in shares]
    made = {name: np.ma.filled(found[name], -1 if classes else np.nan) for name in ("prediction", "label")}
    made |= {"weight": np.asarray(found["weight"]), "place": np.asarray(found["place"])}
    if given:
        made["probabilities"] = np.stack([np.ma.filled(one, np.nan) for one in given]).T
    return made


def _measure(group: Group, rows: dict[str, Any], classes: list[str]) -> None:
    usable = (rows["prediction"] >= 0) & (rows["label"] >= 0) if classes else np.isfinite(rows["prediction"] + rows["label"])
    usable &= rows["weight"] > 0
    if not usable.all():
        rows = {name: array[usable] for name, array in rows.items()}
    if not len(rows["label"]):
        return
    if not classes:
        group.metrics = of_numbers(rows["label"], rows["prediction"], rows["weight"])
        return
    confusion = Confusion(rows["label"], rows["prediction"], rows["weight"], len(classes))
    group.metrics = confusion.estimates()
    group.classes = {classes[k]: confusion.of_class(int(k)) for k in confusion.present[:_MANY_CLASSES]}
    group.classes = {str(msgspec.json.decode(_shown(name))): of for name, of in group.classes.items()}
    shares = rows.get("probabilities")
    if shares is not None and np.isfinite(shares).all():
        group.metrics |= of_probabilities(rows["label"], shares, rows["weight"])


def _shown(spelled: str) -> str:
    return spelled.removesuffix(".0") if re.fullmatch(r"-?\d+\.0", spelled) else spelled
