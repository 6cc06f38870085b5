"""The ASGI app: every route, each a thin wrapper over the engine."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from salver.engine.engine import Engine
from salver.engine.lane import Lane
from salver.errors import NotFound, SalverError
from salver.log.writer import Writer
from salver.server import following
from salver.server.access import guard
from salver.server.accuracy import AccuracyFace
from salver.server.asking import ClientGone, ask, server_timing
from salver.server.body import LARGE_BYTES, read_body
from salver.server.changing import RouteFace
from salver.server.dashboard import DashboardFace
from salver.server.encodings import encoded
from salver.server.entrance import Entrance
from salver.server.erasing import EraseFace
from salver.server.formats import media
from salver.server.hot_routes import HotRoutes
from salver.server.labels import LabelFace
from salver.server.metric import Seen
from salver.server.metrics import Metrics
from salver.server.problems import MEDIA_TYPE, headers_of, problem, status_of, unexpected
from salver.server.protocols import invocations, v1, v2
from salver.server.protocols.sagemaker import SageMakerFace
from salver.server.protocols.vertex import VertexFace
from salver.server.table import predict_table, table_answer
from salver.server.workers import Worker
from salver.types.reference import Reference

logger = logging.getLogger("salver")


def make_app(engine: Engine, entrance: Entrance, log: Writer | None, worker: Worker | None = None) -> Starlette:
    """The app that serves `engine`, whose predictions `log` holds, to those who come in by `entrance`, beside other workers."""
    settings = entrance.settings
    face = Face(engine, entrance.routes)
    metrics = Metrics(Seen(engine, log, entrance.gate, entrance.routes.guard, worker))
    scoring = invocations.InvocationsFace(entrance.codecs, settings)
    app = Starlette(
        routes=[
            *SageMakerFace(entrance.codecs, settings.protocols, scoring.invocations).routes(entrance.gate),
            *VertexFace(entrance.codecs, settings.protocols, face.predict).routes(entrance.gate),
            *DashboardFace(engine, log, entrance, metrics).routes(),
            *guard(
                [
                    Route("/predict", face.predict, methods=["POST"]),
                    Route("/models", face.models),
                    Route("/models/{ref}", face.model),
                    Route("/models/{ref}/predict", face.predict, methods=["POST"]),
                    Route("/health/live", face.live),
                    Route("/health/ready", face.ready),
                    Route("/metrics", metrics.scrape),
                    Route("/openapi.json", face.openapi),
                    Route("/docs", face.docs),
                    *RouteFace(engine).routes(),
                    *LabelFace(engine, log).routes(),
                    *EraseFace(engine, log).routes(),
                    *AccuracyFace(engine, log).routes(),
                    *v1.V1Face(entrance.codecs).routes(),
                    *v2.V2Face(engine, entrance.codecs).routes(),
                    *scoring.routes(),
                ],
                entrance.gate,
            ),
        ],
        exception_handlers={
            SalverError: _salver_error,
            HTTPException: _http_error,
            ClientGone: _client_gone,
            ClientDisconnect: _client_gone,
            Exception: _unexpected_error,
        },
        middleware=_cross_origin(settings.cors.origins),
    )
    app.router.redirect_slashes = False  # where to would come from the Host header
    app.state.limits = settings.limits
    return app


def _cross_origin(origins: list[str]) -> list[Middleware]:
    if not origins:
        return []
    headers = ["authorization", "x-api-key", "content-type", "server-timing"]
    return [Middleware(CORSMiddleware, allow_origins=origins, allow_methods=["GET", "POST"], allow_headers=headers)]


_FACES = {v2.PREFIX: v2.respond, v1.PREFIX: v1.respond, invocations.INVOCATIONS: invocations.respond}
"""How errors are said, by the beginning of the path; elsewhere they are problem documents."""


class Face:
    """The handlers of the native routes."""

    def __init__(self, engine: Engine, routes: HotRoutes) -> None:
        self._engine = engine
        self._routes = routes

    async def predict(self, http: Request) -> Response:
        arrived_ns = time.perf_counter_ns()
        reference = http.path_params.get("ref")
        named = None if reference is None else Reference.parse(reference)
        split = self._engine.split(named)
        found = self._engine.find(named) if split is None else split.by_head(http.headers.get)
        asked = media.named(http.headers.get("content-type", ""))
        answered = media.accepted(http.headers.get("accept", ""), asked)
        with found.held() as lane:
            if asked:
                return await predict_table(http, lane, asked, answered)
            codec = self._routes.native(lane)
            body = await read_body(http)
            lane.require_room(len(body))
            large = len(body) > LARGE_BYTES
            rows, form, keys = await asyncio.to_thread(codec.question, body) if large else codec.question(body)
            if split is not None and split.by_body and (chosen := split.by_rows(rows, None, keys)) is not lane:
                lane, codec = chosen, self._routes.native(chosen)
                rows, form, keys = codec.question(body)
            parsed_ns = time.perf_counter_ns()
            batch, start = await ask(
                http, lane, arrived_ns=arrived_ns, size_bytes=len(body), count=len(rows), rows=rows, keys=keys
            )  # fmt: skip
        if answered:
            return await table_answer(http, lane, answered, batch, start, len(rows))
        body, headers = await encoded(
            http.headers.get("accept-encoding", ""), codec.answer(form, batch, start, len(rows)), large
        )
        if "server-timing" in http.headers:
            headers["server-timing"] = server_timing(arrived_ns, parsed_ns, batch, time.perf_counter_ns())
        return Response(body, media_type="application/json", headers=headers)

    async def models(self, http: Request) -> Response:
        described = [describe(self._engine.find(Reference(name))) for name, versions in self._engine.lanes.items() if versions]
        waiting = [
            {"name": name, "state": state} for name, state in self._engine.states.items() if name not in self._engine.lanes
        ]
        return JSONResponse({"models": [*described, *waiting]})

    async def model(self, http: Request) -> Response:
        lane = self._engine.find(Reference.parse(http.path_params["ref"]))
        followed = following.described(self._engine, lane.model.name)
        return JSONResponse({**describe(lane, whole=True), **followed})

    async def openapi(self, http: Request) -> Response:
        from salver.server.openapi import document

        return JSONResponse(document(self._engine))

    async def docs(self, http: Request) -> Response:
        from salver.server.docs_page import DocsPage

        return await DocsPage(self._engine).show(http)

    async def live(self, http: Request) -> Response:
        return JSONResponse({"live": True})

    async def ready(self, http: Request) -> Response:
        ready = self._engine.all_ready
        return JSONResponse({"ready": ready, "models": self._engine.states}, 200 if ready else 503)


def describe(lane: Lane, whole: bool = False) -> dict[str, Any]:
    """What a client may know of a model."""
    manifest = lane.model.manifest
    described: dict[str, Any] = {
        "name": manifest.name,
        "version": lane.model.version,
        "state": "ready",
        "task": manifest.signature.task,
        "framework": msgspec.to_builtins(manifest.framework),
        "runtime": manifest.runtime.kind,
        "speedup": round(manifest.lowering.speedup, 1),
    }
    if whole:
        described["signature"] = msgspec.to_builtins(manifest.signature)
        described["lowering"] = msgspec.to_builtins(manifest.lowering)
        described["example"] = lane.model.artifact.golden.rows[0]
    return described


def respond(http: Request, error: SalverError) -> Response:
    """An error in the shape of the protocol that the request's path belongs to."""
    path = http.url.path
    for prefix, face in _FACES.items():
        if path.startswith(prefix):
            return face(error)
    return Response(problem(error), status_of(error), headers_of(error), MEDIA_TYPE)


def _salver_error(http: Request, error: Exception) -> Response:
    assert isinstance(error, SalverError)
    return respond(http, error)


def _http_error(http: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == 405:
        allowed = (error.headers or {}).get("Allow", "")
        made = respond(http, SalverError(f"this route takes {allowed}", code="method_not_allowed"))
        made.headers["allow"] = allowed
        return made
    return respond(http, NotFound("no such route; GET /docs lists them"))


def _client_gone(http: Request, error: Exception) -> Response:
    return Response(status_code=499)  # nobody reads it; the number is nginx's, for logs


def _unexpected_error(http: Request, error: Exception) -> Response:
    return respond(http, unexpected(error))
