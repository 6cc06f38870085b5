"""The dashboard of 100 models and 10 million predictions: how soon pages are painted, and what ten open ones take from serving.

    python -m benchmarks.dashboard --write

The server, its pages' process among it, is pinned to core 0; Chromium, and wrk where predictions are asked, to core 1. Paint
is Chromium's first contentful paint since the page was asked for, of a browser that has nothing of the server yet. "All there"
is when nothing is waited for any more: parts that are filled in later and, the first time, the process that makes the pages.
Each visit asks for what was not just made for another one.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, NamedTuple

from benchmarks import tables
from benchmarks.dashboard_log import ROW, make, name_of
from benchmarks.load import load
from benchmarks.process import Running, free_port, running
from benchmarks.shadows import SALVER

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext

_FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
_FILLED = "() => !document.querySelectorAll('.waits[hx-trigger]').length"
_PAINTS = """new PerformanceObserver((list) => {
  for (const one of list.getEntriesByName('first-contentful-paint')) window.seen(performance.timeOrigin + one.startTime);
}).observe({type: 'paint', buffered: true})"""
BUSIEST = name_of(0)
FIRST = "the overview, the first that anybody looks at"


class Visit(NamedTuple):
    """Milliseconds until something was to be seen, and until all was."""

    paint_ms: float
    filled_ms: float


class Share(NamedTuple):
    """Requests a second without pages, and with."""

    alone_per_s: float
    beside_per_s: float


def pages(url: str) -> dict[str, str]:
    """What is measured, by what it is called. The model is the one with most predictions."""
    model = f"{url}/ui/models/{BUSIEST}"
    return {
        "overview": f"{url}/ui?",
        "model": f"{model}?",
        "compare": f"{model}/compare?",
        "predictions, the latest": f"{model}/predictions?",
        "predictions, by a value of 3 days": f"{model}/predictions?since=3d&column=amount&operator=above&value=60&",
        "predictions, by a key": f"{model}/predictions?since=3d&text=key-77777&",
        "one prediction": f"{model}/predictions/{_latest(url)}?",
        "try": f"{model}/try?",
        "roll back": f"{model}/do/rollback?",
        "alarms": f"{url}/ui/alarms?",
        "one alarm": f"{url}/ui/models/{_alarm(url)}&",
    }


def painted(browser: Browser, url: str) -> Visit:
    """One visit, of a browser without anything kept."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page, seen_ms = context.new_page(), list[float]()
    page.expose_function("seen", lambda at_ms: seen_ms.append(at_ms))
    page.add_init_script(_PAINTS)
    began_s = time.time()
    page.goto(url, wait_until="commit")
    page.wait_for_selector("#main", state="attached")
    page.wait_for_load_state("load")
    page.wait_for_function(_FILLED, timeout=60_000)
    filled_s = time.time()
    while not seen_ms:
        page.wait_for_timeout(10)
    assert page.locator("main > h1, main .head, main h1").count(), f"{url}: {page.locator('main').text_content()}"
    context.close()
    return Visit(seen_ms[0] - began_s * 1e3, (filled_s - began_s) * 1e3)


def paints(store: Path, browser: Browser, rounds: int) -> dict[str, list[Visit]]:
    """By page, in turns. The first of all starts the server anew each time."""
    found: dict[str, list[Visit]] = {FIRST: []}
    for at in range(rounds):
        with served(store) as server:
            time.sleep(1.0)  # it is ready and has nothing to do
            found[FIRST].append(painted(browser, f"{server}/ui"))
            if at:
                continue
            every = pages(server)
            for number in range(rounds):
                for name, url in every.items():
                    found.setdefault(name, []).append(painted(browser, f"{url}round={number}"))
    return found


def shares(store: Path, browser: Browser, rounds: int, seconds: int) -> list[Share]:
    """Throughput with ten pages open beside none, by turns, and which comes first by turns too."""
    made: list[Share] = []
    with served(store) as server:
        every = list(pages(server).values())
        looked_at = [every[0], every[1], every[-2], *(f"{server}/ui/models/{name_of(at)}" for at in range(1, 8))]
        context = browser.new_context(viewport={"width": 1280, "height": 900})
        body = json.dumps({"features": ROW})

        def asked(open_pages: bool) -> float:
            with _open(context, looked_at if open_pages else []):
                time.sleep(1.0)
                found = load(f"{server}/models/{BUSIEST}/predict", body, 32, seconds)
            assert not found.bad, found
            return found.per_s

        asked(False)  # warm
        for number in range(rounds):
            first = bool(number % 2)
            one, other = asked(first), asked(not first)
            made.append(Share(other, one) if first else Share(one, other))
            print(f"round {number + 1} of {rounds}: {made[-1]}", file=sys.stderr)
        context.close()
    return made


