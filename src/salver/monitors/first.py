"""A reference out of the log: the first rows of a version, or a window that somebody promotes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from salver.errors import ConfigError
from salver.log.heads import Origin
from salver.log.joined import joined
from salver.log.signatures import noted_of
from salver.monitors.bins import Coded, spelled
from salver.monitors.calibration import calibrated
from salver.monitors.profile import Profile, column_profile, told_once
from salver.monitors.reading import Reader
from salver.monitors.rows import Rows
from salver.monitors.tally import Tally

ROWS = 100_000
"""The most rows of a reference: more make it no better, windows are smaller."""
_FEWEST = 200


def first_rows(
    tally: Tally, log: Path, origin: Origin, since_us: int, until_us: int, source: str, at_most: int = ROWS
) -> tuple[Profile, int]:
    """The profile of the first rows of an origin from `since_us` on, before `until_us`, and the time before which they came.

    With labels it is calibrated by them, so that accuracy can be estimated later. Raises ConfigError for too few.
    """
    signature = noted_of(log, origin.model, origin.version)
    if signature is None:
        raise ConfigError(f"the log does not have the signature of {origin.model}@{origin.version}")
    reader = Reader(tally.connection, origin.model, origin.version, signature)
    until_us = tally.first(origin, since_us, until_us, at_most)
    relations = tally.relations(origin, tally.starts(origin, since_us, until_us), until_us=until_us)
    parts = list(reader.rows(relations, origin.route, since_us, until_us))
    rows = sum(len(part.ts) for part in parts)
    if rows < _FEWEST:
        raise ConfigError(
            f"{origin.model}@{origin.version} has {rows} {origin.route} rows in that time; a reference needs {_FEWEST}"
        )
    by_time = np.argsort(np.concatenate([part.ts for part in parts]), kind="stable")
    columns = {name: _joined([part.columns[name] for part in parts])[by_time] for name in parts[0].columns}
    outputs = {name: _joined([part.outputs[name] for part in parts])[by_time] for name in parts[0].outputs}
    same = np.concatenate([part.same for part in parts])
    made = Profile(
        rows,
        {name: column_profile(array, by_time=True) for name, array in columns.items()},
        told_once({name: column_profile(array, by_time=True) for name, array in outputs.items()}),
        calibration=_calibration(log, origin, since_us, until_us, signature),
        duplicates=rows - len(np.unique(same)),
        source=source,
    )
    return made, until_us


def _joined(parts: list[NDArray[Any] | Coded]) -> NDArray[Any]:
    if all(isinstance(part, np.ndarray) for part in parts):
        return np.concatenate(parts)  # type: ignore[arg-type]
    made = np.empty(sum(map(len, parts)), dtype=object)
    made[:] = [value for part in parts for value in part.tolist()]
    return made


def _calibration(log: Path, origin: Origin, since_us: int, until_us: int, signature: Any) -> Any:
    classes = signature.prediction.classes
    if classes is None or signature.prediction.is_multilabel:
        return None
    with joined(log, origin.model, signature.prediction.name) as found:
        rows = Rows(found, since_us, until_us, origin.version)
        shares = rows.probabilities(len(classes))
        if shares is None or origin.route not in found.routes or found.values.outputs != 1:
            return None
        predicted, labels = (found.values.places(rows.column(name)[:, 0], classes) for name in ("prediction", "label"))
        of_route = rows.column("route") == found.routes.index(origin.route)
        kept = np.flatnonzero((labels >= 0) & (predicted >= 0) & of_route)[:ROWS]
        own = shares[predicted[kept], kept].astype(np.float64)
    return calibrated([spelled(one) for one in classes], predicted[kept], own, predicted[kept] == labels[kept])
