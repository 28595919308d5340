"""TLS of `mfn serve`: versions, client certificates, and renewal while it serves."""

from __future__ import annotations

import os
import signal
import socket
import ssl
import threading
import time
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from cryptography import x509

from mycelium_fractal_net import initialise
from tests.support.cli import one_line
from tests.support.service import Running, b64, start
from tests.support.tls import Authority, Pair, configured

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.support.cli import Mfn

WITHIN_SECONDS = 10.0


@pytest.fixture(scope="module")
def authority() -> Authority:
    """An authority that the clients trust."""
    return Authority()


@pytest.fixture(scope="module")
def served(
    tmp_path_factory: pytest.TempPathFactory, authority: Authority
) -> Iterator[tuple[Running, Path]]:
    """A service of two workers with TLS and optional client certificates; its folder."""
    folder = tmp_path_factory.mktemp("tls")
    asked = {"client_ca": str(folder / "ca.pem"), "client_certificates": "optional"}
    running = begun(folder, authority, "--workers", "2", **asked)
    yield running, folder
    assert running.stop() == 0


def begun(folder: Path, authority: Authority, *arguments: str, **settings: Any) -> Running:
    """A service that serves TLS from a new pair in ``folder``."""
    initialise(home=folder / "home").close()
    authority.issue().write(folder)
    (folder / "ca.pem").write_bytes(authority.pem)
    verify = settings.pop("verify", None) or authority.trusted()
    path = configured(folder, **settings)
    with (folder / "errors").open("wb") as errors:
        return start(
            folder / "home",
            *arguments,
            env={"MFN_CONFIG": str(path)},
            verify=verify,
            stderr=errors,
        )


def shown(running: Running, authority: Authority, **bounds: Any) -> tuple[str, str, str]:
    """The name in the certificate of a new connection, the version and the cipher."""
    with (
        socket.create_connection(running.address(), timeout=10) as connection,
        authority.trusted(**bounds).wrap_socket(
            connection, server_hostname=running.address()[0]
        ) as secured,
    ):
        der = secured.getpeercert(binary_form=True)
        assert der is not None
        (name,) = x509.load_der_x509_certificate(der).subject
        cipher = secured.cipher()
        assert cipher is not None
        return str(name.value), secured.version() or "", cipher[0]


def until(true: Callable[[], bool]) -> None:
    """Wait for something to become true; fail where it does not in time."""
    deadline = time.monotonic() + WITHIN_SECONDS
    while not true():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def backends(running: Running) -> Any:
    """What health says of the backends; it must be ready."""
    with running.client() as client:
        answer = client.get("/health/ready")
    assert answer.status_code == 200
    return answer.json()["backends"]


def test_the_service_serves_tls_where_a_certificate_is_named(
    served: tuple[Running, Path],
) -> None:
    """It says so in the address that it prints, and satisfies what prod requires."""
    running, _ = served
    assert running.url.startswith("https://")
    with running.client() as client:
        answer = client.post("/crypto/encrypt", json={"data": b64(b"hello")})
        assert answer.status_code == 200
    assert backends(running)["tls"] == "ok"
    with pytest.raises(httpx.RemoteProtocolError):
        httpx.get(running.url.replace("https", "http") + "/health/live")


def test_only_ciphers_with_forward_secrecy_and_authentication_are_agreed_upon(
    served: tuple[Running, Path], authority: Authority
) -> None:
    """TLS 1.3, or TLS 1.2 with ECDHE and an AEAD; nothing older."""
    running, _ = served
    assert shown(running, authority)[1] == "TLSv1.3"
    _, version, cipher = shown(running, authority, maximum_version=ssl.TLSVersion.TLSv1_2)
    assert version == "TLSv1.2"
    assert cipher.startswith("ECDHE-")
    assert "GCM" in cipher or "CHACHA20" in cipher
    for weak in ("AES256-GCM-SHA384", "ECDHE-ECDSA-AES256-SHA384"):
        context = authority.trusted(maximum_version=ssl.TLSVersion.TLSv1_2)
        context.set_ciphers(weak + ":@SECLEVEL=0")
        with socket.create_connection(running.address(), timeout=10) as connection:
            with pytest.raises((ssl.SSLError, ConnectionError)):
                context.wrap_socket(connection, server_hostname="127.0.0.1")
    with (
        pytest.raises((ssl.SSLError, ConnectionError)),
        pytest.warns(DeprecationWarning, match="TLSv1_1"),
    ):
        shown(
            running,
            authority,
            minimum_version=ssl.TLSVersion.TLSv1_1,
            maximum_version=ssl.TLSVersion.TLSv1_1,
        )


