"""The keyring: what a user holds, on real stores."""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING

import pytest

from mycelium_fractal_net.security.errors import (
    DecryptionError,
    InvalidInputError,
    InvalidSignatureError,
    KeyNotFoundError,
    KeyStateError,
    KeyUsageError,
)
from mycelium_fractal_net.security.keyring.keyring import Keyring
from mycelium_fractal_net.security.keyring.signing import Signature
from mycelium_fractal_net.security.records.keys import KeyState, RotationPolicy, Verb
from mycelium_fractal_net.security.records.open_options import OpenOptions
from mycelium_fractal_net.security.sealed.layout import parse_header
from tests.support.stores import Clock, keyring_over, open_provider

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from mycelium_fractal_net.security.key_providers import LocalKeyProvider

AD = b"row 17"


# Messages -----------------------------------------------------------------------------------


@pytest.mark.parametrize("format", ["sealed", "raw"])
@pytest.mark.parametrize("size", [0, 1, 100, 16_384, 100_000])
def test_what_was_encrypted_decrypts(keyring: Keyring, format: str, size: int) -> None:
    """Both formats, at the sizes where something changes."""
    data = os.urandom(size)
    message = keyring.encrypt(data, key_id="orders", associated_data=AD, format=format)  # type: ignore[arg-type]
    key_id = None if format == "sealed" else "orders"
    opened = keyring.decrypt(message, key_id=key_id, associated_data=AD, format=format)  # type: ignore[arg-type]
    assert opened == data


def test_a_keyring_works_the_same_on_every_database(
    provider: LocalKeyProvider,
) -> None:
    """Encrypt, rotate, decrypt, rewrap, sign and verify, on SQLite and on PostgreSQL."""
    provider.keys.create("orders")
    provider.keys.create("release", "signing")
    with keyring_over(provider) as keyring:
        sealed = keyring.encrypt(b"data", key_id="orders", associated_data=AD)
        provider.rotate_key("orders")
        keyring.refresh()
        assert keyring.decrypt(sealed, associated_data=AD) == b"data"
        moved = keyring.rewrap(sealed, associated_data=AD)
        assert keyring.describe(moved).version == 2
        keyring.verify(b"data", keyring.sign(b"data", key_id="release"), key_id="release")


@pytest.mark.parametrize("format", ["sealed", "raw"])
def test_other_associated_data_does_not_open(keyring: Keyring, format: str) -> None:
    """What a message was bound to it stays bound to."""
    message = keyring.encrypt(b"data", key_id="orders", associated_data=AD, format=format)  # type: ignore[arg-type]
    with pytest.raises(DecryptionError):
        keyring.decrypt(message, key_id="orders", associated_data=b"row 18", format=format)  # type: ignore[arg-type]


def test_a_message_names_its_key_and_a_key_that_is_given_must_agree(
    keyring: Keyring, local_provider: LocalKeyProvider
) -> None:
    """Another key, another version, a key that does not exist: one error."""
    local_provider.keys.create("invoices")
    sealed = keyring.encrypt(b"data", key_id="orders")
    for key_id in (None, "orders", "orders:v1"):
        assert keyring.decrypt(sealed, key_id=key_id) == b"data"
    for key_id in ("invoices", "orders:v2", "nothing"):
        with pytest.raises(DecryptionError):
            keyring.decrypt(sealed, key_id=key_id)


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"MFN",
        b"MFN\x01",
        b"MFN\x01" + bytes(8),
        b"MFN\x01" + bytes(80),
        b"MFN\x03" + bytes(80),
        b"MFN\x02" + bytes(200),
        bytes(200),
    ],
)
def test_what_is_no_message_gives_the_one_error(keyring: Keyring, message: bytes) -> None:
    """A wrong header, an unknown handle and a cut look the same as a changed bit."""
    with pytest.raises(DecryptionError, match=r"^the message does not open"):
        keyring.decrypt(message)


@pytest.mark.parametrize("key_id", ["release", "tags"])
def test_a_message_under_a_key_of_another_type_does_not_open(
    keyring: Keyring, local_provider: LocalKeyProvider, key_id: str
) -> None:
    """The handle of a signing or MAC key opens nothing, and tells nothing."""
    sealed = bytearray(keyring.encrypt(b"data", key_id="orders"))
    sealed[4:12] = local_provider.keys.get(key_id).latest.handle
    with pytest.raises(DecryptionError):
        keyring.decrypt(sealed)


