"""What a server answers, as Python values."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .errors import ClientError, RequestRefused


@dataclass(frozen=True)
class Reply:
    """A response as it came: header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    content: bytes


@dataclass(frozen=True)
class Answer:
    """The predictions of some rows and the ids under which they are logged, one a row each.

    `probabilities` are of each row, in the order of `classes`, where they were asked for.
    """

    predictions: list[Any]
    ids: list[str]
    model: str
    version: int
    probabilities: list[list[float]] | None = None
    classes: list[Any] | None = None

    @property
    def prediction(self) -> Any:
        """That of the only row. Raises ClientError when there are several, or none."""
        return self._only(self.predictions)

    @property
    def id(self) -> str:
        """The id of the only row. Raises ClientError when there are several, or none."""
        return self._only(self.ids)

    def _only(self, values: list[Any]) -> Any:
        if len(values) != 1:
            raise ClientError(f"there are {len(values)} rows; read predictions and ids")
        return values[0]


def answer(reply: Reply) -> Answer:
    """What `/predict` says, of one row or several."""
    body = document(reply)
    probabilities = body.get("probabilities")
    if "prediction" in body:
        predictions, ids = [body["prediction"]], [body["id"]]
        probabilities = None if probabilities is None else [probabilities]
    else:
        predictions, ids = body["predictions"], body["ids"]
    return Answer(predictions, ids, body["model"], body["version"], probabilities, body.get("classes"))


def document(reply: Reply) -> dict[str, Any]:
    """A body of JSON. Raises ClientError for what is none."""
    try:
        body = json.loads(reply.content)
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise ClientError(f"the answer (status {reply.status}) is no JSON of Salver's; is the address right?")
    return body


def refusal(reply: Reply) -> RequestRefused:
    """The error that a reply means."""
    try:
        body = document(reply)
    except ClientError:
        body = {}
    return RequestRefused(
        body.get("detail") or f"the server answered with status {reply.status}",
        status=reply.status,
        code=body.get("code", ""),
        column=body.get("column"),
        row=body.get("row"),
        expected=body.get("expected"),
    )
