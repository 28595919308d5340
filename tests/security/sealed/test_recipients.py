"""Sealing to a recipient's public key."""

from __future__ import annotations

import copy
import mmap
import pickle
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from mycelium_fractal_net.security.byte_io.pem import pem_encode
from mycelium_fractal_net.security.errors import (
    DecryptionError,
    InvalidInputError,
    InvalidKeyError,
)
from mycelium_fractal_net.security.sealed.recipients import (
    OVERHEAD_BYTES,
    Recipient,
    RecipientKey,
    open_as_recipient,
    seal_to_recipient,
)

KEY = RecipientKey.generate()
P = 2**255 - 19

# RFC 7748 section 6.1 wants these noticed: the u of all points of low order on the curve and
# its twist, by the names of the order.
LOW_ORDER = [
    0,
    1,
    P - 1,
    325606250916557431795983626356110631294008115727848805560023387167927233504,
    39382357235489614581723060781553021112529911719440698176882885853963445705823,
]


class TestSealing:
    """What is sealed to a key opens with it, and with nothing else."""

    @pytest.mark.parametrize("size", [0, 1, 100, 300_000])
    def test_the_recipient_opens_it(self, size: int) -> None:
        """Plaintexts of any size; the blob is 58 bytes longer."""
        plaintext = bytes(size)
        blob = seal_to_recipient(KEY.public, plaintext, info=b"backup", associated_data=b"row")
        assert len(blob) == size + OVERHEAD_BYTES == size + 58
        assert open_as_recipient(KEY, blob, info=b"backup", associated_data=b"row") == plaintext

    def test_the_blob_says_its_version_and_suite(self) -> None:
        """X25519, HKDF-SHA256 and AES-256-GCM by their numbers in RFC 9180 section 7."""
        blob = seal_to_recipient(KEY.public, b"")
        assert blob[:10] == b"MFH\x01" + b"\x00\x20" + b"\x00\x01" + b"\x00\x02"

    def test_another_hpke_implementation_can_open_it(self) -> None:
        """By the form that the module's docstring gives and nothing else."""
        blob = seal_to_recipient(KEY.public, b"plain", info=b"info", associated_data=b"data")
        suite = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
        info = (
            b"mycelium-fractal-net/hpke/v1" + blob[:10] + (4).to_bytes(8, "big") + b"info" + b"data"
        )
        private = X25519PrivateKey.from_private_bytes(KEY.private_bytes())
        assert suite.decrypt(blob[10:], private, info) == b"plain"
        ours = blob[:10] + suite.encrypt(b"other", private.public_key(), info)
        assert open_as_recipient(KEY, ours, info=b"info", associated_data=b"data") == b"other"

    def test_no_two_blobs_are_alike(self) -> None:
        """Each has an ephemeral key of its own."""
        blobs = [seal_to_recipient(KEY.public, b"same") for _ in range(20)]
        assert len({blob[10:42] for blob in blobs}) == 20
        assert len({blob[42:] for blob in blobs}) == 20

    def test_every_flipped_bit_and_every_cut_is_refused(self) -> None:
        """Header, suite, ephemeral key, body and tag; one error with one text."""
        blob = seal_to_recipient(KEY.public, b"plain")
        changed = [blob[:length] for length in range(len(blob))]
        changed += [blob + b"\0", b"\0" + blob]
        for position in range(len(blob) * 8):
            flipped = bytearray(blob)
            flipped[position // 8] ^= 1 << position % 8
            changed.append(bytes(flipped))
        for wrong in changed:
            with pytest.raises(DecryptionError) as caught:
                open_as_recipient(KEY, wrong)
            assert str(caught.value) == DecryptionError.TEXT
            assert caught.value.__cause__ is None

    def test_an_ephemeral_key_of_low_order_is_refused(self) -> None:
        """Or else anybody knows the shared secret."""
        blob = seal_to_recipient(KEY.public, b"plain")
        for u in LOW_ORDER:
            forged = blob[:10] + u.to_bytes(32, "little") + blob[42:]
            with pytest.raises(DecryptionError):
                open_as_recipient(KEY, forged)

    def test_other_keys_infos_and_associated_data_are_refused(self) -> None:
        """Also where bytes only move from one of them to the other."""
        blob = seal_to_recipient(KEY.public, b"plain", info=b"ab", associated_data=b"cd")
        other = RecipientKey.generate()
        for key, info, data in (
            (other, b"ab", b"cd"),
            (KEY, b"ab", b"ce"),
            (KEY, b"aa", b"cd"),
            (KEY, b"abc", b"d"),
            (KEY, b"a", b"bcd"),
            (KEY, b"", b"abcd"),
            (KEY, b"abcd", b""),
            (KEY, b"", b""),
        ):
            with pytest.raises(DecryptionError):
                open_as_recipient(key, blob, info=info, associated_data=data)

    def test_any_buffer_goes_in_and_text_does_not(self) -> None:
        """In each place, at both ends."""
        wide: Any = memoryview(b"datadata").cast("Q")
        blob = seal_to_recipient(KEY.public, wide, info=bytearray(b"i"), associated_data=wide)
        opened = open_as_recipient(
            KEY, bytearray(blob), info=memoryview(b"i"), associated_data=b"datadata"
        )
        assert opened == b"datadata"
        text: Any = "text"
        for wrong in ({"info": text}, {"associated_data": text}):
            with pytest.raises(InvalidInputError):
                seal_to_recipient(KEY.public, b"", **wrong)
            with pytest.raises(InvalidInputError):
                open_as_recipient(KEY, blob, **wrong)
        with pytest.raises(InvalidInputError):
            seal_to_recipient(KEY.public, text)
        with pytest.raises(InvalidInputError):
            open_as_recipient(KEY, text)

    def test_more_than_the_library_takes_at_once_is_refused(self) -> None:
        """2 GiB is refused before a byte is touched."""
        with mmap.mmap(-1, 2**31) as untouched, pytest.raises(InvalidInputError, match="at a time"):
            seal_to_recipient(KEY.public, untouched)


class TestKeys:
    """X25519 keys, as bytes and PEM."""

    def test_keys_survive_each_encoding(self) -> None:
        """Both halves, as bytes and as PEM, which is what cryptography itself writes."""
        public, raw = KEY.public, X25519PrivateKey.from_private_bytes(KEY.private_bytes())
        for again in (
            Recipient.from_bytes(public.public_bytes()),
            Recipient.from_pem(public.pem()),
            Recipient.from_pem(public.pem().decode()),
            RecipientKey.from_private_bytes(bytearray(KEY.private_bytes())).public,
            RecipientKey.from_pem(KEY.private_pem()).public,
        ):
            assert again == public
            assert hash(again) == hash(public)
        assert public.pem() == raw.public_key().public_bytes(
            Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
        )
        assert KEY.private_pem() == raw.private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
        )
        assert public != RecipientKey.generate().public
        assert public != public.public_bytes()

    @pytest.mark.parametrize("u", LOW_ORDER)
    def test_a_public_key_of_low_order_is_refused(self, u: int) -> None:
        """Sealing to it would seal to everybody."""
        with pytest.raises(InvalidKeyError):
            Recipient.from_bytes(u.to_bytes(32, "little"))

    @pytest.mark.parametrize("u", [P, P + 1, P + 9, 2**255 - 1, 9 + 2**255, 2**256 - 1])
    def test_a_public_key_in_another_spelling_is_refused(self, u: int) -> None:
        """RFC 7748 takes unreduced u and ignores the top bit; here a key has one encoding."""
        with pytest.raises(InvalidKeyError):
            Recipient.from_bytes(u.to_bytes(32, "little"))

    @pytest.mark.parametrize("size", [0, 31, 33, 64])
    def test_keys_of_another_size_are_refused(self, size: int) -> None:
        """32 bytes or an error."""
        with pytest.raises(InvalidKeyError, match="32 bytes"):
            Recipient.from_bytes(bytes(size))
        with pytest.raises(InvalidKeyError, match="32 bytes"):
            RecipientKey.from_private_bytes(bytes(size))

    def test_other_keys_and_encodings_in_pem_are_refused(self) -> None:
        """Ed25519, the other half, garbage, and a second DER form of the right key."""
        ed25519 = Ed25519PrivateKey.generate()
        private = ed25519.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        public = ed25519.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        # RFC 5958 version 2 carries the public key too, as [1].
        inner = b"\x02\x01\x01\x30\x05\x06\x03\x2b\x65\x6e\x04\x22\x04\x20" + KEY.private_bytes()
        inner += b"\x81\x21\x00" + KEY.public.public_bytes()
        version_2 = pem_encode("PRIVATE KEY", b"\x30" + bytes([len(inner)]) + inner)
        for wrong in (private, KEY.public.pem(), pem_encode("PRIVATE KEY", b"\x30\x00"), version_2):
            with pytest.raises(InvalidKeyError):
                RecipientKey.from_pem(wrong)
        for wrong in (public, KEY.private_pem(), pem_encode("PUBLIC KEY", b"\x30\x00")):
            with pytest.raises(InvalidKeyError):
                Recipient.from_pem(wrong)

    def test_a_private_key_is_shown_pickled_and_copied_by_nobody(self) -> None:
        """It is handed out by private_bytes and private_pem alone."""
        assert repr(KEY) == "RecipientKey(X25519)"
        assert repr(KEY.public) == "Recipient(X25519)"
        for attempt in (pickle.dumps, copy.copy, copy.deepcopy):
            with pytest.raises(TypeError, match="private_bytes"):
                attempt(KEY)
