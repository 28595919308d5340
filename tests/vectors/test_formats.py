"""The raw form, signature files and HPKE, read by the product and from docs/format.md alone."""

from __future__ import annotations

import hashlib
import hmac
import json
import struct
from base64 import urlsafe_b64decode
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.cobblestone import Cobblestone256Decryptor
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, mldsa
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key

from mycelium_fractal_net.files.recipients import open_stream_with, open_with
from mycelium_fractal_net.security.aes_encryption import decrypt_aes_gcm
from mycelium_fractal_net.security.errors import (
    DecryptionError,
    InvalidKeyError,
    InvalidSignatureError,
)
from mycelium_fractal_net.security.policy import Policy
from mycelium_fractal_net.security.records.file_names import FileName
from mycelium_fractal_net.security.records.index_fields import IndexField
from mycelium_fractal_net.security.records.open_options import OpenOptions
from mycelium_fractal_net.security.sealed.blind_index import IndexKey
from mycelium_fractal_net.security.sealed.deterministic import DeterministicKey
from mycelium_fractal_net.security.sealed.recipients import RecipientKey, open_as_recipient
from mycelium_fractal_net.security.signatures.signature_file import (
    encode_signature_file,
    parse_signature_file,
)
from mycelium_fractal_net.security.signatures.verifying_key import VerifyingKey

if TYPE_CHECKING:
    from collections.abc import Callable

VECTORS = json.loads(Path(__file__).with_name("format_vectors.json").read_text())
RAW, FILES, HPKE = VECTORS["raw"], VECTORS["signature_files"], VECTORS["recipients"]
SIV = VECTORS["deterministic"]
CURVES = [VECTORS["recipients_p256"], VECTORS["recipients_p384"]]
EACH_CURVE = pytest.mark.parametrize("section", CURVES, ids=lambda each: each["algorithm"])


def of(section: dict[str, Any], *names: str) -> list[bytes]:
    return [bytes.fromhex(section[name]) for name in names]


# What a stranger writes from the document ---------------------------------------------------


def hkdf_extract(salt: bytes, secret: bytes, digest: str = "sha256") -> bytes:
    return hmac.digest(salt or bytes(32), secret, digest)


