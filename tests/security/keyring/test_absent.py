"""Messages of keys that are not there, and of keys out of reach: the same work for both."""

from __future__ import annotations

import os
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import event, text

from mycelium_fractal_net.security import blocking
from mycelium_fractal_net.security.blocking import WouldBlockError
from mycelium_fractal_net.security.errors import DecryptionError, StoreIntegrityError
from mycelium_fractal_net.security.records.open_options import OpenOptions
from tests.support.stores import keyring_over

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mycelium_fractal_net.security.key_providers import LocalKeyProvider
    from mycelium_fractal_net.security.keyring.keyring import Keyring
    from mycelium_fractal_net.security.records.keys import Key

NOT_ORDERS = OpenOptions(permit=lambda name: name != "orders")


class Statements:
    """How many statements the store was asked."""

    def __init__(self, provider: LocalKeyProvider) -> None:
        self.count = 0
        engine = provider.store.database._engine
        event.listen(engine, "before_cursor_execute", self._counted)

    def _counted(self, *_: object) -> None:
        self.count += 1

    def of(self, keyring: Keyring, message: bytes, options: OpenOptions = NOT_ORDERS) -> int:
        """How many it takes to refuse ``message``."""
        before = self.count
        with pytest.raises(DecryptionError):
            keyring.decrypt_result(message, options)
        return self.count - before


@pytest.fixture
def keyring(local_provider: LocalKeyProvider) -> Iterator[Keyring]:
    """A keyring over a store with the keys ``orders`` and ``invoices``."""
    local_provider.keys.create("orders")
    local_provider.keys.create("invoices")
    with keyring_over(local_provider) as opened:
        opened.encrypt(b"", key_id="invoices")
        yield opened


def unknown(message: bytes) -> bytes:
    """The message of a handle that nobody made."""
    return message[:4] + os.urandom(8) + message[12:]


def test_a_message_of_an_unknown_handle_is_looked_up_once(
    keyring: Keyring, local_provider: LocalKeyProvider
) -> None:
    """A thousand of it in a batch cost one read of the store, not a thousand."""
    message = unknown(keyring.encrypt(b"x", key_id="invoices"))
    statements = Statements(local_provider)
    assert statements.of(keyring, message) > 0
    assert [statements.of(keyring, message) for _ in range(5)] == [0] * 5


@pytest.mark.parametrize("hot", [True, False])
def test_a_key_out_of_reach_takes_the_work_of_one_that_is_not_there(
    keyring: Keyring, local_provider: LocalKeyProvider, hot: bool
) -> None:
    """Whether others use it now or not: as many reads, the first time and every other time."""
    sealed = keyring.encrypt(b"x", key_id="orders")
    keyring.decrypt(sealed)
    if not hot:
        keyring._cache._drop({"orders"})
    statements = Statements(local_provider)
    out_of_reach = [statements.of(keyring, sealed) for _ in range(3)]
    message = unknown(sealed)
    not_there = [statements.of(keyring, message) for _ in range(3)]
    assert min(out_of_reach[0], not_there[0]) > 0
    assert out_of_reach[1:] == not_there[1:] == [0, 0]
    assert out_of_reach == not_there
    assert keyring.decrypt(sealed) == b"x"


def test_of_a_key_out_of_reach_no_record_is_read(
    keyring: Keyring, local_provider: LocalKeyProvider
) -> None:
    """So that it takes nothing more where it has a thousand versions, or is damaged."""
    sealed = keyring.encrypt(b"x", key_id="orders")
    keyring._cache._drop({"orders"})
    with local_provider.store.database.write() as connection:
        connection.execute(text("UPDATE mfn_keys SET mac = zeroblob(32) WHERE key_id = 'orders'"))
    with pytest.raises(DecryptionError):
        keyring.decrypt_result(sealed, NOT_ORDERS)
    with pytest.raises(StoreIntegrityError):
        keyring.decrypt(sealed)


