"""Make tests/vectors/format_vectors.json: the raw form, signature files, HPKE blobs, lookups.

    python scripts/make_format_vectors.py tests/vectors/format_vectors.json

Nonces and ephemeral keys are random, so each run makes other vectors; the ones in the tree stay as
they are, and are checked by decoders that are written from docs/format.md alone.
"""

from __future__ import annotations

import hashlib
import json
import sys
from io import BytesIO
from pathlib import Path
from typing import Any

from mycelium_fractal_net.security.aes_encryption import encrypt_aes_gcm
from mycelium_fractal_net.security.policy import Policy
from mycelium_fractal_net.security.records.file_names import FileName
from mycelium_fractal_net.security.records.index_fields import IndexField
from mycelium_fractal_net.security.sealed.addressed import opener_by, sealer_for
from mycelium_fractal_net.security.sealed.addressed_layout import (
    AddressedHeader,
    parse_addressed_header,
)
from mycelium_fractal_net.security.sealed.blind_index import IndexKey
from mycelium_fractal_net.security.sealed.deterministic import DeterministicKey
from mycelium_fractal_net.security.sealed.recipient_text import parse_identity_lines
from mycelium_fractal_net.security.sealed.recipients import RecipientKey, seal_to_recipient
from mycelium_fractal_net.security.sealed.sealed_identity import SealedIdentity
from mycelium_fractal_net.security.signatures.signature_file import (
    SignatureMode,
    encode_signature_file,
)
from mycelium_fractal_net.security.signatures.signing_key import SigningKey

KEY = hashlib.sha256(b"mycelium-fractal-net test key").digest()
HANDLE = bytes.fromhex("0123456789abcdef")
DATA = b"one two three"
ADDRESSED_KEY = b"mycelium-fractal-net/addressed-key/v1"
PASSPHRASE = "Maßkrug, zwölf".encode()
ALGORITHMS = ("Ed25519", "ECDSA-P256", "ECDSA-P384", "ML-DSA-65")
P = 2**255 - 19
# u of order 1, 2, 4 and 8 in X25519 (RFC 7748 section 5, and its section 7 on what they do).
LOW_ORDER = (
    0,
    1,
    P - 1,
    325606250916557431795983626356110631294008115727848805560023387167927233504,
    39382357235489614581723060781553021112529911719440698176882885853963445705823,
)


def raw() -> dict[str, Any]:
    """Plain AES-256-GCM."""
    message = encrypt_aes_gcm(DATA, KEY, b"row 17")
    faults = {
        "changed nonce": flipped(message, 0),
        "changed ciphertext": flipped(message, 12),
        "changed tag": flipped(message, len(message) - 1),
        "cut in the tag": message[:-1],
        "shorter than nonce and tag": message[:27],
        "empty": b"",
    }
    return {
        "key": KEY.hex(),
        "associated_data": b"row 17".hex(),
        "plaintext": DATA.hex(),
        "message": message.hex(),
        "invalid": {fault: wrong.hex() for fault, wrong in faults.items()},
    }


def signature_files() -> dict[str, Any]:
    """Of each algorithm in each mode."""
    valid = []
    for algorithm in ALGORITHMS:
        key = SigningKey.generate(algorithm)
        for mode, signature in (
            (SignatureMode.PURE, key.sign(DATA)),
            (SignatureMode.PREHASH, key.sign_stream(BytesIO(DATA))),
        ):
            valid.append(
                {
                    "algorithm": algorithm,
                    "mode": int(mode),
                    "public_key": key.public.der().hex(),
                    "file": encode_signature_file(HANDLE, mode, signature).hex(),
                }
            )
    first = bytes.fromhex(valid[0]["file"])  # type: ignore[arg-type]
    faults = {
        "no magic": b"MFT" + first[3:],
        "unknown mode": first[:12] + b"\x02" + first[13:],
        "the other mode": first[:12] + b"\x01" + first[13:],
        "no signature": first[:13],
        "changed signature": flipped(first, 20),
        "a byte more": first + b"\0",
    }
    return {
        "data": DATA.hex(),
        "handle": HANDLE.hex(),
        "valid": valid,
        "invalid": {fault: wrong.hex() for fault, wrong in faults.items()},
    }