@pytest.mark.parametrize("key_id", ["release", "tags"])
def test_a_key_of_another_type_encrypts_nothing(keyring: Keyring, key_id: str) -> None:
    """Types are separate, in both orders of first use."""
    with pytest.raises(KeyUsageError, match="encryption"):
        keyring.encrypt(b"data", key_id=key_id)
    if key_id == "release":
        keyring.sign(b"data", key_id=key_id)
    else:
        keyring.mac(b"data", key_id=key_id)
    with pytest.raises(KeyUsageError, match="encryption"):
        keyring.encrypt(b"data", key_id=key_id)


def test_an_unknown_key_never_falls_back_to_another(keyring: Keyring) -> None:
    """Nor does a key_id that is none."""
    with pytest.raises(KeyNotFoundError):
        keyring.encrypt(b"data", key_id="order")
    with pytest.raises(InvalidInputError):
        keyring.encrypt(b"data", key_id="Orders!")


def test_where_no_key_is_named_the_default_of_the_type_serves(
    keyring: Keyring, local_provider: LocalKeyProvider
) -> None:
    """And where there is no default key either, that is an error."""
    with pytest.raises(KeyNotFoundError):
        keyring.encrypt(b"data")
    for kind in ("encryption", "signing", "mac"):
        local_provider.keys.create(f"default-{kind}", kind)
    assert keyring.describe(keyring.encrypt(b"data")).version_id == "default-encryption:v1"
    assert keyring.decrypt(keyring.encrypt(b"data", format="raw"), format="raw") == b"data"
    keyring.verify(b"data", keyring.sign(b"data"))
    keyring.verify_mac(b"data", keyring.mac(b"data"))
    assert keyring.data_key().handle == local_provider.keys.get("default-encryption").latest.handle


def test_a_version_id_protects_only_if_it_is_the_newest(
    keyring: Keyring, local_provider: LocalKeyProvider
) -> None:
    """Naming an old version does not bring it back."""
    assert keyring.encrypt(b"data", key_id="orders:v1")
    local_provider.rotate_key("orders")
    keyring.refresh()
    with pytest.raises(KeyStateError, match="version 2 does"):
        keyring.encrypt(b"data", key_id="orders:v1")
    with pytest.raises(KeyNotFoundError):
        keyring.encrypt(b"data", key_id="orders:v9")


def test_a_version_that_a_key_has_not_names_no_key(keyring: Keyring) -> None:
    """Also where the version makes no difference; nothing is changed by a slip of the pen."""
    keys, states = keyring.provider.keys, keyring.provider.states
    rotation = RotationPolicy(interval_days=7, retain_count=2)
    calls: dict[str, list[Callable[[str], object]]] = {
        "encryption": [
            keys.get,
            keyring.protecting_key,
            keyring.algorithm_of,
            keyring.is_external,
            states.erase_due,
            states.activate_due,
            lambda name: keys.set_rotation(name, rotation),
            lambda name: keys.reschedule(name, lambda key: key.latest.created_at),
        ],
        "signing": [
            keyring.public_key,
            keyring.request_key,
            lambda name: keys.set_publish(name, True),
        ],
        "index": [lambda name: keyring.index(key_id=name, context=b"users.email")],
        "deterministic": [lambda name: keyring.deterministic_messages(b"", key_id=name)],
    }
    if not keyring.policy.allows("AES-256-SIV"):
        del calls["deterministic"]
    for kind, each_of in calls.items():
        made = keys.create(kind, kind, use="request" if kind == "signing" else "data")
        for call in each_of:
            with pytest.raises(KeyNotFoundError):
                call(f"{kind}:v9")
        assert keys.get(kind) == made
        for call in each_of:
            call(f"{kind}:v1")


@pytest.mark.parametrize("format", ["xor", "zip", ""])
@pytest.mark.parametrize("call", ["encrypt", "decrypt"])
def test_an_unknown_format_is_refused(keyring: Keyring, call: str, format: str) -> None:
    """There are two; a third is opened while the settings say so, which they do not here."""
    with pytest.raises(InvalidInputError, match="sealed, raw or deterministic"):
        getattr(keyring, call)(b"data", key_id="orders", format=format)