def hkdf_expand(key: bytes, info: bytes, size: int, digest: str = "sha256") -> bytes:
    found = block = b""
    for number in range(1, size // 32 + 2):
        block = hmac.digest(key, block + info + bytes([number]), digest)
        found += block
    return found[:size]


def hpke_open(private: bytes, blob: bytes, info: bytes, associated_data: bytes) -> bytes:
    """Sections 4.1 and 5.1 of RFC 9180, base mode, first message, with X25519."""
    key = X25519PrivateKey.from_private_bytes(private)
    shared = key.exchange(X25519PublicKey.from_public_bytes(blob[10:42]))
    return _hpke_open(blob, 32, shared, key.public_key().public_bytes_raw(), info, associated_data)


def hpke_open_on(private: bytes, blob: bytes, info: bytes, associated_data: bytes) -> bytes:
    """The same on the curve that the blob names; Nsecret is the size of its hash."""
    curve = {b"\0\x10": ec.SECP256R1(), b"\0\x11": ec.SECP384R1()}[blob[4:6]]
    size = 1 + 2 * curve.key_size // 8
    key = ec.derive_private_key(int.from_bytes(private, "big"), curve)
    enc = ec.EllipticCurvePublicKey.from_encoded_point(curve, blob[10 : 10 + size])
    shared = key.exchange(ec.ECDH(), enc)
    public = key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    digest = {b"\0\x01": "sha256", b"\0\x02": "sha384"}[blob[6:8]]
    return _hpke_open(blob, size, shared, public, info, associated_data, digest)


def _hpke_open(
    blob: bytes,
    enc_bytes: int,
    shared: bytes,
    public: bytes,
    info: bytes,
    associated_data: bytes,
    digest: str = "sha256",
) -> bytes:
    enc, ciphertext = blob[10 : 10 + enc_bytes], blob[10 + enc_bytes :]
    kem, hash_bytes = b"KEM" + blob[4:6], hashlib.new(digest).digest_size
    secret = hkdf_extract(b"", b"HPKE-v1" + kem + b"eae_prk" + shared, digest)
    label = bytes([0, hash_bytes]) + b"HPKE-v1" + kem + b"shared_secret" + enc + public
    shared = hkdf_expand(secret, label, hash_bytes, digest)
    suite = b"HPKE-v1HPKE" + blob[4:10]
    bound = b"mycelium-fractal-net/hpke/v1" + blob[:10]
    bound += len(info).to_bytes(8, "big") + info + associated_data
    schedule = b"\0" + hkdf_extract(b"", suite + b"psk_id_hash", digest)
    schedule += hkdf_extract(b"", suite + b"info_hash" + bound, digest)
    secret = hkdf_extract(shared, suite + b"secret", digest)
    cipher_key = hkdf_expand(secret, b"\x00\x20" + suite + b"key" + schedule, 32, digest)
    nonce = hkdf_expand(secret, b"\x00\x0c" + suite + b"base_nonce" + schedule, 12, digest)
    return AESGCM(cipher_key).decrypt(nonce, ciphertext, b"")


def test_a_stranger_opens_the_raw_form_and_the_hpke_blob() -> None:
    """With nothing of ours."""
    key, data, plain, message = of(RAW, "key", "associated_data", "plaintext", "message")
    assert AESGCM(key).decrypt(message[:12], message[12:], data) == plain
    private, blob, info, data, plain = of(
        HPKE, "private_key", "blob", "info", "associated_data", "plaintext"
    )
    assert blob[:10] == b"MFH\x01" + bytes.fromhex("0020 0001 0002")
    assert hpke_open(private, blob, info, data) == plain


@EACH_CURVE
def test_a_stranger_opens_an_hpke_blob_on_nists_curves(section: dict[str, Any]) -> None:
    """With nothing of ours; and the product opens it."""
    private, public, blob, info, data, plain = of(
        section, "private_key", "public_key", "blob", "info", "associated_data", "plaintext"
    )
    assert hpke_open_on(private, blob, info, data) == plain
    recipient = RecipientKey.from_private_bytes(section["algorithm"], private)
    assert recipient.public.public_bytes() == public
    assert open_as_recipient(recipient, blob, info=info, associated_data=data) == plain


@EACH_CURVE
def test_an_hpke_blob_on_nists_curves_with_a_fault_is_refused(section: dict[str, Any]) -> None:
    """Of an ``enc`` each form that is not the one, and its negative, whose secret is the same."""
    private, info, data = of(section, "private_key", "info", "associated_data")
    key = RecipientKey.from_private_bytes(section["algorithm"], private)
    for fault, wrong in section["invalid"].items():
        with pytest.raises(DecryptionError):
            open_as_recipient(key, bytes.fromhex(wrong), info=info, associated_data=data)
        assert fault


@pytest.mark.parametrize("vector", FILES["valid"], ids=lambda v: f"{v['algorithm']}-{v['mode']}")
def test_a_stranger_verifies_a_signature_file(vector: dict[str, Any]) -> None:
    """Magic, handle, mode; mode 1 is what ``mfn sign`` writes."""
    data, handle = of(FILES, "data", "handle")
    file, public = of(vector, "file", "public_key")
    assert file[:13] == b"MFS\x01" + handle + bytes([vector["mode"]])
    signed = data
    if vector["mode"] == 1:
        signed = b"mycelium-fractal-net/prehash-sha512/v1\0" + hashlib.sha512(data).digest()
    key: Any = load_der_public_key(public)
    if isinstance(key, ec.EllipticCurvePublicKey):
        digest = hashes.SHA256() if key.curve.key_size == 256 else hashes.SHA384()
        key.verify(file[13:], signed, ec.ECDSA(digest))
    else:
        assert isinstance(key, ed25519.Ed25519PublicKey | mldsa.MLDSA65PublicKey)
        key.verify(file[13:], signed)


# The product --------------------------------------------------------------------------------


def test_the_product_opens_what_is_valid() -> None:
    """The raw form and HPKE."""
    key, data, plain, message = of(RAW, "key", "associated_data", "plaintext", "message")
    assert decrypt_aes_gcm(message, key, data) == plain
    private, public, blob, info, data, plain = of(
        HPKE, "private_key", "public_key", "blob", "info", "associated_data", "plaintext"
    )
    recipient = RecipientKey.from_private_bytes("HPKE-X25519", private)
    assert recipient.public.public_bytes() == public
    assert open_as_recipient(recipient, blob, info=info, associated_data=data) == plain


@pytest.mark.parametrize("vector", FILES["valid"], ids=lambda v: f"{v['algorithm']}-{v['mode']}")
def test_the_product_verifies_what_is_valid(vector: dict[str, Any]) -> None:
    """And writes it so."""
    file, public = of(vector, "file", "public_key")
    parsed = parse_signature_file(file)
    assert encode_signature_file(*parsed) == file
    VerifyingKey.from_der(public).verify_file(BytesIO(*of(FILES, "data")), parsed)


@pytest.mark.parametrize("fault", RAW["invalid"])
def test_a_raw_message_with_a_fault_is_refused(fault: str) -> None:
    """Each with the one error."""
    key, data, wrong = *of(RAW, "key", "associated_data"), *of(RAW["invalid"], fault)
    with pytest.raises(DecryptionError):
        decrypt_aes_gcm(wrong, key, data)


@pytest.mark.parametrize("fault", FILES["invalid"])
def test_a_signature_file_with_a_fault_is_refused(fault: str) -> None:
    """In its form or in its signature."""
    (file,) = of(FILES["invalid"], fault)
    key = VerifyingKey.from_der(*of(FILES["valid"][0], "public_key"))
    with pytest.raises(InvalidSignatureError):
        key.verify_file(BytesIO(*of(FILES, "data")), parse_signature_file(file))


@pytest.mark.parametrize("fault", HPKE["invalid"])
def test_an_hpke_blob_with_a_fault_is_refused(fault: str) -> None:
    """Of an ``enc`` each encoding that is not the one, and each point of low order."""
    private, info, data = of(HPKE, "private_key", "info", "associated_data")
    key = RecipientKey.from_private_bytes("HPKE-X25519", private)
    (wrong,) = of(HPKE["invalid"], fault)
    with pytest.raises(DecryptionError):
        open_as_recipient(key, wrong, info=info, associated_data=data)


HYBRID, ADDRESSED = VECTORS["recipients_mlkem768_x25519"], VECTORS["addressed"]
KEYS = {key["algorithm"]: key for key in ADDRESSED["keys"]}


@pytest.mark.parametrize("fault", ["none", *HYBRID["invalid"]])
def test_a_hybrid_blob_opens_unless_it_has_a_fault(fault: str) -> None:
    """In either of its halves; tests/security/sealed has a stranger's decoder of it."""
    private, info, data = of(HYBRID, "private_key", "info", "associated_data")
    key = RecipientKey.from_private_bytes(HYBRID["algorithm"], private)
    assert key.public.public_bytes() == bytes.fromhex(HYBRID["public_key"])
    if fault == "none":
        blob, plain = of(HYBRID, "blob", "plaintext")
        assert open_as_recipient(key, blob, info=info, associated_data=data) == plain
        return
    (wrong,) = of(HYBRID["invalid"], fault)
    with pytest.raises(DecryptionError):
        open_as_recipient(key, wrong, info=info, associated_data=data)


def addressed_open(algorithm: str, message: bytes) -> bytes:
    """A message for recipients, from the document; of the hybrid the blob is the product's."""
    at, end = (5, 5) if message[3] == 1 else (37, 37)
    blobs = []
    for _ in range(message[at - 1]):
        size = int.from_bytes(message[end : end + 2], "big")
        blobs.append(message[end + 2 : end + 2 + size])
        end += 2 + size
    private = bytes.fromhex(KEYS[algorithm]["private_key"])
    key = RecipientKey.from_private_bytes(algorithm, private)
    suite = {"HPKE-X25519": "0020", "HPKE-P256": "0010", "HPKE-P384": "0011"}.get(algorithm, "647a")
    (blob,) = [each for each in blobs if each[:6] == b"MFH\x01" + bytes.fromhex(suite)]
    info = b"mycelium-fractal-net/addressed-key/v1"
    if algorithm == "HPKE-X25519":
        data_key = hpke_open(private, blob, info, b"")
    elif algorithm in ("HPKE-P256", "HPKE-P384"):
        data_key = hpke_open_on(private, blob, info, b"")
    else:
        data_key = open_as_recipient(key, blob, info=info)
    context = b"mycelium-fractal-net/addressed/v1" + hashlib.sha512(message[:end]).digest()
    context += bytes.fromhex(ADDRESSED["associated_data"])
    opener = Cobblestone256Decryptor(data_key, context)
    return opener.update(message[end:]) + opener.finalize()


@pytest.mark.parametrize("vector", ADDRESSED["valid"], ids=lambda each: "+".join(each["for"]))
def test_messages_for_recipients_open_for_each_of_them(vector: dict[str, Any]) -> None:
    """For a stranger and the product; nobody else opens one."""
    message, data = bytes.fromhex(vector["message"]), of(ADDRESSED, "associated_data")[0]
    options = OpenOptions(data, name=FileName(ADDRESSED["name"]) if vector["bound"] else None)
    for algorithm, key in KEYS.items():
        identity = Policy().identities_in(key["identity"])
        assert [each.public for each in identity] == Policy().recipients_in(key["recipient"])
        plain = BytesIO()
        if algorithm in vector["for"]:
            assert (
                hashlib.sha256(addressed_open(algorithm, message)).hexdigest()
                == (vector["plaintext_sha256"])
            )
            open_stream_with(identity, BytesIO(message), plain, options)
            assert hashlib.sha256(plain.getvalue()).hexdigest() == vector["plaintext_sha256"]
            continue
        with pytest.raises(DecryptionError):
            open_stream_with(identity, BytesIO(message), plain, options)


@pytest.mark.parametrize("fault", ADDRESSED["invalid"])
def test_a_message_for_recipients_with_a_fault_is_refused(fault: str) -> None:
    """By each of them."""
    (wrong,), (data,) = of(ADDRESSED["invalid"], fault), of(ADDRESSED, "associated_data")
    for key in KEYS.values():
        with pytest.raises(DecryptionError):
            open_with(Policy().identities_in(key["identity"]), wrong, associated_data=data)


def identity_open(line: str, passphrase: bytes) -> bytes:
    """A private key under a passphrase, from the document."""
    kind, _, text = line.removeprefix("mfn-identity-sealed:").partition(":")
    raw = urlsafe_b64decode(text + "=" * (-len(text) % 4))[:-4]
    public = raw[36 : 36 + {"x25519": 32, "p256": 65, "p384": 97}.get(kind, 1216)]
    key = hashlib.pbkdf2_hmac("sha256", passphrase, raw[4:36], int.from_bytes(raw[:4], "big"))
    context = b"mycelium-fractal-net/identity/v1"
    context += b"".join(struct.pack(">I", len(part)) + part for part in (kind.encode(), public))
    opener = Cobblestone256Decryptor(key, context)
    return opener.update(raw[36 + len(public) :]) + opener.finalize()


IDENTITIES = VECTORS["identities"]


@pytest.mark.parametrize("vector", IDENTITIES["valid"], ids=lambda each: each["algorithm"])
def test_a_private_key_under_a_passphrase_opens(vector: dict[str, str]) -> None:
    """For a stranger and the product, which shows the public one without it."""
    (passphrase,) = of(IDENTITIES, "passphrase")
    private, public = of(vector, "private_key", "public_key")
    assert identity_open(vector["line"], passphrase) == private
    (key,) = Policy().identities_in(vector["line"], lambda: passphrase)
    assert (key.private_bytes(), key.public.public_bytes()) == (private, public)
    assert Policy().public_identities_in(vector["line"]) == [key.public]


@pytest.mark.parametrize("fault", IDENTITIES["invalid"])
def test_a_private_key_under_a_passphrase_with_a_fault_is_refused(fault: str) -> None:
    """With one error of keys."""
    (passphrase,) = of(IDENTITIES, "passphrase")
    with pytest.raises(InvalidKeyError):
        Policy().identities_in(IDENTITIES["invalid"][fault], lambda: passphrase)


def test_who_was_given_another_data_key_is_shown_no_other_plaintext() -> None:
    """The body commits to one key: the second recipient opens nothing."""
    forged, data = of(ADDRESSED, "refused_by_the_second_alone", "associated_data")
    first, second = (Policy().identities_in(key["identity"]) for key in ADDRESSED["keys"][:2])
    assert open_with(first, forged, associated_data=data) == b"one two three"
    with pytest.raises(DecryptionError):
        open_with(second, forged, associated_data=data)


def test_no_blob_opens_whose_enc_is_another_encoding() -> None:
    """Made by somebody who holds the private key of his ephemeral one, so that all else is right.

    Points y and y + p are one to X25519, and so is y with its top bit set: HPKE alone opens them.
    """
    from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

    private, info, data, plain = of(HPKE, "private_key", "info", "associated_data", "plaintext")
    key = RecipientKey.from_private_bytes("HPKE-X25519", private)
    opened: list[str] = []
    for wrong in _self_consistent(key, info, data, plain):
        bound = b"mycelium-fractal-net/hpke/v1" + wrong[:10]
        bound += len(info).to_bytes(8, "big") + info + data
        suite = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
        own = X25519PrivateKey.from_private_bytes(private)
        assert suite.decrypt(wrong[10:], own, bound) == plain
        with pytest.raises(DecryptionError):
            open_as_recipient(key, wrong, info=info, associated_data=data)
        opened.append(wrong.hex())
    assert len(set(opened)) == 5


def _self_consistent(key: RecipientKey, info: bytes, data: bytes, plain: bytes) -> list[bytes]:
    """Blobs under another encoding of ``enc``, whose holder derived all from that encoding."""
    made = []
    public = key.public.public_bytes()
    for number in range(1, 6):
        ephemeral = X25519PrivateKey.from_private_bytes(bytes([number]) * 32)
        shared = ephemeral.exchange(X25519PublicKey.from_public_bytes(public))
        y = int.from_bytes(ephemeral.public_key().public_bytes_raw(), "little") + 2**255
        made.append(_seal(y.to_bytes(32, "little"), shared, public, info, data, plain))
    return made


def _seal(
    enc: bytes, shared: bytes, public: bytes, info: bytes, data: bytes, plain: bytes
) -> bytes:
    head = b"MFH\x01" + bytes.fromhex("0020 0001 0002")
    kem = b"KEM" + bytes.fromhex("0020")
    secret = hkdf_extract(b"", b"HPKE-v1" + kem + b"eae_prk" + shared)
    label = b"\x00\x20HPKE-v1" + kem + b"shared_secret" + enc + public
    shared = hkdf_expand(secret, label, 32)
    suite = b"HPKE-v1HPKE" + head[4:]
    bound = b"mycelium-fractal-net/hpke/v1" + head + len(info).to_bytes(8, "big") + info + data
    schedule = b"\0" + hkdf_extract(b"", suite + b"psk_id_hash")
    schedule += hkdf_extract(b"", suite + b"info_hash" + bound)
    secret = hkdf_extract(shared, suite + b"secret")
    cipher_key = hkdf_expand(secret, b"\x00\x20" + suite + b"key" + schedule, 32)
    nonce = hkdf_expand(secret, b"\x00\x0c" + suite + b"base_nonce" + schedule, 12)
    return head + enc + AESGCM(cipher_key).encrypt(nonce, plain, b"")


def test_deterministic_messages_are_made_and_opened_as_they_stand() -> None:
    """Each size, and the empty one; a fault is the one error."""
    key, handle, associated_data = of(SIV, "key", "handle", "associated_data")
    cipher = DeterministicKey(key, handle).cipher(associated_data)
    for vector in SIV["valid"]:
        plain, message = of(vector, "plaintext", "message")
        assert cipher.seal(plain) == message
        assert cipher.open(message) == plain
    for wrong in SIV["invalid"].values():
        with pytest.raises(DecryptionError):
            cipher.open(bytes.fromhex(wrong))


def test_tags_of_blind_indexes_are_as_they_stand() -> None:
    """In every normalisation, whole and cut short."""
    index = IndexKey(*of(VECTORS["index"], "key"))
    for vector in VECTORS["index"]["tags"]:
        context, tag = of(vector, "context", "tag")
        field = IndexField(context, vector["bits"], vector["normalisation"])
        assert index.field(field).tag(vector["value"]) == tag, vector


def test_the_document_names_every_fault(ran: Callable[[str, int], None]) -> None:
    """A stranger's decoder is tried on all of them."""
    document = (Path(__file__).parents[2] / "docs" / "format.md").read_text()
    for section in (RAW, FILES, HPKE, *CURVES, SIV):
        for fault in section["invalid"]:
            assert f"`{fault.partition(',')[0]}`" in document, fault
        ran("our formats", len(section["invalid"]))