def test_a_key_that_opens_no_message_is_like_one_that_is_not_there(
    keyring: Keyring, local_provider: LocalKeyProvider
) -> None:
    """The handle of a MAC key takes the work of one that nobody made, whoever asks."""
    made = local_provider.keys.create("tags", "mac").versions[0].handle
    keyring.mac(b"x", key_id="tags")
    sealed = keyring.encrypt(b"x", key_id="invoices")
    statements = Statements(local_provider)
    of_mac = sealed[:4] + made + sealed[12:]
    for hot in (True, False):
        if not hot:
            keyring._cache._drop({"tags"})
            keyring._cache._named.forget()
        found = [
            statements.of(keyring, each, OpenOptions(permit=lambda _: True))
            for each in (of_mac, of_mac, unknown(sealed))
        ]
        assert found[1] == 0
        assert found[0] == found[2] > 0


def test_a_thread_that_may_not_wait_is_told_of_both_alike(keyring: Keyring) -> None:
    """The event loop hands both on to a thread, and takes neither for decided."""
    sealed = keyring.encrypt(b"x", key_id="orders")
    for message in (sealed, unknown(sealed)):
        for refused in (WouldBlockError, DecryptionError):
            if refused is DecryptionError:
                with suppress(DecryptionError):
                    keyring.decrypt_result(message, NOT_ORDERS)
            with blocking.refusing(), pytest.raises(refused):
                keyring.decrypt_result(message, NOT_ORDERS)


def test_a_handle_that_comes_after_all_is_found(
    keyring: Keyring, local_provider: LocalKeyProvider
) -> None:
    """A store that is put right, as by a restore: at the next reading of it."""
    sealed = keyring.encrypt(b"x", key_id="invoices")
    keyring._cache._drop({"invoices"})
    with local_provider.store.database.write() as connection:
        connection.execute(text("UPDATE mfn_keys SET key_id = key_id"))
        handle = connection.execute(
            text("SELECT handle FROM mfn_key_versions WHERE key_id = 'invoices'")
        ).scalar_one()
        connection.execute(
            text("UPDATE mfn_key_versions SET handle = zeroblob(8) WHERE key_id = 'invoices'")
        )
    for _ in range(2):
        with pytest.raises(DecryptionError):
            keyring.decrypt(sealed)
    with local_provider.store.database.write() as connection:
        connection.execute(
            text("UPDATE mfn_key_versions SET handle = :handle WHERE key_id = 'invoices'"),
            {"handle": handle},
        )
    local_provider.keys.rotate("invoices")
    keyring.refresh()
    assert keyring.decrypt(sealed) == b"x"


def test_what_is_refused_to_one_is_found_for_another(keyring: Keyring) -> None:
    """Also where it fell out of the cache meanwhile."""
    sealed = keyring.encrypt(b"x", key_id="orders")
    for _ in range(2):
        with pytest.raises(DecryptionError):
            keyring.decrypt_result(sealed, NOT_ORDERS)
    for options in (OpenOptions(permit=lambda name: name == "orders"), OpenOptions()):
        keyring._cache._by_handle.clear()
        assert keyring.decrypt_result(sealed, options).data == b"x"
        keyring._cache._named.forget()


def test_what_is_remembered_of_them_is_bounded(
    local_provider: LocalKeyProvider,
) -> None:
    """Strangers' handles take some hundred kilobytes at most, and for as long as keys do."""
    local_provider.keys.create("invoices")
    with keyring_over(local_provider) as keyring:
        cache = keyring._cache
        sealed = keyring.encrypt(b"x", key_id="invoices")
        messages = [unknown(sealed) for _ in range(5000)]
        keyring.look_up([each[:12] for each in messages])
        assert len(cache._named._names) == 4096
        now = monotonic()
        later = now + cache._lifetime + 1
        statements = Statements(local_provider)
        # The store's generation may be due to be read just then.
        assert 0 in [statements.of(keyring, messages[-1]) for _ in range(3)]
        names = cache._named._names
        names.update({handle: (now - 1, name) for handle, (_, name) in names.items()})
        assert statements.of(keyring, messages[-1]) > 0
        assert max(until for until, _ in names.values()) < later


