"""Artifacts that somebody made to do harm: each a function that turns a good folder into a bad one, and what is said of it.

None may run the code it carries: whatever it carries would make the file in `CANARY`.
"""

from __future__ import annotations

import io
import json
import os
import pickle
import shutil
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from salver.artifact.artifact import describe_files
from salver.artifact.manifest import FILENAME, GOLDEN

CANARY = "CANARY"

Spoil = Callable[[Path], None]


def edit(folder: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    manifest = json.loads((folder / FILENAME).read_bytes())
    change(manifest)
    (folder / FILENAME).write_text(json.dumps(manifest))


def relist(folder: Path, **changes: Any) -> None:
    """A manifest that lists everything in the folder as it is: only what the files say can be wrong."""
    files = {name: {"sha256": file.sha256, "size_bytes": file.size_bytes} for name, file in describe_files(folder).items()}
    edit(folder, lambda manifest: manifest.update(files=files, **changes))


def listing(name: str) -> Spoil:
    return lambda folder: edit(folder, lambda manifest: manifest["files"].update({name: manifest["files"]["linear.npz"]}))


def link(folder: Path) -> None:
    (folder / "linear.npz").rename(folder.parent / "outside.npz")
    (folder / "linear.npz").symlink_to(folder.parent / "outside.npz")


def linked_folder(folder: Path) -> None:
    (folder.parent / "elsewhere").mkdir()
    (folder / "model").symlink_to(folder.parent / "elsewhere")


def device(folder: Path) -> None:
    (folder / "linear.npz").unlink()
    (folder / "linear.npz").symlink_to("/dev/zero")


def pipe(folder: Path) -> None:
    (folder / "linear.npz").unlink()
    os.mkfifo(folder / "linear.npz")


def sparse(name: str) -> Spoil:
    def spoil(folder: Path) -> None:
        with (folder / name).open("r+b") as file:
            file.truncate(2**30)

    return spoil


def manifest(content: bytes) -> Spoil:
    return lambda folder: (folder / FILENAME).write_bytes(content) and None


def says(**changes: Any) -> Spoil:
    return lambda folder: edit(folder, lambda manifest: manifest.update(changes))


def size(value: str) -> Spoil:
    def spoil(folder: Path) -> None:
        edit(folder, lambda manifest: manifest["files"]["linear.npz"].update(size_bytes="SIZE"))
        text = (folder / FILENAME).read_text()
        (folder / FILENAME).write_text(text.replace('"SIZE"', value))

    return spoil


def truncated(folder: Path) -> None:
    data = (folder / "linear.npz").read_bytes()
    (folder / "linear.npz").write_bytes(data[: len(data) // 2])


def truncated_and_listed(folder: Path) -> None:
    truncated(folder)
    relist(folder)


def other_bytes(folder: Path) -> None:
    data = bytearray((folder / "linear.npz").read_bytes())
    data[-1] ^= 1
    (folder / "linear.npz").write_bytes(data)


def unlisted(folder: Path) -> None:
    (folder / "sitecustomize.py").write_text(f"open({str(folder.parent / CANARY)!r}, 'w')")


def golden(rows: str) -> Spoil:
    def spoil(folder: Path) -> None:
        (folder / GOLDEN).write_text('{"rows":' + rows + ',"outputs":{"prediction":[]},"tolerance":0}')
        relist(folder)

    return spoil


def no_golden(folder: Path) -> None:
    (folder / GOLDEN).unlink()
    edit(folder, lambda manifest: manifest["files"].pop(GOLDEN))


# linear.npz


def npz(make: Callable[[], dict[str, bytes]], compression: int = zipfile.ZIP_STORED) -> Spoil:
    def spoil(folder: Path) -> None:
        with zipfile.ZipFile(folder / "linear.npz", "w", compression) as stored:
            for name, data in make().items():
                stored.writestr(f"{name}.npy", data)
        relist(folder)

    return spoil


def npy(array: Any) -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, array, allow_pickle=True)
    return buffer.getvalue()


def good() -> dict[str, bytes]:
    return {"coef": npy(np.zeros((4, 3))), "intercept": npy(np.zeros(3)), "link": npy(np.array("softmax"))}


def bomb() -> dict[str, bytes]:
    return {**good(), "coef": npy(np.zeros((4, 2**23)))}  # 256 MB that compress to 256 kB


def boast() -> dict[str, bytes]:
    data = npy(np.zeros((4, 3))).replace(b"(4, 3)", b"(4, 9**9)".ljust(6))
    return {**good(), "coef": npy(np.zeros((40000, 3))).replace(b"(40000, 3)", b"(99999, 9)") or data}


class Harm:
    """Makes a file when it is unpickled."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> Any:
        return Path.touch, (self.canary,)


def npz_of_objects(folder: Path) -> None:
    npz(lambda: {**good(), "link": npy(np.array([Harm(folder.parent / CANARY)], dtype=object))})(folder)


# Graphs


def _field(number: int, data: bytes | int) -> bytes:
    if isinstance(data, int):
        return _varint(number << 3) + _varint(data)
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def _varint(value: int) -> bytes:
    made = b""
    while value > 0x7F:
        made += bytes([value & 0x7F | 0x80])
        value >>= 7
    return made + bytes([value])


def graph(*parts: bytes, opset: bytes = b"") -> Spoil:
    def spoil(folder: Path) -> None:
        model = _field(1, 10) + _field(7, b"".join(parts) + _field(2, b"g")) + _field(8, _field(2, 21)) + opset
        (folder / "graph.onnx").write_bytes(model)
        (folder / "linear.npz").unlink()
        relist(folder, runtime={"kind": "onnx", "file": "graph.onnx", "layout": "matrix"})

    return spoil


def _entry(key: str, value: str) -> bytes:
    return _field(13, _field(1, key.encode()) + _field(2, value.encode()))


def outside(path: str) -> bytes:
    """A weight whose bytes lie in another file."""
    return _field(5, _field(1, 4) + _field(2, 1) + _field(8, b"w") + _entry("location", path) + _field(14, 1))


def huge() -> bytes:
    return _field(5, _field(1, 2**40) + _field(2, 1) + _field(8, b"w") + _field(9, b"\0" * 16))


def nested(depth: int) -> bytes:
    inner = _field(2, b"g")
    for _ in range(depth):
        inner = _field(1, _field(4, b"If") + _field(5, _field(1, b"then_branch") + _field(6, inner) + _field(20, 5)))
    return inner


def custom() -> Spoil:
    node = _field(1, b"X") + _field(2, b"Y") + _field(4, b"Run") + _field(7, b"evil.ops")
    argument = _field(2, _field(1, _field(1, 1) + _field(2, _field(1, _field(1, 2)))))
    return graph(
        _field(1, node), _field(11, _field(1, b"X") + argument), _field(12, _field(1, b"Y") + argument),
        opset=_field(8, _field(1, b"evil.ops") + _field(2, 1)),
    )  # fmt: skip


def no_graph(folder: Path) -> None:
    graph()(folder)
    (folder / "graph.onnx").write_bytes(struct.pack("<Q", 2**63) * 100)
    relist(folder)


# Models that are code


def native(name: str, data: Callable[[Path], bytes], **more: Any) -> Spoil:
    def spoil(folder: Path) -> None:
        (folder / "linear.npz").unlink()
        (folder / "model").mkdir()
        (folder / "model" / name).write_bytes(data(folder.parent / CANARY))
        relist(folder, runtime={"kind": "native", "file": f"model/{name}", "layout": "columns", **more})

    return spoil


def pickled(canary: Path) -> bytes:
    return pickle.dumps(Harm(canary))


def skops_of_strangers(canary: Path) -> bytes:
    """What skops writes for a function of a module that it does not know."""
    schema = {
        "__class__": "system", "__module__": "os", "__loader__": "FunctionNode", "__id__": 1, "protocol": 2,
        "content": {"module_path": "os", "function": "system"}, "_skops_version": "0.11",
    }  # fmt: skip
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as stored:
        stored.writestr("schema.json", json.dumps(schema))
    return buffer.getvalue()


def lock(*lines: str) -> Spoil:
    """A model that any policy that lets it in would read, in an environment from a lock that is none."""

    def spoil(folder: Path) -> None:
        native("model.json", lambda canary: b"{}")(folder)
        (folder / "requirements.lock").write_text("\n".join(lines))
        relist(folder)

    return spoil


def copied(folder: Path, to: Path) -> Path:
    shutil.copytree(folder, to)
    return to


_HUGE_ROWS = "[" + "[]," * 2_000_000 + "[]]"

HOSTILE: dict[str, tuple[Spoil, str]] = {
    "a path upwards": (listing("../outside.npz"), "leaves the artifact"),
    "a path upwards from within": (listing("model/../../outside"), "leaves the artifact"),
    "an absolute path": (listing("/etc/passwd"), "leaves the artifact"),
    "a path with backslashes": (listing("..\\outside"), "leaves the artifact"),
    "a name that ends early": (listing("linear.npz\0.txt"), "no file of a model may have"),
    "a name with a line break": (listing("linear\n.npz"), "no file of a model may have"),
    "the manifest lists itself": (listing(FILENAME), "no file of a model may have"),
    "names that differ in case": (listing("LINEAR.npz"), "case alone"),
    "a link to a file": (link, "plain file"),
    "a link to a folder": (linked_folder, "does not list"),
    "a device": (device, "plain file"),
    "a pipe": (pipe, "plain file"),
    "a manifest of 1 GB": (sparse(FILENAME), "larger than"),
    "golden rows of 1 GB": (sparse(GOLDEN), "not the size"),
    "a model of 1 GB": (sparse("linear.npz"), "not the size"),
    "JSON without end": (manifest(b"[" * 5_000_000), "can't be read"),
    "JSON of depth": (manifest(b'{"format":1,"metadata":' + b'{"a":' * 100_000 + b"1" + b"}" * 100_001), "can't be read"),
    "half a manifest": (manifest(b'{"format": 1, "name": "linear"'), "can't be read"),
    "no UTF-8": (manifest(b'{"format": 1, "name": "\xff\xfe"}'), "can't be read"),
    "a format of the future": (says(format=2), "upgrade"),
    "a runtime nobody knows": (says(runtime={"kind": "shell", "file": "linear.npz", "layout": "matrix"}), "can't be read"),
    "a runtime of an unlisted file": (
        says(runtime={"kind": "linear", "file": "/etc/passwd", "layout": "matrix"}),
        "not listed",
    ),
    "a field nobody knows": (says(postinstall="rm -rf ~"), "can't be read"),
    "a size that is no number": (size("NaN"), "can't be read"),
    "a negative size": (size("-1"), "not the size"),
    "a size beyond all": (size("1e400"), "can't be read"),
    "half a model": (truncated, "not the size"),
    "half a model, listed": (truncated_and_listed, "not what was lowered"),
    "other bytes": (other_bytes, "digest differs"),
    "a missing file": (lambda folder: (folder / "linear.npz").unlink(), "missing"),
    "no golden rows": (no_golden, "not listed"),
    "a file that is not listed": (unlisted, "does not list"),
    "two million golden rows": (golden(_HUGE_ROWS), "golden rows"),
    "empty golden rows": (golden("[]"), "no golden rows"),
    "an array that unpacks to a thousand times its size": (npz(bomb, zipfile.ZIP_DEFLATED), "not what was lowered"),
    "an array that boasts": (npz(boast), "not what was lowered"),
    "an array of pickles": (npz_of_objects, "not what was lowered"),
    "arrays that do not fit": (npz(lambda: {**good(), "coef": npy(np.zeros((4, 7)))}), "no linear model"),
    "no graph": (no_graph, "not a whole graph"),
    "weights in /etc": (graph(outside("/etc/passwd")), "another file"),
    "weights upwards": (graph(outside("../outside.bin")), "another file"),
    "weights within a branch": (graph(_field(1, _field(5, _field(6, outside("weights.bin"))))), "another file"),
    "a weight of 4 TB": (graph(huge()), "larger than what the file holds"),
    "graphs in graphs": (graph(nested(200)), "deep"),
    "an operator of a library": (custom(), "refuses"),
    "a pickle": (native("model.pkl", pickled), "not trusted here"),
    "a pickle by another name": (native("model.bin", pickled), "not trusted here"),
    "a pickle that says it is data": (native("model.json", pickled), "could not load|ended while"),
    "types that skops does not know": (native("model.skops", skops_of_strangers), "could not load"),
    "types that skops does not know, admitted": (
        native("model.skops", skops_of_strangers, trusts=["os.system"]),
        "not trusted",
    ),
    "a lock with an index": (lock("--index-url http://127.0.0.1:1/simple", "numpy==1.26.4"), "not trusted here"),
}
"""By name: how the folder is spoilt, and what is said of it."""

LOCKS = {
    "an index": "--index-url http://127.0.0.1:1/simple",
    "another index": "--extra-index-url=http://127.0.0.1:1",
    "a folder to install": "-e /tmp/evil",
    "another list": "-r /etc/passwd",
    "an address": "numpy @ http://127.0.0.1:1/numpy.whl",
    "a file": "evil @ file:///tmp/evil",
    "a repository": "git+https://127.0.0.1/evil.git",
    "a path": "./evil",
    "a range": "numpy>=1",
    "any version": "numpy==*",
    "a marker": "numpy==1.26.4; python_version > '3'",
    "an option behind": "numpy==1.26.4 --config-settings=x=y",
    "a continued line": "numpy==1.26.4 \\",
    "two versions": "numpy==1.26.4\nNumPy==2.0.0",
    "an option as a name": "--pre==1",
}
"""Lines that are no lock."""
