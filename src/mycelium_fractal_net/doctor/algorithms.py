"""Keys and signers of an algorithm that the configuration, or FIPS mode, does not allow."""

from __future__ import annotations

from collections.abc import Iterator

from mycelium_fractal_net.doctor.findings import Examined, Finding, warning
from mycelium_fractal_net.security.records.keys import Key
from mycelium_fractal_net.security.records.signers import Signer, SignerState


def refused_key(store: Examined, key: Key) -> Iterator[Finding]:
    """A key that is refused wherever it is used."""
    if not key.is_legacy and not store.provider.policy.allows(key.algorithm):
        yield warning(
            "algorithm",
            f"key {key.key_id}",
            f"is refused in use: {store.provider.policy.why_not(key.algorithm)}; make another key"
            " for what it did",
        )


def refused_signers(store: Examined) -> Iterator[Finding]:
    """Registered public keys whose signatures are refused."""
    for name, signer in store.provider.signers.each(-1):
        if (
            isinstance(signer, Signer)
            and signer.state is SignerState.ACTIVE
            and not store.provider.policy.allows(signer.algorithm)
        ):
            yield warning(
                "algorithm",
                f"signer {name}",
                f"its signatures are refused: {store.provider.policy.why_not(signer.algorithm)};"
                " register another public key for who signs with it",
            )
