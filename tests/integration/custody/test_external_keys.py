"""Signing keys that never leave their custodian: one story on each one that there is, for real."""

from __future__ import annotations

import io
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import pytest

from mycelium_fractal_net import initialise
from mycelium_fractal_net.config import load_settings
from mycelium_fractal_net.security.errors import (
    CustodianDeniedError,
    CustodianUnavailableError,
    KeyNotExportableError,
)
from mycelium_fractal_net.security.key_providers import SigningCustodian
from mycelium_fractal_net.security.records.keys import KeyState, Verb
from tests.support.custodians import NAMES, harness

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mycelium_fractal_net import Keyring

# moto, which stands for AWS KMS here, has no Ed25519.
pytestmark = pytest.mark.long

ALGORITHMS: Final = {
    "vault": ("Ed25519", "ECDSA-P256", "ECDSA-P384"),
    "aws-kms": ("ECDSA-P256", "ECDSA-P384"),
    "pkcs11": ("Ed25519", "ECDSA-P256", "ECDSA-P384"),
}
STORIES: Final = [(name, algorithm) for name in NAMES for algorithm in ALGORITHMS.get(name, ())]


@pytest.fixture(params=STORIES, ids="-".join)
def story(request: pytest.FixtureRequest, home: Path) -> Iterator[tuple[Keyring, str, str]]:
    """A keyring over a fresh store, its custodian, and an algorithm of that."""
    name, algorithm = request.param
    settings = load_settings(environ=harness(name).environment(home))
    with initialise(settings=settings) as keyring:
        custodian = keyring.provider.custodian
        if not isinstance(custodian, SigningCustodian) or not custodian.signing_algorithms:
            pytest.fail(f"{name} signs nothing")
        yield keyring, name, algorithm


def is_pending_deletion(external: str) -> bool:
    """Whether KMS says so of the key with that ARN."""
    kms: Any = harness("aws-kms")
    described = kms.client.describe_key(KeyId=external.removeprefix("aws-kms:"))
    return bool(described["KeyMetadata"]["KeyState"] == "PendingDeletion")


def test_it_is_made_used_rotated_and_destroyed(story: tuple[Keyring, str, str]) -> None:
    """What the other side signs verifies here; a destroyed key is gone there, the other is not."""
    keyring, name, algorithm = story
    provider = keyring.provider
    key = provider.keys.create("release", "signing", algorithm=algorithm, external=True)
    assert str(key.latest.external).startswith(f"{name}:")
    message = bytes(range(256)) * 16  # 4,096 bytes
    first = keyring.sign(message, key_id="release")
    file = keyring.sign_file(io.BytesIO(message * 100), key_id="release")
    assert provider.rotate_key("release") == "release:v2"
    keyring.refresh()
    second = keyring.sign(message, key_id="release")
    assert keyring.verify(message, first, key_id="release") == "release:v1"
    assert keyring.verify(message, second, key_id="release") == "release:v2"
    keyring.verify_file(io.BytesIO(message * 100), file, key_id="release:v1")
    with pytest.raises(KeyNotExportableError):
        provider.get_key("release")
    provider.states.apply(Verb.DESTROY, "release:v1", window_days=7)
    later = provider.clock() + timedelta(days=8)
    provider.clock = lambda: later
    gone = provider.states.erase_due("release", now=later)
    assert (gone.version(1).state, gone.version(1).has_key) == (KeyState.DESTROYED, False)
    if name == "aws-kms":  # moto gives public keys of keys that wait for their deletion
        assert is_pending_deletion(str(gone.version(1).external))
    else:
        with pytest.raises(CustodianDeniedError):
            provider.keys.external.check(gone, gone.version(1))
    provider.keys.external.destroy(gone.version(1))  # which is gone
    provider.keys.external.check(gone, gone.version(2))
    assert keyring.verify(message, first, key_id="release") == "release:v1"


def test_it_signs_requests(story: tuple[Keyring, str, str]) -> None:
    """In the fixed-size form, which the peer verifies."""
    keyring, _, algorithm = story
    keyring.provider.keys.create(
        "gate", "signing", algorithm=algorithm, use="request", external=True
    )
    signature = keyring.sign_request(b'"@method": GET', key_id="gate")
    public = keyring.policy.verifying_key_from_pem(keyring.public_key("gate").pem)
    public.verify_fixed_size(b'"@method": GET', signature)
    assert len(signature) == {"Ed25519": 64, "ECDSA-P256": 64, "ECDSA-P384": 96}[algorithm]


@pytest.mark.parametrize("name", [name for name in NAMES if name in ALGORITHMS])
def test_where_the_other_side_is_gone_it_signs_again_once_it_is_back(name: str, home: Path) -> None:
    """In between there is an outage, and no signature."""
    other = harness(name)
    settings = load_settings(environ=other.environment(home))
    with initialise(settings=settings) as keyring:
        keyring.provider.keys.create("release", "signing", algorithm="ECDSA-P256", external=True)
        signature = keyring.sign(b"data", key_id="release")
        version = keyring.provider.keys.get("release").latest
        other.stop()
        try:
            with pytest.raises(CustodianUnavailableError):
                keyring.sign(b"data", key_id="release")
            with pytest.raises(CustodianUnavailableError):
                keyring.provider.keys.external.destroy(version)  # it is not gone
            assert keyring.verify(b"data", signature, key_id="release") == "release:v1"
        finally:
            other.start()
        until = time.monotonic() + 20.0  # nobody is asked for a few seconds after an outage
        while True:
            try:
                keyring.sign(b"data", key_id="release")
            except CustodianUnavailableError:
                assert time.monotonic() < until
                time.sleep(0.2)
            else:
                break
