"""The custodians that there are, by ``security.key_management.provider``.

Everything else asks for the custodian of the settings and is given a :class:`Custodian`; the one
place that names a class of them is here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from mycelium_fractal_net.bootstrap.custodians.local import LocalScheme
from mycelium_fractal_net.bootstrap.custodians.scheme import (
    CustodianScheme,
    KeptStoreId,
    Opened,
    Passphrase,
)

if TYPE_CHECKING:
    from mycelium_fractal_net.config import Settings

__all__ = ["SCHEMES", "CustodianScheme", "KeptStoreId", "Opened", "Passphrase", "scheme_of"]


def _vault() -> CustodianScheme:
    from mycelium_fractal_net.bootstrap.custodians.vault import VaultScheme

    return VaultScheme()


def _pkcs11() -> CustodianScheme:
    from mycelium_fractal_net.bootstrap.custodians.pkcs11 import Pkcs11Scheme

    return Pkcs11Scheme()


def _aws_kms() -> CustodianScheme:
    from mycelium_fractal_net.bootstrap.custodians.aws_kms import AWSKMSScheme

    return AWSKMSScheme()


SCHEMES: Final[dict[str, Callable[[], CustodianScheme]]] = {
    "local": LocalScheme,
    "vault": _vault,
    "pkcs11": _pkcs11,
    "aws-kms": _aws_kms,
}
"""What makes each; a package that one needs is imported when it is asked for."""


def scheme_of(settings: Settings) -> CustodianScheme:
    """That of the settings."""
    return SCHEMES[settings.security.key_management.provider]()
