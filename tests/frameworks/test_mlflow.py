"""MLflow: folders by their own flavors, and models of a real tracking server."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pandas as pd
import pytest

from salver.artifact.artifact import open_artifact
from salver.artifact.trust import Policy
from salver.engine.model import Model
from salver.errors import ModelFileError
from salver.frameworks.files import read
from salver.lower.publish import publish
from tests.serving import free_port, serving

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import mlflow
    import mlflow.pyfunc
    import mlflow.sklearn
    from mlflow.models import infer_signature

pytestmark = [
    pytest.mark.filterwarnings("ignore"),  # MLflow's own advice
]
_ROWS = 80


def table() -> pd.DataFrame:
    draw = np.random.default_rng(0)
    return pd.DataFrame({"income": draw.normal(size=_ROWS), "visits": draw.integers(0, 7, _ROWS)})


def labels() -> Any:
    return np.where(table()["income"] > 0, "yes", "no")


def served(folder: Path, tmp_path: Path) -> Model:
    publish(folder, "model", tmp_path / "artifact")
    return Model(Policy("trusted").admit(open_artifact(tmp_path / "artifact")))


def test_a_scikit_learn_model_is_lowered_with_the_schema_applied(tmp_path: Path) -> None:
    from sklearn.linear_model import LogisticRegression

    X = table()
    fitted = LogisticRegression().fit(X.to_numpy(), labels())  # which saw no names
    mlflow.sklearn.save_model(fitted, str(tmp_path / "m"), signature=infer_signature(X, fitted.predict(X.to_numpy())))
    model = served(tmp_path / "m", tmp_path)
    assert model.manifest.lowering.chosen
    assert [(c.name, c.dtype) for c in model.signature.columns] == [("income", "float64"), ("visits", "int64")]
    got = model._runtime.predict({"X": X.to_numpy()})["prediction"]
    assert [model.signature.prediction.classes[i] for i in got.tolist()] == fitted.predict(X.to_numpy()).tolist()
    model.close()


@pytest.mark.parametrize("library", ["xgboost", "lightgbm", "catboost"])
def test_boosters_are_lowered_by_their_own_flavor(tmp_path: Path, library: str) -> None:
    X, y = table(), (table()["income"] > 0).astype(int)
    if library == "xgboost":
        import mlflow.xgboost as flavor
        from xgboost import XGBClassifier as Classifier

        fitted: Any = Classifier(n_estimators=5).fit(X, y)
    elif library == "lightgbm":
        import mlflow.lightgbm as flavor
        from lightgbm import LGBMClassifier

        fitted = LGBMClassifier(n_estimators=5, verbose=-1).fit(X, y)
    else:
        import mlflow.catboost as flavor
        from catboost import CatBoostClassifier

        fitted = CatBoostClassifier(iterations=5, verbose=False, allow_writing_files=False).fit(X, y)
    trusted = {"serialization_format": "cloudpickle"} if library == "lightgbm" else {}
    flavor.save_model(fitted, str(tmp_path / "m"), signature=infer_signature(X, y), **trusted)
    model = served(tmp_path / "m", tmp_path)
    assert model.manifest.lowering.chosen == "graph", model.manifest.lowering.reason
    assert model.signature.names == ["income", "visits"]
    got = model._runtime.predict({"X": X.to_numpy()})["prediction"]
    assert got.tolist() == np.asarray(fitted.predict(X)).tolist()
    model.close()


def test_a_pytorch_program_and_an_onnx_graph(tmp_path: Path) -> None:
    import mlflow.onnx
    import mlflow.pytorch
    import onnx
    import torch

    net, example = torch.nn.Linear(3, 2).eval(), np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    mlflow.pytorch.save_model(net, str(tmp_path / "torch"), input_example=example)
    model = served(tmp_path / "torch", tmp_path)
    assert model.manifest.lowering.chosen == "exported", model.manifest.lowering.reason
    model.close()
    (tmp_path / "exported.onnx").write_bytes((tmp_path / "artifact" / "exported.onnx").read_bytes())
    mlflow.onnx.save_model(onnx.load(str(tmp_path / "exported.onnx")), str(tmp_path / "onnx"))
    publish(tmp_path / "onnx", "graph", tmp_path / "graph")
    assert open_artifact(tmp_path / "graph").manifest.lowering.chosen == "as it is"


class Weighted(mlflow.pyfunc.PythonModel):
    def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:
        return pd.DataFrame({"score": model_input["income"] * 2, "kind": np.where(model_input["visits"] > 3, "often", "rare")})


def test_anything_else_answers_through_python_function(tmp_path: Path) -> None:
    X = table()
    signature = infer_signature(X, Weighted().predict(None, X))
    mlflow.pyfunc.save_model(str(tmp_path / "m"), python_model=Weighted(), signature=signature)
    model = served(tmp_path / "m", tmp_path)
    assert model.manifest.runtime.kind == "native"
    assert [(o.name, o.dtype) for o in model.signature.outputs] == [("score", "float64"), ("kind", "string")]
    got = model._runtime.predict({"income": np.array([1.5]), "visits": np.array([4])})
    assert (got["score"].tolist(), got["kind"].tolist()) == ([3.0], ["often"])
    model.close()


def test_without_a_schema_python_function_is_refused(tmp_path: Path) -> None:
    mlflow.pyfunc.save_model(str(tmp_path / "m"), python_model=Weighted())
    with pytest.raises(ModelFileError, match="log it with signature"):
        read(tmp_path / "m" / "MLmodel")


@pytest.fixture(scope="module")
def tracking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real tracking server with one registered model, whose alias is champion."""
    folder, port = tmp_path_factory.mktemp("mlflow"), free_port()
    command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", f"sqlite:///{folder}/mlflow.db"]
    command += [
        "--artifacts-destination",
        str(folder / "artifacts"),
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "--workers",
        "1",
    ]
    with (folder / "server.txt").open("wb") as said:
        process = subprocess.Popen(
            command,
            stdout=said,
            stderr=said,
            stdin=subprocess.DEVNULL,
            cwd=folder,
            env={**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},  # which needs more packages
        )
    try:
        url, end = f"http://127.0.0.1:{port}", time.monotonic() + 90
        while True:
            try:
                if httpx.get(f"{url}/health").status_code == 200:
                    break
            except httpx.TransportError:
                pass
            assert process.poll() is None and time.monotonic() < end, (folder / "server.txt").read_text()
            time.sleep(0.2)
        yield url
    finally:
        process.terminate()
        process.wait(30)


def test_a_model_of_a_tracking_server_is_served_by_its_alias(tracking: str, tmp_path: Path) -> None:
    from sklearn.linear_model import LogisticRegression

    X = table()
    fitted = LogisticRegression().fit(X, labels())
    mlflow.set_tracking_uri(tracking)
    with mlflow.start_run() as run:
        logged = mlflow.sklearn.log_model(
            fitted, name="model", signature=infer_signature(X, fitted.predict(X)), registered_model_name="customers"
        )
    version = logged.registered_model_version
    mlflow.MlflowClient().set_registered_model_alias("customers", "champion", str(version))
    environment = {**os.environ, "MLFLOW_TRACKING_URI": tracking}
    with serving(["models:/customers@champion", f"again=runs:/{run.info.run_id}/model"], environment=environment) as server:
        row = {"features": {"income": 2.0, "visits": 3}}
        for name in ("customers", "again"):
            answer = httpx.post(f"{server.url}/models/{name}/predict", json=row).json()
            assert answer["prediction"] == "yes", answer
    with pytest.raises(RuntimeError, match="can't be fetched"), serving(["models:/customers@nobody"], environment=environment):
        pass