@contextmanager
def _open(context: BrowserContext, urls: Sequence[str]) -> Iterator[None]:
    opened = [context.new_page() for _ in urls]
    for page, url in zip(opened, urls, strict=True):
        page.goto(url)
        page.wait_for_function(_FILLED, timeout=60_000)
    yield
    for page in opened:
        page.close()


@contextmanager
def served(store: Path) -> Iterator[str]:
    """The store's server on core 0, ready; its address."""
    port = free_port()
    command: list[str | Path] = [SALVER, "serve", "--store", store, "--port", str(port), "--no-monitor"]
    with running(command, port, store / "serve.txt") as server:
        url = server.url.removesuffix("/predict")
        _ready(server, url)
        yield url


def _ready(server: Running, url: str) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and server.process.poll() is None:
        try:
            with urllib.request.urlopen(f"{url}/health/ready", timeout=5):
                return
        except OSError:
            time.sleep(0.1)
    raise RuntimeError("the server is not ready")


def _latest(url: str) -> str:
    request = urllib.request.Request(f"{url}/models/{BUSIEST}/predict", json.dumps({"features": ROW}).encode())
    with urllib.request.urlopen(request, timeout=10) as answer:
        return str(json.load(answer)["id"])


def _alarm(url: str) -> str:
    with urllib.request.urlopen(f"{url}/ui/alarms", timeout=60) as answer:
        _, _, after = answer.read().decode().partition("/alarm?id=")
    wanted = after.partition('"')[0]
    model = wanted.partition("%2F")[0].partition("/")[0].partition("%40")[0]
    return f"{model}/alarm?id={wanted}"


def table(found: dict[str, list[Visit]]) -> str:
    """For docs/measured.md."""
    lines = ["| page | first paint | the slowest | all there | the slowest |", "|---|--:|--:|--:|--:|"]
    for name, visits in found.items():
        paint, filled = [one.paint_ms for one in visits], [one.filled_ms for one in visits]
        lines.append(
            f"| {name} | {median(paint):,.0f} ms | {max(paint):,.0f} ms | {median(filled):,.0f} ms | {max(filled):,.0f} ms |"
        )
    return "\n".join(lines) + "\n"


def taken(found: Sequence[Share]) -> str:
    """For docs/measured.md: medians, and of each pair the part that the pages took."""
    parts = sorted(1 - one.beside_per_s / one.alone_per_s for one in found)
    alone, beside = median(one.alone_per_s for one in found), median(one.beside_per_s for one in found)
    return (
        "| pages open | requests/s | ÷ none |\n|---|--:|--:|\n"
        f"| none | {alone:,.0f} | 1.00 |\n"
        f"| ten, refreshing | {beside:,.0f} | {1 - median(parts):.3f} ({1 - parts[-1]:.3f} to {1 - parts[0]:.3f}) |\n"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", type=Path, help="where the store is made, and kept for the next time")
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--only", choices=("paints", "throughput"))
    parser.add_argument("--write", action="store_true", help="fill the tables in docs/measured.md")
    given = parser.parse_args()
    store = given.store or Path(tempfile.mkdtemp(prefix="salver-dashboard-"))
    try:
        if not (store / "log").is_dir():
            make(store, given.rows)
        _measure(store, given)
    finally:
        if given.store is None:
            shutil.rmtree(store)
    return 0


def _measure(store: Path, given: argparse.Namespace) -> None:
    from playwright.sync_api import sync_playwright

    os.sched_setaffinity(0, {1})
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=_FLAGS)
        if given.only != "throughput":
            _tell("dashboard", table(paints(store, browser, given.rounds)), given.write)
        if given.only != "paints":
            _tell("dashboard-cost", taken(shares(store, browser, given.rounds, given.seconds)), given.write)
        browser.close()


def _tell(name: str, text: str, write: bool) -> None:
    print(text)
    if write:
        tables.fill(Path("docs/measured.md"), name, text)


if __name__ == "__main__":
    sys.exit(main())
