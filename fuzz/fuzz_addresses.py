"""Fuzz what reads addresses: those of Vault, KMS and the service, ARNs, what proxies say of peers.

    python -m fuzz addresses -max_total_time=60 fuzz/corpus/addresses

The first byte of an input chooses the reader. A finding is an error that is not one of ours, an
address without TLS that is not of this machine, or a client that no proxy named.
"""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from fuzz.running import Reader, chosen, seeds_of
from mycelium_fractal_net.api.transport.addresses import Proxies, client_of, grouped
from mycelium_fractal_net.client.connections import checked_url
from mycelium_fractal_net.security.addresses import is_loopback
from mycelium_fractal_net.security.errors import MfnError
from mycelium_fractal_net.security.key_providers.aws_kms.place import (
    KeyArn,
    KmsPlace,
    check_address,
)
from mycelium_fractal_net.security.key_providers.vault.transport import Address

PEER = "192.0.2.1"
TRUSTED = Proxies([PEER, "198.51.100.0/24", "2001:db8::/32"])
HEADERS = (b"x-forwarded-for", b"forwarded")


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def vault(data: bytes) -> None:
    found = Address.parse(_text(data))
    assert found.tls or is_loopback(found.host), "a finding: keys in the clear"
    assert found.host.isascii(), "a finding: a host that is not ASCII"
    again = Address.parse(str(found))
    assert (again.host, again.tls) == (found.host, found.tls), "a finding: another server"


def kms(data: bytes) -> None:
    check_address(_text(data), "fuzz")
    parts = urlsplit(_text(data))
    assert parts.scheme == "https" or is_loopback(parts.hostname or ""), "a finding: in the clear"


def service(data: bytes) -> None:
    url = checked_url(_text(data), allow_plain_http=False)
    assert url.scheme == "https" or is_loopback(url.host), "a finding: an API key in the clear"
    assert not url.userinfo, "a finding: a user in an address"


def arn(data: bytes) -> None:
    found = KeyArn.of_answer(_text(data))
    assert str(found) == _text(data), "a finding: another key"


def place(data: bytes) -> None:
    key_id, _, region = _text(data).partition("\0")
    found = KmsPlace(key_id, region or None)
    assert key_id.isascii(), "a finding: a key that is not ASCII"
    assert found.alias in (None, key_id)


def proxies(data: bytes) -> None:
    Proxies(_text(data).split("\0"))


def forwarded(data: bytes) -> None:
    """Headers, each behind the byte that names it: whom a trusted proxy speaks for."""
    headers = [(HEADERS[each[0] % 2], each[1:]) for each in data.split(b"\0") if each]
    found = client_of(PEER, headers, TRUSTED)
    assert found == PEER or found not in TRUSTED, "a finding: a proxy as client"
    grouped(found)
    if found != PEER:
        ipaddress.ip_address(found.partition("%")[0])
        assert found.encode("latin-1") in data, "a finding: an address that nobody named"
    assert client_of("203.0.113.9", headers, TRUSTED) == "203.0.113.9", "a finding: believed"


READERS: tuple[Reader, ...] = (vault, kms, service, arn, place, proxies, forwarded)

one_input = chosen(READERS, MfnError)


def seeds() -> dict[str, bytes]:
    """A well-formed address for each reader."""
    key = b"arn:aws:kms:eu-central-1:111122223333:key/mrk-0123456789abcdef"
    contents: dict[Reader, bytes] = {
        vault: b"https://[2001:db8::1]:8200",
        kms: b"http://127.0.0.1:4566/path",
        service: b"https://keys.example:8443/base",
        arn: key,
        place: key + b"\0eu-central-1",
        proxies: b"192.0.2.0/24\x002001:db8::1",
        forwarded: b"\x0010.1.1.1:80, 198.51.100.7\0\x01for=10.1.1.1;proto=https",
    }
    return seeds_of(READERS, contents)
