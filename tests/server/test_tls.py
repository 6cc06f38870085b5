"""TLS: who can speak to the server, and certificates that change while it runs."""

from __future__ import annotations

import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.echo import echo_folder
from tests.server.attacks import SETTINGS, attack
from tests.server.wire import get
from tests.serving import SALVER, Served, serving

LATE_S = 10.0


def openssl(folder: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)


def certificate(folder: Path, name: str, authority: str = "") -> None:
    """`NAME.pem` with its `NAME.key`, for localhost; signed by another of them, or by itself and then an authority."""
    new = [
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-days",
        "2",
        "-subj",
        f"/CN={name}",
    ]
    signed = ["-CA", f"{authority}.pem", "-CAkey", f"{authority}.key", "-addext", "basicConstraints=critical,CA:FALSE"]
    names = ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    more = [*signed, *names] if authority else []
    openssl(folder, *new, "-keyout", f"{name}.key", "-out", f"{name}.pem", *more)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("tls")
    certificate(made, "authority")
    for name in ("server", "renewed", "caller"):
        certificate(made, name, "authority")
    certificate(made, "stranger")
    return made


@pytest.fixture(scope="module", params=["1", "2"], ids=["alone", "workers"])
def served(request: pytest.FixtureRequest, folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    store = tmp_path_factory.mktemp("store")
    (store / "server.toml").write_text(SETTINGS + "handshake_s = 1\n")
    arguments = ["--tls-cert", str(folder / "server.pem"), "--tls-key", str(folder / "server.key"), "--no-log"]
    arguments += ["--workers", request.param]
    with serving([echo_folder(store / "echo")], store=store, arguments=arguments, wait=False) as served:
        yield served


def trusting(folder: Path, caller: str = "") -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(folder / "authority.pem"))
    if caller:
        context.load_cert_chain(folder / f"{caller}.pem", folder / f"{caller}.key")
    return context


def ready(served: Served, context: ssl.SSLContext) -> httpx.Client:
    url = served.url.replace("http:", "https:")
    deadline = time.monotonic() + 30
    while served.process.poll() is None:
        try:
            if httpx.get(f"{url}/health/ready", verify=context).status_code == 200:
                return httpx.Client(base_url=url, verify=context)
        except httpx.TransportError:
            assert time.monotonic() < deadline, served.output.read_text()
        time.sleep(0.05)
    raise AssertionError(served.output.read_text())


def shown_certificate(served: Served) -> bytes:
    host, port = served.url.removeprefix("http://").split(":")
    return ssl.get_server_certificate((host, int(port))).encode()


def test_it_speaks_https_and_says_so(served: Served, folder: Path) -> None:
    with ready(served, trusting(folder)) as client:
        for _ in range(3):
            assert client.post("/predict", json={"features": [5]}).json()["prediction"] == 5
    _until(lambda: "listening on https://localhost:" in served.output.read_text())
    with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
        httpx.get(served.url.replace("http:", "https:"))


@attack("Plain HTTP, or an old TLS, to a TLS port", "no answer, and closed")
def test_only_tls_is_spoken_there(served: Served, folder: Path) -> None:
    ready(served, trusting(folder)).close()
    host, port = served.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=5) as plain:
        plain.sendall(get("/health/live"))
        assert b"200" not in _received(plain)
    done = subprocess.run(
        ["openssl", "s_client", "-connect", f"{host}:{port}", "-tls1_1", "-cipher", "DEFAULT:@SECLEVEL=0"],
        input=b"",
        capture_output=True,
    )
    assert done.returncode


@attack("A TLS handshake that is never finished", "closed after `limits.handshake_s`")
def test_a_handshake_that_is_never_finished(served: Served, folder: Path) -> None:
    ready(served, trusting(folder)).close()
    host, port = served.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=LATE_S) as silent:
        silent.sendall(b"\x16\x03\x01")
        started = time.monotonic()
        assert _received(silent) == b""
        assert 0.5 < time.monotonic() - started < LATE_S


def _received(connection: socket.socket) -> bytes:
    try:
        return connection.recv(1000)
    except ConnectionResetError:
        return b""


def test_certificates_are_renewed_while_it_serves(folder: Path, tmp_path: Path) -> None:
    here = {name: tmp_path / name for name in ("cert.pem", "cert.key")}
    _copy(folder, "server", here)
    arguments = ["--tls-cert", str(here["cert.pem"]), "--tls-key", str(here["cert.key"]), "--no-log"]
    with (
        serving([echo_folder(tmp_path / "echo")], arguments=arguments, wait=False) as served,
        ready(served, trusting(folder)) as steady,
    ):
        first = shown_certificate(served)
        here["cert.pem"].write_bytes((folder / "renewed.pem").read_bytes())  # its key is still the old one's
        _until(lambda: "the old one stays" in served.output.read_text())
        assert shown_certificate(served) == first
        _copy(folder, "renewed", here)
        _until(lambda: shown_certificate(served) != first)
        assert steady.post("/predict", json={"features": [5]}).status_code == 200  # on the connection it had


def _copy(folder: Path, name: str, here: dict[str, Path]) -> None:
    here["cert.pem"].write_bytes((folder / f"{name}.pem").read_bytes())
    here["cert.key"].write_bytes((folder / f"{name}.key").read_bytes())


@attack("No certificate, or one of another authority, where clients must show one", "the handshake fails")
def test_clients_show_their_certificate(folder: Path, tmp_path: Path) -> None:
    arguments = ["--tls-cert", str(folder / "server.pem"), "--tls-key", str(folder / "server.key"), "--no-log"]
    arguments += ["--tls-client-ca", str(folder / "authority.pem")]
    with serving([echo_folder(tmp_path / "echo")], arguments=arguments, wait=False) as served:
        with ready(served, trusting(folder, "caller")) as client:
            assert client.post("/predict", json={"features": [5]}).json()["prediction"] == 5
        for stranger in ("", "stranger"):
            with httpx.Client(verify=trusting(folder, stranger)) as client, pytest.raises(httpx.TransportError):
                client.get(f"{served.url.replace('http:', 'https:')}/health/live")


@pytest.mark.parametrize("cert", ["missing.pem", "server.key", "renewed.pem"])
def test_a_certificate_that_does_not_hold_is_said_at_once(folder: Path, tmp_path: Path, cert: str) -> None:
    command = [SALVER, "serve", "--store", tmp_path, "--tls-cert", folder / cert, "--tls-key", folder / "server.key"]
    done = subprocess.run([*command, echo_folder(tmp_path / "echo")], capture_output=True, text=True)
    assert done.returncode == 1
    assert "TLS" in done.stderr or "no certificate with its key" in done.stderr


def _until(holds: object) -> None:
    assert callable(holds)
    deadline = time.monotonic() + LATE_S
    while not holds():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.05)
