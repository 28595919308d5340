"""Signers: registered, revoked, trusted, and found."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text

from mycelium_fractal_net.security.directories.signers import SignerDirectory
from mycelium_fractal_net.security.errors import (
    AlgorithmNotAllowedError,
    ConflictError,
    InvalidInputError,
    InvalidKeyError,
    InvalidSignatureError,
    KeyExistsError,
    KeyNotFoundError,
    StoreIntegrityError,
)
from mycelium_fractal_net.security.key_providers import authenticated_table
from mycelium_fractal_net.security.key_store.freshness import Freshness
from mycelium_fractal_net.security.records.signers import SignerState
from mycelium_fractal_net.security.signatures.signing_key import SigningKey
from tests.support.algorithms import SIGNING

if TYPE_CHECKING:
    from mycelium_fractal_net.security.key_providers import LocalKeyProvider


def public(algorithm: str = SIGNING) -> bytes:
    """A fresh public key, DER."""
    return SigningKey.generate(algorithm).public.der()


def credential(provider: LocalKeyProvider) -> str:
    return provider.credentials.create("caller", ("*",))[0].credential_id


def directory(provider: LocalKeyProvider) -> tuple[SignerDirectory, Freshness]:
    freshness = Freshness(provider.store)
    return SignerDirectory(provider, freshness), freshness


@pytest.mark.parametrize("algorithm", ["Ed25519", "ECDSA-P256", "ECDSA-P384"])
def test_a_signer_is_registered_by_its_public_key(
    provider: LocalKeyProvider, algorithm: str
) -> None:
    """PEM or DER, for the credentials that it names."""
    caller = credential(provider)
    key = SigningKey.generate(algorithm).public
    added = provider.signers.add("peer", key.pem(), credentials=(caller, caller))
    assert (added.public_key, added.algorithm) == (key.der(), algorithm)
    assert added.credentials == (caller,)
    assert provider.signers.get("peer") == added
    assert added.signs_for(caller)
    assert not added.signs_for("a" * 16)
    assert list(provider.signers.all()) == [added]
    anybody = provider.signers.add("all", public(algorithm), any_credential=True)
    assert anybody.signs_for("a" * 16)


def test_what_cannot_be_a_signer_is_refused(local_provider: LocalKeyProvider) -> None:
    """A bad name, no credentials or both kinds, a credential that is not there, a bad key."""
    caller = credential(local_provider)
    add = local_provider.signers.add
    for name in ("", "Peer", "a b", "x" * 65):
        with pytest.raises(InvalidInputError, match="name of a signer"):
            add(name, public(), any_credential=True)
    with pytest.raises(InvalidInputError, match="says that it signs for any"):
        add("peer", public())
    with pytest.raises(InvalidInputError, match="says that it signs for any"):
        add("peer", public(), credentials=(caller,), any_credential=True)
    with pytest.raises(InvalidInputError, match="at most 100"):
        add("peer", public(), credentials=(caller,) * 101)
    with pytest.raises(InvalidInputError, match="16 characters"):
        add("peer", public(), credentials=("nobody",))
    with pytest.raises(KeyNotFoundError):
        add("peer", public(), credentials=("a" * 16,))
    with pytest.raises(InvalidKeyError):
        add("peer", b"no key", any_credential=True)
    with pytest.raises(AlgorithmNotAllowedError):
        add("peer", public("ML-DSA-65"), any_credential=True)
    assert list(local_provider.signers.all()) == []


def test_a_key_that_signs_data_is_no_signer(provider: LocalKeyProvider) -> None:
    """Whoever may have data signed could have any request signed by it, by any of its versions."""
    for use in ("data", "request"):
        provider.keys.create(use, "signing", use=use)
        provider.rotate_key(use)
        for version in provider.keys.get(use).versions:
            assert version.public_key is not None
            name = f"{use}-{version.version}"
            if use == "data":
                with pytest.raises(InvalidInputError, match="signs data"):
                    provider.signers.add(name, version.public_key, any_credential=True)
            else:
                provider.signers.add(name, version.public_key, any_credential=True)
    assert [each.name for each in provider.signers.all()] == ["request-1", "request-2"]


def test_a_name_and_a_key_are_taken_once(provider: LocalKeyProvider) -> None:
    """Also by a signer that was revoked: who signed what must stay certain."""
    key = public()
    provider.signers.add("peer", key, any_credential=True)
    with pytest.raises(KeyExistsError, match="public key"):
        provider.signers.add("other", key, any_credential=True)
    with pytest.raises(KeyExistsError, match="named 'peer'"):
        provider.signers.add("peer", public(), any_credential=True)
    revoked = provider.signers.revoke("peer")
    assert revoked.state is SignerState.REVOKED
    assert provider.signers.revoke("peer") == revoked
    with pytest.raises(KeyExistsError):
        provider.signers.add("peer", public(), any_credential=True)
    with pytest.raises(KeyNotFoundError):
        provider.signers.revoke("nobody")


def test_who_never_wins_gives_up_and_says_so(
    local_provider: LocalKeyProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Adding and revoking end with a conflict, and nothing was stored."""
    made = local_provider.signers.add("peer", public(), any_credential=True)

    def lost(*arguments: object) -> None:
        raise ConflictError("somebody else was first")

    monkeypatch.setattr(authenticated_table, "PATIENCE_SECONDS", 0.2)
    monkeypatch.setattr(local_provider.store.signers, "insert", lost)
    monkeypatch.setattr(local_provider.store.signers, "replace", lost)
    with pytest.raises(ConflictError, match="by many at once"):
        local_provider.signers.add("other", public(), any_credential=True)
    with pytest.raises(ConflictError, match="by many at once"):
        local_provider.signers.revoke("peer")
    assert list(local_provider.signers.all()) == [made]


