"""Keys from passphrases and from other keys."""

from __future__ import annotations

import hashlib
import json
import unicodedata
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mycelium_fractal_net.security.algorithms.key_derivation import (
    MAX_ITERATIONS,
    MIN_ITERATIONS,
    OWASP_2023,
    PLAN_2025,
    PassphraseParameters,
    derive_from_passphrase,
    hkdf,
)
from mycelium_fractal_net.security.errors import (
    AlgorithmNotAllowedError,
    InvalidInputError,
    MfnError,
)

SALT = bytes(range(16))
counts = st.integers(MIN_ITERATIONS, MAX_ITERATIONS)
salts = st.binary(min_size=16, max_size=64)


class TestPassphrases:
    """PBKDF2-HMAC-SHA-256 with a floor."""

    def test_a_key_is_what_the_standard_library_derives(self) -> None:
        """32 bytes of plain PBKDF2-HMAC-SHA-256, which anyone can derive again."""
        derived = derive_from_passphrase(b"correct horse", SALT, PLAN_2025.iterations)
        assert derived == hashlib.pbkdf2_hmac("sha256", b"correct horse", SALT, 200_000)
        assert len(derived) == 32

    def test_the_profiles_have_the_counts_of_their_sources(self) -> None:
        """The plan's 200,000, which is the floor, and OWASP's 600,000."""
        assert (PLAN_2025.name, PLAN_2025.iterations) == ("plan-2025", 200_000)
        assert (OWASP_2023.name, OWASP_2023.iterations) == ("owasp-2023", 600_000)
        assert PLAN_2025.iterations == MIN_ITERATIONS

    @pytest.mark.parametrize(
        "iterations", [-1, 0, 1, 199_999, 10_000_001, 2**40, True, 200_000.0, "200000", None]
    )
    def test_a_count_out_of_range_is_refused_at_once(self, iterations: Any) -> None:
        """Below the floor it is too easy to guess; far above, a stored block stops its reader."""
        with pytest.raises(InvalidInputError, match="200,000 to 10,000,000"):
            derive_from_passphrase(b"x", SALT, iterations)
        with pytest.raises(InvalidInputError, match="200,000 to 10,000,000"):
            PassphraseParameters(iterations, SALT)

    @pytest.mark.parametrize("size", [0, 8, 15, 65, 1000])
    def test_a_salt_of_another_size_is_refused(self, size: int) -> None:
        """At least 128 bits (SP 800-132), and no more than anybody needs."""
        with pytest.raises(InvalidInputError, match="16 to 64 bytes"):
            derive_from_passphrase(b"x", bytes(size), MIN_ITERATIONS)
        with pytest.raises(InvalidInputError, match="16 to 64 bytes"):
            PassphraseParameters(MIN_ITERATIONS, bytes(size))

    @pytest.mark.parametrize("salt", ["s" * 16, None, 16])
    def test_text_is_no_salt(self, salt: Any) -> None:
        """A salt is bytes."""
        with pytest.raises(InvalidInputError):
            derive_from_passphrase(b"x", salt, MIN_ITERATIONS)
        with pytest.raises(InvalidInputError):
            PassphraseParameters(MIN_ITERATIONS, salt)

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


