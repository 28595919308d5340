"""What the XOR cipher wrote opens, nothing else does, and nothing here can write it."""

from __future__ import annotations

import base64
import hashlib
import hmac
import inspect
import itertools
import secrets
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mycelium_fractal_net.legacy import cipher as legacy_xor
from mycelium_fractal_net.legacy.cipher import XorOpener
from mycelium_fractal_net.legacy.xor_format import refuse_fips, xor_opener
from mycelium_fractal_net.security import blocking
from mycelium_fractal_net.security.blocking import WouldComputeError
from mycelium_fractal_net.security.errors import (
    AlgorithmNotAllowedError,
    ConfigurationError,
    DecryptionError,
    InvalidInputError,
    InvalidKeyError,
)
from mycelium_fractal_net.security.policy import Policy
from tests.support.cli import environment
from tests.support.legacy_xor import OLD_KEY, write_xor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

OPENER = XorOpener(Policy(), OLD_KEY)
SALT, IV = bytes(range(16)), bytes(range(16, 32))

# Written once by tests/support/legacy_xor.py under the key 00..1f, salt 00..0f, iv 10..1f.
FROZEN = {
    "": (
        "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh_Xi-qOC1lZrWUzdR-6o4kwVEPYCC7rRpNCPnlTzG7JEg=="
    ),
    "hello": (
        "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh98YlVe4fEj0wUKyADmZ9IDkH3E0Dn7dNHR2mD4"
        "q5472_smstXt"
    ),
    "grüße, " * 6: (
        "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh9zdfqOTdklZtegUApLBRfIamwsJHkH14TKD64J"
        "L4ZCcotiFRLpNIP2NFhH5deh-m76j9QzlpvVpWfEiD9Da8yuegdfPigj9nJVunNnLVq349meDrmEMg=="
    ),
}


def opens(message: Any) -> bool:
    try:
        OPENER.open(message)
    except DecryptionError:
        return False
    return True


def opened(messages: Iterable[bytes | str]) -> list[bool]:
    """Which of them open; at work on all processors."""
    with ThreadPoolExecutor() as pool:
        return list(pool.map(opens, messages))


def encoded(raw: bytes) -> bytes:
    return base64.urlsafe_b64encode(raw)


# What opens -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("text", "message"), FROZEN.items(), ids=["empty", "short", "long"])
def test_what_was_written_once_opens_for_ever(text: str, message: str) -> None:
    """The writer may change; what is in databases does not."""
    assert write_xor(text, salt=SALT, iv=IV) == message
    assert OPENER.open(message) == text.encode()


@settings(max_examples=20)
@given(st.one_of(st.binary(max_size=200), st.text(max_size=100)))
def test_everything_that_the_old_service_could_write_opens(data: str | bytes) -> None:
    """Bytes, and text as its UTF-8."""
    plain = data.encode("utf-8", "replace") if isinstance(data, str) else data
    assert OPENER.open(write_xor(plain)) == plain


@pytest.mark.parametrize("size", [31, 32, 33, 64, 100_001])
def test_the_key_stream_repeats_after_32_bytes(size: int) -> None:
    """At every length."""
    data = secrets.token_bytes(size)
    assert OPENER.open(write_xor(data)) == data


def test_a_message_is_text_or_its_bytes_in_any_buffer() -> None:
    """As it comes from a database, a file or a request."""
    message = write_xor(b"data").encode()
    for given_as in (message, bytearray(message), memoryview(message), message.decode()):
        assert OPENER.open(given_as) == b"data"


def test_several_threads_open_at_once() -> None:
    """PBKDF2 runs outside of the interpreter's lock, on one opener."""
    messages = [write_xor(f"text {number}") for number in range(8)]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(OPENER.open, messages)) == [b"text %d" % n for n in range(8)]


# What does not --------------------------------------------------------------------------------


