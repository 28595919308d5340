"""TLS of `mfn serve`: versions, client certificates, and renewal while it serves."""

from __future__ import annotations

import os
import signal
import socket
import ssl
import threading
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from mycelium_fractal_net import initialise
from tests.integration.test_service_start import refusal
from tests.support.service import Running, b64, start
from tests.support.tls import Authority, Pair, configured

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

WITHIN_SECONDS = 10.0


@pytest.fixture(scope="module")
def authority() -> Authority:
    """An authority that the clients trust."""
    return Authority()


@pytest.fixture(scope="module")
def served(
    tmp_path_factory: pytest.TempPathFactory, authority: Authority
) -> Iterator[tuple[Running, Path]]:
    """A service with TLS and the folder of its certificate."""
    folder = tmp_path_factory.mktemp("tls")
    running = begun(folder, authority)
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


def other_key(authority: Authority, pair: Pair) -> Pair:
    return Pair(pair.certificate, authority.issue().private_key)


def half(_: Authority, pair: Pair) -> Pair:
    return Pair(pair.certificate[: len(pair.certificate) // 2], pair.private_key)


def half_key(_: Authority, pair: Pair) -> Pair:
    return Pair(pair.certificate, pair.private_key[: len(pair.private_key) // 2])


def empty(_: Authority, _pair: Pair) -> Pair:
    return Pair(b"", b"")


def expired(authority: Authority, _: Pair) -> Pair:
    return authority.issue("expired", after=timedelta(seconds=-1))


def encrypted(_: Authority, pair: Pair) -> Pair:
    key = serialization.load_pem_private_key(pair.private_key, None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    locked = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"passphrase"),
    )
    return Pair(pair.certificate, locked)


WRONG = [other_key, half, half_key, empty, expired, encrypted]


@pytest.mark.parametrize("wrong", WRONG, ids=lambda each: each.__name__)
def test_a_pair_that_does_not_serve_leaves_the_old_one_serving(
    served: tuple[Running, Path],
    authority: Authority,
    wrong: Callable[[Authority, Pair], Pair],
) -> None:
    """It is logged once and shown by health, and the next good pair is served."""
    running, folder = served
    name = f"before {wrong.__name__}"
    authority.issue(name).write(folder)
    until(lambda: shown(running, authority)[0] == name)
    told = (folder / "errors").read_text().count("goes on serving")
    wrong(authority, authority.issue("wrong")).write(folder)
    until(lambda: backends(running)["tls"] == "renewal-refused")
    for _ in range(3):
        assert shown(running, authority)[0] == name
    time.sleep(0.3)
    said = (folder / "errors").read_text()
    assert 1 <= said.count("goes on serving") - told <= 2  # half of a pair may be seen on its own
    assert "PRIVATE KEY" not in said
    authority.issue("after").write(folder)
    until(lambda: shown(running, authority)[0] == "after")
    assert backends(running)["tls"] == "ok"


@pytest.mark.parametrize("wrong", WRONG, ids=lambda each: each.__name__)
def test_a_pair_that_does_not_serve_refuses_to_start(
    tmp_path: Path,
    home: Path,
    authority: Authority,
    wrong: Callable[[Authority, Pair], Pair],
) -> None:
    """In one line that names the setting."""
    initialise(home=home).close()
    wrong(authority, authority.issue("wrong")).write(tmp_path)
    code, said = refusal(home, "--config", str(configured(tmp_path)), "serve", "--port", "0")
    assert code == 3
    assert "security.tls." in said


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"certificate": None}, "security.tls.certificate"),
        ({"private_key": None}, "security.tls.private_key"),
        ({"client_certificates": "required"}, "security.tls.client_ca"),
        ({"client_ca": "/nowhere/ca.pem"}, "security.tls.client_ca"),
    ],
)
def test_half_of_the_settings_refuses_to_start(
    tmp_path: Path, home: Path, authority: Authority, settings: dict[str, Any], named: str
) -> None:
    """Nobody serves without what he meant to serve with."""
    initialise(home=home).close()
    authority.issue().write(tmp_path)
    path = configured(tmp_path, **settings)
    code, said = refusal(home, "--config", str(path), "serve", "--port", "0")
    assert code == 3
    assert named in said


def test_sighup_has_every_worker_read_the_certificate_at_once(
    tmp_path: Path, authority: Authority
) -> None:
    """Where no terminal holds the service, and the service goes on."""
    running = begun(tmp_path, authority, "--workers", "2")
    try:
        workers = running.workers()
        for last in (False, False, True):  # a machine that is busy may take longer than a moment
            time.sleep(0.1)
            authority.issue("hung up").write(tmp_path)
            os.kill(running.process.pid, signal.SIGHUP)
            time.sleep(0.3)
            names = {shown(running, authority)[0] for _ in range(20)}
            if names == {"hung up"} or last:
                break
            authority.issue("first").write(tmp_path)
            until(lambda: {shown(running, authority)[0] for _ in range(20)} == {"first"})
        assert names == {"hung up"}
        assert running.workers() == workers
        assert running.stop() == 0
    finally:
        running.kill()


def test_older_versions_than_the_settings_allow_are_refused(
    tmp_path: Path, authority: Authority
) -> None:
    """`security.tls.min_version` of 1.3."""
    running = begun(tmp_path, authority, min_version="1.3")
    try:
        assert shown(running, authority)[1] == "TLSv1.3"
        with pytest.raises((ssl.SSLError, ConnectionError)):
            shown(running, authority, maximum_version=ssl.TLSVersion.TLSv1_2)
        assert running.stop() == 0
    finally:
        running.kill()


@pytest.mark.parametrize("asked", ["optional", "required"])
def test_client_certificates_are_those_of_the_authority(
    tmp_path: Path, authority: Authority, asked: str
) -> None:
    """None is taken that another authority signed; without one only where it is optional."""
    own = authority.trusted()
    pair = authority.issue("client")
    (tmp_path / "client.pem").write_bytes(pair.certificate + pair.private_key)
    own.load_cert_chain(tmp_path / "client.pem")
    strange = authority.trusted()
    other = Authority().issue("client")
    (tmp_path / "other.pem").write_bytes(other.certificate + other.private_key)
    strange.load_cert_chain(tmp_path / "other.pem")
    running = begun(
        tmp_path,
        authority,
        client_ca=str(tmp_path / "ca.pem"),
        client_certificates=asked,
        verify=own,
    )
    try:
        url = running.url + "/health/live"
        assert httpx.get(url, verify=own).status_code == 200
        with pytest.raises(httpx.TransportError):
            httpx.get(url, verify=strange)
        if asked == "optional":
            assert httpx.get(url, verify=authority.trusted()).status_code == 200
        else:
            with pytest.raises(httpx.TransportError):
                httpx.get(url, verify=authority.trusted())
        assert running.stop() == 0
    finally:
        running.kill()


def test_one_too_many_is_told_so_over_tls_too(tmp_path: Path, authority: Authority) -> None:
    """After its handshake, of which there are only so many at a time."""
    running = begun(tmp_path, authority, server={"max_connections": 1})
    try:
        running.until_taken(0)  # until those who asked whether it serves have gone
        with running.client() as busy:
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
