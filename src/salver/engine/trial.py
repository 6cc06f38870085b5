"""The serving process's end of a trial (`engine/trying.py`): started, bounded in time and memory, its outcome read."""

from __future__ import annotations

import asyncio
import signal
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from salver.artifact.trust import Policy
from salver.engine.background import end, lines_of, start_aside
from salver.engine.trying import Order, Said
from salver.errors import ArtifactError, SalverError, StoreError
from salver.runtimes.limits import number_of

_SAID_BYTES = 16 * 2**20
_TAIL = 300
_START_S = 60.0
_PATIENCE = 10


class TrialLimits(NamedTuple):
    """`step_s` for each step (fetching, verifying, waking, answering); memory beyond what a bare process has. 0 is no limit."""

    step_s: float = 120.0
    memory_bytes: int = 0


def trial_limits() -> TrialLimits:
    """From SALVER_TRIAL_TIMEOUT_S and SALVER_TRIAL_MEMORY_BYTES, else what the machine has to give. Raises ConfigError."""
    return TrialLimits(
        number_of("SALVER_TRIAL_TIMEOUT_S", TrialLimits().step_s),
        int(number_of("SALVER_TRIAL_MEMORY_BYTES", _available_bytes() * 0.8)),
    )


class Passed(NamedTuple):
    """A version that may be loaded: where it lies, and recent rows that it answered."""

    folder: Path
    rows: list[Any]


def order_of(store: str, name: str, version: int, policy: Policy, log: Path | None, memory_bytes: int = 0) -> Order:
    """What another process needs to wake a version."""
    key = str(policy.public_key) if policy.public_key else None
    return Order(store, name, version, policy.pickle, policy.require_signature, key, str(log) if log else None, memory_bytes)


async def attempt(
    store: str, name: str, version: int, policy: Policy, log: Path | None, limits: TrialLimits | None = None
) -> Passed:
    """Try a version. Raises ArtifactError, which says why it must not serve, or StoreError when that may pass."""
    limits = limits or trial_limits()
    order = order_of(store, name, version, policy, log, limits.memory_bytes)
    process = await start_aside("salver.engine.trying")
    assert process.stdin and process.stdout and process.stderr
    code = 0
    said = asyncio.ensure_future((await lines_of(process.stderr)).read())
    try:
        process.stdin.write(msgspec.json.encode(order) + b"\n")
        process.stdin.flush()
        outcome = await _outcome(await lines_of(process.stdout, _SAID_BYTES), process.pid, limits.step_s)
    finally:
        code = await end(process)
    if isinstance(outcome, str):
        raise ArtifactError(f"{outcome}{_how(code, (await said).decode(errors='replace'))}")
    if outcome.passed:
        return Passed(Path(outcome.folder), outcome.rows)
    raise StoreError(outcome.failed) if outcome.passing else ArtifactError(outcome.failed)


async def _outcome(lines: asyncio.StreamReader, pid: int, step_s: float) -> Said | str:
    """How it ended; a text when it said nothing of that."""
    doing = "starting"
    next_of = {"started": "being fetched", "fetched": "being verified", "verified": "being woken", "awake": "answering rows"}
    while True:
        # Importing is not the version's doing.
        line = await _line(lines, pid, max(step_s, _START_S) if step_s and doing == "starting" else step_s)
        if line is None:
            return f"it hung while {doing}: {step_s:g} s were not enough; its process was ended"
        if not line:
            return f"its process ended while {doing}"
        try:
            said = msgspec.json.decode(line, type=Said)
        except msgspec.DecodeError:
            continue  # what the model's library prints
        if not said.step:
            return said
        doing = next_of[said.step]


async def _line(lines: asyncio.StreamReader, pid: int, step_s: float) -> bytes | None:
    """What it says next; nothing when it has ended, None when it takes too long. Time in which it only waits for a processor,
    which everybody else gets first, does not count, up to ten times as much."""
    reading = asyncio.ensure_future(lines.readline())
    for _ in range(_PATIENCE if step_s else 1):
        done, _pending = await asyncio.wait({reading}, timeout=step_s or None)
        if done:
            return reading.result()
        if not _waits_for_processor(pid):
            break
    reading.cancel()
    return None


def _waits_for_processor(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "R"
    except (OSError, IndexError):
        return False


def _how(code: int, said: str) -> str:
    how = f" ({signal.Signals(-code).name})" if code < 0 and code != -signal.SIGKILL else ""
    text = " ".join(said.split())[-_TAIL:]
    return how + (f"; it said: {text}" if text else "")


def _available_bytes() -> int:
    """Memory that the machine, or the container, has left. 0 where it does not say."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        available = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration):
        return 0
    with suppress(OSError, ValueError):
        group = Path("/sys/fs/cgroup")
        left = int((group / "memory.max").read_text()) - int((group / "memory.current").read_text())
        available = max(0, min(available, left))
    return available


def refusal(error: Exception) -> str:
    """What an error says, for the log and for GET /models/NAME."""
    return error.message if isinstance(error, SalverError) else f"{type(error).__name__}: {error}"
