"""`/invocations` and what stands beside it: MLflow's scoring server, and SageMaker's containers, which claim the same route.

Which of the two it is can't be told from a body: MLflow's CSV has a line of names and SageMaker's has none.
"""

from __future__ import annotations

import asyncio
import io
import time
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from salver.errors import InputError, SalverError
from salver.server.asking import ask
from salver.server.body import read_body
from salver.server.formats import csv, media
from salver.server.formats.media import Part
from salver.server.problems import headers_of, status_of
from salver.server.protocols import frames, npy
from salver.server.protocols.codecs import Codecs
from salver.server.protocols.rows import RowCodec
from salver.server.settings import Settings
from salver.types.reference import Reference
from salver.types.rows import Row
from salver.types.signature import Columns, rows_of
from salver.version import __version__

INVOCATIONS = "/invocations"
_JSON = "application/json"
_CSV = "text/csv"
_ERRORS = {400: "BAD_REQUEST", 404: "RESOURCE_DOES_NOT_EXIST", 429: "REQUEST_LIMIT_EXCEEDED", 503: "TEMPORARILY_UNAVAILABLE"}
_ANY = ("", "*/*", "application/*")
_ANSWERS = (_JSON, _CSV, npy.MEDIA)

Checked = tuple[list[Row] | None, Columns | None, int]


def respond(error: SalverError) -> Response:
    """An error as MLflow writes it; SageMaker's clients pass on whatever it is."""
    status = 400 if isinstance(error, InputError) and status_of(error) in (400, 422) else status_of(error)
    body = {"error_code": _ERRORS.get(status, "INTERNAL_ERROR" if status >= 500 else "BAD_REQUEST"), "message": error.message}
    return Response(msgspec.json.encode(body), status, headers_of(error), _JSON)


class InvocationsFace:
    """The handlers of MLflow's and SageMaker's routes."""

    def __init__(self, codecs: Codecs, settings: Settings) -> None:
        self._codecs = codecs
        self._limits = settings.limits
        self._sagemaker = settings.protocols.invocations == "sagemaker"
        self._accept = settings.protocols.sagemaker_accept

    def routes(self) -> list[Route]:
        return [
            Route("/ping", self.ping),
            Route("/health", self.ping),
            Route("/version", self.version),
            Route("/execution-parameters", self.execution),
            Route(INVOCATIONS, self.invocations, methods=["POST"]),
        ]

    async def ping(self, http: Request) -> Response:
        return Response("\n", 200 if self._codecs.engine.all_ready else 503, media_type="text/plain")

    async def version(self, http: Request) -> Response:
        return Response(__version__, media_type="text/plain")

    async def execution(self, http: Request) -> Response:
        megabytes = max(1, self._limits.body_bytes // 2**20)
        limits = {"MaxConcurrentTransforms": 8, "BatchStrategy": "MULTI_RECORD", "MaxPayloadInMB": megabytes}
        return Response(msgspec.json.encode(limits), media_type=_JSON)

    async def invocations(self, http: Request) -> Response:
        """Of the model in the path, where there is one, else of the default."""
        arrived_ns = time.perf_counter_ns()
        kind, accept = self._kind(http.headers.get("content-type", "")), self._accepted(http)
        model = http.path_params.get("model")
        with self._codecs.lane(Reference.parse(model) if model else None, http.headers.get).held() as lane:
            codec = RowCodec(lane, self._limits)
            content = await read_body(http)
            lane.require_room(len(content))
            if self._sagemaker and not content:
                raise InputError("the body is empty", code="invalid_body")
            (rows, columns, count), bare = await asyncio.to_thread(self._question, codec, kind, content)
            batch, start = await ask(
                http, lane, arrived_ns=arrived_ns, size_bytes=len(content), count=count, rows=rows, columns=columns
            )
        predictions = codec.predictions(batch, start, count)
        if accept == _CSV:
            return Response("".join(f"{_cell(value)}\n" for value in predictions), media_type=_CSV)
        if accept == npy.MEDIA:
            return Response(npy.write(predictions), media_type=npy.MEDIA)
        return Response(msgspec.json.encode(predictions if bare else {"predictions": predictions}), media_type=_JSON)

    def _question(self, codec: RowCodec, kind: str, content: bytes) -> tuple[Checked, bool]:
        """What is asked, and whether the answer is a bare list."""
        signature = codec.lane.model.signature
        if kind == npy.MEDIA:
            return _checked(codec, Part(None, npy.read(content, signature.names))), True
        if kind == _CSV:
            parts = csv.read(io.BytesIO(content), signature, self._limits.rows + 1, header=not self._sagemaker)
            return _checked(codec, next(parts, Part([], None))), self._sagemaker
        if kind != _JSON:
            name = media.MEDIA[kind]
            return _checked(codec, next(media.module(name).read(io.BytesIO(content), signature, self._limits.rows + 1))), False
        body = frames.loads(content, self._limits)
        bare = self._sagemaker and isinstance(body, list)
        rows = frames.instances(codec, body) if bare else frames.rows(codec, body)
        return (rows, None, len(rows)), bare

    def _accepted(self, http: Request) -> str:
        """How SageMaker's client wants its answer; MLflow's are all in JSON. Raises InputError."""
        if not self._sagemaker:
            return _JSON
        kinds = media.preferred(http.headers.get("accept", "")) or [""]
        found = next((kind for kind in kinds if kind in _ANSWERS or kind in _ANY), None)
        if found is None:
            raise InputError(f"an answer can be {', '.join(_ANSWERS)}", code="not_acceptable")
        return self._accept if found in _ANY else found

    def _kind(self, content_type: str) -> str:
        """The media type of a body; JSON where nothing is said. Raises InputError for what is not read here."""
        kind, _, parameters = content_type.partition(";")
        kind = kind.strip().lower() or _JSON
        said = [one.strip().lower().replace('"', "") for one in parameters.split(";") if one.strip()]
        if not self._sagemaker and any(one not in ("charset=utf-8", "charset=utf8") for one in said):
            raise InputError("the only parameter of a content type that is known is charset=utf-8", code="unsupported_encoding")
        known = [_JSON, *media.MEDIA, *([npy.MEDIA] if self._sagemaker else [])]
        if kind not in known:
            raise InputError(f"Unrecognized content type; a body is {', '.join(known)}", code="unsupported_encoding")
        return kind


def _checked(codec: RowCodec, part: Part) -> Checked:
    if part.rows is not None:
        rows = codec.by_row([frames.known(codec, row) for row in part.rows])
        return rows, None, len(rows)
    assert part.columns is not None
    columns = codec.lane.model.checker.check_columns(frames.known(codec, part.columns))
    return None, columns, rows_of(columns)


def _cell(value: Any) -> str:
    if isinstance(value, list):
        return ",".join(map(_cell, value))
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
