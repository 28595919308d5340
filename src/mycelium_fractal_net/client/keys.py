"""Keys: made, listed, rotated, and their states. The records are the library's own."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

import msgspec
from msgspec.structs import asdict

from mycelium_fractal_net.client.steps import UNREADABLE, decoded, given, json_request
from mycelium_fractal_net.security.byte_io.buffers import as_bytes
from mycelium_fractal_net.security.errors import InvalidInputError, ServiceError
from mycelium_fractal_net.security.records.imports import IMPORT_ID, ImportState
from mycelium_fractal_net.security.records.keys import (
    Key,
    KeyOrigin,
    KeyState,
    KeyType,
    KeyUse,
    KeyVersion,
    RotationPolicy,
    Verb,
    parse_key_id,
    version_id,
)
from mycelium_fractal_net.security.records.retention import CleanupReport, VersionUse

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cryptography.utils import Buffer

    from mycelium_fractal_net.client.replies import Reply
    from mycelium_fractal_net.client.steps import Steps


class _Listing(Protocol):
    """A page of a list, and where the next one begins."""

    @property
    def next(self) -> str | None: ...

    @property
    def warnings(self) -> list[str]: ...


P = TypeVar("P", bound=_Listing)

_LOG: Final = logging.getLogger(__name__)
_PAGE: Final = 1000  # the most that the service lists at once


class PublicKey(msgspec.Struct, frozen=True):
    """The public key of one version of a signing key. Nothing of it is secret."""

    key_id: str
    algorithm: str
    pem: str
    jwk: dict[str, str]


class PendingImport(msgspec.Struct, frozen=True):
    """An import under way: a key is wrapped for its ``public_key``, PEM, until ``expires_at``.

    ``state`` is ``waiting``, or ``expired`` for what is left of one that is over.
    """

    import_id: str
    key_id: str
    algorithm: str
    method: str
    public_key: str
    expires_at: datetime
    state: ImportState = ImportState.WAITING


class ExportedKey(msgspec.Struct, frozen=True):
    """One version of a key, ``wrapped`` by ``method`` for the holder of a public key.

    What was wrapped is 32 bytes, or of a signing key its DER PKCS #8.
    """

    key_id: str
    key_type: KeyType = msgspec.field(name="type")
    algorithm: str
    method: str
    wrapped: bytes


class _Version(msgspec.Struct, frozen=True):
    version: int
    state: KeyState
    compromised: bool
    handle: str
    created_at: datetime
    activate_at: datetime | None
    destroy_at: datetime | None
    origin: KeyOrigin = KeyOrigin.GENERATED
    external: str | None = None
    external_gone_at: datetime | None = None


class _Key(msgspec.Struct, frozen=True):
    key_id: str
    key_type: KeyType = msgspec.field(name="type")
    use: KeyUse
    algorithm: str
    publish: bool
    created_at: datetime
    rotate_at: datetime = msgspec.field(name="rotation_due")
    rotation: RotationPolicy
    versions: list[_Version]
    exportable: bool = False

    def record(self) -> Key:
        """The library's record. What only the key store knows is empty in it."""
        versions = tuple(map(_version, self.versions))
        if not versions:
            raise ServiceError(UNREADABLE)
        return Key(**{**asdict(self), "versions": versions})


class _Usage(msgspec.Struct, frozen=True):
    versions: list[VersionUse]


class _Page(msgspec.Struct, frozen=True):
    keys: list[_Key]
    next: str | None
    warnings: list[str] = []


class _Imports(msgspec.Struct, frozen=True):
    imports: list[PendingImport]
    next: str | None
    warnings: list[str] = []


class _Published(msgspec.Struct, frozen=True):
    keys: list[dict[str, str]]


def _version(shown: _Version) -> KeyVersion:
    try:
        handle = bytes.fromhex(shown.handle)
    except ValueError:
        raise ServiceError(UNREADABLE) from None
    return KeyVersion(**{**asdict(shown), "handle": handle, "wrapped": b""})


def _key(reply: Reply) -> Key:
    return decoded(reply, _Key).record()


def _path(key_id: str, rest: str = "") -> str:
    """The path of a key. Raises :class:`InvalidInputError` for what would be another path."""
    parse_key_id(key_id)
    return f"/keys/{key_id}{rest}"


def _timestamp(time: datetime) -> str:
    """RFC 3339 in UTC. Raises :class:`InvalidInputError` for a time without its zone."""
    if time.tzinfo is None:
        raise InvalidInputError("activate_at needs its time zone")
    return time.astimezone(UTC).isoformat().replace("+00:00", "Z")


