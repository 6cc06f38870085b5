"""A job from beginning to end: opened or resumed, done part by part, put in its place, put in the log, forgotten."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import msgspec

from salver.artifact.artifact import read_manifest
from salver.artifact.trust import Policy
from salver.batch import local, on_ray
from salver.batch.job import Begun, Done, Job, Manifest, Result
from salver.batch.logged import put_in_log
from salver.batch.part import Worker
from salver.batch.plan import Format, planned
from salver.batch.progress import Meter, Progress
from salver.batch.source import source_of
from salver.batch.target import Target, target_of
from salver.batch.work import Work, unlike
from salver.config import store_folder
from salver.errors import ConfigError
from salver.registry.registry import Registry
from salver.types.reference import Reference

Engine = Literal["local", "ray"]
_POLICY = Policy()


class Options(msgspec.Struct, frozen=True):
    """How a job is done; what each means: docs/batch.md."""

    query: str | None = None
    input_format: Format | None = None
    output_format: Format | None = None
    keep: tuple[str, ...] | None = None
    columns: tuple[str, ...] = ()
    key: str | None = None
    bad_rows: str | None = None
    overwrite: bool = False
    workers: int | None = None
    engine: Engine = "local"
    address: str | None = None


def batch(
    reference: str,
    input: str | Path,
    output: str | Path,
    *,
    store: str | Path | None = None,
    log: bool | str | Path = True,
    keep: Sequence[str] | None = None,
    columns: Sequence[str] = (),
    key: str | None = None,
    bad_rows: str | Path | None = None,
    query: str | None = None,
    input_format: Format | None = None,
    output_format: Format | None = None,
    overwrite: bool = False,
    workers: int | None = None,
    engine: Engine = "local",
    address: str | None = None,
    policy: Policy = _POLICY,
    progress: Callable[[Progress], None] | None = None,
) -> Result:
    """Score a table: every row of `input` with its prediction in `output`, each exactly once, however often this is killed.

    Run again, a job that was cut short goes on, and one that is finished does nothing. Raises InputError for a row that does
    not fit (unless `bad_rows` names a file for them), ConfigError when the output is of another job, and what registries raise.
    """
    options = Options(
        query, input_format, output_format, None if keep is None else tuple(keep), tuple(columns), key,
        None if bad_rows is None else str(Path(bad_rows).expanduser().absolute()), overwrite, workers, engine, address,
    )  # fmt: skip
    folder = store_folder(None if store is None else str(store))
    where = None if log is False else folder / "log" if log is True else Path(log).expanduser()
    job = _Run(Registry(store), reference, options, policy, where, progress or (lambda made: None))
    return job.run(str(input), target_of(str(output), output_format, folder))


class _Run:
    """One run of a job."""

    def __init__(
        self,
        registry: Registry,
        reference: str,
        options: Options,
        policy: Policy,
        log: Path | None,
        progress: Callable[[Progress], None],
    ) -> None:
        self._options = options
        self._policy = policy
        self._log = log
        self._progress = progress
        self._name, self._version = registry.resolve(Reference.parse(reference))
        self._artifact = registry.fetch(self._name, self._version)
        self._model = read_manifest(self._artifact)

    def run(self, given: str, target: Target) -> Result:
        work = Work(target.work)
        with work.mine():
            try:
                return self._run(given, target, work)
            except BaseException:
                if not work.done() or target.name == "-":  # nothing to go on from
                    work.remove()
                raise

    def _run(self, given: str, target: Target, work: Work) -> Result:
        started_s = time.monotonic()
        begun = self._opened(given, target, work)
        if isinstance(begun, Manifest):
            work.remove()
            return self._result(begun, started_s, ran=False, resumed=0, before=0)
        before = work.done()
        self._do(begun, work, before)
        done = work.done()
        rows = sum(one.rows for one in done.values())
        manifest = Manifest(begun.job, begun.ts, time.time_ns() // 1000, rows, _summed(done), len(done))
        self._place(manifest, target, work)
        earlier = sum(one.rows for one in before.values())
        return self._result(manifest, started_s, ran=True, resumed=len(before), before=earlier)

    def _opened(self, given: str, target: Target, work: Work) -> Begun | Manifest:
        """The job, begun now or earlier; its manifest when it is finished. Raises ConfigError when another is in the way."""
        options, known = self._options, work.begun
        if known is not None and options.overwrite:
            work.clear()
            known = None
        source = source_of(given, options.query, options.input_format, work, begun=known is not None)
        job = Job(
            self._name, self._version, self._model.digest, source.name, source.fingerprint, target.name, target.format,
            options.keep, options.columns, options.key, options.bad_rows,
        )  # fmt: skip
        if known is not None:
            if known.job == job:
                return known
            # A job that a bad row ended goes on when there is a place for bad rows.
            if known.job.bad_rows is None and msgspec.structs.replace(known.job, bad_rows=job.bad_rows) == job:
                known = msgspec.structs.replace(known, job=job)
                work.begin(known)
                return known
            if work.done():
                raise unlike(known.job, job, work.folder)
            work.clear()
        found = target.manifest()
        if not options.overwrite:
            if found is not None and found.job == job:
                return found
            if found is not None:
                raise unlike(found.job, job, target.name)
            if target.taken():
                raise ConfigError(f"{target.name} is there already, and no job of Salver's made it; --overwrite replaces it")
        begun = Begun(job, planned(source.files), time.time_ns() // 1000)
        work.begin(begun)
        return begun

    def _do(self, begun: Begun, work: Work, before: dict[int, Done]) -> None:
        parts = [part for part in begun.plan.parts if part.number not in before]
        rows, bad = sum(one.rows for one in before.values()), sum(sum(one.bad.values()) for one in before.values())
        meter = Meter(rows, bad, begun.plan.rows, time.monotonic)
        options, log = self._options, self._log
        if not parts:
            return
        if options.engine == "ray":

            def told(rows: int, bad: int) -> None:
                meter.add(rows, bad)
                self._progress(meter.now())

            arguments = (begun, work.folder.absolute(), self._artifact.absolute(), self._policy, log and log.absolute())
            on_ray.do(parts, arguments, options.address, options.workers, told)
            return

        def worker() -> Worker:
            return Worker(begun, work.folder, self._artifact, self._policy, log)

        local.do(parts, worker, options.workers or _cores(), meter.add, lambda: self._progress(meter.now()))

    def _place(self, manifest: Manifest, target: Target, work: Work) -> None:
        """The bad rows first, then the output at once, then the log; killed in between, the next run goes on from there."""
        if manifest.job.bad_rows is not None:
            _gather(work, Path(manifest.job.bad_rows))
        copies = sorted((work.folder / "copy").glob("*"))
        files = target.place(work, manifest)
        if self._log is not None:
            put_in_log(self._log, manifest, self._model, [] if copies else files, work)
        work.remove()

    def _result(self, manifest: Manifest, started_s: float, *, ran: bool, resumed: int, before: int) -> Result:
        seconds = time.monotonic() - started_s
        rate = (manifest.rows - before) / seconds if ran else 0.0
        job = manifest.job
        return Result(
            job.model, job.version, job.output, manifest.rows, manifest.bad, manifest.parts, seconds, rate, ran, resumed
        )


def _summed(done: dict[int, Done]) -> dict[str, int]:
    made: dict[str, int] = {}
    for one in done.values():
        for code, count in one.bad.items():
            made[code] = made.get(code, 0) + count
    return made


def _gather(work: Work, path: Path) -> None:
    """The bad rows of all parts in one file; where there is none, no file."""
    found = sorted((work.folder / "bad").glob("*.jsonl"))
    if not found:
        path.unlink(missing_ok=True)
        return
    writing = path.with_name(f".{path.name}.{os.getpid()}")
    with writing.open("wb") as whole:
        for part in found:
            with part.open("rb") as file:
                shutil.copyfileobj(file, whole)
        whole.flush()
        os.fsync(whole.fileno())
    writing.replace(path)


def _cores() -> int:
    """Those that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
