"""What the protocol's repository and statistics extensions say and do, whatever wire they come over."""

from __future__ import annotations

import time
from typing import Any

import msgspec

from salver.engine.engine import Asked, Engine
from salver.engine.lane import Lane
from salver.errors import NotFound
from salver.server.protocols.infer import Metadata

_NEVER = {"count": 0, "ns": 0}
_STATES = {"loading": "LOADING", "failed": "UNAVAILABLE"}


class Listed(msgspec.Struct):
    """One version of a model in the index."""

    name: str
    version: str
    state: str
    reason: str = ""


def index(engine: Engine, only_ready: bool) -> list[Listed]:
    """Every version that is awake, and unless `only_ready`, the models that are not."""
    listed = [
        Listed(lane.model.name, str(number), "READY")
        for versions in engine.lanes.values()
        for number, lane in sorted(versions.items())
    ]
    if not only_ready:
        waiting = [name for name in engine.states if name not in engine.lanes]
        listed += [Listed(name, "", _STATES[engine.states[name]], engine.states[name]) for name in waiting]
        listed += [Listed(name, "", "UNAVAILABLE", "unloaded") for name in sorted(engine.unloaded)]
    return listed


async def load(engine: Engine, name: str) -> None:
    """Wake a model that the server was started with, unless it is awake. Raises NotFound, or what loading raises."""
    if name not in engine.unloaded and name not in engine.lanes:
        raise NotFound(f"failed to load '{name}': this server was not started with it", code="unknown_model")
    if engine.loader is None:
        raise NotFound(f"failed to load '{name}': this server loads no models while it runs", code="unknown_model")
    if name not in engine.lanes:
        await engine.loader(name)
    engine.asked[name] = Asked(time.monotonic(), awake=True)


async def unload(engine: Engine, name: str) -> None:
    """Let a model go once it has answered what waits. Raises NotFound."""
    if name not in engine.lanes:
        raise NotFound(f"Request for unknown model: '{name}' is not found", code="unknown_model")
    await engine.unload(name)
    engine.asked[name] = Asked(time.monotonic(), awake=False)


def statistics(lane: Lane) -> dict[str, Any]:
    """Counts and times of a version, as the protocol names them."""
    stats = lane.stats
    unknown = dict.fromkeys(("compute_input", "compute_output", "cache_hit", "cache_miss"), _NEVER)  # not told apart here
    durations = {"success": stats.latency_s, "queue": stats.queue_s, "compute_infer": stats.predict_s}
    counted = {name: {"count": seen.count, "ns": round(seen.sum * 1e9)} for name, seen in durations.items()}
    return {
        "name": lane.model.name,
        "version": str(lane.model.version),
        "inference_count": stats.rows,
        "execution_count": stats.predict_s.count,
        "inference_stats": {**unknown, **counted, "fail": {"count": sum(stats.errors.values()), "ns": 0}},
    }


def configuration(metadata: Metadata) -> dict[str, Any]:
    """A model's tensors as a configuration has them. Rows are a dimension like the others, so there is no batch size."""
    return {
        "name": metadata.name,
        "platform": metadata.platform,
        "backend": "salver",
        "max_batch_size": 0,
        "input": [_configured(tensor.name, tensor.datatype, tensor.shape) for tensor in metadata.inputs],
        "output": [_configured(tensor.name, tensor.datatype, tensor.shape) for tensor in metadata.outputs],
    }


def _configured(name: str, datatype: str, shape: list[int]) -> dict[str, Any]:
    kind = "STRING" if datatype == "BYTES" else datatype
    return {"name": name, "data_type": f"TYPE_{kind}", "dims": shape}
