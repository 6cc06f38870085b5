"""A trained model, in memory or in a file → an immutable version in the registry, with its proof and all that serving needs."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec

from salver.artifact.artifact import atomic_folder
from salver.artifact.manifest import Manifest
from salver.artifact.trust import remember
from salver.config import store_url
from salver.errors import ConfigError, InputError, ModelFileError
from salver.frameworks import requirements, sources
from salver.frameworks.base import Trained
from salver.frameworks.files import read
from salver.frameworks.hints import read_hints, write_hints
from salver.frameworks.writing import is_tensors, write
from salver.lower.compile import lower
from salver.lower.natural import disagreeing
from salver.lower.needed import locked
from salver.lower.publish import Parts, finish, graph, original_of
from salver.lower.report import report
from salver.lower.sample import PROVEN, Policies, Sample, learnt, spread
from salver.monitors import profile
from salver.monitors.importance import ROWS, importance
from salver.monitors.metrics import metrics
from salver.monitors.performance import performance
from salver.types.reference import Reference
from salver.types.signature import Column, Columns, Label, Policy, concatenate, rows_of, take

PROFILED = 50_000
"""So many rows of a sample are answered for the profile and the metrics; their counts are exact."""
_PART = 4096

_Understood = tuple[Trained, Columns | None, list[Column]]
"""The model, the sample as it takes it, and the hints that this took."""

Told = Callable[[str], None]
"""Is told what is being done, in a few words."""


class Saved(msgspec.Struct, frozen=True):
    """What became of a model: its version in the registry. Printed, it is a short report."""

    name: str
    version: int
    digest: str
    store: str
    manifest: Manifest

    @property
    def reference(self) -> str:
        return f"{self.name}@{self.version}"

    @property
    def report(self) -> str:
        return f"{self.reference} saved in {self.store}\n" + report(self.manifest)

    def __str__(self) -> str:
        return self.report


class About(msgspec.Struct, frozen=True):
    """What is said of a model, and the rules for its columns."""

    description: str = ""
    tags: dict[str, str] = {}
    metadata: dict[str, Any] = {}
    policies: Policies | None = None
    on_unknown: Policy | None = None
    by_time: bool = False  # the sample is in order of time


def save(
    model: Any,
    name: str,
    *,
    sample: Any = None,
    labels: Any = None,
    by_time: bool = False,
    classes: Sequence[Label] | None = None,
    store: str | Path | None = None,
    description: str = "",
    tags: Mapping[str, str] | None = None,
    metadata: Mapping[str, Any] | None = None,
    policies: Policies | None = None,
    on_unknown: Policy | None = None,
    by: str = "",
    why: str = "",
    progress: Told | None = None,
) -> Saved:
    """Lower `model` with proof and publish it as the next version of `name`.

    `model` is a fitted model or the path of its file. `sample` are rows that it was not trained on, in any kind of table or as
    the path of one (`by_time`: in order of time, so that their sway is learnt), and `labels` what is true of them: values, a
    path, or the name of a column of the sample. `classes` name the places of a PyTorch module's output; such a module needs a
    sample, which may be tensors. `policies` say what becomes of values that do not fit, by column ("*" for all): {"age":
    {"out_of_range": "error"}}. `progress` is told what takes long. Raises ModelFileError for what is no model to be saved,
    InputError for a sample that does not fit it, ConfigError for metadata that JSON can't hold.
    """
    name = Reference.parse(name).name
    url = store_url(None if store is None else str(store))
    about = About(description, dict(tags or {}), _plain(metadata or {}), policies, on_unknown, by_time)
    told = progress or _show
    with TemporaryDirectory(prefix="salver-") as scratch:
        told("writing the model")
        source = Path(model) if isinstance(model, str | Path) else write(model, Path(scratch), sample, classes)
        file = sources.opened(source, Path(scratch))
        live = None if isinstance(model, str | Path) else model
        rows = None if sample is None or is_tensors(sample) else Sample(sample, labels)
        manifest = make(file, live, name, folder := Path(scratch) / name, rows, about, told)
        told("publishing")
        from salver.registry.registry import Registry

        version = Registry(url).publish(folder, by=by, why=why)
    remember(manifest)
    told("")
    return Saved(name, version, manifest.digest, url, manifest)


def make(file: Path, live: Any, name: str, folder: Path, rows: Sample | None, about: About, told: Told) -> Manifest:
    """Write the artifact `folder` of a model's file, whole or not at all; `live` is the model itself, where there is one."""
    with atomic_folder(folder) as made:
        said = {"description": about.description, "tags": about.tags, "metadata": about.metadata}
        if file.suffix.lower() == ".onnx":
            return finish(made, name, graph(file, made), **said)
        original = original_of(file)
        told("reading the model" + (" and the sample" if rows else ""))
        trained, columns, hints = _understood(file, original.trusts, live, rows)
        if rows is not None and columns is not None:
            trained.signature = learnt(trained.signature, columns, rows.switches, about.policies, about.on_unknown)
        told("lowering and proving")
        lowered = lower(trained, made, original, None if columns is None else _some(columns, PROVEN))
        _keep(file, hints, made)
        (made / requirements.FILENAME).write_text(locked(trained, file).text)
        scores: dict[str, float] = {}
        if rows is not None and columns is not None:
            told("profiling the sample")
            scores = _profile(trained, rows, columns, made, about.by_time)
        parts = Parts(trained.signature, trained.framework, lowered.spec, lowered.lowering, lowered.golden)
        return finish(made, name, parts, **said, metrics=scores)