def test_a_version_that_is_named_is_the_only_one_that_is_tried(
    keyring: Keyring, local_provider: LocalKeyProvider
) -> None:
    """Also where another one would have opened it, had its destruction not begun."""
    old = keyring.encrypt(b"data", key_id="orders", format="raw")
    local_provider.rotate_key("orders")
    local_provider.states.apply(Verb.DESTROY, "orders:v1")
    keyring.refresh()
    with pytest.raises(DecryptionError):
        keyring.decrypt(old, key_id="orders:v2", format="raw")
    with pytest.raises(KeyStateError):
        keyring.decrypt(old, key_id="orders:v1", format="raw")


def test_raw_decryption_by_name_tries_the_versions_that_may_decrypt(
    keyring: Keyring, local_provider: LocalKeyProvider
) -> None:
    """Newest first, all of them; a version id means that version alone."""
    old = keyring.encrypt(b"data", key_id="orders", format="raw")
    local_provider.rotate_key("orders")
    keyring.refresh()
    assert keyring.decrypt(old, key_id="orders", format="raw") == b"data"
    assert keyring.decrypt(old, key_id="orders:v1", format="raw") == b"data"
    with pytest.raises(DecryptionError):
        keyring.decrypt(old, key_id="orders:v2", format="raw")
    local_provider.states.apply(Verb.SUSPEND, "orders:v1")
    keyring.refresh()
    with pytest.raises(DecryptionError):
        keyring.decrypt(old, key_id="orders", format="raw")
    with pytest.raises(KeyStateError):
        keyring.decrypt(old, key_id="orders:v1", format="raw")
    local_provider.states.apply(Verb.SUSPEND, "orders:v2")
    keyring.refresh()
    with pytest.raises(KeyStateError):
        keyring.decrypt(old, key_id="orders", format="raw")


def test_a_compromised_version_decrypts_only_when_told_so(
    keyring: Keyring, local_provider: LocalKeyProvider
) -> None:
    """Explicitly, in both formats, and it never encrypts."""
    sealed = keyring.encrypt(b"data", key_id="orders")
    raw = keyring.encrypt(b"data", key_id="orders", format="raw")
    local_provider.states.apply(Verb.COMPROMISE, "orders")
    keyring.refresh()
    for message, format in ((sealed, "sealed"), (raw, "raw")):
        with pytest.raises(KeyStateError, match="compromised"):
            keyring.decrypt(message, key_id="orders", format=format)  # type: ignore[arg-type]
        opened = keyring.decrypt(
            message,
            key_id="orders",
            format=format,  # type: ignore[arg-type]
            allow_compromised=True,
        )
        assert opened == b"data"
    with pytest.raises(KeyStateError, match="protects nothing"):
        keyring.encrypt(b"data", key_id="orders")


def test_rewrap_moves_to_the_newest_version_of_the_same_key(
    keyring: Keyring, local_provider: LocalKeyProvider
) -> None:
    """The plaintext is the same, the associated data still needed."""
    sealed = keyring.encrypt(b"data", key_id="orders", associated_data=AD)
    assert keyring.describe(sealed).newest
    local_provider.rotate_key("orders")
    keyring.refresh()
    assert not keyring.describe(sealed).newest
    moved = keyring.rewrap(sealed, associated_data=AD)
    info = keyring.describe(moved)
    assert (info.version_id, info.newest, info.state) == ("orders:v2", True, KeyState.ACTIVE)
    assert keyring.decrypt(moved, associated_data=AD) == b"data"
    with pytest.raises(DecryptionError):
        keyring.rewrap(sealed)


def test_describe_still_knows_the_newest_when_it_is_out_of_use(
    keyring: Keyring, local_provider: LocalKeyProvider
) -> None:
    """A suspended newest version is the newest all the same."""
    sealed = keyring.encrypt(b"data", key_id="orders")
    local_provider.states.apply(Verb.SUSPEND, "orders")
    keyring.refresh()
    info = keyring.describe(sealed)
    assert (info.newest, info.state, info.form) == (True, KeyState.SUSPENDED, "sealed")


# Data keys ------------------------------------------------------------------------------------


