"""A token of SoftHSM2, and the custodian of its master keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import pytest

from mycelium_fractal_net.security.key_providers import Binding
from mycelium_fractal_net.security.key_providers.pkcs11 import PinSource, PKCS11Custodian, parse_uri
from tests.support.custodians import harness, new_harness
from tests.support.custodians.pkcs11 import PKCS11Harness

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def token() -> PKCS11Harness:
    """The token of this test process, which tests leave as they found it."""
    return cast("PKCS11Harness", harness("pkcs11"))


@pytest.fixture
def own_token() -> Iterator[PKCS11Harness]:
    """A token that the test may do anything to; there is no key on it yet."""
    made = cast("PKCS11Harness", new_harness("pkcs11"))
    yield made
    made.close()


@pytest.fixture
def custodian(token: PKCS11Harness) -> Iterator[PKCS11Custodian]:
    """What is behind a RemoteCustodian."""
    made = reached(token)
    yield made
    made.close()


@pytest.fixture
def own(own_token: PKCS11Harness) -> Iterator[PKCS11Custodian]:
    """One over a token of the test's own, with a first master key."""
    made = reached(own_token)
    made.make_first()
    yield made
    made.close()


def reached(token: PKCS11Harness) -> PKCS11Custodian:
    """A custodian over that token, as a process has it."""
    uri = parse_uri(token.uri)
    return PKCS11Custodian(uri, PinSource(uri.pin_source))


def bound(version: int = 1) -> Binding:
    """What a version of a key is bound to."""
    return Binding(bytes(16), "orders", "encryption", "data", "AES-256-GCM", version, b"12345678")
