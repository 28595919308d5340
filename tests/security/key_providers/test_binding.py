"""That a credential works only with a signature: in its own record, and brought up from 4.1.0."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text

from mycelium_fractal_net import initialise
from mycelium_fractal_net.security.directories.credentials import CredentialDirectory
from mycelium_fractal_net.security.errors import (
    AuthenticationError,
    KeyExistsError,
    StoreIntegrityError,
)
from mycelium_fractal_net.security.key_store.freshness import Freshness
from mycelium_fractal_net.security.key_store.rows import authenticated_credential
from mycelium_fractal_net.security.records.signers import Signer, SignerState
from mycelium_fractal_net.security.signatures.signing_key import SigningKey
from tests.support.algorithms import SIGNING

if TYPE_CHECKING:
    from pathlib import Path

    from mycelium_fractal_net.security.key_providers import LocalKeyProvider, StoredKeyProvider
    from tests.support.stores import Clock


def public() -> bytes:
    return SigningKey.generate(SIGNING).public.der()


def of_before(provider: StoredKeyProvider, name: str, *credentials: str) -> Signer:
    """A signer as 4.1.0 registered it, which told no credential."""
    signer = Signer(
        name, public(), SIGNING, credentials, False, SignerState.ACTIVE, provider.clock()
    )
    return provider.signers.insert(lambda master: replace(signer, master_id=master), "signer.add")


def test_registering_a_signer_binds_its_credentials(provider: LocalKeyProvider) -> None:
    """Each once and for ever: no later signer, and no end of one, changes the record."""
    made = [provider.credentials.create("x", ("*",))[0].credential_id for _ in range(3)]
    provider.signers.add("one", public(), credentials=(made[0], made[1]))
    bound = provider.credentials.get(made[0])
    assert [provider.credentials.get(each).bound for each in made] == [True, True, False]
    provider.signers.add("two", public(), credentials=(made[0],))
    provider.signers.revoke("one")
    provider.signers.revoke("two")
    assert provider.credentials.get(made[0]) == bound
    provider.signers.add("all", public(), any_credential=True)
    assert not provider.credentials.get(made[2]).bound


def test_a_signer_that_is_refused_binds_nobody(provider: LocalKeyProvider) -> None:
    """A name or a key that is taken changes no credential."""
    made = provider.credentials.create("x", ("*",))[0].credential_id
    key = public()
    provider.signers.add("one", key, any_credential=True)
    for name, other in (("one", public()), ("two", key)):
        with pytest.raises(KeyExistsError):
            provider.signers.add(name, other, credentials=(made,))
    assert not provider.credentials.get(made).bound


def test_what_is_not_bound_is_authenticated_as_before(provider: LocalKeyProvider) -> None:
    """So the records of 4.1.0 are good as they are; and bound is one field more, by its name."""
    free, _ = provider.credentials.create("x", ("*",))
    assert "bound" not in authenticated_credential(free)
    bound = authenticated_credential(replace(free, bound=True))
    assert bound == [*authenticated_credential(free), "bound", True]


@pytest.mark.parametrize(("was", "becomes"), [(True, "false"), (False, "true")])
def test_whoever_writes_the_store_neither_frees_nor_binds(
    local_provider: LocalKeyProvider, was: bool, becomes: str
) -> None:
    """Its record is refused, and it is taken to be bound."""
    made, key = local_provider.credentials.create("x", ("*",), bound=was)
    with local_provider.store.database.write() as connection:
        connection.execute(text(f"UPDATE mfn_credentials SET bound = {becomes}"))
    with pytest.raises(StoreIntegrityError):
        local_provider.credentials.get(made.credential_id)
    directory = CredentialDirectory(local_provider, Freshness(local_provider.store))
    assert directory.is_bound(made.credential_id)
    for signer in (None, "anybody"):
        with pytest.raises(AuthenticationError):
            directory.authenticate(key.text.encode(), signer)


def test_a_signer_of_before_binds_by_its_own_record_too(
    local_provider: LocalKeyProvider, clock: Clock
) -> None:
    """Before the credential was brought up; also one that is registered while others hold them."""
    credentials = local_provider.credentials
    (first, key), (second, other) = (credentials.create(name, ("*",)) for name in "ab")
    of_before(local_provider, "old", first.credential_id, "0" * 16)
    directory = CredentialDirectory(local_provider, freshness := Freshness(local_provider.store))
    assert directory.is_bound(first.credential_id)
    assert directory.authenticate(key.text.encode(), "old").bound
    with pytest.raises(AuthenticationError):
        directory.authenticate(key.text.encode())
    assert not directory.authenticate(other.text.encode()).bound
    of_before(local_provider, "older", second.credential_id)
    freshness.refresh()
    with pytest.raises(AuthenticationError):
        directory.authenticate(other.text.encode())
    assert directory.authenticate(other.text.encode(), "older").bound
    clock.forward(days=90)
    freshness.refresh()
    caller = directory.authenticate(other.text.encode(), "older")
    assert caller.due
    assert caller.bound


def test_a_store_of_before_is_brought_up(local_provider: LocalKeyProvider) -> None:
    """Whom a signer names; nobody else, nothing twice, and what is refused stays as it is."""
    provider = local_provider
    made = [provider.credentials.create("x", ("*",))[0].credential_id for _ in range(4)]
    of_before(provider, "old", made[0], made[1], "0" * 16)
    of_before(provider, "damaged", made[2])
    with provider.store.database.write() as connection:
        connection.execute(text("UPDATE mfn_signers SET mac = zeroblob(32) WHERE name = 'damaged'"))
        connection.execute(
            text("UPDATE mfn_credentials SET name = 'y' WHERE credential_id = :id"),
            {"id": made[1]},
        )
    provider.signers.bind_named()
    bound = provider.credentials.get(made[0])
    provider.signers.bind_named()
    assert provider.credentials.get(made[0]) == bound
    assert bound.bound
    with pytest.raises(StoreIntegrityError):
        provider.credentials.get(made[1])
    assert [provider.credentials.get(each).bound for each in made[2:]] == [False, False]


def test_init_brings_a_store_of_before_up(tmp_path: Path) -> None:
    """The command that upgrades its schema."""
    with initialise(home=tmp_path) as keyring:
        made, _ = keyring.provider.credentials.create("x", ("*",))
        of_before(keyring.provider, "old", made.credential_id)
    with initialise(home=tmp_path) as keyring:
        assert keyring.provider.credentials.get(made.credential_id).bound


def test_it_is_known_whether_anybody_is_bound(local_provider: LocalKeyProvider) -> None:
    """Without asking the store; before it was read, and once somebody is, nobody passes by."""
    made, key = local_provider.credentials.create("x", ("*",))
    directory = CredentialDirectory(local_provider, freshness := Freshness(local_provider.store))
    assert not directory.binds_nobody
    directory.load()
    assert directory.binds_nobody
    local_provider.credentials.bind(made.credential_id)
    freshness.refresh()
    assert not directory.binds_nobody
    assert directory.authenticate(key.text.encode(), "one").bound
    assert directory.due_count() == 0