class TestParameters:
    """Every stored blob says its own parameters."""

    def test_new_parameters_have_a_salt_of_their_own(self) -> None:
        """32 random bytes, and the count that OWASP advises unless another is asked for."""
        first, second = PassphraseParameters.new(), PassphraseParameters.new(PLAN_2025)
        assert (first.iterations, second.iterations) == (600_000, 200_000)
        assert len(first.salt) == len(second.salt) == 32
        assert first.salt != second.salt

    def test_parameters_derive_what_they_say(self) -> None:
        """The same as the function with their numbers."""
        parameters = PassphraseParameters(200_000, SALT)
        assert parameters.derive("x") == derive_from_passphrase("x", SALT, 200_000)

    def test_parameters_know_their_profile(self) -> None:
        """By its count; a count of nobody has none."""
        assert PassphraseParameters(200_000, SALT).profile is PLAN_2025
        assert PassphraseParameters(600_000, SALT).profile is OWASP_2023
        assert PassphraseParameters(310_000, SALT).profile is None

    def test_the_bytes_are_those_of_the_format(self) -> None:
        """JSON that says function, count and salt."""
        encoded = PassphraseParameters(200_000, SALT).encode()
        assert encoded == (
            b'{"kdf":"PBKDF2-SHA256","iterations":200000,"salt":"AAECAwQFBgcICQoLDA0ODw"}'
        )

    @given(counts, salts)
    def test_what_is_encoded_decodes_to_itself(self, iterations: int, salt: bytes) -> None:
        """As bytes, and as a member of a JSON document."""
        parameters = PassphraseParameters(iterations, salt)
        assert PassphraseParameters.decode(parameters.encode()) == parameters
        assert PassphraseParameters.decode(memoryview(parameters.encode())) == parameters
        document = json.loads(json.dumps(parameters.to_dict()))
        assert PassphraseParameters.from_dict(document) == parameters

    @given(st.binary(max_size=200))
    def test_what_decodes_encodes_to_the_same_bytes(self, data: bytes) -> None:
        """Nothing has two spellings."""
        try:
            parameters = PassphraseParameters.decode(data)
        except MfnError:
            return
        assert parameters.encode() == data

    @pytest.mark.parametrize(
        "change",
        [
            lambda good: b"",
            lambda good: b"[" * 600,
            lambda good: b"null",
            lambda good: b"[]",
            lambda good: b" " + good,
            lambda good: good + b"\n",
            lambda good: good.replace(b":200000", b": 200000"),
            lambda good: good.replace(b":200000", b":200000.0"),
            lambda good: good.replace(b":200000", b":2e5"),
            lambda good: good.replace(b":200000", b":199999"),
            lambda good: good.replace(b":200000", b":99999999999"),
            lambda good: good.replace(b":200000", b":true"),
            lambda good: good.replace(b"}", b',"more":1}'),
            lambda good: good.replace(b"}", b',"iterations":200000}'),
            lambda good: good.replace(b'"iterations":200000,', b""),
            lambda good: good.replace(b'ODw"', b'ODw=="'),
            lambda good: good.replace(b'ODw"', b'ODx"'),
            lambda good: good.replace(b'"AAECAwQFBgcICQoLDA0ODw"', b"null"),
            lambda good: good.replace(b'"AAECAwQFBgcICQoLDA0ODw"', b'"AAEC"'),
            lambda good: good.replace(b"iterations", b"\\u0069terations"),
            lambda good: good.decode().encode("utf-16"),
            lambda good: b"\xef\xbb\xbf" + good,
            lambda good: good + b" " * 600,
        ],
    )
    def test_another_spelling_or_content_is_refused(self, change: Any) -> None:
        """Blanks, other numbers, doubled, missing and foreign members, bad salts, encodings."""
        good = PassphraseParameters(200_000, SALT).encode()
        with pytest.raises(InvalidInputError):
            PassphraseParameters.decode(change(good))

    @pytest.mark.parametrize("name", ["PBKDF2-SHA1", "scrypt", "", None, 5, ["PBKDF2-SHA256"]])
    def test_another_function_is_refused(self, name: Any) -> None:
        """A block cannot choose a weaker one."""
        block = {**PassphraseParameters(200_000, SALT).to_dict(), "kdf": name}
        with pytest.raises(AlgorithmNotAllowedError):
            PassphraseParameters.from_dict(block)


class TestHkdf:
    """RFC 5869; its vectors are in tests/vectors."""

    def test_each_input_changes_the_key(self) -> None:
        """Secret, salt, info and hash."""
        base: dict[str, Any] = {"salt": b"s", "info": b"i"}
        changes: list[dict[str, Any]] = [
            {},
            {"salt": b"t"},
            {"salt": None},
            {"info": b"j"},
            {"hash": "SHA-384"},
            {"hash": "SHA-512"},
        ]
        keys = {hkdf(b"secret", **{**base, **change}) for change in changes}
        keys.add(hkdf(b"secreu", **base))
        assert len(keys) == 7
        assert all(len(key) == 32 for key in keys)

    def test_no_salt_is_as_many_zeros_as_the_hash_is_long(self) -> None:
        """RFC 5869 section 2.2; an empty salt is the same to HMAC."""
        assert hkdf(b"secret") == hkdf(b"secret", salt=bytes(32)) == hkdf(b"secret", salt=b"")

    def test_any_buffer_goes_in(self) -> None:
        """bytearray and memoryview in each place."""
        assert hkdf(bytearray(b"k"), salt=memoryview(b"s"), info=bytearray(b"i")) == hkdf(
            b"k", salt=b"s", info=b"i"
        )

    @pytest.mark.parametrize(("name", "size"), [("SHA-256", 32), ("SHA-384", 48), ("SHA-512", 64)])
    def test_the_length_is_bounded_by_the_hash(self, name: str, size: int) -> None:
        """1 byte to 255 blocks, RFC 5869 section 2.3."""
        assert len(hkdf(b"secret", length=1, hash=name)) == 1
        assert len(hkdf(b"secret", length=255 * size, hash=name)) == 255 * size
        wrong: list[Any] = [0, -1, 255 * size + 1, True, 1.0, None]
        for length in wrong:
            with pytest.raises(InvalidInputError):
                hkdf(b"secret", length=length, hash=name)

    def test_other_hashes_are_refused(self) -> None:
        """SHA-1 and MD5 among them."""
        for name in ("SHA-1", "MD5", "sha256", ""):
            with pytest.raises(AlgorithmNotAllowedError):
                hkdf(b"secret", hash=name)

    @pytest.mark.parametrize("secret", [b"", "text", None])
    def test_an_empty_secret_is_refused(self, secret: Any) -> None:
        """A key derived from nothing is known to everybody."""
        with pytest.raises(InvalidInputError):
            hkdf(secret)
