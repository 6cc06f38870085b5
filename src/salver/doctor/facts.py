"""What is known of a setup: plain facts, without a judgement. Gathered by `salver.doctor.gather`."""

from __future__ import annotations

import msgspec

from salver.server.settings import Settings


class Place(msgspec.Struct, frozen=True):
    """A file or a folder, as the system has it. `mode` is 0 where it is not there."""

    what: str
    path: str
    mode: int = 0
    is_secret: bool = False  # nobody else should read it

    @property
    def is_there(self) -> bool:
        return self.mode != 0


class Disk(msgspec.Struct, frozen=True):
    """Where something is written, and what room there is, in bytes."""

    what: str
    path: str
    free_bytes: int
    total_bytes: int
    problem: str = ""  # why it can't be written


class Version(msgspec.Struct, frozen=True):
    """A version that would be served: how it fares, by an error's code."""

    name: str
    code: str = ""
    problem: str = ""
    is_signed: bool = False
    runs_code: bool = False


class LogFacts(msgspec.Struct, frozen=True):
    """The log: how large it is, and how large it may become."""

    size_bytes: int = 0
    limit_bytes: int = 0
    has_duckdb: bool = True


class System(msgspec.Struct, frozen=True):
    """The machine. None: it can't be told here."""

    files_limit: int | None = None  # open files, at most
    listen_backlog: int | None = None  # net.core.somaxconn
    is_root: bool = False
    clock_ahead_s: float = 0.0  # of the newest thing in the store's own time
    can_make_environments: bool = True


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """All of it."""

    host: str = "127.0.0.1"
    is_public: bool = False
    settings: Settings = Settings()
    keys: int = 0  # that hold
    keys_ever: int = 0
    keys_ending: tuple[str, ...] = ()  # within a week
    certificate_days: float | None = None  # until it ends
    pickle: str = "listed"
    requires_signature: bool = False
    places: tuple[Place, ...] = ()
    disks: tuple[Disk, ...] = ()
    versions: tuple[Version, ...] = ()
    log: LogFacts | None = None  # None: nothing is logged
    system: System = System()
    unfinished: tuple[str, ...] = ()  # versions whose publishing was never finished
    left_over: tuple[str, ...] = ()  # files of writers that were killed
    problems: tuple[str, ...] = ()  # what could not be read at all
