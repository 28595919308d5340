"""Leases, and uses of what waits for its destruction: refused, counted durably, alarmed."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from mycelium_fractal_net.security.blocking import WouldBlockError, refusing
from mycelium_fractal_net.security.errors import DecryptionError, KeyStateError
from mycelium_fractal_net.security.key_store import UsageStore
from mycelium_fractal_net.security.lifecycle.retention import cleanup_old_versions, usage_of
from mycelium_fractal_net.security.records.keys import KeyState, Verb
from mycelium_fractal_net.security.records.retention import VersionUse
from tests.support.stores import keyring_over, open_provider

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from mycelium_fractal_net.security.key_providers import LocalKeyProvider
    from mycelium_fractal_net.security.keyring.keyring import Keyring
    from tests.support.stores import Clock

_TEXT = b"still needed"


def use_of(keyring: Keyring, version: int = 1, name: str = "orders") -> VersionUse:
    """What is known of one version, as a fresh look at the store has it."""
    provider = keyring.provider
    usage = UsageStore(provider.store.database)
    return usage_of(provider, usage, provider.keys.get(name))[version - 1]


@pytest.fixture
def messages(keyring: Keyring) -> dict[str, bytes]:
    """Of each form one, sealed by ``orders:v1``, whose destruction is pending now."""
    made = {
        "sealed": keyring.encrypt(_TEXT, key_id="orders"),
        "envelope": keyring.data_key(key_id="orders").sealer.seal(_TEXT, b""),
        "raw": keyring.encrypt(_TEXT, key_id="orders", format="raw"),
    }
    keyring.provider.rotate_key("orders")
    keyring.provider.states.apply(Verb.DESTROY, "orders:v1")
    keyring.refresh()
    return made


# Leases -----------------------------------------------------------------------------------------


def test_a_data_key_is_a_use_until_the_end_of_the_next_day(keyring: Keyring, clock: Clock) -> None:
    """A client uses it for a day at most, and nobody counts what it seals."""
    keyring.data_key(key_id="orders")
    use = use_of(keyring)
    assert use.leased_until == clock().date() + timedelta(days=1)
    assert use.last_used == use.leased_until


def test_the_end_of_a_lease_is_durable_before_the_data_key_is_handed_out(
    keyring: Keyring, clock: Clock, home: Path
) -> None:
    """A process that is killed at once leaves it behind."""
    keyring.data_key(key_id="orders")
    other = open_provider(keyring.provider.store.database.url, home, clock)
    found = UsageStore(other.store.database).summaries([other.keys.get("orders").latest.handle])
    assert "lease" in {each.kind for each in found}
    other.store.database.close()


def test_a_lease_on_the_next_day_lasts_a_day_longer(
    keyring: Keyring, local_provider: LocalKeyProvider, clock: Clock
) -> None:
    """The last one counts."""
    keyring.data_key(key_id="orders")
    keyring.flush()
    clock.forward(days=1)
    with keyring_over(local_provider) as later:
        later.data_key(key_id="orders")
        assert use_of(later).leased_until == clock().date() + timedelta(days=1)


# Uses in the window -----------------------------------------------------------------------------

_USES: dict[str, Callable[[Keyring, dict[str, bytes]], object]] = {
    "sealed": lambda keyring, made: keyring.decrypt(made["sealed"]),
    "envelope": lambda keyring, made: keyring.decrypt(made["envelope"]),
    "rewrap": lambda keyring, made: keyring.rewrap(made["sealed"]),
    "decryptor": lambda keyring, made: keyring.decryptor(made["sealed"]),
    "raw": lambda keyring, made: keyring.decrypt(made["raw"], key_id="orders:v1", format="raw"),
    "raw, bare name": lambda keyring, made: keyring.decrypt(
        made["raw"], key_id="orders", format="raw"
    ),
    "get_key": lambda keyring, _: keyring.provider.get_key("orders:v1"),
}


@pytest.mark.parametrize("how", list(_USES))
def test_a_use_in_the_window_is_refused_counted_and_alarmed(
    keyring: Keyring,
    clock: Clock,
    messages: dict[str, bytes],
    how: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Whoever needs the version hears how to keep it, and so does whoever reads the log."""
    noted: list[None] = []
    keyring.provider.retirement.on_pending_use = lambda: noted.append(None)
    with (
        caplog.at_level(logging.WARNING),
        pytest.raises(KeyStateError, match="mfn key cancel-destruction orders:v1"),
    ):
        _USES[how](keyring, messages)
    use = use_of(keyring)
    assert (use.refused, use.last_refused) == (1, clock().date())
    assert noted == [None]
    assert [each.getMessage() for each in caplog.records] == [
        "orders:v1 was used while its destruction is pending;"
        " to keep it: mfn key cancel-destruction orders:v1"
    ]


