"""Small artifacts that are true ones: linear models, written as lowering writes them."""

from __future__ import annotations

import platform
from pathlib import Path

import numpy as np

from salver.artifact.artifact import describe_files, write_golden, write_manifest
from salver.artifact.manifest import Attempt, Golden, Lowering, Manifest, RuntimeSpec
from salver.runtimes.linear import LinearRuntime
from salver.types.framework import Framework
from salver.types.signature import Column, Output, Signature

WIDTH = 4
SCORES = {"identity": 1, "softmax": 3, "sigmoid": 1, "ovr": 3, "scores": 3}


def linear_artifact(
    folder: Path, name: str = "iris", link: str = "softmax", *, seed: int = 0, scores: int = 0, columns: tuple[Column, ...] = ()
) -> Path:
    """A folder with the artifact of a linear model with random weights, other ones for each seed."""
    folder.mkdir(parents=True)
    draw = np.random.default_rng(seed)
    count = scores or SCORES[link]
    coef, intercept = draw.normal(size=(WIDTH, count)), draw.normal(size=count)
    with (folder / "linear.npz").open("wb") as file:
        np.savez(file, coef=coef, intercept=intercept, link=np.array(link))
    rows = draw.normal(size=(5, WIDTH))
    answers = LinearRuntime(coef, intercept, link).predict({"X": rows})
    write_golden(folder, Golden(rows.tolist(), {output: array.tolist() for output, array in answers.items()}, 1e-9))
    classes = tuple(range(max(count, 2))) if "probabilities" in answers or "scores" in answers else None
    outputs = [Output("prediction", "int64" if classes else "float64", answers["prediction"].shape[1:], classes)]
    outputs += [Output(output, shape=array.shape[1:]) for output, array in answers.items() if output != "prediction"]
    manifest = Manifest(
        name=name,
        signature=Signature(columns or tuple(Column(f"x{i}") for i in range(WIDTH)), tuple(outputs), "classification"),
        framework=Framework("scikit-learn", "1.7.2", "LogisticRegression"),
        runtime=RuntimeSpec("linear", "linear.npz", "matrix"),
        lowering=Lowering("linear", 100.0, (Attempt("linear", True, rows=5, row_us=5.0),)),
        files=describe_files(folder),
        created="2026-01-01T00:00:00Z",
        python=platform.python_version(),
    )
    write_manifest(folder, manifest)
    return folder
