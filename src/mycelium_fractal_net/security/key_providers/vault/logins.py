"""How a token of Vault is had: given, in a file, or by a login that shows who asks.

What a login sends is read from its file each time, and is sent to the configured address alone.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from time import monotonic
from typing import TYPE_CHECKING, Any, ClassVar, Final

from mycelium_fractal_net.security.errors import (
    ConfigurationError,
    CustodianDeniedError,
    CustodianUnavailableError,
)
from mycelium_fractal_net.security.key_providers.vault.transport import FAILS, unusable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from mycelium_fractal_net.security.key_providers.vault.transport import Answer

_FILE_BYTES: Final = 65_536  # the most that a token, a secret id or a JWT takes
_PRINTABLE: Final = re.compile(r"[\x21-\x7e]+")
_CENTURY_SECONDS: Final = 100 * 366 * 86_400
_SERVES: Final = 200


@dataclass(frozen=True, slots=True)
class Held:
    """A token: when it was had or renewed, and until when it serves, by the monotonic clock.

    ``first_seconds`` is for how long it served when it was had; 0 where nobody asked yet.
    """

    token: str = field(repr=False)
    since: float
    until: float = float("inf")
    renewable: bool = False
    first_seconds: float = 0.0


class Login(ABC):
    """A way to have a token."""

    repeatable: ClassVar[bool]
    """Whether another token can be had at any time, without the old one."""

    @abstractmethod
    def obtain(self, call: Callable[[str, Mapping[str, str]], Answer]) -> Held:
        """A token; ``call`` posts a body to a path without one.

        Raises :class:`CustodianDeniedError` where the server refuses the login, and
        :class:`ConfigurationError` for a file that cannot be used.
        """

    def changed(self) -> bool:
        """Whether another token than the last stands where it was read."""
        return False


class GivenToken(Login):
    """A token in the settings."""

    repeatable = False

    def __init__(self, token: str) -> None:
        if not _PRINTABLE.fullmatch(token):
            raise ConfigurationError("the token of Vault (MFN_VAULT_TOKEN) is no token")
        self._token = token

    def obtain(self, call: Callable[[str, Mapping[str, str]], Answer]) -> Held:  # noqa: ARG002
        """The same each time."""
        return Held(self._token, monotonic())


class TokenFile(Login):
    """The first line of a file, which an agent may write anew at any time."""

    repeatable = False

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, int, int] | None = None

    def obtain(self, call: Callable[[str, Mapping[str, str]], Answer]) -> Held:  # noqa: ARG002
        """What stands there now."""
        self._seen = self._look()
        return Held(_first_line(self._path, "vault_token_file"), monotonic())

    def changed(self) -> bool:
        """Whether it was written, or replaced, since it was read."""
        seen = self._look()
        return seen is not None and seen != self._seen

    def _look(self) -> tuple[int, int, int] | None:
        try:
            status = self._path.stat()
        except OSError:  # while it is replaced: what was read serves
            return None
        return status.st_ino, status.st_mtime_ns, status.st_size


class MethodLogin(Login):
    """A login by an auth method of the server, mounted at ``mount``."""

    repeatable = True
    method: ClassVar[str]

    def __init__(self, mount: str) -> None:
        self._mount = mount

    @abstractmethod
    def _body(self) -> dict[str, str]:
        """What is sent."""

    def obtain(self, call: Callable[[str, Mapping[str, str]], Answer]) -> Held:
        """One login."""
        began = monotonic()
        answer = call(f"auth/{self._mount}/login", self._body())
        if answer.status >= FAILS:
            raise unusable(answer.status)
        if answer.status != _SERVES:
            raise CustodianDeniedError(
                f"Vault refuses the login by {self.method} at auth/{self._mount}: see to its role"
                " there, and to what shows who asks"
            )
        return held(answer.document, began)


class AppRole(MethodLogin):
    """A role id, and a secret id in a file."""

    method = "approle"

    def __init__(self, mount: str, role_id: str, secret_id_file: Path) -> None:
        super().__init__(mount)
        self._role_id = role_id
        self._secret_id_file = secret_id_file

    def _body(self) -> dict[str, str]:
        secret_id = _first_line(self._secret_id_file, "vault_secret_id_file")
        return {"role_id": self._role_id, "secret_id": secret_id}


class Jwt(MethodLogin):
    """A JWT in a file, which whoever runs the workload keeps fresh: also that of Kubernetes."""

    def __init__(self, method: str, mount: str, role: str, file: Path) -> None:
        super().__init__(mount)
        self.method = method  # type: ignore[misc]
        self._role = role
        self._file = file

    def _body(self) -> dict[str, str]:
        return {"role": self._role, "jwt": _first_line(self._file, "vault_jwt_file")}


class Certificate(MethodLogin):
    """The certificate that every connection shows."""

    method = "cert"

    def __init__(self, mount: str, role: str | None) -> None:
        super().__init__(mount)
        self._role = role

    def _body(self) -> dict[str, str]:
        return {} if self._role is None else {"name": self._role}


def held(document: Mapping[str, Any], began: float) -> Held:
    """The token in an answer to a login that was sent at ``began``."""
    auth = auth_of(document)
    token = auth.get("client_token")
    if not isinstance(token, str) or not _PRINTABLE.fullmatch(token):
        raise CustodianUnavailableError("Vault answers a login with no token")
    seconds = seconds_of(auth, "lease_duration") or float("inf")
    return Held(token, began, began + seconds, auth.get("renewable") is True, seconds)


def auth_of(document: Mapping[str, Any]) -> Mapping[str, Any]:
    """What an answer to a login or a renewal says of the token."""
    auth = document.get("auth")
    return auth if isinstance(auth, dict) else {}


def seconds_of(part: Mapping[str, Any], name: str) -> float:
    """A count of seconds in an answer; 0 where there is none that can be."""
    found = part.get(name)
    return float(found) if isinstance(found, int) and 0 < found < _CENTURY_SECONDS else 0.0


def _first_line(path: Path, setting: str) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(_FILE_BYTES)
    except OSError as error:
        raise ConfigurationError(
            f"{path} (security.key_management.{setting}) cannot be read: {error.strerror}"
        ) from None
    line = content.split(b"\n", 1)[0].strip().decode("ascii", "replace")
    if not _PRINTABLE.fullmatch(line):
        raise ConfigurationError(
            f"{path} (security.key_management.{setting}) does not begin with a line that can be"
            " sent: printable ASCII, without spaces"
        )
    return line
