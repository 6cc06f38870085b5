"""GET /docs: one page about the models served here, written by the server and needing nothing from anywhere else."""

from __future__ import annotations

import json
import secrets
import shlex
from functools import cache
from html import escape
from importlib.resources import files
from string import Template
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from salver.artifact.described import how_served
from salver.engine.engine import Engine
from salver.engine.lane import Lane
from salver.server.meanings import MEANING
from salver.server.openapi import document, newest
from salver.server.problems import STATUS
from salver.types.signature import Column, Label, Output
from salver.version import __version__

LABELS = 12
"""How many categories of a column, or classes of an output, are listed."""

SNIPPET_CHARACTERS = 4000
"""Nobody pastes a longer example, such as an image, into a terminal."""


class DocsPage:
    """The page of one server."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def show(self, http: Request) -> Response:
        nonce = secrets.token_urlsafe(16)
        policy = (
            f"default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; connect-src 'self'; "
            "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        )
        headers = {
            "content-security-policy": policy,
            "x-content-type-options": "nosniff",
            "referrer-policy": "no-referrer",
            "cache-control": "no-store",  # each page has a nonce of its own
        }
        return HTMLResponse(page(self._engine, str(http.base_url).rstrip("/"), nonce), headers=headers)


def page(engine: Engine, url: str, nonce: str) -> str:
    """The page as HTML. Whatever comes from a model, or from the request, is escaped."""
    lanes = newest(engine)
    paths = document(engine)["paths"]
    return _template().substitute(
        nonce=nonce,
        version=escape(__version__),
        contents="".join(f'<a href="#{_anchor(lane)}">{escape(lane.model.name)}</a>' for lane in lanes),
        models="\n".join(_model(lane, url) for lane in lanes) or "<p>No model is ready yet.</p>",
        routes="\n".join(
            _row(method.upper(), f"<code>{escape(path)}</code>", escape(operation["summary"]))
            for path, operations in paths.items()
            for method, operation in operations.items()
        ),
        errors="\n".join(
            _row(f"<code>{code}</code>", str(status), escape(MEANING[code]), anchor=f"error-{code}")
            for code, status in STATUS.items()
        ),
    )


@cache
def _template() -> Template:
    return Template(files("salver.server").joinpath("page.html").read_text(encoding="utf-8"))


def _model(lane: Lane, url: str) -> str:
    signature, name = lane.model.signature, lane.model.name
    route = f"/models/{name}/predict"
    body = {"features": lane.model.artifact.golden.rows[0]}
    text = json.dumps(body, ensure_ascii=False)
    snippets = _snippets(url + route, body, text) if len(text) <= SNIPPET_CHARACTERS else ""
    columns = "\n".join(_column(place, column) for place, column in enumerate(signature.columns))
    return f"""<section aria-labelledby="{_anchor(lane)}">
<h2 id="{_anchor(lane)}">{escape(name)} <small>version {lane.model.version} · {escape(signature.task)}</small></h2>
{"".join(f"<p>{escape(line[0].upper() + line[1:])}.</p>" for line in how_served(lane.model.manifest))}
<h3>Columns</h3>
<div class="wide"><table><thead><tr><th>Place</th><th>Name</th><th>Takes</th><th>May be missing</th></tr></thead><tbody>
{columns}
</tbody></table></div>
<h3>Answer</h3>
<p>{_answer(lane)}</p>
<h3>Try it</h3>
<form data-route="{escape(route)}">
<textarea name="body" rows="3" spellcheck="false" aria-label="The request's body">{escape(text)}</textarea>
<button>Predict</button>
<output aria-live="polite"></output>
</form>
{snippets}
</section>"""


def _column(place: int, column: Column) -> str:
    return _row(str(place), f"<code>{escape(column.name)}</code>", _takes(column), "yes" if column.nullable else "no")


def _takes(column: Column) -> str:
    if column.categories is None:
        return _typed(column)
    return _listed(column.categories) + (", or another" if column.unseen else "")


def _answer(lane: Lane) -> str:
    signature = lane.model.signature
    given = [_output(output) for output in signature.outputs if output.name not in ("probabilities", "scores")]
    asked = (
        ' With <code>"probabilities": true</code>, the probability of each too.' if signature.output("probabilities") else ""
    )
    return f"{'; '.join(given)}.{asked}"


def _output(output: Output) -> str:
    classes: Any = output.classes
    if classes is None or output.is_multilabel:
        return f"<code>{escape(output.name)}</code>: {_typed(output)}"
    return f"<code>{escape(output.name)}</code>: one of {_listed(classes)}"


def _typed(declared: Column | Output) -> str:
    shape = "×".join("any" if size < 0 else str(size) for size in declared.shape)
    return escape(declared.dtype) + (f" of shape {shape}" if shape else "")


def _listed(labels: tuple[Label, ...]) -> str:
    shown = ", ".join(f"<code>{escape(json.dumps(label, ensure_ascii=False))}</code>" for label in labels[:LABELS])
    more = len(labels) - LABELS
    return shown + (f" and {more} more" if more > 0 else "")


def _snippets(url: str, body: dict[str, Any], text: str) -> str:
    written = {"curl": _curl(url, text), "Python": _python(url, body)}
    return "\n".join(f"<details><summary>{way}</summary><pre>{escape(code)}</pre></details>" for way, code in written.items())


def _curl(url: str, text: str) -> str:
    return f"curl -d {shlex.quote(text)} {shlex.quote(url)}"


def _python(url: str, body: dict[str, Any]) -> str:
    return f"""import json
from urllib.request import urlopen

body = {body!r}
print(json.load(urlopen({url!r}, json.dumps(body).encode())))"""


def _row(*cells: str, anchor: str = "") -> str:
    return (f'<tr id="{anchor}">' if anchor else "<tr>") + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"


def _anchor(lane: Lane) -> str:
    return f"model-{escape(lane.model.name)}"
