"""`salver monitor`: looks at the log, again and again, and says when a model goes wrong."""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from salver.cli.log import log_folder
from salver.cli.options import add_json, add_log, add_store, registry_of
from salver.cli.table import print_json, print_table
from salver.errors import ConfigError, SalverError
from salver.types.reference import Reference

if TYPE_CHECKING:
    from salver.cli.options import Commands
    from salver.monitors.profile import Profile
    from salver.monitors.results import Watched
    from salver.monitors.settings import Settings

_EVERY_S = 60.0


def add(commands: Commands) -> None:
    command = commands.add_parser(
        "monitor",
        help="watch the log: drift, data quality, accuracy, alarms",
        description="Watch the log for drift, bad data and falling accuracy. 'salver serve' starts one by itself.",
    )
    command.add_argument("--once", action="store_true", help="look once, show what there is, and end")
    command.add_argument(
        "--every", type=float, default=_EVERY_S, metavar="S", help="seconds between looks (default %(default)s)"
    )
    command.add_argument("--promote", metavar="REF", help="make production rows the reference of a version, as iris@3, and end")
    command.add_argument("--since", metavar="WHEN", help="with --promote: rows from then on: 7d, 12h, or a date in UTC")
    command.add_argument("--until", metavar="WHEN", help="with --promote: rows before then (default: now)")
    command.add_argument("--silence", metavar="ALARM", help="tell nobody of this alarm, and end; its name is in --json")
    command.add_argument("--hours", type=float, default=24.0, help="with --silence: for so long (default %(default)s)")
    command.add_argument("--beside", action="store_true", help=argparse.SUPPRESS)  # once, and not while another looks
    add_store(command)
    add_log(command)
    add_json(command)
    command.set_defaults(run=_monitor)


def _monitor(given: argparse.Namespace) -> int:
    from salver.log.locks import held
    from salver.monitors.results import FOLDER, looked_us
    from salver.monitors.settings import read_settings

    log = log_folder(given)
    if given.promote:
        return _promote(given, log)
    if given.silence:
        return _silence(given, log)
    once = given.once or given.beside
    with held(log / FOLDER / ".lock", wait=not once) as mine:
        if not mine and given.beside:
            return 0  # somebody else looks
        if not mine:
            raise ConfigError("another monitor is looking at this log right now")
        if given.once:
            found = _look(given, log, read_settings(log))
            print_json(found) if given.json else show(found)
            return 0
        if not given.beside:
            os.nice(10)  # predictions come first
        while True:
            settings = read_settings(log)
            if settings.is_due(looked_us(log), time.time_ns() // 1000):
                _look(given, log, settings)
            if given.beside:
                return 0
            time.sleep(given.every)


def _look(given: argparse.Namespace, log: Path, settings: Settings) -> list[Watched]:
    from salver.monitors.channels import tell, title
    from salver.monitors.store import Store
    from salver.monitors.watch import look

    now_us = time.time_ns() // 1000
    found = look(log, settings, _profiles(given), now_us)
    store = Store(log)
    try:
        for notice in tell(store, settings, found, now_us):
            if not given.json:
                print(f"{title(notice)}  {notice.alarm.what}", flush=True)
    finally:
        store.close()
    return found


def _profiles(given: argparse.Namespace) -> Callable[[str, int], Profile | None]:
    """The profiles that versions were saved with, out of the registry."""
    import msgspec

    from salver.monitors.profile import FILENAME, Profile

    registry = registry_of(given)

    def profile_of(model: str, version: int) -> Profile | None:
        try:
            path = registry.fetch(model, version) / FILENAME
        except SalverError:
            return None  # a model file that was served as it is
        return msgspec.json.decode(path.read_bytes(), type=Profile) if path.is_file() else None

    return profile_of


def _promote(given: argparse.Namespace, log: Path) -> int:
    from salver.monitors.accuracy import since
    from salver.monitors.settings import read_settings
    from salver.monitors.watch import promote

    reference, now_us = Reference.parse(given.promote), time.time_ns() // 1000
    if reference.version is None or given.since is None:
        raise ConfigError("name a version and a time: salver monitor --promote iris@3 --since 2d")
    until = since(given.until, now_us) if given.until else now_us
    rows = promote(log, read_settings(log), reference.name, reference.version, since(given.since, now_us), until)
    said = f"{rows} rows are the reference of {reference} now"
    print_json({"model": reference.name, "version": reference.version, "rows": rows}) if given.json else print(said)
    return 0


def _silence(given: argparse.Namespace, log: Path) -> int:
    from salver.monitors.results import read_results
    from salver.monitors.store import Store

    known = {alarm.id for one in read_results(log) for alarm in one.alarms}
    if given.silence not in known:
        raise ConfigError("there is no alarm of that name; 'salver monitor --once --json' lists them under 'id'")
    until = time.time_ns() // 1000 + int(given.hours * 3.6e9)
    store = Store(log)
    try:
        begun, ended, _ = store.told().get(given.silence, (0, 0, 0))
        store.put_told(given.silence, begun, ended, until)
    finally:
        store.close()
    print_json({"alarm": given.silence, "until_us": until}) if given.json else print(f"silent for {given.hours:g} hours")
    return 0


def show(found: list[Watched]) -> None:
    """A line for each model version, and the alarms that last."""
    rows = [
        [f"{one.model}@{one.version}", one.route + (f" {one.segment}" if one.segment else ""), one.rows, state(one)]
        for one in found
    ]
    print_table(["MODEL", "ROUTE", "ROWS", "STATE"], rows, empty="the log has no predictions that are older than five minutes")
    lasting = [alarm for one in found for alarm in one.alarms if alarm.until_us is None]
    for alarm in lasting:
        from salver.monitors.channels import moment

        print(
            f"\n{alarm.level}  {alarm.track}  since {moment(alarm.since_us)}\n  {alarm.what}\n  {alarm.advice}\n  {alarm.query}"
        )


def state(one: Watched) -> str:
    """How a model version does, in a few words."""
    if one.state:
        return one.state + (f": needs {one.needs_rows} more rows" if one.needs_rows else "")
    lasting = [alarm for alarm in one.alarms if alarm.until_us is None]
    worst = "alert" if any(alarm.level == "alert" for alarm in lasting) else "warn" if lasting else "good"
    waits = f"; the next window needs {one.needs_rows} more rows" if one.needs_rows else ""
    told = f"{worst} ({len(lasting)})" if lasting else "good" if one.windows else "no window is complete yet"
    last = one.windows[-1] if one.windows else None
    drawn = f"; one row of {last.rows / last.counted:.0f} was looked into" if last and 0 < last.counted < last.rows else ""
    return told + drawn + waits
