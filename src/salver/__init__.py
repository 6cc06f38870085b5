"""Salver serves trained models, from a file to production.

The names below are imported when they are first used, so that `import salver` itself stays light.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from salver.batch.run import batch as batch
    from salver.client.aio import AsyncClient as AsyncClient
    from salver.client.blocking import Client as Client
    from salver.embedded.model import load as load
    from salver.lower.save import save as save
    from salver.registry.registry import Registry as Registry
    from salver.stream.run import stream as stream
    from salver.types.signature import Column as Column
    from salver.types.signature import Output as Output

_NAMES = {
    "AsyncClient": "salver.client:AsyncClient",
    "Client": "salver.client:Client",
    "Column": "salver.types.signature:Column",
    "Output": "salver.types.signature:Output",
    "Registry": "salver.registry.registry:Registry",
    "batch": "salver.batch:batch",
    "load": "salver.embedded.model:load",
    "log": "salver.log:log",
    "stream": "salver.stream:stream",
    "save": "salver.lower.save:save",
}
"""Name → "module:attribute"."""


def __getattr__(name: str) -> Any:
    if name not in _NAMES:
        raise AttributeError(f"module 'salver' has no attribute '{name}'")
    module, _, attribute = _NAMES[name].partition(":")
    globals()[name] = found = getattr(import_module(module), attribute)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *_NAMES})