def test_a_message_sealed_by_a_data_key_opens_in_the_keyring(keyring: Keyring) -> None:
    """The second form carries its wrapped data key, each bound to its own associated data."""
    data_key = keyring.data_key(key_id="orders", associated_data=b"lease 1")
    message = data_key.sealer.seal(b"data", AD)
    options = {"associated_data": AD, "data_key_associated_data": b"lease 1"}
    assert keyring.decrypt(message, **options) == b"data"  # type: ignore[arg-type]
    assert keyring.describe(message).form == "envelope"
    moved = keyring.rewrap(message, **options)  # type: ignore[arg-type]
    assert keyring.describe(moved).form == "sealed"
    assert keyring.decrypt(moved, associated_data=AD) == b"data"
    for name in options:
        with pytest.raises(DecryptionError):
            keyring.decrypt(message, **(options | {name: b"other"}))  # type: ignore[arg-type]


def test_encrypt_makes_no_wrapped_data_key_and_decrypt_opens_none(keyring: Keyring) -> None:
    """A wrapped data key under a message's header is no message, and the reverse."""
    data_key = keyring.data_key(key_id="orders")
    with pytest.raises(DecryptionError):
        keyring.decrypt(b"MFN\x01" + data_key.handle + data_key.wrapped)
    sealed = keyring.encrypt(bytes(32), key_id="orders")
    forged = b"MFN\x02" + sealed[4:12] + sealed[12:]
    with pytest.raises(DecryptionError):
        keyring.decrypt(forged + data_key.sealer.seal(b"x")[116:])


# Streams --------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 16_384, 3_000_001])
def test_streams_and_bytes_are_one_format(keyring: Keyring, size: int) -> None:
    """What a stream sealed opens as bytes, and the reverse."""
    data = os.urandom(size)
    sealed = io.BytesIO()
    assert keyring.encrypt_stream(
        io.BytesIO(data), sealed, key_id="orders", associated_data=AD
    ) == len(data)
    assert keyring.decrypt(sealed.getvalue(), associated_data=AD) == data
    opened = io.BytesIO()
    message = keyring.encrypt(data, key_id="orders", associated_data=AD)
    assert keyring.decrypt_stream(io.BytesIO(message), opened, OpenOptions(AD)) == len(data)
    assert opened.getvalue() == data


@pytest.mark.parametrize("size", [0, 100, 1_000_000])
def test_a_stream_is_rewrapped(
    keyring: Keyring, local_provider: LocalKeyProvider, size: int
) -> None:
    """Both forms, to the newest version, with its progress told."""
    data = os.urandom(size)
    sealed = keyring.encrypt(data, key_id="orders", associated_data=AD)
    envelope = keyring.data_key(key_id="orders").sealer.seal(data, AD)
    local_provider.rotate_key("orders")
    keyring.refresh()
    for message in (sealed, envelope):
        moved = io.BytesIO()
        seen: list[int] = []
        total = keyring.rewrap_stream(
            io.BytesIO(message), moved, OpenOptions(AD), progress=seen.append
        )
        assert total == size
        assert sum(seen) == len(message) - len(parse_header(message).raw)
        assert keyring.describe(moved.getvalue()).version_id == "orders:v2"
        assert keyring.decrypt(moved.getvalue(), associated_data=AD) == data
    keyring.rewrap_stream(io.BytesIO(sealed), io.BytesIO(), OpenOptions(AD))


def test_a_cut_stream_raises_at_its_end(keyring: Keyring) -> None:
    """What was written until then is a part, and the caller learns it."""
    message = keyring.encrypt(bytes(100_000), key_id="orders")
    for call in (keyring.decrypt_stream, keyring.rewrap_stream):
        with pytest.raises(DecryptionError):
            call(io.BytesIO(message[:-1]), io.BytesIO())


def test_a_range_of_a_sealed_file_is_read(keyring: Keyring) -> None:
    """open_reader seeks in the plaintext, for both forms."""
    data = os.urandom(100_000)
    for message in (
        keyring.encrypt(data, key_id="orders", associated_data=AD),
        keyring.data_key(key_id="orders").sealer.seal(data, AD),
    ):
        reader = keyring.open_reader(io.BytesIO(message), OpenOptions(AD))
        reader.seek(50_000)
        assert reader.read(1000) == data[50_000:51_000]


# Signatures -----------------------------------------------------------------------------------


