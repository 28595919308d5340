"""The JSON shapes of records, as ``--json`` prints and the service answers them.

They are an interface: docs/cli.md lists them.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from mycelium_fractal_net.security.errors import InvalidInputError, KeyStateError, MfnError
from mycelium_fractal_net.security.records.keys import parse_key_id, version_id

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import date

    from mycelium_fractal_net.security.lifecycle.due import ScheduledKey
    from mycelium_fractal_net.security.lifecycle.report import RunReport
    from mycelium_fractal_net.security.records.credentials import Credential
    from mycelium_fractal_net.security.records.keys import Key, KeyVersion, RotationPolicy
    from mycelium_fractal_net.security.records.retention import CleanupReport, VersionUse
    from mycelium_fractal_net.security.records.signers import Signer

__all__ = [
    "cleanup_shape",
    "credential_shape",
    "key_shape",
    "look_shape",
    "moment_of",
    "primary_id",
    "rotation_shape",
    "schedule_shape",
    "signer_shape",
    "time_text",
    "usage_shape",
    "version_meant",
]


def time_text(moment: datetime | None) -> str | None:
    """RFC 3339 in UTC to the second, ``2026-03-01T12:00:00Z``; None stays None."""
    return None if moment is None else moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def moment_of(text: str) -> datetime:
    """The time of such a text, or of a day, ``2026-03-01``, which begins at midnight in UTC.

    Raises :class:`InvalidInputError` for anything else, and for a time without its offset.
    """
    day = len(text) == len("2026-03-01")
    try:
        moment = datetime.fromisoformat(f"{text}T00:00:00Z" if day else text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise InvalidInputError("a time is 2026-03-01T12:00:00Z, or a day in UTC 2026-03-01")
    return moment.astimezone(UTC)


def primary_id(key: Key) -> str | None:
    """The version that protects new data, as ``orders:v3``; None where nothing does."""
    try:
        return version_id(key.key_id, key.primary.version)
    except KeyStateError:
        return None


def version_meant(key: Key, name: str) -> KeyVersion:
    """The version of ``key`` that ``name`` names; of a bare name the newest."""
    number = parse_key_id(name)[1]
    return key.latest if number is None else key.version(number)


def rotation_shape(rotation: RotationPolicy) -> dict[str, Any]:
    """A rotation policy: days, counts, and what is done unasked."""
    return {
        "interval_days": rotation.interval_days,
        "retain_count": rotation.retain_count,
        "auto_destroy": rotation.auto_destroy,
        "unused_for_days": rotation.unused_for_days,
        "automatic": rotation.automatic,
    }


def key_shape(key: Key) -> dict[str, Any]:
    """A key with all its versions, oldest first."""
    return {
        "key_id": key.key_id,
        "type": key.key_type.value,
        "use": key.use.value,
        "algorithm": key.algorithm,
        "publish": key.publish,
        "created_at": time_text(key.created_at),
        "primary": primary_id(key),
        "rotation_due": time_text(key.rotation_due),
        "rotation": rotation_shape(key.rotation),
        "floors": key.floors._asdict(),
        "versions": [_version_shape(key, version) for version in key.versions],
    }


def _version_shape(key: Key, version: KeyVersion) -> dict[str, Any]:
    return {
        "version_id": version_id(key.key_id, version.version),
        "version": version.version,
        "state": version.state.value,
        "compromised": version.compromised,
        "handle": version.handle.hex(),
        "created_at": time_text(version.created_at),
        "activate_at": time_text(version.activate_at),
        "destroy_at": time_text(version.destroy_at),
    }


def schedule_shape(name: str, seen: ScheduledKey | MfnError) -> dict[str, Any]:
    """When a key is due, and whether its rotation fails; ``error`` is of a record refused."""
    if isinstance(seen, MfnError):
        return {"key_id": name, "error": str(seen)}
    key, failure = seen.key, seen.failure
    return {
        "key_id": name,
        "type": key.key_type.value,
        "automatic": key.rotation.automatic,
        "interval_days": key.rotation.interval_days,
        "newest": version_id(name, key.latest.version),
        "state": key.latest.state.value,
        "activate_at": time_text(key.latest.activate_at),
        "protects": seen.protects,
        "due_at": time_text(seen.due_at),
        "due": None if seen.reason is None else seen.reason.value,
        "failure": None
        if failure is None
        else {
            "failures": failure.failures,
            "since": time_text(failure.since),
            "retry_at": time_text(failure.retry_at),
            "reason": failure.reason,
        },
    }


def look_shape(report: RunReport) -> dict[str, Any]:
    """What one look of a scheduler did."""
    return {
        "looked_at": time_text(report.looked_at),
        "ok": report.ok,
        "rotated": report.rotated,
        "activated": report.activated,
        "set_back": report.set_back,
        "failed": [{"key_id": name, "reason": reason} for name, reason in report.failed],
        "waiting": report.waiting,
        "proposed": report.proposed,
        "pending": report.pending,
        "erased": report.erased,
        "credentials_due": report.credentials_due,
        "held_until": time_text(report.held_until),
    }


def usage_shape(key_id: str, uses: Iterable[VersionUse]) -> dict[str, Any]:
    """What is known of the use of each version of a key, oldest first."""
    return {"key_id": key_id, "versions": [_use_shape(use) for use in uses]}


def _use_shape(use: VersionUse) -> dict[str, Any]:
    return {
        "version_id": use.version_id,
        "version": use.version,
        "state": use.state.value,
        "opens": use.opens,
        "created_at": time_text(use.created_at),
        "last_opened": _day_text(use.last_opened),
        "last_protected": _day_text(use.last_protected),
        "last_refused": _day_text(use.last_refused),
        "last_kept": _day_text(use.last_kept),
        "leased_until": _day_text(use.leased_until),
        "opened": use.opened,
        "protected": use.protected,
        "refused": use.refused,
        "rewrapped_at": time_text(use.rewrapped_at),
        "destroy_at": time_text(use.destroy_at),
        "backed_up": use.backed_up,
    }


def _day_text(day: date | None) -> str | None:
    return None if day is None else day.isoformat()


def cleanup_shape(report: CleanupReport) -> dict[str, Any]:
    """The versions past the retained count, and which of them are pending destruction now."""
    return {
        "key_id": report.key_id,
        "retain_count": report.retain_count,
        "proposals": [
            {
                **_use_shape(each),
                "ground": None if each.ground is None else each.ground.value,
                "why": each.why,
            }
            for each in report.proposals
        ],
        "moved": list(report.moved),
        "destroy_at": time_text(report.destroy_at),
    }


def credential_shape(credential: Credential, rotation_days: int) -> dict[str, Any]:
    """A credential, whose secret is due for renewal ``rotation_days`` after it was made."""
    return {
        "id": credential.credential_id,
        "name": credential.name,
        "scopes": list(credential.scopes),
        "state": credential.state.value,
        "created_at": time_text(credential.created_at),
        "expires_at": time_text(credential.expires_at),
        "rotated_at": time_text(credential.rotated_at),
        "rotation_due": time_text(credential.due_at(rotation_days)),
        "previous_until": time_text(credential.previous_until),
    }


def signer_shape(signer: Signer) -> dict[str, Any]:
    """A signer with its public key; the thumbprint is the SHA-256 of its DER, in hexadecimal."""
    return {
        "name": signer.name,
        "algorithm": signer.algorithm,
        "credentials": list(signer.credentials),
        "any_credential": signer.any_credential,
        "state": signer.state.value,
        "created_at": time_text(signer.created_at),
        "public_key": signer.pem(),
        "thumbprint": signer.thumbprint().hex(),
    }
