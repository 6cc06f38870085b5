"""MLflow's model folders (an `MLmodel` file and what it names).

The model inside is read by its own library's flavor, so that it is lowered and proven as its file alone would be, with MLflow's
schema applied to its columns. What has no such flavor answers through python_function. Only that, and fetching from a tracking
server (`python -m salver.frameworks.mlflow URI FOLDER`), needs the package mlflow.
"""

from __future__ import annotations

import json
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from salver.errors import ModelFileError
from salver.frameworks.base import Trained
from salver.types.framework import Framework
from salver.types.signature import Column, Columns, DType, Output, Signature, rows_of

MLMODEL = "MLmodel"
SCHEMES = ("models:/", "runs:/", "mlflow-artifacts:/")
"""How addresses of models on a tracking server begin."""

_NUMBERS: dict[str, DType] = {"boolean": "bool", "integer": "int32", "long": "int64", "float": "float32", "double": "float64"}
_WHOLE = ("boolean", "integer", "long")


def is_folder(path: Path) -> bool:
    return (path / MLMODEL).is_file()


def read(path: Path) -> Trained:
    """Read an MLflow model from its folder or its MLmodel file. Raises ModelFileError."""
    folder = path.parent if path.name == MLMODEL else path
    described = _described(folder)
    flavors: dict[str, Any] = described.get("flavors") or {}
    schema = _schema(described, "inputs")
    if _answers_by_predict(flavors):
        for flavor, load in _FLAVORS.items():
            if flavor in flavors:
                _make_importable(folder, flavors[flavor])
                return WithSchema(load(folder, flavors[flavor]), schema)
    return PythonFunction(folder, schema, _schema(described, "outputs"))


def graph_in(path: Path) -> Path | None:
    """The ONNX file, when that is what this folder holds."""
    flavors = _described(path).get("flavors") or {}
    return path / flavors["onnx"]["data"] if "onnx" in flavors else None


class WithSchema:
    """Another library's model with the names, whole numbers and required columns of MLflow's schema."""

    def __init__(self, inner: Trained, schema: list[dict[str, Any]]) -> None:
        self._inner = inner
        self.model, self.framework, self.tolerance = inner.model, inner.framework, inner.tolerance
        columns = inner.signature.columns
        fits = len(schema) == len(columns) and all("name" in said and said.get("type") != "tensor" for said in schema)
        if fits and inner.signature.named:
            by_name = {said["name"]: said for said in schema}
            fits = by_name.keys() == {column.name for column in columns}
            schema = [by_name[column.name] for column in columns] if fits else schema
        if fits:
            columns = tuple(_said(column, said) for column, said in zip(columns, schema, strict=True))
        self.signature = msgspec.structs.replace(inner.signature, columns=columns, named=inner.signature.named or fits)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)  # an exporter of its own, examples

    def predict(self, columns: Columns) -> Columns:
        return self._inner.predict(self._renamed(columns))

    def answer(self, columns: Columns) -> Any:
        return self._inner.answer(self._renamed(columns))

    def _renamed(self, columns: Columns) -> Columns:
        pairs = zip(self.signature.columns, self._inner.signature.columns, strict=True)
        return {inner.name: _as(inner, columns[outer.name]) for outer, inner in pairs}


def _as(inner: Column, values: Any) -> Any:
    return values.astype(np.float64) if inner.dtype in ("float32", "float64") and not inner.shape else values


def _said(column: Column, said: dict[str, Any]) -> Column:
    """A column as the schema has it; what the model itself knows better (its categories) stays."""
    kind = said.get("type")
    floats = column.dtype in ("float32", "float64") and not column.shape
    dtype = _NUMBERS[str(kind)] if floats and kind in _WHOLE else column.dtype
    # MLflow calls a column optional when its sample had a missing value, and required when not.
    nullable = column.nullable and not said.get("required", True) and dtype == column.dtype
    infinite = column.infinite and dtype == column.dtype
    return msgspec.structs.replace(column, name=said["name"], dtype=dtype, nullable=nullable, infinite=infinite)