def test_a_change_of_what_was_changed_meanwhile_is_refused(provider: LocalKeyProvider) -> None:
    """Compare and swap: the record that was read must be the one that is there."""
    made = provider.signers.add("peer", public(), any_credential=True)
    revoked = provider.signers.revoke("peer")
    with pytest.raises(ConflictError, match="by somebody else"):
        provider.store.signers.replace(made, made, bytes(32))
    assert provider.signers.get("peer") == revoked


def test_a_row_that_was_edited_is_refused(provider: LocalKeyProvider) -> None:
    """Who writes to the database can bring in no key of his own."""
    provider.signers.add("peer", public(), any_credential=True)
    provider.signers.add("sound", public(), any_credential=True)
    with provider.store.database.write() as connection:
        connection.execute(
            text("UPDATE mfn_signers SET public_key = :key WHERE name = 'peer'"), {"key": public()}
        )
    with pytest.raises(StoreIntegrityError, match="'peer'"):
        provider.signers.get("peer")
    signers, _ = directory(provider)
    with pytest.raises(InvalidSignatureError):
        signers.by_name("peer")
    assert signers.by_name("sound").signer.name == "sound"
    with provider.store.database.write() as connection:
        connection.execute(text("UPDATE mfn_signers SET state = 'odd' WHERE name = 'peer'"))
    with pytest.raises(StoreIntegrityError, match="damaged"):
        provider.signers.get("peer")


def test_signers_move_with_the_master_key(local_provider: LocalKeyProvider) -> None:
    """Their rows are authenticated under the new one."""
    local_provider.signers.add("peer", public(), any_credential=True)
    newest = local_provider.master_keys.rotate()
    assert local_provider.signers.get("peer").master_id == newest


def test_a_signer_is_found_by_name_and_by_key(provider: LocalKeyProvider) -> None:
    """A key that nobody registered, and one that was revoked, are found by neither."""
    caller, other = credential(provider), credential(provider)
    key = public()
    provider.signers.add("peer", key, credentials=(caller,))
    signers, freshness = directory(provider)
    signers.load()
    assert signers.by_name("peer") is signers.by_public_key(key)
    assert signers.by_name("peer").verifying.der() == key
    assert signers.is_bound(caller)
    assert not signers.is_bound(other)
    for nobody in (lambda: signers.by_name("other"), lambda: signers.by_public_key(public())):
        with pytest.raises(InvalidSignatureError):
            nobody()
    provider.signers.revoke("peer")
    freshness.refresh()
    with pytest.raises(InvalidSignatureError):
        signers.by_name("peer")
    # Its credential worked only with it, and does not come free by its end.
    assert signers.is_bound(caller)


def test_a_change_of_something_else_reads_no_signer_again(provider: LocalKeyProvider) -> None:
    """What is in memory stays, and is trusted for as long as the store answers."""
    provider.signers.add("peer", public(), any_credential=True)
    signers, freshness = directory(provider)
    known = signers.by_name("peer")
    provider.keys.create("orders")
    freshness.refresh()
    assert signers.by_name("peer") is known
    provider.signers.add("more", public(), any_credential=True)
    freshness.refresh()
    assert signers.by_name("more").signer.name == "more"


def test_a_signer_whose_algorithm_the_policy_forbids_is_none(
    local_provider: LocalKeyProvider,
) -> None:
    """The policy of the process that verifies decides."""
    from mycelium_fractal_net.security.policy import Policy

    local_provider.signers.add("peer", public(), any_credential=True)
    local_provider.policy = Policy(disallowed=(SIGNING,))
    signers, _ = directory(local_provider)
    with pytest.raises(InvalidSignatureError):
        signers.by_name("peer")
