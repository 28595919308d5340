"""Sealed messages in memory: what opens, what does not, and what the API refuses."""

from __future__ import annotations

import copy
import io
import mmap
import os
import pickle
import tracemalloc
from array import array
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha512
from typing import Any, cast

import pytest
from cryptography.cobblestone import Cobblestone256Decryptor, Cobblestone256Encryptor
from cryptography.exceptions import InvalidTag
from cryptography.utils import Buffer
from hypothesis import given
from hypothesis import strategies as st

from mycelium_fractal_net.security.byte_io.secret_bytes import SecretBytes
from mycelium_fractal_net.security.errors import (
    DecryptionError,
    InvalidInputError,
    InvalidKeyError,
)
from mycelium_fractal_net.security.sealed.layout import (
    Form,
    Header,
    parse_header,
    plain_bytes,
    sealed_body_bytes,
)
from mycelium_fractal_net.security.sealed.sealer import DataKey, Sealer
from mycelium_fractal_net.security.sealed.whole import open_whole

KEY = bytes(range(32))
OTHER_KEY = bytes(range(1, 33))
HANDLE = b"\x10\x21\x32\x43\x54\x65\x76\x87"
OTHER_HANDLE = b"\x11\x21\x32\x43\x54\x65\x76\x87"
CHUNK = 16_384
SEALED_CHUNK = CHUNK + 16
BODY = 12 + 56  # where the first chunk of a sealed message begins

sizes = st.builds(
    lambda chunks, more: max(chunks * CHUNK + more, 0),
    st.sampled_from([0, 1, 2, 3, 16, 17]),
    st.integers(-2, 2),
)


