"""The two routes that Vertex AI asks of a container, wherever it wants them."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Any, cast

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from salver.errors import InputError
from salver.server.access import Gate, guard
from salver.server.asking import ask
from salver.server.body import read_body
from salver.server.protocols import frames
from salver.server.protocols.codecs import Codecs
from salver.server.protocols.rows import RowCodec
from salver.server.settings import Protocols

_JSON = "application/json"
SHORT_PATH = "/predict"
"""The route where Salver's own bodies are answered too."""

Handler = Callable[[Request], Awaitable[Response]]


class VertexFace:
    """The handlers. Where the route of predictions is `/predict`, what has no instances goes on to `native`."""

    def __init__(self, codecs: Codecs, protocols: Protocols, native: Handler) -> None:
        self._codecs = codecs
        self._protocols = protocols
        self._native = native

    def routes(self, gate: Gate) -> list[Route]:
        """The routes, where any are wanted, behind the gate: who may ask is as on the native ones."""
        health, predict = self._protocols.vertex_health, self._protocols.vertex_predict
        made = guard([Route(health, self.health)], gate, "/health/ready") if health else []
        return made + (guard([Route(predict, self.predict, methods=["POST"])], gate, SHORT_PATH) if predict else [])

    async def health(self, http: Request) -> Response:
        return Response(b"{}", 200 if self._codecs.engine.all_ready else 503, media_type=_JSON)

    async def predict(self, http: Request) -> Response:
        arrived_ns = time.perf_counter_ns()
        with self._codecs.lane(None, http.headers.get).held() as lane:
            codec = RowCodec(lane, self._codecs.limits)
            content = await read_body(http)
            lane.require_room(len(content))
            body = frames.loads(content, self._codecs.limits)
            named = cast("dict[str, Any]", body) if isinstance(body, dict) else {}
            if "features" in named or ("instances" not in named and self._protocols.vertex_predict == SHORT_PATH):
                http.state.body = content
                return await self._native(http)
            given = named.get("instances")
            if not isinstance(given, list):
                raise InputError('the body must have "instances", a list of rows', code="invalid_body")
            rows = frames.instances(codec, given)
            batch, start = await ask(http, lane, arrived_ns=arrived_ns, size_bytes=len(content), count=len(rows), rows=rows)
        predictions = codec.predictions(batch, start, len(rows))
        return Response(msgspec.json.encode({"predictions": predictions}), media_type=_JSON)