def test_a_signature_verifies_and_names_its_version(keyring: Keyring) -> None:
    """The signature is bare bytes; its key_id is the version."""
    signature = keyring.sign(b"data", key_id="release")
    assert isinstance(signature, Signature)
    assert signature.key_id == "release:v1"
    keyring.verify(b"data", signature, key_id="release")
    keyring.verify(b"data", bytes(signature), key_id="release:v1")
    for data, changed in ((b"date", signature), (b"data", bytes(64)), (b"data", b"")):
        with pytest.raises(InvalidSignatureError):
            keyring.verify(data, changed, key_id="release")


def test_a_bare_name_verifies_what_any_version_signed(
    keyring: Keyring, local_provider: LocalKeyProvider
) -> None:
    """An old signature verifies after a rotation, unless its version is named wrongly or bad."""
    old = keyring.sign(b"data", key_id="release")
    local_provider.rotate_key("release")
    keyring.refresh()
    new = keyring.sign(b"data", key_id="release")
    assert new.key_id == "release:v2"
    for signature in (old, new):
        keyring.verify(b"data", signature, key_id="release")
    with pytest.raises(InvalidSignatureError):
        keyring.verify(b"data", old, key_id="release:v2")
    local_provider.states.apply(Verb.COMPROMISE, "release:v1")
    keyring.refresh()
    with pytest.raises(InvalidSignatureError):
        keyring.verify(b"data", old, key_id="release")
    with pytest.raises(KeyStateError, match="compromised"):
        keyring.verify(b"data", old, key_id="release:v1")


def test_a_key_for_requests_never_signs_or_verifies_data(
    keyring: Keyring, local_provider: LocalKeyProvider
) -> None:
    """Otherwise whoever may have data signed signs requests in the service's name."""
    local_provider.keys.create("front", "signing", use="request")
    with pytest.raises(KeyUsageError, match="requests only"):
        keyring.sign(b"data", key_id="front")
    with pytest.raises(KeyUsageError, match="requests only"):
        keyring.verify(b"data", bytes(64), key_id="front")
    with pytest.raises(KeyUsageError, match="requests only"):
        keyring.sign_stream(io.BytesIO(b"data"), key_id="front")


def test_a_stream_is_signed_through_its_hash(keyring: Keyring) -> None:
    """A pre-hashed signature is none of the data itself, and the reverse."""
    data = os.urandom(300_000)
    signature = keyring.sign_stream(io.BytesIO(data), key_id="release")
    keyring.verify_stream(io.BytesIO(data), signature, key_id="release")
    with pytest.raises(InvalidSignatureError):
        keyring.verify(data, signature, key_id="release")
    with pytest.raises(InvalidSignatureError):
        keyring.verify_stream(io.BytesIO(data[1:]), signature, key_id="release")


def test_a_signature_file_verifies_under_the_key_it_names_alone(
    keyring: Keyring, local_provider: LocalKeyProvider
) -> None:
    """Valid under the named key or not at all."""
    local_provider.keys.create("other", "signing")
    file = keyring.sign_file(io.BytesIO(b"data"), key_id="release")
    assert keyring.verify_file(io.BytesIO(b"data"), file, key_id="release") == "release:v1"
    assert keyring.verify_file(io.BytesIO(b"data"), file, key_id="release:v1") == "release:v1"
    local_provider.rotate_key("release")
    keyring.refresh()
    assert keyring.verify_file(io.BytesIO(b"data"), file, key_id="release") == "release:v1"
    for data, signature, key_id in (
        (b"date", file, "release"),
        (b"data", file, "other"),
        (b"data", file, "release:v2"),
        (b"data", file[:-1], "release"),
        (b"data", b"", "release"),
    ):
        with pytest.raises(InvalidSignatureError):
            keyring.verify_file(io.BytesIO(data), signature, key_id=key_id)


def test_public_parts_verify_after_destruction(
    keyring: Keyring, local_provider: LocalKeyProvider, clock: Clock
) -> None:
    """A destroyed version signs nothing more, and what it signed is still valid."""
    signature = keyring.sign(b"data", key_id="release")
    local_provider.rotate_key("release")
    local_provider.states.apply(Verb.DESTROY, "release:v1", window_days=7)
    clock.forward(days=7)
    local_provider.states.erase_due("release")
    keyring.refresh()
    keyring.verify(b"data", signature, key_id="release:v1")


# MACs -----------------------------------------------------------------------------------------


