"""The certificate that is served: what is taken of the files, and when they are read again."""

from __future__ import annotations

import contextlib
import logging
import ssl
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from mycelium_fractal_net.api.transport.certificate import Certificate
from mycelium_fractal_net.api.transport.tls import load, serves_tls
from mycelium_fractal_net.config.settings import Tls
from mycelium_fractal_net.security.errors import ConfigurationError
from tests.support.tls import Authority, Pair

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture(scope="module")
def authority() -> Authority:
    """An authority that the clients trust."""
    return Authority()


def settings_of(folder: Path, **more: Any) -> Tls:
    """The pair in that folder, as settings."""
    pair = {"certificate": folder / "server.pem", "private_key": folder / "server.key"}
    return Tls(**{**pair, **more})


def agreed(server: ssl.SSLContext, client: ssl.SSLContext) -> str | None:
    """The version that both agree upon, in memory. Raises where they do not."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    served = server.wrap_bio(to_server, to_client, server_side=True)
    asking = client.wrap_bio(to_client, to_server, server_hostname="127.0.0.1")
    for _ in range(3):
        for each in (asking, served):
            with contextlib.suppress(ssl.SSLWantReadError):
                each.do_handshake()
    with contextlib.suppress(ssl.SSLWantReadError):  # TLS 1.3 has what a server refuses here
        asking.read()
    return served.version()


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
    tmp_path: Path,
    authority: Authority,
    wrong: Callable[[Authority, Pair], Pair],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It is logged once, without what is in it, and the next good pair is served."""
    authority.issue().write(tmp_path)
    served = Certificate(settings_of(tmp_path))
    first = served.context()
    wrong(authority, authority.issue("wrong")).write(tmp_path)
    with caplog.at_level(logging.ERROR):
        for _ in range(3):
            served.check()
    assert (served.state, served.context()) == ("renewal-refused", first)
    (record,) = caplog.records
    assert "goes on serving: security.tls." in record.getMessage()
    assert "PRIVATE KEY" not in record.getMessage()
    authority.issue("after").write(tmp_path)
    served.check()
    assert served.state == "ok"
    assert served.context() is not first


@pytest.mark.parametrize("wrong", WRONG, ids=lambda each: each.__name__)
def test_a_pair_that_does_not_serve_is_refused_at_first(
    tmp_path: Path, authority: Authority, wrong: Callable[[Authority, Pair], Pair]
) -> None:
    """By the name of the setting."""
    wrong(authority, authority.issue("wrong")).write(tmp_path)
    with pytest.raises(ConfigurationError, match=r"^security\.tls\."):
        Certificate(settings_of(tmp_path))


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"certificate": None}, "security.tls.certificate"),
        ({"private_key": None}, "security.tls.private_key"),
        ({"client_certificates": "required"}, "security.tls.client_ca"),
        ({"client_ca": "/nowhere/ca.pem"}, "security.tls.client_ca"),
    ],
)
def test_half_of_the_settings_is_refused(
    tmp_path: Path, authority: Authority, settings: dict[str, Any], named: str
) -> None:
    """Nobody serves without what he meant to serve with."""
    authority.issue().write(tmp_path)
    tls = settings_of(tmp_path, **settings)
    with pytest.raises(ConfigurationError, match=named):
        serves_tls(tls)
        load(tls)


def test_older_versions_than_the_settings_allow_are_refused(
    tmp_path: Path, authority: Authority
) -> None:
    """`security.tls.min_version` of 1.3."""
    authority.issue().write(tmp_path)
    context = load(settings_of(tmp_path, min_version="1.3")).context
    assert agreed(context, authority.trusted()) == "TLSv1.3"
    with pytest.raises(ssl.SSLError):
        agreed(context, authority.trusted(maximum_version=ssl.TLSVersion.TLSv1_2))


@pytest.mark.parametrize("asked", ["optional", "required"])
def test_client_certificates_are_those_of_the_authority(
    tmp_path: Path, authority: Authority, asked: str
) -> None:
    """None is taken that another authority signed; without one only where it is optional."""
    authority.issue().write(tmp_path)
    (tmp_path / "ca.pem").write_bytes(authority.pem)
    context = load(
        settings_of(tmp_path, client_ca=tmp_path / "ca.pem", client_certificates=asked)
    ).context
    for issuer, taken in ((authority, True), (Authority(), False), (None, asked == "optional")):
        client = authority.trusted()
        if issuer is not None:
            pair = issuer.issue("client")
            (tmp_path / "client.pem").write_bytes(pair.certificate + pair.private_key)
            client.load_cert_chain(tmp_path / "client.pem")
        if taken:
            assert agreed(context, client) == "TLSv1.3"
        else:
            with pytest.raises(ssl.SSLError):
                agreed(context, client)


def test_a_pair_that_is_not_valid_yet_is_served_once_it_is(
    tmp_path: Path, authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    """The authority's clock may be ahead of ours; nobody writes the files a second time."""
    authority.issue().write(tmp_path)
    served = Certificate(settings_of(tmp_path))
    first = served.context()
    authority.issue(begins=timedelta(seconds=1.2)).write(tmp_path)
    with caplog.at_level(logging.ERROR):
        for _ in range(3):
            served.check()
    assert (served.state, served.context()) == ("renewal-refused", first)
    assert len(caplog.records) == 1  # which says it once
    deadline = time.monotonic() + 5
    while served.state != "ok" and time.monotonic() < deadline:
        time.sleep(0.05)
        served.check()
    assert served.state == "ok"
    assert served.context() is not first
