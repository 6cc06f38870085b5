"""The documentation is run: every command in it, every link, every name it must hold."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest

from salver.artifact.manifest import Attempt, File, Golden, Lowering, Manifest, RuntimeSpec
from salver.cli.main import parser
from salver.log.record import Record
from salver.server.problems import STATUS
from salver.types.framework import Framework
from salver.types.signature import Column, Output, Signature
from tests.models import iris_file
from tests.serving import SALVER, Served, serving

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
RUN = {"sh", "console", "python"}
SHOWN = {"text", "json", "toml", "yaml"}
ADDRESS = "localhost:8080"
"""Where the documentation has its server; here it is elsewhere."""


class Block(NamedTuple):
    """A fenced block: its language, its text, the line where it starts."""

    language: str
    text: str
    line: int


def blocks(page: Path) -> list[Block]:
    found: list[Block] = []
    inside: tuple[str, int] | None = None
    lines: list[str] = []
    for number, line in enumerate(page.read_text().splitlines(), 1):
        if not line.lstrip().startswith("```"):
            lines.append(line)
        elif inside is None:
            inside, lines = (line.strip().removeprefix("```"), number), []
        else:
            found.append(Block(inside[0], "\n".join(lines), inside[1]))
            inside = None
    assert inside is None, f"{page.name}: a block is not closed"
    return found


def names(page: Path) -> str:
    return str(page.relative_to(ROOT))


class Reader:
    """Does what a page says, in a folder with a model in it, as somebody who reads from top to bottom."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self._folder = folder
        self._store = folder / ".local" / "share" / "salver"
        self._stack = stack
        self._server: Served | None = None
        self._environment = {
            **{name: value for name, value in os.environ.items() if name not in ("XDG_DATA_HOME", "SALVER_STORE")},
            "HOME": str(folder),
            "PATH": os.pathsep.join([str(Path(SALVER).parent), os.environ["PATH"]]),
        }

    def follow(self, block: Block) -> None:
        """Run one block. Raises AssertionError, with what was printed, when a command of it fails."""
        if block.language == "python":
            self._run([sys.executable, "-W", "error", "-c", self._here(block.text)], block)
            return
        text = block.text
        if block.language == "console":
            text = "\n".join(line.removeprefix("$ ") for line in text.splitlines() if line.startswith("$ "))
        commands = text.splitlines()
        for command in commands:
            if command.startswith("salver serve "):
                self._serve(shlex.split(command)[2:])
        rest = "\n".join(command for command in commands if not command.startswith("salver serve "))
        if rest.strip():
            self._run(["bash", "-euo", "pipefail", "-c", self._here(rest)], block)

    def _serve(self, arguments: list[str]) -> None:
        self._stack.close()
        self._server = self._stack.enter_context(serving(arguments, store=self._store))

    def _here(self, text: str) -> str:
        if ADDRESS in text:
            if self._server is None:
                self._serve(["iris_model.pkl"])
            assert self._server
            return text.replace(ADDRESS, self._server.url.removeprefix("http://"))
        return text

    def _run(self, command: list[str], block: Block) -> None:
        done = subprocess.run(
            command,
            cwd=self._folder,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
        )
        said = f"line {block.line}:\n{block.text}\n{done.stdout}{done.stderr}"
        assert done.returncode == 0, said
        assert done.stdout.strip() or block.language == "python", f"nothing was printed, {said}"


@pytest.fixture(scope="session")
def iris(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return iris_file(tmp_path_factory.mktemp("iris"))


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page)], ids=names)
def test_what_a_page_says_can_be_done(page: Path, iris: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(iris, tmp_path)
    with ExitStack() as stack:
        reader = Reader(tmp_path, stack)
        for block in blocks(page):
            if block.language in RUN:
                reader.follow(block)


@pytest.mark.parametrize("page", PAGES, ids=names)
def test_every_block_says_what_it_is(page: Path) -> None:
    strange = [
        f"line {block.line}: {block.language or 'nothing'}" for block in blocks(page) if block.language not in RUN | SHOWN
    ]
    assert not strange, strange


@pytest.mark.parametrize("page", PAGES, ids=names)
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```|`[^`\n]*`", "", page.read_text(), flags=re.DOTALL)
    broken: list[str] = []
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert not broken, broken


def anchors(page: Path) -> set[str]:
    """The headings of a page as they are linked to."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_option_of_serve_is_documented() -> None:
    commands = next(action for action in parser()._actions if action.dest == "command")
    assert isinstance(commands.choices, dict)
    options = {option for action in commands.choices["serve"]._actions for option in action.option_strings}
    assert_named("serving.md", options - {"-h", "--help"})


def test_every_route_is_documented() -> None:
    sources = "".join(file.read_text() for file in (ROOT / "src" / "salver" / "server").glob("*.py"))
    routes = {route.replace("{ref}", "NAME") for route in re.findall(r"""Route\("(/[^"]*)\"""", sources)}
    text = (ROOT / "docs" / "serving.md").read_text()
    missing = [route for route in sorted(routes) if not route.startswith("/v2") and route not in text]
    assert routes and not missing, f"docs/serving.md does not name {', '.join(missing)}"


def test_every_error_code_is_documented_with_its_status() -> None:
    page = (ROOT / "docs" / "errors.md").read_text()
    wrong = [code for code, status in STATUS.items() if f"| `{code}` | {status} |" not in page]
    assert not wrong, wrong


def test_every_field_of_the_log_is_documented() -> None:
    assert_named("log.md", set(Record.__struct_fields__))


def test_every_field_of_the_artifact_is_documented() -> None:
    kinds: list[type[msgspec.Struct]] = [
        Manifest,
        Signature,
        Column,
        Output,
        RuntimeSpec,
        Lowering,
        Attempt,
        File,
        Framework,
        Golden,
    ]
    assert_named("artifact.md", {field for kind in kinds for field in kind.__struct_fields__})


def assert_named(page: str, wanted: set[str]) -> None:
    text = (ROOT / "docs" / page).read_text()
    missing = sorted(name for name in wanted if f"`{name}`" not in text)
    assert not missing, f"docs/{page} does not name {', '.join(missing)}"