def create_key(
    key_id: str,
    *,
    type: KeyType | str = KeyType.ENCRYPTION,
    algorithm: str | None = None,
    use: KeyUse | str | None = None,
    publish: bool | None = None,
    exportable: bool | None = None,
    external: bool | None = None,
    interval_days: int | None = None,
    retain_count: int | None = None,
    auto_destroy: bool | None = None,
    unused_for_days: int | None = None,
    automatic: bool | None = None,
) -> Steps[Key]:
    """Make a key with its first version, active at once. Scope: ``keys:admin``.

    What is left out is as the type has it. ``exportable`` lets it be wrapped for others by
    :meth:`export_key`; it is fixed for ever. The private keys of an ``external`` signing key are
    made by the service's custodian and never leave it. Raises :class:`KeyExistsError`. It is not
    repeated after an answer that was lost: look with :meth:`show_key` whether it is there.
    """
    asked = {
        "key_id": key_id,
        "type": str(type),
        "algorithm": algorithm,
        "use": None if use is None else str(use),
        "publish": publish,
        "exportable": exportable,
        "external": external,
        "rotation": given(
            interval_days=interval_days, retain_count=retain_count, auto_destroy=auto_destroy,
            unused_for_days=unused_for_days, automatic=automatic,
        ) or None,
    }  # fmt: skip
    return _key((yield json_request("POST", "/keys", asked, repeatable=False)))


def show_key(key_id: str) -> Steps[Key]:
    """A key with all its versions, as the library's record. Scope: ``keys:read``.

    Its versions have neither material nor public key; :meth:`public_key` gives the latter.
    """
    return _key((yield json_request("GET", _path(key_id), None)))


def list_keys() -> Steps[list[Key]]:
    """All keys in order of their names. Scope: ``keys:read``.

    One whose record the service refuses is not among them; a line of the log names it.
    """
    pages = yield from _pages("key", _Page)
    return [key.record() for page in pages for key in page.keys]


def _pages(kind: str, form: type[P]) -> Steps[list[P]]:
    found: list[P] = []
    after: str | None = ""
    while after is not None:
        query = (("after", after), ("limit", str(_PAGE)))
        page = decoded((yield json_request("GET", f"/{kind}s", None, query=query)), form)
        found.append(page)
        for each in page.warnings:
            _LOG.warning("the service lists a %s less: %s", kind, each)
        if page.next is not None and page.next <= after:
            raise ServiceError(f"the service lists {kind}s without an end")
        after = page.next
    return found


def change_key(
    key_id: str,
    *,
    publish: bool | None = None,
    interval_days: int | None = None,
    retain_count: int | None = None,
    auto_destroy: bool | None = None,
    unused_for_days: int | None = None,
    automatic: bool | None = None,
) -> Steps[Key]:
    """Change a key's rotation policy, or whether it is published. Scope: ``keys:admin``."""
    asked = {
        "publish": publish,
        "rotation": given(
            interval_days=interval_days, retain_count=retain_count, auto_destroy=auto_destroy,
            unused_for_days=unused_for_days, automatic=automatic,
        ) or None,
    }  # fmt: skip
    return _key((yield json_request("PATCH", _path(key_id), asked, repeatable=False)))


def rotate_key(key_id: str, *, activate_at: datetime | None = None) -> Steps[str]:
    """Add a version, which protects from now on; returns its version id. Scope: ``keys:admin``.

    With ``activate_at``, which has a time zone, it protects from then on. Not repeated after an
    answer that was lost: there would be two.
    """
    path = _path(key_id, "/rotate")
    body = None if activate_at is None else {"activate_at": _timestamp(activate_at)}
    rotated = _key((yield json_request("POST", path, body, repeatable=False)))
    return version_id(rotated.key_id, rotated.latest.version)


def change_key_state(
    key_id: str,
    verb: Verb | str,
    *,
    window_days: int | None = None,
    reason: str | None = None,
) -> Steps[Key]:
    """Suspend, activate, deactivate, compromise, destroy a version, or cancel its destruction.

    ``key_id`` is a version id; a bare name is its newest version. For ``destroy`` alone:
    ``window_days`` is the recovery window, 30 by default, ``reason`` goes to the audit log.
    Scope: ``keys:admin``. Raises :class:`KeyStateError`.
    """
    if verb not in list(Verb):
        raise InvalidInputError(f"a state is changed by {', '.join(Verb)}")
    path = _path(key_id, f"/{verb}")
    body = given(window_days=window_days, reason=reason) or None
    return _key((yield json_request("POST", path, body, repeatable=False)))


