"""What an application predicts, in the same log as what servers predict."""

from __future__ import annotations

from pathlib import Path

from salver.engine.batch import Batch, values_of
from salver.engine.ids import IdSource
from salver.engine.model import Model
from salver.engine.recorder import Recorder
from salver.engine.request import Request
from salver.log.policy import Policies
from salver.log.settings import read_settings
from salver.log.writer import open_writer
from salver.types.signature import Columns


class Journal:
    """Writes predictions before they are returned. Used by one thread at a time."""

    def __init__(self, folder: Path) -> None:
        settings = read_settings(folder)
        self._writer = open_writer(folder, settings)
        self._policies = Policies(folder, settings)
        self._recorders: dict[Model, Recorder] = {}
        self._ids = IdSource()

    def __repr__(self) -> str:
        return f"<Journal {self._writer.folder}>"

    def write(self, model: Model, request: Request, arrays: Columns, started_ns: int) -> None:
        """One line for each row of an answered request. Raises LogUnavailable."""
        outputs = {output.name: values_of(output, arrays[output.name]) for output in model.signature.outputs}
        recorder = self._recorders.get(model)
        if recorder is None:
            policy = self._policies.of(model.name, model.signature)
            recorder = Recorder(model.name, model.version, model.signature, "live", policy)
            self._recorders = {model: recorder}  # of the version that answers; the one before is done
        batch = Batch([request], arrays, outputs, self._ids.batch(request.count), started_ns)
        self._writer.append(recorder.lines(batch))

    def close(self) -> None:
        self._writer.close()
