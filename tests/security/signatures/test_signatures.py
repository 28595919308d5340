"""Signatures: what they cover, which keys are taken, and that a stream's is not a message's."""

from __future__ import annotations

import base64
import copy
import hashlib
import io
import pickle
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, mldsa, rsa, x25519
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from mycelium_fractal_net.security.byte_io.encodings import b64url_decode
from mycelium_fractal_net.security.errors import (
    AlgorithmNotAllowedError,
    InvalidInputError,
    InvalidKeyError,
    InvalidSignatureError,
)
from mycelium_fractal_net.security.signatures import ed25519_points as points
from mycelium_fractal_net.security.signatures.prehash import PREHASH_LABEL, prehash
from mycelium_fractal_net.security.signatures.signing_key import ALGORITHMS, SigningKey
from mycelium_fractal_net.security.signatures.verifying_key import VerifyingKey

KEYS = {name: SigningKey.generate(name) for name in ALGORITHMS}
EC_NAMES = ["ECDSA-P256", "ECDSA-P384"]
each_algorithm = pytest.mark.parametrize("name", ALGORITHMS)
each_curve = pytest.mark.parametrize("name", EC_NAMES)

DER = Encoding.DER, PublicFormat.SubjectPublicKeyInfo
MATERIAL_BYTES = {"Ed25519": 32, "ECDSA-P256": 32, "ECDSA-P384": 48, "ML-DSA-65": 32}
ORDERS = {"ECDSA-P256": ec.SECP256R1().group_order, "ECDSA-P384": ec.SECP384R1().group_order}


def refused(key: VerifyingKey, data: bytes, signature: bytes) -> bool:
    """Whether the signature is refused, with the one error that tells nothing apart."""
    try:
        key.verify(data, signature)
    except InvalidSignatureError as error:
        told = (error.args, error.__cause__, error.__context__ and not error.__suppress_context__)
    else:
        return False
    assert told[:2] == ((InvalidSignatureError.TEXT,), None)
    assert not told[2]
    return True


