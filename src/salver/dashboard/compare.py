"""Two versions side by side, and which is better as far as anybody can say."""

from __future__ import annotations

import math
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from salver.dashboard.known import Known
from salver.dashboard.live import Live, Pace
from salver.dashboard.messages import Served
from salver.dashboard.overview import Role, roles
from salver.dashboard.turn import TooLong, Turn
from salver.errors import ConfigError
from salver.monitors.accuracy import Group
from salver.monitors.estimate import Estimate, Z
from salver.monitors.replay import Replay
from salver.monitors.results import Watched
from salver.monitors.significance import normal_two_sided
from salver.registry.diff import Change
from salver.types.reference import Reference

REPLAYED = 5000
_REPLAY_S = 120.0
_BIGGER_IS_WORSE = ("mae", "rmse", "mape", "log_loss", "brier")


class Side(NamedTuple):
    """One of the two."""

    version: int
    roles: list[Role]
    saved: dict[str, float]
    group: Group | None
    pace: Pace | None
    tracks: list[Watched]


class Verdict(NamedTuple):
    """`better`: "a", "b" or "" where nobody can say; `difference` is b less a, by `measure`."""

    measure: str
    difference: Estimate
    p: float
    better: str


class Comparison(NamedTuple):
    a: Side
    b: Side
    verdict: Verdict | None
    measures: list[str]
    saved: list[str]
    shadow: dict[str, float] | None
    changes: list[Change]


def comparison(known: Known, live: Live, served: Served, a: int, b: int) -> Comparison:
    """All that is known of both."""
    sides = [_side(known, live, served, version) for version in (a, b)]
    groups = [side.group.metrics if side.group else {} for side in sides]
    measures = [name for name in groups[0] if name in groups[1]]
    manifests = [known.manifest(served.name, version) for version in (a, b)]
    shadow = next((one for one in served.followed.get("shadows", ()) if one["version"] in (a, b) and one.get("rows")), None)
    differs = known.registry.diff(served.name, a, b) if all(manifests) else []
    return Comparison(
        sides[0],
        sides[1],
        verdict(groups[0], groups[1]),
        measures,
        list(dict.fromkeys([*sides[0].saved, *sides[1].saved])),
        shadow,
        [one for one in differs if not one.what.startswith(("metrics.", "files.", "digest", "created", "size_bytes"))],
    )


def verdict(a: dict[str, Estimate], b: dict[str, Estimate]) -> Verdict | None:
    """Of two samples of different rows: the difference, its interval, and the two-sided p of the normal approximation."""
    measure = next((name for name in ("exact_match", "accuracy", "mae", "rmse") if name in a and name in b), "")
    if not measure:
        return None
    one, other = a[measure], b[measure]
    spread = math.hypot(one.high - one.low, other.high - other.low) / (2 * Z)
    gain = other.value - one.value
    p = normal_two_sided(gain / spread) if spread else float(gain == 0)
    sign = -1 if measure in _BIGGER_IS_WORSE else 1
    better = "" if p >= 0.05 else "b" if sign * gain > 0 else "a"
    return Verdict(measure, Estimate(gain, gain - Z * spread, gain + Z * spread), p, better)


def proposed(served: Served, versions: Sequence[int], query_a: str, query_b: str) -> tuple[int, int] | None:
    """Which two: those that were asked for, else the champion beside its canary, its shadow or the newest other."""
    in_force = [role.version for role in roles(served)]
    a = int(query_a) if query_a.isdecimal() else (in_force or [0])[0]
    others = [version for version in [*in_force, *sorted(versions, reverse=True)] if version != a]
    b = int(query_b) if query_b.isdecimal() else (others or [0])[0]
    return (a, b) if a in versions and b in versions and a != b else None


def _side(known: Known, live: Live, served: Served, version: int) -> Side:
    manifest, measured = known.manifest(served.name, version), known.measured(served.name)
    groups = measured[0].groups if measured else []
    return Side(
        version,
        [role for role in roles(served) if role.version == version],
        dict(manifest.metrics) if manifest else {},
        next((group for group in groups if group.of.get("version") == str(version)), None),
        live.pace(key for key in live.keys(served.name) if key[1] == version),
        [one for one in known.watched(served.name) if one.version == version and not one.segment],
    )


def replayed(log: Path, store: str, model: str, a: int, b: int, turn: Turn) -> Replay:
    """What `b` says to what `a` was asked: `salver replay`, in a process of its own. Raises ConfigError, TooLong."""
    command = [sys.executable, "-m", "salver", "replay", str(Reference(model, b)), "--against", str(a), "--rows", str(REPLAYED)]
    process = subprocess.Popen(
        [*command, "--json", "--log", str(log), "--store", store],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    until_s = time.monotonic() + _REPLAY_S
    while True:
        try:
            said, failed = process.communicate(timeout=0.2)
            break
        except subprocess.TimeoutExpired:
            if turn.ended or time.monotonic() > until_s:
                process.kill()
                process.communicate()
                raise TooLong("replaying took too long; `salver replay` on the command line takes its time") from None
    if process.returncode:
        *_, why = failed.decode(errors="replace").strip().splitlines() or ["it could not be replayed"]
        raise ConfigError(why.removeprefix("salver: "))
    return msgspec.json.decode(said, type=Replay)
