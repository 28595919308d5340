"""Credentials and signers: whose record fails its authentication, who is due, who is shut out."""

from __future__ import annotations

from collections.abc import Iterator

from mycelium_fractal_net.doctor.findings import Examined, Finding, critical, notice, warning
from mycelium_fractal_net.security.errors import StoreIntegrityError
from mycelium_fractal_net.security.records.credentials import CredentialState
from mycelium_fractal_net.security.records.signers import Signer, SignerState


def credential_findings(store: Examined) -> Iterator[Finding]:
    """Credentials that fail their authentication, that are due for renewal, or have ended."""
    now = store.provider.clock()
    for credential_id, found in store.provider.credentials.each():
        subject = f"credential {credential_id}"
        if isinstance(found, StoreIntegrityError):
            yield critical("authentication", subject, str(found))
        elif found.state is not CredentialState.ACTIVE:
            continue
        elif found.expires_at is not None and found.expires_at <= now:
            yield notice(
                "credential-expired",
                subject,
                f"({found.name}) ended on {found.expires_at:%Y-%m-%d} and is refused; to say so"
                f" for good: mfn credential revoke {credential_id}",
            )
        elif (due := found.due_at(store.settings.credentials.rotation_days)) <= now:
            yield warning(
                "credential-due",
                subject,
                f"({found.name}) was to be rotated by {due:%Y-%m-%d}; its holder calls"
                f" POST /credentials/self/rotate, or: mfn credential rotate {credential_id}",
            )


def signer_findings(store: Examined) -> Iterator[Finding]:
    """What is wrong with the signers, each and together."""
    signers: list[Signer] = []
    for name, found in store.provider.signers.each():
        if isinstance(found, StoreIntegrityError):
            yield critical("authentication", f"signer {name}", str(found))
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
            yield notice(
                "credential-signer",
                f"credential {credential_id}",
                f"({found.name}) is refused, since all of its signers are revoked; another one:"
                f" mfn signer add NAME --public-key FILE --credential {credential_id},"
                f" or to end it for good: mfn credential revoke {credential_id}",
            )
