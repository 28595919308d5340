"""A keyring whose every use is recorded before its result is handed out."""

from __future__ import annotations

import inspect
import io
from typing import TYPE_CHECKING, Any

import pytest

from mycelium_fractal_net.legacy.key import import_xor_key
from mycelium_fractal_net.legacy.xor_format import XorFormat, open_xor
from mycelium_fractal_net.security.audit import acting_as, query
from mycelium_fractal_net.security.errors import (
    AuditUnavailableError,
    DecryptionError,
    InvalidInputError,
    InvalidSignatureError,
    KeyNotFoundError,
    KeyUsageError,
    MfnError,
    kind_of,
)
from mycelium_fractal_net.security.key_store import UsageStore
from mycelium_fractal_net.security.keyring.keyring import Keyring
from mycelium_fractal_net.security.keyring.recorded import RecordedKeyring
from tests.support.legacy_xor import OLD_KEY, write_xor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.support.audit import Books


@pytest.fixture
def recorded(books: Books) -> Iterator[RecordedKeyring]:
    """A keyring over the keys orders, release and tags; what made them is not recorded."""
    provider = books.provider
    provider.keys.create("orders")
    provider.keys.create("release", "signing")
    provider.keys.create("tags", "mac")
    provider.audit = books.log()
    with RecordedKeyring(provider, UsageStore(provider.store.database)) as opened:
        yield opened


Said = list[tuple[str, str, str | None]]


def said(books: Books) -> Said:
    """Event, outcome and key of each record, oldest first."""
    found = query(books.folder, limit=1000)[::-1]
    return [
        (each["event"], each["outcome"], each.get("key"))
        for each in found
        if not each["event"].startswith("audit.")
    ]


def _streamed(method: Callable[..., Any], data: bytes, **named: Any) -> bytes:
    out = io.BytesIO()
    method(io.BytesIO(data), out, **named)
    return out.getvalue()


def _messages(keyring: RecordedKeyring) -> None:
    sealed = keyring.encrypt(b"data", key_id="orders")
    assert keyring.decrypt(sealed) == b"data"
    raw = keyring.encrypt_result(b"data", key_id="orders", format="raw").data
    assert keyring.decrypt_result(raw, key_id="orders", format="raw").data == b"data"
    keyring.rewrap(sealed)


def _streams(keyring: RecordedKeyring) -> None:
    sealed = _streamed(keyring.encrypt_stream, b"data", key_id="orders")
    assert _streamed(keyring.decrypt_stream, sealed) == b"data"
    _streamed(keyring.rewrap_stream, sealed)
    assert keyring.open_reader(io.BytesIO(sealed)).read() == b"data"


def _pieces(keyring: RecordedKeyring) -> None:
    encryptor, _ = keyring.encryptor(key_id="orders")
    sealed = encryptor.update(b"data") + encryptor.finalize()
    decryptor, _, used = keyring.decryptor(sealed)
    assert decryptor.update(sealed[used:]) + decryptor.finalize() == b"data"
    with keyring.open_writer(io.BytesIO(), key_id="orders") as writer:
        assert writer.version_id == "orders:v1"
    keyring.data_key(key_id="orders")


def _signatures(keyring: RecordedKeyring) -> None:
    signature = keyring.sign(b"data", key_id="release")
    assert keyring.verify(b"data", signature, key_id="release") == "release:v1"
    signature = keyring.sign_stream(io.BytesIO(b"data"), key_id="release")
    keyring.verify_stream(io.BytesIO(b"data"), signature, key_id="release")
    file = keyring.sign_file(io.BytesIO(b"data"), key_id="release")
    keyring.verify_file(io.BytesIO(b"data"), file, key_id="release")
    tag = keyring.mac(b"data", key_id="tags")
    assert keyring.verify_mac(b"data", tag, key_id="tags") == "tags:v1"


