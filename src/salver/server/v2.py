"""The routes of the Open Inference Protocol V2."""

from __future__ import annotations

import asyncio
import time
from typing import Any
from weakref import WeakKeyDictionary

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from salver.engine.engine import Engine
from salver.engine.lane import Lane
from salver.errors import InputError, NotFound, SalverError
from salver.server.asking import ask
from salver.server.body import LARGE_BYTES, read_body
from salver.server.infer import Codec, error_body, error_status
from salver.server.problems import headers_of
from salver.server.settings import Limits
from salver.types.reference import Reference
from salver.version import __version__

PREFIX = "/v2"


class _Index(msgspec.Struct):
    ready: bool = False


def respond(error: SalverError) -> Response:
    """An error as V2 clients expect it."""
    return Response(error_body(error), error_status(error), headers_of(error), "application/json")


class V2Face:
    """The handlers of the V2 routes."""

    def __init__(self, engine: Engine, limits: Limits) -> None:
        self._engine = engine
        self._limits = limits
        self._codecs: WeakKeyDictionary[Lane, Codec] = WeakKeyDictionary()

    def routes(self) -> list[Route]:
        model, versioned = "/v2/models/{model}", "/v2/models/{model}/versions/{version}"
        return [
            Route("/v2", self.server),
            Route("/v2/", self.server),
            Route("/v2/health/live", self.live),
            Route("/v2/health/ready", self.ready),
            Route("/v2/models", self.models),
            Route("/v2/models/stats", self.stats),
            *(Route(path, self.model) for path in (model, versioned)),
            *(Route(f"{path}/ready", self.model_ready) for path in (model, versioned)),
            *(Route(f"{path}/stats", self.stats) for path in (model, versioned)),
            *(Route(f"{path}/infer", self.infer, methods=["POST"]) for path in (model, versioned)),
            Route("/v2/repository/index", self.index, methods=["POST"]),
        ]

    async def server(self, http: Request) -> Response:
        return JSONResponse({"name": "salver", "version": __version__, "extensions": []})

    async def live(self, http: Request) -> Response:
        return JSONResponse({"live": True})

    async def ready(self, http: Request) -> Response:
        return JSONResponse({"ready": self._engine.ready}, 200 if self._engine.ready else 503)

    async def models(self, http: Request) -> Response:
        return JSONResponse({"models": list(self._engine.states)})

    async def model(self, http: Request) -> Response:
        lane = self._find(http)
        versions = sorted(self._engine.lanes[lane.model.name])
        return JSONResponse(self._codec(lane).metadata([str(number) for number in versions]))

    async def model_ready(self, http: Request) -> Response:
        return JSONResponse({"name": self._find(http).model.name, "ready": True})

    async def infer(self, http: Request) -> Response:
        arrived_ns = time.perf_counter_ns()
        codec = self._codec(self._find(http))
        if "inference-header-content-length" in http.headers:
            raise InputError("binary tensors are not read here; send their data as JSON", code="invalid_body")
        body = await read_body(http)
        large = len(body) > LARGE_BYTES
        question = await asyncio.to_thread(codec.question, body) if large else codec.question(body)
        batch, start = await ask(
            http, codec.lane, arrived_ns=arrived_ns, size_bytes=len(body), count=question.count, columns=question.columns
        )
        answer = (
            await asyncio.to_thread(codec.answer, question, batch, start) if large else codec.answer(question, batch, start)
        )
        return Response(answer, media_type="application/json")

    async def stats(self, http: Request) -> Response:
        if "model" in http.path_params:
            lanes = [self._find(http)]
        else:
            lanes = [lane for versions in self._engine.lanes.values() for lane in versions.values()]
        return JSONResponse({"model_stats": [_stats(lane) for lane in lanes]})

    async def index(self, http: Request) -> Response:
        only_ready = _only_ready(await read_body(http))
        listed = [
            {"name": lane.model.name, "version": str(number), "state": "READY", "reason": ""}
            for versions in self._engine.lanes.values()
            for number, lane in sorted(versions.items())
        ]
        if not only_ready:
            waiting = [name for name in self._engine.states if name not in self._engine.lanes]
            states = {"loading": "LOADING", "failed": "UNAVAILABLE"}
            listed += [{"name": n, "version": "", "state": states[self._engine.states[n]], "reason": ""} for n in waiting]
        return JSONResponse(listed)

    def _find(self, http: Request) -> Lane:
        name, number = http.path_params["model"], http.path_params.get("version")
        reference = Reference.parse(name if number is None else f"{name}@{number}")
        try:
            return self._engine.find(reference)
        except NotFound as error:
            # Stock clients look for these words.
            which = f" version '{number}'" if number is not None else ""
            raise NotFound(f"Request for unknown model: '{name}'{which} is not found", code=error.code) from error

    def _codec(self, lane: Lane) -> Codec:
        found = self._codecs.get(lane)
        if found is None:
            found = self._codecs[lane] = Codec(lane, self._limits)
        return found


def _only_ready(body: bytes) -> bool:
    try:
        return msgspec.json.decode(body or b"{}", type=_Index).ready
    except msgspec.MsgspecError as error:
        raise InputError('the body may be empty or {"ready": true}', code="invalid_body") from error


def _stats(lane: Lane) -> dict[str, Any]:
    stats = lane.stats
    answered = {"count": stats.latency_s.count, "ns": round(stats.latency_s.sum * 1e9)}
    return {
        "name": lane.model.name,
        "version": str(lane.model.version),
        "inference_count": stats.rows,
        "execution_count": stats.predict_s.count,
        "inference_stats": {
            "success": answered,
            "fail": {"count": sum(stats.errors.values()), "ns": 0},
            "queue": {"count": stats.queue_s.count, "ns": round(stats.queue_s.sum * 1e9)},
            "compute_infer": {"count": stats.predict_s.count, "ns": round(stats.predict_s.sum * 1e9)},
        },
        "batch_stats": [],
    }
