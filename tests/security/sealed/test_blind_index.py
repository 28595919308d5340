"""Tags of blind indexes: equal for what counts as equal, and different for everything else."""

from __future__ import annotations

import hashlib
import hmac
from itertools import combinations

import pytest

from mycelium_fractal_net.security.errors import InvalidInputError, InvalidKeyError
from mycelium_fractal_net.security.records.index_fields import IndexField
from mycelium_fractal_net.security.sealed.blind_index import FieldKey, IndexKey

KEY = hashlib.sha256(b"mycelium-fractal-net test key").digest()
INDEX = IndexKey(KEY)


def tag(value: bytes | str, context: bytes = b"users.email", **options: object) -> bytes:
    return INDEX.field(IndexField.checked(context, **options)).tag(value)  # type: ignore[arg-type]


def _from_the_document(value: bytes, context: bytes, name: bytes, bits: int) -> bytes:
    """docs/format.md, "Blind indexes", read by somebody who has nothing but that page."""

    def prefixed(part: bytes) -> bytes:
        return len(part).to_bytes(8, "big") + part

    label = b"mycelium-fractal-net/index/v1"
    named = prefixed(label) + prefixed(name) + prefixed(context) + bits.to_bytes(2, "big")
    field_key = hmac.digest(KEY, named, "sha256")
    whole = hmac.digest(field_key, value, "sha256")
    in_binary = "".join(f"{byte:08b}" for byte in whole)[:bits]
    return bytes(int(in_binary[at : at + 8].ljust(8, "0"), 2) for at in range(0, len(in_binary), 8))


@pytest.mark.parametrize("bits", [4, 5, 8, 9, 16, 31, 32, 255, 256])
@pytest.mark.parametrize("value", [b"", b"alice@example.com", bytes(1000)])
def test_a_tag_is_what_the_document_says(bits: int, value: bytes) -> None:
    """Whole, and cut short at any bit."""
    expected = _from_the_document(value, b"users.email", b"exact", bits)
    assert tag(value, bits=None if bits == 256 else bits) == expected


def test_fields_that_differ_in_anything_share_no_tag() -> None:
    """Context, normalisation and length, however one might be read as part of another."""
    tags = [
        tag("a", context, bits=bits, normalisation=name)
        for context in (b"users.email", b"users.emai", b"users.emaill")
        for bits in (None, 255)
        for name in ("exact", "nfc", "caseless")
    ]
    cut = [each[:16] for each in tags]
    assert all(one != other for one, other in combinations(cut, 2))


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("stra\u00dfe", "STRASSE", {"caseless"}),
        ("Alice@Example.com", "alice@example.com", {"caseless"}),
        ("caf\u00e9", "cafe\u0301", {"nfc", "caseless"}),
        ("\u0391\u0301", "\u03ac", {"caseless"}),
        ("\u212b", "\u00c5", {"nfc", "caseless"}),
        ("alice", "alice ", set()),
        ("p\u0430ypal", "paypal", set()),  # a Cyrillic letter
    ],
)
def test_each_normalisation_finds_what_it_says(one: str, other: str, same: set[str]) -> None:
    """None trims, and none takes letters for each other that only look alike."""
    for name in ("exact", "nfc", "caseless"):
        assert (tag(one, normalisation=name) == tag(other, normalisation=name)) == (name in same)


def test_bytes_in_any_buffer_have_the_same_tag() -> None:
    """Of one byte each, in one piece."""
    for buffer in (bytearray(b"alice"), memoryview(b"xalicex")[1:6]):
        assert tag(buffer) == tag(b"alice")  # type: ignore[arg-type]


def test_text_is_the_bytes_of_its_utf_8() -> None:
    """So that a field of text and one of bytes can be asked in both ways."""
    for name in ("exact", "nfc", "caseless"):
        assert tag("Zo\u00eb", normalisation=name) == tag("Zo\u00eb".encode(), normalisation=name)


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ("\ud800", "exact"),
        ("\udfff", "caseless"),
        (b"\xff", "nfc"),
        (b"\xed\xa0\x80", "caseless"),
        ("a\u0378", "nfc"),  # not assigned, so another Python may know a form of it
        ("a\U0003fffd", "caseless"),
    ],
)
def test_what_cannot_be_normalised_for_ever_is_refused(value: bytes | str, name: str) -> None:
    """And not found again one day."""
    with pytest.raises(InvalidInputError):
        tag(value, normalisation=name)


@pytest.mark.parametrize("bits", [0, 3, 257, -1, True, 8.0])
def test_bits_are_within_their_bounds(bits: object) -> None:
    """A tag of none would find everything."""
    with pytest.raises(InvalidInputError, match="4 to 256"):
        tag(b"a", bits=bits)


def test_a_field_has_a_name_and_a_known_normalisation() -> None:
    """An empty context is a mistake."""
    with pytest.raises(InvalidInputError, match="context"):
        tag(b"a", b"")
    with pytest.raises(InvalidInputError, match="exact, nfc, caseless"):
        tag(b"a", normalisation="lower")


def test_keys_are_of_their_size_and_not_shown() -> None:
    """A reprs ends in a log."""
    field = IndexField.checked(b"users.email")
    for size in (0, 31, 33, 64):
        with pytest.raises(InvalidKeyError, match="exactly 32"):
            IndexKey(bytes(size))
    assert KEY.hex() not in repr(INDEX) + repr(FieldKey(INDEX.field_key(field), field))


def test_a_lent_field_key_makes_the_same_tags() -> None:
    """And none of another field."""
    field = IndexField.checked(b"users.email", 64)
    lent = FieldKey(INDEX.field_key(field), field)
    assert lent.tag("a") == tag("a", bits=64)
    assert INDEX.field_key(field) != INDEX.field_key(IndexField.checked(b"users.phone", 64))
