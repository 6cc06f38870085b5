"""A job on a Ray cluster, by Ray Data: it hands out the numbers of parts, and starts a worker again that died.

A part is committed by whoever does it in the folder that all share, so one that is done twice, because its worker died late, is
there once.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Generator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

from salver.artifact.trust import Policy
from salver.batch.job import Begun
from salver.batch.part import Told, Worker
from salver.batch.plan import Part
from salver.errors import ConfigError, SalverError


def _scoring(begun: Begun, work: Path, artifact: Path, policy: Policy, log: Path | None) -> type:
    """A class of which Ray makes one a worker, to ask it for one part at a time. What it needs goes with the class itself:
    arguments of a constructor may be gone when a worker is started again."""

    class Scoring:
        def __init__(self) -> None:
            self._worker = Worker(begun, work, artifact, policy, log)

        def __call__(self, batch: dict[str, Any]) -> dict[str, list[Any]]:
            done = [_done(self._worker, begun.plan.parts[int(number)]) for number in batch["item"]]
            return {name: [one[name] for one in done] for name in ("rows", "bad", "code", "message")}

    return Scoring


def _done(worker: Worker, part: Part) -> dict[str, Any]:
    """What came of a part. An error is told, not raised: Ray would do the part again, and it would fail again."""
    try:
        done = worker.do(part, lambda rows, bad: None)
        return {"rows": done.rows, "bad": sum(done.bad.values()), "code": "", "message": ""}
    except SalverError as error:
        return {"rows": 0, "bad": 0, "code": error.code, "message": error.message}


def do(
    parts: list[Part],
    arguments: tuple[Begun, Path, Path, Policy, Path | None],
    address: str | None,
    workers: int | None,
    told: Told,
) -> None:
    """Do these parts on the cluster at `address` (None: a local one, for this job). Raises ConfigError or a part's error."""
    with redirect_stdout(sys.stderr), _cluster(address) as ray:  # Ray tells of workers where the answers may go
        count = max(1, min(len(parts), workers or int(ray.cluster_resources().get("CPU", 1))))
        numbers = ray.data.from_items([part.number for part in parts], override_num_blocks=len(parts))
        # Ray Data starts a worker again that died, and asks it for the part again.
        pool = ray.data.ActorPoolStrategy(size=count)
        scored = numbers.map_batches(_scoring(*arguments), batch_size=1, compute=pool, num_cpus=1)
        for one in scored.iter_rows():
            if one["code"]:
                raise SalverError(one["message"], code=one["code"])
            told(one["rows"], one["bad"])


@contextmanager
def _cluster(address: str | None) -> Generator[Any]:
    """Ray, connected; disconnected afterwards unless it was connected before."""
    try:
        import ray
        import ray.data
    except ImportError:
        raise ConfigError("--engine ray needs Ray: pip install 'salver[ray]'") from None
    mine = not ray.is_initialized()
    if mine:
        ray.init(address=address, include_dashboard=False, configure_logging=False, log_to_driver=False)
    logging.getLogger("ray.data").setLevel(logging.WARNING)
    ray.data.DataContext.get_current().enable_progress_bars = False
    try:
        yield ray
    finally:
        if mine:
            ray.shutdown()
