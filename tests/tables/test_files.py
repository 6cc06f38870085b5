"""Tables in files."""

from __future__ import annotations

import math
from pathlib import Path

import pandas as pd
import pytest

from salver import tables
from salver.errors import InputError
from salver.types.signature import Column, Signature

ROWS = pd.DataFrame({"n": [1, 2], "x": [0.5, None], "flag": [True, False], "k": ["a", None], "zip": ["01234", "99999"]})


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".parquet", ".jsonl", ".json"])
def test_every_kind_of_file(tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"rows{suffix}"
    if suffix == ".parquet":
        ROWS.to_parquet(file)
    elif suffix in (".csv", ".tsv"):
        ROWS.to_csv(file, index=False, sep="\t" if suffix == ".tsv" else ",")
    else:
        ROWS.to_json(file, orient="records", lines=suffix == ".jsonl")
    read = tables.read_file(file, Signature((Column("zip", "string"),), (), named=True))
    assert read["n"].tolist() == [1, 2]
    assert math.isnan(read["x"][1])
    assert read["flag"].tolist() == [True, False]
    assert read["k"].tolist() == ["a", None]
    assert read["zip"].tolist() == ["01234", "99999"]


def test_cells(tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    file.write_text("a,b,c,d,e\n1e3,NA,NA,true,\n-inf,2,x,,\n")
    read = tables.read_file(file)
    assert read["a"].tolist() == [1000.0, -math.inf]
    assert math.isnan(read["b"][0])
    assert read["c"].tolist() == ["NA", "x"]
    assert read["d"].tolist() == [True, None]
    assert all(math.isnan(value) for value in read["e"])


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("none.csv", ""),
        ("twice.csv", "a,a\n1,2\n"),
        ("short.csv", "a,b\n1\n"),
        ("latin.csv", "a\n\udce9\n"),
        ("no.parquet", "PAR1"),
        ("no.jsonl", "{"),
        ("no.json", '{"a": 1}'),
        ("no.xlsx", ""),
    ],
)
def test_what_is_no_table(tmp_path: Path, name: str, text: str) -> None:
    file = tmp_path / name
    file.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(InputError):
        tables.read_file(file)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no table at"):
        tables.read_file(tmp_path / "rows.csv")