def test_what_is_lent_of_a_field_is_recorded(books: Books, recorded: RecordedKeyring) -> None:
    """With the version in use; and a key that there is not."""
    recorded.provider.keys.create("people-index", "index")
    before = len(said(books))
    recorded.index_field_keys(key_id="people-index", context=b"people.name")
    with pytest.raises(KeyNotFoundError):
        recorded.deterministic_field_keys(key_id="absent")
    assert said(books)[before:] == [
        ("index.fieldkeys", "ok", "people-index:v1"),
        ("deterministic.fieldkeys", "not-found", "absent"),
    ]


@pytest.mark.parametrize(
    ("use", "records"),
    [
        (
            _messages,
            [("encrypt", "ok", "orders:v1"), ("decrypt", "ok", "orders:v1")] * 2
            + [("rewrap", "ok", "orders:v1")],
        ),
        (
            _streams,
            [
                ("encrypt.stream", "begun", "orders"),
                ("encrypt.stream", "ok", "orders"),
                ("decrypt.stream", "begun", None),
                ("decrypt.stream", "ok", None),
                ("rewrap.stream", "begun", None),
                ("rewrap.stream", "ok", None),
                ("decrypt.range", "ok", None),
            ],
        ),
        (
            _pieces,
            [
                ("encrypt.stream", "ok", "orders:v1"),
                ("decrypt.stream", "ok", "orders:v1"),
                ("encrypt.stream", "ok", "orders:v1"),
                ("datakey", "ok", "orders:v1"),
            ],
        ),
        (
            _signatures,
            [
                *[("sign", "ok", "release:v1"), ("verify", "ok", "release:v1")] * 2,
                ("sign", "ok", "release"),
                ("verify", "ok", "release:v1"),
                ("mac", "ok", "tags:v1"),
                ("mac.verify", "ok", "tags:v1"),
            ],
        ),
    ],
)
def test_every_use_is_recorded_with_its_key(
    books: Books, recorded: RecordedKeyring, use: Callable[[RecordedKeyring], None], records: Said
) -> None:
    """What is done in pieces is two records or, where a caller feeds it, one at its beginning."""
    use(recorded)
    assert said(books) == records


def test_old_messages_are_recorded_under_their_own_key(
    books: Books, recorded: RecordedKeyring
) -> None:
    """Those of the XOR cipher, whichever method opens them; each once."""
    books.provider.audit = None
    import_xor_key(books.provider, OLD_KEY)
    books.provider.audit = books.log()
    recorded.refresh()
    recorded.old_format = XorFormat()
    message = write_xor("old")
    assert open_xor(recorded, message).data == b"old"
    assert recorded.decrypt(message.encode()) == b"old"
    assert said(books) == [("decrypt", "ok", "legacy-xor:v1")] * 2


def test_how_many_bytes_a_stream_had_is_recorded(books: Books, recorded: RecordedKeyring) -> None:
    """In the record of its end."""
    with acting_as("cli:0"):
        _streamed(recorded.encrypt_stream, b"x" * 70_000, key_id="orders")
    (end, begun) = query(books.folder, event="encrypt", limit=2)
    assert (end["bytes"], end["actor"], begun["outcome"]) == (70_000, "cli:0", "begun")


def test_a_use_that_fails_is_recorded_with_its_outcome(
    books: Books, recorded: RecordedKeyring
) -> None:
    """By the name that the service's problems have; the error is as it was."""
    with pytest.raises(KeyNotFoundError):
        recorded.encrypt(b"data", key_id="nobody")
    with pytest.raises(DecryptionError):
        recorded.decrypt(b"junk")
    with pytest.raises(InvalidSignatureError):
        recorded.verify(b"data", bytes(64), key_id="release")
    with pytest.raises(DecryptionError):
        _streamed(recorded.decrypt_stream, b"junk", key_id="orders")
    assert said(books) == [
        ("encrypt", "not-found", "nobody"),
        ("decrypt", "decryption-failed", None),
        ("verify", "invalid-signature", "release"),
        ("decrypt.stream", "begun", "orders"),
        ("decrypt.stream", "decryption-failed", "orders"),
    ]