def content(size: int) -> bytes:
    """Bytes in which no two chunks are alike."""
    return array("Q", range(size // 8 + 1)).tobytes()[:size]


@pytest.fixture
def sealer() -> Sealer:
    return Sealer.sealed(KEY, HANDLE)


@pytest.fixture
def envelope(sealer: Sealer) -> Sealer:
    return sealer.wrap_data_key().sealer


# What opens -------------------------------------------------------------------------------


@given(size=sizes, associated_data=st.binary(max_size=40))
def test_what_is_sealed_opens_to_the_same_bytes(size: int, associated_data: bytes) -> None:
    """Any size around the borders of chunks and blocks comes back, and has the size promised."""
    sealer = Sealer.sealed(KEY, HANDLE)
    message = sealer.seal(content(size), associated_data)
    assert len(message) == 12 + 56 + size + 16 * (size // CHUNK + 1)
    assert sealer.open(message, associated_data) == content(size)


@given(size=sizes, associated_data=st.binary(max_size=40))
def test_the_public_implementation_opens_a_sealed_message(
    size: int, associated_data: bytes
) -> None:
    """The part behind the header is Cobblestone-256 with the context that the format names."""
    message = Sealer.sealed(KEY, HANDLE).seal(content(size), associated_data)
    context = b"mycelium-fractal-net/sealed/v1" + b"MFN\x01" + HANDLE + associated_data
    decryptor = Cobblestone256Decryptor(KEY, context)
    assert message[:12] == b"MFN\x01" + HANDLE
    assert decryptor.update(message[12:]) + decryptor.finalize() == content(size)


@given(size=sizes, associated_data=st.binary(max_size=40))
def test_what_the_public_implementation_sealed_opens(size: int, associated_data: bytes) -> None:
    """The reverse: a message put together from the format's text is one of ours."""
    context = b"mycelium-fractal-net/sealed/v1" + b"MFN\x01" + HANDLE + associated_data
    encryptor = Cobblestone256Encryptor(KEY, context)
    message = b"MFN\x01" + HANDLE + encryptor.update(content(size)) + encryptor.finalize()
    assert Sealer.sealed(KEY, HANDLE).open(message, associated_data) == content(size)


@pytest.mark.parametrize(
    ("sealer", "header", "context"),
    [
        (Sealer.sealed(KEY, HANDLE), b"MFN\x01" + HANDLE, b"sealed/v1" + b"MFN\x01" + HANDLE),
        (
            Sealer.named(KEY, HANDLE, bytes(32)),
            b"MFN\x04" + HANDLE + bytes(32),
            b"named/v1" + b"MFN\x04" + HANDLE + bytes(32),
        ),
        (
            Sealer.envelope(KEY, HANDLE, bytes(104)),
            b"MFN\x02" + HANDLE + bytes(104),
            b"envelope/v1" + b"MFN\x02" + HANDLE + bytes(104),
        ),
        (Sealer.addressed(KEY, b"a list"), b"a list", b"addressed/v1" + sha512(b"a list").digest()),
    ],
    ids=["sealed", "named", "envelope", "addressed"],
)
def test_each_form_has_a_context_of_its_own(sealer: Sealer, header: bytes, context: bytes) -> None:
    """The one that the format names: another release opens what this one sealed."""
    message = sealer.seal(b"data", b"row 7")
    assert message.startswith(header)
    decryptor = Cobblestone256Decryptor(KEY, b"mycelium-fractal-net/" + context + b"row 7")
    assert decryptor.update(message[len(header) :]) + decryptor.finalize() == b"data"


def test_an_envelope_binds_its_header_and_wrapped_key(sealer: Sealer) -> None:
    """The context of the second form is its label, all 116 bytes in front, and the data."""
    data_key = sealer.wrap_data_key(b"lease 4")
    message = data_key.sealer.seal(b"hello", b"row")
    prefix = b"MFN\x02" + HANDLE + data_key.wrapped
    assert message.startswith(prefix)
    context = b"mycelium-fractal-net/envelope/v1" + prefix + b"row"
    decryptor = Cobblestone256Decryptor(data_key.plaintext, context)
    assert decryptor.update(message[116:]) + decryptor.finalize() == b"hello"


def test_a_bare_sealer_is_the_public_scheme_alone() -> None:
    """No prefix, and the context as it was given."""
    message = Sealer.bare(KEY, b"a context").seal(b"wrapped")
    decryptor = Cobblestone256Decryptor(KEY, b"a context")
    assert decryptor.update(message) + decryptor.finalize() == b"wrapped"
    assert Sealer.bare(KEY, b"a context").open(message) == b"wrapped"
    with pytest.raises(DecryptionError):
        Sealer.bare(KEY, b"another").open(message)


def test_a_bare_sealer_takes_no_associated_data() -> None:
    """Its context is whole: two ways to write one context would be two keys for one lock."""
    sealer = Sealer.bare(KEY, b"a context")
    with pytest.raises(InvalidInputError):
        sealer.seal(b"x", b"more")
    with pytest.raises(InvalidInputError):
        sealer.open(bytes(72), b"more")


@pytest.mark.parametrize("size", [0, 20, CHUNK + 8])
def test_no_two_messages_are_alike(sealer: Sealer, size: int) -> None:
    """Salt, commitment and every chunk differ between messages of the same plaintext."""
    messages = [sealer.seal(content(size)) for _ in range(20)]
    for start in range(12, len(messages[0]) - 7, 8):
        assert len({message[start : start + 8] for message in messages}) == 20


def test_one_sealer_serves_many_threads(sealer: Sealer) -> None:
    """Sealing and opening in eight threads at once mixes nothing up."""

    def there_and_back(number: int) -> bool:
        plaintext = content(number * 5_000)
        return sealer.open(sealer.seal(plaintext)) == plaintext

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(there_and_back, range(80)))


def _as_array(data: bytes) -> array[int]:
    return array("H", data)


def _as_mmap(data: bytes) -> mmap.mmap:
    memory = mmap.mmap(-1, len(data))
    memory[:] = data
    return memory


def _as_matrix(data: bytes) -> memoryview:
    return memoryview(data).cast("B").cast("H", (2, len(data) // 4))


BUFFERS: list[Callable[[bytes], Any]] = [
    bytes,
    bytearray,
    memoryview,
    _as_array,
    _as_mmap,
    _as_matrix,
]


@pytest.mark.parametrize("convert", BUFFERS)
@pytest.mark.parametrize("size", [64, 3 * CHUNK + 8])
def test_anything_contiguous_goes_in(
    sealer: Sealer, convert: Callable[[bytes], Any], size: int
) -> None:
    """Plaintext, associated data, message and key may each be any contiguous buffer."""
    message = sealer.seal(convert(content(size)), convert(b"row 0017"))
    assert sealer.open(message, b"row 0017") == content(size)
    padded = message + bytes(-len(message) % 4)
    view = memoryview(convert(padded)).cast("B")[: len(message)]
    assert sealer.open(view, convert(b"row 0017")) == content(size)
    assert Sealer.sealed(convert(KEY), HANDLE).open(message, b"row 0017") == content(size)


def test_an_empty_buffer_of_any_shape_goes_in(sealer: Sealer) -> None:
    """A view with a zero in its shape is as empty as b""."""
    assert sealer.open(sealer.seal(array("d"), array("d"))) == b""


# What does not open -----------------------------------------------------------------------


def test_any_flipped_bit_is_refused(sealer: Sealer, envelope: Sealer) -> None:
    """Each bit of a small message of either form, flipped alone, gives the one error."""
    for which in (sealer, envelope):
        message = which.seal(b"ten bytes!", b"ad")
        for position in range(len(message) * 8):
            changed = bytearray(message)
            changed[position // 8] ^= 1 << position % 8
            with pytest.raises(DecryptionError) as caught:
                which.open(changed, b"ad")
            assert str(caught.value) == DecryptionError.TEXT
            assert caught.value.__cause__ is None


def test_a_flipped_bit_in_any_part_of_a_large_message_is_refused(sealer: Sealer) -> None:
    """Every field and chunk of a message of three chunks, at its ends and within."""
    message = sealer.seal(content(2 * CHUNK + 100))
    borders = [0, 3, 4, 12, 36, BODY, BODY + SEALED_CHUNK, BODY + 2 * SEALED_CHUNK, len(message)]
    for border in borders:
        for position in range(max(border - 20, 0), min(border + 20, len(message))):
            changed = bytearray(message)
            changed[position] ^= 0x10
            with pytest.raises(DecryptionError):
                sealer.open(changed)


def test_a_cut_at_any_length_is_refused(sealer: Sealer, envelope: Sealer) -> None:
    """Every proper beginning of a small message, and every one of a large one near borders."""
    for which in (sealer, envelope):
        small = which.seal(b"ten bytes!")
        for length in range(len(small)):
            with pytest.raises(DecryptionError):
                which.open(small[:length])
    large = sealer.seal(content(2 * CHUNK + 100))
    for border in (BODY, BODY + SEALED_CHUNK, BODY + 2 * SEALED_CHUNK, len(large)):
        for length in range(border - 18, min(border + 18, len(large))):
            with pytest.raises(DecryptionError):
                sealer.open(large[:length])


def test_a_longer_message_is_refused(sealer: Sealer) -> None:
    """Nothing can be put behind the end: not a byte, not a chunk, not another message."""
    for size in (0, 10, CHUNK - 1, CHUNK, 2 * CHUNK + 5):
        message = sealer.seal(content(size))
        for more in (b"\0", bytes(16), bytes(SEALED_CHUNK), message, message[12:]):
            with pytest.raises(DecryptionError):
                sealer.open(message + more)


def _rearranged(message: bytes) -> Iterator[tuple[str, bytes]]:
    head, body = message[:BODY], message[BODY:]
    chunks = [body[start : start + SEALED_CHUNK] for start in range(0, len(body), SEALED_CHUNK)]
    yield "swapped", head + b"".join([chunks[1], chunks[0], *chunks[2:]])
    yield "repeated", head + b"".join([chunks[0], chunks[0], *chunks[1:]])
    yield "replaced by a copy", head + b"".join([chunks[0], chunks[0], *chunks[2:]])
    yield "first missing", head + b"".join(chunks[1:])
    yield "middle missing", head + b"".join([chunks[0], *chunks[2:]])
    yield "last missing", head + b"".join(chunks[:-1])
    yield "all missing", head
    yield "last only", head + chunks[-1]
    yield "last first", head + b"".join([chunks[-1], *chunks[:-1]])


@pytest.mark.parametrize("tail", [0, 100])
def test_chunks_cannot_be_swapped_repeated_or_left_out(sealer: Sealer, tail: int) -> None:
    """Each place in a message takes the chunk that was made for it and no other."""
    message = sealer.seal(content(3 * CHUNK + tail))
    for what, changed in _rearranged(message):
        assert changed != message, what
        with pytest.raises(DecryptionError):
            sealer.open(changed)


def test_a_chunk_of_another_message_is_refused(sealer: Sealer) -> None:
    """Two messages under the same key cannot lend each other chunks or heads."""
    one, two = sealer.seal(content(2 * CHUNK)), sealer.seal(content(2 * CHUNK))
    for border in (36, BODY, BODY + SEALED_CHUNK, BODY + 2 * SEALED_CHUNK):
        with pytest.raises(DecryptionError):
            sealer.open(one[:border] + two[border:])


@pytest.mark.parametrize("size", [0, 10, 2 * CHUNK])
def test_another_key_handle_or_associated_data_is_refused(sealer: Sealer, size: int) -> None:
    """All three are bound, and which of them was wrong cannot be told apart."""
    message = sealer.seal(content(size), b"row 17")
    moved = b"MFN\x01" + OTHER_HANDLE + message[12:]
    for opener, data, associated_data in (
        (Sealer.sealed(OTHER_KEY, HANDLE), message, b"row 17"),
        (Sealer.sealed(KEY, OTHER_HANDLE), message, b"row 17"),
        (Sealer.sealed(KEY, OTHER_HANDLE), moved, b"row 17"),
        (sealer, message, b"row 18"),
        (sealer, message, b""),
        (sealer, message, b"row 17 "),
    ):
        with pytest.raises(DecryptionError) as caught:
            opener.open(data, associated_data)
        assert str(caught.value) == DecryptionError.TEXT


def test_associated_data_cannot_slide_into_the_header(sealer: Sealer) -> None:
    """The header has a fixed size, so bytes cannot move between handle and associated data."""
    message = sealer.seal(b"x", HANDLE[-1:] + b"rest")
    slid = Sealer.sealed(KEY, b"\0" + HANDLE[:-1])
    with pytest.raises(DecryptionError):
        slid.open(b"MFN\x01\0" + HANDLE[:-1] + message[12:], b"rest")


def test_the_two_forms_are_not_exchangeable(sealer: Sealer) -> None:
    """A body moved under the other form's header does not open, whoever holds the key."""
    data_key = sealer.wrap_data_key()
    as_sealed = Sealer.sealed(data_key.plaintext, HANDLE)
    body = data_key.sealer.seal(b"hello")[116:]
    with pytest.raises(DecryptionError):
        as_sealed.open(b"MFN\x01" + HANDLE + body)
    body = as_sealed.seal(b"hello")[12:]
    with pytest.raises(DecryptionError):
        data_key.sealer.open(b"MFN\x02" + HANDLE + data_key.wrapped + body)


def test_a_name_is_bound_to_its_message() -> None:
    """The public scheme under its own label; neither another name opens it nor the usual form."""
    name, other = bytes(range(32)), bytes(range(1, 33))
    message = Sealer.named(KEY, HANDLE, name).seal(b"hello", b"row 17")
    header = b"MFN\x04" + HANDLE + name
    assert message[:44] == header
    decryptor = Cobblestone256Decryptor(KEY, b"mycelium-fractal-net/named/v1" + header + b"row 17")
    assert decryptor.update(message[44:]) + decryptor.finalize() == b"hello"
    assert Sealer.named(KEY, HANDLE, name).open(message, b"row 17") == b"hello"
    for opener, data in (
        (Sealer.named(KEY, HANDLE, other), message),
        (Sealer.named(KEY, HANDLE, other), b"MFN\x04" + HANDLE + other + message[44:]),
        (Sealer.named(KEY, OTHER_HANDLE, name), message),
        (Sealer.named(OTHER_KEY, HANDLE, name), message),
        (Sealer.sealed(KEY, HANDLE), b"MFN\x01" + HANDLE + message[44:]),
    ):
        with pytest.raises(DecryptionError):
            opener.open(data, b"row 17")


@pytest.mark.parametrize("size", [0, 31, 33])
def test_the_digest_of_a_name_has_one_size(size: int) -> None:
    """Otherwise its end could be taken for the salt, or for associated data."""
    with pytest.raises(InvalidInputError, match="32 bytes"):
        Sealer.named(KEY, HANDLE, bytes(size))


def test_a_named_message_moves_to_another_key_and_wraps_no_data_key() -> None:
    """Data keys are for the usual form alone."""
    named = Sealer.named(KEY, HANDLE, bytes(32))
    newer = Sealer.named(OTHER_KEY, OTHER_HANDLE, bytes(32))
    written = io.BytesIO()
    body = io.BytesIO(named.seal(b"hello", b"row")[44:])
    assert named.rewrap_stream(newer, body, written, b"row") == 5
    assert newer.open(written.getvalue(), b"row") == b"hello"
    with pytest.raises(InvalidInputError):
        named.wrap_data_key()


# Data keys --------------------------------------------------------------------------------


def test_a_data_key_unwraps_with_its_associated_data_only(sealer: Sealer) -> None:
    """104 bytes hold it; other data, another key or handle, or another length do not open it."""
    data_key = sealer.wrap_data_key(b"lease 4")
    assert len(data_key.plaintext) == 32
    assert len(data_key.wrapped) == 104
    assert data_key.handle == HANDLE
    assert sealer.unwrap_data_key(bytearray(data_key.wrapped), b"lease 4") == data_key.plaintext
    for opener, wrapped, associated_data in (
        (sealer, data_key.wrapped, b"lease 5"),
        (sealer, data_key.wrapped, b""),
        (Sealer.sealed(OTHER_KEY, HANDLE), data_key.wrapped, b"lease 4"),
        (Sealer.sealed(KEY, OTHER_HANDLE), data_key.wrapped, b"lease 4"),
        (sealer, data_key.wrapped[:-1], b"lease 4"),
        (sealer, data_key.wrapped + b"\0", b"lease 4"),
        (sealer, b"", b"lease 4"),
    ):
        with pytest.raises(DecryptionError):
            opener.unwrap_data_key(wrapped, associated_data)


def test_any_flipped_bit_of_a_wrapped_data_key_is_refused(sealer: Sealer) -> None:
    """All of the 832 bits are authenticated."""
    wrapped = sealer.wrap_data_key().wrapped
    for position in range(len(wrapped) * 8):
        changed = bytearray(wrapped)
        changed[position // 8] ^= 1 << position % 8
        with pytest.raises(DecryptionError):
            sealer.unwrap_data_key(changed)


def test_a_data_key_of_another_size_is_refused(sealer: Sealer) -> None:
    """Whoever holds the named key cannot smuggle in something longer or shorter either."""
    context = b"mycelium-fractal-net/datakey/v1MFN\x02" + HANDLE
    for size in (0, 31, 33, 64):
        with pytest.raises(DecryptionError):
            sealer.unwrap_data_key(Sealer.bare(KEY, context).seal(bytes(size)))
    assert sealer.unwrap_data_key(Sealer.bare(KEY, context).seal(bytes(32))) == bytes(32)


def test_every_data_key_is_new(sealer: Sealer) -> None:
    """Neither the key nor its wrapped form repeats."""
    made = [sealer.wrap_data_key() for _ in range(20)]
    assert len({data_key.plaintext for data_key in made}) == 20
    assert len({data_key.wrapped for data_key in made}) == 20


def test_open_never_opens_a_wrapped_data_key(sealer: Sealer) -> None:
    """A wrapped data key under a message's header is no message, whatever the associated data."""
    data_key = sealer.wrap_data_key(b"lease")
    label = b"mycelium-fractal-net/datakey/v1MFN\x02" + HANDLE
    for form in (b"\x01", b"\x02"):
        for associated_data in (b"", b"lease", label, label + b"lease"):
            with pytest.raises(DecryptionError):
                sealer.open(b"MFN" + form + HANDLE + data_key.wrapped, associated_data)


@given(associated_data=st.binary(max_size=80))
def test_seal_never_makes_a_wrapped_data_key(associated_data: bytes) -> None:
    """A sealed 32-byte text has the size of one and does not unwrap as one."""
    sealer = Sealer.sealed(KEY, HANDLE)
    label = b"mycelium-fractal-net/datakey/v1MFN\x02" + HANDLE
    for used in (associated_data, label, label + associated_data):
        wrapped = sealer.seal(OTHER_KEY, used)[12:]
        assert len(wrapped) == 104
        for tried in (b"", associated_data, used):
            with pytest.raises(DecryptionError):
                sealer.unwrap_data_key(wrapped, tried)


def test_only_a_named_key_wraps_data_keys(sealer: Sealer, envelope: Sealer) -> None:
    """A data key and a bare key have no handle of their own to be found by."""
    wrapped = sealer.wrap_data_key().wrapped
    for other in (envelope, Sealer.bare(KEY, b"context")):
        with pytest.raises(InvalidInputError):
            other.wrap_data_key()
        with pytest.raises(InvalidInputError):
            other.unwrap_data_key(wrapped)


# Headers ----------------------------------------------------------------------------------


@given(handle=st.binary(min_size=8, max_size=8), rest=st.binary(max_size=20))
def test_the_header_of_a_sealed_message_encodes_to_what_was_parsed(
    handle: bytes, rest: bytes
) -> None:
    """Twelve bytes, with anything or nothing behind them."""
    header = parse_header(b"MFN\x01" + handle + rest)
    assert header == Header(Form.SEALED, handle)
    assert header.raw == b"MFN\x01" + handle
    assert len(header.raw) == 12


@given(handle=st.binary(min_size=8, max_size=8), wrapped=st.binary(min_size=104, max_size=104))
def test_the_header_of_an_envelope_encodes_to_what_was_parsed(
    handle: bytes, wrapped: bytes
) -> None:
    """116 bytes."""
    header = parse_header(bytearray(b"MFN\x02" + handle + wrapped + b"more"))
    assert header == Header(Form.ENVELOPE, handle, wrapped)
    assert header.raw == b"MFN\x02" + handle + wrapped
    assert len(header.raw) == 116


@given(st.binary(max_size=130) | st.binary(max_size=130).map(lambda rest: b"MFN" + rest))
def test_whatever_parses_encodes_to_the_same_bytes(message: bytes) -> None:
    """There is one way to write a header; what has no header is refused."""
    try:
        header = parse_header(message)
    except DecryptionError:
        return
    assert header.raw == message[: len(header.raw)]


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"MFN\x01" + bytes(7),
        b"MFN\x02" + bytes(8 + 103),
        b"MFN\x00" + bytes(200),
        b"MFN\x03" + bytes(200),
        b"MFS\x01" + bytes(200),
        b"mfn\x01" + bytes(200),
        bytes(200),
    ],
)
def test_what_is_no_header_is_refused(message: bytes) -> None:
    """Too short, another form, another magic."""
    with pytest.raises(DecryptionError):
        parse_header(message)


@given(size=sizes | st.integers(0, 1 << 52))
def test_the_sizes_of_message_and_plaintext_follow_from_each_other(size: int) -> None:
    """Each plaintext has one size sealed, and a size between two of these belongs to none."""
    assert plain_bytes(sealed_body_bytes(size)) == size
    if size < 1 << 20:
        assert len(Sealer.bare(KEY, b"").seal(bytes(size))) == sealed_body_bytes(size)


def test_a_size_that_no_message_has_is_refused() -> None:
    """Too short for the head, for a tag, or for the final chunk behind a full one."""
    for body in (-1, 0, 55, 56, 71, 56 + SEALED_CHUNK, 56 + SEALED_CHUNK + 15):
        with pytest.raises(DecryptionError):
            plain_bytes(body)
    assert plain_bytes(72) == 0
    assert plain_bytes(56 + SEALED_CHUNK - 1) == CHUNK - 1
    assert plain_bytes(56 + SEALED_CHUNK + 16) == CHUNK


def test_no_associated_data_is_the_empty_one(sealer: Sealer) -> None:
    """In every call that takes some."""
    message = sealer.seal(KEY)
    assert sealer.open(message, b"") == KEY
    assert sealer.open_secret(message) == KEY
    assert sealer.open_range(io.BytesIO(message[12:])).read() == KEY
    moved = io.BytesIO()
    sealer.rewrap_stream(sealer, io.BytesIO(message[12:]), moved)
    assert sealer.open(moved.getvalue(), b"") == KEY
    data_key = sealer.wrap_data_key()
    assert sealer.unwrap_data_key(data_key.wrapped, b"") == data_key.plaintext


def test_a_key_that_can_be_wiped_is_not_copied() -> None:
    """The sealer holds the one that there is; of plain bytes it makes one that can be."""
    secret = SecretBytes(KEY)
    assert Sealer.sealed(secret, HANDLE)._key is secret
    assert type(Sealer.sealed(KEY, HANDLE)._key) is SecretBytes


# What the API refuses ---------------------------------------------------------------------


@pytest.mark.parametrize("key", [b"", bytes(16), bytes(31), bytes(33), bytes(64)])
def test_a_key_is_32_bytes(key: bytes) -> None:
    """Any other size is an error of its own, in every way to make a sealer."""
    for make in (
        lambda: Sealer.sealed(key, HANDLE),
        lambda: Sealer.envelope(key, HANDLE, bytes(104)),
        lambda: Sealer.bare(key, b""),
    ):
        with pytest.raises(InvalidKeyError) as caught:
            make()
        assert key.hex() not in str(caught.value) or not key


def test_a_handle_is_8_bytes_and_a_wrapped_key_104() -> None:
    """Fixed sizes are what keeps header and associated data apart."""
    for handle in (b"", bytes(7), bytes(9)):
        with pytest.raises(InvalidInputError):
            Sealer.sealed(KEY, handle)
        with pytest.raises(InvalidInputError):
            Sealer.envelope(KEY, handle, bytes(104))
        with pytest.raises(InvalidInputError):
            Sealer.named(KEY, handle, bytes(32))
    for wrapped in (b"", bytes(103), bytes(105)):
        with pytest.raises(InvalidInputError):
            Sealer.envelope(KEY, HANDLE, wrapped)


def test_text_and_gaps_are_refused(sealer: Sealer) -> None:
    """A str has no bytes until somebody chooses an encoding; a strided view is not contiguous."""
    unfit: list[Any] = ["text", None, 5, [1, 2], memoryview(b"abcdef")[::2]]
    for value in unfit:
        for call in (
            lambda value=value: sealer.seal(value),
            lambda value=value: sealer.seal(b"", value),
            lambda value=value: sealer.open(value),
            lambda value=value: sealer.open(bytes(200), value),
            lambda value=value: sealer.encryptor().update(value),
            lambda value=value: sealer.decryptor().update(value),
            lambda value=value: sealer.wrap_data_key(value),
            lambda value=value: sealer.unwrap_data_key(value),
            lambda value=value: Sealer.sealed(value, HANDLE),
            lambda value=value: Sealer.bare(KEY, value),
            lambda value=value: parse_header(value),
        ):
            with pytest.raises(InvalidInputError):
                call()


def test_neither_repr_nor_pickle_gives_a_key_away(sealer: Sealer, envelope: Sealer) -> None:
    """A repr names the header at most, and nothing that holds a key is pickled or copied."""
    data_key = sealer.wrap_data_key()
    bare = Sealer.bare(KEY, b"context")
    for holder, key in (
        (sealer, KEY),
        (envelope, KEY),
        (bare, KEY),
        (data_key, data_key.plaintext),
    ):
        for shown in (repr(holder), str(holder)):
            assert key.hex() not in shown
            assert repr(key)[2:-1] not in shown
        for give_away in (pickle.dumps, copy.copy, copy.deepcopy):
            with pytest.raises(TypeError, match="not pickled or copied"):
                give_away(holder)
    assert repr(sealer) == "<Sealer 4d464e011021324354657687>"
    assert repr(bare) == "<Sealer bare>"
    assert repr(data_key) == f"DataKey(handle={HANDLE!r})"


def test_data_keys_compare_by_identity_only(sealer: Sealer) -> None:
    """An == over key bytes would not be constant-time."""
    data_key = sealer.wrap_data_key()
    twin = DataKey(data_key.plaintext, data_key.wrapped, data_key.handle)
    assert data_key != twin


# Memory ------------------------------------------------------------------------------------


class _Watched:
    """A decryptor that remembers the block that it was given to write into."""

    def __init__(self, decryptor: Cobblestone256Decryptor) -> None:
        self.decryptor = decryptor
        self.block = memoryview(b"")

    def update_into(self, data: Buffer, block: Buffer) -> int:
        if len(block):
            self.block = memoryview(block)
        return self.decryptor.update_into(data, block)

    def finalize(self) -> bytes:
        return self.decryptor.finalize()


def _cut(message: bytes) -> bytes:
    """Without its last whole chunk: all that is left is authentic, and the end is missing."""
    return message[: BODY + SEALED_CHUNK] + message[BODY + 2 * SEALED_CHUNK :]


@pytest.mark.parametrize(
    "damage",
    [
        _cut,
        lambda message: message[:-1] + bytes([message[-1] ^ 1]),
        lambda message: message[: BODY + SEALED_CHUNK] + bytes(SEALED_CHUNK + 20),
    ],
)
def test_no_plaintext_stays_behind_when_a_message_does_not_open(
    sealer: Sealer, damage: Callable[[bytes], bytes]
) -> None:
    """What was written before the failure is overwritten, authentic or not."""
    secret = os.urandom(16)
    message = sealer.seal(secret * 5_000)
    watched = _Watched(Cobblestone256Decryptor(KEY, sealer._context))
    with pytest.raises((InvalidTag, ValueError)):
        open_whole(cast(Cobblestone256Decryptor, watched), memoryview(damage(message))[12:])
    assert len(watched.block) > SEALED_CHUNK
    assert not any(watched.block)


def test_a_message_under_another_key_takes_no_memory(sealer: Sealer) -> None:
    """The commitment is looked at before a block of the message's size is asked for."""
    message = Sealer.sealed(os.urandom(32), HANDLE).seal(bytes(4 << 20))
    tracemalloc.start()
    try:
        with pytest.raises(DecryptionError):
            sealer.open(message)
        assert tracemalloc.get_traced_memory()[1] < 64 << 10
    finally:
        tracemalloc.stop()
