"""Runs `salver.frameworks.host` in an environment without Salver: `python -P lent.py SOCKET_FD MODEL_FILE`.

The package is taken from where this file lies, and it alone: what else is installed beside it stays out of sight, so a model
meets its own libraries only. The environment must have msgspec and numpy, in any versions.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

HERE = Path(__file__).resolve()


def lend() -> None:
    """Make `import salver` find this very Salver."""
    package = HERE.parents[1]
    spec = importlib.util.spec_from_file_location(
        "salver", package / "__init__.py", submodule_search_locations=[str(package)]
    )  # fmt: skip
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["salver"] = module
    spec.loader.exec_module(module)


if __name__ == "__main__":
    lend()
    from salver.frameworks.host import main

    main(sys.argv[1:])
