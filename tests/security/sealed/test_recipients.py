"""Sealing to a recipient's public key."""

from __future__ import annotations

import copy
import mmap
import pickle
from itertools import permutations
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_private_key,
    load_der_public_key,
    load_pem_private_key,
    load_pem_public_key,
)

from mycelium_fractal_net.security.byte_io.pem import pem_encode
from mycelium_fractal_net.security.errors import (
    AlgorithmNotAllowedError,
    DecryptionError,
    InvalidInputError,
    InvalidKeyError,
)
from mycelium_fractal_net.security.sealed.recipients import (
    Recipient,
    RecipientKey,
    open_as_recipient,
    seal_to_recipient,
)
from tests.support.algorithms import HPKE, RecipientKeys

X25519 = "HPKE-X25519"
P = 2**255 - 19

# By suite: KEM, KDF and AEAD as RFC 9180 section 7 numbers them, the library's, and the sizes.
SUITES = {
    X25519: ("0020 0001 0002", KEM.X25519, KDF.HKDF_SHA256, 32, 32),
    "HPKE-P256": ("0010 0001 0002", KEM.P256, KDF.HKDF_SHA256, 65, 32),
    "HPKE-P384": ("0011 0002 0002", KEM.P384, KDF.HKDF_SHA384, 97, 48),
}
KEYS = RecipientKeys()
KEY = KEYS[HPKE]
EACH = pytest.mark.parametrize("algorithm", SUITES)
CURVES = {"HPKE-P256": ec.SECP256R1(), "HPKE-P384": ec.SECP384R1()}
FIELDS = {  # SP 800-186 sections 3.2.1.3 and 3.2.1.4
    "HPKE-P256": 2**256 - 2**224 + 2**192 + 2**96 - 1,
    "HPKE-P384": 2**384 - 2**128 - 2**96 + 2**32 - 1,
}
EACH_CURVE = pytest.mark.parametrize("algorithm", CURVES)

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

    @EACH
    @pytest.mark.parametrize("size", [0, 1, 100, 300_000])
    def test_the_recipient_opens_it(self, algorithm: str, size: int) -> None:
        """Plaintexts of any size; the blob is longer by what the key says."""
        key, plaintext = KEYS[algorithm], bytes(size)
        blob = seal_to_recipient(key.public, plaintext, info=b"backup", associated_data=b"row")
        assert len(blob) == size + key.public.overhead_bytes == size + 26 + SUITES[algorithm][3]
        assert open_as_recipient(key, blob, info=b"backup", associated_data=b"row") == plaintext

    @EACH
    def test_the_blob_says_its_version_and_suite(self, algorithm: str) -> None:
        """KEM, KDF and AEAD by their numbers in RFC 9180 section 7."""
        blob = seal_to_recipient(KEYS[algorithm].public, b"")
        assert blob[:10] == b"MFH\x01" + bytes.fromhex(SUITES[algorithm][0])

    @EACH
    def test_another_hpke_implementation_can_open_it(self, algorithm: str) -> None:
        """By the form that the module's docstring gives and nothing else."""
        key, (_, kem, kdf, _, _) = KEYS[algorithm], SUITES[algorithm]
        blob = seal_to_recipient(key.public, b"plain", info=b"info", associated_data=b"data")
        suite = Suite(kem, kdf, AEAD.AES_256_GCM)
        info = (
            b"mycelium-fractal-net/hpke/v1" + blob[:10] + (4).to_bytes(8, "big") + b"info" + b"data"
        )
        private: Any = load_pem_private_key(key.private_pem(), password=None)
        assert suite.decrypt(blob[10:], private, info) == b"plain"
        ours = blob[:10] + suite.encrypt(b"other", private.public_key(), info)
        assert open_as_recipient(key, ours, info=b"info", associated_data=b"data") == b"other"

    @EACH
    def test_no_two_blobs_are_alike(self, algorithm: str) -> None:
        """Each has an ephemeral key of its own."""
        end = 10 + SUITES[algorithm][3]
        blobs = [seal_to_recipient(KEYS[algorithm].public, b"same") for _ in range(20)]
        assert len({blob[10:end] for blob in blobs}) == 20
        assert len({blob[end:] for blob in blobs}) == 20

    @pytest.mark.parametrize(("algorithm", "other"), [*permutations(SUITES, 2)])
    def test_a_key_of_one_suite_opens_nothing_of_another(self, algorithm: str, other: str) -> None:
        """The header says of which it is."""
        blob = seal_to_recipient(KEYS[algorithm].public, bytes(100))
        with pytest.raises(DecryptionError):
            open_as_recipient(KEYS[other], blob)

    @EACH_CURVE
    def test_an_ephemeral_point_in_another_form_is_refused(self, algorithm: str) -> None:
        """Hybrid, compressed, infinity, off the curve; and its negative, whose x is alike."""
        key, size = KEYS[algorithm], SUITES[algorithm][3]
        blob = seal_to_recipient(key.public, b"plain")
        enc, rest = blob[10 : 10 + size], blob[10 + size :]
        numbers = ec.EllipticCurvePublicKey.from_encoded_point(
            CURVES[algorithm], enc
        ).public_numbers()
        negative = ec.EllipticCurvePublicNumbers(
            numbers.x, FIELDS[algorithm] - numbers.y, numbers.curve
        ).public_key()
        compressed = bytes([2 + numbers.y % 2]) + enc[1 : size // 2 + 1]
        for wrong in (
            bytes([6 + numbers.y % 2]) + enc[1:],
            compressed + rest[: size // 2],
            compressed,
            bytes(size),
            b"\x04" + bytes(size - 1),
            b"\x04" + b"\xff" * (size - 1),
            negative.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint),
        ):
            with pytest.raises(DecryptionError):
                open_as_recipient(key, blob[:10] + wrong + rest)

    @pytest.mark.parametrize("algorithm", [X25519, "HPKE-P256"])
    def test_every_flipped_bit_and_every_cut_is_refused(self, algorithm: str) -> None:
        """Header, suite, ephemeral key, body and tag; one error with one text."""
        key = KEYS[algorithm]
        blob = seal_to_recipient(key.public, b"plain")
        changed = [blob[:length] for length in range(len(blob))]
        changed += [blob + b"\0", b"\0" + blob]
        for position in range(len(blob) * 8):
            flipped = bytearray(blob)
            flipped[position // 8] ^= 1 << position % 8
            changed.append(bytes(flipped))
        for wrong in changed:
            with pytest.raises(DecryptionError) as caught:
                open_as_recipient(key, wrong)
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
        other = RecipientKey.generate(X25519)
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
    """Keys of recipients, as bytes and PEM."""

    @EACH
    def test_keys_survive_each_encoding(self, algorithm: str) -> None:
        """Both halves, as bytes and as PEM, which is what cryptography itself reads and writes."""
        key = KEYS[algorithm]
        public, raw = key.public, load_pem_private_key(key.private_pem(), password=None)
        for again in (
            Recipient.from_bytes(algorithm, public.public_bytes()),
            Recipient.from_pem(public.pem()),
            Recipient.from_pem(public.pem().decode()),
            RecipientKey.from_private_bytes(algorithm, bytearray(key.private_bytes())).public,
            RecipientKey.from_pem(key.private_pem()).public,
        ):
            assert again == public
            assert again.algorithm == algorithm
            assert hash(again) == hash(public)
        assert public.pem() == raw.public_key().public_bytes(
            Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
        )
        assert key.private_pem() == raw.private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
        )
        assert public != RecipientKey.generate(algorithm).public
        assert public != public.public_bytes()
        assert (len(public.public_bytes()), len(key.private_bytes())) == SUITES[algorithm][3:]

    @EACH_CURVE
    def test_a_point_that_is_not_in_its_one_form_is_refused(self, algorithm: str) -> None:
        """Hybrid, compressed, off the curve, with a number past the field; in DER compressed."""
        public, size = KEYS[algorithm].public, SUITES[algorithm][3]
        raw = public.public_bytes()
        hybrid, off = bytes([6 + raw[-1] % 2]) + raw[1:], raw[:-1] + bytes([raw[-1] ^ 1])
        for wrong in (hybrid, off, bytes(size), b"\x04" + b"\xff" * (size - 1)):
            with pytest.raises(InvalidKeyError, match="not a usable point"):
                Recipient.from_bytes(algorithm, wrong)
        loaded: Any = load_pem_public_key(public.pem())
        compressed = loaded.public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
        with pytest.raises(InvalidKeyError, match=f"{size} bytes"):
            Recipient.from_bytes(algorithm, compressed)
        der = public.der().replace(raw, compressed)
        shorter = size - len(compressed)
        at = der.index(compressed) - 2  # the length of the BIT STRING, and before all of it
        der = bytes([0x30, der[1] - shorter, *der[2:at], der[at] - shorter, *der[at + 1 :]])
        load_der_public_key(der)
        with pytest.raises(InvalidKeyError, match="one DER"):
            Recipient.from_pem(pem_encode("PUBLIC KEY", der))

    @EACH_CURVE
    def test_a_private_key_without_its_public_half_is_another_encoding(
        self, algorithm: str
    ) -> None:
        """Others write it so; here a key has one encoding."""
        oids = {"HPKE-P256": "2a8648ce3d030107", "HPKE-P384": "2b81040022"}  # RFC 5480
        oid = bytes.fromhex(oids[algorithm])

        def der(tag: int, *parts: bytes) -> bytes:
            return bytes([tag, sum(map(len, parts))]) + b"".join(parts)

        scalar = der(0x04, KEYS[algorithm].private_bytes())
        inner = der(0x04, der(0x30, b"\x02\x01\x01", scalar))  # ECPrivateKey, RFC 5915
        kind = der(0x30, der(0x06, bytes.fromhex("2a8648ce3d0201")), der(0x06, oid))
        shorter = der(0x30, b"\x02\x01\x00", kind, inner)
        load_der_private_key(shorter, password=None)
        with pytest.raises(InvalidKeyError, match="one DER"):
            RecipientKey.from_pem(pem_encode("PRIVATE KEY", shorter))

    @EACH_CURVE
    def test_a_private_number_outside_of_the_order_is_refused(self, algorithm: str) -> None:
        """Zero, the order, and above."""
        size, order = SUITES[algorithm][4], CURVES[algorithm].group_order
        for number in (0, order, 2 ** (8 * size) - 1):
            with pytest.raises(InvalidKeyError, match="not a private key"):
                RecipientKey.from_private_bytes(algorithm, number.to_bytes(size, "big"))
        RecipientKey.from_private_bytes(algorithm, (order - 1).to_bytes(size, "big"))

    def test_a_suite_that_there_is_not_is_refused(self) -> None:
        """By name, and by a key of another curve."""
        with pytest.raises(AlgorithmNotAllowedError, match="HPKE-P256"):
            RecipientKey.generate("HPKE-P521")
        other = ec.generate_private_key(ec.SECP521R1())
        for wrong in (lambda: RecipientKey(other), lambda: Recipient(other.public_key())):
            with pytest.raises(InvalidKeyError, match="X25519, P-256 or P-384"):
                wrong()

    @pytest.mark.parametrize("u", LOW_ORDER)
    def test_a_public_key_of_low_order_is_refused(self, u: int) -> None:
        """Sealing to it would seal to everybody."""
        with pytest.raises(InvalidKeyError):
            Recipient.from_bytes(X25519, u.to_bytes(32, "little"))

    @pytest.mark.parametrize("u", [P, P + 1, P + 9, 2**255 - 1, 9 + 2**255, 2**256 - 1])
    def test_a_public_key_in_another_spelling_is_refused(self, u: int) -> None:
        """RFC 7748 takes unreduced u and ignores the top bit; here a key has one encoding."""
        with pytest.raises(InvalidKeyError):
            Recipient.from_bytes(X25519, u.to_bytes(32, "little"))

    @EACH
    @pytest.mark.parametrize("size", [0, 31, 33, 64])
    def test_keys_of_another_size_are_refused(self, algorithm: str, size: int) -> None:
        """The bytes of the suite or an error."""
        public, private = SUITES[algorithm][3:]
        with pytest.raises(InvalidKeyError, match=f"{public} bytes"):
            Recipient.from_bytes(algorithm, bytes(size))
        with pytest.raises(InvalidKeyError, match=f"{private} bytes"):
            RecipientKey.from_private_bytes(algorithm, bytes(size))

    def test_other_keys_and_encodings_in_pem_are_refused(self) -> None:
        """Ed25519, the other half, garbage, and a second DER form of the right key."""
        ed25519 = Ed25519PrivateKey.generate()
        private = ed25519.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        public = ed25519.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        # RFC 5958 version 2 carries the public key too, as [1].
        inner = (
            b"\x02\x01\x01\x30\x05\x06\x03\x2b\x65\x6e\x04\x22\x04\x20"
            + KEYS[X25519].private_bytes()
        )
        inner += b"\x81\x21\x00" + KEYS[X25519].public.public_bytes()
        version_2 = pem_encode("PRIVATE KEY", b"\x30" + bytes([len(inner)]) + inner)
        for wrong in (private, KEY.public.pem(), pem_encode("PRIVATE KEY", b"\x30\x00"), version_2):
            with pytest.raises(InvalidKeyError):
                RecipientKey.from_pem(wrong)
        for wrong in (public, KEY.private_pem(), pem_encode("PUBLIC KEY", b"\x30\x00")):
            with pytest.raises(InvalidKeyError):
                Recipient.from_pem(wrong)

    def test_a_private_key_is_shown_pickled_and_copied_by_nobody(self) -> None:
        """It is handed out by private_bytes and private_pem alone."""
        assert repr(KEYS[X25519]) == "RecipientKey(X25519)"
        assert repr(KEYS["HPKE-P256"].public) == "Recipient(P256)"
        for attempt in (pickle.dumps, copy.copy, copy.deepcopy):
            with pytest.raises(TypeError, match="private_bytes"):
                attempt(KEY)
