"""`server.toml` in the store: how a server meets the world. Each setting stands here once, with its default and its meaning.

docs/settings.md lists them; a test keeps the two the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from salver.errors import ConfigError
from salver.settings import read_settings_file

FILE = "server.toml"

Who = Literal["key", "open", "off"]


def _means(text: str) -> msgspec.Meta:
    return msgspec.Meta(description=text)


def _positive(text: str) -> msgspec.Meta:
    return msgspec.Meta(description=text, gt=0)


class Tls(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What connections are encrypted with."""

    cert: Annotated[
        str, _means("A file with the certificate and its chain, in PEM; with it, the server speaks HTTPS only.")
    ] = ""
    key: Annotated[str, _means("The file with its private key, in PEM. Both files are read again when they change.")] = ""
    client_ca: Annotated[
        str, _means("Take only clients with a certificate that one of the authorities in this file signed.")
    ] = ""


class Access(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who is let in. `key`: with any API key; `open`: everybody; `off`: nobody, the route is not there."""

    keys: Annotated[
        Literal["auto", "always", "never"],
        _means('Whether a key is needed. "auto": as soon as the store has ever had one. "never" is `--insecure-no-keys`.'),
    ] = "auto"
    metrics: Annotated[Who, _means("Who may read `/metrics`.")] = "key"
    docs: Annotated[Who, _means("Who may read `/docs` and `/openapi.json`.")] = "key"
    dashboard: Annotated[Literal["key", "off"], _means("Whether the dashboard, `/ui`, is there.")] = "key"
    manage: Annotated[Literal["key", "off"], _means("Whether routes that change what is served are there.")] = "key"


class Rates(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How fast one key may ask; a key may have rates of its own."""

    requests_per_s: Annotated[
        int, msgspec.Meta(description="Requests a second for each key; 0: as many as it likes.", ge=0)
    ] = 0
    burst: Annotated[int, msgspec.Meta(description="How many may come at once; 0: as many as in a second.", ge=0)] = 0


class Cors(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which web pages may ask."""

    origins: Annotated[list[str], _means('Origins whose pages may ask from a browser: `["https://app.example"]`.')] = []


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Bounds on what a client may send and on how long it may take."""

    connections: Annotated[int, _positive("Connections at a time, in each worker.")] = 8192
    connections_per_address: Annotated[int, _positive("Connections at a time from one address; a proxy is one.")] = 1024
    pipelined: Annotated[int, _positive("Requests that may wait on a connection behind the one being answered.")] = 256
    handshake_s: Annotated[float, _positive("Time for a TLS handshake.")] = 10.0
    head_s: Annotated[float, _positive("Time for a whole head: request line and headers.")] = 10.0
    idle_s: Annotated[float, _positive("Time that a kept-alive connection may be idle.")] = 75.0
    grace_s: Annotated[
        float, _positive("Time that idle kept-alive connections have for one more request when the server stops.")
    ] = 1.0
    body_s: Annotated[float, _positive("Time for a body, and longer only while it comes fast enough.")] = 20.0
    body_bytes_per_s: Annotated[int, _positive("How fast a body must come, on average, after that time.")] = 4096
    answer_s: Annotated[float, _positive("Time that an answer may lie there without the client taking any of it.")] = 60.0
    url_bytes: Annotated[int, _positive("Length of the request's target.")] = 8192
    headers: Annotated[int, _positive("Headers of a request, trailers too.")] = 100
    header_bytes: Annotated[int, _positive("Size of a head, and of all headers together.")] = 32 * 2**10
    body_bytes: Annotated[int, _positive("Size of a body as it is sent.")] = 64 * 2**20
    decompressed_bytes: Annotated[int, _positive("Size of a body after its content-encoding is undone.")] = 64 * 2**20
    table_bytes: Annotated[int, _positive("Size of a body of CSV, JSON lines, Arrow or Parquet, decompressed too.")] = 2**31
    grpc_message_bytes: Annotated[int, _positive("Size of a gRPC message, after its compression is undone.")] = 64 * 2**20
    json_depth: Annotated[int, _positive("How deep arrays and objects may be nested.")] = 32
    json_values: Annotated[int, _positive("Values in a body of JSON, of any kind.")] = 4_000_000
    rows: Annotated[int, _positive("Rows of a request.")] = 65_536
    columns: Annotated[int, _positive("Inputs of a request; a request never has more columns than its model.")] = 65_536


class Protocols(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the protocols of other servers are spoken."""

    default: Annotated[
        str, _means("The model that routes without a name mean (`/predict`, `/invocations`) where several are served.")
    ] = ""
    invocations: Annotated[
        Literal["auto", "mlflow", "sagemaker"],
        _means("Whose `/invocations` this is. \"auto\": SageMaker's in its containers, else MLflow's."),
    ] = "auto"
    sagemaker_accept: Annotated[
        Literal["application/json", "text/csv"], _means("How SageMaker is answered where its client does not say.")
    ] = "application/json"
    vertex_health: Annotated[str, _means("The route of Vertex AI's health checks; `AIP_HEALTH_ROUTE` in its containers.")] = ""
    vertex_predict: Annotated[str, _means("The route of Vertex AI's predictions; `AIP_PREDICT_ROUTE` in its containers.")] = ""


class Audit(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The list of who did what: `audit/` in the store."""

    file_bytes: Annotated[int, _positive("A file is closed and another begun when it is this large.")] = 10 * 10**6
    files: Annotated[int, _positive("How many files are kept; the oldest goes first.")] = 10
    refusals_per_s: Annotated[int, _positive("Refused requests that are listed one by one; more are counted together.")] = 10


class Events(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a server says of itself: that it is ready, that a version is in force or refused, that a worker ended."""

    format: Annotated[
        Literal["text", "json"],
        _means('"json": a line of JSON on standard error for each event. `--log-format` is short for it.'),
    ] = "text"


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All of `server.toml`."""

    tls: Tls = Tls()
    access: Access = Access()
    rates: Rates = Rates()
    cors: Cors = Cors()
    limits: Limits = Limits()
    protocols: Protocols = Protocols()
    audit: Audit = Audit()
    events: Events = Events()


def read_settings(store: Path, changes: Sequence[str] = ()) -> Settings:
    """The settings of a server whose store, or local folder, is `store`. Raises ConfigError."""
    settings = read_settings_file(store / FILE, Settings, changes)
    if bool(settings.tls.cert) != bool(settings.tls.key):
        raise ConfigError("TLS needs both the certificate and its private key: --tls-cert FILE --tls-key FILE")
    if settings.tls.client_ca and not settings.tls.cert:
        raise ConfigError("certificates of clients can be asked for only with TLS: --tls-cert FILE --tls-key FILE")
    for origin in settings.cors.origins:
        if origin != "*" and ("://" not in origin or origin.endswith("/")):
            raise ConfigError("an origin is a scheme and a host, as browsers send it: https://app.example")
    return settings
