"""The Python client against the real service: what it does, and the errors that it raises."""

from __future__ import annotations

import asyncio
import os
import secrets
import ssl
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import httpx
import pytest

import mycelium_fractal_net.client as package
from mycelium_fractal_net import open_keyring
from mycelium_fractal_net.client import (
    AsyncClient,
    BatchLimits,
    Client,
    DecryptItem,
    EncryptItem,
    SignItem,
    VerifyItem,
)
from mycelium_fractal_net.security import errors
from mycelium_fractal_net.security.errors import (
    AuthenticationError,
    DecryptionError,
    InvalidInputError,
    InvalidSignatureError,
    KeyExistsError,
    KeyNotFoundError,
    KeyStateError,
    KeyUsageError,
    MfnError,
    NotPermittedError,
    ServiceError,
    ServiceUnavailableError,
)
from mycelium_fractal_net.security.records.keys import KeyState, KeyType, KeyUse, Verb
from tests.api.test_credentials import FRESH_SECONDS, change
from tests.support.client import API_KEY, QUICK, Counting, answering, certificate, tls_front
from tests.support.service import credential

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.service import Running

BIG = 12 * 1024 * 1024  # more than what lies between client and service when nobody reads


def name(prefix: str = "k") -> str:
    return f"{prefix}-{secrets.token_hex(6)}"


def key(remote: Client, type: str = "encryption", **more: Any) -> str:
    """A new key of that type."""
    return remote.create_key(name(type), type=type, **more).key_id


# The door -------------------------------------------------------------------------------------


def test_every_public_name_is_there_and_no_other() -> None:
    """__all__ is the public door, and dir() shows it."""
    for each in package.__all__:
        assert getattr(package, each) is not None
    assert dir(package) == sorted(package.__all__)
    with pytest.raises(AttributeError, match="nothing"):
        _ = package.nothing


