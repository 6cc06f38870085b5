"""PyTorch: programs in files and modules in memory become proven graphs, or are served by PyTorch itself."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import salver
from salver.artifact.artifact import open_artifact
from salver.artifact.trust import Policy
from salver.engine.model import Model
from salver.errors import ModelFileError
from salver.frameworks import files, pytorch, pytorch_export
from salver.frameworks.files import read
from salver.lower.publish import publish

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # PyTorch's own, at its import
    import torch
    from torch import nn

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning:copyreg", "ignore::DeprecationWarning")


class Net(nn.Module):
    def __init__(self, width: int = 4, outputs: int = 3, last: nn.Module | None = None) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(width, 8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, outputs))
        self.last = last or nn.Identity()

    def forward(self, x: Any) -> Any:
        return self.last(self.layers(x))


class Pictures(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.convolution, self.head = nn.Conv2d(3, 4, 3), nn.Linear(4, 2)

    def forward(self, image: Any) -> Any:
        embedding = torch.relu(self.convolution(image)).mean((2, 3))
        return {"embedding": embedding, "scores": self.head(embedding)}


class Towers(nn.Module):
    """Words by their numbers beside a price."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.head = nn.Embedding(50, 4), nn.Linear(5, 1)

    def forward(self, words: Any, price: Any) -> Any:
        return self.head(torch.cat([self.words(words).mean(1), price[:, None]], dim=1))


@pytest.fixture
def table() -> pd.DataFrame:
    return pd.DataFrame(np.random.default_rng(0).normal(size=(40, 4)), columns=list("abcd"))


def made(module: nn.Module, sample: Any, folder: Path, **more: Any) -> Model:
    """The module as it is served."""
    torch.manual_seed(0)
    pytorch_export.write(module, folder / "net.pt2", sample, **more)
    publish(folder / "net.pt2", "net", folder / "artifact")
    return Model(Policy("trusted").admit(open_artifact(folder / "artifact")))


def test_a_classifier_of_a_table_takes_its_columns_by_name(tmp_path: Path, table: pd.DataFrame) -> None:
    net = Net().train()
    model = made(net, table, tmp_path, classes=["ash", "elm", "oak"])
    assert model.manifest.lowering.chosen == "exported", model.manifest.lowering.reason
    assert model.signature.names == ["a", "b", "c", "d"] and model.signature.named
    rows = torch.tensor(table.to_numpy(), dtype=torch.float32)
    with torch.no_grad():
        wanted = torch.softmax(net.eval()(rows), 1).numpy()
    got = model._runtime.predict({"X": table.to_numpy()})
    assert got["prediction"].tolist() == wanted.argmax(1).tolist()
    assert np.abs(got["probabilities"] - wanted).max() < 1e-5
    model.close()


@pytest.mark.parametrize("last", [None, nn.Sigmoid()])
def test_one_number_is_enough_for_two_classes(tmp_path: Path, table: pd.DataFrame, last: nn.Module | None) -> None:
    net = Net(outputs=1, last=last).eval()
    model = made(net, table, tmp_path, classes=["no", "yes"])
    assert model.manifest.lowering.chosen == "exported", model.manifest.lowering.reason
    with torch.no_grad():
        scores = net(torch.tensor(table.to_numpy(), dtype=torch.float32))[:, 0]
    sure = scores if last else torch.sigmoid(scores)
    got = model._runtime.predict({"X": table.to_numpy()})["probabilities"]
    assert np.abs(got[:, 1] - sure.numpy()).max() < 1e-5
    model.close()


def test_softmax_is_not_taken_twice(tmp_path: Path, table: pd.DataFrame) -> None:
    net = Net(last=nn.Softmax(1)).eval()
    pytorch_export.write(net, tmp_path / "net.pt2", table, classes=[0, 1, 2])
    with torch.no_grad():
        wanted = net(torch.tensor(table.to_numpy(), dtype=torch.float32)).numpy()
    columns = {name: table[name].to_numpy() for name in table}
    assert np.abs(read(tmp_path / "net.pt2").predict(columns)["probabilities"] - wanted).max() < 1e-6