def _understood(file: Path, trusts: tuple[str, ...], live: Any, rows: Sample | None) -> _Understood:
    """The model as its file has it, and the sample as it takes it, so that its answers are those of the training script.

    What the sample tells is used only where the model does not know it: columns that it does not use, text when columns of text
    are involved, whole numbers when the answers differ without. Raises ModelFileError when they differ anyhow.
    """
    if rows is None:
        return read(file, trusts), None, list(read_hints(file).values())
    differing: int | None = 0
    known: dict[str, Column] = {}
    for hints in ({}, rows.hints(exact=False), last := rows.hints(exact=True)):
        try:
            trained = read(file, trusts, hints)
            if not hints:
                known = {column.name: column for column in trained.signature.columns}
            if shown := rows.shown(trained.signature):
                trained = read(file, trusts, hints | shown)
            columns = rows.columns(trained.signature)
        except (ModelFileError, InputError):
            if hints is last:
                raise
            continue
        data, at = rows.few(PROVEN)
        few = {name: array[at] for name, array in columns.items()}
        differing = 0 if live is None or data is None else disagreeing(live, data, trained, few)
        open_text = not hints and any(column.dtype == "string" for column in trained.signature.columns)
        if not differing and not open_text:
            told = hints | shown
            news = [told[c.name] for c in trained.signature.columns if c.name in told and c != known.get(c.name)]
            return trained, columns, news
    raise ModelFileError(
        f"asked by its columns, the model answers {differing} rows of the sample otherwise than when it is given the sample; "
        "it depends on something that rows of plain values do not carry"
    )


def _keep(file: Path, hints: list[Column], folder: Path) -> None:
    """The original stays with what was made of it, so that it can be lowered again and its answers looked up."""
    sources.keep(file, folder / "model")
    if hints:
        write_hints(folder / "model" / file.name, hints)


def _profile(trained: Trained, rows: Sample, columns: Columns, folder: Path, by_time: bool) -> dict[str, float]:
    """Write the reference profile; the metrics, where there are labels."""
    asked = _some(columns, PROFILED)
    parts = [take(asked, slice(start, start + _PART)) for start in range(0, rows_of(asked), _PART)]
    outputs = concatenate([trained.predict(part) for part in parts])
    labels = rows.labels(trained.signature.prediction)
    if labels is not None:
        labels = labels[spread(rows_of(columns), PROFILED)]
    made = profile.profile_of(
        trained.signature,
        columns,
        outputs,
        labels,
        by_time=by_time,
        importance=importance(trained.signature, trained.predict, _some(columns, ROWS)),
        performance=None if labels is None else performance(trained.signature, outputs, labels),
    )
    (folder / profile.FILENAME).write_bytes(msgspec.json.encode(made))
    return {} if labels is None else metrics(trained.signature, outputs, labels)


def _some(columns: Columns, count: int) -> Columns:
    at = spread(rows_of(columns), count)
    return columns if len(at) == rows_of(columns) else {name: array[at] for name, array in columns.items()}


def _plain(metadata: Mapping[str, Any]) -> dict[str, Any]:
    try:
        made: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(dict(metadata)))
    except (TypeError, msgspec.EncodeError, OverflowError) as error:
        raise ConfigError(f"the metadata can't be written as JSON: {error}") from error
    return made


def _show(what: str) -> None:
    """Progress on a terminal, in one line that is gone in the end."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[2K{what} …" if what else "\r\x1b[2K")
        sys.stderr.flush()
