"""What is sent to Vault, where to, for how long, and what comes of an answer that is none."""

from __future__ import annotations

import ssl
import time
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from mycelium_fractal_net.security.errors import ConfigurationError, CustodianUnavailableError
from mycelium_fractal_net.security.key_providers.vault.transport import (
    ANSWER_BYTES,
    Address,
    Transport,
)
from tests.support.scripted import Scripted, answer, scripted
from tests.support.tls import Authority

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.tls import Pair

TOKEN = {"X-Vault-Token": "the-token"}


def said_of(server: Scripted, seconds: float = 5.0) -> str:
    """The text of the outage that a call to that server is."""
    transport = Transport(Address.parse(server.address), call_seconds=seconds)
    with pytest.raises(CustodianUnavailableError) as caught:
        transport.call("GET", "transit/keys/k", TOKEN)
    transport.close()
    assert caught.value.__cause__ is None
    return str(caught.value)


def test_an_answer_is_its_status_and_its_json() -> None:
    """Also one without a body, one in chunks, and a refusal."""
    chunked = (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7\r\n" + b'{"a":1}\r\n0\r\n\r\n'
    )
    with scripted(answer(200, {"data": 1}), answer(204), chunked, answer(500, {})) as server:
        transport = Transport(Address.parse(server.address))
        assert transport.call("GET", "transit/keys/k", TOKEN) == (200, {"data": 1})
        assert transport.call("POST", "a/b", TOKEN, {"x": "y"}) == (204, {})
        assert transport.call("GET", "a", TOKEN) == (200, {"a": 1})
        assert transport.call("GET", "a", TOKEN) == (500, {})
        assert server.connections == 1
        assert server.requests[0].startswith(b"GET /v1/transit/keys/k HTTP/1.1\r\n")
        assert b"X-Vault-Token: the-token" in server.requests[0]
        assert server.requests[1].endswith(b'\r\n\r\n{"x":"y"}')
        transport.close()
        transport.call("GET", "a", TOKEN)  # what is made after it is not kept
        transport.call("GET", "a", TOKEN)
        assert server.connections == 3


def test_a_redirect_is_not_followed_and_nobody_else_gets_the_token() -> None:
    """A standby's 307 is an outage: also one to the same address, which would come again."""
    with scripted(answer(200, {})) as other:
        for status in (301, 302, 307, 308):
            with scripted(answer(status, None, f"Location: {other.address}/v1/x")) as server:
                assert "standby that sends elsewhere" in said_of(server)
        assert other.connections == 0