def test_a_missing_extra_is_named() -> None:
    """Importing the package needs none, using the client does."""
    code = (
        "import sys; sys.modules['httpx'] = None\n"
        "import mycelium_fractal_net.client as client\n"
        "try: client.Client\n"
        "except Exception as error: print(type(error).__name__, error)"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.startswith("MissingExtraError")
    assert "needs the extra 'client'" in said.stdout


@pytest.mark.parametrize(
    "url",
    ["http://keys.example", "http://10.0.0.1:8000", "http://127.0.0.1.example", "ftp://x", "keys",
     "", "https://", "https://me:pw@keys.example", "https://keys.example/?a=b",
     "https://keys.example/#x", "http://localhost.example", "https://[::1"],
)  # fmt: skip
def test_an_unsafe_address_is_refused_and_not_repeated(url: str) -> None:
    """Without TLS the API key is read by whoever is on the way."""
    with pytest.raises(InvalidInputError) as caught:
        Client(url, API_KEY)
    assert "example" not in str(caught.value)
    assert "pw" not in str(caught.value)


def test_a_loopback_address_needs_no_tls_and_others_by_a_word() -> None:
    """The word says what it does."""
    for url in ("http://127.0.0.1:1", "http://localhost", "http://[::1]:80", "https://k.example"):
        Client(url, API_KEY).close()
    Client("http://keys.example", API_KEY, allow_plain_http=True).close()


@pytest.mark.parametrize("api_key", ["", "a b", "mfn_\n", "mfn_é", "x" * 201, b"mfn_", None])
def test_what_is_no_api_key_is_refused_and_not_repeated(api_key: Any) -> None:
    """Before it could break a header."""
    with pytest.raises(InvalidInputError) as caught:
        Client("https://keys.example", api_key)
    assert "mfn" not in str(caught.value)


def test_certificates_are_always_verified() -> None:
    """A context that does not verify is no context."""
    lax = ssl.create_default_context()
    lax.check_hostname = False
    for verify in (ssl.CERT_REQUIRED, ssl.CERT_NONE):
        lax.verify_mode = verify
        with pytest.raises(InvalidInputError):
            Client("https://keys.example", API_KEY, ssl_context=lax)
    with pytest.raises(InvalidInputError):
        Client("https://keys.example", API_KEY, timeout=0)


# One thing at a time --------------------------------------------------------------------------


@pytest.mark.parametrize("format", ["sealed", "raw"])
def test_what_was_encrypted_is_decrypted(remote: Client, format: Any) -> None:
    """Any buffer goes in, bytes come out, with the version that did it."""
    key_id = key(remote)
    message = remote.encrypt(
        bytearray(b"hello"), key_id=key_id, associated_data=memoryview(b"row"), format=format
    )
    assert isinstance(message, bytes)
    assert message.key_id == f"{key_id}:v1"
    opened = remote.decrypt(message, key_id=key_id, associated_data=b"row", format=format)
    assert (opened, opened.key_id) == (b"hello", f"{key_id}:v1")
    with pytest.raises(DecryptionError) as caught:
        remote.decrypt(message, key_id=key_id, associated_data=b"row 2", format=format)
    assert str(caught.value) == DecryptionError.TEXT


def test_the_default_keys_serve_where_none_is_named(remote: Client) -> None:
    """As `mfn init` made them."""
    assert remote.decrypt(remote.encrypt(b"")) == b""
    remote.verify(b"data", remote.sign(b"data"))
    remote.verify_mac(b"data", remote.mac(b"data"))


def test_rewrap_moves_a_message_to_the_newest_version(remote: Client) -> None:
    """Its plaintext never leaves the service."""
    key_id = key(remote)
    message = remote.encrypt(b"hello", key_id=key_id, associated_data=b"row")
    assert remote.rotate_key(key_id) == f"{key_id}:v2"
    moved = remote.rewrap(message, associated_data=b"row")
    assert moved.key_id == f"{key_id}:v2"
    assert remote.decrypt(moved, associated_data=b"row") == b"hello"


def test_a_signature_or_mac_verifies_or_raises(remote: Client) -> None:
    """Nothing returns a truth value that could be overlooked."""
    signing, tagging = key(remote, "signing"), key(remote, "mac")
    signature, tag = remote.sign(b"data", key_id=signing), remote.mac(b"data", key_id=tagging)
    assert (signature.key_id, len(tag)) == (f"{signing}:v1", 32)
    assert remote.verify(b"data", signature, key_id=signing) is None
    assert remote.verify_mac(b"data", tag, key_id=tagging) is None
    with pytest.raises(InvalidSignatureError):
        remote.verify(b"other", signature, key_id=signing)
    with pytest.raises(InvalidSignatureError):
        remote.verify_mac(b"other", tag, key_id=tagging)


def test_a_data_key_seals_what_the_service_opens(remote: Client) -> None:
    """And one that is wrapped alone is its 116 bytes."""
    key_id = key(remote)
    made = remote.data_key(key_id=key_id, associated_data=b"d")
    message = made.sealer.seal(b"local", b"row")
    opened = remote.decrypt(message, associated_data=b"row", data_key_associated_data=b"d")
    assert opened == b"local"
    assert made.plaintext.hex() not in repr(made)
    wrapped = remote.wrapped_data_key(key_id=key_id)
    assert (len(wrapped), wrapped[:4], wrapped.key_id) == (116, b"MFN\x02", f"{key_id}:v1")


def test_text_is_no_data(remote: Client) -> None:
    """Nobody guesses an encoding."""
    with pytest.raises(InvalidInputError):
        remote.encrypt("text")  # type: ignore[arg-type]


# Errors ---------------------------------------------------------------------------------------


def test_refusals_are_the_errors_of_the_library(remote: Client, client: httpx.Client,
                                                service: Running) -> None:  # fmt: skip
    """The same that a keyring raises; the request's id is noted for who reads the log."""
    key_id, signing = key(remote), key(remote, "signing")
    with pytest.raises(KeyNotFoundError) as absent:
        remote.encrypt(b"x", key_id=name())
    assert "request " in absent.value.__notes__[0]
    with pytest.raises(KeyUsageError):
        remote.encrypt(b"x", key_id=signing)
    with pytest.raises(KeyExistsError):
        remote.create_key(key_id)
    remote.change_key_state(key_id, Verb.SUSPEND)
    with pytest.raises(KeyStateError):
        remote.encrypt(b"x", key_id=key_id)
    with pytest.raises(InvalidInputError):
        remote.encrypt(b"x", key_id="No Key")
    with Client(service.url, API_KEY, retries=QUICK) as stranger:
        with pytest.raises(AuthenticationError) as refused:
            stranger.encrypt(b"x")
    assert "sss" not in f"{refused.value!r}{refused.value.__notes__}{stranger!r}"
    with Client(service.url, credential(client, "encrypt:*")) as narrow:
        with pytest.raises(NotPermittedError):
            narrow.list_keys()


def test_no_error_leads_to_the_request(service: Running) -> None:
    """Neither what it raises nor what that came of holds the API key or a plaintext."""
    with Client(service.url.replace("127.0.0.1", "127.0.0.2"), API_KEY, retries=QUICK) as nobody:
        with pytest.raises(ServiceUnavailableError) as caught:
            nobody.encrypt(b"a plaintext")
    assert "cannot be reached" in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


# Batches --------------------------------------------------------------------------------------


def test_a_batch_of_any_length_is_split(service: Running) -> None:
    """By count, in order; one that fails fails alone."""
    counting = Counting()
    with Client(service.url, service.api_key, transport=counting) as remote:
        items: list[Any] = [b"%d" % number for number in range(2500)]
        items[1234] = EncryptItem(b"x", key_id=name())
        items[1235] = EncryptItem(b"1235", associated_data=b"row", reference="r")
        made = remote.encrypt_batch(items)
        assert counting.paths == ["/crypto/encrypt/batch"] * 3
        assert isinstance(made[1234], KeyNotFoundError)
        messages: list[Any] = [each for each in made if isinstance(each, bytes)]
        messages[1234] = DecryptItem(messages[1234], associated_data=b"row")
        opened = remote.decrypt_batch(messages)
    assert opened == [b"%d" % number for number in range(2500) if number != 1234]


def test_a_batch_is_split_by_size(service: Running) -> None:
    """What is too large alone fails alone; all else fits into bodies that the service takes."""
    counting = Counting()
    with Client(service.url, service.api_key, transport=counting) as remote:
        made = remote.encrypt_batch([bytes(4_000_000), bytes(4_000_000), b"x", bytes(9_000_000)])
    assert len(counting.paths) == 3
    assert [isinstance(each, bytes) for each in made] == [True, True, True, False]
    assert isinstance(made[3], InvalidInputError)


def test_a_batch_that_the_service_finds_too_large_is_split_further(service: Running) -> None:
    """Its bounds may be smaller than ours."""
    counting, limits = Counting(), BatchLimits(body_bytes=100_000_000)
    items = [bytes([number]) * 2_000_000 for number in range(6)]
    with Client(service.url, service.api_key, transport=counting, batch_limits=limits) as remote:
        made: list[Any] = remote.encrypt_batch([*items, b"x"])
        assert counting.paths == ["/crypto/encrypt/batch"] * 3  # of 7, of 3 and of 4
        assert remote.decrypt_batch(made) == [*items, b"x"]
    for wrong in (0, 1001):
        with pytest.raises(InvalidInputError):
            BatchLimits(items=wrong)


def test_every_kind_of_batch_does_what_its_method_does(remote: Client) -> None:
    """Rewrap, sign and verify; an empty batch asks nothing."""
    key_id, signing = key(remote), key(remote, "signing")
    messages = remote.encrypt_batch([b"a", b"b"], key_id=key_id, associated_data=b"row")
    remote.rotate_key(key_id)
    moved = remote.rewrap_batch(messages, associated_data=b"row")  # type: ignore[arg-type]
    assert [each.key_id for each in moved] == [f"{key_id}:v2"] * 2  # type: ignore[union-attr]
    data: list[Any] = [b"a", SignItem(b"b", signing), b"c"]
    signed: list[Any] = remote.sign_batch(data, key_id=signing)
    checked = [
        VerifyItem(b"a", signed[0], signing),
        VerifyItem(b"b", signed[1], signing),
        VerifyItem(b"x", signed[2], signing),
        VerifyItem(b"a", signed[0], name()),
    ]
    assert [type(each) for each in remote.verify_batch(checked)] == [
        type(None), type(None), InvalidSignatureError, KeyNotFoundError,
    ]  # fmt: skip
    assert remote.encrypt_batch([]) == []
    assert "secret" not in repr(
        [EncryptItem(b"secret"), DecryptItem(b"secret"), VerifyItem(b"", b"")]
    )


def test_a_batch_that_fails_as_a_whole_is_raised(service: Running) -> None:
    """There is no result to put it in the place of."""
    with Client(service.url, API_KEY) as stranger, pytest.raises(AuthenticationError):
        stranger.encrypt_batch([b"x"])


# Streams --------------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [0, 1, 16_384, BIG])
def test_a_file_of_any_length_comes_back(remote: Client, tmp_path: Path, length: int) -> None:
    """More than fits between client and service too, in both directions at once."""
    source, sealed, back = (tmp_path / each for each in ("a", "a.mfn", "b"))
    source.write_bytes(os.urandom(length))
    source.chmod(0o640)
    made = remote.encrypt_stream(source, sealed, associated_data=b"row")
    assert (made.plain_bytes, made.key_id) == (length, "default-encryption:v1")
    assert remote.decrypt_stream(str(sealed), str(back), associated_data=b"row") == made
    assert back.read_bytes() == source.read_bytes()
    assert back.stat().st_mode & 0o777 == 0o640
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a", "a.mfn", "b"]


def test_streams_take_whatever_reads_and_writes(remote: Client, tmp_path: Path) -> None:
    """Of no known length, under a key that is named, in the library's format."""
    key_id = key(remote)
    read, write = os.pipe()
    with os.fdopen(read, "rb") as reader, os.fdopen(write, "wb") as writer:
        writer.write(b"from a pipe")
        writer.close()
        with (tmp_path / "sealed").open("wb") as target:
            remote.encrypt_stream(reader, target, key_id=key_id)
    assert remote.decrypt((tmp_path / "sealed").read_bytes()) == b"from a pipe"
    made = remote.data_key(key_id=key_id, associated_data=b"d")
    (tmp_path / "second").write_bytes(made.sealer.seal(b"second form"))
    opened = remote.decrypt_stream(
        tmp_path / "second", tmp_path / "plain", data_key_associated_data=b"d", key_id=key_id
    )
    assert opened == (f"{key_id}:v1", 11)
    remote.change_key_state(key_id, "compromise")
    with pytest.raises(KeyStateError):
        remote.decrypt_stream(tmp_path / "sealed", tmp_path / "again")
    remote.decrypt_stream(tmp_path / "sealed", tmp_path / "again", allow_compromised=True)
    assert (tmp_path / "again").read_bytes() == b"from a pipe"


@pytest.mark.parametrize("place", [20, -1], ids=["beginning", "end"])
@pytest.mark.parametrize("length", [100, BIG])
def test_a_file_that_does_not_open_leaves_nothing(
    remote: Client, tmp_path: Path, length: int, place: int
) -> None:
    """Nor a part of it, at no moment under its name."""
    message = bytearray(remote.encrypt(b""))
    source, target = tmp_path / "a.mfn", tmp_path / "plain"
    (tmp_path / "a").write_bytes(bytes(length))
    remote.encrypt_stream(tmp_path / "a", source)
    message = bytearray(source.read_bytes())
    message[place] ^= 1
    source.write_bytes(message)
    with pytest.raises((DecryptionError, ServiceUnavailableError)):
        remote.decrypt_stream(source, target)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a", "a.mfn"]


def test_a_file_that_is_there_is_kept(remote: Client, tmp_path: Path) -> None:
    """Unless `force` says otherwise; nothing is sent before."""
    source, target = tmp_path / "a", tmp_path / "b"
    source.write_bytes(b"data")
    target.write_bytes(b"mine")
    with pytest.raises(FileExistsError):
        remote.encrypt_stream(source, target)
    with pytest.raises(FileNotFoundError):
        remote.encrypt_stream(tmp_path / "absent", tmp_path / "c")
    assert target.read_bytes() == b"mine"
    remote.encrypt_stream(source, target, force=True)
    assert remote.decrypt(target.read_bytes()) == b"data"


def test_a_refused_stream_is_an_error_of_the_library(
    remote: Client, tmp_path: Path, service: Running
) -> None:
    """Also where the service answers in the middle of a file that is still being sent."""
    source = tmp_path / "a"
    source.write_bytes(bytes(BIG))
    with pytest.raises(KeyNotFoundError):
        remote.encrypt_stream(source, tmp_path / "b", key_id=name())
    with pytest.raises(DecryptionError):
        remote.decrypt_stream(source, tmp_path / "b")
    with Client(service.url, API_KEY) as stranger, pytest.raises(AuthenticationError):
        stranger.encrypt_stream(source, tmp_path / "b")
    with Client("http://127.0.0.2:9", API_KEY, retries=QUICK) as nobody:
        with pytest.raises(ServiceUnavailableError):
            nobody.encrypt_stream(source, tmp_path / "b")
    assert not (tmp_path / "b").exists()


def test_everything_goes_through_tls(service: Running, tmp_path: Path) -> None:
    """Requests and streams; a certificate that nobody vouches for is refused at once."""
    cert, private = certificate(tmp_path)
    source = tmp_path / "a"
    source.write_bytes(os.urandom(BIG))
    with tls_front(service, cert, private) as url:
        trusting = ssl.create_default_context(cafile=str(cert))
        with Client(url, service.api_key, ssl_context=trusting, retries=QUICK) as remote:
            assert remote.decrypt(remote.encrypt(b"hello")) == b"hello"
            remote.encrypt_stream(source, tmp_path / "b")
            remote.decrypt_stream(tmp_path / "b", tmp_path / "c")
        with Client(url, service.api_key) as wary:  # with the patience of every day
            started = time.monotonic()
            with pytest.raises(ServiceUnavailableError, match="TLS"):
                wary.encrypt(b"hello")
            with pytest.raises(ServiceUnavailableError, match="TLS"):
                wary.encrypt_stream(source, tmp_path / "d")
            assert time.monotonic() - started < 5
    assert (tmp_path / "c").read_bytes() == source.read_bytes()


# Keys and the own credential ------------------------------------------------------------------


def test_a_version_is_made_that_protects_from_a_time_on(remote: Client) -> None:
    """A time has its zone, whichever that is; it is sent in UTC."""
    made = remote.create_key(name("later"))
    at = datetime(2100, 1, 1, 1, 30, 0, 250_000, tzinfo=timezone(timedelta(hours=1)))
    assert remote.rotate_key(made.key_id, activate_at=at) == f"{made.key_id}:v2"
    shown = remote.show_key(made.key_id)
    assert (shown.primary.version, shown.latest.state) == (1, KeyState.PRE_ACTIVATION)
    assert shown.latest.activate_at == at.replace(microsecond=0)
    with pytest.raises(InvalidInputError):
        remote.rotate_key(made.key_id, activate_at=datetime(2100, 1, 1))
    with pytest.raises(InvalidInputError):
        remote.rotate_key(made.key_id, activate_at=at.replace(year=2001))


def test_a_key_is_the_librarys_record(remote: Client) -> None:
    """Made, shown, changed, rotated, listed."""
    made = remote.create_key(
        name("release"), type=KeyType.SIGNING, algorithm="ECDSA-P256", use="data", publish=True,
        interval_days=30, unused_for_days=500,
    )  # fmt: skip
    assert (made.key_type, made.use, made.publish) == (KeyType.SIGNING, KeyUse.DATA, True)
    assert (made.rotation.interval_days, made.rotation.unused_for_days) == (30, 500)
    assert remote.rotate_key(made.key_id) == f"{made.key_id}:v2"
    changed = remote.change_key(made.key_id, publish=False, retain_count=9)
    assert (changed.publish, changed.rotation.retain_count, changed.primary.version) == (
        False,
        9,
        2,
    )
    assert remote.show_key(made.key_id) == changed
    assert changed in remote.list_keys()
    by_hand = remote.change_key(made.key_id, automatic=False)
    assert (by_hand.rotation.automatic, by_hand.rotation_due) == (False, changed.rotation_due)
    assert remote.change_key(made.key_id, automatic=True).rotation.automatic
    assert remote.public_key(f"{made.key_id}:v1").jwk["kid"] == f"{made.key_id}:v1"
    remote.change_key(made.key_id, publish=True)
    assert {f"{made.key_id}:v1", f"{made.key_id}:v2"} <= {
        each["kid"] for each in remote.published_keys()
    }


def test_all_keys_are_listed_whatever_a_page_holds(
    remote: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Page after page, each once, in order."""
    made = {key(remote) for _ in range(5)}
    monkeypatch.setattr("mycelium_fractal_net.client.keys._PAGE", 2)
    listed = [each.key_id for each in remote.list_keys()]
    assert made <= set(listed)
    assert listed == sorted(set(listed))


def test_the_states_of_a_version(remote: Client) -> None:
    """By the verbs of the library; what is none is not sent."""
    key_id = key(remote)
    remote.rotate_key(key_id)
    for verb, state in (
        (Verb.SUSPEND, KeyState.SUSPENDED),
        ("activate", KeyState.ACTIVE),
        ("deactivate", KeyState.DEACTIVATED),
    ):
        assert remote.change_key_state(f"{key_id}:v1", verb).version(1).state is state
    gone = remote.change_key_state(f"{key_id}:v1", "destroy", window_days=9).version(1)
    assert gone.destroy_at is not None
    assert 8 <= (gone.destroy_at - datetime.now(UTC)).days <= 9
    for unsafe in ("delete", "../x", ""):
        with pytest.raises(InvalidInputError):
            remote.change_key_state(key_id, unsafe)
    for unsafe in ("../credentials", "a/b", "", "a?b"):
        with pytest.raises(InvalidInputError):
            remote.show_key(unsafe)


def test_health_is_told_by_ready_and_backends(remote: Client) -> None:
    """The latter to who may read metrics."""
    found = remote.health()
    assert (found.ready, found.backends["key-store"]) == (True, "ok")


def test_a_client_rotates_its_own_credential(client: httpx.Client, service: Running) -> None:
    """And goes on with the new API key; the old one ends at once if told so."""
    kept: list[str] = []
    old = credential(client, "encrypt:*")
    with Client(service.url, old, store_api_key=kept.append) as remote:
        assert remote.own_credential().scopes == ("encrypt:*",)
        new = remote.rotate_own_credential(revoke_previous=True)
        assert kept == [new]
        assert remote.encrypt(b"x")
    with Client(service.url, old) as former:
        deadline = time.monotonic() + FRESH_SECONDS
        with pytest.raises(AuthenticationError):
            while time.monotonic() < deadline:
                former.encrypt(b"x")


def test_an_api_key_that_is_due_is_renewed_and_kept(client: httpx.Client, service: Running) -> None:
    """By itself, once, with the operation's result as if nothing had been."""
    kept: list[str] = []
    old = credential(client, "encrypt:*")
    with Client(service.url, old, store_api_key=kept.append) as remote:
        own = remote.own_credential().id
        remote.encrypt(b"x")
        assert kept == []
        change(service, own, created_at=datetime.now(UTC) - timedelta(days=91))
        deadline = time.monotonic() + FRESH_SECONDS
        while not kept and time.monotonic() < deadline:
            assert remote.encrypt(b"x")
        for _ in range(3):
            remote.encrypt(b"x")
    assert len(kept) == 1
    assert kept[0] != old
    with Client(service.url, kept[0]) as again:
        assert again.own_credential().id == own


# Awaited --------------------------------------------------------------------------------------


def test_everything_can_be_awaited(service: Running, tmp_path: Path) -> None:
    """Several things at once on one loop, streams among them."""
    (tmp_path / "a").write_bytes(bytes(BIG))

    async def work() -> None:
        async with AsyncClient(service.url, service.api_key) as remote:
            messages = await asyncio.gather(*(remote.encrypt(b"%d" % n) for n in range(20)))
            opened = await remote.decrypt_batch(messages)
            assert opened == [b"%d" % n for n in range(20)]
            await remote.encrypt_stream(tmp_path / "a", tmp_path / "b")
            await remote.decrypt_stream(tmp_path / "b", tmp_path / "c")
            made = await remote.data_key()
            assert await remote.decrypt(made.sealer.seal(b"x")) == b"x"
            with pytest.raises(InvalidSignatureError):
                await remote.verify(b"x", await remote.sign(b"y"))
            assert (await remote.show_key("default-encryption")).key_id == "default-encryption"

    asyncio.run(work())
    assert (tmp_path / "c").read_bytes() == bytes(BIG)


def test_an_api_key_is_renewed_by_a_client_that_is_awaited(
    client: httpx.Client, service: Running
) -> None:
    """The caller's function runs in a thread, and may block."""
    kept: list[str] = []

    async def work() -> str:
        old = credential(client, "encrypt:*")
        async with AsyncClient(service.url, old, store_api_key=kept.append) as remote:
            return await remote.rotate_own_credential()

    assert asyncio.run(work()) == kept[0]


# What no service should answer ----------------------------------------------------------------


@pytest.mark.parametrize(
    "answer",
    [httpx.Response(200, content=b"no json"), httpx.Response(200, json={"key_id": "a:v1"}),
     httpx.Response(200, json={"ciphertext": "!", "key_id": "a:v1"}), httpx.Response(200, json=[]),
     httpx.Response(302, headers={"location": "https://evil.example"}), httpx.Response(404),
     httpx.Response(400, json={"type": "/problems/decryption-failed"}), httpx.Response(500)],
)  # fmt: skip
def test_an_answer_that_is_none_is_an_error_of_its_own(answer: httpx.Response) -> None:
    """It is no result, no tampering, and it leads nowhere."""
    remote, requests = answering(answer)
    with remote, pytest.raises(ServiceError) as caught:
        remote.encrypt(b"x")
    assert type(caught.value) is ServiceError
    assert [each.url.host for each in requests] == ["keys.example"]


@pytest.mark.parametrize("answer", [{"valid": "yes"}, {"valid": 1}, {}, {"valid": False}])
def test_nothing_but_true_is_valid(answer: Any) -> None:
    """A signature is not taken for valid because an answer was strange."""
    remote, _ = answering(httpx.Response(200, json=answer))
    with remote, pytest.raises((ServiceError, InvalidSignatureError)):
        remote.verify(b"x", b"y")


@pytest.mark.parametrize(
    "items",
    [[], [{}], [{"ciphertext": "eA=="}] * 2, [{"error": {}}, {"error": {}}], [{"data": "eA=="}]],
)
def test_a_batch_answer_must_fit_the_batch(items: Any) -> None:
    """Else results would be taken for those of other items."""
    remote, _ = answering(httpx.Response(200, json={"items": items}))
    with remote, pytest.raises(ServiceError):
        remote.encrypt_batch([b"x"])


def test_a_data_key_that_is_none_is_refused() -> None:
    """Of another size, or without its header."""
    for plain, head in (("eA==", "TUZO"), ("A" * 43 + "=", "TUZO")):
        answer = httpx.Response(200, json={"plaintext": plain, "wrapped": head, "key_id": "a:v1"})
        remote, _ = answering(answer)
        with remote, pytest.raises(ServiceError):
            remote.data_key()


def test_a_list_of_keys_ends() -> None:
    """Also where the service points back to where it was."""
    page = httpx.Response(200, json={"keys": [], "next": ""})
    remote, requests = answering(page)
    with remote, pytest.raises(ServiceError):
        remote.list_keys()
    assert len(requests) == 1


def test_a_request_says_no_more_than_it_must() -> None:
    """The API key, what is asked, and that nothing may be compressed."""
    remote, requests = answering(httpx.Response(200, json={"data": "", "key_id": "a:v1"}))
    with remote:
        remote.decrypt(b"message")
    headers = requests[0].headers
    assert headers["x-api-key"] == API_KEY
    assert headers["accept-encoding"] == "identity"
    assert requests[0].content == b'{"ciphertext":"bWVzc2FnZQ==","format":"sealed"}'


def test_every_error_of_a_client_is_of_the_library() -> None:
    """So one `except MfnError` is enough."""
    assert issubclass(ServiceUnavailableError, ServiceError)
    assert issubclass(ServiceError, MfnError)
    assert {"ServiceError", "ServiceUnavailableError"} <= set(errors.__all__)


def test_the_opened_message_is_what_the_keyring_opens(remote: Client, service: Running) -> None:
    """One format for all that speak it."""
    key_id = key(remote)
    message = remote.encrypt(b"hello", key_id=key_id)
    with open_keyring(home=service.home) as keyring:
        assert keyring.decrypt(message) == b"hello"
        assert remote.decrypt(keyring.encrypt(b"back", key_id=key_id)) == b"back"
