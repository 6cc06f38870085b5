"""The shape of the code, enforced: layers, sizes, names, and what an import may do. Why: docs/architecture.md."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src" / "salver"
FILES = sorted(SOURCE.rglob("*.py"))

LAYERS = (
    ("errors", "config", "version", "client"),
    ("settings",),
    ("types",),
    ("tables",),
    ("artifact", "log", "frameworks"),
    ("registry", "runtimes", "monitors"),
    ("lower", "door"),
    ("engine",),
    ("embedded", "dashboard"),
    ("server", "batch", "stream"),
    ("doctor",),
    ("cli",),
    ("__init__", "__main__"),
)
"""From the lowest up. A package imports from lower layers only: never upwards, never a sibling."""

LEVEL = {package: level for level, packages in enumerate(LAYERS) for package in packages}

HEAVY = {"sklearn", "pandas", "torch", "onnx", "skl2onnx", "xgboost", "lightgbm", "catboost", "mlflow"}
"""Training libraries: a server never needs them, so no module of ours may load them by being imported."""

FUNCTION_LINES = 45
FILE_LINES = 400
IMPORT_MS = 150

DISTRIBUTIONS = {
    "sklearn": "scikit-learn",
    "prometheus_client": "prometheus-client",
    "google": "protobuf",
    "confluent_kafka": "confluent-kafka",
    "nats": "nats-py",
    "aio_pika": "aio-pika",
    "model_signing": "model-signing",
    "adbc_driver_postgresql": "adbc-driver-postgresql",
    "adbc_driver_sqlite": "adbc-driver-sqlite",
}
"""Imports whose package is called otherwise."""

Import = tuple[Path, int, str]


@cache
def parsed(file: Path) -> ast.Module:
    return ast.parse(file.read_text(), str(file))


def where(file: Path, line: int) -> str:
    return f"{file.relative_to(ROOT)}:{line}"


def package_of(file: Path) -> str:
    """The package below `salver` that a file belongs to; the file's own stem when it lies in none."""
    return file.relative_to(SOURCE).parts[0].removesuffix(".py")


def names_of(node: ast.AST, file: Path) -> list[str]:
    """The modules that an import statement names, in full. `from salver import log` names salver.log."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        if package_of(file) == "client" and node.level == 1:  # it is shipped under two names: docs/decisions
            return [f"salver.client.{node.module or alias.name}" for alias in node.names]
        assert not node.level, "relative imports hide where they point"
        if node.module == "salver":
            return [f"salver.{alias.name}" for alias in node.names]
        return [node.module or ""]
    return []


def imports(file: Path) -> Iterator[Import]:
    """Every import of a file, wherever it stands: inside functions and under TYPE_CHECKING too."""
    for node in ast.walk(parsed(file)):
        for name in names_of(node, file):
            yield file, getattr(node, "lineno", 0), name


def imports_at_import(node: ast.AST, file: Path) -> Iterator[Import]:
    """The imports that run when the module is imported: those outside of functions."""
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            for name in names_of(child, file):
                yield file, getattr(child, "lineno", 0), name
            yield from imports_at_import(child, file)


def declared() -> set[str]:
    """The packages that pyproject.toml lists, as dependencies or in an extra, by their normalised names."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lists = [project["dependencies"], *project["optional-dependencies"].values()]
    names = {requirement_name(line) for listed in lists for line in listed}
    return names - {"salver"}


def requirement_name(line: str) -> str:
    found = re.match(r"[A-Za-z0-9._-]+", line)
    assert found
    return found[0].lower().replace("_", "-").replace(".", "-")