class PythonFunction:
    """A model that answers through MLflow's python_function, from a DataFrame of its schema's columns."""

    tolerance = 1e-6
    modules = ("mlflow", "pandas")

    def __init__(self, folder: Path, inputs: list[dict[str, Any]], outputs: list[dict[str, Any]]) -> None:
        if not inputs:
            raise ModelFileError(f"{folder.name} says nothing of its columns; log it with signature= or input_example=")
        try:
            mlflow: Any = import_module("mlflow")
            self.model = import_module("mlflow.pyfunc").load_model(str(folder))
        except ModuleNotFoundError as error:
            raise ModelFileError(
                f"{folder.name} answers through MLflow's python_function, which needs {error.name}: "
                "pip install 'salver[mlflow]'"
            ) from error
        self.framework = Framework("MLflow", mlflow.__version__, "python_function")
        columns = tuple(_column(said, i) for i, said in enumerate(inputs))
        self._kinds = {column.name: said.get("type") for column, said in zip(columns, inputs, strict=True)}
        self._tensor = bool(inputs[0].get("type") == "tensor" and len(inputs) == 1 and "name" not in inputs[0])
        self.signature = Signature(columns, self._outputs(columns, outputs), "generic", named=True)

    def predict(self, columns: Columns) -> Columns:
        answers = _by_name(self.answer(columns), [output.name for output in self.signature.outputs])
        return {o.name: _typed(answers[o.name], o, rows_of(columns)) for o in self.signature.outputs}

    def answer(self, columns: Columns) -> Any:
        import pandas

        if self._tensor:
            return self.model.predict(next(iter(columns.values())))
        kinds = {"integer": "int32", "long": "int64", "float": "float32", "double": "float64", "boolean": "bool"}
        table = {name: values.astype(kinds.get(str(self._kinds[name]), values.dtype)) for name, values in columns.items()}
        return self.model.predict(pandas.DataFrame(table))

    def _outputs(self, columns: tuple[Column, ...], said: list[dict[str, Any]]) -> tuple[Output, ...]:
        """What it answers to two plain rows, under the schema's names where it has some."""
        self.signature = Signature(columns, (), "generic", named=True)
        plain: Columns = {column.name: _plain(column) for column in columns}
        try:
            answers = self.answer(plain)
        except Exception as error:  # the user's own code
            raise ModelFileError(
                f"its python_function refuses plain rows of its own schema ({type(error).__name__})"
            ) from error
        names = [str(output["name"]) for output in said if "name" in output] or ["prediction"]
        found = {name: np.asarray(values) for name, values in _by_name(answers, names).items()}
        return tuple(Output(name, _dtype_of(values), values.shape[1:]) for name, values in found.items())


def _column(said: dict[str, Any], i: int) -> Column:
    name, kind, required = said.get("name", f"x{i}"), said.get("type"), said.get("required", True)
    if kind == "tensor":
        spec = said["tensor-spec"]
        return Column(said.get("name", "input"), spec["dtype"], tuple(spec["shape"][1:]))
    if kind == "string":
        return Column(name, "string", nullable=not required)
    if kind not in _NUMBERS:
        raise ModelFileError(f"its schema has a column of {kind if isinstance(kind, str) else 'objects'}, which is not served")
    return Column(name, _NUMBERS[kind], nullable=not required and kind in ("float", "double"))


def _plain(column: Column) -> Any:
    if column.dtype == "string":
        return np.array(["a", "a"], dtype=object)
    return np.ones((2, *(max(size, 1) for size in column.shape)), dtype=column.dtype)


def _by_name(answers: Any, names: list[str]) -> dict[str, Any]:
    if hasattr(answers, "columns"):
        return {str(name): answers[name].to_numpy() for name in answers.columns}
    if isinstance(answers, dict):
        return {str(name): np.asarray(values) for name, values in answers.items()}
    return {names[0] if len(names) == 1 else "prediction": np.asarray(answers)}


def _dtype_of(values: Any) -> DType:
    if values.dtype.kind in "OUST":
        return "string"
    return values.dtype.name


def _typed(values: Any, output: Output, rows: int) -> Any:
    made = np.asarray(values).astype(object if output.dtype == "string" else output.dtype)
    if made.ndim < 1 or len(made) != rows:
        raise ValueError(f"the model gave answers of shape {made.shape} for {rows} rows")
    return made


