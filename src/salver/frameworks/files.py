"""A model file → the trained model in its own library. Reading a pickle runs code that is in it: the caller decides that.

Knows which library reads which file; the adapters know the libraries.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

from salver.errors import ModelFileError
from salver.frameworks.base import Trained
from salver.frameworks.hints import Hints, read_hints

_PICKLES = (".pkl", ".pickle", ".joblib", ".cloudpickle", ".gz", ".bz2", ".xz", ".lzma", ".z")
_TORCH_PICKLES = (".pt", ".pth")
_DESCRIBED = {"MLmodel": "mlflow", "pack.own": "own"}
"""Files that describe what lies beside them, and who reads them."""

SUFFIXES = (*_PICKLES, ".skops", ".json", ".ubj", ".txt", ".lgb", ".cbm", ".pt2")
_UNPACKED_BYTES, _UNPACKED_TIMES = 2**30, 100  # a zip may grow to so much, or to so many times its size
_LIBRARIES = {"sklearn": "scikit-learn", "xgboost": "xgboost", "lightgbm": "lightgbm", "catboost": "catboost"}


def read(path: Path, trusts: tuple[str, ...] = (), hints: Hints | None = None) -> Trained:
    """Read the trained model in `path`. Raises ModelFileError, which says what is missing or wrong.

    Of a .skops file, types are made that skops knows to be harmless, and those in `trusts` (see `skops_types`). `hints`
    say of columns what the model does not; without any given, those that were written beside the file.
    """
    if not path.is_file():
        raise ModelFileError(f"no model file at {path}")
    if path.name in _DESCRIBED:
        return import_module(f"salver.frameworks.{_DESCRIBED[path.name]}").read(path)
    suffix = path.suffix.lower()
    hints = read_hints(path) if hints is None else hints
    try:
        if suffix in (".json", ".ubj"):
            return import_module("salver.frameworks.xgboost").read(path, hints)
        if suffix in (".txt", ".lgb"):
            return import_module("salver.frameworks.lightgbm").read(path)
        if suffix == ".cbm":
            return import_module("salver.frameworks.catboost").read(path, hints)
        if suffix == ".pt2":
            return import_module("salver.frameworks.pytorch").read(path)
        if suffix in _TORCH_PICKLES:
            import_module("salver.frameworks.pytorch").refuse_pickle(path)
        if suffix == ".skops":
            return adapt(_read_skops(path, trusts), hints)
        if suffix in _PICKLES:
            return adapt(_read_pickle(path), hints)
    except ModuleNotFoundError as error:
        raise ModelFileError(
            f"{path.name} needs {error.name}, which is not installed here; "
            f"install what the model was trained with: pip install {_package(error.name)}"
        ) from error
    raise ModelFileError(f"{path.name}: unknown kind of model file; known are {', '.join(SUFFIXES)} and .onnx")


def adapt(model: Any, hints: Hints | None = None) -> Trained:
    """The adapter of a model in memory. Raises ModelFileError for what is not a model."""
    library = type(model).__module__.partition(".")[0]
    if library in ("xgboost", "lightgbm", "catboost"):
        return import_module(f"salver.frameworks.{library}").adapt(model, hints or {})
    if hasattr(model, "get_params") and (hasattr(model, "predict") or hasattr(model, "transform")):
        return import_module("salver.frameworks.sklearn").adapt(model, hints or {})
    if hasattr(model, "predict"):
        raise ModelFileError(
            f"the file holds a {type(model).__name__}, which is no scikit-learn estimator (it has no get_params); "
            "derive it from sklearn.base.BaseEstimator, or save it as ONNX"
        )
    raise ModelFileError(
        f"the file holds a {type(model).__name__}, which has no predict; save the fitted model itself (or the whole Pipeline)"
    )


def _read_pickle(path: Path) -> Any:
    import pickle

    try:
        import joblib
    except ModuleNotFoundError:
        with path.open("rb") as file:
            return pickle.load(file)
    try:
        return joblib.load(path)
    except (pickle.UnpicklingError, EOFError, UnicodeDecodeError, KeyError, ValueError, IndexError) as error:
        raise ModelFileError(f"{path.name} is not a whole pickle: {type(error).__name__}; save the model again") from error
    except AttributeError as error:
        raise ModelFileError(
            f"{path.name} needs a class or function that is not importable here ({error}); put its module on the path "
            "or save with cloudpickle"
        ) from error


def skops_types(path: Path) -> tuple[str, ...]:
    """The types in a .skops file that skops does not know to be harmless. Nothing of them is made or imported."""
    from skops import io

    _require_sizes(path)
    try:
        return tuple(sorted(io.get_untrusted_types(file=path)))
    except Exception as error:  # a zip that is none, a schema that is none
        raise ModelFileError(f"{path.name} is no whole .skops file: {type(error).__name__}; save the model again") from error


def _require_sizes(path: Path) -> None:
    """Return when a zip does not grow out of all proportion when it is read. Raises ModelFileError."""
    from zipfile import BadZipFile, ZipFile

    try:
        with ZipFile(path) as packed:
            size_bytes = sum(member.file_size for member in packed.infolist())
    except (BadZipFile, NotImplementedError, ValueError) as error:
        raise ModelFileError(f"{path.name} is no whole .skops file: {type(error).__name__}; save the model again") from error
    if size_bytes > max(_UNPACKED_BYTES, _UNPACKED_TIMES * path.stat().st_size):
        raise ModelFileError(
            f"{path.name} would take {size_bytes} bytes when it is read, out of all proportion; it is not read"
        )


def _read_skops(path: Path, trusts: tuple[str, ...]) -> Any:
    from skops import io

    refused = sorted(set(skops_types(path)) - set(trusts))
    if refused:
        raise ModelFileError(
            f"{path.name} holds types that are not known to be harmless: {', '.join(refused[:10])}; it is not read",
            code="untrusted",
        )
    return io.load(path, trusted=list(trusts))


def _package(module: str | None) -> str:
    top = (module or "").partition(".")[0]
    return _LIBRARIES.get(top, top)
