"""The service GRPCInferenceService: each of its calls, a thin wrapper over the same codecs and engine as the REST routes."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from typing import Any

import msgspec
from grpclib.const import Cardinality, Handler
from grpclib.server import Stream

from salver.door.key import Key
from salver.engine.engine import Engine
from salver.errors import NotFound, SalverError, Unavailable
from salver.server.access import Visit
from salver.server.asking import AskedRequest, answered
from salver.server.body import LARGE_BYTES
from salver.server.entrance import Entrance
from salver.server.problems import unexpected
from salver.server.protocols import repository
from salver.server.protocols.infer import Codec, Metadata
from salver.server.protocols.v2 import EXTENSIONS
from salver.server.rpc import infer
from salver.server.rpc.codes import CODE, grpc_status
from salver.server.rpc.frames import receive
from salver.server.rpc.hot import TEMPLATE
from salver.server.rpc.messages import SERVICE, message, parsed
from salver.server.rpc.underway import Underway
from salver.types.reference import Reference
from salver.version import __version__

logger = logging.getLogger("salver")

_metadata: ContextVar[Mapping[str, object]] = ContextVar("metadata")
"""Of the call that the task at hand answers."""

_MODEL = "/v2/models/{model}"
TWINS = {
    "ServerLive": ("GET", "/v2/health/live"),
    "ServerReady": ("GET", "/v2/health/ready"),
    "ServerMetadata": ("GET", "/v2"),
    "ModelReady": ("GET", f"{_MODEL}/ready"),
    "ModelMetadata": ("GET", _MODEL),
    "ModelInfer": ("POST", TEMPLATE),
    "ModelConfig": ("GET", f"{_MODEL}/config"),
    "ModelStatistics": ("GET", f"{_MODEL}/stats"),
    "RepositoryIndex": ("POST", "/v2/repository/index"),
    "RepositoryModelLoad": ("POST", "/v2/repository/models/{model}/load"),
    "RepositoryModelUnload": ("POST", "/v2/repository/models/{model}/unload"),
}
"""The REST route that does the same: who may ask it may call this, and the audit log names it."""

Call = Callable[[Any], Awaitable[Any]]
AnyStream = Stream[Any, Any]


class Service:
    """The calls. Each takes the request's message and gives the answer's, or raises SalverError."""

    def __init__(self, engine: Engine, entrance: Entrance, underway: Underway) -> None:
        self._engine = engine
        self._codecs = entrance.codecs
        self._gate = entrance.gate
        self._message_bytes = entrance.settings.limits.grpc_message_bytes
        self._underway = underway

    def __mapping__(self) -> dict[str, Handler]:
        """The handlers by path, as grpclib asks for them."""
        calls: dict[str, Call] = {
            "ServerLive": self.server_live,
            "ServerReady": self.server_ready,
            "ServerMetadata": self.server_metadata,
            "ModelReady": self.model_ready,
            "ModelMetadata": self.model_metadata,
            "ModelInfer": self.model_infer,
            "ModelConfig": self.model_config,
            "ModelStatistics": self.model_statistics,
            "RepositoryIndex": self.repository_index,
            "RepositoryModelLoad": self.repository_model_load,
            "RepositoryModelUnload": self.repository_model_unload,
        }
        made = {f"/{SERVICE}/{name}": self._unary(name, call) for name, call in calls.items()}
        kinds = message("ModelInferRequest"), message("ModelStreamInferResponse")
        made[f"/{SERVICE}/ModelStreamInfer"] = Handler(self.model_stream_infer, Cardinality.STREAM_STREAM, *kinds)
        return made

    def _enter(self, stream: AnyStream, name: str, request: Any) -> tuple[Visit, Key | None]:
        """Let a caller in who might ask the same over HTTP, and count the call. Raises what the gate raises."""
        _metadata.set(stream.metadata or {})
        method, template = TWINS[name]
        model = _model_of(request)
        headers = [(name.encode(), str(value).encode()) for name, value in (stream.metadata or {}).items()]
        visit = Visit(method, template, {"model": model} if "{model}" in template else {}, _address(stream))
        key = self._gate.enter(headers, visit)
        self._gate.count(key)
        return visit, key

    def _unary(self, name: str, call: Call) -> Handler:
        kind, response = message(f"{name}Request"), message(f"{name}Response")

        async def handle(stream: AnyStream) -> None:
            self._underway.begun()
            try:
                if self._underway.draining:
                    raise Unavailable("the server is stopping")
                request = parsed(kind, await receive(stream, self._message_bytes) or b"")
                visit, key = self._enter(stream, name, request)
                answer = await call(request)
                if visit.wants == "manage":
                    self._gate.did(visit, key, 200)
                await stream.send_message(answer)
            except SalverError as error:
                await _refuse(stream, error)
            except Exception as error:
                logger.exception("%s failed", name)
                await _refuse(stream, unexpected(error))
            finally:
                self._underway.ended()

        return Handler(handle, Cardinality.UNARY_UNARY, kind, response)

    async def server_live(self, request: Any) -> Any:
        return message("ServerLiveResponse")(live=True)

    async def server_ready(self, request: Any) -> Any:
        return message("ServerReadyResponse")(ready=self._engine.all_ready)

    async def server_metadata(self, request: Any) -> Any:
        return message("ServerMetadataResponse")(name="salver", version=__version__, extensions=EXTENSIONS)

    async def model_ready(self, request: Any) -> Any:
        try:
            self._codecs.find(request.name, request.version)
        except (NotFound, Unavailable):  # a question about readiness is answered, not refused
            return message("ModelReadyResponse")(ready=False)
        return message("ModelReadyResponse")(ready=True)

    async def model_metadata(self, request: Any) -> Any:
        codec = self._codecs.find(request.name, request.version)
        metadata = codec.metadata(self._codecs.versions(codec.name))
        return message("ModelMetadataResponse")(**_fields(metadata))

    async def model_infer(self, request: Any) -> Any:
        arrived_ns = time.perf_counter_ns()
        codec = self._codecs.find(request.model_name, request.model_version, _sent)
        with codec.lane.held():
            return await self._infer(request, codec, arrived_ns)

    async def _infer(self, request: Any, codec: Codec, arrived_ns: int) -> Any:
        size_bytes = request.ByteSize()
        codec.lane.require_room(size_bytes)
        large = size_bytes > LARGE_BYTES
        question = await asyncio.to_thread(infer.question, codec, request) if large else infer.question(codec, request)
        if other := self._codecs.other(codec, request.model_version, question):
            codec, question = other, infer.question(other, request)
        asked = AskedRequest(
            count=question.count,
            rows=question.rows,
            columns=question.columns,
            size_bytes=size_bytes,
            arrived_ns=arrived_ns,
            source="grpc",
        )
        batch, start = await answered(codec.lane, asked)
        outputs = codec.answer(question, batch, start)
        if large:
            return await asyncio.to_thread(infer.write, codec, request, outputs)
        return infer.write(codec, request, outputs)

    async def model_stream_infer(self, stream: AnyStream) -> None:
        """Each request's answer in its turn; an error answers its own request, and the stream goes on."""
        request, response = message("ModelInferRequest"), message("ModelStreamInferResponse")
        try:
            while (content := await receive(stream, self._message_bytes)) is not None:
                try:
                    asked = parsed(request, content)
                    self._enter(stream, "ModelInfer", asked)
                    answer = response(infer_response=await self.model_infer(asked))
                except SalverError as error:
                    answer = response(error_message=error.message)
                await stream.send_message(answer)
        except SalverError as error:  # of the stream itself
            await _refuse(stream, error)

    async def model_config(self, request: Any) -> Any:
        made = repository.configuration(self._codecs.find(request.name, request.version).metadata([]))
        return message("ModelConfigResponse")(config=made)

    async def model_statistics(self, request: Any) -> Any:
        lanes = [self._codecs.find(request.name, request.version).lane] if request.name else self._codecs.lanes()
        return message("ModelStatisticsResponse")(model_stats=[repository.statistics(lane) for lane in lanes])

    async def repository_index(self, request: Any) -> Any:
        listed = repository.index(self._engine, request.ready)
        return message("RepositoryIndexResponse")(models=[msgspec.to_builtins(one) for one in listed])

    async def repository_model_load(self, request: Any) -> Any:
        name = _named(request)
        await repository.load(self._engine, name)
        return message("RepositoryModelLoadResponse")(model_name=name, is_loaded=True)

    async def repository_model_unload(self, request: Any) -> Any:
        name = _named(request)
        await repository.unload(self._engine, name)
        return message("RepositoryModelUnloadResponse")(model_name=name, is_unloaded=True)


def _model_of(request: Any) -> str:
    for field in ("name", "model_name", "repository_name"):
        if named := getattr(request, field, ""):
            return str(named)
    return ""


def _address(stream: AnyStream) -> str:
    return str((stream.peer.addr() or ("",))[0])


def _named(request: Any) -> str:
    """The model of a repository request: KServe's clients put it where others have the repository."""
    return Reference.parse(request.model_name or request.repository_name).name


def _sent(name: str) -> str | None:
    """What this call's metadata has under a name: headers, as HTTP calls them."""
    value = _metadata.get().get(name)
    return value if isinstance(value, str) else None


def _fields(metadata: Metadata) -> dict[str, Any]:
    return msgspec.to_builtins(metadata)


async def _refuse(stream: AnyStream, error: SalverError) -> None:
    await stream.send_trailing_metadata(status=grpc_status(error), status_message=error.message, metadata={CODE: error.code})
