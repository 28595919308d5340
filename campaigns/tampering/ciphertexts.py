"""Forms under a key: messages, backups, keys on their way, wrapped keys, values of columns."""

from __future__ import annotations

import base64
import hashlib
import io
import json
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Final

from campaigns.tampering.forms import Form
from mycelium_fractal_net.columns.coding import decode
from mycelium_fractal_net.files.recipients import open_with, seal_to
from mycelium_fractal_net.legacy.cipher import XorOpener
from mycelium_fractal_net.security.aes_encryption import decrypt_aes_gcm, encrypt_aes_gcm
from mycelium_fractal_net.security.backup.opened import open_backup
from mycelium_fractal_net.security.errors import (
    BoundNameError,
    DecryptionError,
    MasterKeyError,
    StoreIntegrityError,
    StoreVersionError,
)
from mycelium_fractal_net.security.key_providers.custodian import Binding
from mycelium_fractal_net.security.key_providers.local import LocalCustodian
from mycelium_fractal_net.security.key_providers.wrapping import Wrapping
from mycelium_fractal_net.security.policy import Policy
from mycelium_fractal_net.security.records.file_names import FileName, check_name
from mycelium_fractal_net.security.sealed.key_transport import METHODS, UnwrappingKey
from mycelium_fractal_net.security.sealed.layout import parse_header, read_header
from mycelium_fractal_net.security.sealed.recipients import (
    RecipientKey,
    open_as_recipient,
    seal_to_recipient,
)
from mycelium_fractal_net.security.sealed.sealer import Sealer

KEY: Final = hashlib.sha256(b"mycelium-fractal-net test key").digest()
HANDLE: Final = bytes.fromhex("0123456789abcdef")
DATA: Final = b"row 17"
NAME: Final = FileName("papers/a.txt")
POLICY: Final = Policy()
BOUND: Final = Binding(bytes(16), "orders", "encryption", "data", "AES-256-GCM", 1, HANDLE)
VECTORS: Final = Path(__file__).resolve().parents[2] / "tests" / "vectors"
_SEALED: Final = Sealer.sealed(KEY, HANDLE)


def sealer_of(message: bytes) -> Sealer:
    """What opens it, as a keyring does that has one key and a file of one name."""
    header = parse_header(message)
    if header.handle != HANDLE:
        raise DecryptionError
    if header.wrapped:
        data_key = _SEALED.unwrap_data_key(header.wrapped, b"lease 1")
        return Sealer.envelope(data_key, HANDLE, header.wrapped)
    if header.name:
        check_name(header.name, NAME)
        return Sealer.named(KEY, HANDLE, header.name)
    return _SEALED


def whole(message: bytes) -> bytes:
    return sealer_of(message).open(message, DATA)


def stream(message: bytes) -> bytes:
    sealer, reader, writer = sealer_of(message), io.BytesIO(message), io.BytesIO()
    read_header(reader)
    sealer.open_stream(reader, writer, DATA)
    return writer.getvalue()


def position(message: bytes) -> bytes:
    sealer, reader = sealer_of(message), io.BytesIO(message)
    read_header(reader)
    return sealer.open_range(reader, DATA).read()


def column(value: bytes) -> bytes:
    return whole(decode(value)[0])


def messages() -> list[Form]:
    """Sealed messages in each form, each by each reader; and the raw one."""
    envelope = _envelope(b"in an envelope")
    named = Sealer.named(KEY, HANDLE, NAME.digest).seal(b"under a name", DATA)
    sealed = _SEALED.seal(b"one two three", DATA)
    long = _SEALED.seal(bytes(range(256)) * 65, DATA)  # of two chunks
    raw = encrypt_aes_gcm(b"one two three", KEY, DATA)
    refused = (DecryptionError,)
    return [
        Form("sealed message", sealed, whole, refused),
        Form("sealed message, as a stream", sealed, stream, refused),
        Form("sealed message, by position", sealed, position, refused),
        Form("sealed message of two chunks", long, whole, refused),
        Form("message with its data key", envelope, whole, refused),
        Form("message with its data key, as a stream", envelope, stream, refused),
        Form("message bound to a name", named, whole, (*refused, BoundNameError), ciphertext=False),
        Form("raw form", raw, lambda data: decrypt_aes_gcm(data, KEY, DATA), refused),
        Form(
            "value of a column, base64", base64.b64encode(sealed), column, refused,
            lambda changed, _: "without its padding" if len(changed) % 4 else None,
        ),
        Form("message of the XOR cipher", _OLD, XorOpener(POLICY, KEY).open, refused),
    ]  # fmt: skip


