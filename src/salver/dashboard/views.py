"""What fills each page: one method a page, which asks for figures and hands them to its template."""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from salver.dashboard import alarms, compare, latency, model, overview, predictions, search, trying
from salver.dashboard.health import Health, health
from salver.dashboard.known import Known
from salver.dashboard.live import Live
from salver.dashboard.messages import Ask, Served
from salver.dashboard.overview import answering, roles
from salver.dashboard.turn import Turn
from salver.errors import ConfigError, NotFound, SalverError
from salver.log.signatures import noted, noted_of
from salver.registry.route import Route
from salver.types.signature import Signature

Made = tuple[str, dict[str, Any]]
"""A template, and what it is filled with."""


class Given(dict[str, Any]):
    """What a page may have been given: what it was not is empty."""

    def __missing__(self, key: str) -> str:
        return ""


class Request:
    """One page that is asked for: by whom, of which model, with which query."""

    def __init__(self, ask: Ask, turn: Turn, served: dict[str, Served]) -> None:
        self.caller = ask.caller
        self.given = Given(ask.given)
        self.query = Given(parse_qsl(ask.query))
        self.turn = turn
        self.now_s = time.time()
        self._served = served

    @property
    def served(self) -> list[Served]:
        """The models that whoever asks may see."""
        return [one for one in self._served.values() if self.caller.sees(one.name)]

    def model(self, name: str) -> Served:
        """Raises NotFound."""
        found = self._served.get(name)
        if found is None or not self.caller.sees(name):
            raise NotFound(f"no model '{name}' is served here", code="unknown_model")
        return found