@pytest.mark.parametrize("given", ["No Key", "x" * 2_000_000, "\udc80", 7, b"orders"])
def test_what_is_no_name_of_a_key_is_not_recorded_as_one(
    books: Books, recorded: RecordedKeyring, given: Any
) -> None:
    """A record stays a record whatever a caller passes."""
    with pytest.raises((MfnError, TypeError, AttributeError)):
        recorded.encrypt(b"data", key_id=given)
    ((event, outcome, key),) = said(books)
    assert (event, key) == ("encrypt", None)
    assert outcome in {"invalid", "unexpected"}
    recorded.close()
    assert not books.faults()


def test_nothing_is_handed_out_while_records_cannot_be_written(
    books: Books, recorded: RecordedKeyring
) -> None:
    """Nor does a stream begin."""
    books.folder.write_bytes(b"no folder")
    with pytest.raises(AuditUnavailableError):
        recorded.encrypt(b"data", key_id="orders")
    out = io.BytesIO()
    with pytest.raises(AuditUnavailableError):
        recorded.encrypt_stream(io.BytesIO(b"data"), out, key_id="orders")
    assert out.getvalue() == b""


def test_each_tag_of_a_blind_index_is_recorded(books: Books, recorded: RecordedKeyring) -> None:
    """By whichever way it is asked for: with its version, as a search of its key, or as refused."""
    recorded.provider.keys.create("names", "index")
    index, context = recorded.index(key_id="names", context=b"name"), b"name"
    assert index.tag("a") == recorded.index_tag("a", key_id="names", context=context)
    assert index.tags("a") == recorded.index_tags("a", key_id="names", context=context)
    with pytest.raises(KeyUsageError):
        recorded.index_tag("a", key_id="tags", context=context)
    assert [each for each in said(books) if each[0] == "index"] == [
        *[("index", "ok", "names:v1")] * 2,
        *[("index", "ok", "names")] * 2,
        ("index", "key-usage", "tags"),
    ]


def test_each_message_of_a_bound_cipher_is_recorded(
    books: Books, recorded: RecordedKeyring
) -> None:
    """As those are that the keyring seals and opens itself."""
    orders = recorded.bound(key_id="orders", associated_data=b"customers.email")
    message = orders.seal(b"data")
    assert orders.open(message) == b"data"
    with pytest.raises(DecryptionError):
        orders.open(message[:-1])
    assert said(books) == [
        ("encrypt", "ok", "orders:v1"),
        ("decrypt", "ok", "orders:v1"),
        ("decrypt", "decryption-failed", "orders"),
    ]


# What uses no key, or is made of what is recorded.
NO_USE = {
    "algorithm_of", "bound", "check_opening", "check_sealing", "close", "data_key", "decrypt",
    "describe", "encrypt", "flush", "index_tag", "index_tags", "is_external", "look_up",
    "protecting_key", "public_key", "published_keys", "refresh", "request_key",
    "rewrap",
}  # fmt: skip


def test_no_method_of_a_keyring_is_forgotten() -> None:
    """One that uses a key has a record of its own, or calls one that has."""
    public = {name for name, _ in inspect.getmembers(Keyring, callable) if not name.startswith("_")}
    own = {name for name in vars(RecordedKeyring) if not name.startswith("_")}
    assert public - own == NO_USE
    assert own <= public
    for name in own:
        ours, theirs = getattr(RecordedKeyring, name), getattr(Keyring, name)
        assert inspect.signature(ours) == inspect.signature(theirs)
        assert ours.__doc__ == theirs.__doc__


def test_every_error_has_an_outcome() -> None:
    """None of them is unexpected but what no release ever raises to a caller."""
    assert kind_of(InvalidInputError("x")).slug == "invalid"
    assert kind_of(KeyboardInterrupt()).slug == "unexpected"
    assert kind_of(RuntimeError("x")).slug == "unexpected"
