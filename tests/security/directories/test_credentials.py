"""Whose API key is accepted, what it may do, and how soon a revocation is known everywhere."""

from __future__ import annotations

import logging
import os
from datetime import timedelta
from hmac import compare_digest
from typing import TYPE_CHECKING

import pytest

from mycelium_fractal_net.security import blocking
from mycelium_fractal_net.security.blocking import WouldBlockError
from mycelium_fractal_net.security.directories import credentials as authentication
from mycelium_fractal_net.security.directories import held
from mycelium_fractal_net.security.directories.credentials import CredentialDirectory
from mycelium_fractal_net.security.errors import AuthenticationError, StoreUnavailableError
from mycelium_fractal_net.security.key_store import freshness
from mycelium_fractal_net.security.key_store.freshness import Freshness
from mycelium_fractal_net.security.records.api_keys import generate
from mycelium_fractal_net.security.signatures.signing_key import SigningKey
from tests.support.algorithms import SIGNING
from tests.support.stores import Clock, open_provider

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mycelium_fractal_net.security.key_providers import LocalKeyProvider
    from mycelium_fractal_net.security.records.credentials import Credential

DAY = timedelta(days=1)


class Monotonic:
    """The monotonic clock, moved by the test."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def monotonic(monkeypatch: pytest.MonkeyPatch) -> Monotonic:
    """The clock of what is fresh in the test's hand."""
    found = Monotonic()
    for module in (freshness, authentication, held):
        monkeypatch.setattr(module, "monotonic", found)
    return found


@pytest.fixture
def directory(local_provider: LocalKeyProvider) -> CredentialDirectory:
    """The directory of one process."""
    return CredentialDirectory(local_provider, Freshness(local_provider.store))


@pytest.fixture
def elsewhere(
    local_provider: LocalKeyProvider, sqlite_url: str, home: Path, clock: Clock
) -> Iterator[LocalKeyProvider]:
    """The same store as another process has it open."""
    opened = open_provider(sqlite_url, home, clock)
    yield opened
    opened.store.database.close()


def create(provider: LocalKeyProvider, *scopes: str, **options: object) -> tuple[Credential, bytes]:
    made, key = provider.credentials.create("billing", scopes or ("*",), **options)  # type: ignore[arg-type]
    return made, key.text.encode()


def refused(directory: CredentialDirectory, api_key: bytes) -> str:
    """The text with which ``api_key`` is refused."""
    with pytest.raises(AuthenticationError) as caught:
        directory.authenticate(api_key)
    return str(caught.value)


def test_the_holder_of_a_key_is_made_out(
    local_provider: LocalKeyProvider, directory: CredentialDirectory
) -> None:
    """Id, name and scopes are those of the record."""
    made, api_key = create(local_provider, "encrypt:orders", "keys:read")
    caller = directory.authenticate(api_key)
    assert (caller.credential_id, caller.name) == (made.credential_id, "billing")
    assert caller.scopes == {"encrypt:orders", "keys:read"}


def test_all_that_is_not_accepted_is_refused_in_the_same_words(
    local_provider: LocalKeyProvider, directory: CredentialDirectory, clock: Clock
) -> None:
    """Unknown, wrong, malformed, revoked, expired and absent: one error, one text."""
    _, good = create(local_provider)
    revoked, revoked_key = create(local_provider)
    _, expiring_key = create(local_provider, expires_at=clock() + DAY)
    directory.authenticate(expiring_key)
    local_provider.credentials.revoke(revoked.credential_id)
    directory._freshness.refresh()
    clock.forward(days=1)
    wrong = good[:21] + generate().text.encode()[21:]
    unknown = generate().text.encode()
    refusals = [wrong, unknown, b"", b"mfn_", good[:-1], good + b"A", revoked_key, expiring_key]
    assert {refused(directory, each) for each in refusals} == {AuthenticationError.TEXT}
    directory.authenticate(good)


