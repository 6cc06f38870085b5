"""A Python class of the user's own, packed with its code. The contract is docs/own-models.md.

A pack is a folder: `pack.own` says which class of which module, `code/` has the source (a module, or its whole package), and
`files/` what else the class listed. Packing and digesting read the source without running it. The code is imported under a
private name, so that it meets no other module of its name.
"""

from __future__ import annotations

import ast
import hashlib
import shutil
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import numpy as np

from salver.errors import ModelFileError
from salver.frameworks.base import indices
from salver.types.framework import Framework
from salver.types.signature import Column, Columns, Output, Signature, rows_of

PACK = "pack.own"
"""Not called .json: that is a suffix of models that run no code."""
_LIBRARY = "own code"


class Pack(msgspec.Struct):
    """`pack.own`."""

    module: str  # below code/, dotted
    name: str  # the class


class OwnModel:
    """An object of the user's class, with the columns and outputs that it declares."""

    def __init__(self, made: Any) -> None:
        self.made = made
        self.model = self
        self.tolerance = float(getattr(made, "tolerance", 1e-6))
        self.framework = Framework(_LIBRARY, str(getattr(made, "version", "1")), type(made).__name__)
        self.signature = _signature(made)
        self.modules = _imported(type(made))
        self.examples = self._examples()

    def predict(self, columns: Columns) -> Columns:
        answers, rows = self.answer(columns), rows_of(columns)
        first, *more = outputs = self.signature.outputs
        if not isinstance(answers, dict):
            if more:
                raise ValueError(f"predict must answer with a dict of {', '.join(o.name for o in outputs)}")
            answers = {first.name: answers}
        made: Columns = {}
        for output in outputs:
            if output.name not in answers:
                raise ValueError(f"predict answered without '{output.name}'")
            values = np.asarray(answers[output.name])
            if values.ndim < 1 or len(values) != rows:
                raise ValueError(f"predict must answer each row: '{output.name}' has shape {values.shape} for {rows} rows")
            made[output.name] = _typed(output, values)
        return made

    def answer(self, columns: Columns) -> Any:
        return self.made.predict(dict(columns))

    def to_onnx(self) -> bytes | None:
        """The graph that the class writes itself, if it has `lower`."""
        return self.made.lower() if hasattr(self.made, "lower") else None

    def _examples(self) -> list[Any]:
        from salver.tables import read

        given = getattr(self.made, "examples", None)
        if given is None:
            return []
        columns = read(given, self.signature)
        return [columns[name] for name in self.signature.names]


def _imported(kind: type) -> list[str]:
    """The packages that the class's own code imports, wherever it does."""
    private = kind.__module__.partition(".")[0]
    folders = getattr(sys.modules.get(private), "__path__", ())
    found: set[str] = set()
    for file in (file for folder in folders for file in Path(folder).rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
                found.add(node.module)
    return sorted(found)


def _typed(output: Output, values: Any) -> Any:
    if output.classes is not None:
        return indices(values, output.classes)
    if output.dtype == "string":
        return values.astype(object)
    return values.astype(output.dtype)


def _signature(made: Any) -> Signature:
    """What the object declares: names for numbers, or `Column` and `Output`."""
    kind = type(made).__name__
    if not hasattr(made, "predict"):
        raise ModelFileError(f"{kind} has no predict(self, columns); see docs/own-models.md")
    inputs, outputs = getattr(made, "inputs", None), getattr(made, "outputs", ["prediction"])
    if not inputs:
        raise ModelFileError(f"{kind} does not say which columns it takes; give it inputs = [Column('age'), …]")
    try:
        columns = tuple(c if isinstance(c, Column) else Column(_name(c)) for c in inputs)
        given = tuple(o if isinstance(o, Output) else Output(_name(o)) for o in outputs)
    except TypeError:
        raise ModelFileError(f"{kind}: inputs are names or salver.Column, outputs names or salver.Output") from None
    # Labels are kept as their places.
    given = tuple(o if o.classes is None else msgspec.structs.replace(o, dtype="int64") for o in given)
    task = "classification" if given[0].classes else "generic"
    return Signature(columns, given, getattr(made, "task", task), named=True)


def _name(given: Any) -> str:
    if not isinstance(given, str):
        raise TypeError
    return given


def is_own(model: Any) -> bool:
    """Whether an object keeps the contract: it declares what it takes, and predicts."""
    return bool(getattr(model, "inputs", None)) and hasattr(model, "predict") and not hasattr(model, "get_params")


def is_named(path: Path) -> bool:
    """Whether this is FILE.py:CLASS."""
    file, colon, name = str(path).rpartition(":")
    return bool(colon) and file.endswith(".py") and name.isidentifier()


def sources(path: Path) -> dict[str, Path]:
    """What a pack of FILE.py:CLASS holds, by its place in the pack: code and the files that the class lists.

    Reads the source, does not run it. Raises ModelFileError.
    """
    file, _, name = str(path).rpartition(":")
    source = Path(file).resolve()
    if not source.is_file():
        raise ModelFileError(f"no file {file}")
    found = {f"code/{part}": whole for part, whole in _code(source).items()}
    for pattern in _listed(source, name):
        matching = sorted(p for p in source.parent.glob(pattern) if p.is_file())
        if not matching:
            raise ModelFileError(f"{name} lists files '{pattern}', and there is none beside {source.name}")
        for match in matching:
            if not match.resolve().is_relative_to(source.parent):
                raise ModelFileError(f"{name} lists files '{pattern}', which leads out of the folder of {source.name}")
            found[f"files/{match.relative_to(source.parent).as_posix()}"] = match
    return found


def digest(path: Path) -> str:
    """The SHA-256, in hex, of all that a pack of FILE.py:CLASS holds."""
    made = hashlib.sha256(str(path).rpartition(":")[2].encode())
    for place, source in sorted(sources(path).items()):
        made.update(f"\0{place}\0".encode() + hashlib.sha256(source.read_bytes()).digest())
    return made.hexdigest()


def pack(path: Path, folder: Path) -> Path:
    """Copy all that FILE.py:CLASS needs into `folder`, and give the file that `read` reads it from. Raises ModelFileError."""
    file, _, name = str(path).rpartition(":")
    for place, source in sources(path).items():
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, folder / place)
    module = _module(Path(file).resolve())
    (folder / PACK).write_bytes(msgspec.json.encode(Pack(module, name)))
    return folder / PACK


