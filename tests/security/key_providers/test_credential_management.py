"""Credentials made, rotated and revoked, on SQLite and on PostgreSQL."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from mycelium_fractal_net.security.errors import (
    ConflictError,
    InvalidInputError,
    KeyNotFoundError,
    KeyStateError,
    StoreIntegrityError,
)
from mycelium_fractal_net.security.key_providers import authenticated_table
from mycelium_fractal_net.security.records.credentials import CredentialState

if TYPE_CHECKING:
    from mycelium_fractal_net.security.key_providers import LocalKeyProvider
    from mycelium_fractal_net.security.key_store import Stored
    from mycelium_fractal_net.security.records.credentials import Credential
    from tests.support.stores import Clock

DAY = timedelta(days=1)


def test_what_is_made_is_stored_with_the_digest_alone(
    provider: LocalKeyProvider, clock: Clock
) -> None:
    """The record comes back as it was returned; the secret is nowhere in it."""
    made, key = provider.credentials.create(
        "billing", ("encrypt:orders", "decrypt:*", "encrypt:orders"), expires_at=clock() + DAY
    )
    assert provider.credentials.get(made.credential_id) == made
    assert made.scopes == ("encrypt:orders", "decrypt:*")
    assert made.digest == key.digest
    assert (made.created_at, made.expires_at, made.rotated_at) == (clock(), clock() + DAY, None)
    assert key.text.split("_", 2)[2] not in repr(made)


@pytest.mark.parametrize("name", ["", "x" * 201, "bill\ning", "bïlling", "\x7f"])
def test_a_name_is_printable_ascii(local_provider: LocalKeyProvider, name: str) -> None:
    """It is shown in terminals and logs."""
    with pytest.raises(InvalidInputError, match="name"):
        local_provider.credentials.create(name, ("*",))


@pytest.mark.parametrize(
    "scopes",
    [(), ("",), ("encrypt",), ("encrypt:",), ("encrypt:Orders",), ("keys:*",), ("encrypt:a b",)],
)
def test_a_scope_that_does_not_exist_is_refused(
    local_provider: LocalKeyProvider, scopes: tuple[str, ...]
) -> None:
    """And so is a credential that may do nothing."""
    with pytest.raises(InvalidInputError, match="scope"):
        local_provider.credentials.create("x", scopes)


def test_a_credential_does_not_end_before_it_begins(
    local_provider: LocalKeyProvider, clock: Clock
) -> None:
    """An end that has passed is a mistake."""
    with pytest.raises(InvalidInputError, match="future"):
        local_provider.credentials.create("x", ("*",), expires_at=clock())


def test_a_rotation_keeps_id_scopes_and_end(provider: LocalKeyProvider, clock: Clock) -> None:
    """Only the secret is another, and the former one is remembered until its overlap ends."""
    made, first = provider.credentials.create("x", ("keys:read",), expires_at=clock() + 40 * DAY)
    clock.forward(days=1)
    rotated, second = provider.credentials.rotate(made.credential_id, overlap=30 * DAY)
    assert provider.credentials.get(made.credential_id) == rotated
    assert second.credential_id == made.credential_id
    assert (rotated.digest, rotated.previous_digest) == (second.digest, first.digest)
    assert (rotated.rotated_at, rotated.previous_until) == (clock(), clock() + 30 * DAY)
    assert (rotated.scopes, rotated.expires_at) == (made.scopes, made.expires_at)
    third, _ = provider.credentials.rotate(made.credential_id, overlap=DAY, revoke_previous=True)
    assert (third.previous_digest, third.previous_until) == (None, None)


def test_a_revoked_credential_stays_and_is_not_rotated(provider: LocalKeyProvider) -> None:
    """Revoking again changes nothing; no secret of it is accepted by a rotation."""
    made, _ = provider.credentials.create("x", ("*",))
    provider.credentials.rotate(made.credential_id, overlap=DAY)
    revoked = provider.credentials.revoke(made.credential_id)
    assert revoked.state is CredentialState.REVOKED
    assert revoked.previous_digest is None
    assert provider.credentials.revoke(made.credential_id) == revoked
    assert list(provider.credentials.all()) == [revoked]
    with pytest.raises(KeyStateError, match="revoked"):
        provider.credentials.rotate(made.credential_id, overlap=DAY)


def test_an_expired_credential_is_not_rotated(
    local_provider: LocalKeyProvider, clock: Clock
) -> None:
    """A rotation would give nothing that works."""
    made, _ = local_provider.credentials.create("x", ("*",), expires_at=clock() + DAY)
    clock.forward(days=1)
    with pytest.raises(KeyStateError, match="expired"):
        local_provider.credentials.rotate(made.credential_id, overlap=DAY)


@pytest.mark.parametrize("credential_id", ["a" * 16, "", "\0", "é" * 16, "a" * 5000, "'; --"])
def test_an_unknown_credential_is_said_to_be_unknown(
    provider: LocalKeyProvider, credential_id: str
) -> None:
    """Whatever is asked for, and on every database."""
    for change in (
        provider.credentials.get,
        provider.credentials.revoke,
        lambda each: provider.credentials.rotate(each, overlap=DAY),
    ):
        with pytest.raises(KeyNotFoundError):
            change(credential_id)


def test_of_two_who_rotate_at_once_both_secrets_are_known(
    provider: LocalKeyProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one that lost the race tries again on what the winner wrote."""
    made, _ = provider.credentials.create("x", ("*",))
    load, loads = provider.store.credentials.load, []

    def load_and_be_overtaken(credential_id: str) -> Stored[Credential]:
        found = load(credential_id)
        loads.append(found.record.revision)
        if len(loads) == 1:
            loads.append(provider.credentials.rotate(credential_id, overlap=DAY)[0].revision)
        return found

    monkeypatch.setattr(provider.store.credentials, "load", load_and_be_overtaken)
    last, key = provider.credentials.rotate(made.credential_id, overlap=DAY)
    monkeypatch.undo()
    assert last.revision == made.revision + 2
    assert last.digest == key.digest
    assert last.previous_digest not in (made.digest, key.digest)


