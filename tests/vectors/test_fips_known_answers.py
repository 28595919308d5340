"""What FIPS mode asks of the module at its start, held against published vectors."""

from __future__ import annotations

import json
import re

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from mycelium_fractal_net.security.algorithms.names import IN_FIPS_MODE
from mycelium_fractal_net.security.fips import probes

from . import library_text


def test_every_algorithm_that_the_mode_allows_has_a_known_answer() -> None:
    """Of those with two sizes or hashes, one; here OpenSSL's default provider gives it as well."""
    asked = {line.removeprefix("known answer of ") for line in probes.known_answers()}
    assert IN_FIPS_MODE.keys() - asked == {"HKDF-SHA384", "HPKE-P384"}


def test_the_answer_of_oaep_is_of_the_vectors_of_cryptography() -> None:
    """Key, message and ciphertext are the first of the file."""
    text = library_text("asymmetric", "RSA", "oaep-custom", "oaep-sha256-sha256.txt")

    def first(of: str) -> bytes:
        return bytes.fromhex(re.findall(rf"^# {of}:\n([0-9a-f]+)$", text, re.MULTILINE)[0])

    assert (first("Prime 1"), first("Prime 2")) == probes._RSA_PRIMES
    assert first("Encryption") == probes._RSA_WRAPPED
    assert probes._KNOWN["RSA-OAEP-256"][1] == first("Message")


def test_the_answer_of_hpke_is_rfc_9180s() -> None:
    """Key, ``enc``, info and plaintext; sealed without associated data by the RFC's AES key."""
    (vector,) = (
        each
        for each in json.loads(library_text("HPKE", "test-vectors.json"))
        if [each[name] for name in ("mode", "kem_id", "kdf_id", "aead_id")] == [0, 0x10, 1, 2]
    )
    key, nonce = (bytes.fromhex(vector[name]) for name in ("key", "base_nonce"))
    plaintext = bytes.fromhex(vector["encryptions"][0]["pt"])
    assert f"{probes._HPKE_PRIVATE:064x}" == vector["skRm"]
    assert probes._HPKE_INFO.hex() == vector["info"]
    sealed = AESGCM(key).encrypt(nonce, plaintext, b"")
    assert bytes.fromhex(vector["enc"]) + sealed == probes._HPKE_MESSAGE
    assert probes._KNOWN["HPKE-P256"][1] == plaintext
