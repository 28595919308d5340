"""Rows that grant authority are authenticated: who can write to the database gains nothing.

A key is one record: its type, use, algorithm, policy and the states of all its versions are
under one HMAC-SHA-256, whose key is wrapped by the master key. So an edited state, a row
brought over from another store, and one version's row put back as it was last week are all
refused. A rollback of a key's whole record, or of the whole store, is not seen.

What is authenticated is a label, the store id and each field, length-prefixed: no two
records have the same encoding.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from mycelium_fractal_net.security.errors import InvalidSignatureError, StoreIntegrityError
from mycelium_fractal_net.security.key_store.rows import (
    credential_row,
    key_fields,
    key_row,
    version_fields,
    version_row,
)
from mycelium_fractal_net.security.key_store.signer_table import signer_row

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mycelium_fractal_net.security.records.credentials import Credential
    from mycelium_fractal_net.security.records.keys import Key
    from mycelium_fractal_net.security.records.signers import Signer

__all__ = [
    "STORE_ID_BYTES",
    "Mac",
    "check_credential",
    "check_key",
    "check_signer",
    "encode_fields",
    "seal_credential",
    "seal_key",
    "seal_signer",
]

Field = bytes | str | int | bool | None

STORE_ID_BYTES: Final = 16
_KEY_LABEL: Final = b"mycelium-fractal-net/row/key/v1"
_CREDENTIAL_LABEL: Final = b"mycelium-fractal-net/row/credential/v1"
_LATER_DEFAULTS: Final[dict[str, Field]] = {
    "automatic": True,
    "rotate_at": None,
    "rewrapped_at": None,
}
_SIGNER_LABEL: Final = b"mycelium-fractal-net/row/signer/v1"


class Mac(Protocol):
    """What authenticates rows: HMAC-SHA-256 from the policy."""

    def tag(self, data: bytes) -> bytes:
        """The 32-byte tag of ``data``."""

    def verify(self, data: bytes, tag: bytes) -> None:
        """Raise :class:`InvalidSignatureError` unless ``tag`` is the tag of ``data``."""


def encode_fields(*fields: Field) -> bytes:
    """Fields as bytes, each with a kind and its length, so that none runs into the next."""
    parts = []
    for field in fields:
        if field is None:
            kind, value = b"-", b""
        elif isinstance(field, bytes):
            kind, value = b"b", field
        elif isinstance(field, str):
            kind, value = b"s", field.encode()
        else:
            kind, value = b"i", str(int(field)).encode()
        parts.append(kind + len(value).to_bytes(4, "big") + value)
    return b"".join(parts)


def _encode_key(store_id: bytes, key: Key) -> bytes:
    fields = [_KEY_LABEL, store_id, *key_fields(key).values(), len(key.versions)]
    for version in key.versions:
        row = version_fields(key.key_id, version)
        # The wrapping authenticates itself and what it is bound to; but a version that is
        # there must not become one whose material was erased.
        row["wrapped"] = bool(version.wrapped)
        fields.extend(row.values())
    return encode_fields(*fields, *_later_fields(key))


def _later_fields(key: Key) -> Iterator[Field]:
    """What a later schema added, where it says something: a record of before is as it was.

    Each is named, since any of them may be absent; of a version after its number.
    """
    row, first = key_row(key), key_fields(key)
    for name, value in row.items():
        if name not in first and value != _LATER_DEFAULTS[name]:
            yield from (name, value)
    for version in key.versions:
        row, first = version_row(key.key_id, version), version_fields(key.key_id, version)
        for name, value in row.items():
            if name not in first and value != _LATER_DEFAULTS[name]:
                yield from (version.version, name, value)


def seal_key(mac: Mac, store_id: bytes, key: Key) -> bytes:
    """The MAC to be stored beside ``key``."""
    return mac.tag(_encode_key(store_id, key))


def check_key(mac: Mac, store_id: bytes, key: Key, tag: bytes) -> None:
    """Raise :class:`StoreIntegrityError`, naming the key, unless ``tag`` is its MAC."""
    _check(mac, _encode_key(store_id, key), tag, f"key {key.key_id!r}")


def _encode_credential(store_id: bytes, credential: Credential) -> bytes:
    return encode_fields(_CREDENTIAL_LABEL, store_id, *credential_row(credential).values())


def seal_credential(mac: Mac, store_id: bytes, credential: Credential) -> bytes:
    """The MAC to be stored beside ``credential``."""
    return mac.tag(_encode_credential(store_id, credential))


def check_credential(mac: Mac, store_id: bytes, credential: Credential, tag: bytes) -> None:
    """Raise :class:`StoreIntegrityError`, naming the credential, unless ``tag`` is its MAC."""
    named = f"credential {credential.credential_id!r}"
    _check(mac, _encode_credential(store_id, credential), tag, named)


def _encode_signer(store_id: bytes, signer: Signer) -> bytes:
    return encode_fields(_SIGNER_LABEL, store_id, *signer_row(signer).values())


def seal_signer(mac: Mac, store_id: bytes, signer: Signer) -> bytes:
    """The MAC to be stored beside ``signer``."""
    return mac.tag(_encode_signer(store_id, signer))


def check_signer(mac: Mac, store_id: bytes, signer: Signer, tag: bytes) -> None:
    """Raise :class:`StoreIntegrityError`, naming the signer, unless ``tag`` is its MAC."""
    _check(mac, _encode_signer(store_id, signer), tag, f"signer {signer.name!r}")


def _check(mac: Mac, encoded: bytes, tag: bytes, named: str) -> None:
    try:
        mac.verify(encoded, tag)
    except InvalidSignatureError:
        raise StoreIntegrityError(
            f"{named} fails its authentication: its rows were changed outside of this software,"
            " or come from another store"
        ) from None
