"""What does the cryptography here, and who holds the master keys."""

from __future__ import annotations

import ssl
from importlib.metadata import version
from typing import TYPE_CHECKING, Final

from mycelium_fractal_net.inventory.materials import MECHANISMS, master_ref, mechanism
from mycelium_fractal_net.inventory.records import Material, Provider
from mycelium_fractal_net.security.errors import MfnError
from mycelium_fractal_net.security.fips.openssl import openssl_version
from mycelium_fractal_net.security.fips.process import proven
from mycelium_fractal_net.security.records.keys import KeyState

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mycelium_fractal_net.security.key_providers import (
        Custodian,
        CustodianStatus,
        StoredKeyProvider,
    )

_KINDS: Final = {"local": "file", "vault": "application", "aws-kms": "platform", "pkcs11": "device"}
_NAMES: Final = {
    "local": "master key file",
    "vault": "HashiCorp Vault or OpenBao, transit",
    "aws-kms": "AWS KMS",
    "pkcs11": "PKCS #11 token",
}
OPENSSL: Final = "provider:openssl"
PYTHON_OPENSSL: Final = "provider:python-openssl"
FIPS_MODULE: Final = "provider:fips-module"


def software(in_force: tuple[str, ...], of_tls: tuple[str, ...]) -> Iterator[Provider]:
    """The libraries of this process: what is in force by one, TLS by the other.

    In FIPS mode the module does both, by the proof of this process.
    """
    proof = proven()
    text = openssl_version()
    yield Provider(
        OPENSSL,
        "OpenSSL",
        "library",
        _number(text),
        provides=in_force if proof is None else (),
        properties={"brought-by": f"cryptography {version('cryptography')}", "says": text},
    )
    yield Provider(
        PYTHON_OPENSSL,
        "OpenSSL",
        "library",
        _number(ssl.OPENSSL_VERSION),
        provides=of_tls if proof is None else (),
        properties={"brought-by": "Python", "says": ssl.OPENSSL_VERSION},
    )
    if proof is not None:
        module = proof.module
        yield Provider(
            FIPS_MODULE,
            "OpenSSL FIPS provider",
            "library",
            module.version,
            module.sha256,
            tuple(sorted({*in_force, *of_tls})),
            {"file": str(module.file)},
        )


def _number(text: str) -> str:
    """``OpenSSL 4.0.0 14 Apr 2026`` as 4.0.0."""
    return text.split()[1]


class Custody:
    """Each custodian of a provider, the present one first, with the master keys that it has."""

    def __init__(self, provider: StoredKeyProvider) -> None:
        self.providers: list[Provider] = []
        self.master_keys: list[Material] = []
        newest = provider.custodian.newest_id()
        for number, part in enumerate(provider.custodian.parts):
            try:
                status = part.inspect()
            except MfnError:
                if number == 0:
                    raise
                status = None  # a former one, without which the store serves
            self._add(part, status, newest)

    def _add(self, part: Custodian, status: CustodianStatus | None, newest: str) -> None:
        ref = f"custodian:{part.scheme}"
        if ref in {each.ref for each in self.providers}:
            ref += f":{len(self.providers)}"
        details = {"scheme": part.scheme, "answers": str(status is not None).lower()}
        if status is not None:
            details |= {"place": status.place, "guard": status.guard}
        self.providers.append(
            Provider(
                ref,
                _NAMES.get(part.scheme, part.scheme),
                _KINDS.get(part.scheme, "application"),
                provides=() if status is None else (status.wraps_with,),
                properties=details,
            )
        )
        if status is None:
            return
        under = [ref]
        if status.iterations is not None:
            under.append(f"passphrase:{part.scheme}")
            self.master_keys.append(_passphrase(under[-1], status.iterations))
        for kek_id in status.kek_ids:
            self.master_keys.append(_master_key(kek_id, status, tuple(under), newest))


def _passphrase(ref: str, iterations: int) -> Material:
    return Material(
        ref,
        "passphrase of the master key",
        "password",
        "PBKDF2-SHA256",
        KeyState.ACTIVE.value,
        properties={"iterations": str(iterations)},
    )


def _master_key(
    kek_id: str, status: CustodianStatus, under: tuple[str, ...], newest: str
) -> Material:
    secured = {"none": "None", "passphrase": MECHANISMS["local"]}.get(status.guard)
    return Material(
        master_ref(kek_id),
        kek_id,
        "secret-key",
        status.wraps_with,
        KeyState.ACTIVE.value,
        256,
        secured_by=secured or mechanism(kek_id),
        under=under,
        properties={"wraps-new": str(kek_id == newest).lower(), "guard": status.guard},
    )
