"""The routes of the Open Inference Protocol V2."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from salver.engine.engine import Engine
from salver.errors import InputError, SalverError
from salver.server import reading
from salver.server.asking import ask
from salver.server.body import LARGE_BYTES, read_body
from salver.server.encodings import encoded
from salver.server.problems import headers_of
from salver.server.protocols import repository, v2_body
from salver.server.protocols.codecs import Codecs
from salver.server.protocols.infer import Codec, Question, error_status
from salver.server.protocols.v2_body import LENGTH_HEADER, Body
from salver.types.reference import Reference
from salver.version import __version__

PREFIX = "/v2"
EXTENSIONS = ["binary_tensor_data", "classification", "model_repository", "model_configuration", "statistics"]
_JSON = "application/json"


class _Index(msgspec.Struct):
    ready: bool = False


class _Load(msgspec.Struct):
    parameters: dict[str, Any] | None = None


_load_decoder = msgspec.json.Decoder(_Load)
_index_decoder = msgspec.json.Decoder(_Index)


def respond(error: SalverError) -> Response:
    """An error as V2 clients expect it."""
    return Response(v2_body.error_body(error), error_status(error), headers_of(error), _JSON)


class V2Face:
    """The handlers of the V2 routes."""

    def __init__(self, engine: Engine, codecs: Codecs) -> None:
        self._engine = engine
        self._codecs = codecs

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
            *(Route(f"{path}/config", self.config) for path in (model, versioned)),
            *(Route(f"{path}/stats", self.stats) for path in (model, versioned)),
            *(Route(f"{path}/infer", self.infer, methods=["POST"]) for path in (model, versioned)),
            Route("/v2/repository/index", self.index, methods=["POST"]),
            Route("/v2/repository/models/{model}/load", self.load, methods=["POST"]),
            Route("/v2/repository/models/{model}/unload", self.unload, methods=["POST"]),
        ]

    async def server(self, http: Request) -> Response:
        return _json({"name": "salver", "version": __version__, "extensions": EXTENSIONS})

    async def live(self, http: Request) -> Response:
        return _json({"live": True})

    async def ready(self, http: Request) -> Response:
        ready = self._engine.all_ready
        return _json({"ready": ready}, 200 if ready else 503)

    async def models(self, http: Request) -> Response:
        return _json({"models": list(self._engine.states)})

    async def model(self, http: Request) -> Response:
        codec = self._find(http)
        return _json(codec.metadata(self._codecs.versions(codec.name)))

    async def model_ready(self, http: Request) -> Response:
        return _json({"name": self._find(http).name, "ready": True})

    async def config(self, http: Request) -> Response:
        return _json(repository.configuration(self._find(http).metadata([])))

    async def infer(self, http: Request) -> Response:
        arrived_ns = time.perf_counter_ns()
        model, version = http.path_params["model"], http.path_params.get("version", "")
        codec = self._codecs.find(model, version, http.headers.get)
        with codec.lane.held():
            return await self._infer(http, codec, arrived_ns)

    async def _infer(self, http: Request, codec: Codec, arrived_ns: int) -> Response:
        content, length = await read_body(http), http.headers.get(LENGTH_HEADER)
        codec.lane.require_room(len(content))
        large = len(content) > LARGE_BYTES
        try:
            body, question = (
                await asyncio.to_thread(_asked, codec, content, length) if large else _asked(codec, content, length)
            )
        except InputError as error:
            codec.lane.stats.errors[error.code] += 1
            raise
        if other := self._codecs.other(codec, http.path_params.get("version", ""), question):
            codec, (body, question) = other, _asked(other, content, length)
        batch, start = await ask(
            http,
            codec.lane,
            arrived_ns=arrived_ns,
            size_bytes=len(content),
            count=question.count,
            rows=question.rows,
            columns=question.columns,
        )
        outputs = codec.answer(question, batch, start)
        answer, length = (
            await asyncio.to_thread(v2_body.write, codec, body, outputs) if large else v2_body.write(codec, body, outputs)
        )
        answer, headers = await encoded(http.headers.get("accept-encoding", ""), answer, large)
        if length is None:
            return Response(answer, headers=headers, media_type=_JSON)
        headers[LENGTH_HEADER] = str(length)  # before any compression
        return Response(answer, headers=headers, media_type="application/octet-stream")

    async def stats(self, http: Request) -> Response:
        lanes = [self._find(http).lane] if "model" in http.path_params else self._codecs.lanes()
        return _json({"model_stats": [repository.statistics(lane) for lane in lanes]})

    async def index(self, http: Request) -> Response:
        asked = reading.read(_index_decoder, await read_body(http) or b"{}", self._codecs.limits)
        return _json(repository.index(self._engine, asked.ready))

    async def load(self, http: Request) -> Response:
        name = Reference.parse(http.path_params["model"]).name
        asked = reading.read(_load_decoder, await read_body(http) or b"{}", self._codecs.limits)
        if any(parameter.startswith("file:") for parameter in asked.parameters or ()):
            raise InputError("models are loaded as the server was started with them; files are not taken", code="invalid_body")
        await repository.load(self._engine, name)
        return _json({"name": name, "load": True})

    async def unload(self, http: Request) -> Response:
        name = Reference.parse(http.path_params["model"]).name
        await repository.unload(self._engine, name)
        return _json({"name": name, "unload": True})

    def _find(self, http: Request) -> Codec:
        return self._codecs.find(http.path_params["model"], http.path_params.get("version", ""))


def _asked(codec: Codec, content: bytes, length: str | None) -> tuple[Body, Question]:
    body = v2_body.read(codec, content, length)
    return body, codec.question(body.inputs, body.outputs, body.classify)


def _json(content: Any, status: int = 200) -> Response:
    return Response(msgspec.json.encode(content), status, media_type=_JSON)
