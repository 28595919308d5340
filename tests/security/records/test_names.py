"""Names in ASCII: no two look alike, and none is spelt in two ways."""

from __future__ import annotations

import unicodedata

import pytest

from mycelium_fractal_net.security.errors import InvalidInputError
from mycelium_fractal_net.security.records.credentials import check_name
from mycelium_fractal_net.security.records.keys import parse_key_id
from mycelium_fractal_net.security.records.signers import check_signer

LOOKS_LIKE_ORDERS = [
    "\u043erders",  # Cyrillic
    "\u03bfrders",  # Greek
    "\uff4f\uff52\uff44\uff45\uff52\uff53",  # wide
    "or\u200bders",  # zero width
    "\u2060orders",
    "orders\ufe0f",  # a variation selector
    "\u202eorders\u202c",  # turned round, twice
    "o\u0072\u0307ders",  # a dot above
    "\U0001d428rders",  # mathematical
]


@pytest.mark.parametrize("name", LOOKS_LIKE_ORDERS)
def test_what_looks_like_another_name_is_none(name: str) -> None:
    """Of keys, versions, signers and credentials."""
    with pytest.raises(InvalidInputError):
        parse_key_id(name)
    with pytest.raises(InvalidInputError):
        parse_key_id(f"{name}:v1")
    with pytest.raises(InvalidInputError):
        check_signer(name, (), True)
    with pytest.raises(InvalidInputError):
        check_name(name)


@pytest.mark.parametrize(
    "version", ["v\u0661", "v\uff11", "v01", "v1_0", "v+1", "v1 ", "\u2174\u0031", "V1"]
)
def test_a_version_has_one_number(version: str) -> None:
    """In the digits that are seen, without zeros before it."""
    with pytest.raises(InvalidInputError):
        parse_key_id(f"orders:{version}")


def test_a_name_has_one_spelling() -> None:
    """What is taken is the same in every normal form of Unicode."""
    for name in ("orders", "a.b_c-d9"):
        assert parse_key_id(name) == (name, None)
        for form in ("NFC", "NFD", "NFKC", "NFKD"):
            assert unicodedata.normalize(form, name) == name