def test_a_renewed_pair_is_served_without_a_restart(
    served: tuple[Running, Path], authority: Authority
) -> None:
    """To new connections; those that are open go on."""
    running, folder = served
    with running.client() as client:
        assert client.get("/health/live").status_code == 200
        authority.issue("second").write(folder)
        until(lambda: shown(running, authority)[0] == "second")
        assert client.get("/health/live").status_code == 200
    assert backends(running)["tls"] == "ok"


def names(running: Running, authority: Authority) -> set[str]:
    """What so many new connections are shown that each worker has some of them."""
    return {shown(running, authority)[0] for _ in range(10)}


def test_sighup_has_every_worker_read_the_certificate_at_once(
    served: tuple[Running, Path], authority: Authority
) -> None:
    """Where no terminal holds the service, which goes on, with the old pair if need be."""
    running, folder = served
    workers = running.workers()
    authority.issue("hung up").write(folder)
    os.kill(running.process.pid, signal.SIGHUP)
    until(lambda: names(running, authority) == {"hung up"})
    Pair(authority.issue("wrong").certificate, authority.issue().private_key).write(folder)
    os.kill(running.process.pid, signal.SIGHUP)
    until(lambda: backends(running)["tls"] == "renewal-refused")
    assert names(running, authority) == {"hung up"}
    said = (folder / "errors").read_text()
    assert "goes on serving" in said
    assert "PRIVATE KEY" not in said
    authority.issue("after").write(folder)
    os.kill(running.process.pid, signal.SIGHUP)
    until(lambda: names(running, authority) == {"after"})
    assert running.workers() == workers


def test_client_certificates_are_those_of_the_authority(
    served: tuple[Running, Path], tmp_path: Path, authority: Authority
) -> None:
    """None is taken that another authority signed; without one only where it is optional."""
    running, _ = served
    url = running.url + "/health/live"
    for issuer, taken in ((authority, True), (Authority(), False)):
        pair = issuer.issue("client")
        (tmp_path / "client.pem").write_bytes(pair.certificate + pair.private_key)
        context = authority.trusted()
        context.load_cert_chain(tmp_path / "client.pem")
        if taken:
            assert httpx.get(url, verify=context).status_code == 200
        else:
            with pytest.raises(httpx.TransportError):
                httpx.get(url, verify=context)
    assert httpx.get(url, verify=authority.trusted()).status_code == 200


def test_a_pair_that_does_not_serve_refuses_to_start(mfn: Mfn, authority: Authority) -> None:
    """In one line that names the setting."""
    Pair(authority.issue().certificate, authority.issue().private_key).write(mfn.folder)
    ran = mfn("--config", str(configured(mfn.folder)), "serve", "--port", "0")
    assert "security.tls.private_key" in one_line(ran, 3)


@pytest.mark.long
def test_one_too_many_is_told_so_over_tls_too(tmp_path: Path, authority: Authority) -> None:
    """After its handshake, of which there are only so many at a time."""
    running = begun(tmp_path, authority, server={"max_connections": 1})
    try:
        with running.client() as busy:
            # Until those who asked whether it serves have gone; then this connection has the place.
            until(lambda: busy.get("/health/live").status_code == 200)
            octets = {"Content-Type": "application/octet-stream"}
            refused: list[httpx.Response] = []

            def ask() -> None:
                with running.client() as late:
                    refused.append(late.get("/health/live"))

            asking = threading.Thread(target=ask)

            def moving() -> Iterator[bytes]:  # or it would make room
                yield bytes(50_000)
                asking.start()
                while asking.is_alive():
                    yield bytes(5_000)
                    time.sleep(0.02)

            answer = busy.post("/crypto/encrypt/stream", content=moving(), headers=octets)
            assert answer.status_code == 200
            assert [each.status_code for each in refused] == [503]
            assert refused[0].headers["retry-after"] == "1"
    finally:
        running.kill()
