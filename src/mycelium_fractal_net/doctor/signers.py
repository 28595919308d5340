"""Signers that fail their authentication, and credentials that were left without one."""

from __future__ import annotations

from collections.abc import Iterator

from mycelium_fractal_net.doctor.findings import Examined, Finding, Severity
from mycelium_fractal_net.security.errors import StoreIntegrityError
from mycelium_fractal_net.security.records.credentials import CredentialState
from mycelium_fractal_net.security.records.signers import Signer, SignerState


def signer_findings(store: Examined) -> Iterator[Finding]:
    """What is wrong with the signers, each and together."""
    signers: list[Signer] = []
    for name, found in store.provider.signers.each():
        if isinstance(found, StoreIntegrityError):
            yield Finding(Severity.CRITICAL, "authentication", f"signer {name}", str(found))
        else:
            signers.append(found)
    yield from _shut_out(store, signers)


def _shut_out(store: Examined, signers: list[Signer]) -> Iterator[Finding]:
    """Credentials that need a signature which nobody can make any more."""
    bound = {credential_id for signer in signers for credential_id in signer.credentials}
    active = [signer for signer in signers if signer.state is SignerState.ACTIVE]
    alone = bound.difference(*(signer.credentials for signer in active))
    for credential_id, found in store.provider.credentials.each() if alone else ():
        if isinstance(found, StoreIntegrityError) or found.state is not CredentialState.ACTIVE:
            continue
        if credential_id in alone:
            yield Finding(
                Severity.NOTICE,
                "credential-signer",
                f"credential {credential_id}",
                f"({found.name}) is refused, since all of its signers are revoked: mfn signer add"
                f" gives it another, mfn credential revoke {credential_id} ends it for good",
            )
