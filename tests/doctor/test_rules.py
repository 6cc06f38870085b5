"""From facts to findings, without a machine: each rule finds what it is for, and nothing in a sound setup."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from salver.doctor.facts import Disk, Facts, LogFacts, Place, System, Version
from salver.doctor.rules import KINDS, ORDER, findings
from salver.server.settings import Access, Cors, Limits, Settings, Tls

PAGE = Path(__file__).resolve().parents[2] / "docs" / "doctor.md"
TB = 10**12
DISK = Disk("the log", "/data/log", free_bytes=TB // 2, total_bytes=TB)
SOUND = Facts(
    host="10.0.0.1",
    is_public=True,
    settings=Settings(tls=Tls("a.pem", "a.key")),
    keys=2,
    keys_ever=3,
    certificate_days=60,
    places=(Place("the store", "/data", 0o40750), Place("the log", "/data/log", 0o40750, True), Place("/tmp", "/tmp", 0o41777)),
    disks=(DISK,),
    versions=(Version("iris@1", is_signed=True),),
    log=LogFacts(size_bytes=10**9, limit_bytes=10**10),
    system=System(files_limit=20_000, listen_backlog=4096),
)


def found(**changes: Any) -> list[str]:
    return [finding.code for finding in findings(msgspec.structs.replace(SOUND, **changes))]


def settings(**changes: Any) -> Settings:
    return msgspec.structs.replace(SOUND.settings, **changes)


def test_a_sound_setup_has_nothing() -> None:
    assert found() == []


FAULTS: dict[str, dict[str, Any]] = {
    "unreadable": {"problems": ("the store is not there",)},
    "public_without_keys": {"keys": 0, "keys_ever": 0},
    "no_key_holds": {"keys": 0},
    "public_without_tls": {"settings": Settings(), "certificate_days": None},
    "open_to_read": {"settings": settings(access=Access(docs="open"))},
    "any_origin": {"settings": settings(cors=Cors(["*"]))},
    "certificate_over": {"certificate_days": 0.0},
    "certificate_ends": {"certificate_days": 5.0},
    "key_ends": {"keys_ending": ("shop",)},
    "writable_by_others": {"places": (Place("keys", "/data/keys", 0o40777),)},
    "readable_by_others": {"places": (Place("the log", "/data/log", 0o40755, True),)},
    "pickle_trusted": {"pickle": "trusted"},
    "runs_as_root": {"system": msgspec.structs.replace(SOUND.system, is_root=True)},
    "unsigned": {"versions": (Version("iris@1"),)},
    "version_refused": {"versions": (Version("iris@1", "untrusted", "iris is not read"),)},
    "version_fails": {"versions": (Version("iris@1", "artifact", "another answer"),)},
    "package_missing": {"versions": (Version("iris@1", "package_missing", "no scikit-learn"),)},
    "not_writable": {"disks": (msgspec.structs.replace(DISK, problem="Permission denied"),)},
    "disk_full": {"disks": (msgspec.structs.replace(DISK, free_bytes=TB // 100),), "log": LogFacts()},
    "disk_filling": {"disks": (Disk("the log", "/data/log", 4 * 10**9, 50 * 10**9),), "log": LogFacts()},
    "log_outgrows_disk": {"log": LogFacts(size_bytes=10**9, limit_bytes=TB)},
    "no_duckdb": {"log": LogFacts(has_duckdb=False)},
    "clock": {"system": msgspec.structs.replace(SOUND.system, clock_ahead_s=-30.0)},
    "few_files": {"system": msgspec.structs.replace(SOUND.system, files_limit=1024)},
    "short_backlog": {"system": msgspec.structs.replace(SOUND.system, listen_backlog=128)},
    "unfinished": {"unfinished": ("iris@4",)},
    "left_over": {"left_over": ("/data/models/.tmp-1",)},
}


@pytest.mark.parametrize("code", KINDS)
def test_each_fault_is_found_and_nothing_else(code: str) -> None:
    assert found(**FAULTS[code]) == [code]


def test_what_only_this_machine_reaches_needs_no_door() -> None:
    assert found(is_public=False, keys=0, keys_ever=0, settings=Settings(), certificate_days=None) == []


def test_fewer_connections_need_fewer_files() -> None:
    small = settings(limits=Limits(connections=500))
    assert found(settings=small, system=msgspec.structs.replace(SOUND.system, files_limit=1024)) == []


def test_the_worst_comes_first_and_each_says_how_it_is_mended() -> None:
    every = findings(msgspec.structs.replace(SOUND, **{k: v for fault in FAULTS.values() for k, v in fault.items()}))
    ranks = [ORDER.index(finding.severity) for finding in every]
    assert ranks == sorted(ranks) and len(set(ranks)) == 3
    assert all(finding.what and finding.why and finding.mend for finding in every)


def test_the_docs_have_every_kind() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| (.*) \|$", PAGE.read_text(), re.MULTILINE)
    assert rows == [(code, kind.severity, kind.why) for code, kind in KINDS.items()]
