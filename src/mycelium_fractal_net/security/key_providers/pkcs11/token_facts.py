"""What a token says of itself (C_GetTokenInfo)."""

from __future__ import annotations

from ctypes import byref
from typing import TYPE_CHECKING, NamedTuple

from mycelium_fractal_net.security.key_providers.pkcs11 import cryptoki

if TYPE_CHECKING:
    from mycelium_fractal_net.security.key_providers.pkcs11.library import Library


class TokenFacts(NamedTuple):
    """What a token says of itself, and where it is."""

    slot: int
    label: str
    manufacturer: str
    model: str
    serial: str
    flags: int
    firmware: str

    @property
    def shown(self) -> str:
        """In a line, for an operator."""
        return f"{self.manufacturer} {self.model}, serial {self.serial}, firmware {self.firmware}"

    @property
    def is_ready(self) -> bool:
        """Whether it is initialised."""
        return bool(self.flags & cryptoki.CKF_TOKEN_INITIALIZED)


def facts_of(library: Library, slot: int) -> TokenFacts:
    """Those of the token in that slot; within :meth:`.Library.using`."""
    info = cryptoki.TokenInfo()
    library.call("C_GetTokenInfo", slot, byref(info))
    firmware = info.firmwareVersion
    return TokenFacts(
        slot=slot,
        label=_padded(info.label),
        manufacturer=_padded(info.manufacturerID),
        model=_padded(info.model),
        serial=_padded(info.serialNumber),
        flags=info.flags,
        firmware=f"{firmware.major}.{firmware.minor}",
    )


def _padded(text: object) -> str:
    return bytes(text).decode("utf-8", "replace").rstrip(" \0")  # type: ignore[call-overload,no-any-return]