def test_a_regressor_gives_one_number_a_row(tmp_path: Path) -> None:
    model = made(Net(outputs=1), np.random.default_rng(0).normal(size=(9, 4)), tmp_path)
    assert model.signature.names == ["x0", "x1", "x2", "x3"] and not model.signature.named
    assert model._runtime.predict({"X": np.zeros((5, 4))})["prediction"].shape == (5,)
    model.close()


def test_images_in_and_several_tensors_out(tmp_path: Path) -> None:
    model = made(Pictures(), torch.randn(4, 3, 8, 8), tmp_path)
    assert model.manifest.lowering.chosen == "exported", model.manifest.lowering.reason
    assert [(c.name, c.shape) for c in model.signature.columns] == [("image", (3, 8, 8))]
    assert [(o.name, o.shape) for o in model.signature.outputs] == [("embedding", (4,)), ("scores", (2,))]
    model.close()


def test_places_in_a_table_stay_within_it(tmp_path: Path) -> None:
    sample = {"words": torch.randint(0, 50, (12, 6)), "price": torch.rand(12)}
    model = made(Towers(), sample, tmp_path)
    assert model.manifest.lowering.chosen == "exported", model.manifest.lowering.reason
    assert [(c.name, c.dtype, c.shape) for c in model.signature.columns] == [("words", "int64", (6,)), ("price", "float32", ())]
    model.close()


def test_a_program_of_a_fixed_number_of_rows_takes_any(tmp_path: Path) -> None:
    program = torch.export.export(Net().eval(), (torch.randn(4, 4),))
    torch.export.save(program, tmp_path / "fixed.pt2")
    trained = read(tmp_path / "fixed.pt2")
    columns = {f"x{i}": np.arange(11.0) for i in range(4)}
    together = trained.predict(columns)["prediction"]
    alone = [trained.predict({name: values[i : i + 1] for name, values in columns.items()})["prediction"][0] for i in range(11)]
    assert np.abs(together - np.array(alone)).max() < 1e-6


def test_what_the_exporter_refuses_is_served_by_pytorch(tmp_path: Path, table: pd.DataFrame) -> None:
    class Special(nn.Module):
        def forward(self, x: Any) -> Any:
            return torch.special.bessel_j0(x).sum(1)

    model = made(Special(), table, tmp_path)
    assert model.manifest.runtime.kind == "native"
    assert "refuses it" in model.manifest.lowering.reason
    assert model._runtime.predict({name: np.zeros(3) for name in "abcd"})["prediction"].tolist() == [4, 4, 4]
    model.close()


def test_a_module_is_saved_with_its_sample(tmp_path: Path, table: pd.DataFrame) -> None:
    saved = salver.save(
        Net(), "net", sample=table, classes=["a", "b", "c"], store=tmp_path / "store", progress=lambda what: None
    )
    assert saved.manifest.runtime.kind == "onnx"
    assert saved.manifest.framework.model == "Net"
    lock = next((tmp_path / "store").rglob("requirements.lock")).read_text()
    assert "torch==" in lock
    with pytest.raises(ModelFileError, match="sample"):
        salver.save(Net(), "net", store=tmp_path / "store", progress=lambda what: None)


def test_pickles_of_pytorch_are_refused_unread(tmp_path: Path) -> None:
    torch.save(Net(), tmp_path / "model.pt")
    torch.save(Net().state_dict(), tmp_path / "weights.pth")
    for name in ("model.pt", "weights.pth"):
        with pytest.raises(ModelFileError, match=r"pickle of torch\.save.*salver\.save"):
            files.read(tmp_path / name)


def test_what_is_no_program_is_refused(tmp_path: Path) -> None:
    (tmp_path / "bad.pt2").write_bytes(b"no program")
    with pytest.raises(ModelFileError, match=r"bad\.pt2 is not a program"):
        pytorch.read(tmp_path / "bad.pt2")
    with pytest.raises(ModelFileError, match="do not fit"):
        pytorch_export.write(Net(), tmp_path / "n.pt2", torch.randn(4, 4), classes=["a", "b"])
        pytorch.read(tmp_path / "n.pt2")
