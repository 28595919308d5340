"""A keyring opens messages of another format beside its own, where it is given one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mycelium_fractal_net.security.byte_io.buffers import as_bytes
from mycelium_fractal_net.security.errors import DecryptionError, KeyStateError
from mycelium_fractal_net.security.keyring.opening import Result
from mycelium_fractal_net.security.records.keys import Verb
from mycelium_fractal_net.security.records.open_options import OpenOptions
from tests.support.stores import keyring_over

if TYPE_CHECKING:
    from mycelium_fractal_net.security.byte_io.buffers import Buffer
    from mycelium_fractal_net.security.key_providers import LocalKeyProvider
    from mycelium_fractal_net.security.keyring.opening import MessageKeys

OLD = b"OLD\xff"


class Inverted:
    """A format whose messages begin with OLD; the rest has every bit inverted, under ``orders``."""

    def reads(self, message: Buffer, format: str) -> bool:
        """By its beginning."""
        return format == "sealed" and bytes(as_bytes(message)[:3]) == b"OLD"

    def open(
        self, keys: MessageKeys, message: str | Buffer, key_id: str | None, options: OpenOptions
    ) -> Result:
        """With the key as its state and the options permit."""
        assert isinstance(message, bytes)
        found = keys.opening(keys.cache.record("orders").latest.handle, key_id, options)
        return Result(bytes(~each & 0xFF for each in message[3:]), found.version_id, legacy=True)


def test_both_formats_open_and_say_which_they_were(local_provider: LocalKeyProvider) -> None:
    """A sealed message never comes to the other format."""
    local_provider.keys.create("orders")
    with keyring_over(local_provider, old_format=Inverted()) as keyring:
        assert keyring.decrypt_result(OLD) == (b"\0", "orders:v1", True)
        sealed = keyring.encrypt(b"new", key_id="orders")
        assert keyring.decrypt_result(sealed) == (b"new", "orders:v1", False)
        with pytest.raises(DecryptionError):
            keyring.rewrap(OLD)


def test_without_the_format_it_is_no_message(local_provider: LocalKeyProvider) -> None:
    """Only who names the format opens it."""
    local_provider.keys.create("orders")
    with keyring_over(local_provider) as keyring:
        with pytest.raises(DecryptionError):
            keyring.decrypt(OLD)
        assert keyring.open_old(OLD, Inverted()).data == b"\0"


def test_states_keys_and_permits_hold_for_it_too(local_provider: LocalKeyProvider) -> None:
    """They are the keyring's, and no format's."""
    local_provider.keys.create("orders")
    with keyring_over(local_provider, old_format=Inverted()) as keyring:
        with pytest.raises(DecryptionError):
            keyring.decrypt(OLD, key_id="invoices")
        with pytest.raises(DecryptionError):
            keyring.decrypt_result(OLD, OpenOptions(permit=lambda _: False))
        local_provider.states.apply(Verb.COMPROMISE, "orders")
        keyring.refresh()
        with pytest.raises(KeyStateError, match="compromised"):
            keyring.decrypt(OLD)
        assert keyring.decrypt(OLD, allow_compromised=True) == b"\0"
