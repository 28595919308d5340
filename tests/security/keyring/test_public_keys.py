"""The public keys that a keyring hands out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mycelium_fractal_net.security.errors import KeyNotFoundError, KeyUsageError
from mycelium_fractal_net.security.records.keys import Verb
from mycelium_fractal_net.security.signatures.verifying_key import VerifyingKey
from tests.support.algorithms import SIGNING

if TYPE_CHECKING:
    from mycelium_fractal_net import Keyring


def kids(keyring: Keyring) -> list[str]:
    return [jwk["kid"] for jwk in keyring.published_keys()]


def test_a_public_key_verifies_what_its_version_signed(keyring: Keyring) -> None:
    """PEM and JWK are of the version that is named, the newest for a bare name."""
    keyring.provider.keys.create("approval", "signing")
    signature = keyring.sign(b"data", key_id="approval")
    keyring.provider.rotate_key("approval")
    first = keyring.public_key("approval:v1")
    assert (first.key_id, first.algorithm) == ("approval:v1", SIGNING)
    VerifyingKey.from_pem(first.pem.encode()).verify(b"data", signature)
    VerifyingKey.from_jwk(first.jwk).verify(b"data", signature)
    keyring.refresh()
    assert keyring.public_key("approval").pem != first.pem


def test_only_a_signing_key_has_a_public_key(keyring: Keyring) -> None:
    """An encryption key has none to give, and what is not there is not found."""
    keyring.provider.keys.create("invoices")
    with pytest.raises(KeyUsageError):
        keyring.public_key("invoices")
    with pytest.raises(KeyNotFoundError):
        keyring.public_key("nothing")


def test_only_published_keys_that_may_verify_are_listed(keyring: Keyring) -> None:
    """A key that is not marked is absent, and so is a version whose state forbids to verify."""
    keyring.provider.keys.create("approval", "signing", publish=True)
    keyring.provider.keys.create("hidden", "signing")
    keyring.provider.rotate_key("approval")
    keyring.refresh()
    assert kids(keyring) == ["approval:v1", "approval:v2"]
    keyring.provider.states.apply(Verb.COMPROMISE, "approval:v1")
    keyring.refresh()
    assert kids(keyring) == ["approval:v2"]
    assert keyring.published_keys() is keyring.published_keys()
    keyring.provider.keys.set_publish("approval", False)
    keyring.refresh()
    assert kids(keyring) == []
