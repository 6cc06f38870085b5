"""Every case is served as the table says, and what it is served by agrees with the original on real rows too."""

from __future__ import annotations

import numpy as np
import pytest

from salver.artifact.manifest import RuntimeSpec
from salver.frameworks.files import adapt
from salver.lower.compile import feeder, lower
from salver.lower.proof import compare
from salver.runtimes.base import load
from tests.conformance.case import Case, all_cases


@pytest.mark.parametrize("case", all_cases(), ids=lambda case: case.name)
def test_lowered_as_the_table_says(case: Case, tmp_path) -> None:
    model, X = case.make()
    trained = adapt(model)
    lowered = lower(trained, tmp_path, RuntimeSpec("native", "model", "columns"))
    assert bool(lowered.lowering.chosen) == case.lowered, lowered.lowering.reason
    if not case.lowered:
        return
    signature = trained.signature
    values = {name: np.asarray(X.iloc[:, i] if hasattr(X, "iloc") else X[:, i]) for i, name in enumerate(signature.names)}
    runtime = load(lowered.spec, signature, tmp_path)
    answer = runtime.predict(feeder(lowered.spec, signature, values)(slice(0, len(X))))
    flips, difference = compare(signature, trained.predict(values), answer)
    assert flips == 0
    assert difference <= trained.tolerance