_OLD: Final = (
    b"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh92aIvQZwyDn7BfKX"
    b"BjLJtRhNABhR_NrI9pK9pF-pM_mawS44eajF2isK4EmMQJhnwhqBgzY9U="
)


def _envelope(plain: bytes) -> bytes:
    return _SEALED.wrap_data_key(b"lease 1").sealer.seal(plain, DATA)


def keys_on_their_way() -> list[Form]:
    """HPKE blobs in each suite, messages for recipients, and wrapped keys by each method."""
    forms = []
    for algorithm, size in (
        ("HPKE-X25519", 32),
        ("HPKE-P256", 32),
        ("HPKE-P384", 48),
        ("HPKE-MLKEM768-X25519", 32),
    ):
        key = RecipientKey.from_private_bytes(algorithm, bytes([7]) * size)
        blob = seal_to_recipient(key.public, b"plain", info=b"i", associated_data=DATA)
        forms.append(Form(f"blob, {algorithm}", blob, _opening(key), (DecryptionError,)))
    keys = [RecipientKey.from_private_bytes("HPKE-P256", bytes([n]) * 32) for n in (7, 8)]
    message = seal_to([key.public for key in keys], b"one two three", associated_data=DATA)
    for number, key in enumerate(keys, 1):
        opening = partial(open_with, [key], associated_data=DATA)
        name = f"message for recipients, by number {number}"
        forms.append(Form(name, message, opening, (DecryptionError,)))
    for method in METHODS:
        unwrapping = _made(method)
        wrapped = unwrapping.public.wrap(KEY)
        forms.append(Form(f"wrapped key, {method}", wrapped, unwrapping.unwrap, (DecryptionError,)))
    return forms


@cache
def _made(method: str) -> UnwrappingKey:
    return UnwrappingKey.generate(method)


def _opening(key: RecipientKey) -> Callable[[bytes], bytes]:
    return lambda blob: open_as_recipient(key, blob, info=b"i", associated_data=DATA)


def of_the_store(folder: Path) -> list[Form]:
    """A backup, what a master key wraps, and the file that this one is in."""
    vector = json.loads((VECTORS / "backup_vectors.json").read_text())["backups"][0]
    content = base64.b64decode(vector["backup"])
    file = folder / "master.key"
    folder.chmod(0o700)

    def custodian(document: bytes) -> LocalCustodian:
        file.unlink(missing_ok=True)
        file.touch(mode=0o600)
        file.write_bytes(document)
        return LocalCustodian(file, POLICY)

    document = json.dumps(vector["master_key_file"], indent=1).encode() + b"\n"
    opened = custodian(document)
    wrapping = Wrapping(opened, opened.store_id)
    master_id = opened.newest_id()
    wrapped = opened.wrap_many(master_id, [(KEY, BOUND)])[0]

    def backup(data: bytes) -> object:
        return open_backup(wrapping, POLICY, io.BytesIO(data)).read()

    def material(data: bytes) -> bytes:
        return bytes(opened.unwrap_many(master_id, [(data, BOUND)])[0])

    def master_file(data: bytes) -> object:
        found = custodian(data)
        if found.store_id != opened.store_id:
            raise MasterKeyError("of another store")
        return found.unwrap_many(master_id, [(wrapped, BOUND)])

    def same_document(changed: bytes, _: object) -> str | None:
        one, other = json.loads(changed), json.loads(document)
        one["store_id"] = str(one["store_id"]).lower()
        return "white space, or a digit in capitals" if one == other else None

    refused = (DecryptionError, MasterKeyError, StoreVersionError)
    return [
        Form("backup", content, backup, refused, ciphertext=False),
        Form("wrapped key in the store", wrapped, material, (StoreIntegrityError,)),
        Form(
            "file of the master key", document, master_file,
            (MasterKeyError, StoreIntegrityError), same_document, ciphertext=False,
        ),
    ]  # fmt: skip