class TestSigning:
    """What a signature covers."""

    def test_the_default_is_ed25519(self) -> None:
        """The first name is the one that generate() takes by itself."""
        assert ALGORITHMS == ("Ed25519", "ECDSA-P256", "ECDSA-P384", "ML-DSA-65")
        assert SigningKey.generate().algorithm == "Ed25519"

    @each_algorithm
    @pytest.mark.parametrize("data", [b"", b"x", b"attack at dawn", bytes(100_000)])
    def test_a_signature_verifies_and_returns_nothing(self, name: str, data: bytes) -> None:
        """verify gives None: there is no truth value to forget to look at."""
        key = KEYS[name]
        assert key.public.verify(data, key.sign(data)) is None  # type: ignore[func-returns-value]

    @each_algorithm
    def test_every_flipped_bit_of_a_signature_is_refused(self, name: str) -> None:
        """At every byte of it; every bit for the short ones."""
        key = KEYS[name]
        signature = key.sign(b"data")
        step = 8 * 101 if name == "ML-DSA-65" else 1
        for position in range(0, len(signature) * 8, step):
            changed = bytearray(signature)
            changed[position // 8] ^= 1 << position % 8
            assert refused(key.public, b"data", bytes(changed)), position

    @each_algorithm
    def test_other_data_other_keys_and_other_lengths_are_refused(self, name: str) -> None:
        """Changed data, another key of the kind, cut, extended and empty signatures."""
        key = KEYS[name]
        signature = key.sign(b"data")
        assert refused(key.public, b"datb", signature)
        assert refused(key.public, b"", signature)
        assert refused(SigningKey.generate(name).public, b"data", signature)
        for wrong in (b"", signature[:-1], signature[1:], signature + b"\0", bytes(len(signature))):
            assert refused(key.public, b"data", wrong)

    @each_algorithm
    def test_a_signature_of_another_scheme_is_refused(self, name: str) -> None:
        """No scheme takes a signature of any other."""
        for other in ALGORITHMS:
            if other != name:
                assert refused(KEYS[name].public, b"data", KEYS[other].sign(b"data"))

    @each_algorithm
    @pytest.mark.parametrize("wrap", [bytearray, memoryview])
    def test_data_and_signature_may_lie_in_any_buffer(self, name: str, wrap: type) -> None:
        """Signing a bytearray and a memoryview gives a signature of the bytes."""
        key = KEYS[name]
        key.public.verify(b"data", key.sign(wrap(b"data")))
        key.public.verify(wrap(b"data"), wrap(key.sign(b"data")))
        wide = memoryview(b"datadata").cast("Q")
        key.public.verify(b"datadata", key.sign(wide))

    @pytest.mark.parametrize("wrong", ["text", None, 5, memoryview(b"abcdef")[::2]])
    def test_text_is_no_data_and_no_signature(self, wrong: Any) -> None:
        """A caller's mistake is named as such and not as a wrong signature."""
        key = KEYS["Ed25519"]
        for attempt in (
            lambda: key.sign(wrong),
            lambda: key.public.verify(wrong, bytes(64)),
            lambda: key.public.verify(b"", wrong),
        ):
            with pytest.raises(InvalidInputError):
                attempt()

    def test_ed25519_is_deterministic_and_the_others_are_not(self) -> None:
        """RFC 8032 derives its nonce; ECDSA and hedged ML-DSA draw theirs."""
        for name, key in KEYS.items():
            assert (key.sign(b"x") == key.sign(b"x")) is (name == "Ed25519")

    def test_sizes_are_as_documented(self) -> None:
        """64 and 3309 raw bytes; DER of at most 72 and 104."""
        assert len(KEYS["Ed25519"].sign(b"")) == 64
        assert len(KEYS["ML-DSA-65"].sign(b"")) == 3309
        assert len(KEYS["ECDSA-P256"].sign(b"")) <= 72
        assert len(KEYS["ECDSA-P384"].sign(b"")) <= 104


class TestStrictDer:
    """An ECDSA signature has one encoding, with both numbers in range."""

    @each_curve
    def test_lax_encodings_of_a_good_signature_are_refused(self, name: str) -> None:
        """BER lengths, padded or cut integers, trailing bytes inside and outside."""
        key = KEYS[name]
        signature = key.sign(b"data")
        r, s = decode_dss_signature(signature)

        def integer(value: int, pad: bytes = b"") -> bytes:
            body = pad + value.to_bytes(value.bit_length() // 8 + 1, "big")
            return b"\x02" + bytes([len(body)]) + body

        def sequence(body: bytes, length: bytes = b"") -> bytes:
            return b"\x30" + (length or bytes([len(body)])) + body

        body = integer(r) + integer(s)
        assert sequence(body) == signature
        size = len(body)
        for lax in (
            sequence(integer(r, b"\0") + integer(s)),
            sequence(integer(r) + integer(s, b"\0\0")),
            sequence(body, b"\x81" + bytes([size])),
            sequence(body, b"\x82\0" + bytes([size])),
            b"\x30\x80" + body + b"\0\0",
            sequence(body + b"\x05\0"),
            signature + b"\0",
            sequence(integer(s) + integer(r)),
            b"\x31" + signature[1:],
            r.to_bytes(48, "big") + s.to_bytes(48, "big"),
        ):
            assert refused(key.public, b"data", lax), lax.hex()

    @each_curve
    def test_numbers_out_of_range_are_refused(self, name: str) -> None:
        """Zero, the order and numbers past it, in well-formed DER (FIPS 186-5 section 6.4.2)."""
        key, order = KEYS[name], ORDERS[name]
        r, s = decode_dss_signature(key.sign(b"data"))
        for wrong in (
            (0, s),
            (r, 0),
            (0, 0),
            (order, s),
            (r, order),
            (r + order, s),
            (r, s + order),
        ):
            assert refused(key.public, b"data", encode_dss_signature(*wrong))

    @each_curve
    def test_both_halves_of_s_are_taken(self, name: str) -> None:
        """n - s is a signature too: FIPS 186-5 knows no low-s rule, and HSMs give both."""
        key = KEYS[name]
        r, s = decode_dss_signature(key.sign(b"data"))
        key.public.verify(b"data", encode_dss_signature(r, ORDERS[name] - s))


def edwards_add(p: tuple[int, int], q: tuple[int, int]) -> tuple[int, int]:
    """The sum of two points of edwards25519 in affine coordinates, RFC 8032 section 5.1.4."""
    prime, d = points._P, points._D
    (x1, y1), (x2, y2) = p, q
    t = d * x1 * x2 * y1 * y2
    x3 = (x1 * y2 + y1 * x2) * pow(1 + t, -1, prime)
    y3 = (y1 * y2 + x1 * x2) * pow(1 - t, -1, prime)
    return x3 % prime, y3 % prime


def low_order_encodings() -> set[bytes]:
    """All 14, computed from the curve: the multiples of a point of order 8, in every encoding."""
    prime, d = points._P, points._D
    root = pow(2, (prime - 1) // 4, prime)  # of -1

    def square_root(value: int) -> int | None:
        candidate = pow(value, (prime + 3) // 8, prime)
        for result in (candidate, candidate * root % prime):
            if result * result % prime == value % prime:
                return result
        return None

    # A point of order 8 doubles to y = 0: then x^2 = -y^2, and the curve says
    # d y^4 + 2 y^2 - 1 = 0, so y^2 = (-1 +- sqrt(1 + d)) / d.
    inner = square_root(1 + d)
    assert inner is not None
    roots = [square_root((-1 + sign * inner) * pow(d, -1, prime)) for sign in (1, -1)]
    y = next(candidate for candidate in roots if candidate is not None)
    x = root * y % prime
    found, point = set(), (0, 1)
    for _ in range(8):
        found.add(point)
        point = edwards_add(point, (x, y))
    assert point == (0, 1)
    assert len(found) == 8
    encodings = set()
    for px, py in found:
        for value in {py, py + prime} if py + prime < 2**255 else {py}:
            signs = {px & 1} if px else {0, 1}
            encodings |= {(value | sign << 255).to_bytes(32, "little") for sign in signs}
    return encodings


class TestEd25519Points:
    """Which encodings are taken for a point."""

    def test_the_refused_low_order_encodings_are_the_14_of_the_curve(self) -> None:
        """Computed anew from the curve equation, all of them are refused."""
        encodings = low_order_encodings()
        assert len(encodings) == 14
        assert encodings <= points.REFUSED_ENCODINGS

    def test_nothing_else_that_is_canonical_is_refused(self) -> None:
        """The other refused encodings are exactly those whose y is not reduced."""
        rest = points.REFUSED_ENCODINGS - low_order_encodings()
        for encoded in rest:
            assert int.from_bytes(encoded, "little") % 2**255 >= points._P
        assert len(points.REFUSED_ENCODINGS) == 48

    def test_every_refused_encoding_is_refused_as_a_key(self) -> None:
        """As raw point, DER, PEM and JWK."""
        prefix = KEYS["Ed25519"].public.der()[:12]
        for encoded in points.REFUSED_ENCODINGS:
            with pytest.raises(InvalidKeyError):
                VerifyingKey(ed25519.Ed25519PublicKey.from_public_bytes(encoded))
            with pytest.raises(InvalidKeyError):
                VerifyingKey.from_der(prefix + encoded)
            with pytest.raises(InvalidKeyError):
                VerifyingKey.from_jwk({"kty": "OKP", "crv": "Ed25519", "x": b64(encoded)})

    def test_under_a_low_order_key_the_library_verifies_anything(self) -> None:
        """The story behind the list: with the neutral element, R = B * s signs every message."""
        neutral = (1).to_bytes(32, "little")
        forged = neutral + bytes(32)
        ed25519.Ed25519PublicKey.from_public_bytes(neutral).verify(forged, b"any message at all")
        assert neutral in points.REFUSED_ENCODINGS

    def test_every_refused_encoding_is_refused_as_r(self) -> None:
        """Also where the library would take it: R of low order and s = k*a verify there."""
        key = KEYS["Ed25519"]
        for encoded in points.REFUSED_ENCODINGS:
            assert refused(key.public, b"data", encoded + key.sign(b"data")[32:])

    def test_a_true_signature_with_a_neutral_r_is_refused_by_us_alone(self) -> None:
        """s = k * a with R = the neutral element: correct by the equation, refused by the rule."""
        seed = bytes(range(32))
        key = SigningKey.from_private_bytes("Ed25519", seed)
        raw = ed25519.Ed25519PrivateKey.from_private_bytes(seed).public_key()
        hashed = bytearray(hashlib.sha512(seed).digest()[:32])
        hashed[0] &= 248
        hashed[31] = hashed[31] & 127 | 64
        order = 2**252 + 27742317777372353535851937790883648493
        r = (1).to_bytes(32, "little")
        k = int.from_bytes(hashlib.sha512(r + raw.public_bytes_raw() + b"m").digest(), "little")
        s = k * int.from_bytes(hashed, "little") % order
        signature = r + s.to_bytes(32, "little")
        raw.verify(signature, b"m")
        assert refused(key.public, b"m", signature)

    def test_bytes_that_are_no_point_are_no_key(self) -> None:
        """y = 2 has no x on the curve; the library takes it, and it could never verify."""
        assert not points.is_on_curve((2).to_bytes(32, "little"))
        with pytest.raises(InvalidKeyError):
            VerifyingKey(ed25519.Ed25519PublicKey.from_public_bytes((2).to_bytes(32, "little")))

    def test_every_generated_key_is_a_point(self) -> None:
        """No honest key is refused."""
        for _ in range(50):
            SigningKey.generate()


def private_jwk(key: SigningKey) -> dict[str, str]:
    """What another program writes of a private key, RFC 8037 and RFC 9964."""
    member = "priv" if key.algorithm == "ML-DSA-65" else "d"
    return {**key.public.jwk(), member: b64(key.private_bytes())}


def b64(value: bytes) -> str:
    """Base64url without padding."""
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


class TestEncodings:
    """DER, PEM, JWK and bare bytes, both ways."""

    @each_algorithm
    def test_a_public_key_survives_each_encoding(self, name: str) -> None:
        """DER, PEM as bytes and as text, and JWK give an equal key."""
        public = KEYS[name].public
        for again in (
            VerifyingKey.from_der(public.der()),
            VerifyingKey.from_der(memoryview(public.der())),
            VerifyingKey.from_pem(public.pem()),
            VerifyingKey.from_pem(public.pem().decode()),
            VerifyingKey.from_pem(b"\n" + public.pem().replace(b"\n", b"\r\n") + b"\n\n"),
            VerifyingKey.from_jwk(public.jwk()),
            VerifyingKey.from_jwk({**public.jwk(), "kid": "release:v1", "x5t": "ignored"}),
        ):
            assert again == public
            assert hash(again) == hash(public)
            assert again.algorithm == name
            assert again.der() == public.der()
            again.verify(b"x", KEYS[name].sign(b"x"))

    @each_algorithm
    def test_a_private_key_survives_each_encoding(self, name: str) -> None:
        """Bare bytes, DER and PEM give a key with the same public half."""
        key = KEYS[name]
        for again in (
            SigningKey.from_private_bytes(name, key.private_bytes()),
            SigningKey.from_private_bytes(name, bytearray(key.private_bytes())),
            SigningKey.from_der(key.private_der()),
            SigningKey.from_pem(key.private_pem()),
        ):
            assert again.public == key.public
            assert again.private_der() == key.private_der()
            key.public.verify(b"x", again.sign(b"x"))

    @each_algorithm
    def test_the_encodings_are_the_librarys(self, name: str) -> None:
        """PEM is what cryptography itself writes, so that other tools read it."""
        key = KEYS[name]
        private, public = key._private, key.public._public
        assert key.public.der() == public.public_bytes(*DER)
        assert key.public.pem() == public.public_bytes(
            Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
        )
        assert key.private_pem() == private.private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
        )

    def test_sizes_of_der_and_material_are_as_documented(self) -> None:
        """44, 91, 120 and 1974 bytes of DER; 32 or 48 bytes of private key."""
        sizes = [len(key.public.der()) for key in KEYS.values()]
        assert sizes == [44, 91, 120, 1974]
        assert {name: len(key.private_bytes()) for name, key in KEYS.items()} == MATERIAL_BYTES

    @each_algorithm
    def test_a_cut_extended_or_padded_der_is_refused(self, name: str) -> None:
        """At any length of the public key, and for both halves with a byte more."""
        key = KEYS[name]
        public, private = key.public.der(), key.private_der()
        for length in range(0, len(public), 1 if len(public) < 200 else 97):
            with pytest.raises(InvalidKeyError):
                VerifyingKey.from_der(public[:length])
        for changed in (public + b"\0", b"\x30\x81" + public[1:], b"\0" + public):
            with pytest.raises(InvalidKeyError):
                VerifyingKey.from_der(changed)
        for changed in (private + b"\0", private[:-1], b"", b"\0" + private):
            with pytest.raises(InvalidKeyError):
                SigningKey.from_der(changed)

    @each_algorithm
    def test_a_private_key_is_no_public_key_and_the_reverse(self, name: str) -> None:
        """In every encoding, and as an object."""
        key = KEYS[name]
        for attempt in (
            lambda: VerifyingKey.from_der(key.private_der()),
            lambda: VerifyingKey.from_pem(key.private_pem()),
            lambda: VerifyingKey.from_jwk(private_jwk(key)),
            lambda: VerifyingKey(key._private),
            lambda: SigningKey.from_der(key.public.der()),
            lambda: SigningKey.from_pem(key.public.pem()),
            lambda: SigningKey(key.public._public),
        ):
            with pytest.raises(InvalidKeyError):
                attempt()

    def test_keys_of_other_kinds_are_refused(self) -> None:
        """RSA, X25519, P-521, secp256k1 and ML-DSA-87, each in well-formed DER."""
        for private in (
            rsa.generate_private_key(65537, 1024),
            x25519.X25519PrivateKey.generate(),
            ec.generate_private_key(ec.SECP521R1()),
            ec.generate_private_key(ec.SECP256K1()),
            mldsa.MLDSA87PrivateKey.generate(),
        ):
            with pytest.raises(InvalidKeyError):
                VerifyingKey.from_der(private.public_key().public_bytes(*DER))
            pkcs8 = private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
            with pytest.raises(InvalidKeyError):
                SigningKey.from_der(pkcs8)
            with pytest.raises(InvalidKeyError):
                VerifyingKey(private.public_key())

    @each_curve
    def test_a_compressed_point_is_refused(self, name: str) -> None:
        """SEC 1 lets a point be written in two ways; a key here has one encoding."""
        public = KEYS[name].public
        raw: Any = public._public
        point = raw.public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
        header = public.der()[: -1 - 2 * (len(point) - 1)]
        shorter = bytearray(header + point)
        cut = len(public.der()) - len(shorter)
        shorter[1] -= cut
        shorter[header.rindex(b"\x03") + 1] -= cut
        with pytest.raises(InvalidKeyError, match="one DER encoding"):
            VerifyingKey.from_der(bytes(shorter))

    @each_curve
    def test_a_point_off_the_curve_is_refused(self, name: str) -> None:
        """By DER and by JWK."""
        public = KEYS[name].public
        changed = public.der()[:-1] + bytes([public.der()[-1] ^ 1])
        with pytest.raises(InvalidKeyError):
            VerifyingKey.from_der(changed)
        size = MATERIAL_BYTES[name]
        with pytest.raises(InvalidKeyError, match="not a point"):
            VerifyingKey.from_jwk({**public.jwk(), "y": b64(bytes(size))})

    @each_algorithm
    def test_material_of_another_size_is_refused(self, name: str) -> None:
        """Empty, one byte less or more, text and nothing at all."""
        size = MATERIAL_BYTES[name]
        wrong: list[Any] = [b"", bytes(size - 1), bytes(size + 1), "k" * size, None]
        for material in wrong:
            with pytest.raises(InvalidKeyError, match=f"{size} bytes"):
                SigningKey.from_private_bytes(name, material)

    @each_curve
    def test_a_scalar_out_of_range_is_refused(self, name: str) -> None:
        """Zero, the order of the curve and all ones."""
        size, order = MATERIAL_BYTES[name], ORDERS[name]
        for value in (0, order, 2 ** (8 * size) - 1):
            with pytest.raises(InvalidKeyError):
                SigningKey.from_private_bytes(name, value.to_bytes(size, "big"))
        SigningKey.from_private_bytes(name, (order - 1).to_bytes(size, "big"))

    def test_a_private_der_in_another_form_is_refused(self) -> None:
        """A PKCS #8 without its optional public key is well-formed, and not the one encoding."""
        key = KEYS["ECDSA-P256"]
        der = key.private_der()
        algorithm, scalar = der[6:27], der[36:68]
        assert scalar == key.private_bytes()
        inner = b"\x30\x25\x02\x01\x01\x04\x20" + scalar
        body = b"\x02\x01\x00" + algorithm + b"\x04" + bytes([len(inner)]) + inner
        with pytest.raises(InvalidKeyError, match="one DER encoding"):
            SigningKey.from_der(b"\x30" + bytes([len(body)]) + body)

    @pytest.mark.parametrize("last", [0x6F, 0x71])
    def test_a_key_of_a_448_curve_with_too_few_bytes_is_refused(self, last: int) -> None:
        """Found by fuzzing: the library raises its InternalError for such an X448 or Ed448 key."""
        der = bytearray(KEYS["Ed25519"].private_der())
        assert der[9:12] == b"\x2b\x65\x70"
        der[11] = last
        with pytest.raises(InvalidKeyError):
            SigningKey.from_der(der)

    def test_an_encrypted_private_key_is_refused(self) -> None:
        """Its label is another; it is not asked for a password."""
        private = ed25519.Ed25519PrivateKey.generate()
        for encoding, load in (
            (Encoding.PEM, SigningKey.from_pem),
            (Encoding.DER, SigningKey.from_der),
        ):
            locked = private.private_bytes(
                encoding, PrivateFormat.PKCS8, BestAvailableEncryption(b"pw")
            )
            with pytest.raises(InvalidKeyError):
                load(locked)

    @pytest.mark.parametrize(
        "change",
        [
            lambda pem: pem + pem,
            lambda pem: pem.replace(b"PUBLIC KEY", b"EC PUBLIC KEY"),
            lambda pem: pem.replace(b"-----END", b"----END"),
            lambda pem: pem.replace(b"\nM", b"\n M"),
            lambda pem: pem.replace(b"KEY-----\n", b"KEY-----\nHeader: x\n\n", 1),
            lambda pem: pem.replace(b"\n", b""),
            lambda pem: pem.replace(b"=", b""),
            lambda pem: b"",
            lambda pem: None,
            lambda pem: 7,
        ],
    )
    def test_a_pem_that_is_not_one_plain_block_is_refused(self, change: Any) -> None:
        """Two blocks, other labels, headers, other line breaks, no padding."""
        with pytest.raises(InvalidKeyError, match="PUBLIC KEY"):
            VerifyingKey.from_pem(change(KEYS["Ed25519"].public.pem()))


class TestJwk:
    """Members agree, have one size and one spelling, and a public key is public."""

    def test_the_members_are_those_of_their_standards(self) -> None:
        """RFC 8037, RFC 7518 and RFC 9964."""
        assert {name: sorted(key.public.jwk()) for name, key in KEYS.items()} == {
            "Ed25519": ["alg", "crv", "kty", "use", "x"],
            "ECDSA-P256": ["alg", "crv", "kty", "use", "x", "y"],
            "ECDSA-P384": ["alg", "crv", "kty", "use", "x", "y"],
            "ML-DSA-65": ["alg", "kty", "pub", "use"],
        }
        assert {(k.public.jwk()["kty"], k.public.jwk()["alg"]) for k in KEYS.values()} == {
            ("OKP", "EdDSA"),
            ("EC", "ES256"),
            ("EC", "ES384"),
            ("AKP", "ML-DSA-65"),
        }

    def test_the_example_of_rfc_8037_is_read(self) -> None:
        """Appendix A.1 and A.2, without alg and use."""
        jwk = {
            "kty": "OKP",
            "crv": "Ed25519",
            "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
        }
        seed = b64url_decode("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A")
        key = SigningKey.from_private_bytes("Ed25519", seed)
        assert VerifyingKey.from_jwk(jwk) == key.public

    def test_the_name_of_rfc_9864_is_read_too(self) -> None:
        """alg "Ed25519" says the same as "EdDSA" on an Ed25519 key."""
        public = KEYS["Ed25519"].public
        assert VerifyingKey.from_jwk({**public.jwk(), "alg": "Ed25519"}) == public

    @each_algorithm
    @pytest.mark.parametrize(
        "change",
        [
            {"kty": "RSA"},
            {"kty": None},
            {"kty": ["OKP"]},
            {"crv": "P-521"},
            {"crv": "X25519"},
            {"alg": "none"},
            {"alg": "HS256"},
            {"alg": None},
            {"use": "enc"},
            {"use": None},
            {"key_ops": ["sign"]},
            {"key_ops": []},
            {"key_ops": "verify"},
            {"d": "AA"},
            {"priv": "AA"},
            {"k": "AA"},
            {"p": None},
        ],
    )
    def test_members_that_disagree_or_are_private_are_refused(
        self, name: str, change: dict[str, Any]
    ) -> None:
        """Another type, curve, algorithm or use; and whatever belongs to a private key."""
        with pytest.raises(InvalidKeyError):
            VerifyingKey.from_jwk({**KEYS[name].public.jwk(), **change})

    @each_algorithm
    def test_missing_members_are_refused(self, name: str) -> None:
        """Each member that says something about the key; alg and use may be left out."""
        jwk = KEYS[name].public.jwk()
        optional = {"use"} if name == "ML-DSA-65" else {"use", "alg"}
        for member in jwk:
            less = {key: value for key, value in jwk.items() if key != member}
            if member in optional:
                assert VerifyingKey.from_jwk(less) == KEYS[name].public
            else:
                with pytest.raises(InvalidKeyError):
                    VerifyingKey.from_jwk(less)

    @each_algorithm
    def test_byte_members_have_one_size_and_one_spelling(self, name: str) -> None:
        """Padding, the other alphabet, blanks, set unused bits, other sizes and other types."""
        jwk = KEYS[name].public.jwk()
        member = "pub" if name == "ML-DSA-65" else "x"
        text = jwk[member]
        size = {"Ed25519": 32, "ECDSA-P256": 32, "ECDSA-P384": 48, "ML-DSA-65": 1952}[name]
        wrong: list[Any] = [
            text + "=",
            text + "==",
            text + "\n",
            " " + text,
            text[:-1],
            text + "A",
            text[:5] + "*" + text[6:],
            text[:5] + "é" + text[6:],
            b64(b"\xfb" * size).replace("-", "+"),
            b64(bytes(size - 1)),
            b64(bytes(size + 1)),
            b64(b"\0" + bytes(size)),
            "",
            None,
            5,
            text.encode(),
        ]
        if size % 3:
            wrong.append(b64(bytes(size))[:-1] + "B")
        for value in wrong:
            with pytest.raises(InvalidKeyError):
                VerifyingKey.from_jwk({**jwk, member: value})

    @pytest.mark.parametrize("wrong", [None, [], "{}", b"{}", 5])
    def test_what_is_no_object_is_no_jwk(self, wrong: Any) -> None:
        """A list, text and nothing."""
        with pytest.raises(InvalidKeyError):
            VerifyingKey.from_jwk(wrong)


class TestPrehash:
    """A stream is signed through its hash, and the two kinds never meet."""

    @each_algorithm
    def test_a_stream_is_signed_as_label_and_sha512(self, name: str) -> None:
        """sign_stream is a signature of those 103 bytes, which anyone can check."""
        key = KEYS[name]
        data = b"stream " * 100_000
        signature = key.sign_stream(io.BytesIO(data))
        message = PREHASH_LABEL + hashlib.sha512(data).digest()
        assert len(message) == 39 + 64
        key.public._scheme.verify(key.public._public, message, signature)
        key.public.verify_stream(io.BytesIO(data), signature)
        key.public.verify_prehashed(prehash(io.BytesIO(data)), signature)
        key.public.verify_stream(
            io.BytesIO(data), key.sign_prehashed(hashlib.sha512(data).digest())
        )

    @each_algorithm
    def test_another_stream_is_refused(self, name: str) -> None:
        """A byte more, less or other."""
        key = KEYS[name]
        signature = key.sign_stream(io.BytesIO(b"data"))
        for other in (b"", b"dat", b"datb", b"data\0"):
            with pytest.raises(InvalidSignatureError):
                key.public.verify_stream(io.BytesIO(other), signature)

    @each_algorithm
    def test_a_labelled_message_is_neither_signed_nor_verified(self, name: str) -> None:
        """Or else signing that message would sign the stream with that hash, and the reverse."""
        key = KEYS[name]
        message = PREHASH_LABEL + prehash(io.BytesIO(b"data"))
        signature = key.sign_stream(io.BytesIO(b"data"))
        for wrapped in (message, bytearray(message), memoryview(message), PREHASH_LABEL):
            with pytest.raises(InvalidInputError, match="label"):
                key.sign(wrapped)
            with pytest.raises(InvalidSignatureError):
                key.public.verify(wrapped, signature)
        key.sign(PREHASH_LABEL[:-1])
        key.sign(b"x" + message)

    @each_algorithm
    def test_a_signature_of_the_data_is_none_of_the_stream(self, name: str) -> None:
        """Pure and pre-hashed signatures of the same bytes do not pass for each other."""
        key = KEYS[name]
        assert refused(key.public, b"data", key.sign_stream(io.BytesIO(b"data")))
        with pytest.raises(InvalidSignatureError):
            key.public.verify_stream(io.BytesIO(b"data"), key.sign(b"data"))

    @pytest.mark.parametrize("digest", [b"", bytes(32), bytes(63), bytes(65)])
    def test_a_digest_of_another_size_is_refused(self, digest: bytes) -> None:
        """SHA-256 in place of SHA-512 is a caller's mistake."""
        with pytest.raises(InvalidInputError, match="64 bytes"):
            KEYS["Ed25519"].sign_prehashed(digest)
        with pytest.raises(InvalidInputError, match="64 bytes"):
            KEYS["Ed25519"].public.verify_prehashed(digest, bytes(64))

    def test_a_stream_that_gives_little_at_a_time_is_read_whole(self) -> None:
        """Pipes and sockets give short reads and cannot seek."""

        class Dripping:
            def __init__(self, data: bytes) -> None:
                self.rest = data

            def read(self, size: int, /) -> bytes:
                block, self.rest = self.rest[:7], self.rest[7:]
                return block

        assert prehash(Dripping(b"data" * 100)) == prehash(io.BytesIO(b"data" * 100))

    def test_a_text_stream_is_refused(self) -> None:
        """Opening a file without "b" is a caller's mistake."""
        text: Any = io.StringIO("data")
        with pytest.raises(InvalidInputError):
            prehash(text)


class TestSecrets:
    """A signing key shows nothing and goes nowhere by accident."""

    @each_algorithm
    def test_a_signing_key_shows_its_algorithm_alone(self, name: str) -> None:
        """Neither repr nor str has the material."""
        assert repr(KEYS[name]) == f"SigningKey({name})"
        assert str(KEYS[name]) == f"SigningKey({name})"
        assert repr(KEYS[name].public) == f"VerifyingKey({name})"

    @each_algorithm
    def test_a_signing_key_is_neither_pickled_nor_copied(self, name: str) -> None:
        """A pickled key would lie in a cache or a queue."""
        for attempt in (pickle.dumps, copy.copy, copy.deepcopy):
            with pytest.raises(TypeError, match="private_bytes"):
                attempt(KEYS[name])

    def test_unknown_algorithms_are_refused_without_naming_them(self) -> None:
        """The text lists what there is."""
        wrong: list[Any] = ["ed25519", "RSA", "", None, []]
        for name in wrong:
            with pytest.raises(AlgorithmNotAllowedError, match="ML-DSA-65"):
                SigningKey.generate(name)
            with pytest.raises(AlgorithmNotAllowedError):
                SigningKey.from_private_bytes(name, bytes(32))

    def test_keys_of_different_kinds_are_not_equal(self) -> None:
        """Nor is a key equal to its encoding."""
        public = KEYS["Ed25519"].public
        assert public != KEYS["ECDSA-P256"].public
        assert public != public.der()
