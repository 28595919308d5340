"""Who asks: nobody, somebody who may work with the data of some keys, an administrator."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import schemathesis
from schemathesis.specs.openapi import checks as about

from tests.support.service import credential

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.service import Running

    Check = Callable[..., Any]

NOBODY: Final = "nobody"
DATA: Final = "data"
ADMINISTRATOR: Final = "administrator"
KINDS: Final = (NOBODY, DATA, ADMINISTRATOR)
KEYS: Final[dict[str, dict[str, Any]]] = {
    "orders": {},
    "release": {"type": "signing", "publish": True},
    "tags": {"type": "mac"},
}
_SCOPES: Final = (
    "encrypt:orders", "decrypt:orders", "rewrap:orders", "datakey:orders", "sign:release",
    "verify:release", "mac:tags", "verify:tags", "decrypt:default-encryption",
)  # fmt: skip
_REFUSED: Final[tuple[Check, ...]] = (about.positive_data_acceptance, about.negative_data_rejection)
"""What is not to be expected of an answer to somebody who may little: a right request is refused,
and a wrong one before it was looked at."""


@dataclass(frozen=True)
class Caller:
    """One who asks. ``api_key`` is empty for nobody."""

    kind: str
    service: Running
    api_key: str

    @classmethod
    def of(cls, kind: str, service: Running) -> Caller:
        """That kind of caller. The keys that it works with are made where they are missing."""
        if kind == ADMINISTRATOR:
            return cls(kind, service, service.api_key)
        with service.client() as client:
            for name, more in KEYS.items():
                client.post("/keys", json={"key_id": name, **more})
            return cls(kind, service, credential(client, *_SCOPES) if kind == DATA else "")

    @property
    def scopes(self) -> tuple[str, ...]:
        """What it may."""
        return ("*",) if self.kind == ADMINISTRATOR else _SCOPES

    @property
    def excluded_checks(self) -> list[Check]:
        """What cannot be expected of the answers to it."""
        return [] if self.kind == ADMINISTRATOR else list(_REFUSED)

    def headers(self, case: schemathesis.Case[Any]) -> dict[str, str]:
        """Those of its request; where that ends an API key, it has another one of the same kind."""
        if not self.api_key:
            return {}
        if case.operation.definition.raw["operationId"] != "rotate_own_credential":
            return {"X-API-Key": self.api_key}
        with self.service.client() as client:
            return {"X-API-Key": credential(client, *self.scopes)}

    def spare(self, named: dict[str, Any]) -> None:
        """Have a request that would end this credential, or the first one, end another."""
        own = {key.split("_")[1] for key in (self.api_key, self.service.api_key) if key}
        if named.get("credential_id") in own:
            with self.service.client() as client:
                named["credential_id"] = credential(client, *self.scopes).split("_")[1]