@pytest.mark.parametrize("step", [7, pytest.param(1, marks=pytest.mark.long)])
def test_every_bit_is_authenticated(step: int) -> None:
    """A message with one bit flipped does not open; outside of ``make test-long``, each seventh."""
    raw = base64.urlsafe_b64decode(write_xor(b"12345", salt=SALT, iv=IV))
    flipped = (
        encoded(raw[:place] + bytes([raw[place] ^ 1 << bit]) + raw[place + 1 :])
        for place, bit in list(itertools.product(range(len(raw)), range(8)))[::step]
    )
    assert len(raw) == 69  # salt, iv, body, MAC
    assert not any(opened(flipped))


def test_a_message_of_any_other_length_does_not_open() -> None:
    """Neither cut nor extended, nor too short to be one."""
    raw = base64.urlsafe_b64decode(write_xor(b"12345"))
    assert not any(opened(encoded(raw[:size]) for size in range(len(raw))))
    assert not opens(encoded(raw + b"\0"))
    assert not opens("")


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text + "\n",
        lambda text: " " + text,
        lambda text: text[:40] + "\n" + text[40:],
        lambda text: text.replace("-", "+").replace("_", "/"),
        lambda text: text.rstrip("="),
        lambda text: text + "=",
        lambda text: text[:-2] + chr(ord(text[-2]) + 1) + "=",
        lambda text: text[:-2] + "é=",
        lambda text: text + "MFN",
        lambda text: "\ud800" + text,
    ],
)
def test_another_spelling_of_the_base64_does_not_open(change: Callable[[str], str]) -> None:
    """One text for each message: what the old writer's base64 gives."""
    message = write_xor(bytes(9), salt=b"\xfb\xff" * 8)  # with - and _, and one = at its end
    assert set("-_=") <= set(message)
    assert opens(message)
    changed = change(message)
    assert changed != message
    assert not opens(changed)
    assert not opens(changed.encode("utf-8", "surrogatepass"))


def test_another_key_does_not_open_it() -> None:
    """And its error says no more than that of a damaged message."""
    with pytest.raises(DecryptionError) as refused:
        XorOpener(Policy(), bytes(32)).open(write_xor(b"data"))
    assert str(refused.value) == DecryptionError.TEXT
    assert refused.value.__cause__ is None
    assert refused.value.__suppress_context__


@pytest.mark.parametrize("wrong", [None, 7, ["text"], memoryview(bytes(8))[::2]])
def test_what_is_no_message_at_all_is_the_callers_mistake(wrong: Any) -> None:
    """Not a damaged message."""
    with pytest.raises(InvalidInputError):
        OPENER.open(wrong)


@settings(max_examples=20)
@given(st.binary(max_size=120))
def test_no_bytes_open_by_chance(raw: bytes) -> None:
    """Whatever they are."""
    assert not opens(raw)
    assert not opens(encoded(raw))


@pytest.mark.parametrize("key", [b"", bytes(16), bytes(31), bytes(33), "x" * 32, None])
def test_a_key_is_32_bytes(key: Any) -> None:
    """No other size, and no text."""
    with pytest.raises(InvalidKeyError, match="32 bytes"):
        XorOpener(Policy(), key)


def test_the_key_is_shown_nowhere() -> None:
    """Neither in a repr nor in what is reached by one."""
    assert repr(OPENER) == "XorOpener()"
    assert not hasattr(OPENER, "__dict__")


# How ------------------------------------------------------------------------------------------


def test_the_mac_is_checked_before_anything_is_decrypted(monkeypatch: pytest.MonkeyPatch) -> None:
    """A forger learns nothing from what would come out."""
    decrypted: list[bytes] = []

    def seen(body: memoryview, stream: bytes) -> bytes:
        decrypted.append(bytes(body))
        return b""

    monkeypatch.setattr(legacy_xor, "_xor", seen)
    raw = bytearray(base64.urlsafe_b64decode(write_xor(b"data")))
    OPENER.open(encoded(bytes(raw)))
    assert len(decrypted) == 1
    raw[-1] ^= 1
    assert not opens(encoded(bytes(raw)))
    assert len(decrypted) == 1


def test_nothing_here_can_write_such_a_message() -> None:
    """The module has one thing to do, and nothing else is handed out."""
    public = {name for name in dir(XorOpener) if not name.startswith("_")}
    assert public == {"open"}
    functions = {name for name, found in vars(legacy_xor).items() if inspect.isfunction(found)}
    assert functions - {"as_bytes", "about_to_compute", "sha256"} == {"_decoded", "_xor"}