def run(code: str) -> str:
    """What an interpreter of its own prints for `code`."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_package_has_a_layer() -> None:
    assert {package_of(file) for file in FILES} <= LEVEL.keys()


@pytest.mark.parametrize("package", sorted({package_of(file) for file in FILES}))
def test_imports_point_down(package: str) -> None:
    wrong: list[str] = []
    for file in FILES:
        if package_of(file) != package:
            continue
        for _, line, name in imports(file):
            top, _, rest = name.partition(".")
            target = rest.partition(".")[0]
            if top == "salver" and target != package and LEVEL[target] >= LEVEL[package]:
                wrong.append(f"{where(file, line)}: {package} (layer {LEVEL[package]}) imports {name} (layer {LEVEL[target]})")
    assert not wrong, "\n".join(wrong)


def test_the_client_needs_nothing_else_of_ours() -> None:
    """It is shipped without the rest too."""
    named = {name for file in (SOURCE / "client").glob("*.py") for _, _, name in imports(file) if name.startswith("salver")}
    assert {name for name in named if not name.startswith("salver.client.")} == set()


def test_no_file_is_called_after_nothing() -> None:
    nothing = {"utils", "util", "helpers", "helper", "manager", "managers", "misc", "common"}
    assert [str(file) for file in SOURCE.rglob("*") if file.stem in nothing] == []


def test_no_training_library_is_imported_by_importing_us() -> None:
    found = [
        f"{where(file, line)}: {name}"
        for path in FILES
        for file, line, name in imports_at_import(parsed(path), path)
        if name.partition(".")[0] in HEAVY
    ]
    assert not found, "import it inside the function that needs it:\n" + "\n".join(found)


def test_functions_are_short() -> None:
    long: list[str] = []
    for file in FILES:
        for node in ast.walk(parsed(file)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or 0) - node.lineno + 1
                if lines > FUNCTION_LINES:
                    long.append(f"{where(file, node.lineno)}: {node.name} has {lines} lines")
    assert not long, f"at most {FUNCTION_LINES} lines a function:\n" + "\n".join(long)


def test_files_are_short() -> None:
    lengths = {file: len(file.read_text().splitlines()) for file in FILES}
    long = [f"{file.relative_to(ROOT)} has {lines} lines" for file, lines in lengths.items() if lines > FILE_LINES]
    assert not long, f"at most {FILE_LINES} lines a file:\n" + "\n".join(long)


def test_importing_salver_is_quick() -> None:
    code = "import time; start = time.perf_counter(); import salver; print((time.perf_counter() - start) * 1000)"
    best = min(float(run(code)) for _ in range(5))
    assert best <= IMPORT_MS, f"import salver takes {best:.0f} ms"


def test_importing_salver_loads_no_training_library() -> None:
    loaded = run("import sys, salver; print(*sys.modules)").split()
    assert not {name.partition(".")[0] for name in loaded} & HEAVY


def test_importing_any_module_has_no_effect() -> None:
    """No module configures logging, reads the command line or starts anything when it is imported."""
    modules = [".".join(file.relative_to(SOURCE.parent).with_suffix("").parts).removesuffix(".__init__") for file in FILES]
    code = f"""
import importlib, logging, sys, threading

class Unread(list):
    def __getattribute__(self, name):
        raise AssertionError("an import read sys.argv")
    __getitem__ = __iter__ = __len__ = lambda self, *rest: self.copy

sys.argv = Unread()
for name in {modules!r}:
    importlib.import_module(name)
loggers = [logging.root, *map(logging.getLogger, ("salver", "uvicorn"))]
assert not any(logger.handlers for logger in loggers), loggers
assert logging.root.level == logging.WARNING
assert not logging.getLogger("salver").level
assert threading.active_count() == 1
assert not {HEAVY!r} & {{name.partition(".")[0] for name in sys.modules}}
"""
    run(code)


def test_every_import_is_declared() -> None:
    known = sys.stdlib_module_names | {"salver"}
    wrong = {
        f"{where(file, line)}: {name}"
        for path in FILES
        for file, line, name in imports(path)
        if (top := name.partition(".")[0]) not in known and DISTRIBUTIONS.get(top, top) not in declared()
    }
    assert not wrong, "neither a dependency nor in an extra in pyproject.toml:\n" + "\n".join(sorted(wrong))


def test_every_dependency_has_its_reason_in_the_docs() -> None:
    page = (ROOT / "docs" / "dependencies.md").read_text()
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]
    every = declared() | {requirement_name(line) for listed in groups.values() for line in listed} - {"salver"}
    missing = sorted(name for name in every if f"| `{name}` |" not in page)
    assert not missing, f"docs/dependencies.md has no line for {', '.join(missing)}"
