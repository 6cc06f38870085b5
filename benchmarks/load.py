"""Load from wrk on a core of its own, and what it says of the answers."""

from __future__ import annotations

import json
import re
import subprocess
import tempfile
from collections.abc import Mapping
from typing import NamedTuple

_UNITS_US = {"us": 1.0, "ms": 1e3, "s": 1e6, "m": 60e6}


class Load(NamedTuple):
    """What one run of wrk saw."""

    requests: int
    per_s: float  # of answers that were 200
    p50_us: float
    p99_us: float
    bad: int  # answers that were no 200, and broken connections


def load(
    url: str, body: str, connections: int, seconds: int, headers: Mapping[str, str] | None = None, core: int | None = 1
) -> Load:
    """POST `body` over and over on kept-alive connections, from that core or from any."""
    sent = {"Content-Type": "application/json", **(headers or {})}
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(f"wrk.method = 'POST'\nwrk.body = {_lua(body)}\n")
        script.writelines(f"wrk.headers[{_lua(name)}] = {_lua(value)}\n" for name, value in sent.items())
        script.flush()
        pin = [] if core is None else ["taskset", "-c", str(core)]
        wrk = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "20s", "--latency", "-s", script.name, url]
        done = subprocess.run([*pin, *wrk], capture_output=True, text=True, check=True)
    return _read(done.stdout)


def _lua(text: str) -> str:
    # A JSON string in ASCII is a Lua string too, except for \u escapes, of which our bodies have none.
    return json.dumps(text)


def _read(said: str) -> Load:
    errors = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", said)
    refused = re.search(r"Non-2xx or 3xx responses: (\d+)", said)
    bad = sum(map(int, errors.groups())) if errors else 0
    requests, refusals = int(_found(r"(\d+) requests in", said)), int(refused[1]) if refused else 0
    return Load(
        requests=requests,
        per_s=float(_found(r"Requests/sec:\s+([\d.]+)", said)) * (1 - refusals / max(requests, 1)),
        p50_us=_us(_found(r"^ +50% +(\S+) *$", said)),
        p99_us=_us(_found(r"^ +99% +(\S+) *$", said)),
        bad=bad + refusals,
    )


def _found(pattern: str, said: str) -> str:
    match = re.search(pattern, said, re.MULTILINE)
    if not match:
        raise RuntimeError(f"wrk said what is not understood:\n{said}")
    return match[1]


def _us(text: str) -> float:
    match = re.fullmatch(r"([\d.]+)([a-z]+)", text)
    if not match:
        raise RuntimeError(f"wrk gave a time that is not understood: {text}")
    return float(match[1]) * _UNITS_US[match[2]]
