"""From facts to findings. Pure: each rule looks at the facts and yields what it finds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Literal, NamedTuple

import msgspec

from salver.doctor.facts import Facts

Severity = Literal["danger", "warning", "note"]
ORDER: tuple[Severity, ...] = ("danger", "warning", "note")

BACKLOG = 2048
_SPARE_FILES = 256
_GB = 10**9


class Kind(NamedTuple):
    """A kind of finding: how bad it is, and why it matters."""

    severity: Severity
    why: str


KINDS: dict[str, Kind] = {
    "unreadable": Kind("danger", "A server would not start, or would serve less than you think."),
    "public_without_keys": Kind("danger", "Whoever reaches the address can ask every model, label, and change what is served."),
    "no_key_holds": Kind("danger", "The store is closed and no key opens it: every request is refused."),
    "public_without_tls": Kind(
        "warning", "Whoever is on the way reads keys and data, unless a proxy in front of the server speaks TLS."
    ),
    "open_to_read": Kind("warning", "Metrics and docs tell which models there are, how they are used and how well they do."),
    "any_origin": Kind("warning", "Every web page may ask, from the browser of whoever opens it."),
    "certificate_over": Kind("danger", "Clients refuse the connection."),
    "certificate_ends": Kind("warning", "When it is over, clients refuse the connection."),
    "key_ends": Kind("note", "Its holder is refused from then on."),
    "writable_by_others": Kind("danger", "Every user of this machine can change it: models, keys, or what is trusted."),
    "readable_by_others": Kind("warning", "Every user of this machine can read it."),
    "pickle_trusted": Kind("danger", "Whoever can write to the store can run code on this machine."),
    "runs_as_root": Kind("warning", "Whoever breaks into the server owns the machine."),
    "unsigned": Kind("note", "Nothing shows who made these versions, if the store was changed by somebody else."),
    "version_refused": Kind("danger", "The server would not start with it: its policy does not let it in."),
    "version_fails": Kind("danger", "The server would not start with it, or not answer for it."),
    "package_missing": Kind("danger", "The model needs packages that are not here, and nothing here can install them."),
    "not_writable": Kind("danger", "What is to be written there is lost; without a log, predictions are refused."),
    "disk_full": Kind("danger", "Soon the log can't be written, and predictions are refused."),
    "disk_filling": Kind("warning", "When it is full, the log can't be written, and predictions are refused."),
    "log_outgrows_disk": Kind(
        "warning", "The log may grow by more than what is free: the disk is full before anything is removed."
    ),
    "no_duckdb": Kind("note", "The log stays in lines of JSON, twenty times its size, and can't be asked."),
    "clock": Kind("warning", "Times in the log and in routes are wrong, and keys end when they should not."),
    "few_files": Kind("warning", "Each connection is an open file: at that number, the server takes no more."),
    "short_backlog": Kind("note", "When many connect at once, the kernel drops some before the server sees them."),
    "unfinished": Kind("note", "Their files take room. They are in nobody's way."),
    "left_over": Kind("note", "Files of writers that were killed take room."),
}
"""By code. docs/doctor.md has the same table."""


class Finding(msgspec.Struct, frozen=True):
    """One thing that was found: what, why it matters, and the command or the setting that mends it."""

    code: str
    severity: Severity
    what: str
    why: str
    mend: str


Found = Iterator[tuple[str, str, str]]
Rule = Callable[[Facts], Found]


def findings(facts: Facts) -> list[Finding]:
    """What the rules find, the worst first."""
    found = [
        Finding(code, KINDS[code].severity, what, KINDS[code].why, mend) for rule in RULES for code, what, mend in rule(facts)
    ]
    return sorted(found, key=lambda one: ORDER.index(one.severity))


def _read(facts: Facts) -> Found:
    for problem in facts.problems:
        yield "unreadable", problem, "mend what it names; `salver doctor` again"


def _access(facts: Facts) -> Found:
    access, cors = facts.settings.access, facts.settings.cors
    is_closed = access.keys == "always" or (access.keys == "auto" and facts.keys_ever > 0)
    if facts.is_public and not is_closed:
        yield "public_without_keys", f"{facts.host} is open to the network and no key is needed", "salver key add NAME"
    if is_closed and not facts.keys:
        yield "no_key_holds", "keys are needed, and none holds", "salver key add NAME"
    for name in facts.keys_ending:
        yield "key_ends", f"the key '{name}' ends within a week", f"salver key add {name}-2; salver key remove {name}"
    open_ones = [route for route, who in (("metrics", access.metrics), ("docs", access.docs)) if who == "open"]
    if facts.is_public and is_closed and open_ones:
        yield "open_to_read", f"everybody may read {' and '.join(open_ones)}", f'server.toml: [access] {open_ones[0]} = "key"'
    if "*" in cors.origins:
        yield "any_origin", "cors.origins names every origin", "server.toml: [cors] origins = [those that you know]"


def _tls(facts: Facts) -> Found:
    days = facts.certificate_days
    if facts.is_public and not facts.settings.tls.cert:
        yield "public_without_tls", f"{facts.host} is spoken to without TLS", "salver serve --tls-cert FILE --tls-key FILE"
    if days is not None and days <= 0:
        yield "certificate_over", "the certificate is over, or not valid yet", "renew it; a running server takes the new file"
    elif days is not None and days < 21:
        yield "certificate_ends", f"the certificate ends in {days:.0f} days", "renew it; a running server takes the new file"


def _places(facts: Facts) -> Found:
    for place in facts.places:
        if place.mode & 0o002 and not place.mode & 0o1000:
            yield "writable_by_others", f"{place.what}, {place.path}", f"chmod o-w {place.path}"
        if place.is_secret and place.mode & 0o004:
            yield "readable_by_others", f"{place.what}, {place.path}", f"chmod o-rwx {place.path}"
    if facts.system.is_root and facts.is_public:
        yield "runs_as_root", "you are root", "run it as a user of its own"


def _versions(facts: Facts) -> Found:
    if facts.pickle == "trusted":
        yield (
            "pickle_trusted",
            "--pickle trusted reads every model, whatever is in it",
            "leave it out; `salver trust` or `salver sign`",
        )
    for version in facts.versions:
        if version.code in ("untrusted", "unsigned"):
            yield "version_refused", version.problem, f"salver trust {version.name}, once you have looked at it"
        elif version.code == "package_missing":
            yield "package_missing", version.problem, "pip install 'salver[environments]'"
        elif version.code:
            yield "version_fails", f"{version.name}: {version.problem}", f"salver verify {version.name}; salver rollback NAME"
    unsigned = [version.name for version in facts.versions if not version.is_signed and not version.code]
    if unsigned and not facts.requires_signature:
        yield "unsigned", f"{', '.join(unsigned)}", f"salver sign {unsigned[0]} --private-key FILE"


def _disks(facts: Facts) -> Found:
    for disk in facts.disks:
        where, mend = f"{disk.what}, {disk.path}", "make room, or log.toml: keep_bytes"
        if disk.problem:
            yield "not_writable", f"{where}: {disk.problem}", f"ls -ld {disk.path}"
        elif disk.free_bytes < max(disk.total_bytes // 50, _GB // 10):
            yield "disk_full", f"{where}: {_gb(disk.free_bytes)} free", mend
        elif disk.free_bytes < min(disk.total_bytes // 10, 10 * _GB):
            yield "disk_filling", f"{where}: {_gb(disk.free_bytes)} free", mend


def _log(facts: Facts) -> Found:
    log, disk = facts.log, next((disk for disk in facts.disks if disk.what == "the log"), None)
    if log is None:
        return
    may_grow_bytes = log.limit_bytes - log.size_bytes
    if disk and may_grow_bytes > disk.free_bytes:
        what = f"it may become {_gb(log.limit_bytes)}, and {_gb(disk.free_bytes)} are free"
        yield "log_outgrows_disk", what, f'log.toml: keep_bytes = "{_gb(log.size_bytes + disk.free_bytes // 2)}"'
    if not log.has_duckdb:
        yield "no_duckdb", "DuckDB is not installed", "pip install 'salver[log]'"


def _system(facts: Facts) -> Found:
    system, connections = facts.system, facts.settings.limits.connections
    if abs(system.clock_ahead_s) > 2:
        way = "ahead of" if system.clock_ahead_s > 0 else "behind"
        yield (
            "clock",
            f"this machine's clock is {abs(system.clock_ahead_s):.0f} s {way} the store's",
            "timedatectl set-ntp true",
        )
    if system.files_limit is not None and system.files_limit < connections + _SPARE_FILES:
        what = f"{system.files_limit} files may be open, and limits.connections is {connections}"
        yield "few_files", what, f"ulimit -Hn {connections + _SPARE_FILES}, LimitNOFILE= of systemd, or limits.connections"
    if system.listen_backlog is not None and system.listen_backlog < BACKLOG and facts.is_public:
        yield "short_backlog", f"net.core.somaxconn is {system.listen_backlog}", f"sysctl -w net.core.somaxconn={BACKLOG}"


def _remains(facts: Facts) -> Found:
    if facts.unfinished:
        yield "unfinished", f"publishing was never finished: {', '.join(facts.unfinished)}", "salver.Registry().sweep(NAME)"
    if facts.left_over:
        yield "left_over", f"{len(facts.left_over)} files, such as {facts.left_over[0]}", f"rm {facts.left_over[0]}"


RULES: tuple[Rule, ...] = (_read, _access, _tls, _places, _versions, _disks, _log, _system, _remains)


def _gb(size_bytes: int) -> str:
    return f"{size_bytes / _GB:.1f} GB"
