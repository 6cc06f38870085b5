"""What every connection of a server shares: which targets are hot, who answers them, and the heads that were seen."""

from __future__ import annotations

import re
from random import random
from typing import Any, NamedTuple
from weakref import WeakSet

from salver.door.bucket import Bucket
from salver.engine.engine import Engine
from salver.engine.lane import Lane
from salver.engine.split import Split
from salver.errors import NotFound, Overloaded
from salver.server.access import Gate, Headers, Visit
from salver.server.asking import TIMEOUT, timeout_ns
from salver.server.guarded import Guard
from salver.server.hot_codec import HotCodec, refusal_of, start_of
from salver.server.predict import Codec
from salver.server.protocols.codecs import not_found
from salver.server.protocols.v2_hot import InferCodec
from salver.types.reference import Reference

BODY_BYTES = 64 * 1024
"""A larger body is read and answered by the ASGI app, off the event loop where it takes long."""

_NATIVE = re.compile(rb"/models/([A-Za-z0-9][A-Za-z0-9_.@-]*)/predict")
_V2 = re.compile(rb"/v2/models/([A-Za-z0-9][A-Za-z0-9_.-]*)(?:/versions/([0-9]{1,9}))?/infer")
_HEADS = 1024

_Known = tuple[bytes, int, Any]
"""A head, the size of the whole message, and the codec that answers it."""

NOTHING: _Known = (b"", -1, None)


class Target(NamedTuple):
    """What a hot target means: the protocol's codec, the template of the route, the model and version that it names."""

    kind: type[HotCodec]
    template: str
    model: str = ""
    version: str = ""

    @property
    def reference(self) -> Reference | None:
        """None on `/predict`. Raises InputError."""
        if not self.model:
            return None
        return Reference.parse(f"{self.model}@{self.version}" if self.version else self.model)


SHORT = Target(Codec, "/predict")


def target_of(target: bytes) -> Target | None:
    """What a request target means where it is that of an inference route, spelled plainly."""
    if target == b"/predict":
        return SHORT
    if found := _NATIVE.fullmatch(target):
        return Target(Codec, "/models/{ref}/predict", found[1].decode("ascii"))
    if found := _V2.fullmatch(target):
        return Target(InferCodec, "/v2/models/{model}/infer", found[1].decode("ascii"), (found[2] or b"").decode("ascii"))
    return None


class HotRoutes:
    """Finds the codec that answers a target, and remembers what heads mean."""

    def __init__(self, engine: Engine, gate: Gate, guard: Guard) -> None:
        self.heads: dict[bytes, _Known] = {}
        self.guard = guard
        self.body_bytes = min(BODY_BYTES, guard.limits.body_bytes)
        self.taken = b""  # a target that another protocol has
        self._engine = engine
        self.gate = gate
        self._codecs: dict[tuple[Any, ...], Any] = {}
        self._timed: WeakSet[HotCodec] = WeakSet()  # callers think of any number of timeouts
        self.headers: list[tuple[bytes, bytes]] | None = None
        self.ok = b""  # status line and headers up to the value of content-length
        self._overloaded: dict[type[HotCodec], bytes] = {}
        engine.on_change.append(self.forget)

    def forget(self) -> None:
        """Forget the heads: what they mean, or who may send them, is not what it was."""
        for codec in (*self._codecs.values(), *self._timed):
            codec.current = False
        self._codecs.clear()
        self.heads.clear()

    def door(self, target: Target, headers: Headers, address: str) -> HotCodec:
        """The codec of the model that answers a target, for a caller who may ask it. Raises what the gate and `find` raise."""
        reference = target.reference
        parameters = {"ref": reference.name} if reference else {}
        key = self.gate.enter(headers, Visit("POST", target.template, parameters, address))
        bucket, kind = self.gate.ring.bucket(key), target.kind
        given = _header(headers, TIMEOUT)
        try:
            codec = self._found(reference, headers, bucket, kind)
        except NotFound as error:
            raise error if kind is Codec else not_found(target.model, target.version, error) from error
        if given is None:
            return codec
        codec = codec.timed(timeout_ns(given))
        self._timed.add(codec)
        return codec

    def _found(self, reference: Reference | None, headers: Headers, bucket: Bucket | None, kind: type[HotCodec]) -> HotCodec:
        split = self._engine.split(reference)
        if split is None:
            return self.codec(self._engine.find(reference), bucket, kind=kind)
        if split.header:  # the same head leads to the same version
            return self.codec(split.by_head(lambda name: _header(headers, name)), bucket, kind=kind)
        return self.codec(split.default, bucket, split, kind)

    def native(self, lane: Lane) -> Codec:
        """The codec of a lane's model for the native routes."""
        codec = self.codec(lane)
        assert isinstance(codec, Codec)
        return codec

    def codec(
        self, lane: Lane, bucket: Bucket | None = None, split: Split[Lane] | None = None, kind: type[HotCodec] = Codec
    ) -> HotCodec:
        """The codec of a lane's model, made once; one of its own for a key whose requests are counted, and one for a split."""
        place = id(lane), id(bucket), id(split), kind
        found = self._codecs.get(place)
        if found is not None and found.lane is lane and found.bucket is bucket and found.split is split:
            return found
        if bucket is not None:
            made = self.codec(lane, None, split, kind).counted(bucket)
        elif split is not None:
            made = self.codec(lane, kind=kind).divided(split)
        else:
            made = Codec(lane, self.guard.limits) if kind is Codec else InferCodec(lane, self.guard.limits)
        self._codecs[place] = made
        return made

    def chosen(self, codec: HotCodec, body: bytes) -> HotCodec:
        """The codec of whoever answers this request of a split. Raises InputError."""
        split = codec.split
        assert split is not None
        if not split.by_body:
            return self.codec(split.at(random() * 100), kind=type(codec))
        rows, _, keys = codec.question(body)
        return self.codec(split.by_rows(rows, None, keys), kind=type(codec))

    def is_hot(self, target: bytes) -> bool:
        """Whether a request target is one of the hot routes, spelled plainly, and nobody else's."""
        return target != self.taken and target_of(target) is not None

    def learn(self, head: bytes, codec: HotCodec, length: int) -> None:
        """Remember what a head means, until the models change."""
        if len(self.heads) >= _HEADS:
            self.heads.clear()
        self.heads[head] = (head, len(head) + length, codec)

    def tick(self, default_headers: list[tuple[bytes, bytes]]) -> None:
        """Take over uvicorn's headers, which it makes anew when its clock ticks."""
        self.headers = default_headers
        self.ok = start_of(b"200 OK", b"application/json", default_headers)
        self._overloaded.clear()

    def overloaded(self, kind: type[HotCodec], error: Overloaded, default_headers: list[tuple[bytes, bytes]]) -> bytes:
        """The response to one of very many requests that find the queue full, made once a second."""
        if self.headers is not default_headers:
            self.tick(default_headers)
        if kind not in self._overloaded:
            self._overloaded[kind] = refusal_of(error, kind.refusal(error), default_headers)
        return self._overloaded[kind]


def _header(headers: Headers, name: str) -> str | None:
    return next((value.decode("latin-1") for at, value in headers if at == name.encode()), None)