def test_the_count_is_durable_before_the_refusal(
    keyring: Keyring, clock: Clock, home: Path, messages: dict[str, bytes]
) -> None:
    """A process that is killed right after it has told of it."""
    with pytest.raises(KeyStateError):
        keyring.decrypt(messages["sealed"])
    other = open_provider(keyring.provider.store.database.url, home, clock)
    key = other.keys.get("orders")
    assert usage_of(other, UsageStore(other.store.database), key)[0].refused == 1
    other.store.database.close()


def test_log_and_audit_log_tell_of_a_version_once_a_minute(
    keyring: Keyring,
    messages: dict[str, bytes],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Every use counts, and a client that insists fills no disk."""
    seconds = [1000.0]
    monkeypatch.setattr(
        "mycelium_fractal_net.security.key_providers.retirement.monotonic", lambda: seconds[0]
    )
    for passed, alarms in ((0.0, 1), (59.0, 1), (1.0, 2)):
        seconds[0] += passed
        for _ in range(3):
            with pytest.raises(KeyStateError):
                keyring.decrypt(messages["sealed"])
        assert len(caplog.records) == alarms
    assert use_of(keyring).refused == 9


def test_each_version_has_an_alarm_of_its_own(
    keyring: Keyring, messages: dict[str, bytes], caplog: pytest.LogCaptureFixture
) -> None:
    """Noise about one does not hide another."""
    second = keyring.encrypt(_TEXT, key_id="orders")
    keyring.provider.rotate_key("orders")
    keyring.provider.states.apply(Verb.DESTROY, "orders:v2")
    keyring.refresh()
    for message in (messages["sealed"], second):
        with pytest.raises(KeyStateError):
            keyring.decrypt(message)
    assert [each.getMessage()[:9] for each in caplog.records] == ["orders:v1", "orders:v2"]


def test_a_use_after_the_cancelling_is_none_in_the_window(
    keyring: Keyring, messages: dict[str, bytes]
) -> None:
    """It opens, and counts as an opening."""
    keyring.provider.states.apply(Verb.CANCEL_DESTRUCTION, "orders:v1")
    keyring.refresh()
    assert keyring.decrypt(messages["sealed"]) == _TEXT
    use = use_of(keyring)
    assert (use.refused, use.decrypted, use.last_kept is not None) == (0, 1, True)


def test_a_refused_use_of_a_version_keeps_it_from_going_as_unused(
    keyring: Keyring, clock: Clock, messages: dict[str, bytes]
) -> None:
    """Somebody has asked for it, though he got nothing."""
    clock.forward(days=9)
    with pytest.raises(KeyStateError):
        keyring.decrypt(messages["sealed"])
    assert use_of(keyring).last_used == clock().date()


def test_a_raw_message_that_nothing_opens_is_no_use_of_the_version(
    keyring: Keyring, messages: dict[str, bytes]
) -> None:
    """Garbage under the bare name: it does not open, and alarms nobody."""
    damaged = messages["raw"][:-1] + bytes([messages["raw"][-1] ^ 1])
    with pytest.raises(DecryptionError):
        keyring.decrypt(damaged, key_id="orders", format="raw")
    with pytest.raises(KeyStateError):
        keyring.decrypt(damaged, key_id="orders:v1", format="raw")
    assert use_of(keyring).refused == 0


def test_a_raw_message_counts_for_the_version_that_opens_it_alone(keyring: Keyring) -> None:
    """Those that were tried before it have not been needed."""
    message = keyring.encrypt(_TEXT, key_id="orders", format="raw")
    keyring.provider.rotate_key("orders")
    keyring.refresh()
    keyring.decrypt(message, key_id="orders", format="raw")
    assert [use_of(keyring, version).decrypted for version in (1, 2)] == [1, 0]


def test_a_mac_that_verifies_in_the_window_is_alarmed(
    keyring: Keyring, caplog: pytest.LogCaptureFixture
) -> None:
    """It verifies until the key is erased, and then never again."""
    tag = keyring.mac(_TEXT, key_id="tags")
    keyring.provider.rotate_key("tags")
    keyring.provider.states.apply(Verb.DESTROY, "tags:v1")
    keyring.refresh()
    assert keyring.verify_mac(_TEXT, tag, key_id="tags") == "tags:v1"
    assert use_of(keyring, name="tags").refused == 1
    assert len(caplog.records) == 1


def test_a_signature_that_verifies_in_the_window_alarms_nobody(
    keyring: Keyring, caplog: pytest.LogCaptureFixture
) -> None:
    """Public keys are kept for ever."""
    signature = keyring.sign(_TEXT, key_id="release")
    keyring.provider.rotate_key("release")
    keyring.provider.states.apply(Verb.DESTROY, "release:v1")
    keyring.refresh()
    keyring.verify(_TEXT, signature, key_id="release")
    assert use_of(keyring, name="release").refused == 0
    assert caplog.records == []


def test_a_thread_that_must_not_wait_counts_nothing_before_it_says_so(
    keyring: Keyring, messages: dict[str, bytes]
) -> None:
    """The same call is made again in another thread, and is one use."""
    keyring.describe(messages["sealed"])
    with refusing(), pytest.raises(WouldBlockError):
        keyring.decrypt(messages["sealed"])
    with pytest.raises(KeyStateError):
        keyring.decrypt(messages["sealed"])
    assert use_of(keyring).refused == 1


# Audit ------------------------------------------------------------------------------------------


@pytest.fixture
def audited(local_provider: LocalKeyProvider, tmp_path: Path) -> Iterator[tuple[Keyring, Any]]:
    """A keyring whose provider records its changes, and what reads the records."""
    from tests.support.audit import Books

    books = Books(local_provider, tmp_path / "audit")
    local_provider.keys.create("orders")
    with books.opened() as log:
        local_provider.audit = log
        with keyring_over(local_provider) as opened:
            yield opened, lambda: books.records()


def test_the_alarm_is_in_the_audit_log_before_the_refusal(
    audited: tuple[Keyring, Callable[[], list[dict[str, Any]]]],
) -> None:
    """By the version, and with who asked."""
    keyring, records = audited
    message = keyring.encrypt(_TEXT, key_id="orders")
    keyring.provider.rotate_key("orders")
    keyring.provider.states.apply(Verb.DESTROY, "orders:v1", reason="old")
    keyring.refresh()
    with pytest.raises(KeyStateError):
        keyring.decrypt(message)
    assert keyring.provider.keys.get("orders").version(1).state is KeyState.PENDING_DESTRUCTION
    (alarm,) = [each for each in records() if each["event"] == "key.pending-use"]
    assert (alarm["key"], alarm["outcome"], alarm["actor"]) == ("orders:v1", "key-state", "library")
    (intent,) = [
        each for each in records() if each["event"] == "key.destroy" and each["outcome"] == "intent"
    ]
    assert (intent["key"], intent["reason"]) == ("orders:v1", "old")


def test_what_goes_by_itself_has_its_ground_in_the_audit_log(
    audited: tuple[Keyring, Callable[[], list[dict[str, Any]]]], clock: Clock
) -> None:
    """And that a rewrap has finished is there with the word of who said so."""
    keyring, records = audited
    keyring.provider.rotate_key("orders")
    keyring.provider.retirement.record_rewrap("orders", reason="all of the archive")
    report = cleanup_old_versions(keyring.provider, keyring.usage, "orders", 1, now=clock())
    assert report.moved == ("orders:v1",)
    reasons = {each["event"]: each["reason"] for each in records() if "reason" in each}
    assert reasons == {
        "key.rewrapped": "all of the archive",
        "key.destroy": "rewrapped: its data was moved by 2026-03-01, and nothing has used it since",
    }
