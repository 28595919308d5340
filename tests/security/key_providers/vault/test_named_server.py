"""The same on the server that ``MFN_TEST_VAULT_ADDR`` and ``MFN_TEST_VAULT_TOKEN`` name.

It may be HashiCorp's Vault. The token must be one that mounts engines: all that is made is in an
engine of its own, which is taken away at the end.
"""

from __future__ import annotations

import os
import secrets
from typing import TYPE_CHECKING

import pytest

from mycelium_fractal_net.security.errors import (
    CustodianDeniedError,
    MasterKeyError,
    StoreIntegrityError,
)
from mycelium_fractal_net.security.key_providers import Binding
from mycelium_fractal_net.security.key_providers.vault import VaultCustodian
from mycelium_fractal_net.security.key_providers.vault.logins import GivenToken
from mycelium_fractal_net.security.key_providers.vault.session import Session
from mycelium_fractal_net.security.key_providers.vault.transport import Address, Transport
from tests.security.key_providers.vault.test_signing import verify

if TYPE_CHECKING:
    from collections.abc import Iterator

ADDRESS = os.environ.get("MFN_TEST_VAULT_ADDR")
TOKEN = os.environ.get("MFN_TEST_VAULT_TOKEN")
pytestmark = pytest.mark.skipif(
    not ADDRESS or not TOKEN, reason="MFN_TEST_VAULT_ADDR and MFN_TEST_VAULT_TOKEN name no server"
)
MATERIAL = b"k" * 64


def bound(version: int = 1) -> Binding:
    return Binding(bytes(16), "release", "signing", "data", "x", version, secrets.token_bytes(8))


@pytest.fixture
def session() -> Iterator[Session]:
    """Requests of that token."""
    made = Session(Transport(Address.parse(str(ADDRESS))), GivenToken(str(TOKEN)))
    yield made
    made.close()


@pytest.fixture
def mount(session: Session) -> Iterator[str]:
    """A transit engine that nothing else uses."""
    name = f"mfn-test-{secrets.token_hex(4)}"
    assert session.ask("POST", f"sys/mounts/{name}", {"type": "transit"}).status == 204
    yield name
    session.ask("DELETE", f"sys/mounts/{name}")


def test_a_key_is_made_used_moved_disabled_and_lost(session: Session, mount: str) -> None:
    """Each refusal is the error that it is on OpenBao."""
    custodian = VaultCustodian(session, name="k", mount=mount)
    with pytest.raises(MasterKeyError, match="has no key k"):
        custodian.ping()
    custodian.make_key()
    first, second, binding = "vault:k:v1", "vault:k:v2", bound()
    assert custodian.newest_id() == first
    items = [(bytes([each]) * 64, bound(each + 1)) for each in range(200)]
    sealed = custodian.wrap_many(first, items)
    rows = [(each, item[1]) for each, item in zip(sealed, items, strict=True)]
    assert custodian.unwrap_many(first, rows) == [item[0] for item in items]
    for refused in (custodian.unwrap_many, lambda *a: custodian.rewrap_many(first, *a)):
        with pytest.raises(StoreIntegrityError):
            refused(first, [(sealed[0], binding)])
    session.ask("POST", f"{mount}/keys/k/rotate", {})
    moved = custodian.rewrap_many(first, second, rows)
    assert custodian.unwrap_many(second, [(moved[0], rows[0][1])]) == [items[0][0]]
    session.ask("POST", f"{mount}/keys/k/config", {"min_decryption_version": 2})
    for disabled in (
        lambda: custodian.unwrap_many(first, rows[:1]),
        lambda: custodian.rewrap_many(first, second, rows[:1]),
        lambda: custodian.wrap_many(first, items[:1]),
    ):
        with pytest.raises(CustodianDeniedError, match="disabled"):
            disabled()
    assert custodian.inspect().kek_ids == (second,)
    session.ask("POST", f"{mount}/keys/k/config", {"deletion_allowed": True})
    session.ask("DELETE", f"{mount}/keys/k")
    with pytest.raises(MasterKeyError, match="has no key k"):
        custodian.unwrap_many(second, [(moved[0], rows[0][1])])


@pytest.mark.parametrize("algorithm", ["Ed25519", "ECDSA-P256", "ECDSA-P384"])
def test_a_signing_key_is_made_used_and_destroyed(
    session: Session, mount: str, algorithm: str
) -> None:
    """What it signs verifies under the public key that it gave."""
    custodian = VaultCustodian(session, name="k", mount=mount)
    made = custodian.create_signing_key(algorithm, bound())
    verify(algorithm, made.public_key, custodian.sign(made.reference, algorithm, b"m"), b"m")
    for _ in range(2):
        custodian.destroy_signing_key(made.reference)
    with pytest.raises(CustodianDeniedError, match="not in Vault any more"):
        custodian.sign(made.reference, algorithm, b"m")