def begin_import(
    key_id: str,
    *,
    existing: bool = False,
    type: KeyType | str | None = None,
    algorithm: str | None = None,
    use: KeyUse | str | None = None,
    publish: bool | None = None,
    exportable: bool | None = None,
    method: str | None = None,
) -> Steps[PendingImport]:
    """A one-time public key, for which a key is wrapped elsewhere. Scope: ``keys:admin``.

    What the key is to be is said as for :meth:`create_key`; or it becomes the next version of an
    ``existing`` key, of which no more is said. ``method`` is ``rsa-aes`` (RSA-OAEP-256
    and AES key wrap with padding), ``hpke``, ``hpke-p256`` or ``hpke-p384``; where none is named,
    the first that the service allows. Raises :class:`KeyExistsError`.
    """
    asked = {
        "key_id": key_id,
        "existing": existing or None,
        "type": None if type is None else str(type),
        "algorithm": algorithm,
        "use": None if use is None else str(use),
        "publish": publish,
        "exportable": exportable,
        "method": method,
    }
    reply = yield json_request("POST", "/imports", asked, repeatable=False)
    return decoded(reply, PendingImport)


def list_imports() -> Steps[list[PendingImport]]:
    """The imports that wait for their key, and expired ones, by id. Scope: ``keys:read``.

    One whose record the service refuses is not among them; a line of the log names it.
    """
    pages = yield from _pages("import", _Imports)
    return [each for page in pages for each in page.imports]


def show_import(import_id: str) -> Steps[PendingImport]:
    """An import, as :meth:`begin_import` gave it. Scope: ``keys:read``.

    Raises :class:`KeyNotFoundError` for one that was used or cancelled, or has been deleted.
    """
    path = _import_path(import_id)
    return decoded((yield json_request("GET", path, None)), PendingImport)


def cancel_import(import_id: str) -> Steps[None]:
    """End an import for good. Scope: ``keys:admin``. Raises :class:`KeyNotFoundError`."""
    path = _import_path(import_id, "/cancel")
    yield json_request("POST", path, None, repeatable=False)


def _import_path(import_id: str, rest: str = "") -> str:
    if IMPORT_ID.fullmatch(import_id) is None:
        raise InvalidInputError("the id of an import is 32 hexadecimal digits")
    return f"/imports/{import_id}{rest}"


def finish_import(import_id: str, wrapped: Buffer) -> Steps[Key]:
    """Take in the key that was wrapped for an import. Scope: ``keys:admin``.

    That is 32 bytes, or the DER PKCS #8 of a signing key. An import is used once: what does not
    unwrap, or is no key of its algorithm, ends it and is :class:`InvalidInputError`. After an
    answer that was lost it is not repeated: look with :meth:`show_key` whether the key is there.
    """
    asked = {"wrapped": as_bytes(wrapped)}
    path = _import_path(import_id, "/finish")
    return _key((yield json_request("POST", path, asked, repeatable=False)))


def export_key(
    key_id: str, public_key: str | bytes, *, method: str | None = None
) -> Steps[ExportedKey]:
    """Wrap a version for the holder of a public key, in PEM. Scope: ``keys:admin``.

    That is one of RSA, X25519, P-256 or P-384. Of a bare name the version that protects new data.
    ``method`` follows from the public key; one that is named must be that. Raises
    :class:`KeyNotExportableError` for a key that was not made exportable. Each attempt is in the
    audit log of the service.
    """
    pem = public_key.decode("ascii", "replace") if isinstance(public_key, bytes) else public_key
    asked = {"public_key": pem, "method": method}
    return decoded((yield json_request("POST", _path(key_id, "/export"), asked)), ExportedKey)


def key_usage(key_id: str) -> Steps[list[VersionUse]]:
    """What is known of the use of each version of a key, oldest first. Scope: ``keys:read``.

    ``decrypts`` says whether a version still may; ``last_decrypted`` is when it last did.
    """
    return decoded((yield json_request("GET", _path(key_id, "/usage"), None)), _Usage).versions


def cleanup_key(
    key_id: str,
    retain_count: int | None = None,
    *,
    versions: Sequence[str] | None = None,
    reason: str | None = None,
    window_days: int | None = None,
) -> Steps[CleanupReport]:
    """The versions past the newest ``retain_count``; with a ``reason`` their destruction begins.

    Of all that are proposed, or of ``versions``. Without ``retain_count`` as many stay as the
    key's policy says; ``window_days`` is the recovery window, 30 by default. The reason is kept
    in the audit log. Scope: ``keys:admin``.
    """
    asked = {
        "retain_count": retain_count,
        "versions": None if versions is None else list(versions),
        "reason": reason,
        "window_days": window_days,
    }
    path, changes = _path(key_id, "/cleanup"), reason is not None
    reply = yield json_request("POST", path, asked, repeatable=not changes)
    return decoded(reply, CleanupReport)


def public_key(key_id: str) -> Steps[PublicKey]:
    """The public key of a version, or of the newest. Scope: ``verify:KEY`` or ``keys:read``."""
    return decoded((yield json_request("GET", _path(key_id, "/public"), None)), PublicKey)


def published_keys() -> Steps[list[dict[str, str]]]:
    """The JWKs (RFC 7517) of all published keys that may verify; each ``kid`` is a version id."""
    reply = yield json_request("GET", "/.well-known/jwks.json", None)
    return decoded(reply, _Published).keys
