"""RFC and NIST vectors for HMAC, key wrap and HPKE, from ``cryptography-vectors``."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.bindings._rust import openssl as rust_openssl
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap, aes_key_wrap
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from mycelium_fractal_net.security.algorithms.mac import MacKey
from mycelium_fractal_net.security.errors import InvalidKeyError
from mycelium_fractal_net.security.sealed.recipients import RecipientKey

from . import library_text, response_file


def test_the_hmac_vectors_of_rfc_4231_are_tagged_alike_where_a_key_can_be_ours(
    ran: Callable[[str, int], None],
) -> None:
    """None of the RFC's keys has 32 bytes; padded with zeros to that, HMAC is the same."""
    count = refused = 0
    for record in response_file("HMAC", "rfc-4231-sha256.txt"):
        key = bytes.fromhex(record["key"])
        with pytest.raises(InvalidKeyError):
            MacKey(key)
        refused += 1
        if len(key) < 32:
            tag = MacKey(key.ljust(32, b"\0")).tag(bytes.fromhex(record["msg"]))
            assert tag == bytes.fromhex(record["md"])
            count += 1
    assert (count, refused) == (4, 6)
    ran("HMAC rfc-4231-sha256", refused)


@pytest.mark.parametrize("kind", ["AE", "AD"])
def test_the_librarys_key_wrap_agrees_with_nist(kind: str, ran: Callable[[str, int], None]) -> None:
    """SP 800-38F KW with AES-256; nothing here wraps with it yet."""
    count = 0
    for record in response_file("keywrap", "kwtestvectors", f"KW_{kind}_256.txt"):
        key, wrapped = bytes.fromhex(record["k"]), bytes.fromhex(record["c"])
        if "fail" in record:
            with pytest.raises(InvalidUnwrap):
                aes_key_unwrap(key, wrapped)
        else:
            assert aes_key_wrap(key, bytes.fromhex(record["p"])) == wrapped
            assert aes_key_unwrap(key, wrapped) == bytes.fromhex(record["p"])
        count += 1
    assert count == 500
    ran(f"NIST KW_{kind}_256", count)


def test_hpke_of_the_library_is_rfc_9180s(ran: Callable[[str, int], None]) -> None:
    """Base mode with X25519 or P-256, and HKDF-SHA256: the first message of each vector opens.

    The RFC's vectors have associated data of their own, for which the library has a private
    function alone; ours lies in ``info`` (see recipients.py).
    """
    aeads = {1: AEAD.AES_128_GCM, 2: AEAD.AES_256_GCM, 3: AEAD.CHACHA20_POLY1305}
    count = 0
    for vector in json.loads(library_text("HPKE", "test-vectors.json")):
        if (vector["mode"], vector["kdf_id"]) != (0, 1) or vector["aead_id"] not in aeads:
            continue
        if vector["kem_id"] in _KEMS:
            _opens(vector, KDF.HKDF_SHA256, aeads[vector["aead_id"]])
            count += 1
    assert count == 6
    ran("HPKE RFC 9180 base X25519, P-256", count)


def test_hpke_of_the_library_does_p384(ran: Callable[[str, int], None]) -> None:
    """The RFC has no vector of P-384; that of draft-ietf-hpke-pq is with AES-256-GCM and SHAKE256.

    With HKDF-SHA384, as here, a blob of ours is opened by a stranger in test_formats.py.
    """
    count = 0
    for vector in json.loads(library_text("HPKE", "hpke-pq-test-vectors.json")):
        if (vector["kem_id"], vector["kdf_id"], vector["aead_id"]) == (0x11, 0x11, 2):
            _opens(vector, KDF.SHAKE256, AEAD.AES_256_GCM)
            count += 1
    assert count == 1
    ran("HPKE draft-ietf-hpke-pq base P-384", count)


_KEMS = {0x20: (KEM.X25519, "HPKE-X25519"), 0x10: (KEM.P256, "HPKE-P256"),
         0x11: (KEM.P384, "HPKE-P384")}  # fmt: skip


def _opens(vector: dict[str, Any], kdf: KDF, aead: AEAD) -> None:
    """The key is the one that is said, and the first message opens with it."""
    kem, algorithm = _KEMS[vector["kem_id"]]
    key = RecipientKey.from_private_bytes(algorithm, bytes.fromhex(vector["skRm"]))
    assert key.public.public_bytes().hex() == vector["pkRm"]
    first = vector["encryptions"][0]
    message = bytes.fromhex(vector["enc"] + first["ct"])
    private: Any = load_pem_private_key(key.private_pem(), password=None)
    hpke = Suite(kem, kdf, aead)
    info, aad = bytes.fromhex(vector["info"]), bytes.fromhex(first["aad"])
    assert (
        rust_openssl.hpke._decrypt_with_aad(hpke, message, private, info, aad).hex() == first["pt"]
    )
    with pytest.raises(InvalidTag):
        hpke.decrypt(message, private, info)
