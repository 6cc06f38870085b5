"""What holds for every test: a failure is shown when it happens, not only at the end, which a run that is ended never sees."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

import pytest


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_logreport(report: pytest.TestReport) -> Iterator[None]:
    yield
    if report.failed and "PYTEST_XDIST_WORKER" not in os.environ:  # one that xdist runs is shown by xdist
        reason = report.longreprtext.strip().splitlines()[-12:]
        print("", f"{report.nodeid} failed ({report.when}, after {report.duration:.0f} s):", *reason, sep="\n", file=sys.stderr)
