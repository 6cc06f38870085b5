"""The same rows in every kind of table."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa

from salver import tables


def plain(frame: Any) -> list[dict[str, Any]]:
    """As JSON has them."""
    rows = [{k: None if pd.isna(v) else v for k, v in row.items()} for row in frame.astype(object).to_dict("records")]
    return json.loads(json.dumps(rows, default=lambda value: value.item()))


def pandas_frame(frame: Any) -> Any:
    return frame


def pandas_turned(frame: Any) -> Any:
    """The columns in another order, without categories."""
    turned = frame[list(frame.columns)[::-1]]
    return turned.astype({name: object for name in frame.columns if isinstance(frame[name].dtype, pd.CategoricalDtype)})


def polars_frame(frame: Any) -> Any:
    return pl.DataFrame(plain(frame), infer_schema_length=None)


def polars_categories(frame: Any) -> Any:
    made = polars_frame(frame)
    return made.with_columns(pl.col(name).cast(pl.Categorical) for name in made.columns if made[name].dtype == pl.String)


def arrow_table(frame: Any) -> Any:
    return pa.Table.from_pandas(frame, preserve_index=False)


def listed(frame: Any) -> Any:
    return plain(frame)


def by_position(frame: Any) -> Any:
    return [list(row.values()) for row in plain(frame)]


def array(frame: Any) -> Any:
    return frame.to_numpy() if all(dtype.kind in "fiu" for dtype in frame.dtypes) else frame.astype(object).to_numpy()


SOURCES: dict[str, Callable[[Any], Any]] = {
    made.__name__: made
    for made in (pandas_frame, pandas_turned, polars_frame, polars_categories, arrow_table, listed, by_position, array)
}


def parquet(frame: Any, folder: Path) -> Path:
    frame.to_parquet(folder / "rows.parquet")
    return folder / "rows.parquet"


def csv(frame: Any, folder: Path) -> Path:
    frame.to_csv(folder / "rows.csv", index=False)
    return folder / "rows.csv"


def columns_of(data: Any, signature: Any) -> Any:
    return tables.read_file(data, signature) if isinstance(data, Path) else tables.read(data, signature)
