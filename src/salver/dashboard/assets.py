"""The files that pages are shipped with, and the frame of a page that is not made yet. Servers have these, and no templates."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.resources import files


@cache
def shipped() -> dict[str, bytes]:
    """Scripts, styles and images, by their plain names."""
    return {file.name: file.read_bytes() for file in files("salver.dashboard").joinpath("static").iterdir()}


@cache
def address(name: str) -> str:
    """Where a file is, with what tells it from that of another version: browsers keep it."""
    return f"/ui/static/{name}?v={hashlib.sha256(shipped()[name]).hexdigest()[:12]}"


@cache
def frame() -> bytes:
    """What a browser shows while the process that makes the pages starts: it asks for its page again at once, and waits."""
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>Salver</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="refresh" content="0">
<link rel="icon" href="{address("icon.svg")}">
<link rel="stylesheet" href="{address("ui.css")}">
<script src="{address("theme.js")}"></script>
</head>
<body>
<header class="top"><span class="brand">Salver</span></header>
<main id="begins"><p class="empty big" role="status">One moment…</p></main>
</body>
</html>
""".encode()
