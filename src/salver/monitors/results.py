"""What the monitor found last, a file a model: what reports, metrics and programs read."""

from __future__ import annotations

import secrets
from collections import defaultdict
from pathlib import Path

import msgspec

from salver.monitors.alarm import Alarm
from salver.monitors.estimate import Estimate
from salver.monitors.judge import Finding

FOLDER = "monitor"
RESULTS = "results"
LAST = "last.json"
_LOOKED = "looked"


class Seen(msgspec.Struct):
    """A window as people and programs see it: findings in the rows that were `counted`, accuracy estimated and, by labels,
    realised."""

    start_us: int
    end_us: int
    rows: int
    counted: int
    findings: list[Finding] = []
    estimated: dict[str, Estimate] = {}
    realised: Estimate | None = None
    labelled: int = 0


class Watched(msgspec.Struct):
    """A model version by one route. `state` says in words what is missing, if anything; `needs_rows` until the next verdict."""

    model: str
    version: int
    route: str
    segment: str
    rows: int
    last_us: int
    state: str
    reference: str
    reference_rows: int
    needs_rows: int
    measure: str
    expected: Estimate | None
    windows: list[Seen]
    alarms: list[Alarm]


def read_results(log: Path) -> list[Watched]:
    """What was found last."""
    made: list[Watched] = []
    for path in sorted((log / FOLDER / RESULTS).glob("*.json")):
        try:
            made += msgspec.json.decode(path.read_bytes(), type=list[Watched])
        except (OSError, msgspec.DecodeError):
            continue
    return made


def read_last(log: Path) -> list[Watched]:
    """What was found last, of each without the windows between its first and its last: all that a list of models needs."""
    try:
        return msgspec.json.decode((log / FOLDER / LAST).read_bytes(), type=list[Watched])
    except (FileNotFoundError, msgspec.DecodeError):
        return []


def looked_us(log: Path) -> int:
    """When somebody looked last, in µs since 1970; 0: never."""
    try:
        return int((log / FOLDER / _LOOKED).read_text() or 0)
    except FileNotFoundError:
        return 0


def write_results(log: Path, found: list[Watched], now_us: int) -> None:
    """What was found now, of each model whole or not at all."""
    folder = log / FOLDER / RESULTS
    folder.mkdir(parents=True, exist_ok=True)
    by_model: defaultdict[str, list[Watched]] = defaultdict(list)
    for one in found:
        by_model[one.model].append(one)
    for model, watched in by_model.items():
        _write(folder / f"{model}.json", msgspec.json.encode(watched))
    _write(log / FOLDER / LAST, msgspec.json.encode([_short(one) for one in found]))
    _write(log / FOLDER / _LOOKED, str(now_us).encode())


def _short(one: Watched) -> Watched:
    first = [msgspec.structs.replace(seen, findings=[]) for seen in one.windows[:-1][:1]]
    return msgspec.structs.replace(one, windows=[*first, *one.windows[-1:]])


def _write(path: Path, data: bytes) -> None:
    writing = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    writing.write_bytes(data)
    writing.replace(path)
