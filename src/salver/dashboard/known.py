"""What monitors and the registry know, read from their files and kept while those are as they were.

All of it is what the commands say too: results are those of `salver report`, accuracy is that of `/metrics`, routes and
manifests are the registry's.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from salver.artifact.manifest import Manifest
from salver.errors import SalverError
from salver.monitors.accuracy import Accuracy
from salver.monitors.measured import FOLDER as MEASURED
from salver.monitors.profile import Profile
from salver.monitors.results import FOLDER, LAST, RESULTS, Watched, looked_us
from salver.monitors.store import Store, Track
from salver.monitors.window import Window
from salver.registry.layout import Claim
from salver.registry.registry import Registry
from salver.registry.route import Route

_Made = TypeVar("_Made")
HOUR_US = 3600 * 1_000_000
SLICE_US = HOUR_US // 12  # as long as slices are, if not set otherwise
_LOOK_S = 1.0
_FILES_BYTES = 16 * 2**20
"""Of files that are kept decoded: so many, which take several times that in memory."""


class Known:
    """Of one log and one store. Any thread may ask."""

    def __init__(self, log: Path | None, store: str) -> None:
        self.log = log
        self._url = store
        self._registry: Registry | None = None
        self._files: dict[Path, tuple[tuple[int, int], Any]] = {}
        self._files_lock = threading.Lock()
        self._kept: dict[Hashable, tuple[float, Any]] = {}
        self._locks: dict[Hashable, threading.Lock] = {}
        self._histories: dict[str, list[Route]] = {}

    # What the monitor found

    def watched(self, model: str) -> list[Watched]:
        """What the monitor found last of a model; empty where it has not looked."""
        if self.log is None:
            return []
        found = self._file(self.log / FOLDER / RESULTS / f"{model}.json", _decode_watched)
        return found[0] if found else []

    def briefly(self, model: str) -> list[Watched]:
        """As `watched`, of each with its first and its last window only: all that a list of many models needs."""
        found = self._file(self.log / FOLDER / LAST, _by_model) if self.log else None
        return found[0].get(model, []) if found else []

    def looked_us(self) -> int:
        """When the monitor looked last, in µs since 1970; 0 for never."""
        return looked_us(self.log) if self.log else 0

    def measured(self, model: str) -> tuple[Accuracy, float] | None:
        """The accuracy by version of the last seven days, and when it was measured."""
        if self.log is None:
            return None
        return self._file(self.log / MEASURED / f"{model}.json", _decode_accuracy)

    def rows_since(self, track: Track, since_us: int) -> dict[int, int]:
        """The rows of each slice of five minutes, by its start."""
        return self.kept(
            ("rows", track, since_us // 60_000_000), 60.0, lambda: self._store(lambda of: of.rows(track, since_us), {})
        )

    def hours(self, since_us: int, count: int) -> dict[str, list[int]]:
        """By model, the predictions that were answered in each of `count` hours from a time on."""

        def add(of: Store) -> dict[str, list[int]]:
            made: defaultdict[str, list[int]] = defaultdict(lambda: [0] * count)
            for model, hour, rows in of.answered(since_us, HOUR_US):
                made[model][min(hour, count - 1)] += rows
            return dict(made)

        return self.kept(("hours", since_us, count), 60.0, lambda: self._store(add, {}))

    def window(self, track: Track, start_us: int) -> Window | None:
        """The counts of a window that was judged."""
        return self.kept(("window", track, start_us), 300.0, lambda: self._store(lambda of: of.window(track, start_us), None))

    def reference(self, model: str, version: int) -> Profile | None:
        """What the windows of a version are compared with."""

        def read(of: Store) -> Profile | None:
            found = of.reference(model, version)
            return None if found is None else found.profile

        return self.kept(("reference", model, version), 60.0, lambda: self._store(read, None))

    def _store(self, read: Callable[[Store], _Made], otherwise: _Made) -> _Made:
        if self.log is None or not (self.log / FOLDER).is_dir():
            return otherwise
        store = Store(self.log)
        try:
            return read(store)
        finally:
            store.close()

    # What the registry has

    @property
    def registry(self) -> Registry:
        if self._registry is None:
            self._registry = Registry(self._url)
        return self._registry

    def history(self, model: str, now: bool = False) -> list[Route]:
        """Every route of a model, the latest last; empty for one that has none, or while the store can't be reached.

        `now`: as it is this very moment, for whoever is about to change it, or just has.
        """
        return self._history(model) if now else self.kept(("history", model), _LOOK_S, lambda: self._history(model))

    def _history(self, model: str) -> list[Route]:
        known = self._histories.get(model, [])
        try:
            if not known or self.registry.newer(model, known[-1]).number != known[-1].number:
                known = self._histories[model] = self.registry.history(model)
        except SalverError:
            pass  # what was known goes on to hold
        return known

    def versions(self, model: str) -> list[int]:
        return self.kept(("versions", model), 5.0, lambda: self._asked(lambda: self.registry.versions(model), []))

    def manifest(self, model: str, version: int) -> Manifest | None:
        """What a version says of itself; it never changes."""
        return self.kept(
            ("manifest", model, version), 3600.0, lambda: self._asked(lambda: self.registry.manifest(model, version), None)
        )

    def claim(self, model: str, version: int) -> Claim | None:
        """Who published a version, and when."""
        return self.kept(
            ("claim", model, version), 3600.0, lambda: self._asked(lambda: self.registry.claim(model, version), None)
        )

    def _asked(self, ask: Callable[[], _Made], otherwise: _Made) -> _Made:
        try:
            return ask()
        except SalverError:  # not out of the registry, or it can't be reached: the page says what there is without it
            return otherwise

    # Keeping

    def kept(self, key: Hashable, for_s: float, make: Callable[[], _Made]) -> _Made:
        """What `make` made, at most `for_s` ago. Whoever asks for the same meanwhile waits for it."""
        with self._locks.setdefault(key, threading.Lock()):
            known = self._kept.get(key)
            if known is not None and known[0] > time.monotonic():
                return known[1]
            made = make()
            self._kept[key] = (time.monotonic() + for_s, made)
        if len(self._kept) > 20_000:
            self._forget()
        return made

    def _forget(self) -> None:
        now = time.monotonic()
        for key, (until, _) in list(self._kept.items()):
            if until < now:
                self._kept.pop(key, None)
                self._locks.pop(key, None)

    def _file(self, path: Path, decode: Callable[[bytes], _Made]) -> tuple[_Made, float] | None:
        """What a file holds, and when it was written (s since 1970); None where there is none."""
        try:
            stat = path.stat()
            stamp, known = (stat.st_mtime_ns, stat.st_size), self._files.get(path)
            if known is not None and known[0] == stamp:
                return known[1], stat.st_mtime
            known = (stamp, decode(path.read_bytes()))
        except (FileNotFoundError, msgspec.DecodeError):  # what another release wrote holds nothing until it is made anew
            return None
        with self._files_lock:
            self._files.pop(path, None)
            self._files[path] = known
            while len(self._files) > 1 and sum(size for (_, size), _ in self._files.values()) > _FILES_BYTES:
                del self._files[next(iter(self._files))]
        return known[1], stat.st_mtime


_decode_watched = msgspec.json.Decoder(list[Watched]).decode
_decode_accuracy = msgspec.json.Decoder(Accuracy).decode


def _by_model(data: bytes) -> dict[str, list[Watched]]:
    made: defaultdict[str, list[Watched]] = defaultdict(list)
    for one in _decode_watched(data):
        made[one.model].append(one)
    return dict(made)