def _sealed_to(key: RecipientKey, blob: bytes, faults: dict[str, bytes]) -> dict[str, Any]:
    """What both kinds of curves say of a blob, and of others that do not open."""
    return {
        "private_key": key.private_bytes().hex(),
        "public_key": key.public.public_bytes().hex(),
        "info": b"letters".hex(),
        "associated_data": b"row 17".hex(),
        "plaintext": DATA.hex(),
        "blob": blob.hex(),
        "invalid": {fault: wrong.hex() for fault, wrong in faults.items()},
    }


def recipients() -> dict[str, Any]:
    """HPKE in base mode with X25519."""
    material = hashlib.sha256(b"a recipient's test key").digest()
    key = RecipientKey.from_private_bytes("HPKE-X25519", material)
    blob = seal_to_recipient(key.public, DATA, info=b"letters", associated_data=b"row 17")
    enc = int.from_bytes(blob[10:42], "little")
    odd = [y + top for y in (*LOW_ORDER, *range(P, 2**255)) for top in (0, 2**255)]
    faults = {
        "no magic": b"MFI" + blob[3:],
        "another suite": flipped(blob, 5),
        "changed enc": flipped(blob, 10),
        "changed ciphertext": flipped(blob, 42),
        "changed tag": flipped(blob, len(blob) - 1),
        "cut in the tag": blob[:-1],
        "enc with its top bit set": _with_enc(blob, enc + 2**255),
        **{f"enc that is no usable point, {y:064x}": _with_enc(blob, y) for y in sorted({*odd})},
    }
    return _sealed_to(key, blob, faults)


_FIELDS = {  # SP 800-186 sections 3.2.1.3 and 3.2.1.4
    "HPKE-P256": 2**256 - 2**224 + 2**192 + 2**96 - 1,
    "HPKE-P384": 2**384 - 2**128 - 2**96 + 2**32 - 1,
}


def recipients_on(algorithm: str) -> dict[str, Any]:
    """HPKE in base mode with one of NIST's curves."""
    field = _FIELDS[algorithm]
    size = field.bit_length() // 8
    material = hashlib.sha384(b"a recipient's test key").digest()[:size]
    key = RecipientKey.from_private_bytes(algorithm, material)
    blob = seal_to_recipient(key.public, DATA, info=b"letters", associated_data=b"row 17")
    end = 11 + 2 * size
    x, y, rest = blob[11 : 11 + size], blob[11 + size : end], blob[end:]
    negative = (field - int.from_bytes(y, "big")).to_bytes(size, "big")
    past = b"\xff" * size
    faults = {
        "no magic": b"MFI" + blob[3:],
        "another suite": flipped(blob, 5),
        "changed enc": flipped(blob, 11),
        "changed ciphertext": flipped(blob, end),
        "changed tag": flipped(blob, len(blob) - 1),
        "cut in the tag": blob[:-1],
        "enc in its hybrid form": blob[:10] + bytes([6 + y[-1] % 2]) + blob[11:],
        "enc in its compressed form": blob[:10] + bytes([2 + y[-1] % 2]) + x + rest,
        "enc with its y negated": blob[:10] + b"\x04" + x + negative + rest,
        "enc that is no usable point, zeros": blob[:10] + bytes(1 + 2 * size) + rest,
        "enc that is no usable point, past the field": blob[:10] + b"\x04" + past + past + rest,
    }
    return {"algorithm": algorithm, **_sealed_to(key, blob, faults)}


def hybrid_recipients() -> dict[str, Any]:
    """HPKE in base mode with ML-KEM-768 and X25519."""
    algorithm = "HPKE-MLKEM768-X25519"
    material = hashlib.sha256(b"a recipient's test key").digest()
    key = RecipientKey.from_private_bytes(algorithm, material)
    blob = seal_to_recipient(key.public, DATA, info=b"letters", associated_data=b"row 17")
    faults = {
        "no magic": b"MFI" + blob[3:],
        "another suite": flipped(blob, 5),
        "changed ciphertext of ML-KEM": flipped(blob, 10),
        "changed key of X25519": flipped(blob, 1098),
        "key of X25519 with its top bit set": blob[:1129]
        + bytes([blob[1129] | 0x80])
        + blob[1130:],
        "key of X25519 that is no usable point": blob[:1098] + bytes(32) + blob[1130:],
        "changed ciphertext": flipped(blob, 1130),
        "changed tag": flipped(blob, len(blob) - 1),
        "cut in the tag": blob[:-1],
    }
    return {"algorithm": algorithm, **_sealed_to(key, blob, faults)}


