"""Reading model files: what is refused before a library sees it."""

from __future__ import annotations

from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile

import pytest
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from skops import io

from salver.errors import ModelFileError
from salver.frameworks import files


def test_a_zip_that_grows_out_of_proportion_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "_UNPACKED_BYTES", 10 * 2**20)
    bomb = tmp_path / "model.skops"
    with ZipFile(bomb, "w", ZIP_DEFLATED) as packed:
        packed.writestr("schema.json", b" " * 20 * 2**20)
    assert bomb.stat().st_size < 50_000
    with pytest.raises(ModelFileError, match="out of all proportion"):
        files.read(bomb)


def test_what_is_no_zip_is_no_skops_file(tmp_path: Path) -> None:
    (tmp_path / "model.skops").write_bytes(b"PK\x03\x04 and then nothing")
    with pytest.raises(ModelFileError, match=r"no whole \.skops file"):
        files.read(tmp_path / "model.skops")


def test_an_honest_file_is_read(tmp_path: Path) -> None:
    model = LogisticRegression(max_iter=1000).fit(*load_iris(return_X_y=True))
    io.dump(model, tmp_path / "model.skops")
    assert files.read(tmp_path / "model.skops").framework.model == "LogisticRegression"
