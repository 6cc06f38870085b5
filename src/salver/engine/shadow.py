"""A shadow as the serving process sees it: a socket into which it drops what was asked, when there is room, and never waits.

Whatever the other process does (`engine/shadowing.py`), callers don't notice: they have their answers before, and what there is
no room for is dropped and counted.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from contextlib import suppress
from typing import Any, Literal

import msgspec

from salver.engine.background import end, lines_of, start_aside
from salver.engine.batch import Batch
from salver.engine.shadowing import MESSAGE_BYTES, Asked, Compared
from salver.engine.trying import Order
from salver.runtimes.limits import host_limits
from salver.runtimes.restarts import Restarts

logger = logging.getLogger("salver")

GATHER_S = 0.005
ROOM_ROWS = 1024
"""Rows that may gather before they are sent; a message holds no more."""

AHEAD = 16
"""Messages that may be with the process and not yet compared: one that hangs costs nothing after these, not even encoding."""

AGAIN_S, AT_MOST_S = 60.0, 600.0
"""From its end to its next start, doubled while it keeps ending. Nobody waits for it, and a start takes a fifth of a second of
the processors: one a minute leaves 99 of 100 requests alone."""

_LOOK_S = 1.0
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Compared).decode


class Shadow:
    """One version that is asked too. `compared` counts since its process was started, `before` what earlier ones counted."""

    def __init__(self, order: Order) -> None:
        self.name, self.version = order.name, order.version
        self.state: Literal["waking", "ready", "refused", "restarting"] = "waking"
        self.why = ""
        self.compared = Compared()
        self.before = Compared()
        self.dropped = 0  # rows
        self._order = order
        self._wire: socket.socket | None = None
        self._gathered: list[Asked] = []
        self._rows = 0
        self._sent = self._heard = 0  # messages
        self._heard_s = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._task = asyncio.get_running_loop().create_task(self._keep())

    def __repr__(self) -> str:
        return f"<Shadow {self.name}@{self.version} {self.state}>"

    @property
    def total(self) -> Compared:
        """What came of it since it is a shadow here."""
        a, b = self.before, self.compared
        return Compared(
            a.rows + b.rows,
            a.equal + b.equal,
            a.different + b.different,
            a.failed + b.failed,
            a.difference_sum + b.difference_sum,
            max(a.difference_max, b.difference_max),
        )

    def offer(self, batch: Batch, prediction: str) -> None:
        """Take what was asked and answered, if there is room. Never waits."""
        rows = len(batch.ids)
        if self._wire is None or self._rows + rows > ROOM_ROWS or self._sent - self._heard >= AHEAD:
            self.dropped += rows
            return
        outputs, start = batch.outputs, 0
        predictions, probabilities = outputs[prediction], outputs.get("probabilities")
        for request in batch.requests:
            # The lists are a batch's own; a request may be used again for the next.
            end = start + request.count
            if request.rows is None:
                self.dropped += request.count
            else:
                kept = probabilities[start:end] if probabilities else None
                self._gathered.append(Asked(list(request.rows), predictions[start:end], kept, request.keys, request.source))
            start = end
        self._rows += rows
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(GATHER_S, self._send)

    def close(self) -> None:
        """Ask it no more."""
        self._task.cancel()
        if self._timer is not None:
            self._timer.cancel()

    async def ended(self) -> None:
        """Return when its process is gone, after `close`."""
        await asyncio.wait({self._task})

    def _send(self) -> None:
        self._timer = None
        gathered, rows = self._gathered, self._rows
        self._gathered, self._rows = [], 0
        if self._wire is None:
            self.dropped += rows
            return
        try:
            self._wire.send(_encode(gathered))
            self._sent += 1
        except (OSError, TypeError):  # it does not keep up, it is gone, or what was asked is too much for one message
            self.dropped += rows

    async def _keep(self) -> None:
        """A process, and another when it ends; none when it can't be woken."""
        restarts = Restarts(AGAIN_S, AT_MOST_S, at_once=False)
        while True:
            await asyncio.sleep(restarts.wait_s(time.monotonic()))
            why = await self._one(restarts)
            restarts.ended(time.monotonic())
            was, self.why = self.state, why
            total, self.compared = self.total, Compared()
            self.before = total
            if was == "waking":
                self.state = "refused"
                logger.error("%s@%d can't be a shadow: %s", self.name, self.version, why)
                return
            self.state = "restarting"
            logger.warning("the shadow %s@%d is started again: %s", self.name, self.version, why)

    async def _one(self, restarts: Restarts) -> str:
        """The life of one process; why it ended."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        loop = asyncio.get_running_loop()
        with ours, theirs:
            ours.setblocking(False)
            ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, MESSAGE_BYTES)
            process = await start_aside("salver.engine.shadowing", str(theirs.fileno()), pass_fds=[theirs.fileno()])
            assert process.stdin and process.stdout and process.stderr
            theirs.close()
            said = asyncio.ensure_future((await lines_of(process.stderr)).read())
            output = await lines_of(process.stdout)
            process.stdin.write(msgspec.json.encode(self._order) + b"\n")
            process.stdin.flush()
            self._sent = self._heard = 0
            self._heard_s = time.monotonic()
            loop.add_reader(ours, self._hear, ours, restarts)
            try:
                hung = await self._watch(output)
            finally:
                loop.remove_reader(ours)
                self._wire = None
                code = await end(process)
                await asyncio.gather(output.read(), asyncio.wait({said}))  # nothing is left to come, and the pipes close
        text = " ".join((await said).decode(errors="replace").split())[-300:]
        return "it hangs" if hung else text or f"its process ended ({code})"

    async def _watch(self, output: asyncio.StreamReader) -> bool:
        """Returns when the process closed its output, as it does when it ends, or True when it hangs."""
        call_s = host_limits().call_s
        while not output.at_eof():
            with suppress(TimeoutError):
                await asyncio.wait_for(output.read(4096), _LOOK_S)  # what a model's library prints
            waits = self._sent > self._heard or self.state == "waking"
            if call_s and waits and time.monotonic() - self._heard_s > call_s:
                return True
            if not waits:
                self._heard_s = time.monotonic()
        return False

    def _hear(self, wire: socket.socket, restarts: Restarts) -> None:
        try:
            message = wire.recv(MESSAGE_BYTES)
        except (BlockingIOError, ConnectionError):
            return
        if not message:
            asyncio.get_running_loop().remove_reader(wire)
            return
        self.compared = _decode(message)
        self._heard_s = time.monotonic()
        if self._wire is None:
            self._wire, self.state, self.why = wire, "ready", ""
            restarts.started(self._heard_s)
        else:
            self._heard += 1


class Mirror:
    """What a lane does with each batch that it has answered, for the shadows of its model."""

    def __init__(self, shadows: list[Shadow], prediction: str) -> None:
        self._shadows = shadows
        self._prediction = prediction

    def __call__(self, batch: Batch, waiting: int) -> None:
        """`waiting` rows are in the lane's queue: when there are many, shadows are the first to be asked less."""
        for shadow in self._shadows:
            if waiting > ROOM_ROWS:
                shadow.dropped += len(batch.ids)
            else:
                shadow.offer(batch, self._prediction)


def facts(shadow: Shadow) -> dict[str, Any]:
    """What there is to say of a shadow."""
    total = shadow.total
    compared = max(1, total.rows - total.failed)
    said: dict[str, Any] = {"version": shadow.version, "state": shadow.state}
    if shadow.why:
        said["why"] = shadow.why
    return said | {
        **msgspec.structs.asdict(total),
        "difference_mean": total.difference_sum / compared,
        "dropped": shadow.dropped,
    }
