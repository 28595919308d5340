"""Keys from passphrases."""

from __future__ import annotations

import hashlib
import unicodedata
from typing import Any

import pytest

from mycelium_fractal_net.security.algorithms.key_derivation import (
    MIN_ITERATIONS,
    derive_from_passphrase,
)
from mycelium_fractal_net.security.errors import InvalidInputError

SALT = bytes(range(16))


class TestPassphrases:
    """PBKDF2-HMAC-SHA-256 with a floor."""

    def test_a_key_is_what_the_standard_library_derives(self) -> None:
        """32 bytes of plain PBKDF2-HMAC-SHA-256, which anyone can derive again."""
        derived = derive_from_passphrase(b"correct horse", SALT, MIN_ITERATIONS)
        assert derived == hashlib.pbkdf2_hmac("sha256", b"correct horse", SALT, 200_000)
        assert len(derived) == 32

    @pytest.mark.parametrize(
        "iterations", [-1, 0, 1, 199_999, 10_000_001, 2**40, True, 200_000.0, "200000", None]
    )
    def test_a_count_out_of_range_is_refused_at_once(self, iterations: Any) -> None:
        """Below the floor it is too easy to guess; far above, a stored block stops its reader."""
        with pytest.raises(InvalidInputError, match="200,000 to 10,000,000"):
            derive_from_passphrase(b"x", SALT, iterations)

    @pytest.mark.parametrize("size", [0, 8, 15, 65, 1000])
    def test_a_salt_of_another_size_is_refused(self, size: int) -> None:
        """At least 128 bits (SP 800-132), and no more than anybody needs."""
        with pytest.raises(InvalidInputError, match="16 to 64 bytes"):
            derive_from_passphrase(b"x", bytes(size), MIN_ITERATIONS)

    @pytest.mark.parametrize("salt", ["s" * 16, None, 16])
    def test_text_is_no_salt(self, salt: Any) -> None:
        """A salt is bytes."""
        with pytest.raises(InvalidInputError):
            derive_from_passphrase(b"x", salt, MIN_ITERATIONS)

    @pytest.mark.parametrize("passphrase", ["", b"", bytearray(), None, 5, ["x"]])
    def test_an_empty_passphrase_is_refused(self, passphrase: Any) -> None:
        """An unset variable must not become a key; neither must what is no text or bytes."""
        with pytest.raises(InvalidInputError):
            derive_from_passphrase(passphrase, SALT, MIN_ITERATIONS)

    def test_text_is_the_same_from_every_keyboard(self) -> None:
        """Composed and decomposed letters give one key, that of NFC in UTF-8."""
        composed = "pässwörd"
        decomposed = unicodedata.normalize("NFD", composed)
        assert composed != decomposed
        keys = {
            derive_from_passphrase(form, SALT, MIN_ITERATIONS)
            for form in (composed, decomposed, composed.encode(), bytearray(composed.encode()))
        }
        assert len(keys) == 1

    def test_letters_that_only_look_alike_stay_apart(self) -> None:
        """NFC, not NFKC: a ligature is not two letters."""
        assert derive_from_passphrase("ﬁx", SALT, MIN_ITERATIONS) != derive_from_passphrase(
            "fix", SALT, MIN_ITERATIONS
        )

    def test_text_that_is_not_unicode_is_refused_without_quoting_it(self) -> None:
        """Lone surrogates come from broken arguments; Python's own error would quote the text."""
        with pytest.raises(InvalidInputError) as caught:
            derive_from_passphrase("hunter2\udc80", SALT, MIN_ITERATIONS)
        assert "hunter2" not in str(caught.value)
        assert caught.value.__suppress_context__

    def test_passphrase_salt_and_count_each_change_the_key(self) -> None:
        """None of them is left out."""
        keys = {
            derive_from_passphrase(*arguments)
            for arguments in (
                (b"x", SALT, 200_000),
                (b"y", SALT, 200_000),
                (b"x", SALT[::-1], 200_000),
                (b"x", SALT, 200_001),
            )
        }
        assert len(keys) == 4
