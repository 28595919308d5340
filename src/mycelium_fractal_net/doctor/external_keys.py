"""Private keys that are with the custodian: gone, replaced, refused, or left behind."""

from __future__ import annotations

from collections.abc import Iterator

from mycelium_fractal_net.doctor.findings import Examined, Finding, critical, notice, warning
from mycelium_fractal_net.security.errors import CustodianUnavailableError, MfnError
from mycelium_fractal_net.security.records.keys import Key, KeyVersion, version_id


def external_findings(store: Examined, key: Key, version: KeyVersion) -> Iterator[Finding]:
    """What the custodian says of the key of one external version.

    Raises :class:`CustodianUnavailableError`, which is found by whoever opens the store.
    """
    subject = f"key {version_id(key.key_id, version.version)}"
    if version.lingers:
        yield warning(
            "external-key",
            subject,
            "is destroyed, and its private key is still with the custodian, where it is called"
            f" {version.external}: let it be destroyed there; a scheduler tries again at each look."
            " Where that custodian is gone for good:"
            f" mfn key abandon {version_id(key.key_id, version.version)} --reason TEXT",
        )
        return
    try:
        store.provider.keys.external.check(key, version)
    except CustodianUnavailableError:
        raise
    except MfnError as error:
        yield critical("external-key", subject, f"does not sign, with {version.external}: {error}")


def left_over_findings(store: Examined) -> Iterator[Finding]:
    """Private keys that a custodian has under the names of this store, and no record."""
    for external in store.external.left_over:
        yield warning(
            "left-over-key",
            f"private key {external}",
            "is with the custodian, and no record says so: a crash while it was made may have left"
            " it over, or somebody gave it up; to be destroyed there by hand",
        )
    for scheme, error in store.external.refused.items():
        yield notice(
            "left-over-key",
            scheme,
            f"whether it keeps keys that no record names is unknown: {error}",
        )
