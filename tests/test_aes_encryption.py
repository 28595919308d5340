"""AES-256-GCM in the plan's form: the plan's five cases, and what else can go wrong."""

from __future__ import annotations

import inspect
import mmap
import os
import traceback
from array import array
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from mycelium_fractal_net.security import aes_encryption
from mycelium_fractal_net.security.aes_encryption import (
    KEY_BYTES,
    NONCE_BYTES,
    TAG_BYTES,
    RawCipher,
    decrypt_aes_gcm,
    encrypt_aes_gcm,
)
from mycelium_fractal_net.security.errors import (
    DecryptionError,
    InvalidInputError,
    InvalidKeyError,
)

KEY = bytes(range(32))
OVERHEAD = NONCE_BYTES + TAG_BYTES

# Around the sizes at which the module changes its way of moving memory.
SIZES = [0, 1, 15, 16, 17, 32_739, 32_740, 32_741, 65_535, 65_536, 65_537, 300_000]


class TestThePlansCases:
    """The five cases of the plan's section 3.1."""

    def test_what_is_encrypted_decrypts_to_itself(self) -> None:
        """Encrypt/decrypt round trip."""
        assert decrypt_aes_gcm(encrypt_aes_gcm(b"attack at dawn", KEY), KEY) == b"attack at dawn"

    def test_another_key_is_refused(self) -> None:
        """Invalid key rejection: a message does not open under a key that did not make it."""
        message = encrypt_aes_gcm(b"attack at dawn", KEY)
        with pytest.raises(DecryptionError):
            decrypt_aes_gcm(message, bytes(32))

    def test_a_changed_ciphertext_is_detected(self) -> None:
        """Tampered ciphertext detection: any single flipped bit anywhere is refused."""
        message = encrypt_aes_gcm(b"attack at dawn", KEY)
        for position in range(len(message) * 8):
            changed = bytearray(message)
            changed[position // 8] ^= 1 << position % 8
            with pytest.raises(DecryptionError):
                decrypt_aes_gcm(changed, KEY)

    def test_an_empty_plaintext_is_a_message_too(self) -> None:
        """Empty plaintext handling: 28 bytes that open to nothing."""
        message = encrypt_aes_gcm(b"", KEY)
        assert len(message) == OVERHEAD
        assert decrypt_aes_gcm(message, KEY) == b""

    def test_large_data_is_encrypted_whole(self) -> None:
        """Large data handling: 20 MiB, and a change in its last byte is seen."""
        plaintext = os.urandom(1 << 20) * 20
        message = encrypt_aes_gcm(plaintext, KEY)
        assert len(message) == len(plaintext) + OVERHEAD
        assert decrypt_aes_gcm(message, KEY) == plaintext
        with pytest.raises(DecryptionError):
            decrypt_aes_gcm(message[:-1] + bytes([message[-1] ^ 1]), KEY)


class TestTheForm:
    """The bytes are the plan's, and others can read and write them."""

    @pytest.mark.parametrize("size", SIZES)
    def test_bare_aesgcm_opens_what_we_encrypt(self, size: int) -> None:
        """The first 12 bytes are the nonce and the rest is what AESGCM calls ciphertext."""
        plaintext = os.urandom(size)
        message = encrypt_aes_gcm(plaintext, KEY, b"row 17")
        assert type(message) is bytes
        assert AESGCM(KEY).decrypt(message[:12], message[12:], b"row 17") == plaintext

    @pytest.mark.parametrize("size", SIZES)
    def test_we_open_what_bare_aesgcm_encrypts(self, size: int) -> None:
        """The reverse, for every size."""
        plaintext, nonce = os.urandom(size), os.urandom(12)
        message = nonce + AESGCM(KEY).encrypt(nonce, plaintext, b"row 17")
        opened = decrypt_aes_gcm(message, KEY, b"row 17")
        assert type(opened) is bytes
        assert opened == plaintext

    def test_the_plans_own_two_functions_agree_with_ours(self) -> None:
        """Called as the plan's sketch calls them, positionally and without associated data."""
        nonce = os.urandom(12)
        sketched = nonce + AESGCM(KEY).encrypt(nonce, b"data", None)
        assert decrypt_aes_gcm(sketched, KEY) == b"data"

    def test_nothing_takes_a_nonce(self) -> None:
        """No public callable has a parameter through which a nonce could be repeated."""
        for call in (encrypt_aes_gcm, RawCipher, RawCipher.encrypt):
            names = list(inspect.signature(call).parameters)
            assert set(names) <= {"self", "plaintext", "key", "associated_data"}, names

    @pytest.mark.parametrize("size", [0, 70_000])
    def test_no_two_messages_are_alike(self, size: int) -> None:
        """Equal plaintexts under one key give messages with nonces of their own."""
        cipher = RawCipher(KEY)
        messages = [cipher.encrypt(bytes(size)) for _ in range(200)]
        assert len({message[:12] for message in messages}) == 200
        assert len({message[12:] for message in messages}) == 200

    @given(st.binary(max_size=2000), st.binary(max_size=100))
    def test_any_plaintext_with_any_associated_data_comes_back(
        self, plaintext: bytes, data: bytes
    ) -> None:
        """A property over bytes of any content."""
        cipher = RawCipher(KEY)
        assert cipher.decrypt(cipher.encrypt(plaintext, data), data) == plaintext


class TestKeys:
    """32 bytes or an error."""

    @pytest.mark.parametrize("size", [0, 1, 15, 16, 24, 31, 33, 64])
    def test_a_key_of_any_other_size_is_refused(self, size: int) -> None:
        """AES-128 and AES-192 keys too: neither passes under the name of AES-256."""
        for attempt in (
            lambda: encrypt_aes_gcm(b"", bytes(size)),
            lambda: decrypt_aes_gcm(bytes(40), bytes(size)),
            lambda: RawCipher(bytes(size)),
        ):
            with pytest.raises(InvalidKeyError, match="exactly 32 bytes"):
                attempt()

    @pytest.mark.parametrize(
        "key",
        ["k" * 32, None, 32, [0] * 32, memoryview(bytes(64)).cast("H"), memoryview(KEY * 2)[::2]],
    )
    def test_what_is_no_bytes_is_no_key(self, key: object) -> None:
        """Text, numbers, lists and buffers of 32 wider or scattered elements are refused."""
        with pytest.raises(InvalidKeyError):
            RawCipher(key)  # type: ignore[arg-type]

    @pytest.mark.parametrize("wrap", [bytes, bytearray, memoryview])
    def test_a_key_may_lie_in_any_byte_buffer(self, wrap: type) -> None:
        """A bytearray is what callers use who wipe their keys."""
        assert len(KEY) == KEY_BYTES
        assert decrypt_aes_gcm(encrypt_aes_gcm(b"x", wrap(KEY)), wrap(KEY)) == b"x"

    def test_a_cipher_shows_no_key(self) -> None:
        """Neither its repr nor an attribute of it leads to the key bytes."""
        key = b"\xc3SECRETSECRETSECRETSECRETSECRETSE"[:32]
        cipher = RawCipher(key)
        assert repr(cipher) == "RawCipher(AES-256-GCM)"
        assert not hasattr(cipher, "__dict__")
        assert "SECRET" not in repr([getattr(cipher, name) for name in RawCipher.__slots__])


class TestBuffers:
    """Whatever lies in one piece goes in as it is."""

    @pytest.mark.parametrize("size", [64, 40_000, 70_000])
    @pytest.mark.parametrize("wrap", [bytes, bytearray, memoryview])
    def test_every_kind_of_byte_buffer_goes_in(self, wrap: type, size: int) -> None:
        """As plaintext, as message and as associated data."""
        plaintext = os.urandom(size)
        message = encrypt_aes_gcm(wrap(plaintext), KEY, wrap(b"data"))
        assert decrypt_aes_gcm(wrap(message), KEY, wrap(b"data")) == plaintext

    @pytest.mark.parametrize("count", [0, 3, 100_000])
    def test_arrays_of_wider_elements_go_in_as_their_memory(self, count: int) -> None:
        """An array of doubles is encrypted as its tobytes(), as plaintext and associated data."""
        values = array("d", range(count))
        message = encrypt_aes_gcm(values, KEY, values)
        assert decrypt_aes_gcm(message, KEY, values.tobytes()) == values.tobytes()
        assert decrypt_aes_gcm(message, KEY, values) == values.tobytes()

    def test_a_message_may_lie_in_wider_elements_too(self) -> None:
        """A view of 16-bit elements is counted in bytes, not in elements."""
        message = encrypt_aes_gcm(b"12", KEY)
        assert decrypt_aes_gcm(memoryview(message).cast("H"), KEY) == b"12"

    def test_numpy_arrays_of_any_shape_go_in(self) -> None:
        """Two dimensions, none, and none of the elements: each as its tobytes()."""
        numpy = pytest.importorskip("numpy", reason="numpy is not installed")
        for values in (
            numpy.arange(12, dtype="float32").reshape(3, 4),
            numpy.array(5.0),
            numpy.zeros((0, 3)),
            numpy.ones((300, 300)),
            numpy.array([True, False]),
        ):
            message = encrypt_aes_gcm(values, KEY)
            assert decrypt_aes_gcm(message, KEY) == values.tobytes()
            packed = numpy.frombuffer(message, dtype="uint8")
            assert decrypt_aes_gcm(packed, KEY) == values.tobytes()

    def test_scattered_numpy_arrays_are_refused(self) -> None:
        """Strides and Fortran order: their memory is not what tobytes() gives."""
        numpy = pytest.importorskip("numpy", reason="numpy is not installed")
        square = numpy.zeros((4, 4))
        for values in (square[:, ::2], numpy.asfortranarray(square)):
            with pytest.raises(InvalidInputError):
                encrypt_aes_gcm(values, KEY)

    @pytest.mark.parametrize("wrong", ["text", 5, [1, 2], memoryview(b"abcdef")[::2], object()])
    def test_text_and_scattered_memory_are_refused(self, wrong: object) -> None:
        """In every place, as the caller's mistake and not as a message that does not open."""
        message = encrypt_aes_gcm(b"x", KEY)
        bad: Any = wrong
        attempts: list[Callable[[], bytes]] = [
            lambda: encrypt_aes_gcm(bad, KEY),
            lambda: encrypt_aes_gcm(b"x", KEY, bad),
            lambda: decrypt_aes_gcm(bad, KEY),
            lambda: decrypt_aes_gcm(message, KEY, bad),
        ]
        for attempt in attempts:
            with pytest.raises(InvalidInputError) as caught:
                attempt()
            assert "text'" not in str(caught.value)

    def test_a_missing_plaintext_is_refused(self) -> None:
        """None is no associated data, but it is not an empty plaintext."""
        with pytest.raises(InvalidInputError):
            encrypt_aes_gcm(None, KEY)  # type: ignore[arg-type]

    def test_inputs_are_left_as_they_were(self) -> None:
        """Neither a bytearray nor its size is changed, nor is it still exported afterwards."""
        plaintext = bytearray(b"p" * 70_000)
        message = bytearray(encrypt_aes_gcm(plaintext, KEY))
        before = bytes(message)
        decrypt_aes_gcm(message, KEY)
        assert bytes(message) == before
        assert plaintext == b"p" * 70_000
        plaintext.clear()
        message.clear()

    def test_more_than_the_library_takes_at_once_is_refused_with_advice(self) -> None:
        """2 GiB in one call is refused before a byte is touched; the text says what to do."""
        with mmap.mmap(-1, 2**31) as untouched:
            with pytest.raises(InvalidInputError, match="as a stream"):
                encrypt_aes_gcm(untouched, KEY)
            with pytest.raises(InvalidInputError, match="as a stream"):
                encrypt_aes_gcm(b"", KEY, untouched)
            with pytest.raises(DecryptionError):
                decrypt_aes_gcm(bytes(40), KEY, untouched)


class TestOneError:
    """Every way of not opening looks the same."""

    def test_every_failure_gives_the_same_error(self) -> None:
        """Cut at any length, other key, other data, changed nonce, body or tag."""
        message = encrypt_aes_gcm(b"attack at dawn", KEY, b"row 17")
        attempts: list[tuple[bytes, bytes, bytes | None]] = [
            (message[:length], KEY, b"row 17") for length in range(len(message))
        ]
        attempts += [
            (message + b"\0", KEY, b"row 17"),
            (message, bytes(32), b"row 17"),
            (message, KEY, b"row 18"),
            (message, KEY, b""),
            (message, KEY, None),
            (b"\0" * 12 + message[12:], KEY, b"row 17"),
            (message[:12] + b"\0" * 14 + message[-16:], KEY, b"row 17"),
            (message[:-16] + bytes(16), KEY, b"row 17"),
        ]
        seen = set()
        for changed, key, data in attempts:
            for body in (changed, bytearray(changed)):
                with pytest.raises(DecryptionError) as caught:
                    decrypt_aes_gcm(body, key, data)
                error = caught.value
                seen.add((type(error), str(error), error.args, error.__cause__))
                assert error.__suppress_context__ or error.__context__ is None
                assert "InvalidTag" not in "".join(traceback.format_exception(error))
        assert len(seen) == 1

    def test_none_and_empty_associated_data_are_the_same(self) -> None:
        """GCM has no difference between them (SP 800-38D section 5.2.1.1)."""
        assert decrypt_aes_gcm(encrypt_aes_gcm(b"x", KEY, b""), KEY, None) == b"x"
        assert decrypt_aes_gcm(encrypt_aes_gcm(b"x", KEY, None), KEY, b"") == b"x"

    def test_plaintext_and_associated_data_are_kept_apart(self) -> None:
        """Bytes moved from the associated data into the message do not open."""
        message = encrypt_aes_gcm(b"", KEY, b"A" * 16)
        with pytest.raises(DecryptionError):
            decrypt_aes_gcm(message[:12] + b"A" * 16 + message[12:], KEY)


def test_a_cipher_serves_many_threads_at_once() -> None:
    """Eight threads on one cipher, each opens what it made."""
    cipher = RawCipher(KEY)

    def work(number: int) -> bool:
        plaintext = bytes([number]) * (number * 9_000)
        return all(cipher.decrypt(cipher.encrypt(plaintext)) == plaintext for _ in range(20))

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(16)))


def test_the_public_names_are_exactly_those_of_the_module() -> None:
    """What is defined without an underscore is what __all__ lists."""
    defined = {
        name
        for name, value in vars(aes_encryption).items()
        if not name.startswith("_")
        and (getattr(value, "__module__", "") == aes_encryption.__name__ or name.isupper())
        and name not in ("AESGCM", "TYPE_CHECKING")
    }
    assert defined == set(aes_encryption.__all__)