def write(made: Any, folder: Path) -> Path:
    """Pack a living object of a class of the user's own: its code, its files, and what its `save(folder)` writes."""
    import inspect

    kind = type(made)
    if kind.__module__ == "__main__" or "." in kind.__qualname__:
        raise ModelFileError(
            f"{kind.__qualname__} is defined inside a script or function; move it to a module and import it from there"
        )
    file = inspect.getsourcefile(kind)
    if file is None:
        raise ModelFileError(f"{kind.__name__} has no source file that could be packed")
    if vars(made) and hasattr(kind, "load") and not hasattr(made, "save") and not _listed(Path(file), kind.__name__):
        raise ModelFileError(
            f"{kind.__name__} has a load but nothing to load from; give it save(self, folder), or list its files"
        )
    packed = pack(Path(f"{file}:{kind.__name__}"), folder)
    if hasattr(made, "save"):
        (folder / "files").mkdir(exist_ok=True)
        made.save(folder / "files")
    return packed


def read(path: Path) -> OwnModel:
    """Import the class of the pack whose `pack.own` this is, and make its object. Raises ModelFileError."""
    folder, given = path.parent, msgspec.json.decode(path.read_bytes(), type=Pack)
    private = f"_salver_own_{hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:12]}"
    parent = ModuleType(private)
    parent.__path__ = [str(folder / "code")]
    sys.modules[private] = parent
    try:
        kind: Any = getattr(import_module(f"{private}.{given.module}"), given.name, None)
    except ModuleNotFoundError as error:
        raise ModelFileError(
            f"the module of {given.name} imports {error.name}, which is not here: install it, or, if it is code of your own, "
            "make a package of both and import it from there with a dot (from .features import …)"
        ) from error
    if not isinstance(kind, type):
        raise ModelFileError(f"{given.module} has no class {given.name}")
    made: Any = kind
    return OwnModel(made.load(folder / "files") if hasattr(made, "load") else made())


def _code(source: Path) -> dict[str, Path]:
    """The module alone, or all modules of the package that it is in."""
    top = _top(source)
    if top == source.parent:
        return {source.name: source}
    return {
        file.relative_to(top).as_posix(): file
        for file in sorted((top / source.relative_to(top).parts[0]).rglob("*.py"))
        if "__pycache__" not in file.parts
    }


def _top(source: Path) -> Path:
    folder = source.parent
    while (folder / "__init__.py").is_file():
        folder = folder.parent
    return folder


def _module(source: Path) -> str:
    return ".".join(source.relative_to(_top(source)).with_suffix("").parts)


def _listed(source: Path, name: str) -> list[str]:
    """The `files = [...]` of the class, read out of its source. Raises ModelFileError."""
    try:
        tree = ast.parse(source.read_text(), source.name)
    except (SyntaxError, UnicodeDecodeError) as error:
        raise ModelFileError(f"{source.name} is not Python that can be read: {error}") from error
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and node.name == name:
            return _literal(node)
    raise ModelFileError(f"{source.name} has no class {name}")


def _literal(node: ast.ClassDef) -> list[str]:
    for line in node.body:
        targets = line.targets if isinstance(line, ast.Assign) else [line.target] if isinstance(line, ast.AnnAssign) else []
        if not any(isinstance(target, ast.Name) and target.id == "files" for target in targets):
            continue
        try:
            listed = ast.literal_eval(line.value)  # type: ignore[attr-defined]
        except ValueError:
            listed = None
        if not isinstance(listed, list | tuple) or not all(isinstance(name, str) for name in listed):
            raise ModelFileError(f"{node.name}: files must be a plain list of names, since it is read without running the code")
        return list(listed)
    return []
