"""Whose request it is: the address of the connection, or what a trusted proxy says of it.

A proxy must add the address to `X-Forwarded-For` or `Forwarded` (RFC 7239). Where both are there
and differ, one of them is the client's own invention, and the proxy's address stands for it.
"""

from __future__ import annotations

import ipaddress
import re
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from mycelium_fractal_net.security.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_GROUP_BITS: Final = 64  # of IPv6: the least that one site has, RFC 6177
_FOR: Final = re.compile(rb'(?:^|[;,])\s*for="?([^";,]*)"?', re.IGNORECASE)
_MOST_HOPS: Final = 20


class Proxies:
    """The proxies that are believed, by address or network.

    Raises :class:`ConfigurationError` where one is neither.
    """

    def __init__(self, named: Iterable[str]) -> None:
        try:
            self._networks = tuple(ipaddress.ip_network(each, strict=False) for each in named)
        except ValueError:
            raise ConfigurationError(
                "server.trusted_proxies: expected addresses, or networks such as 192.0.2.0/24"
            ) from None

    def __contains__(self, address: object) -> bool:
        if not self._networks or not isinstance(address, str):
            return False
        found = _parsed(address)
        return found is not None and any(found in network for network in self._networks)


@lru_cache(4096)
def _parsed(text: str) -> _Address | None:
    try:
        found = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return found if mapped is None else mapped


@lru_cache(4096)
def grouped(address: str) -> str:
    """What counts as one address: of IPv6 the network of 64 bits that it is in."""
    found = _parsed(address)
    if isinstance(found, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((int(found), _GROUP_BITS), strict=False).network_address)
    return address if found is None else str(found)


def client_of(peer: str, headers: Iterable[tuple[bytes, bytes]], proxies: Proxies) -> str:
    """The address of the client: that of the connection, unless a trusted proxy names another."""
    if peer not in proxies:
        return peer
    plain, standard = [], []
    for name, value in headers:
        if name == b"x-forwarded-for":
            plain += value.split(b",")
        elif name == b"forwarded":
            standard += _FOR.findall(value)
    by_plain = _nearest(plain, proxies) if plain else None
    by_standard = _nearest(standard, proxies) if standard else by_plain
    if plain and by_plain != by_standard:
        return peer
    return by_standard or peer


def _nearest(hops: list[bytes], proxies: Proxies) -> str | None:
    """The last address that is no trusted proxy's; None where one is unreadable before that."""
    for hop in reversed(hops[-_MOST_HOPS:]):
        text = hop.decode("latin-1").strip()
        if text.startswith("["):  # [2001:db8::1]:4711
            text = text[1:].partition("]")[0]
        elif text.count(":") == 1:
            text = text.partition(":")[0]
        if _parsed(text) is None:
            return None
        if text not in proxies:
            return text
    return None
