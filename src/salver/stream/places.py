"""Sources and sinks by URL: `kafka://host/events`, `file:events.jsonl`, `-`."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import SplitResult, parse_qsl, urlsplit

from salver.errors import ConfigError
from salver.stream.contract import Sink, Source

KINDS = {
    "kafka": "kafka",
    "nats": "nats",
    "redis": "redis",
    "rediss": "redis",
    "amqp": "amqp",
    "amqps": "amqp",
    "file": "files",
    "-": "standard",
}
"""URL's scheme → the module, which has `source(place)` and `sink(place)`."""

PACKAGES = {"kafka": "confluent_kafka", "nats": "nats", "redis": "redis", "amqp": "aio_pika"}
"""What a module needs beyond Salver; the extra that brings it has the module's name."""

GROUP = "salver"


class Place(NamedTuple):
    """A URL, read: the last part of its path is what messages are in, the rest is where that is."""

    url: str
    scheme: str
    server: SplitResult
    path: tuple[str, ...]
    options: dict[str, str]
    group: str

    @property
    def topic(self) -> str:
        """The stream, topic, subject or queue. Raises ConfigError when there is none."""
        if not self.path:
            raise ConfigError(f"{self.scheme}://… names no stream; write {self.scheme}://HOST/STREAM")
        return self.path[-1]

    @property
    def partitions(self) -> list[str]:
        """What is read where `?partitions=4` divides the topic. Raises ConfigError."""
        count = self.options.get("partitions", "0")
        if not count.isdecimal():
            raise ConfigError("?partitions= takes a number")
        between = ":" if self.scheme.startswith("redis") else "."
        return [f"{self.topic}{between}{number}" for number in range(int(count))] or [self.topic]

    @property
    def name(self) -> str:
        """What it is called where others may read it: without user and password."""
        if self.scheme in ("-", "file"):
            return self.url if self.scheme == "-" else f"file:{self.url}"
        where = self.server.netloc.rpartition("@")[2]
        return f"{self.scheme}://{where}/{'/'.join(self.path)}"


def place(url: str, group: str = GROUP) -> Place:
    """Read a URL. Raises ConfigError for a kind that is not known."""
    if url == "-":
        return Place(url, "-", urlsplit(""), (), {}, group)
    scheme, colon, rest = url.partition(":")
    if not colon or scheme == "file" or scheme not in KINDS:
        if colon and "://" in url and scheme != "file":
            raise ConfigError(f"{scheme}:// is no kind of source or sink; known are {', '.join(KINDS)}")
        path = str(Path(rest.removeprefix("//") if scheme == "file" else url).expanduser().absolute())
        return Place(path, "file", urlsplit(""), (path,), {}, group)
    parts = urlsplit(url)
    path = tuple(part for part in parts.path.split("/") if part)
    return Place(url, scheme, parts, path, dict(parse_qsl(parts.query)), group)


def open_source(at: Place) -> Source:
    """Raises ConfigError where a package is missing, Unreachable where the broker is."""
    return _module(at).source(at)


def open_sink(at: Place) -> Sink:
    """As `open_source`."""
    return _module(at).sink(at)


def beside(at: Place) -> Place:
    """Where messages go that can't be scored when no place is named: beside the output, with `.dead` at its end."""
    if at.scheme == "-":
        return at._replace(options={"error": "1"})
    if at.scheme == "file":
        return at._replace(url=f"{at.url}.dead", path=(f"{at.url}.dead",))
    return at._replace(path=(*at.path[:-1], f"{at.topic}.dead"))


def _module(at: Place) -> Any:
    kind = KINDS[at.scheme]
    try:
        return import_module(f"salver.stream.{kind}")
    except ModuleNotFoundError as error:
        if error.name != PACKAGES.get(kind):
            raise
        raise ConfigError(f"{at.scheme}:// needs a package: pip install 'salver[{kind}]'") from None
