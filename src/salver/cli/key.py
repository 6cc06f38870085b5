"""`salver key`: the API keys of a store."""

from __future__ import annotations

import argparse
import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from salver.cli.options import add_json, add_store
from salver.cli.table import moment, print_json, print_table
from salver.config import store_folder

if TYPE_CHECKING:
    from salver.cli.options import Commands
    from salver.door.keys import Kept, Keys


def add(commands: Commands) -> None:
    key = commands.add_parser("key", help="make and revoke API keys", description="Make, list and revoke the store's API keys.")
    verbs = key.add_subparsers(dest="verb", required=True, metavar="VERB")

    new = verbs.add_parser("add", help="make a key; it is shown once")
    new.add_argument("name", help="what it is called in lists and in the audit log")
    new.add_argument(
        "--scope",
        dest="scopes",
        action="append",
        choices=("predict", "label", "read", "manage"),
        metavar="SCOPE",
        help="what it opens: predict (the default), label, read (the dashboard), manage; may be given several times",
    )
    new.add_argument(
        "--model", dest="models", action="append", default=[], help="for this model only; may be given several times"
    )
    new.add_argument("--rate", type=int, metavar="N", help="requests a second (default: as the server is set)")
    new.add_argument("--burst", type=int, metavar="N", help="requests at once (default: as many as in a second)")
    new.add_argument("--days", type=float, help="it holds for so long (default: until it is revoked)")
    new.set_defaults(run=_add)

    listed = verbs.add_parser("list", help="show the keys, without their secrets")
    listed.add_argument("--all", action="store_true", help="those that were revoked too")
    listed.set_defaults(run=_list)

    remove = verbs.add_parser("remove", help="revoke a key; running servers refuse it within seconds")
    remove.add_argument("name", help="its name or its id")
    remove.add_argument("--why", default="", metavar="TEXT", help="why")
    remove.set_defaults(run=_remove)

    for verb in (new, listed, remove):
        add_store(verb)
        add_json(verb)


def _keys(given: argparse.Namespace) -> Keys:
    from salver.door.keys import Keys
    from salver.registry.store import open_store

    return Keys(open_store(given.store))


def _add(given: argparse.Namespace) -> int:
    from salver.door.key import new_key
    from salver.registry.registry import user_name
    from salver.types.reference import Reference

    models = tuple(Reference.parse(model).name for model in given.models)
    expires = None if given.days is None else (datetime.now(UTC) + timedelta(days=given.days)).isoformat(timespec="seconds")
    key, shown = new_key(
        given.name,
        tuple(dict.fromkeys(given.scopes or ("predict",))),
        models=models,
        requests_per_s=given.rate,
        burst=given.burst,
        expires=expires,
        by=user_name(),
    )
    keys = _keys(given)
    is_first = not keys.all()
    keys.add(key)
    _note(given, "key added", key.name, f"scopes {', '.join(key.scopes)}; models {', '.join(models) or 'all'}")
    if given.json:
        print_json({"id": key.id, "name": key.name, "key": shown, "scopes": key.scopes, "models": models})
    else:
        print(shown)
        print("It is shown this once. Clients send it as 'Authorization: Bearer KEY' or 'x-api-key: KEY'.", file=sys.stderr)
        if is_first:
            print("It is the store's first: from now on, its servers want a key for every request.", file=sys.stderr)
    return 0


def _list(given: argparse.Namespace) -> int:
    kept = [one for one in _keys(given).all() if given.all or not one.revoked]
    if given.json:
        print_json([_facts(one) for one in kept])
        return 0
    headings = ("name", "id", "scopes", "models", "rate", "made", "by", "state")
    print_table(headings, [_row(one) for one in kept], empty="no keys; `salver key add NAME` makes one")
    return 0


def _remove(given: argparse.Namespace) -> int:
    from salver.registry.registry import user_name

    key = _keys(given).remove(given.name, by=user_name(), why=given.why)
    _note(given, "key removed", key.name, given.why)
    if given.json:
        print_json({"id": key.id, "name": key.name})
    else:
        print(f"{key.name} is revoked; running servers refuse it within seconds")
    return 0


def _row(kept: Kept) -> list[object]:
    key, rate = kept.key, kept.key.requests_per_s
    return [
        key.name,
        key.id,
        key.scopes,
        key.models or "all",
        f"{rate}/s" if rate else "",
        moment(key.at),
        key.by,
        _state(kept),
    ]


def _state(kept: Kept) -> str:
    if kept.revoked:
        return f"revoked {moment(kept.revoked.at)} by {kept.revoked.by}"
    if kept.key.expires is None:
        return "holds"
    return f"{'ended' if kept.key.is_over(datetime.now(UTC)) else 'holds until'} {moment(kept.key.expires)}"


def _facts(kept: Kept) -> dict[str, object]:
    from msgspec import to_builtins

    facts: dict[str, object] = to_builtins(kept.key)
    del facts["digest"]
    return facts | {"revoked": to_builtins(kept.revoked)}


def _note(given: argparse.Namespace, event: str, name: str, why: str) -> None:
    from salver.door.audit import FOLDER, Audit, Entry
    from salver.registry.registry import user_name

    Audit(store_folder(given.store) / FOLDER).write(Entry(event=event, who=user_name(), what=name, why=why))
