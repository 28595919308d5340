"""The keys of a store: versions, signers, credentials, imports, and those of its own records.

Whatever fails its authentication is left out, and said.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

from mycelium_fractal_net.inventory.catalogue import CATALOGUE
from mycelium_fractal_net.inventory.records import Material
from mycelium_fractal_net.security.errors import MfnError
from mycelium_fractal_net.security.key_providers.record_macs import RECORD_MAC_ALGORITHM
from mycelium_fractal_net.security.records.credentials import Credential, CredentialState
from mycelium_fractal_net.security.records.keys import (
    Key,
    KeyState,
    KeyType,
    KeyVersion,
    version_id,
)
from mycelium_fractal_net.security.records.signers import Signer, SignerState
from mycelium_fractal_net.security.sealed.key_transport import METHODS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mycelium_fractal_net.security.key_providers import StoredKeyProvider
    from mycelium_fractal_net.security.records.imports import PendingImport

_R = TypeVar("_R")

_STATES: Final = {
    KeyState.PENDING_DESTRUCTION.value: KeyState.DEACTIVATED.value,
    SignerState.REVOKED.value: KeyState.DEACTIVATED.value,
    CredentialState.UNCONFIRMED.value: KeyState.SUSPENDED.value,
}
"""States of ours that SP 800-57 does not have, and what they are there."""

MECHANISMS: Final = {
    "local": "Software",
    "vault": "Vault transit",
    "aws-kms": "AWS KMS",
    "pkcs11": "HSM",
}
"""What keeps a master key, or an external key, from others: by the scheme of its id."""


class Materials:
    """Reads them, a page at a time. After that ``refused`` says what is not among them, and why."""

    def __init__(self, provider: StoredKeyProvider) -> None:
        self._provider = provider
        self.refused: list[str] = []

    def __iter__(self) -> Iterator[Material]:
        provider = self._provider
        for key in self._sound(provider.keys.each()):
            for version in key.versions:
                yield _version(key, version)
        yield from map(_signer, self._sound(provider.signers.each()))
        yield from map(_credential, self._sound(provider.credentials.each()))
        yield from map(_import, self._sound(provider.imports.each()))
        yield from self._of_the_store()

    def _sound(self, found: Iterable[tuple[str, _R | MfnError]]) -> Iterator[_R]:
        for _, each in found:
            if isinstance(each, MfnError):
                self.refused.append(str(each))
            else:
                yield each

    def _of_the_store(self) -> Iterator[Material]:
        """What authenticates its records, and its audit records; each is held as keys are."""
        store, holds = self._provider.store, self._provider.custodian.holds
        for master_id in filter(holds, store.record_mac_ids()):
            yield _internal(f"store:record-mac:{master_id}", "record MAC key", master_id)
        audit = store.audit_key()
        if audit is not None:
            yield _internal("store:audit-mac", "audit chain key", audit.master_id)


def master_ref(master_id: str) -> str:
    """The ref of a master key."""
    return f"master-key:{master_id}"


def mechanism(scheme_and_rest: str) -> str:
    """What keeps it, by an id or reference that begins with a custodian's scheme."""
    scheme = scheme_and_rest.partition(":")[0]
    return MECHANISMS.get(scheme, scheme)


def _version(key: Key, version: KeyVersion) -> Material:
    named = version_id(key.key_id, version.version)
    wrapped = version.external is None and version.has_key
    external = None if version.external is None else mechanism(version.external)
    details = {
        "key": key.key_id,
        "type": key.key_type.value,
        "use": key.use.value if key.key_type is KeyType.SIGNING else None,
        "state": version.state.value,
        "origin": version.origin.value,
        "protects": "true" if version is key.primary_or_none else "false",
        "exportable": "true" if key.exportable else "false",
        "compromised": "true" if version.compromised else None,
        "external": version.external,
        "destroy-at": None if version.destroy_at is None else version.destroy_at.isoformat(),
    }
    return Material(
        f"key:{named}",
        named,
        "private-key" if key.key_type is KeyType.SIGNING else "secret-key",
        key.algorithm,
        _STATES.get(version.state.value, version.state.value),
        CATALOGUE[key.algorithm].key_bits,
        version.created_at,
        version.activate_at,
        secured_by=external or (mechanism(key.master_id) if wrapped else None),
        under=(master_ref(key.master_id),) if wrapped else (),
        properties={name: text for name, text in details.items() if text is not None},
    )


def _signer(signer: Signer) -> Material:
    return Material(
        f"signer:{signer.name}",
        signer.name,
        "public-key",
        signer.algorithm,
        _STATES.get(signer.state.value, signer.state.value),
        CATALOGUE[signer.algorithm].key_bits,
        signer.created_at,
        properties={"state": signer.state.value, "thumbprint": signer.thumbprint().hex()},
    )


def _credential(credential: Credential) -> Material:
    return Material(
        f"credential:{credential.credential_id}",
        credential.name,
        "credential",
        "SHA-256",  # of which the digest is all that is stored
        _STATES.get(credential.state.value, credential.state.value),
        256,
        credential.created_at,
        expires_at=credential.expires_at,
        properties={"state": credential.state.value, "bound": str(credential.bound).lower()},
    )


def _import(pending: PendingImport) -> Material:
    return Material(
        f"import:{pending.import_id}",
        f"one-time key for the import of {pending.key_id}",
        "private-key",
        METHODS[pending.method][0],
        KeyState.ACTIVE.value,
        created_at=pending.created_at,
        expires_at=pending.expires_at,
        secured_by=mechanism(pending.master_id),
        under=(master_ref(pending.master_id),),
        properties={"method": pending.method},
    )


def _internal(ref: str, name: str, master_id: str) -> Material:
    return Material(
        ref,
        name,
        "secret-key",
        RECORD_MAC_ALGORITHM,
        KeyState.ACTIVE.value,
        CATALOGUE[RECORD_MAC_ALGORITHM].key_bits,
        secured_by=mechanism(master_id),
        under=(master_ref(master_id),),
    )
