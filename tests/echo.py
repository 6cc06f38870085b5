"""Artifacts of the echo runtime: each row is answered with its first column. They load at once and fail on demand."""

from __future__ import annotations

from pathlib import Path

import msgspec

from salver.artifact.artifact import describe_files, write_golden, write_manifest
from salver.artifact.manifest import Golden, Lowering, Manifest, RuntimeSpec
from salver.types.framework import Framework
from salver.types.signature import Column, Output, Signature

NUMBER = Column("x0")
ECHOED = Output("prediction")


def echo_folder(
    folder: Path,
    *,
    columns: tuple[Column, ...] = (NUMBER,),
    output: Output = ECHOED,
    delay_s: float = 0.0,
    fail_above: float | None = None,
    rows: list[list[object]] | None = None,
    answers: list[object] | None = None,
    on_load: str = "",
    name: str = "",
) -> Path:
    """Write an artifact, called as `folder` is, whose batches take `delay_s` and raise for a first column above `fail_above`.

    `rows` are its golden rows, by default one of ones, and `answers` what it is said to answer them.
    """
    folder.mkdir(parents=True)
    rows = [[1.0] * len(columns)] if rows is None else rows
    (folder / "echo.json").write_bytes(msgspec.json.encode({"delay_s": delay_s, "fail_above": fail_above, "on_load": on_load}))
    write_golden(folder, Golden(rows, {output.name: answers or [row[0] for row in rows]}, 0.0))
    layout = "matrix" if all(column.is_number and not column.shape for column in columns) else "columns"
    write_manifest(
        folder,
        Manifest(
            name=name or folder.name,
            signature=Signature(columns, (output,)),
            framework=Framework("echo", "1", "Echo"),
            runtime=RuntimeSpec("echo", "echo.json", layout),
            lowering=Lowering("", 1.0),
            files=describe_files(folder),
            created="2026-01-01T00:00:00Z",
            python="3.11",
        ),
    )
    return folder
