"""Rows of the store as records, and back. A row that is no record is refused and named."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from mycelium_fractal_net.security.errors import InvalidInputError, StoreIntegrityError
from mycelium_fractal_net.security.records.credentials import (
    Credential,
    CredentialState,
    check_scopes,
)
from mycelium_fractal_net.security.records.imports import PendingImport
from mycelium_fractal_net.security.records.keys import (
    Key,
    KeyOrigin,
    KeyState,
    KeyType,
    KeyUse,
    KeyVersion,
    RotationPolicy,
)
from mycelium_fractal_net.security.records.retention import due_at
from mycelium_fractal_net.security.records.signers import Signer, SignerState, check_signer

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sqlalchemy.engine import Row

Field = bytes | str | int | bool | None

# What a row comes to that no release ever wrote. SQLite keeps any value in any column.
_DAMAGED: Final = (
    KeyError,
    ValueError,
    TypeError,
    OverflowError,
    AttributeError,
    InvalidInputError,
)

_KEY_TYPES: Final = {each.value: each for each in KeyType}
_KEY_USES: Final = {each.value: each for each in KeyUse}
_KEY_STATES: Final = {each.value: each for each in KeyState}

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


def micros(value: datetime) -> int:
    """Microseconds since the Unix epoch; exact, where a float is not."""
    return (value - _EPOCH) // _MICROSECOND


def from_micros(value: int) -> datetime:
    """The time that :func:`micros` gave, in UTC."""
    return _EPOCH + value * _MICROSECOND


def day_of(value: datetime) -> int:
    """Days since 1970-01-01, UTC."""
    return (value - _EPOCH).days


def start_of_day(day: int) -> datetime:
    """The beginning of the day that :func:`day_of` gave."""
    return _EPOCH + timedelta(days=day)


def micros_or_none(value: datetime | None) -> int | None:
    """:func:`micros` of a time that may be missing."""
    return None if value is None else micros(value)


def from_micros_or_none(value: int | None) -> datetime | None:
    """:func:`from_micros` of a time that may be missing."""
    return None if value is None else from_micros(value)


def key_row(key: Key) -> dict[str, Any]:
    """The columns of ``keys`` but for generation and mac, which the writer sets."""
    return {
        **key_fields(key),
        "automatic": key.rotation.automatic,
        "rotate_at": micros_or_none(key.rotate_at),
        "due_at": micros_or_none(due_at(key)),
        "exportable": key.exportable,
    }


def key_fields(key: Key) -> dict[str, Any]:
    """Those of the first schema, as they are authenticated."""
    return {
        "key_id": key.key_id,
        "key_type": key.key_type.value,
        "use": key.use.value,
        "algorithm": key.algorithm,
        "publish": key.publish,
        "interval_days": key.rotation.interval_days,
        "retain_count": key.rotation.retain_count,
        "auto_destroy": key.rotation.auto_destroy,
        "unused_for_days": key.rotation.unused_for_days,
        "created_at": micros(key.created_at),
        "revision": key.revision,
        "master_id": key.master_id,
    }


def version_row(key_id: str, version: KeyVersion) -> dict[str, Any]:
    """The columns of ``key_versions``."""
    return {
        **version_fields(key_id, version),
        "rewrapped_at": micros_or_none(version.rewrapped_at),
        "imported": version.origin is KeyOrigin.IMPORTED,
        "external": version.external,
        "external_gone_at": micros_or_none(version.external_gone_at),
    }


def version_fields(key_id: str, version: KeyVersion) -> dict[str, Any]:
    """Those of the first schema, as they are authenticated."""
    return {
        "handle": version.handle,
        "key_id": key_id,
        "version": version.version,
        "state": version.state.value,
        "compromised": version.compromised,
        "created_at": micros(version.created_at),
        "activate_at": micros_or_none(version.activate_at),
        "destroy_at": micros_or_none(version.destroy_at),
        "wrapped": version.wrapped,
        "public_key": version.public_key,
    }


def authenticated_key(key: Key) -> list[Field]:
    """What of a key and all its versions is authenticated, in order.

    What a later schema added stands at the end and only where it says something, so that a record
    of before is as it was. Each is named, since any of them may be absent; of a version after its
    number.
    """
    fields: list[Field] = [*key_fields(key).values(), len(key.versions)]
    later: list[Field] = []
    if not key.rotation.automatic:
        later += ("automatic", False)
    if key.rotate_at is not None:
        later += ("rotate_at", micros(key.rotate_at))
    if key.exportable:
        later += ("exportable", True)
    for version in key.versions:
        row = version_fields(key.key_id, version)
        # The wrapping authenticates itself and what it is bound to; but a version that is
        # there must not become one whose material was erased.
        row["wrapped"] = bool(version.wrapped)
        fields += row.values()
        if version.rewrapped_at is not None:
            later += (version.version, "rewrapped_at", micros(version.rewrapped_at))
        if version.origin is KeyOrigin.IMPORTED:
            later += (version.version, "imported", True)
        if version.external is not None:
            later += (version.version, "external", version.external)
        if version.external_gone_at is not None:
            later += (version.version, "external_gone_at", micros(version.external_gone_at))
    return fields + later


# A policy is the same record for all the keys that have it; it is checked once.
_policy: Final = lru_cache(maxsize=256)(RotationPolicy)


def key_from_rows(row: Sequence[Any], versions: Iterable[Sequence[Any]] = ()) -> Key:
    """A key from its row and its versions' rows, oldest first, each with all its columns.

    Raises :class:`StoreIntegrityError` where a column holds what no release ever wrote.
    """
    # By place: by name it would take half of the time that reading a key takes.
    (
        key_id, key_type, use, algorithm, publish, interval_days, retain_count, auto_destroy,
        unused_for_days, created_at, revision, _generation, master_id, _mac, automatic, rotate_at,
        _due_at, exportable,
    ) = row  # fmt: skip
    try:
        return Key(
            key_id=key_id,
            key_type=_KEY_TYPES[key_type],
            use=_KEY_USES[use],
            algorithm=algorithm,
            rotation=_policy(interval_days, retain_count, auto_destroy, unused_for_days, automatic),
            created_at=from_micros(created_at),
            versions=tuple(map(_version, versions)),
            publish=publish,
            rotate_at=from_micros_or_none(rotate_at),
            exportable=exportable,
            revision=revision,
            master_id=master_id,
        )
    except _DAMAGED:
        raise StoreIntegrityError(f"key {key_id!r}: its row is damaged") from None


def _version(row: Sequence[Any]) -> KeyVersion:
    (
        handle, _key_id, version, state, compromised, created_at, activate_at, destroy_at, wrapped,
        public_key, rewrapped_at, imported, external, external_gone_at,
    ) = row  # fmt: skip
    return KeyVersion(  # in the order of its fields
        version,
        octets(handle),
        _KEY_STATES[state],
        from_micros(created_at),
        octets(wrapped),
        None if public_key is None else octets(public_key),
        compromised,
        from_micros_or_none(activate_at),
        from_micros_or_none(destroy_at),
        from_micros_or_none(rewrapped_at),
        KeyOrigin.IMPORTED if imported else KeyOrigin.GENERATED,
        None if external is None else _text(external),
        from_micros_or_none(external_gone_at),
    )


def credential_row(credential: Credential) -> dict[str, Any]:
    """The columns of ``credentials`` but for generation and mac, which the writer sets."""
    return {
        "credential_id": credential.credential_id,
        "name": credential.name,
        "digest": credential.digest,
        "previous_digest": credential.previous_digest,
        "previous_until": micros_or_none(credential.previous_until),
        "scopes": " ".join(credential.scopes),
        "state": credential.state.value,
        "created_at": micros(credential.created_at),
        "expires_at": micros_or_none(credential.expires_at),
        "rotated_at": micros_or_none(credential.rotated_at),
        "revision": credential.revision,
        "master_id": credential.master_id,
        "bound": credential.bound,
    }


def authenticated_credential(credential: Credential) -> list[Field]:
    """What of it is authenticated, in order; as of a key, what came later only where it says
    something."""
    fields = credential_row(credential)
    bound = fields.pop("bound")
    return [*fields.values(), *(("bound", True) if bound else ())]


def credential_from_row(row: Row[Any]) -> Credential:
    """A credential from its row.

    Raises :class:`StoreIntegrityError` where a column holds what no release ever wrote.
    """
    try:
        scopes = tuple(row.scopes.split(" "))
        check_scopes(scopes)
        return Credential(
            credential_id=row.credential_id,
            name=row.name,
            digest=octets(row.digest),
            scopes=scopes,
            state=CredentialState(row.state),
            created_at=from_micros(row.created_at),
            expires_at=from_micros_or_none(row.expires_at),
            rotated_at=from_micros_or_none(row.rotated_at),
            previous_digest=None if row.previous_digest is None else octets(row.previous_digest),
            previous_until=from_micros_or_none(row.previous_until),
            bound=row.bound,
            revision=row.revision,
            master_id=row.master_id,
        )
    except _DAMAGED:
        raise StoreIntegrityError(f"credential {row.credential_id!r}: its row is damaged") from None


def signer_row(signer: Signer) -> dict[str, Any]:
    """The columns of ``signers`` but for generation and mac, which the writer sets."""
    return {
        "name": signer.name,
        "public_key": signer.public_key,
        "algorithm": signer.algorithm,
        "credentials": " ".join(signer.credentials),
        "any_credential": signer.any_credential,
        "state": signer.state.value,
        "created_at": micros(signer.created_at),
        "revision": signer.revision,
        "master_id": signer.master_id,
    }


def signer_from_row(row: Row[Any]) -> Signer:
    """A signer from its row.

    Raises :class:`StoreIntegrityError` where a column holds what no release ever wrote.
    """
    try:
        credentials = tuple(_text(row.credentials).split(" ")) if row.credentials != "" else ()
        check_signer(row.name, credentials, row.any_credential)
        return Signer(
            name=row.name,
            public_key=octets(row.public_key),
            algorithm=row.algorithm,
            credentials=credentials,
            any_credential=row.any_credential,
            state=SignerState(row.state),
            created_at=from_micros(row.created_at),
            revision=row.revision,
            master_id=row.master_id,
        )
    except _DAMAGED:
        raise StoreIntegrityError(f"signer {row.name!r}: its row is damaged") from None


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def import_row(pending: PendingImport) -> dict[str, Any]:
    """The columns of ``pending_imports`` but for generation and mac, which the writer sets."""
    return {
        "import_id": pending.import_id,
        "key_id": pending.key_id,
        "existing": pending.existing,
        "key_type": pending.key_type.value,
        "use": pending.use.value,
        "algorithm": pending.algorithm,
        "publish": pending.publish,
        "exportable": pending.exportable,
        "method": pending.method,
        "public_key": pending.public_key,
        "wrapped": pending.wrapped,
        "created_at": micros(pending.created_at),
        "expires_at": micros(pending.expires_at),
        "revision": pending.revision,
        "master_id": pending.master_id,
    }


def import_from_row(row: Row[Any]) -> PendingImport:
    """A pending import from its row.

    Raises :class:`StoreIntegrityError` where a column holds what no release ever wrote.
    """
    try:
        return PendingImport(
            import_id=row.import_id,
            key_id=row.key_id,
            existing=row.existing,
            key_type=KeyType(row.key_type),
            use=KeyUse(row.use),
            algorithm=row.algorithm,
            publish=row.publish,
            exportable=row.exportable,
            method=row.method,
            public_key=octets(row.public_key),
            wrapped=octets(row.wrapped),
            created_at=from_micros(row.created_at),
            expires_at=from_micros(row.expires_at),
            revision=row.revision,
            master_id=row.master_id,
        )
    except _DAMAGED:
        raise StoreIntegrityError(f"import {row.import_id!r}: its row is damaged") from None


def octets(value: object) -> bytes:
    """The bytes of a column; raises :class:`TypeError` for anything else that SQLite kept there."""
    if not isinstance(value, bytes):
        raise TypeError
    return value
