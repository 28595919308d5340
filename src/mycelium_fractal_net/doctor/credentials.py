"""Credentials and signers: whose record fails its authentication, who is due, who is shut out."""

from __future__ import annotations

from collections.abc import Iterator

from mycelium_fractal_net.doctor.findings import Examined, Finding, critical, notice, warning
from mycelium_fractal_net.security.errors import StoreIntegrityError
from mycelium_fractal_net.security.records.credentials import Credential, CredentialState
from mycelium_fractal_net.security.records.signers import SignerState


def credential_findings(store: Examined) -> Iterator[Finding]:
    """What is wrong with credentials and signers, each and together."""
    named: set[str] = set()
    signed_for: set[str] = set()
    for name, signer in store.provider.signers.each():
        if isinstance(signer, StoreIntegrityError):
            yield critical("authentication", f"signer {name}", str(signer))
            continue
        named.update(signer.credentials)
        if signer.state is SignerState.ACTIVE:
            signed_for.update(signer.credentials)
    for credential_id, found in store.provider.credentials.each():
        subject = f"credential {credential_id}"
        if isinstance(found, StoreIntegrityError):
            yield critical("authentication", subject, str(found))
        elif found.state is CredentialState.ACTIVE:
            if credential_id in named and not found.bound:
                yield critical(
                    "credential-unbound",
                    subject,
                    f"({found.name}) is bound by the record of its signer alone, as 4.1.0 did it;"
                    " its own record does not say so: mfn init",
                )
            if (found.bound or credential_id in named) and credential_id not in signed_for:
                yield notice(
                    "credential-signer",
                    subject,
                    f"({found.name}) is refused, since no signer signs for it, or none any more; a"
                    f" signer: mfn signer add NAME --public-key FILE --credential {credential_id},"
                    f" or to end it for good: mfn credential revoke {credential_id}",
                )
            yield from _of_time(store, found)


def _of_time(store: Examined, credential: Credential) -> Iterator[Finding]:
    """That it has ended, or is due for renewal."""
    credential_id, subject = credential.credential_id, f"credential {credential.credential_id}"
    now = store.provider.clock()
    if credential.expires_at is not None and credential.expires_at <= now:
        yield notice(
            "credential-expired",
            subject,
            f"({credential.name}) ended on {credential.expires_at:%Y-%m-%d} and is refused; to say"
            f" so for good: mfn credential revoke {credential_id}",
        )
    elif (due := credential.due_at(store.settings.credentials.rotation_days)) <= now:
        yield warning(
            "credential-due",
            subject,
            f"({credential.name}) was to be rotated by {due:%Y-%m-%d}; its holder calls"
            f" POST /credentials/self/rotate, or: mfn credential rotate {credential_id}",
        )
