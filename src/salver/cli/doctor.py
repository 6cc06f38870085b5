"""`salver doctor`: what an attacker or an outage would find in a setup."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from salver.cli.options import add_door, add_json, add_log, add_store, add_trust, policy_of, server_settings
from salver.cli.table import print_json
from salver.config import store_folder
from salver.errors import ConfigError

if TYPE_CHECKING:
    from salver.cli.options import Commands
    from salver.doctor.rules import Finding


def add(commands: Commands) -> None:
    doctor = commands.add_parser(
        "doctor",
        help="check a setup",
        description="Check a setup: take the options that `salver serve` has, and the same store. "
        "The exit code is 1 when something is a danger, else 0.",
    )
    doctor.add_argument("--host", default="127.0.0.1", help="the address that is served (default %(default)s)")
    add_store(doctor)
    add_log(doctor)
    doctor.add_argument("--no-log", action="store_true", help="predictions are not logged")
    add_trust(doctor)
    add_door(doctor)
    add_json(doctor)
    doctor.set_defaults(run=_doctor)


def _doctor(given: argparse.Namespace) -> int:
    from salver.doctor.gather import Setup, gather
    from salver.doctor.rules import KINDS, Finding, findings

    log = None if given.no_log else Path(given.log).expanduser() if given.log else store_folder(given.store) / "log"
    try:
        setup = Setup(given.host, given.store, log, server_settings(given), policy_of(given))
        found = findings(gather(setup))
    except ConfigError as error:
        kind = KINDS["unreadable"]
        found = [Finding("unreadable", kind.severity, error.message, kind.why, "mend what it names; `salver doctor` again")]
    if given.json:
        print_json({"findings": found, "ok": not _is_dangerous(found)})
    else:
        _print(found)
    return int(_is_dangerous(found))


def _is_dangerous(found: list[Finding]) -> bool:
    return any(one.severity == "danger" for one in found)


def _print(found: list[Finding]) -> None:
    for one in found:
        print(f"{one.severity}: {one.what}   [{one.code}]\n    {one.why}\n    mend: {one.mend}\n")
    counts = {severity: sum(one.severity == severity for one in found) for severity in ("danger", "warning", "note")}
    print(", ".join(f"{count} {severity}{'' if count == 1 else 's'}" for severity, count in counts.items()))