def test_every_refusal_does_the_same_work(
    local_provider: LocalKeyProvider, directory: CredentialDirectory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Two comparisons of 32 bytes, whether or not there is anything to compare with."""
    made, good = create(local_provider)
    local_provider.credentials.revoke(made.credential_id)
    compared: list[tuple[int, int]] = []

    def counted(left: bytes, right: bytes) -> bool:
        compared.append((len(left), len(right)))
        return compare_digest(left, right)

    monkeypatch.setattr(authentication, "compare_digest", counted)
    for api_key in (good, good[:21] + b"x" * 43, generate().text.encode(), b"", b"x" * 5000):
        compared.clear()
        refused(directory, api_key)
        assert compared == [(32, 32), (32, 32)]


def test_the_former_secret_is_accepted_until_its_overlap_ends(
    local_provider: LocalKeyProvider, directory: CredentialDirectory, clock: Clock
) -> None:
    """Two secrets at the most, and then one."""
    made, first = create(local_provider)
    keys = [first]
    for _ in range(2):
        key = local_provider.credentials.rotate(made.credential_id, overlap=90 * DAY)[1]
        keys.append(key.text.encode())
    refused(directory, keys[0])
    directory.authenticate(keys[1])
    directory.authenticate(keys[2])
    clock.forward(days=90)
    refused(directory, keys[1])
    directory.authenticate(keys[2])


def test_a_former_secret_that_was_revoked_ends_at_once(
    local_provider: LocalKeyProvider, directory: CredentialDirectory
) -> None:
    """What was lost must not live for another overlap."""
    made, first = create(local_provider)
    directory.authenticate(first)
    _, key = local_provider.credentials.rotate(
        made.credential_id, overlap=90 * DAY, revoke_previous=True
    )
    directory._freshness.refresh()
    refused(directory, first)
    directory.authenticate(key.text.encode())


def test_the_former_secret_of_an_expired_credential_is_refused_too(
    local_provider: LocalKeyProvider, directory: CredentialDirectory, clock: Clock
) -> None:
    """An overlap does not outlive the credential."""
    made, first = create(local_provider, expires_at=clock() + DAY)
    local_provider.credentials.rotate(made.credential_id, overlap=90 * DAY)
    directory.authenticate(first)
    clock.forward(days=1)
    refused(directory, first)


# Due ------------------------------------------------------------------------------------------


def test_a_secret_falls_due_and_is_still_accepted(
    local_provider: LocalKeyProvider, clock: Clock
) -> None:
    """The caller says since when; a rotation ends it."""
    directory = CredentialDirectory(
        local_provider, Freshness(local_provider.store), rotation_days=30, clock=clock
    )
    made, first = create(local_provider)
    create(local_provider, expires_at=clock() + DAY)
    assert directory.due_count() == 0
    assert not directory.authenticate(first).due
    clock.forward(days=30)
    caller = directory.authenticate(first)
    assert (caller.due, caller.due_text) == (True, "2026-03-31T12:00:00Z")
    assert directory.due_count() == 1
    key = local_provider.credentials.rotate(made.credential_id, overlap=DAY)[1]
    directory._freshness.refresh()
    assert not directory.authenticate(key.text.encode()).due
    assert directory.due_count() == 0


def test_a_secret_falls_due_after_90_days_where_nothing_else_is_asked(
    local_provider: LocalKeyProvider, directory: CredentialDirectory, clock: Clock
) -> None:
    """And from that moment on; a microsecond before it is not due. The provider's clock counts."""
    _, api_key = create(local_provider)
    directory.load()
    clock.forward(days=90, microseconds=-1)
    directory._freshness.refresh()
    assert not directory.authenticate(api_key).due
    assert directory.due_count() == 0
    clock.forward(microseconds=1)
    assert directory.authenticate(api_key).due
    assert directory.due_count() == 1


def test_what_has_an_end_serves_until_that_moment_and_not_in_it(
    local_provider: LocalKeyProvider, directory: CredentialDirectory, clock: Clock
) -> None:
    """The credential, the secret before the last rotation, and the count of those due."""
    made, first = create(local_provider, expires_at=clock() + 200 * DAY)
    _, key = local_provider.credentials.rotate(made.credential_id, overlap=DAY)
    newest = key.text.encode()
    clock.forward(days=1, microseconds=-1)
    caller = directory.authenticate(first)
    assert caller.former
    assert not directory.authenticate(newest).former
    clock.forward(microseconds=1)
    refused(directory, first)
    clock.forward(days=199, microseconds=-1)
    assert directory.authenticate(newest).due
    assert directory.due_count() == 1
    clock.forward(microseconds=1)
    refused(directory, newest)
    assert directory.due_count() == 0


def test_a_bound_credential_is_refused_without_its_signer_and_what_is_damaged_counts_as_bound(
    local_provider: LocalKeyProvider, directory: CredentialDirectory
) -> None:
    """In the same words; a record that is refused closes and does not open."""
    bound, bound_key = create(local_provider)
    free, free_key = create(local_provider)
    local_provider.credentials.bind(bound.credential_id)
    directory.load()
    assert directory.is_bound(bound.credential_id)
    assert not directory.is_bound(free.credential_id)
    assert refused(directory, bound_key) == AuthenticationError.TEXT
    assert directory.authenticate(bound_key, "billing").bound
    assert not directory.authenticate(free_key, "billing").bound
    with local_provider.store.database.write() as connection:
        connection.exec_driver_sql(
            "UPDATE mfn_credentials SET scopes = '[]' WHERE credential_id = ?",
            (free.credential_id,),
        )
    fresh = CredentialDirectory(local_provider, Freshness(local_provider.store))
    assert fresh.is_bound(free.credential_id)
    assert not fresh.binds_nobody
    for signer in (None, "billing"):
        with pytest.raises(AuthenticationError):
            fresh.authenticate(free_key, signer)


# Freshness ------------------------------------------------------------------------------------


def test_a_revocation_reaches_another_process_within_the_refresh_time(
    monotonic: Monotonic, elsewhere: LocalKeyProvider, directory: CredentialDirectory
) -> None:
    """And until then the store is not asked."""
    made, api_key = create(elsewhere)
    directory.authenticate(api_key)
    elsewhere.credentials.revoke(made.credential_id)
    monotonic.now += freshness.REFRESH_SECONDS - 0.01
    directory.authenticate(api_key)
    monotonic.now += 0.02
    refused(directory, api_key)


def test_a_credential_made_elsewhere_is_known_within_the_refresh_time(
    monotonic: Monotonic, elsewhere: LocalKeyProvider, directory: CredentialDirectory
) -> None:
    """Only what changed is read: the others are the records that were there."""
    _, first = create(elsewhere)
    before = directory.authenticate(first)
    _, second = create(elsewhere)
    monotonic.now += freshness.REFRESH_SECONDS
    directory.authenticate(second)
    assert directory.authenticate(first) is before


def test_a_process_that_cannot_read_the_store_stops_answering(
    monotonic: Monotonic, local_provider: LocalKeyProvider, directory: CredentialDirectory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Within five seconds, with an outage and not with a refusal."""
    _, api_key = create(local_provider)
    directory.authenticate(api_key)

    def away() -> None:
        raise StoreUnavailableError("the key store does not answer")

    monkeypatch.setattr(local_provider.store, "require_status", away)
    monotonic.now += freshness.STALE_SECONDS - 0.01
    directory.authenticate(api_key)
    monotonic.now += 0.02
    with pytest.raises(StoreUnavailableError):
        directory.authenticate(api_key)


def test_a_change_that_is_noticed_while_credentials_are_loaded_is_not_lost(
    local_provider: LocalKeyProvider, directory: CredentialDirectory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """What was read before it is read again."""
    made, api_key = create(local_provider)
    read, readings = local_provider.credentials.each, []

    def read_and_be_overtaken(since: int = -1) -> object:
        found = list(read(since))
        readings.append(since)
        if len(readings) == 1:
            local_provider.credentials.revoke(made.credential_id)
            directory._freshness.refresh()
        return found

    monkeypatch.setattr(local_provider.credentials, "each", read_and_be_overtaken)
    refused(directory, api_key)
    assert readings == [-1, -1]


def test_credentials_work_on_after_the_store_moved_to_another_master_key(
    elsewhere: LocalKeyProvider, directory: CredentialDirectory
) -> None:
    """A move in another process changes every record and no authority."""
    made, api_key = create(elsewhere)
    directory.authenticate(api_key)
    elsewhere.master_keys.rotate()
    directory._freshness.refresh()
    directory.authenticate(api_key)
    elsewhere.credentials.revoke(made.credential_id)
    directory._freshness.refresh()
    refused(directory, api_key)


def test_a_forked_child_follows_revocations_by_itself(
    elsewhere: LocalKeyProvider, directory: CredentialDirectory
) -> None:
    """It inherits the records, and reads the store before it trusts them."""
    made, api_key = create(elsewhere)
    directory.authenticate(api_key)
    elsewhere.credentials.revoke(made.credential_id)
    child = os.fork()
    if child == 0:  # pragma: no cover - another process
        try:
            directory.authenticate(api_key)
        except AuthenticationError:
            os._exit(0)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_record_that_fails_its_authentication_is_refused_alone(
    local_provider: LocalKeyProvider, directory: CredentialDirectory,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    """Whoever can write the store gains nothing and locks nobody else out; the log names it."""
    edited, edited_key = create(local_provider, "encrypt:orders")
    _, good = create(local_provider)
    directory.authenticate(edited_key)
    with (
        caplog.at_level(logging.ERROR),
        local_provider.store.change(edited.master_id) as (connection, generation),
    ):
        connection.exec_driver_sql(
            "UPDATE mfn_credentials SET scopes = '*', generation = ? WHERE credential_id = ?",
            (generation, edited.credential_id),
        )
    directory._freshness.refresh()
    refused(directory, edited_key)
    with pytest.raises(AuthenticationError):  # and nobody who signs has it back
        directory.authenticate(edited_key, "anybody")
    assert directory.is_bound(edited.credential_id)
    directory.authenticate(good)
    assert edited.credential_id in caplog.text


def test_a_signer_whose_record_was_edited_keeps_no_credential_from_being_read(
    local_provider: LocalKeyProvider, directory: CredentialDirectory
) -> None:
    """Whom it named stays bound by the credential's own record; the others go on."""
    bound, bound_key = create(local_provider)
    _, good = create(local_provider)
    public = SigningKey.generate(SIGNING).public.der()
    local_provider.signers.add("one", public, credentials=(bound.credential_id,))
    with local_provider.store.database.write() as connection:
        connection.exec_driver_sql("UPDATE mfn_signers SET credentials = '[]'")
    directory.authenticate(good)
    refused(directory, bound_key)
    assert directory.authenticate(bound_key, "one").bound


def test_the_directory_never_waits_in_a_thread_that_refuses(
    local_provider: LocalKeyProvider, directory: CredentialDirectory
) -> None:
    """The first loading is done in another; from then on there is nothing to wait for."""
    _, api_key = create(local_provider)
    directory._freshness.ensure()
    try:
        blocking.refuse_in_this_thread()
        with pytest.raises(WouldBlockError):
            directory.authenticate(api_key)
        blocking.allow_in_this_thread()
        directory.load()
        blocking.refuse_in_this_thread()
        directory.authenticate(api_key)
        refused(directory, generate().text.encode())
    finally:
        blocking.allow_in_this_thread()