def test_nothing_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxy, no token, no address, no log of TLS keys."""
    with scripted(answer(200, {})) as proxy, scripted(answer(200, {})) as server:
        for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY", "VAULT_ADDR", "VAULT_PROXY_ADDR"):
            monkeypatch.setenv(name, proxy.address)
        monkeypatch.setenv("VAULT_TOKEN", "from-the-environment")
        Transport(Address.parse(server.address)).call("GET", "a", {})
        assert proxy.connections == 0
        assert b"token" not in server.requests[0].lower()


def test_a_call_has_one_deadline_however_slowly_the_server_answers() -> None:
    """Silent from the start, or a byte now and then."""
    for script in (None, (0.05, answer(200, {"data": "x" * 100}))):
        with scripted(script) as server:
            began = time.monotonic()
            assert said_of(server, seconds=0.3) == "Vault does not answer in time"
            assert time.monotonic() - began < 2


def test_a_deadline_that_is_over_ends_a_call_before_it_begins() -> None:
    """No socket waits for ever because nothing was left."""
    with scripted(answer(200, {})) as server:
        assert said_of(server, seconds=-1) == "Vault does not answer in time"


@pytest.mark.parametrize(
    ("script", "text"),
    [
        (answer(412), "behind the node"),
        (answer(429), "standby, or limits"),
        (answer(472), "disaster recovery"),
        (answer(473), "is a standby"),
        (answer(501), "not initialised"),
        (answer(503, {"errors": ["Vault is sealed"]}), "is sealed or in maintenance"),
        (answer(502, {"errors": ["the secret is 42"]}), "fails, with status 502"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnone", "no JSON object"),
        (answer(200, [1]), "no JSON object"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n\xff\xff", "no JSON object"),
        (b"SSH-2.0-OpenSSH\r\nConnection: close\r\n\r\n", "no HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\nConnection: close\r\n\r\n{}", "broke its"),
        (
            b"HTTP/1.1 200 OK\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n9\r\n{}",
            "broke its",
        ),
        (answer(200, {"data": "x" * ANSWER_BYTES}), "more than any answer holds"),
    ],
)  # fmt: skip
def test_an_answer_that_is_none_is_an_outage_with_a_text_of_its_own(
    script: bytes, text: str
) -> None:
    """Nothing that the server says is shown."""
    with scripted(script) as server:
        said = said_of(server)
    assert text in said
    assert "42" not in said


def test_a_server_that_is_not_there_is_an_outage() -> None:
    """Nobody listens, or no host has the name."""
    with scripted(answer(200)) as server:
        pass
    assert said_of(server) == "Vault does not listen: the connection is refused"
    for host, text in (("nobody.invalid", "host is not known"), ("x" * 64, "UnicodeError")):
        with pytest.raises(CustodianUnavailableError, match=text):
            Transport(Address(host, 1, tls=False)).call("GET", "a", TOKEN)


def test_connections_are_kept_while_the_server_keeps_them() -> None:
    """One that it closed meanwhile, or that is old, or that ends with its answer, is replaced."""
    with scripted(answer(200, {})) as server:
        transport = Transport(Address.parse(server.address))
        transport.call("GET", "a", TOKEN)
        transport.call("GET", "a", TOKEN)
        assert server.connections == 1
        server.hang_up()
        time.sleep(0.05)
        transport.call("GET", "a", TOKEN)
        assert server.connections == 2
        old = Transport(Address.parse(server.address), kept_seconds=0.0)
        old.call("GET", "a", TOKEN)
        old.call("GET", "a", TOKEN)
        assert server.connections == 4
    with scripted(answer(200, {}, "Connection: close")) as server:
        transport = Transport(Address.parse(server.address))
        transport.call("GET", "a", TOKEN)
        transport.call("GET", "a", TOKEN)
        assert server.connections == 2


# TLS ----------------------------------------------------------------------------------------


def serving(folder: Path, pair: Pair) -> ssl.SSLContext:
    pair.write(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem", folder / "server.key")
    return context


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """An authority, whose certificate is in ``ca.pem``."""
    made = Authority()
    (tmp_path / "ca.pem").write_bytes(made.pem)
    return made


def test_a_certificate_of_the_named_authority_is_accepted_and_no_other(
    tmp_path: Path, authority: Authority
) -> None:
    """One that has expired, one for another name, one of others, and those of the system."""
    ca_file = tmp_path / "ca.pem"
    with scripted(answer(200, {"data": 1}), context=serving(tmp_path, authority.issue())) as server:
        address = Address.parse(server.address, ca_file=ca_file)
        assert Transport(address).call("GET", "a", TOKEN) == (200, {"data": 1})
        named = Address("localhost", server.port, ca_file=ca_file)
        (tmp_path / "other.pem").write_bytes(Authority().pem)
        stranger = Address.parse(server.address, ca_file=tmp_path / "other.pem")
        for wrong in (named, stranger, Address.parse(server.address)):
            with pytest.raises(CustodianUnavailableError, match="certificate of Vault is not acc"):
                Transport(wrong).call("GET", "a", TOKEN)
    expired = authority.issue(begins=timedelta(hours=-2), after=timedelta(hours=-1))
    with scripted(answer(200, {}), context=serving(tmp_path, expired)) as server:
        address = Address.parse(server.address, ca_file=ca_file)
        with pytest.raises(CustodianUnavailableError, match="it has expired"):
            Transport(address).call("GET", "a", TOKEN)
        assert server.requests == []


def test_a_server_without_tls_or_with_an_old_one_is_refused(
    tmp_path: Path, authority: Authority
) -> None:
    """Nothing is sent."""
    old = serving(tmp_path, authority.issue())
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
    for context in (None, old):
        with scripted(b"HTTP/1.1 400 no TLS\r\n\r\n", context=context) as server:
            address = Address("127.0.0.1", server.port, ca_file=tmp_path / "ca.pem")
            with pytest.raises(CustodianUnavailableError, match=r"TLS with|broke|in time"):
                Transport(address, call_seconds=0.5).call("GET", "a", TOKEN)
            assert not [each for each in server.requests if b"the-token" in each]


def test_files_that_hold_no_certificate_are_named(tmp_path: Path, authority: Authority) -> None:
    """The authorities', the client's, and a private key that is under a passphrase."""
    nothing = tmp_path / "nothing.pem"
    with pytest.raises(ConfigurationError, match="MFN_VAULT_CA_FILE"):
        Transport(Address("127.0.0.1", 1, ca_file=nothing))
    with pytest.raises(ConfigurationError, match="vault_client_certificate"):
        Transport(Address("127.0.0.1", 1, certificate=nothing))
    authority.issue().write(tmp_path)
    sealed = tmp_path / "sealed.key"
    sealed.write_bytes(
        ec.generate_private_key(ec.SECP256R1()).private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"passphrase"),
        )
    )
    for certificate, key in ((tmp_path / "server.pem", sealed), (tmp_path / "ca.pem", None)):
        with pytest.raises(ConfigurationError, match="unencrypted"):
            Transport(Address("127.0.0.1", 1, certificate=certificate, private_key=key))


# The address --------------------------------------------------------------------------------


def test_an_address_is_a_scheme_a_host_and_a_port() -> None:
    """The port of the scheme where none is named."""
    for text, shown in (
        ("https://vault.example:8200", "https://vault.example:8200"),
        ("https://vault.example/", "https://vault.example:443"),
        ("https://[2001:db8::1]:8200", "https://[2001:db8::1]:8200"),
        ("http://127.0.0.1:8200", "http://127.0.0.1:8200"),
        ("http://localhost", "http://localhost:80"),
    ):
        assert str(Address.parse(text)) == shown


@pytest.mark.parametrize(
    "text",
    [
        "vault.example", "ftp://vault.example", "https://", "https://user:pw@vault.example",
        "https://vault.example/prefix", "https://vault.example?x=1", "https://vault.example#x",
        "https://vault.example:port", "https://v\u00e4ult.example",
    ],
)  # fmt: skip
def test_what_is_no_address_is_refused_without_being_shown(text: str) -> None:
    """A password may be in it."""
    with pytest.raises(ConfigurationError) as caught:
        Address.parse(text)
    assert "vault.example" not in str(caught.value)


def test_without_tls_only_this_machine_is_asked() -> None:
    """Keys and the token would be read on the way."""
    with pytest.raises(ConfigurationError, match="https is needed"):
        Address.parse("http://vault.example:8200")
