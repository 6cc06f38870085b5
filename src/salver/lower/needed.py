"""Which packages a model needs to be read and asked again, found in the model itself."""

from __future__ import annotations

import pickle
import pickletools
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from salver.frameworks.base import Trained
from salver.frameworks.requirements import Lock, distributions, lock

_READERS = {".skops": "skops", ".joblib": "joblib", ".pkl": "joblib", ".pickle": "joblib", ".cloudpickle": "cloudpickle"}


def locked(trained: Trained, file: Path) -> Lock:
    """The exact versions of what is installed here and needed there."""
    modules: set[str] = set(getattr(trained, "modules", ())) or {type(trained.model).__module__, *modules_in(trained.model)}
    reader = _READERS.get(file.suffix.lower())
    if reader and find_spec(reader):
        modules.add(reader)
    columns = trained.signature.columns
    if (trained.signature.named or not all(column.is_number for column in columns)) and find_spec("pandas"):
        modules.add("pandas")  # the model wants a DataFrame
    return lock(distributions(modules))


def modules_in(model: Any) -> set[str]:
    """The modules whose classes and functions a pickle of the model names; none where it can't be pickled."""
    try:
        import cloudpickle

        pickled: bytes = cloudpickle.dumps(model)
    except Exception:
        try:
            pickled = pickle.dumps(model)
        except Exception:
            return set()
    return set(_named(pickled))


def _named(pickled: bytes) -> Iterator[str]:
    """The modules in a pickle, without running it: what its opcodes would look up."""
    memo: dict[int, str | None] = {}
    pushed: list[str | None] = [None, None]  # texts, None for all else
    for code, argument, _ in pickletools.genops(pickled):
        name = code.name
        if name == "GLOBAL":
            yield str(argument).partition(" ")[0]
        elif name == "STACK_GLOBAL" and (module := pushed[-2]):
            yield module
        if name == "MEMOIZE":
            memo[len(memo)] = pushed[-1]
        elif "PUT" in name:
            memo[int(str(argument))] = pushed[-1]
        elif "GET" in name:
            pushed.append(memo.get(int(str(argument))))
        elif name not in ("FRAME", "PROTO"):
            pushed.append(str(argument) if "UNICODE" in name else None)
        del pushed[:-2]