def test_it_differs_from_the_description_in_nothing() -> None:
    """Step by step, with other code than the writer's."""
    derived = hashlib.pbkdf2_hmac("sha256", OLD_KEY, SALT, 100_000, 32)
    stream = hashlib.sha256(IV + derived).digest()
    signed = SALT + IV + bytes(a ^ b for a, b in zip(b"five!", stream, strict=False))
    mac = hmac.digest(derived, signed, "sha256")
    assert encoded(signed + mac).decode() == write_xor(b"five!", salt=SALT, iv=IV)
    assert OPENER.open(encoded(signed + mac)) == b"five!"


def test_a_thread_that_has_other_things_to_do_is_told_before_it_computes() -> None:
    """The service's event loop is one; what is no message at all costs it nothing."""
    seen: list[object] = []

    def on_a_loop() -> None:
        blocking.refuse_to_compute_in_this_thread()
        for message in (write_xor(b"data"), "no message"):
            try:
                seen.append(OPENER.open(message))
            except (WouldComputeError, DecryptionError) as error:
                seen.append(type(error))
        blocking.allow_in_this_thread()
        seen.append(OPENER.open(write_xor(b"data")))

    thread = threading.Thread(target=on_a_loop)
    thread.start()
    thread.join()
    assert seen == [WouldComputeError, DecryptionError, b"data"]


# The door -------------------------------------------------------------------------------------


def test_it_is_handed_out_where_the_policy_allows_what_it_is_built_on() -> None:
    """A list without PBKDF2 has no old messages either."""
    assert xor_opener(Policy(), OLD_KEY).open(write_xor(b"data")) == b"data"
    for without in ("PBKDF2-SHA256", "HMAC-SHA-256", "SHA-256"):
        with pytest.raises(AlgorithmNotAllowedError):
            xor_opener(Policy(disallowed=(without,)), OLD_KEY)


def test_fips_mode_and_the_old_cipher_never_go_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither by the setting nor by whoever asks all the same."""
    monkeypatch.setattr("mycelium_fractal_net.security.fips.process.require", lambda: None)
    with pytest.raises(ConfigurationError, match=r"legacy\.read_xor.*FIPS"):
        refuse_fips(fips_mode=True)
    with pytest.raises(ConfigurationError, match="never opened in FIPS mode"):
        xor_opener(Policy(fips_mode=True), OLD_KEY)


PROGRAM = """
import sys, tempfile
from mycelium_fractal_net import initialise
from mycelium_fractal_net.config import load_settings
from mycelium_fractal_net.legacy.xor_format import XorFormat, xor_opener
from mycelium_fractal_net.security.errors import ConfigurationError, DecryptionError
from mycelium_fractal_net.security.fips import process
from mycelium_fractal_net.security.policy import Policy
process.require = lambda: None
MODULE = "mycelium_fractal_net.legacy.cipher"
message = sys.argv[1].encode()
try:
    xor_opener(Policy(fips_mode=True), bytes(32))
except ConfigurationError:
    assert MODULE not in sys.modules
with tempfile.TemporaryDirectory() as home, initialise(home=home) as keyring:
    assert keyring.decrypt(keyring.encrypt(b"x")) == b"x"
    try:
        keyring.decrypt(message)
    except DecryptionError:
        print("refused", MODULE in sys.modules)
    keyring.old_format = XorFormat()
    try:
        keyring.decrypt(message)
    except DecryptionError:
        print("no key", MODULE in sys.modules)
    from mycelium_fractal_net.legacy.key import import_xor_key
    import_xor_key(keyring.provider, bytes(range(32)))
    keyring.refresh()
    print(keyring.decrypt(message).decode(), MODULE in sys.modules)
"""


def test_it_is_not_loaded_before_it_is_needed() -> None:
    """A program that reads no old messages never has the code in its memory."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, write_xor("old data")],
        capture_output=True, text=True, env=environment(), timeout=60, check=False,
    )  # fmt: skip
    assert done.stderr == ""
    assert done.stdout.splitlines() == ["refused False", "no key False", "old data True"]
