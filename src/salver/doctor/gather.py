"""The facts of a setup, as they are right now. Looks, wakes models, and leaves nothing behind."""

from __future__ import annotations

import os
import secrets
import shutil
import ssl
import sys
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from salver.artifact.artifact import open_artifact
from salver.artifact.manifest import SIGNATURE
from salver.artifact.trust import Policy, runs_code
from salver.config import store_folder, trusted_file
from salver.doctor.certificate import days_left
from salver.doctor.facts import Disk, Facts, LogFacts, Place, System, Version
from salver.doctor.waking import wake
from salver.door.audit import FOLDER as AUDIT
from salver.door.keys import FOLDER as KEYS
from salver.door.keys import Keys
from salver.errors import ConfigError, SalverError
from salver.log.secret import FILE as LOG_SECRET
from salver.log.settings import read_settings as read_log_settings
from salver.registry.folder import TEMPORARY
from salver.registry.registry import Registry
from salver.runtimes.environment import stored_lock
from salver.server.entrance import is_loopback
from salver.server.settings import FILE as SETTINGS
from salver.server.settings import Settings

_WEEK = timedelta(days=7)
_DAY_S = 86_400


class Setup(NamedTuple):
    """What would be served, and how: what `salver serve` is told."""

    host: str
    store: str | None
    log: Path | None
    settings: Settings
    policy: Policy


class _Stored(NamedTuple):
    """What the store says."""

    keys: int = 0
    keys_ever: int = 0
    keys_ending: tuple[str, ...] = ()
    versions: tuple[Version, ...] = ()
    unfinished: tuple[str, ...] = ()


def gather(setup: Setup) -> Facts:
    """The facts of a setup. What can't be read at all is one of them."""
    problems: list[str] = []
    store, stored, certificate_days, log = store_folder(setup.store), _Stored(), None, None
    with _noting(problems):
        stored = _stored(Registry(setup.store), setup.policy)
    with _noting(problems):
        certificate_days = _certificate_days(setup.settings)
    with _noting(problems):
        log = _log(setup.log) if setup.log else None
    folders = {"the store": store, "the log": setup.log, "the audit log": store / AUDIT}
    return Facts(
        host=setup.host,
        is_public=not is_loopback(setup.host),
        settings=setup.settings,
        keys=stored.keys,
        keys_ever=stored.keys_ever,
        keys_ending=stored.keys_ending,
        certificate_days=certificate_days,
        pickle=setup.policy.pickle,
        requires_signature=setup.policy.require_signature,
        places=tuple(_places(store, setup)),
        disks=tuple(_disk(what, folder) for what, folder in folders.items() if folder is not None),
        versions=stored.versions,
        log=log,
        system=_system(store),
        unfinished=stored.unfinished,
        left_over=tuple(_left_over(store)),
        problems=tuple(problems),
    )


@contextmanager
def _noting(problems: list[str]) -> Generator[None]:
    try:
        yield
    except SalverError as error:
        problems.append(error.message)


def _stored(registry: Registry, policy: Policy) -> _Stored:
    now = datetime.now(UTC)
    kept = Keys(registry.store).all()
    holding = [one.key for one in kept if not one.revoked and not one.key.is_over(now)]
    return _Stored(
        keys=len(holding),
        keys_ever=len(kept),
        keys_ending=tuple(key.name for key in holding if key.is_over(now + _WEEK)),
        versions=tuple(_versions(registry, policy)),
        unfinished=tuple(f"{name}@{number}" for name in registry.models() for number in registry.unfinished(name)),
    )


def _versions(registry: Registry, policy: Policy) -> Iterator[Version]:
    """The versions that would answer: the default one of each model, and every alias."""
    for name in registry.models():
        route = registry.route(name)
        numbers = {registry.resolve(name)[1], *route.aliases.values()}
        for number in sorted(numbers):
            yield _version(registry, policy, name, number)


def _version(registry: Registry, policy: Policy, name: str, number: int) -> Version:
    called = f"{name}@{number}"
    try:
        folder = registry.fetch(name, number)
        artifact = policy.admit(open_artifact(folder))
        lock = stored_lock(folder)
    except SalverError as error:
        return Version(called, error.code, error.message)
    is_signed, code = (folder / SIGNATURE).is_file(), bool(runs_code(artifact.manifest))
    if lock is not None and not lock.is_here and not _has_uv():
        return Version(called, "package_missing", f"{called} has its own packages, which are not all here", is_signed, code)
    problem = wake(folder)
    return Version(called, "artifact" if problem else "", problem, is_signed, code)


def _has_uv() -> bool:
    return find_spec("uv") is not None or shutil.which("uv") is not None


def _certificate_days(settings: Settings) -> float | None:
    try:
        return days_left(settings.tls.cert, settings.tls.key) if settings.tls.cert else None
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"{settings.tls.cert} and {settings.tls.key} can't be read, or do not belong together") from error


def _log(folder: Path) -> LogFacts:
    settings = read_log_settings(folder)
    size_bytes = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    return LogFacts(size_bytes, settings.limit_bytes(_existing(folder)), find_spec("duckdb") is not None)


def _places(store: Path, setup: Setup) -> Iterator[Place]:
    log = setup.log or store / "log"
    wanted = [
        ("the store", store, False),
        ("models", store / "models", False),
        ("keys", store / KEYS, False),
        ("settings", store / SETTINGS, False),
        ("the cache of lowered models", store / "cache", False),
        ("the list of trusted models", trusted_file(), False),
        ("the log, with everything that was asked", log, True),
        ("the key of the log's hashes", log / LOG_SECRET, True),
        ("the private key of TLS", Path(setup.settings.tls.key) if setup.settings.tls.key else None, True),
    ]
    for what, path, is_secret in wanted:
        if path is not None and path.exists():
            yield Place(what, str(path), path.stat().st_mode, is_secret)


def _disk(what: str, folder: Path) -> Disk:
    at = _existing(folder)
    room = shutil.disk_usage(at)
    probe = at / f".doctor-{secrets.token_hex(4)}"
    problem = ""
    try:
        probe.write_bytes(b"?")
    except OSError as error:
        problem = error.strerror or type(error).__name__
    finally:
        probe.unlink(missing_ok=True)
    return Disk(what, str(folder), room.free, room.total, problem)


def _existing(folder: Path) -> Path:
    """The folder, or the one above it where it would be made."""
    return next(at for at in (folder.absolute(), *folder.absolute().parents) if at.is_dir())


def _system(store: Path) -> System:
    files_limit = None
    if sys.platform != "win32":
        import resource

        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        files_limit = None if hard == resource.RLIM_INFINITY else hard
    backlog = Path("/proc/sys/net/core/somaxconn")
    return System(
        files_limit=files_limit,
        listen_backlog=int(backlog.read_text()) if backlog.exists() else None,
        is_root=sys.platform != "win32" and os.geteuid() == 0,
        clock_ahead_s=_clock_ahead_s(store),
    )


def _clock_ahead_s(store: Path) -> float:
    """How far this clock is ahead of the one that stamps the store's files, which on a network drive is another machine's."""
    probe = _existing(store) / f".doctor-{secrets.token_hex(4)}"
    try:
        probe.write_bytes(b"?")
        return time.time() - probe.stat().st_mtime
    except OSError:  # said elsewhere
        return 0.0
    finally:
        if probe.exists():
            probe.unlink()


def _left_over(store: Path) -> Iterator[str]:
    before = time.time() - _DAY_S
    for folder in ("models", KEYS):
        for file in (store / folder).rglob(f"{TEMPORARY}*"):
            if file.stat().st_mtime < before:
                yield str(file)
