"""Who holds the master key, and how this machine proves to it who it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mycelium_fractal_net.config import user_variable
from mycelium_fractal_net.doctor.findings import Finding, notice, warning

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mycelium_fractal_net.config import Settings

# What begins the id of an access key that has no end; those of a session begin with ASIA (IAM User
# Guide, "IAM identifiers", unique prefixes).
_AWS_FOR_EVER: Final = "AKIA"
_OUTAGE_SECONDS: Final = 86_400


def custodian_posture(settings: Settings) -> Iterator[Finding]:
    """A master key on this machine, credentials for a custodian that never end, and keys that
    serve for long without it."""
    managed = settings.security.key_management
    if managed.provider == "local":
        yield warning(
            "local-custodian",
            str(settings.master_key_file),
            "the master key is a file on the machine that uses it: whoever reads its disk or its"
            " memory has every key; move the store to a key vault or an HSM, which does not give"
            " it away (docs/custody.md)",
        )
    elif managed.provider == "vault" and managed.vault_token is not None:
        yield warning(
            "vault-token",
            "security.key_management.vault_token",
            "a token of Vault stands in the settings, where nobody renews or replaces it: name a"
            " file that an agent keeps in vault_token_file, or log in by vault_auth",
        )
    elif managed.provider == "aws-kms" and _holds_for_ever(user_variable("AWS_ACCESS_KEY_ID")):
        yield warning(
            "aws-static-key",
            "AWS_ACCESS_KEY_ID",
            "is an access key that never ends: take a role, which gives credentials for hours",
        )

    if managed.provider != "local" and managed.outage_seconds > _OUTAGE_SECONDS:
        yield notice(
            "long-outage",
            "security.key_management.outage_seconds",
            f"is {managed.outage_seconds}: for so long keys serve that the custodian does not give"
            f" out any more, while it does not answer; set it to a day at most, {_OUTAGE_SECONDS}",
        )


def _holds_for_ever(access_key: str | None) -> bool:
    return access_key is not None and access_key.startswith(_AWS_FOR_EVER)