def test_a_mac_verifies_under_any_version_of_its_key(
    keyring: Keyring, local_provider: LocalKeyProvider, clock: Clock
) -> None:
    """A destroyed MAC key has no public part and verifies nothing."""
    tag = keyring.mac(b"data", key_id="tags")
    assert (tag.key_id, len(tag)) == ("tags:v1", 32)
    local_provider.rotate_key("tags")
    keyring.refresh()
    keyring.verify_mac(b"data", tag, key_id="tags")
    for data, changed in ((b"date", tag), (b"data", bytes(32)), (b"data", b"")):
        with pytest.raises(InvalidSignatureError):
            keyring.verify_mac(data, changed, key_id="tags")
    local_provider.states.apply(Verb.DESTROY, "tags:v1", window_days=7)
    clock.forward(days=7)
    local_provider.states.erase_due("tags")
    keyring.refresh()
    with pytest.raises(InvalidSignatureError):
        keyring.verify_mac(b"data", tag, key_id="tags")


@pytest.mark.parametrize("key_id", ["orders", "release"])
def test_only_a_mac_key_makes_macs(keyring: Keyring, key_id: str) -> None:
    """An HMAC over a key that also seals would hand out message keys."""
    with pytest.raises(KeyUsageError):
        keyring.mac(b"data", key_id=key_id)
    with pytest.raises(KeyUsageError):
        keyring.verify_mac(b"data", bytes(32), key_id=key_id)


def test_only_a_signing_key_signs_and_verifies(keyring: Keyring) -> None:
    """A MAC or encryption key has no public part."""
    for key_id in ("orders", "tags"):
        with pytest.raises(KeyUsageError):
            keyring.sign(b"data", key_id=key_id)
        with pytest.raises(KeyUsageError):
            keyring.verify(b"data", bytes(64), key_id=key_id)


# The keyring itself ---------------------------------------------------------------------------


def test_a_keyring_shows_no_key_in_its_repr(keyring: Keyring) -> None:
    """Nor do the objects it works with."""
    keyring.encrypt(b"data", key_id="orders")
    found = keyring._cache.protecting("orders", local_type())
    for shown in (keyring, found, found.sealer, found.raw):
        assert repr(found._material)[2:-1] not in repr(shown)
    assert repr(keyring) == "Keyring(LocalKeyProvider)"


def local_type():  # type: ignore[no-untyped-def]
    from mycelium_fractal_net.security.records.keys import KeyType

    return KeyType.ENCRYPTION


def test_counts_of_use_are_written_at_the_end(home: Path, sqlite_url: str, clock: Clock) -> None:
    """Uses are in the store when the keyring is closed, by version, day and kind."""
    provider = open_provider(sqlite_url, home, clock)
    provider.keys.create("orders")
    handle = provider.keys.get("orders").latest.handle
    with keyring_over(provider) as keyring:
        sealed = [keyring.encrypt(b"data", key_id="orders") for _ in range(5)]
        for message in sealed[:2]:
            keyring.decrypt(message)
        usage = keyring.usage
        assert {(day.kind, day.count) for day in usage.days([handle])} == {
            ("protect", 0),
            ("open", 0),
        }
    counts = {(day.kind, day.count) for day in usage.days([handle])}
    assert counts == {("protect", 5), ("open", 2)}
    provider.store.database.close()


def test_an_outage_at_the_end_hides_no_error(
    home: Path, sqlite_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Counts that cannot be written are a warning; the error that ended the work comes through."""
    provider = open_provider(sqlite_url, home)
    provider.keys.create("orders")
    with pytest.raises(ZeroDivisionError), keyring_over(provider) as keyring:
        keyring.encrypt(b"data", key_id="orders")
        keyring.encrypt(b"data", key_id="orders")
        provider.store.database.close()
        for path in home.glob("keys.db*"):
            path.unlink()
        (home / "keys.db").mkdir()
        _ = 1 / 0
    assert "counts of use were not written" in caplog.text


def test_refused_uses_are_not_counted_as_openings(
    keyring: Keyring, local_provider: LocalKeyProvider
) -> None:
    """A version that may not decrypt is not made to look used by those who try."""
    sealed = keyring.encrypt(b"data", key_id="orders")
    local_provider.states.apply(Verb.SUSPEND, "orders")
    keyring.refresh()
    with pytest.raises(KeyStateError):
        keyring.decrypt(sealed)
    keyring.flush()
    handle = local_provider.keys.get("orders").latest.handle
    assert {day.kind for day in keyring.usage.days([handle])} == {"protect"}