class Views:
    """Of one log and one store."""

    def __init__(self, known: Known, live: Live, store: str) -> None:
        self._known = known
        self._live = live
        self._store = store

    def overview(self, request: Request) -> Made:
        rows = overview.rows(self._known, self._live, request.served, request.now_s)
        wanted = request.query["q"].strip().casefold()
        return "overview.html", {
            "rows": [row for row in rows if wanted in row.name.casefold()],
            "totals": overview.totals(self._live, rows),
            "looked_us": self._known.looked_us(),
            "log": self._known.log,
        }

    def model(self, request: Request, name: str) -> Made:
        served, every = request.model(name), self._known.watched(name)
        history = self._history(served, now=True)
        main, seen = model.chosen(every, served, request.query["version"], request.query["window"])
        head = self._head(served, history)
        state: Health = head["health"]
        return "model.html", {
            **self._now(served),
            **head,
            "done": DONE.get(request.query["done"], ""),
            "cause": model.cause(state.since_us, history) if state.lasting else None,
            "every": [one for one in every if not one.segment],
            "main": main,
            "seen": seen,
            "changes": model.changes(history),
            "traffic": model.traffic(self._known, name, every, history, request.now_s),
            "accuracy": model.accuracy_chart(every, main, model.deploys(history)) if main else None,
            "measured": self._known.measured(name),
            "distributions": model.distributions(self._known, main, seen) if main and seen else [],
            "shown": 10_000 if request.query["all"] else model.SHOWN_COLUMNS,
            "quality": model.quality(seen) if seen else [],
            "segments": model.segments(every, main) if main else [],
            "log": self._known.log,
        }

    def head(self, request: Request, name: str) -> Made:
        served = request.model(name)
        return "head.html", self._head(served, self._history(served, now=True))

    def _head(self, served: Served, history: list[Route]) -> dict[str, Any]:
        return {
            "served": served,
            "wanted": _wanted(served, history),
            "roles": roles(served),
            "health": health(served.state, self._known.briefly(served.name), answering(served)),
            "versions": model.versions(self._known, self._live, served),
            "back_to": _back_to(history),
            "followed": bool(history),
        }

    def now(self, request: Request, name: str) -> Made:
        return "now.html", self._now(request.model(name))

    def _now(self, served: Served) -> dict[str, Any]:
        rate, slow = model.now_charts(self._live, served.name, self._newest(served))
        pace = self._live.pace(key for key in self._live.keys(served.name) if key[2] != "shadow")
        return {"served": served, "rate": rate, "slow": slow, "pace": pace}

    def latency(self, request: Request, name: str) -> Made:
        served = request.model(name)
        try:
            log = search.require_log(self._known.log)
            found = self._known.kept(("latency", name), 60.0, lambda: latency.latency(log, name, request.now_s, request.turn))
        except (ConfigError, SalverError) as error:
            return "part_failed.html", {"error": error.message, "what": "Latency of the last day"}
        return "latency.html", {"served": served, "chart_": latency.chart(found, request.now_s, self._newest(served))}

    # Predictions

    def predictions(self, request: Request, name: str) -> Made:
        served, query = request.model(name), request.query
        filled: dict[str, Any] = {
            "served": served,
            "columns": [],
            "found": None,
            "error": "",
            "operators": list(search.OPERATORS),
            "prediction": search.PREDICTION,
            "versions": sorted({*served.versions, *(one.version for one in self._known.watched(name))}, reverse=True),
        }
        try:
            log = search.require_log(self._known.log)
            signature = noted(log, name)
            filled["columns"] = [column.name for column in signature.columns] if signature else []
            filled["output"] = signature.prediction.name if signature else "prediction"
            wanted = search.search_of(name, query, request.now_s)
            filled["found"] = search.search(log, wanted, signature, request.turn)
        except SalverError as error:
            filled["error"] = error.message
        return "predictions.html", filled

    def prediction(self, request: Request, name: str, made_id: str) -> Made:
        served = request.model(name)
        log = search.require_log(self._known.log)
        found = search.require_found(search.one(log, name, made_id, request.turn) if search.is_id(made_id) else None)
        signature = noted_of(log, name, found.version)
        reference = self._known.reference(name, found.version)
        return "prediction.html", {
            "served": served,
            "found": found,
            "inputs": predictions.inputs(found, reference),
            "answers": predictions.answers(found, signature),
            "beside": predictions.beside(log, name, found, request.turn),
            "output": signature.prediction.name if signature else "prediction",
        }

    def try_it(self, request: Request, name: str) -> Made:
        served, given = request.model(name), request.given
        signature = msgspec.convert(given["signature"], Signature, strict=False)
        row: Any = given["row"] or given["example"]
        made_id = request.query["from"]
        if made_id and not given["row"] and search.is_id(made_id):
            row = search.require_found(search.one(search.require_log(self._known.log), name, made_id, request.turn)).inputs
        values = row if isinstance(row, dict) else dict(zip(signature.names, row, strict=False))
        return "try.html", {
            "served": served,
            "fields": trying.fields(signature, values),
            "answer": given["answer"],
            "error": given["error"],
            "snippets": trying.snippets(given["url"], name, values),
            "version": given["version"],
        }

    # Alarms

    def alarms(self, request: Request) -> Made:
        served = [one for one in request.served if request.query["model"] in ("", one.name)]
        found = alarms.every(self._known, served, bool(request.query["segments"]))
        days = int(request.query["days"]) if request.query["days"] in ("1", "7", "30") else alarms.fitting(found, request.now_s)
        return "alarms.html", {
            "open": [one for one in found if one.is_open],
            "past": [one for one in found if not one.is_open][:100],
            "shown": 60,
            "axis": alarms.axis(self._known, found, served, days, request.now_s),
            "days": days,
            "models": sorted(one.name for one in request.served),
            "looked_us": self._known.looked_us(),
        }

    def alarm(self, request: Request, name: str) -> Made:
        served = request.model(name)
        history = self._history(served)
        story = alarms.story(self._known, served, request.query["id"], history, request.now_s)
        if story is None:
            raise NotFound("there is no such alarm any more; its windows were counted again, or are too old")
        return "alarm.html", {"served": served, "story": story, "alarm": story.noted.alarm, "back_to": _back_to(history)}

    # Comparing and changing

    def compare(self, request: Request, name: str) -> Made:
        served, query = request.model(name), request.query
        numbers = model.versions(self._known, self._live, served)
        pair = compare.proposed(served, [one.number for one in numbers], query["a"], query["b"])
        return "compare.html", {
            "served": served,
            "numbers": [one.number for one in numbers],
            "found": compare.comparison(self._known, self._live, served, *pair) if pair else None,
            "rows": compare.REPLAYED,
        }

    def replay(self, request: Request, name: str) -> Made:
        served, query = request.model(name), request.query
        try:
            log = search.require_log(self._known.log)
            a, b = int(query["a"]), int(query["b"])
            found = self._known.kept(
                ("replay", name, a, b), 600.0, lambda: compare.replayed(log, self._store, name, a, b, request.turn)
            )
        except (SalverError, ValueError) as error:
            return "part_failed.html", {"error": str(error), "what": "Replay"}
        return "replay.html", {"served": served, "a": a, "b": b, "found": found}

    def action(self, request: Request, name: str, verb: str) -> Made:
        served = request.model(name)
        history = self._history(served, now=True)
        if not history or verb not in ACTIONS:
            raise NotFound(
                f"'{name}' has no route here: it is no model of the registry that this server follows", code="unknown_model"
            )
        numbers = model.versions(self._known, self._live, served)
        return "action.html", {
            "served": served,
            "verb": verb,
            "route": history[-1],
            "roles": roles(served),
            "numbers": numbers,
            "back_to": _back_to(history),
            "error": request.given["error"],
        }

    def login(self, request: Request) -> Made:
        return "login.html", {"title": "Sign in"}

    def failed(self, request: Request) -> Made:
        return "failed.html", {"title": request.given["title"], "error": request.given["error"]}

    def _newest(self, served: Served) -> int:
        return max([model.newest(self._known.watched(served.name)), *served.versions])

    def _history(self, served: Served, now: bool = False) -> list[Route]:
        return self._known.history(served.name, now) if served.followed else []


DONE = {
    "promote": "It is promoted: the route is changed, and the servers follow within seconds.",
    "rollback": "It is rolled back: the route is changed, and the servers follow within seconds.",
    "canary": "The canary begins: the servers follow within seconds.",
    "end-canary": "The canary has ended.",
    "shadow": "The shadow begins: its answers go to the log alone.",
    "end-shadow": "The shadow has ended.",
}
"""What is said after an action."""
ACTIONS = ("promote", "rollback", "canary", "end-canary", "shadow", "end-shadow")


def _wanted(served: Served, history: list[Route]) -> str:
    """The champion that the route names, where another one still answers here."""
    named = history[-1].named(history[-1].default) if history else None
    routing = served.followed.get("routing")
    return "" if not routing or named in (None, routing["default"]) else f"version {named}"


def _back_to(history: list[Route]) -> int | None:
    """Where a rollback leads."""
    before = history[-1].before.get("champion", ()) if history else ()
    return before[-1] if before else None
