"""Messages for recipients: who opens them, what is bound to what, and what is refused."""

from __future__ import annotations

import io
import itertools

import pytest

from mycelium_fractal_net.security.errors import DecryptionError, InvalidInputError
from mycelium_fractal_net.security.sealed import addressed_layout
from mycelium_fractal_net.security.sealed.addressed import opener_by, sealer_for
from mycelium_fractal_net.security.sealed.addressed_layout import (
    MOST_RECIPIENTS,
    AddressedHeader,
    is_addressed,
    parse_addressed_header,
    read_addressed_header,
)
from mycelium_fractal_net.security.sealed.hpke_suites import SUITES
from mycelium_fractal_net.security.sealed.recipients import RecipientKey, seal_to_recipient
from tests.support.algorithms import HPKE, RecipientKeys

DATA_KEY, NAME, INFO = b"k" * 32, b"n" * 32, b"mycelium-fractal-net/addressed-key/v1"
ALICE, BOB, CAROL = (RecipientKey.generate(HPKE) for _ in range(3))
KEYS = RecipientKeys()
EACH = pytest.mark.parametrize("algorithm", SUITES)


def sealed(*keys: RecipientKey, plain: bytes = b"plain", name: bytes = b"") -> bytes:
    return sealer_for([key.public for key in keys], DATA_KEY, name).seal(plain, b"row 17")


def opened(message: bytes, *keys: RecipientKey, data: bytes = b"row 17") -> bytes:
    """By bytes, as a stream and by position, which must agree."""
    opener = opener_by(keys, parse_addressed_header(message))
    plain = opener.open(message, data)
    reader, writer = io.BytesIO(message), io.BytesIO()
    opener_by(keys, read_addressed_header(reader)).open_stream(reader, writer, data)
    file = io.BytesIO(message)
    by_position = opener_by(keys, read_addressed_header(file)).open_range(file, data).read()
    assert plain == writer.getvalue() == by_position
    return plain


def header_of(message: bytes) -> tuple[AddressedHeader, bytes]:
    header = parse_addressed_header(message)
    return header, message[len(header.raw) :]


def refused(message: bytes, *keys: RecipientKey) -> None:
    with pytest.raises(DecryptionError) as caught:
        opened(message, *keys)
    assert str(caught.value) == DecryptionError.TEXT
    assert caught.value.__cause__ is None


@EACH
@pytest.mark.parametrize("size", [0, 1, 16_384, 40_000])
def test_a_recipient_opens_what_is_sealed_to_it(algorithm: str, size: int) -> None:
    """By every reader, whatever its size."""
    key = KEYS[algorithm]
    assert opened(sealed(key, plain=bytes(size)), key) == bytes(size)


def test_each_of_several_opens_the_same_and_nobody_else() -> None:
    """Whichever place he has, and whichever of his own keys it is."""
    message = sealed(ALICE, BOB)
    for keys in ([ALICE], [BOB], [CAROL, BOB], [BOB, ALICE]):
        assert opened(message, *keys) == b"plain"
    refused(message, CAROL)
    refused(message)


def test_the_header_is_what_the_document_says() -> None:
    """Magic, form, name, number, and each blob behind its length."""
    blob = seal_to_recipient(ALICE.public, DATA_KEY, info=INFO)
    for name, form in ((b"", b"\x01"), (NAME, b"\x02")):
        header = AddressedHeader((blob, blob), name)
        entry = len(blob).to_bytes(2, "big") + blob
        assert header.raw == b"MFR" + form + name + b"\x02" + entry + entry
        assert parse_addressed_header(header.raw + b"body") == header
    assert is_addressed(header.raw)
    assert not is_addressed(b"MFN\x01")


def test_the_lengths_of_blobs_are_those_of_the_suites() -> None:
    """The layout knows them without an algorithm, by its own table."""
    assert dict(addressed_layout.SUITES.values()) == {
        name: 10 + suite.enc_bytes + 32 + 16 for name, suite in SUITES.items()
    }
    assert {start: name for start, (name, _) in addressed_layout.SUITES.items()} == {
        b"MFH\x01" + suite.identifier: name for name, suite in SUITES.items()
    }
    assert set(addressed_layout.KINDS.values()) == set(SUITES)
    assert parse_addressed_header(sealed(ALICE)).suites == [HPKE]


def test_without_the_data_key_no_recipient_is_added_taken_away_or_moved() -> None:
    """All that stands before the body is bound to it; so is the name, and the form."""
    header, body = header_of(sealed(ALICE, BOB))
    alice, bob = header.blobs
    stranger = seal_to_recipient(CAROL.public, b"x" * 32, info=INFO)
    for blobs in ([alice], [bob, alice], [alice, bob, stranger], [alice, alice], [alice, stranger]):
        refused(AddressedHeader(tuple(blobs)).raw + body, ALICE)
    refused(AddressedHeader(header.blobs, NAME).raw + body, ALICE)
    named, body = header_of(sealed(ALICE, name=NAME))
    assert opened(named.raw + body, ALICE) == b"plain"
    refused(AddressedHeader(named.blobs, b"m" * 32).raw + body, ALICE)
    refused(AddressedHeader(named.blobs).raw + body, ALICE)


