"""NIST's and the RFC authors' signature vectors, from ``cryptography-vectors``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PublicKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from mycelium_fractal_net.security.byte_io.encodings import b64url_encode
from mycelium_fractal_net.security.errors import InvalidKeyError, InvalidSignatureError
from mycelium_fractal_net.security.signatures.signing_key import SigningKey
from mycelium_fractal_net.security.signatures.verifying_key import VerifyingKey

from . import library_text, response_file


def test_every_ed25519_vector_of_its_authors_is_signed_alike(
    ran: Callable[[str, int], None],
) -> None:
    """sign.input: seed, public key, message and signature, of which RFC 8032 7.1 shows some."""
    count = 0
    for line in library_text("asymmetric", "Ed25519", "sign.input").splitlines():
        private, public, message, signed, _ = line.split(":")
        key = SigningKey.from_private_bytes("Ed25519", bytes.fromhex(private)[:32])
        data = bytes.fromhex(message)
        signature = key.sign(data)
        assert signature + data == bytes.fromhex(signed)
        assert key.public.der()[-32:] == bytes.fromhex(public)
        key.public.verify(data, signature)
        count += 1
    assert count == 1024
    ran("Ed25519 sign.input", count)


@pytest.mark.parametrize(
    ("section", "curve", "size"),
    [("p-256,sha-256", "P-256", 32), ("p-384,sha-384", "P-384", 48)],
)
def test_every_cavp_ecdsa_signature_is_answered_as_cavp_says(
    section: str, curve: str, size: int, ran: Callable[[str, int], None]
) -> None:
    """SigVer.rsp of FIPS 186-3: a changed message, R, S or key is refused."""
    answers: Counter[str] = Counter()
    for record in response_file("asymmetric", "ECDSA", "FIPS_186-3", "SigVer.rsp"):
        if section not in record:
            continue
        numbers = {name: int(record[name], 16) for name in ("qx", "qy", "r", "s")}
        signature = encode_dss_signature(numbers["r"], numbers["s"])
        jwk = {
            "kty": "EC",
            "crv": curve,
            "x": b64url_encode(numbers["qx"].to_bytes(size, "big")),
            "y": b64url_encode(numbers["qy"].to_bytes(size, "big")),
        }
        try:
            VerifyingKey.from_jwk(jwk).verify(bytes.fromhex(record["msg"]), signature)
        except (InvalidKeyError, InvalidSignatureError):
            answers["F"] += 1
            assert record["result"].startswith("F"), record
        else:
            answers["P"] += 1
            assert record["result"].startswith("P"), record
    assert answers.total() == 15
    assert answers["P"] > 0
    ran(f"NIST CAVP ECDSA SigVer {curve}", answers.total())


@pytest.mark.parametrize(
    ("section", "curve", "size"),
    [("P-256,SHA-256", "P-256", 32), ("P-384,SHA-384", "P-384", 48)],
)
def test_every_signature_that_cavp_generated_verifies(
    section: str, curve: str, size: int, ran: Callable[[str, int], None]
) -> None:
    """SigGen.txt of FIPS 186-3; of another message it does not."""
    count = 0
    text = library_text("asymmetric", "ECDSA", "FIPS_186-3", "SigGen.txt")
    for block in text.partition(f"[{section}]")[2].partition("[")[0].split("\n\n"):
        record = dict(line.split(" = ") for line in block.splitlines() if " = " in line)
        if not record:
            continue
        numbers = {name: int(record[name], 16) for name in ("Qx", "Qy", "R", "S")}
        signature = encode_dss_signature(numbers["R"], numbers["S"])
        key = VerifyingKey.from_jwk(
            {
                "kty": "EC",
                "crv": curve,
                "x": b64url_encode(numbers["Qx"].to_bytes(size, "big")),
                "y": b64url_encode(numbers["Qy"].to_bytes(size, "big")),
            }
        )
        message = bytes.fromhex(record["Msg"])
        key.verify(message, signature)
        with pytest.raises(InvalidSignatureError):
            key.verify(message + b"x", signature)
        count += 1
    assert count == 15
    ran(f"NIST CAVP ECDSA SigGen {curve}", count)


def test_every_ml_dsa_65_key_of_the_known_answers_is_ours(ran: Callable[[str, int], None]) -> None:
    """The seed gives the public key; signatures for a context are refused, as ours is empty."""
    count = 0
    for record in response_file("asymmetric", "MLDSA", "kat_MLDSA_65_det_pure.rsp"):
        key = SigningKey.from_private_bytes("ML-DSA-65", bytes.fromhex(record["xi"]))
        public = bytes.fromhex(record["pk"])
        assert key.public.der()[-len(public) :] == public
        message, context = bytes.fromhex(record["msg"]), bytes.fromhex(record["ctx"])
        signature = bytes.fromhex(record["sm"])[:3309]
        MLDSA65PublicKey.from_public_bytes(public).verify(signature, message, context)
        with pytest.raises(InvalidSignatureError):
            key.public.verify(message, signature)
        count += 1
    assert count == 100
    ran("ML-DSA-65 known answers", count)