def test_a_thousand_different_unknown_handles_cost_what_one_does(
    keyring: Keyring, local_provider: LocalKeyProvider
) -> None:
    """As a batch has them: they are looked up together, and then none of them any more."""
    message = keyring.encrypt(b"x", key_id="invoices")
    messages = [unknown(message) for _ in range(1000)] + [message]
    statements = Statements(local_provider)
    keyring.look_up([each[:12] for each in messages], NOT_ORDERS)
    assert statements.count <= 2
    assert sum(statements.of(keyring, each) for each in messages[:-1]) == 0
    keyring.look_up([each[:12] for each in messages], NOT_ORDERS)
    keyring.look_up([b"", b"MFN", b"\x00" * 12])
    assert statements.count <= 2
    assert keyring.decrypt(message) == b"x"


@pytest.mark.parametrize("hot", [True, False])
def test_in_a_batch_a_key_out_of_reach_is_like_one_that_is_not_there(
    keyring: Keyring, local_provider: LocalKeyProvider, hot: bool
) -> None:
    """Neither costs a read after the one for all of them."""
    sealed = keyring.encrypt(b"x", key_id="orders")
    if not hot:
        keyring._cache._drop({"orders"})
    messages = [sealed, unknown(sealed), unknown(sealed)]
    statements = Statements(local_provider)
    keyring.look_up([each[:12] for each in messages], NOT_ORDERS)
    assert statements.count > 0
    assert [statements.of(keyring, each) for each in messages] == [0, 0, 0]
    assert keyring.decrypt(sealed) == b"x"


def test_in_a_batch_a_cold_key_in_reach_is_taken_into_use(keyring: Keyring) -> None:
    """By the one read for all."""
    sealed = keyring.encrypt(b"x", key_id="invoices")
    keyring._cache._drop({"invoices"})
    keyring.look_up([each[:12] for each in (sealed, unknown(sealed))], NOT_ORDERS)
    assert keyring.decrypt(sealed) == b"x"


def test_one_unknown_handle_is_looked_up_by_itself(
    keyring: Keyring, local_provider: LocalKeyProvider
) -> None:
    """In a batch as alone, and so is one whose record is refused."""
    sealed = keyring.encrypt(b"x", key_id="invoices")
    statements = Statements(local_provider)
    keyring.look_up([sealed[:12], unknown(sealed)[:12]])
    assert statements.count == 0
    keyring._cache._drop({"invoices"})
    with local_provider.store.database.write() as connection:
        connection.execute(text("UPDATE mfn_keys SET mac = zeroblob(32) WHERE key_id = 'invoices'"))
    keyring.look_up([sealed[:12], unknown(sealed)[:12]])
    with pytest.raises(StoreIntegrityError, match="invoices"):
        keyring.decrypt(sealed)


def test_what_changes_while_it_is_looked_up_is_not_remembered(
    keyring: Keyring, local_provider: LocalKeyProvider
) -> None:
    """Each is then looked up by itself."""
    message = keyring.encrypt(b"x", key_id="invoices")
    messages = [unknown(message) for _ in range(2)]
    read = local_provider.keys.by_names

    def changed_meanwhile(names: Iterable[str]) -> dict[str, Key]:
        found = read(names)
        local_provider.keys.create("another")
        keyring.refresh()
        return found

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(local_provider.keys, "by_names", changed_meanwhile)
        keyring.look_up([each[:12] for each in messages], NOT_ORDERS)
    statements = Statements(local_provider)
    assert statements.of(keyring, messages[0]) > 0


def test_what_is_made_while_it_is_looked_for_is_found_the_next_time(
    keyring: Keyring, local_provider: LocalKeyProvider
) -> None:
    """That it was not there is not remembered: it may be there now."""
    message = unknown(keyring.encrypt(b"x", key_id="invoices"))
    read = local_provider.keys.by_handle

    def made_meanwhile(handle: bytes) -> Key:
        local_provider.keys.create("another")
        keyring.refresh()
        return read(handle)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(local_provider.keys, "by_handle", made_meanwhile)
        with pytest.raises(DecryptionError):
            keyring.decrypt(message)
    statements = Statements(local_provider)
    assert statements.of(keyring, message) > 0