def addressed() -> dict[str, Any]:
    """Messages for recipients: of each suite, for several, bound to a name; and their keys."""
    seeds = {
        "HPKE-X25519": hashlib.sha256(b"a recipient's test key").digest(),
        "HPKE-P256": hashlib.sha256(b"a recipient's other test key").digest(),
        "HPKE-P384": hashlib.sha384(b"a recipient's test key").digest(),
        "HPKE-MLKEM768-X25519": hashlib.sha256(b"a recipient's test key").digest(),
    }
    keys = {name: RecipientKey.from_private_bytes(name, seed) for name, seed in seeds.items()}
    classic = [key for name, key in keys.items() if name != "HPKE-MLKEM768-X25519"]
    name = FileName("caf\u00e9.txt")
    valid = [
        *(_addressed([key], DATA) for key in keys.values()),
        _addressed(classic, b""),
        _addressed(classic, bytes(range(256)) * 130),
        _addressed(classic, DATA, name),
        _addressed(classic, DATA, unknown=True),
    ]
    message = bytes.fromhex(_addressed(classic[:2], DATA)["message"])
    header = parse_addressed_header(message)
    body = message[len(header.raw) :]
    one, two = header.blobs
    other = hashlib.sha256(b"another data key").digest()
    forged = AddressedHeader((one, seal_to_recipient(classic[1].public, other, info=ADDRESSED_KEY)))
    faults = {
        "no magic": b"MFS" + message[3:],
        "unknown form": message[:3] + b"\x03" + message[4:],
        "no recipient": b"MFR\x01\0" + body,
        "cut in the header": message[:20],
        "an empty blob": b"MFR\x01\x01\0\0" + body,
        "a blob that is too long for its suite": b"MFR\x01\x01\0\x5b" + one + b"\0" + body,
        "a recipient taken away": AddressedHeader((one,)).raw + body,
        "a recipient added": AddressedHeader((one, two, two)).raw + body,
        "recipients in another order": AddressedHeader((two, one)).raw + body,
        "a name added": AddressedHeader((one, two), name.digest).raw + body,
        "a blob sealed as another kind of key": AddressedHeader(
            (seal_to_recipient(classic[0].public, KEY, info=b"mycelium-fractal-net/key/v1"),)
        ).raw
        + body,
        "changed ciphertext": flipped(message, len(message) - 20),
        "cut at the end": message[:-1],
        "bytes behind the end": message + b"\0",
    }
    return {
        "associated_data": b"row 17".hex(),
        "name": name.name,
        "keys": [
            {
                "algorithm": algorithm,
                "private_key": key.private_bytes().hex(),
                "identity": key.line(),
                "recipient": key.public.line(),
            }
            for algorithm, key in keys.items()
        ],
        "valid": valid,
        "invalid": {fault: wrong.hex() for fault, wrong in faults.items()},
        "refused_by_the_second_alone": opener_by([classic[0]], forged).seal(DATA, b"row 17").hex(),
    }


def identities() -> dict[str, Any]:
    """Private keys of recipients under a passphrase, as lines."""
    policy, fewest = Policy(), 200_000
    keys = [
        RecipientKey.from_private_bytes(name, hash_of(b"a recipient's test key").digest())
        for name, hash_of in (
            ("HPKE-X25519", hashlib.sha256),
            ("HPKE-P256", hashlib.sha256),
            ("HPKE-P384", hashlib.sha384),
            ("HPKE-MLKEM768-X25519", hashlib.sha256),
        )
    ]
    line = policy.seal_identity(keys[0], PASSPHRASE, fewest)
    (read,) = parse_identity_lines(line)
    found = SealedIdentity.of(read.algorithm, read.raw)
    other = RecipientKey.from_private_bytes("HPKE-X25519", KEY).public.public_bytes()
    beside = found._replace(public=other)
    sealer = policy.bare_sealer(
        policy.derive_from_passphrase(PASSPHRASE, found.salt, iterations=fewest), beside.context
    )
    faults = {
        "another passphrase": policy.seal_identity(keys[0], b"another", fewest),
        "another check": line[:-1] + ("A" if line[-1] != "A" else "Q"),
        "another kind": line.replace(":x25519:", ":p256:"),
        "another salt": found._replace(salt=KEY).line(),
        "one iteration more": found._replace(iterations=fewest + 1).line(),
        "too few iterations": found._replace(iterations=fewest - 1).line(),
        "another public key": beside.line(),
        "another public key, sealed so": beside._replace(
            sealed=sealer.seal(keys[0].private_bytes())
        ).line(),
        "changed ciphertext": found._replace(sealed=flipped(found.sealed, 60)).line(),
        "cut at the end": found._replace(sealed=found.sealed[:-1]).line(),
    }
    return {
        "passphrase": PASSPHRASE.hex(),
        "valid": [
            {
                "algorithm": key.public.algorithm,
                "private_key": key.private_bytes().hex(),
                "public_key": key.public.public_bytes().hex(),
                "line": policy.seal_identity(key, PASSPHRASE, fewest),
            }
            for key in keys
        ],
        "invalid": faults,
    }


