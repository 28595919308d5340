"""Whose request it is: forwarded addresses are believed from trusted proxies alone."""

from __future__ import annotations

import pytest

from mycelium_fractal_net.api.transport.addresses import Proxies, client_of, grouped
from mycelium_fractal_net.security.errors import ConfigurationError

PROXY = "192.0.2.7"
PROXIES = Proxies((PROXY, "10.0.0.0/8", "2001:db8:ffff::/48"))
PLAIN = b"x-forwarded-for"
STANDARD = b"forwarded"


def test_a_stranger_is_whom_he_connects_as_whatever_he_claims() -> None:
    """Otherwise every request could be of another address."""
    for name, value in ((PLAIN, b"203.0.113.9"), (STANDARD, b"for=203.0.113.9")):
        assert client_of("198.51.100.1", [(name, value)], PROXIES) == "198.51.100.1"
        assert client_of("198.51.100.1", [(name, value)], Proxies(())) == "198.51.100.1"


@pytest.mark.parametrize(
    ("name", "value", "found"),
    [
        (PLAIN, b"203.0.113.9", "203.0.113.9"),
        (PLAIN, b"spoofed, 203.0.113.9", "203.0.113.9"),
        (PLAIN, b"198.51.100.1,203.0.113.9 , 10.1.2.3", "203.0.113.9"),
        (PLAIN, b"203.0.113.9:4711", "203.0.113.9"),
        (PLAIN, b"2001:db8::1", "2001:db8::1"),
        (PLAIN, b"[2001:db8::1]:4711", "2001:db8::1"),
        (PLAIN, b"203.0.113.9, nonsense", PROXY),
        (PLAIN, b"203.0.113.9, ", PROXY),
        (PLAIN, b"", PROXY),
        (PLAIN, b"10.1.1.1, 10.2.2.2", PROXY),
        (PLAIN, b"\xff\xfe", PROXY),
        (STANDARD, b"for=203.0.113.9;proto=https;by=192.0.2.7", "203.0.113.9"),
        (STANDARD, b"proto=https;For=203.0.113.9", "203.0.113.9"),
        (STANDARD, b'for=spoofed, for="[2001:db8::1]:4711"', "2001:db8::1"),
        (STANDARD, b"for=198.51.100.1, for=203.0.113.9, for=10.1.2.3", "203.0.113.9"),
        (STANDARD, b"for=unknown", PROXY),
        (STANDARD, b"for=_hidden", PROXY),
        (STANDARD, b"proto=https", PROXY),
    ],
)
def test_a_trusted_proxy_says_whose_request_it_passes_on(
    name: bytes, value: bytes, found: str
) -> None:
    """The last address that is no proxy's; where it is unreadable, the proxy stands for it."""
    assert client_of(PROXY, [(b"host", b"a"), (name, value)], PROXIES) == found


def test_several_headers_are_one_list() -> None:
    """RFC 9110 section 5.3."""
    headers = [(PLAIN, b"198.51.100.1"), (b"host", b"a"), (PLAIN, b"203.0.113.9")]
    assert client_of(PROXY, headers, PROXIES) == "203.0.113.9"


def test_two_headers_that_differ_are_not_believed() -> None:
    """A proxy that writes one of them may let the other through as the client invented it."""
    differ = [(PLAIN, b"203.0.113.9"), (STANDARD, b"for=198.51.100.1")]
    agree = [(PLAIN, b"203.0.113.9"), (STANDARD, b"for=203.0.113.9")]
    assert client_of(PROXY, differ, PROXIES) == PROXY
    assert client_of(PROXY, agree, PROXIES) == "203.0.113.9"


def test_a_proxy_is_an_address_or_in_a_network() -> None:
    """In whatever form the address comes."""
    for inside in (PROXY, "10.255.0.1", "2001:db8:ffff:1::1", "::ffff:192.0.2.7"):
        assert inside in PROXIES
    for outside in ("192.0.2.8", "11.0.0.1", "2001:db8::1", "", "nonsense", 7):
        assert outside not in PROXIES


@pytest.mark.parametrize("wrong", ["proxy.example", "192.0.2.0/33", "", "192.0.2.7:80"])
def test_what_is_no_address_refuses_to_start(wrong: str) -> None:
    """A name could lead anywhere later."""
    with pytest.raises(ConfigurationError, match=r"server\.trusted_proxies"):
        Proxies((PROXY, wrong))


def test_a_network_of_ipv6_counts_as_one_address() -> None:
    """Its owner has all of its 2^64 addresses."""
    assert grouped("2001:db8:1:2:3:4:5:6") == grouped("2001:db8:1:2::9") == "2001:db8:1:2::"
    assert grouped("2001:db8:1:3::9") != "2001:db8:1:2::"
    assert grouped("203.0.113.9") == grouped("::ffff:203.0.113.9") == "203.0.113.9"
    assert grouped("fe80::1%eth0") == "fe80::"
    assert grouped("") == ""