def _described(folder: Path) -> dict[str, Any]:
    try:
        yaml: Any = import_module("yaml")
    except ModuleNotFoundError:
        raise ModelFileError("reading an MLflow model needs PyYAML: pip install 'salver[mlflow]'") from None
    try:
        described = yaml.safe_load((folder / MLMODEL).read_text())
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        raise ModelFileError(f"{folder / MLMODEL} can't be read: {type(error).__name__}") from error
    if not isinstance(described, dict):
        raise ModelFileError(f"{folder / MLMODEL} describes no model")
    return described


def _schema(described: dict[str, Any], side: str) -> list[dict[str, Any]]:
    said = (described.get("signature") or {}).get(side)
    columns = json.loads(said) if isinstance(said, str) else said
    return columns if isinstance(columns, list) else []


def _answers_by_predict(flavors: dict[str, Any]) -> bool:
    function = flavors.get("python_function") or {}
    return str(function.get("predict_fn", "predict")) == "predict"


def _make_importable(folder: Path, flavor: dict[str, Any]) -> None:
    """Code that was logged with the model, for the pickles that name it."""
    if flavor.get("code"):
        sys.path.insert(0, str(folder / flavor["code"]))


def _sklearn(folder: Path, flavor: dict[str, Any]) -> Trained:
    return _file(folder / flavor["pickled_model"])


def _xgboost(folder: Path, flavor: dict[str, Any]) -> Trained:
    kind = str(flavor.get("model_class", "xgboost.core.Booster")).rpartition(".")[2]
    model: Any = getattr(import_module("xgboost"), kind)()
    model.load_model(str(folder / flavor["data"]))
    return import_module("salver.frameworks.files").adapt(model)


def _lightgbm(folder: Path, flavor: dict[str, Any]) -> Trained:
    path = folder / flavor["data"]
    if str(flavor.get("model_class", "lightgbm.basic.Booster")).endswith(".Booster"):
        return import_module("salver.frameworks.lightgbm").read(path)
    return _file(path)


def _catboost(folder: Path, flavor: dict[str, Any]) -> Trained:
    catboost: Any = import_module("catboost")
    model = getattr(catboost, str(flavor.get("model_type", "CatBoost")))()
    model.load_model(str(folder / flavor["data"]), flavor.get("save_format", "cbm"))
    return import_module("salver.frameworks.files").adapt(model)


def _pytorch(folder: Path, flavor: dict[str, Any]) -> Trained:
    data = folder / flavor.get("model_data", "data")
    if (data / "model.pt2").is_file():
        return import_module("salver.frameworks.pytorch").read(data / "model.pt2")
    raise ModelFileError(
        f"{folder.name} holds a pickled PyTorch module; log it with serialization_format='pt2' and an input_example"
    )


def _file(path: Path) -> Trained:
    files = import_module("salver.frameworks.files")  # which reads folders through this module
    return files.read(path, files.skops_types(path) if path.suffix == ".skops" else ())


_FLAVORS = {"sklearn": _sklearn, "xgboost": _xgboost, "lightgbm": _lightgbm, "catboost": _catboost, "pytorch": _pytorch}


def fetch(uri: str, folder: Path) -> Path:
    """Download the model that a tracking server knows as `uri` into `folder`. Raises ModelFileError."""
    try:
        artifacts: Any = import_module("mlflow.artifacts")
    except ModuleNotFoundError:
        raise ModelFileError(f"fetching {uri} needs MLflow: pip install 'salver[mlflow]'") from None
    folder.mkdir(parents=True, exist_ok=True)
    try:
        return Path(artifacts.download_artifacts(artifact_uri=uri, dst_path=str(folder)))
    except Exception as error:  # of MLflow, of the store behind it, of the network
        where = import_module("mlflow").get_tracking_uri()
        raise ModelFileError(
            f"{uri} can't be fetched from {where}: {str(error)[:300]} (MLFLOW_TRACKING_URI says where)"
        ) from error


if __name__ == "__main__":
    try:
        print(fetch(sys.argv[1], Path(sys.argv[2])))
    except ModelFileError as error:
        sys.stdout.buffer.write(msgspec.json.encode({"code": error.code, "message": error.message}))
        sys.exit(3)
