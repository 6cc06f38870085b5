"""The two tables of the log, predictions and labels, and where their parts lie.

A table is a folder: hot segments `*.jsonl`, cold Parquet in folders by partition, and `commits/`, which say what is cold.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from salver.log.locks import is_free

LABELS = "labels"
COMMITS = "commits"
MAKING = ".making"
UNFOLDING = ".unfolding"
LOCK = ".lock"


@dataclass(frozen=True)
class Kind:
    """What a table's rows have: columns with DuckDB's types, which of them name the folders, and the order within a file."""

    name: str
    columns: dict[str, str]
    partition: dict[str, str]
    order: str
    needed: str  # a row without it is a torn line
    below: str = ""  # the folder in the log's


PREDICTIONS = Kind(
    name="predictions",
    columns={
        "id": "UUID",
        "ts": "BIGINT",
        "model": "VARCHAR",
        "version": "INTEGER",
        "route": "VARCHAR",
        "source": "VARCHAR",
        "latency_us": "BIGINT",
        "inputs": "JSON",
        "outputs": "JSON",
        "key": "VARCHAR",
        "trace": "VARCHAR",
        "flags": "JSON",
        "weight": "DOUBLE",
    },
    partition={"model": "VARCHAR", "version": "INTEGER", "date": "DATE"},
    order="id",
    needed="id",
)

LABELLED = Kind(
    name="labels",
    columns={
        "ts": "BIGINT",
        "model": "VARCHAR",
        "id": "UUID",
        "key": "VARCHAR",
        "label": "JSON",
        "weight": "DOUBLE",
        "source": "VARCHAR",
    },
    partition={"model": "VARCHAR", "date": "DATE"},
    order="ts",
    needed="ts",
    below=LABELS,
)

KINDS = (PREDICTIONS, LABELLED)


class Table:
    """A table in the log's folder."""

    def __init__(self, log: Path, kind: Kind) -> None:
        self.kind = kind
        self.folder = log / kind.below if kind.below else log

    def __repr__(self) -> str:
        return f"<Table {self.kind.name} in {self.folder}>"

    @property
    def commits(self) -> Path:
        return self.folder / COMMITS

    @property
    def making(self) -> Path:
        return self.folder / MAKING

    @property
    def unfolding(self) -> Path:
        return self.folder / UNFOLDING

    def segments(self) -> list[Path]:
        """The hot segments, oldest first. Some may be retired: see salver.log.commit."""
        return sorted(self.folder.glob("*.jsonl"))

    def sealed(self) -> list[Path]:
        """The hot segments that nobody writes to any more."""
        return [path for path in self.segments() if is_free(path)]

    def parquet(self) -> list[Path]:
        """Every cold file that lies here, whether or not a commit knows it."""
        return sorted(self.folder.glob("model=*/**/*.parquet"))
