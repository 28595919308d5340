"""Rows of the store as records, and back. A row that is no record is refused and named."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from mycelium_fractal_net.security.errors import InvalidInputError, StoreIntegrityError
from mycelium_fractal_net.security.records.credentials import (
    Credential,
    CredentialState,
    check_scopes,
)
from mycelium_fractal_net.security.records.keys import (
    Key,
    KeyState,
    KeyType,
    KeyUse,
    KeyVersion,
    RotationPolicy,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy.engine import Row

__all__ = [
    "credential_from_row",
    "credential_row",
    "day_of",
    "key_fields",
    "key_from_rows",
    "key_row",
    "micros",
    "moment",
    "moment_of_day",
    "version_fields",
    "version_row",
]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


def micros(value: datetime) -> int:
    """Microseconds since the Unix epoch; exact, where a float is not."""
    return (value - _EPOCH) // _MICROSECOND


def moment(value: int) -> datetime:
    """The time that :func:`micros` gave, in UTC."""
    return _EPOCH + value * _MICROSECOND


def day_of(value: datetime) -> int:
    """Days since 1970-01-01, UTC."""
    return (value - _EPOCH).days


def moment_of_day(day: int) -> datetime:
    """The beginning of the day that :func:`day_of` gave."""
    return _EPOCH + timedelta(days=day)


def _micros_or_none(value: datetime | None) -> int | None:
    return None if value is None else micros(value)


def _moment_or_none(value: int | None) -> datetime | None:
    return None if value is None else moment(value)


def key_row(key: Key) -> dict[str, Any]:
    """The columns of ``keys`` but for generation and mac, which the writer sets."""
    return {
        **key_fields(key),
        "automatic": key.rotation.automatic,
        "rotate_at": _micros_or_none(key.rotate_at),
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
        "rewrapped_at": _micros_or_none(version.rewrapped_at),
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
        "activate_at": _micros_or_none(version.activate_at),
        "destroy_at": _micros_or_none(version.destroy_at),
        "wrapped": version.wrapped,
        "public_key": version.public_key,
    }


def key_from_rows(row: Row[Any], versions: Iterable[Row[Any]]) -> Key:
    """A key from its row and its versions' rows, oldest first.

    Raises :class:`StoreIntegrityError` where a column holds what no release ever wrote.
    """
    try:
        return Key(
            key_id=row.key_id,
            key_type=KeyType(row.key_type),
            use=KeyUse(row.use),
            algorithm=row.algorithm,
            rotation=RotationPolicy(
                interval_days=row.interval_days,
                retain_count=row.retain_count,
                auto_destroy=row.auto_destroy,
                unused_for_days=row.unused_for_days,
                automatic=row.automatic,
            ),
            created_at=moment(row.created_at),
            versions=tuple(_version(each) for each in versions),
            publish=row.publish,
            rotate_at=_moment_or_none(row.rotate_at),
            revision=row.revision,
            master_id=row.master_id,
        )
    except (ValueError, TypeError, OverflowError, InvalidInputError):
        raise StoreIntegrityError(f"key {row.key_id!r}: its row is damaged") from None


def _version(row: Row[Any]) -> KeyVersion:
    return KeyVersion(
        version=row.version,
        handle=bytes(row.handle),
        state=KeyState(row.state),
        created_at=moment(row.created_at),
        wrapped=bytes(row.wrapped),
        public_key=None if row.public_key is None else bytes(row.public_key),
        compromised=row.compromised,
        activate_at=_moment_or_none(row.activate_at),
        destroy_at=_moment_or_none(row.destroy_at),
        rewrapped_at=_moment_or_none(row.rewrapped_at),
    )


def credential_row(credential: Credential) -> dict[str, Any]:
    """The columns of ``credentials`` but for generation and mac, which the writer sets."""
    return {
        "credential_id": credential.credential_id,
        "name": credential.name,
        "digest": credential.digest,
        "previous_digest": credential.previous_digest,
        "previous_until": _micros_or_none(credential.previous_until),
        "scopes": " ".join(credential.scopes),
        "state": credential.state.value,
        "created_at": micros(credential.created_at),
        "expires_at": _micros_or_none(credential.expires_at),
        "rotated_at": _micros_or_none(credential.rotated_at),
        "revision": credential.revision,
        "master_id": credential.master_id,
    }


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
            digest=bytes(row.digest),
            scopes=scopes,
            state=CredentialState(row.state),
            created_at=moment(row.created_at),
            expires_at=_moment_or_none(row.expires_at),
            rotated_at=_moment_or_none(row.rotated_at),
            previous_digest=None if row.previous_digest is None else bytes(row.previous_digest),
            previous_until=_moment_or_none(row.previous_until),
            revision=row.revision,
            master_id=row.master_id,
        )
    except (ValueError, TypeError, OverflowError, InvalidInputError):
        raise StoreIntegrityError(f"credential {row.credential_id!r}: its row is damaged") from None
