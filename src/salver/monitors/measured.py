"""The accuracy of every model as it was last measured, for metrics: `python -m salver.monitors.measured LOG` measures it now.

`measured/MODEL.json` in the log has that of the last seven days by version. Any process may measure and any may read.
"""

from __future__ import annotations

import os
import secrets
import sys
import time
from pathlib import Path

import msgspec

from salver.errors import SalverError
from salver.log.table import LABELLED, Table
from salver.monitors.accuracy import Accuracy, Question, accuracy

FOLDER = "measured"
SPAN_US = 7 * 86_400_000_000
FRESH_S = 300.0
"""What is younger is not measured again: another process was there first."""


def measure(log: Path) -> list[str]:
    """Measure the models that have labels, but those that were just measured; which ones that were."""
    done: list[str] = []
    for model in _labelled(log):
        path = log / FOLDER / f"{model}.json"
        if path.is_file() and time.time() - path.stat().st_mtime < FRESH_S:
            continue
        try:
            found = accuracy(log, model, Question(by=["version"], since_us=time.time_ns() // 1000 - SPAN_US))
        except SalverError:
            continue  # labels of a model that has no predictions, or none that can be measured
        path.parent.mkdir(parents=True, exist_ok=True)
        writing = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        writing.write_bytes(msgspec.json.encode(found))
        writing.replace(path)
        done.append(model)
    return done


def read_measured(log: Path) -> list[Accuracy]:
    """What was measured last, of each model."""
    found: list[Accuracy] = []
    for path in sorted((log / FOLDER).glob("*.json")):
        try:
            found.append(msgspec.json.decode(path.read_bytes(), type=Accuracy))
        except (OSError, msgspec.DecodeError):
            continue
    return found


def _labelled(log: Path) -> list[str]:
    from salver.log.view import Log

    if not Table(log, LABELLED).folder.is_dir():
        return []
    return [row[0] for row in Log(log).sql("select distinct model from labels order by 1").rows()]


def main() -> int:
    os.nice(10)  # predictions come first
    print(*measure(Path(sys.argv[1])))
    return 0


if __name__ == "__main__":
    sys.exit(main())
