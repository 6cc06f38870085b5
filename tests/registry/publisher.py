"""`python -m tests.registry.publisher URL FOLDER COUNT WHO [STEP]`: publishes and routes, as one of many who do so at once.

Prints one JSON line a step that was done: what it did and what came of it. With STEP, it is killed (SIGKILL) as it is about to
write for the STEP-th time.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from salver.registry.registry import Registry


def die_before(registry: Registry, step: int) -> None:
    """Let the process be killed when the store is asked to write for the `step`-th time."""
    written = 0

    def counted(write: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            nonlocal written
            written += 1
            if written == step:
                os.kill(os.getpid(), signal.SIGKILL)
            return write(*arguments)

        return call

    for name in ("create", "upload"):
        setattr(registry.store, name, counted(getattr(registry.store, name)))


def main(url: str, folder: str, count: str, who: str, step: str = "") -> None:
    registry = Registry(url)
    if step:
        die_before(registry, int(step))
    for turn in range(int(count)):
        version = registry.publish(Path(folder), by=who)
        print(json.dumps({"published": version}), flush=True)
        route = registry.promote(f"iris@{version}", f"{who}-{turn}", by=who, why=f"turn {turn}")
        print(json.dumps({"promoted": version, "alias": f"{who}-{turn}", "number": route.number}), flush=True)
        route = registry.tag(f"iris@{version}", {"made_by": who}, by=who)
        print(json.dumps({"tagged": version, "number": route.number}), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
