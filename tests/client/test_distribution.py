"""salver-client: what its wheel holds and needs, and that it asks where nothing of Salver is installed."""

from __future__ import annotations

import subprocess
import sys
from email import message_from_bytes
from pathlib import Path
from zipfile import ZipFile

import pytest

from salver.version import __version__
from tests.serving import Served

ROOT = Path(__file__).resolve().parents[2]

# Nothing but the wheel, httpx and what that needs can be imported.
ALONE = """
import sys

class Refused:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("salver", "numpy", "msgspec", "onnxruntime", "pyarrow", "pandas", "starlette"):
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Refused())
sys.path.insert(0, sys.argv[1])
from salver_client import Client, ClientError

with Client(sys.argv[2], model="iris_model") as client:
    answer = client.predict([5.1, 3.5, 1.4, 0.2])
    print(answer.prediction, client.label(answer.id, 0)["matched"])
    try:
        client.predict_table(answer)
    except ClientError as error:
        print(error)
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    building = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", str(folder)]
    subprocess.run([*building, str(ROOT / "client")], check=True)
    (made,) = folder.glob("*.whl")
    return made


def test_it_needs_httpx_alone(wheel: Path) -> None:
    with ZipFile(wheel) as zipped:
        (metadata,) = [name for name in zipped.namelist() if name.endswith("METADATA")]
        described = message_from_bytes(zipped.read(metadata))
        files = {name.partition("/")[2] for name in zipped.namelist() if name.startswith("salver_client/")}
    needed = [line for line in described.get_all("Requires-Dist", []) if "extra ==" not in line]
    assert needed == ["httpx>=0.28"] and described["Version"] == __version__
    assert files == {path.name for path in (ROOT / "src" / "salver" / "client").glob("*.py")} | {"py.typed"}


def test_it_asks_where_nothing_else_is_installed(wheel: Path, served: Served, tmp_path: Path) -> None:
    with ZipFile(wheel) as zipped:
        zipped.extractall(tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", ALONE, str(tmp_path), served.url], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["0 1", "tables travel as Arrow: pip install pyarrow"]
