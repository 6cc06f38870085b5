"""Trying a version in a process of its own, before the serving one touches it: `python -m salver.engine.trying`.

What hangs, crashes or wants more memory than there is does so there. The process fetches the version, audits it, lets the
policy judge it, wakes it, has it answer its golden rows and then rows that were asked lately, and says how far it is.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from salver.artifact.artifact import open_artifact
from salver.artifact.trust import Policy
from salver.engine.model import Model
from salver.errors import InputError, SalverError, StoreError
from salver.log.tail import last
from salver.registry.registry import Registry

WARM_ROWS = 64
_LOOKED_AT = 2000
_SPELLED = {"Infinity": float("inf"), "-Infinity": float("-inf")}


class Order(msgspec.Struct):
    """What is to be tried, and within which bounds."""

    store: str
    name: str
    version: int
    pickle: str
    require_signature: bool
    public_key: str | None
    log: str | None
    memory_bytes: int


class Said(msgspec.Struct, omit_defaults=True):
    """What the process says: a step that is done, or how it ended."""

    step: str = ""
    passed: bool = False
    failed: str = ""
    passing: bool = False  # what failed may pass: the store could not be reached
    folder: str = ""
    rows: list[Any] = []  # recent inputs that it answered, for warming


def awake(order: Order) -> Iterator[tuple[str, Model | None]]:
    """Fetch, audit, admit and wake; yields each step that is done, and the model with the last. Raises SalverError."""
    registry = Registry(order.store)
    folder = registry.fetch(order.name, order.version)
    yield "fetched", None
    artifact = open_artifact(folder)
    public_key = Path(order.public_key) if order.public_key else None
    Policy(order.pickle, order.require_signature, public_key).admit(artifact)  # type: ignore[arg-type]
    if artifact.manifest.runtime.kind == "native":
        from salver.runtimes.environment import host_command

        host_command(folder)  # its environment is made here, which may take as long as a download
    yield "verified", None
    yield "awake", Model(artifact, order.version)


def recent_rows(log: Path, model: Model) -> list[Any]:
    """Inputs that were asked of any version of the model lately and that fit this one, as a client would send them."""
    fitting: list[Any] = []
    for record in reversed(last(log, _LOOKED_AT)):
        if record.model == model.name and isinstance(record.inputs, dict) and len(fitting) < WARM_ROWS:
            row = {
                name: _SPELLED.get(value, value) if isinstance(value, str) else value for name, value in record.inputs.items()
            }
            try:
                model.checker.check(row)
            except InputError:  # columns that the log leaves out or hides
                continue
            fitting.append(row)
    return fitting


def answer(model: Model, rows: list[Any]) -> None:
    """Have it answer rows, one by one and together. Raises whatever it raises."""
    checked = [model.checker.check(row) for row in rows]
    for row in checked[:8]:
        model.predict_rows([row])
    if checked:
        model.predict_rows(checked)


def limit_memory(more_bytes: int) -> None:
    """Let this process take that much more memory than it has now, and be the first to go when the machine has none left."""
    import resource

    has_bytes = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    resource.setrlimit(resource.RLIMIT_AS, (has_bytes + more_bytes, hard))


def end_with_parent() -> None:
    """End when whoever started this process has: its end of our standard input is then closed."""

    def wait() -> None:
        while os.read(0, 4096):
            pass
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def _say(said: Said) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(said) + b"\n")
    sys.stdout.buffer.flush()


def _try(order: Order) -> Said:
    model: Model | None = None
    try:
        for step, model in awake(order):  # noqa: B007
            _say(Said(step))
    except StoreError as error:
        return Said(failed=error.message, passing=True)
    except SalverError as error:
        return Said(failed=error.message)
    except MemoryError:
        return Said(failed=f"it wants more memory than it may have ({order.memory_bytes >> 20} MiB beyond what a server has)")
    except Exception as error:  # its runtime's own, of whatever kind
        return Said(failed=f"waking it raised {type(error).__name__}: {str(error)[:300]}")
    assert model is not None
    rows = recent_rows(Path(order.log), model) if order.log else []
    try:
        answer(model, rows or model.artifact.golden.rows)
    except Exception as error:
        return Said(failed=f"it raised {type(error).__name__} on rows that were asked lately")
    finally:
        model.close()
    return Said(passed=True, folder=str(model.artifact.folder), rows=rows)


def main() -> int:
    order = msgspec.json.decode(sys.stdin.buffer.readline(), type=Order)
    end_with_parent()
    if sys.platform == "linux" and order.memory_bytes:
        limit_memory(order.memory_bytes)
    _say(Said("started"))
    said = _try(order)
    _say(said)
    return 0 if said.passed else 1


if __name__ == "__main__":
    os._exit(main())  # threads of a runtime that hangs need not be waited for
