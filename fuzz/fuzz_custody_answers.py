"""Fuzz what is read of custodians' answers: documents of Vault, what KMS says, forms of a token.

    python -m fuzz custody_answers -max_total_time=60 fuzz/corpus/custody_answers

The first byte of an input chooses the reader. A finding is an error that is not one of ours, what
is taken though it is under another version, or a text of the other side in an error.
"""

from __future__ import annotations

from typing import Any

from fuzz.running import Reader, chosen, seeds_of
from mycelium_fractal_net.security.errors import MfnError
from mycelium_fractal_net.security.key_providers.aws_kms.answers import error_of
from mycelium_fractal_net.security.key_providers.custodian import Binding
from mycelium_fractal_net.security.key_providers.pkcs11 import cryptoki
from mycelium_fractal_net.security.key_providers.pkcs11.wrapping import unwrapped
from mycelium_fractal_net.security.key_providers.vault import custodian as vault
from mycelium_fractal_net.security.key_providers.vault.key_state import _parsed
from mycelium_fractal_net.security.key_providers.vault.signing import _signature
from mycelium_fractal_net.security.key_providers.vault.transport import _document

BOUND = Binding(bytes(16), "orders", "encryption", "data", "AES-256-GCM", 1, bytes(8))


def transit_key(data: bytes) -> None:
    found = _parsed("orders", _document(data).get("data"))
    found.check_master()
    found.check_encrypts(found.latest)
    found.check_decrypts(found.latest)


def batch(data: bytes) -> None:
    """Results of a batch, as a wrapping, a material and a signature."""
    for result in vault._results(_document(data)) or ():
        if not isinstance(result, dict):
            continue
        for read in (_ciphertext, _plaintext, _signed):
            try:
                read(result)
            except MfnError:
                continue


def _ciphertext(result: dict[str, Any]) -> None:
    found = vault._ciphertext(result, 3)
    assert found.startswith(b"vault:v3:"), "a finding: under another version"
    vault._wrapped(3, found, BOUND)


def _plaintext(result: dict[str, Any]) -> None:
    vault._plaintext(result, 3)


def _signed(result: dict[str, Any]) -> None:
    _signature(result)


def stored(data: bytes) -> None:
    """What a row has as a wrapping of Vault's."""
    sent = vault._wrapped(3, data, BOUND)
    assert sent["ciphertext"].encode() == data, "a finding: another ciphertext is sent"


def kms_error(data: bytes) -> None:
    code, _, status = data.decode("utf-8", "replace").partition("\0")
    found = error_of(code, int(status) if status.isdecimal() and len(status) < 4 else None)
    known = error_of("", None)
    assert len(code) < 8 or code not in str(found) or str(found) == str(known)


class _Token:
    """A token that gives back what it is given: its own work is not what is read here."""

    def decrypt(self, _key: int, _nonce: bytes, sealed: bytes, _bound: bytes) -> bytes:
        return sealed[:-16]

    def unwrap(self, _key: int, _mechanism: int, sealed: bytes) -> bytes:
        return sealed


def token_form(data: bytes) -> None:
    mechanisms = frozenset({cryptoki.CKM_AES_GCM, cryptoki.CKM_AES_KEY_WRAP})
    found = unwrapped(_Token(), 1, mechanisms, data, b"")  # type: ignore[arg-type]
    assert len(found) < len(data), "a finding: more than was wrapped"


READERS: tuple[Reader, ...] = (transit_key, batch, stored, kms_error, token_form)

one_input = chosen(READERS, MfnError)


def seeds() -> dict[str, bytes]:
    """A well-formed answer for each reader."""
    contents: dict[Reader, bytes] = {
        transit_key: b'{"data":{"type":"aes256-gcm96","derived":true,"latest_version":3,'
        b'"min_decryption_version":1,"min_encryption_version":0,"deletion_allowed":false,'
        b'"exportable":false,"allow_plaintext_backup":false,"keys":{"1":1,"2":2,"3":3}}}',
        batch: b'{"data":{"batch_results":[{"ciphertext":"vault:v3:QUFB"},{"plaintext":"QUFB"},'
        b'{"signature":"vault:v1:QUFB"}]}}',
        stored: b"vault:v3:QUFB",
        kms_error: b"ThrottlingException\x00400",
        token_form: b"MFK\x01" + cryptoki.CKM_AES_KEY_WRAP.to_bytes(4, "big") + b"m\x80" + bytes(6),
    }
    return seeds_of(READERS, contents)