def _addressed(
    keys: list[RecipientKey], data: bytes, name: FileName | None = None, *, unknown: bool = False
) -> dict[str, Any]:
    digest = b"" if name is None else name.digest
    sealer = sealer_for([key.public for key in keys], hashlib.sha256(data).digest(), digest)
    if unknown:  # of a suite that no release has
        header = parse_addressed_header(sealer.seal(b""))
        header = AddressedHeader((b"MFH\x01" + bytes(60), *header.blobs))
        sealer = opener_by(keys, header)
    return {
        "for": [key.public.algorithm for key in keys],
        "bound": name is not None,
        "plaintext_sha256": hashlib.sha256(data).hexdigest(),
        "message": sealer.seal(data, b"row 17").hex(),
    }


def _with_enc(blob: bytes, y: int) -> bytes:
    return blob[:10] + y.to_bytes(32, "little") + blob[42:]


def flipped(message: bytes, position: int) -> bytes:
    """``message`` with the lowest bit of one byte changed."""
    changed = bytearray(message)
    changed[position] ^= 1
    return bytes(changed)


def deterministic() -> dict[str, Any]:
    """AES-SIV messages of several sizes, and one with each fault."""
    key = hashlib.sha512(b"mycelium-fractal-net test key").digest()
    made = DeterministicKey(key, HANDLE)
    cipher = made.cipher(b"row 17")
    message = cipher.seal(DATA)
    faults = {
        "no magic": flipped(message, 0),
        "another form": flipped(message, 3),
        "changed vector": flipped(message, 12),
        "changed ciphertext": flipped(message, 28),
        "cut in the vector": message[:27],
        "other associated data": made.cipher(b"row 18").seal(DATA),
    }
    return {
        "key": key.hex(),
        "handle": HANDLE.hex(),
        "associated_data": b"row 17".hex(),
        "valid": [
            {"plaintext": data.hex(), "message": cipher.seal(data).hex()}
            for data in (b"", b"x", DATA, bytes(range(16)), bytes(range(200)))
        ],
        "invalid": {fault: wrong.hex() for fault, wrong in faults.items()},
    }


def index() -> dict[str, Any]:
    """Tags of values in fields, whole and cut short."""
    values = ("", "alice@example.com", "Straße", "cafe\u0301", "ΑΣ", "\u212b")
    fields = [
        IndexField(b"users.email", bits, normalisation)
        for bits in (None, 4, 13, 64)
        for normalisation in ("exact", "nfc", "caseless")
    ]
    made = IndexKey(KEY)
    return {
        "key": KEY.hex(),
        "tags": [
            {
                "context": field.context.hex(),
                "bits": field.bits,
                "normalisation": field.normalisation,
                "value": value,
                "tag": made.field(field).tag(value).hex(),
            }
            for field in fields
            for value in values
        ],
    }


def main() -> None:
    """Write the file that is named."""
    found = {
        "format": "docs/format.md",
        "raw": raw(),
        "signature_files": signature_files(),
        "recipients": recipients(),
        "recipients_p256": recipients_on("HPKE-P256"),
        "recipients_p384": recipients_on("HPKE-P384"),
        "recipients_mlkem768_x25519": hybrid_recipients(),
        "addressed": addressed(),
        "identities": identities(),
        "deterministic": deterministic(),
        "index": index(),
    }
    Path(sys.argv[1]).write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
