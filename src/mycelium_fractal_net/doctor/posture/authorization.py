"""Credentials that may do more than they need, or for ever."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mycelium_fractal_net.doctor.findings import Examined, Finding, notice, warning
from mycelium_fractal_net.security.records.credentials import Credential, CredentialState

if TYPE_CHECKING:
    from collections.abc import Iterator

_NAMED: Final = 3


def authorization_findings(store: Examined) -> Iterator[Finding]:
    """Of each active credential what it may too much; of those without an end, one finding."""
    endless: list[str] = []
    for credential_id, found in store.provider.credentials.each():
        if not isinstance(found, Credential) or found.state is not CredentialState.ACTIVE:
            continue  # one that is damaged is named as such
        yield from _of_scopes(found)
        if found.expires_at is None:
            endless.append(credential_id)
    if endless:
        more = f" and {len(endless) - _NAMED} more" if len(endless) > _NAMED else ""
        yield notice(
            "endless-credentials",
            "credentials",
            f"never end: {', '.join(endless[:_NAMED])}{more}; give new ones an end"
            " (--expires-days), and revoke what is not used",
        )


def _of_scopes(credential: Credential) -> Iterator[Finding]:
    subject = f"credential {credential.credential_id}"
    if "*" in credential.scopes:
        yield warning(
            "all-scopes",
            subject,
            f"({credential.name}) may do all: give each program one of its own with the scopes"
            f" that it needs, then: mfn credential revoke {credential.credential_id}",
        )
        return
    broad = [scope for scope in credential.scopes if scope.endswith(":*")]
    if broad:
        yield notice(
            "every-key",
            subject,
            f"({credential.name}) may use every key ({', '.join(broad)}): name those that it needs",
        )