def test_threads_that_rotate_at_once_lose_no_change(provider: LocalKeyProvider) -> None:
    """Each of them changed the record once."""
    made, _ = provider.credentials.create("x", ("*",))
    threads = [
        threading.Thread(
            target=provider.credentials.rotate,
            args=[made.credential_id],
            kwargs={"overlap": DAY},
        )
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert provider.credentials.get(made.credential_id).revision == made.revision + 3


def test_who_never_wins_gives_up_and_says_so(
    local_provider: LocalKeyProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Making and changing end with a conflict, and nothing was stored."""
    made, _ = local_provider.credentials.create("x", ("*",))

    def lost(*arguments: object) -> None:
        raise ConflictError("somebody else was first")

    monkeypatch.setattr(authenticated_table, "PATIENCE_SECONDS", 0.2)
    monkeypatch.setattr(local_provider.store.credentials, "insert", lost)
    monkeypatch.setattr(local_provider.store.credentials, "replace", lost)
    with pytest.raises(ConflictError, match="by many at once"):
        local_provider.credentials.create("y", ("*",))
    with pytest.raises(ConflictError, match="by many at once"):
        local_provider.credentials.revoke(made.credential_id)
    monkeypatch.undo()
    assert list(local_provider.credentials.all()) == [made]


def test_a_change_after_a_move_is_under_the_new_master_key(provider: LocalKeyProvider) -> None:
    """A move takes credentials along, and what is rotated while it runs as well."""
    made, _ = provider.credentials.create("x", ("*",))
    newest = provider.master_keys.rotate()
    moved = provider.credentials.get(made.credential_id)
    assert moved.master_id == newest != made.master_id
    rotated, _ = provider.credentials.rotate(made.credential_id, overlap=DAY)
    assert rotated.master_id == newest


def test_credentials_are_read_a_page_at_a_time_and_by_what_changed(
    provider: LocalKeyProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pages do not overlap, nor leave one out, also where a page has one that is refused."""
    monkeypatch.setattr(authenticated_table, "_PAGE", 2)
    made = [provider.credentials.create(f"c{number}", ("*",))[0] for number in range(5)]
    ids = sorted(each.credential_id for each in made)
    assert [name for name, _ in provider.credentials.each()] == ids
    before = provider.store.require_status().generation
    provider.credentials.revoke(ids[2])
    assert [name for name, _ in provider.credentials.each(before)] == [ids[2]]
    with provider.store.change(made[0].master_id) as (connection, _):
        connection.exec_driver_sql(
            f"UPDATE mfn_credentials SET scopes = '*' || scopes WHERE credential_id = '{ids[1]}'"
        )
    found = dict(provider.credentials.each())
    assert sorted(found) == ids
    assert [name for name in ids if isinstance(found[name], StoreIntegrityError)] == [ids[1]]
