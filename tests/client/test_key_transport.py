"""The Python client: keys brought along and taken along."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from mycelium_fractal_net.security.errors import (
    InvalidInputError,
    KeyNotExportableError,
    KeyNotFoundError,
)
from mycelium_fractal_net.security.policy import Policy
from mycelium_fractal_net.security.records.imports import ImportState
from mycelium_fractal_net.security.records.keys import KeyOrigin, KeyType
from tests.support.algorithms import WRAPPING
from tests.support.key_transport import key_to_wrap_for

if TYPE_CHECKING:
    from mycelium_fractal_net.client import Client

POLICY = Policy()


def test_a_key_is_brought_along_and_taken_along(remote: Client) -> None:
    """The records say what it is."""
    name = f"release-{secrets.token_hex(6)}"
    own = POLICY.generate_signing_key("ECDSA-P256")
    pending = remote.begin_import(
        name, type=KeyType.SIGNING, algorithm="ECDSA-P256", exportable=True, method=WRAPPING
    )
    assert (pending.key_id, pending.algorithm, pending.method) == (name, "ECDSA-P256", WRAPPING)
    assert timedelta(0) < pending.expires_at - datetime.now(UTC) <= timedelta(hours=1)
    wrapped = POLICY.wrapping_key(pending.public_key.encode()).wrap(own.private_der())
    made = remote.finish_import(pending.import_id, bytearray(wrapped))
    assert (made.exportable, made.latest.origin) == (True, KeyOrigin.IMPORTED)
    assert remote.public_key(name).pem == own.public.pem().decode()
    for pem in (
        key_to_wrap_for(WRAPPING).public.pem(),
        key_to_wrap_for(WRAPPING).public.pem().decode(),
    ):
        exported = remote.export_key(f"{name}:v1", pem)
        assert (exported.key_id, exported.key_type) == (f"{name}:v1", KeyType.SIGNING)
        assert key_to_wrap_for(WRAPPING).unwrap(exported.wrapped) == own.private_der()


def test_the_next_version_of_a_key_is_brought_along(remote: Client) -> None:
    """Of one that is there."""
    made = remote.create_key(f"k-{secrets.token_hex(6)}")
    assert (made.exportable, made.latest.origin) == (False, KeyOrigin.GENERATED)
    pending = remote.begin_import(made.key_id, existing=True, method=WRAPPING)
    wrapped = POLICY.wrapping_key(pending.public_key.encode()).wrap(bytes(32))
    assert remote.finish_import(pending.import_id, wrapped).primary.version == 2
    with pytest.raises(KeyNotFoundError):
        remote.finish_import(pending.import_id, wrapped)


def test_imports_are_listed_shown_and_cancelled(remote: Client) -> None:
    """As they were begun, and then no more."""
    pending = remote.begin_import(f"k-{secrets.token_hex(6)}", method="hpke-p256")
    assert pending.state is ImportState.WAITING
    assert pending in remote.list_imports()
    assert remote.show_import(pending.import_id) == pending
    remote.cancel_import(pending.import_id)
    assert pending not in remote.list_imports()
    for gone in (remote.show_import, remote.cancel_import):
        with pytest.raises(KeyNotFoundError):
            gone(pending.import_id)


def test_what_may_not_leave_raises_that_error(remote: Client) -> None:
    """And an id that would be another path never leaves this machine."""
    made = remote.create_key(f"k-{secrets.token_hex(6)}")
    with pytest.raises(KeyNotExportableError):
        remote.export_key(made.key_id, key_to_wrap_for(WRAPPING).public.pem())
    for import_id in ("", "../keys", "x" * 32):
        with pytest.raises(InvalidInputError):
            remote.finish_import(import_id, b"")
        with pytest.raises(InvalidInputError):
            remote.show_import(import_id)
        with pytest.raises(InvalidInputError):
            remote.cancel_import(import_id)
