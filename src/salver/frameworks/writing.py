"""A trained model in memory → a file, in its library's own format. The same model always gives the same bytes."""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from salver.errors import ModelFileError
from salver.frameworks import own
from salver.types.signature import Label

STEM = "model"

_FILES = {
    ("xgboost", "Booster"): ".ubj",
    ("xgboost", "XGBClassifier"): ".ubj",
    ("xgboost", "XGBRegressor"): ".ubj",
    ("xgboost", "XGBRanker"): ".ubj",
    ("lightgbm", "Booster"): ".txt",
    ("catboost", "CatBoost"): ".cbm",
    ("catboost", "CatBoostClassifier"): ".cbm",
    ("catboost", "CatBoostRegressor"): ".cbm",
    ("catboost", "CatBoostRanker"): ".cbm",
}
"""Library and class → suffix of what its own `save_model` writes, where nothing is lost in it."""

_HARMLESS = {"numpy.dtype"}
"""Types that skops asks about and that can do nothing."""

_EPOCH = (1980, 1, 1, 0, 0, 0)
_IDENTITY = re.compile(r'"__id__": (\d+)|"([^"\\]+)\.(npy|npz|bin)"')


def write(model: Any, folder: Path, sample: Any = None, classes: Sequence[Label] | None = None) -> Path:
    """Write `model` into `folder` and say which file. Raises ModelFileError for what can't be written.

    Only a PyTorch module needs the `sample`, which it is called with, and takes `classes`, the names of its output's places.
    """
    library, kind = type(model).__module__.partition(".")[0], type(model).__name__
    suffix = _FILES.get((library, kind))
    if suffix:
        file = folder / f"{STEM}{suffix}"
        model.save_model(str(file))
        return file
    if _is_module(model):
        if sample is None:
            raise ModelFileError("a PyTorch module is saved with sample=: what it is called with")
        return _program(model, folder, sample, classes)
    if own.is_own(model):
        return own.write(model, folder / "own")
    if library == "sklearn":
        written = _skops(model)
        if written is not None:
            file = folder / f"{STEM}.skops"
            file.write_bytes(written)
            return file
    return _pickle(model, folder)


def is_tensors(sample: Any) -> bool:
    """Whether a sample is PyTorch's tensors, one or several, so that it is no table."""
    parts = sample.values() if isinstance(sample, dict) else sample if isinstance(sample, tuple) else [sample]
    return any(type(part).__module__.partition(".")[0] == "torch" for part in parts)


def _is_module(model: Any) -> bool:
    torch: Any = sys.modules.get("torch")  # a module's class has imported it
    return torch is not None and isinstance(model, torch.nn.Module)


def _program(model: Any, folder: Path, sample: Any, classes: Sequence[Label] | None) -> Path:
    file = folder / f"{STEM}.pt2"
    import_module("salver.frameworks.pytorch_export").write(model, file, sample, classes=classes)
    return file


def _skops(model: Any) -> bytes | None:
    """The model as a .skops file, if one can hold it without types that skops does not know."""
    try:
        skops = import_module("skops.io")
    except ModuleNotFoundError:
        return None
    try:
        written: bytes = skops.dumps(model)
        return _settled(written) if set(skops.get_untrusted_types(data=written)) <= _HARMLESS else None
    except Exception:  # whatever it can't hold is left to a pickle
        return None


def _settled(skops: bytes) -> bytes:
    """The same file without what differs from one writing to the next: addresses of objects, random names, the time."""
    numbers: dict[str, str] = {}

    def number(found: str) -> str:
        return numbers.setdefault(found, str(len(numbers)))

    def replace(match: re.Match[str]) -> str:
        if match[1]:
            return f'"__id__": {number(match[1])}'
        return f'"{number(match[2])}.{match[3]}"'

    made = io.BytesIO()
    with ZipFile(io.BytesIO(skops)) as source, ZipFile(made, "w", ZIP_DEFLATED) as target:
        schema = _IDENTITY.sub(replace, source.read("schema.json").decode())
        files = {name: f"{number(stem)}.{suffix}" for name in source.namelist() for stem, _, suffix in [name.partition(".")]}
        files["schema.json"] = "schema.json"
        for name in sorted(files, key=lambda name: files[name]):
            data = schema.encode() if name == "schema.json" else source.read(name)
            target.writestr(ZipInfo(files[name], _EPOCH), data, ZIP_DEFLATED)
    return made.getvalue()


def _pickle(model: Any, folder: Path) -> Path:
    try:
        import joblib
    except ModuleNotFoundError as error:
        raise ModelFileError("writing this model needs joblib: pip install 'salver[train]'") from error
    file = folder / f"{STEM}.joblib"
    try:
        joblib.dump(model, file)
        if b"__main__" not in file.read_bytes():
            return file
    except Exception as error:  # a lambda, a class inside a function: no plain pickle holds them
        refusal = error
    else:
        refusal = None
    # What was defined in the training script itself is packed by value: elsewhere there is no such script.
    try:
        import cloudpickle

        file.unlink(missing_ok=True)
        file = folder / f"{STEM}.cloudpickle"
        file.write_bytes(cloudpickle.dumps(model))
    except Exception as error:
        raise ModelFileError(f"a {type(model).__name__} can't be written to a file: {refusal or error}") from error
    return file