def test_one_body_has_one_key_for_all() -> None:
    """Whoever seals cannot show each recipient another plaintext: the body commits to its key."""
    other = seal_to_recipient(BOB.public, b"o" * 32, info=INFO)
    header, _ = header_of(sealed(ALICE, BOB))
    crafted = AddressedHeader((header.blobs[0], other))
    body = opener_by([ALICE], crafted).seal(b"for alice", b"row 17")
    assert opened(body, ALICE) == b"for alice"
    refused(body, BOB)


def test_a_blob_for_something_else_is_none() -> None:
    """Its info says that it is a data key of such a message; and a data key has 32 bytes."""
    for info, key in ((b"", DATA_KEY), (b"mycelium-fractal-net/key/v1", DATA_KEY)):
        header = AddressedHeader((seal_to_recipient(ALICE.public, key, info=info),))
        with pytest.raises(DecryptionError):
            opener_by([ALICE], header)
    short = AddressedHeader((seal_to_recipient(ALICE.public, b"k" * 31, info=INFO),))
    with pytest.raises(DecryptionError):
        opener_by([ALICE], short)


def test_every_flipped_bit_and_every_cut_is_refused() -> None:
    """Header, blob, salt, commitment and chunk; one error with one text."""
    message = sealed(ALICE)
    for length in range(len(message)):
        refused(message[:length], ALICE)
    refused(message + b"\0", ALICE)
    for position in range(len(message)):
        changed = bytearray(message)
        changed[position] ^= 1 << position % 8
        refused(bytes(changed), ALICE)
    with pytest.raises(DecryptionError):
        opened(message, ALICE, data=b"row 18")


def test_a_header_that_is_out_of_bounds_is_refused() -> None:
    """No recipient, a blob of no bytes or too many, and one that is not as long as its suite's."""
    (blob,) = parse_addressed_header(sealed(ALICE)).blobs
    longer = (len(blob) + 1).to_bytes(2, "big") + blob + b"\0"
    for entries in (b"", b"\0\0", b"\x10\x01" + bytes(4097), longer):
        with pytest.raises(DecryptionError):
            parse_addressed_header(b"MFR\x01" + bytes([bool(entries)]) + entries)
    for start in (b"MFR\x00", b"MFR\x03", b"MFN\x01", b"MFR"):
        with pytest.raises(DecryptionError):
            parse_addressed_header(start + bytes(100))


def test_a_blob_that_nobody_here_knows_is_passed_over() -> None:
    """It may be for somebody whose release knows it."""
    header, _ = header_of(sealed(ALICE))
    unknown = AddressedHeader((b"MFH\x01" + bytes(100), b"?", *header.blobs))
    assert unknown.suites == [None, None, HPKE]
    message = opener_by([ALICE], unknown).seal(b"plain", b"row 17")
    assert parse_addressed_header(message) == unknown
    assert opened(message, ALICE) == b"plain"


def test_as_many_recipients_as_one_byte_counts_and_no_more() -> None:
    """One that is named twice is sealed to once; none is a mistake."""
    keys = [RecipientKey.generate("HPKE-P256") for _ in range(3)]
    assert len(parse_addressed_header(sealed(*keys, *keys)).blobs) == 3
    with pytest.raises(InvalidInputError, match="1 to 255"):
        sealed()
    blob = seal_to_recipient(keys[0].public, DATA_KEY, info=INFO)
    most = AddressedHeader((blob,) * MOST_RECIPIENTS)
    assert parse_addressed_header(most.raw) == most
    many = itertools.islice(_points(), MOST_RECIPIENTS + 1)
    with pytest.raises(InvalidInputError, match="1 to 255"):
        sealer_for([each.public for each in many], DATA_KEY)


def _points() -> itertools.chain[RecipientKey]:
    return itertools.chain.from_iterable(
        [RecipientKey.from_private_bytes("HPKE-P256", number.to_bytes(32, "big"))]
        for number in range(1, 300)
    )


def test_hybrid_recipients_and_others_are_not_mixed() -> None:
    """What is recorded today would be read later by the weakest of its keys."""
    hybrid = KEYS["HPKE-MLKEM768-X25519"]
    with pytest.raises(InvalidInputError, match="not mixed"):
        sealed(hybrid, ALICE)
    assert opened(sealed(hybrid, RecipientKey.generate(hybrid.public.algorithm)), hybrid) == (
        b"plain"
    )


def test_no_two_messages_have_a_blob_in_common() -> None:
    """Each is sealed anew, also under one data key."""
    blobs = [parse_addressed_header(sealed(ALICE, BOB)).blobs for _ in range(5)]
    assert len({blob for each in blobs for blob in each}) == 10
