"""Results as Markdown, and their place in the docs: between `<!-- NAME -->` and `<!-- /NAME -->`."""

from __future__ import annotations

from pathlib import Path

from benchmarks.servers import SERVERS

Results = dict[str, dict[str, dict[str, float]]]
"""Model → server → figure."""


def whole(results: Results) -> str:
    """Every figure, a row a model and server. Ratios are to Salver's figure for the same model."""
    lines = [
        "| model | server | CPU µs a request | ÷ Salver's | requests/s | ÷ Salver's | p50 | p99 | p50, one client |",
        "|---|---|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for model, servers in results.items():
        ours = servers.get("salver")
        for server, figures in servers.items():
            cells = [
                model,
                SERVERS[server][0],
                _number(figures["cpu_us"]),
                _ratio(figures, ours, "cpu_us"),
                _number(figures["per_s"]),
                _ratio(figures, ours, "per_s"),
                _time(figures["p50_us"]),
                _time(figures["p99_us"]),
                _time(figures["alone_p50_us"]),
            ]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def short(results: Results) -> str:
    """Requests a second, a row a model; in brackets how many times fewer than Salver's."""
    servers = [server for server in SERVERS if any(server in row for row in results.values())]
    lines = [
        f"| requests/s, one core | {' | '.join(SERVERS[server][0] for server in servers)} |",
        f"|---|{'--:|' * len(servers)}",
    ]
    for model, row in results.items():
        ours = row.get("salver", {}).get("per_s")
        cells = [_short_cell(server, row[server]["per_s"], ours) if server in row else "not measured" for server in servers]
        lines.append(f"| {model} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def fill(page: Path, name: str, text: str) -> None:
    """Put `text` between the markers of `name` in a page."""
    before, start, rest = page.read_text().partition(f"<!-- {name} -->\n")
    _, end, after = rest.partition(f"<!-- /{name} -->")
    if not (start and end):
        raise ValueError(f"{page} has no place marked <!-- {name} --> … <!-- /{name} -->")
    page.write_text(before + start + text + end + after)


def _short_cell(server: str, per_s: float, ours: float | None) -> str:
    if server == "salver":
        return f"**{_number(per_s)}**"
    if ours is None:
        return _number(per_s)
    return f"{_number(per_s)} (1/{_number(ours / per_s)})" if per_s < ours else f"{_number(per_s)} ({per_s / ours:.1f}×)"


def _ratio(figures: dict[str, float], ours: dict[str, float] | None, figure: str) -> str:
    if ours is None:
        return ""
    ratio = figures[figure] / ours[figure]
    return f"{ratio:.3f}" if ratio < 0.1 else f"{ratio:.2f}" if ratio < 10 else f"{ratio:,.0f}"


def _number(value: float) -> str:
    return f"{value:.1f}" if value < 100 else f"{value:,.0f}"


def _time(us: float) -> str:
    if us < 1000:
        return f"{us:.0f} µs"
    return f"{us / 1000:.1f} ms" if us < 100_000 else f"{us / 1000:,.0f} ms"
