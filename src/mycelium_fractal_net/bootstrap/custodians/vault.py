"""The master key in HashiCorp Vault or OpenBao, as the settings reach it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar, cast

from mycelium_fractal_net.bootstrap.custodians.remote import RemoteScheme
from mycelium_fractal_net.security.byte_io.delivered import delivered
from mycelium_fractal_net.security.errors import ConfigurationError
from mycelium_fractal_net.security.key_providers.vault import VaultCustodian, VaultKeyProvider
from mycelium_fractal_net.security.key_providers.vault.logins import (
    AppRole,
    Certificate,
    GivenToken,
    Jwt,
    TokenFile,
)
from mycelium_fractal_net.security.key_providers.vault.session import Session
from mycelium_fractal_net.security.key_providers.vault.transport import Address, Transport

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mycelium_fractal_net.bootstrap.custodians.scheme import Opened
    from mycelium_fractal_net.config import Settings
    from mycelium_fractal_net.config.settings import KeyManagement
    from mycelium_fractal_net.security.key_providers import StoredKeyProvider
    from mycelium_fractal_net.security.key_providers.vault.logins import Login
    from mycelium_fractal_net.security.key_store import KeyStore
    from mycelium_fractal_net.security.policy import Policy

_T = TypeVar("_T")
_MOUNT: Final = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*(?:/[A-Za-z0-9_-][A-Za-z0-9_.-]*)*")
_NEEDED: Final = {  # of each method, beside what has a default
    "approle": ("vault_role", "vault_secret_id_file"),
    "jwt": ("vault_role", "vault_jwt_file"),
    "kubernetes": ("vault_role",),
    "cert": ("vault_client_certificate",),
}
_SERVICE_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")


class VaultScheme(RemoteScheme):
    """A transit key."""

    def require_settings(self, settings: Settings) -> None:
        """The address, and what logs in."""
        missing = list(_missing(settings.security.key_management))
        if missing:
            raise ConfigurationError(f"security.key_management lacks {', and '.join(missing)}")

    def connect(self, settings: Settings, policy: Policy) -> VaultCustodian:  # noqa: ARG002
        """What reaches it; nobody is asked yet."""
        self.require_settings(settings)
        chosen = settings.security.key_management
        address = Address.parse(
            _given(chosen.vault_addr),
            ca_file=chosen.vault_ca_file,
            certificate=chosen.vault_client_certificate,
            private_key=chosen.vault_client_key,
        )
        namespace = chosen.vault_namespace
        if namespace is not None:
            namespace = _path(namespace, "vault_namespace")
        session = Session(Transport(address), _login(chosen), namespace)
        mount = _path(chosen.vault_mount, "vault_mount")
        return VaultCustodian(session, name=chosen.vault_key_name, mount=mount)

    def make_key(self, settings: Settings, policy: Policy) -> None:
        """``bao write -f transit/keys/NAME type=aes256-gcm96 derived=true``."""
        custodian = self.connect(settings, policy)
        try:
            custodian.make_key()
        finally:
            custodian.close()

    def provider(
        self, settings: Settings, store: KeyStore, policy: Policy, opened: Opened
    ) -> StoredKeyProvider:
        """The plan's provider."""
        return VaultKeyProvider(
            store,
            opened.custodian,
            policy,
            store_id=opened.store_id,
            outage_seconds=settings.security.key_management.outage_seconds,
        )

    def files(self, settings: Settings) -> list[Path]:
        """The store's id, and what shows who asks, unless a platform delivers it."""
        chosen = settings.security.key_management
        secret = (chosen.vault_token_file, chosen.vault_secret_id_file, chosen.vault_client_key)
        found = [each for each in secret if each is not None and delivered(each) is None]
        return [*super().files(settings), *found]


def _missing(chosen: KeyManagement) -> Iterator[str]:
    if chosen.vault_addr is None:
        yield "vault_addr (MFN_VAULT_ADDR)"
    has_token = chosen.vault_token_file is not None or chosen.vault_token is not None
    if chosen.vault_auth == "token" and not has_token:
        yield "vault_token_file (MFN_VAULT_TOKEN_FILE) or vault_token (MFN_VAULT_TOKEN)"
    for name in _NEEDED.get(chosen.vault_auth, ()):
        if getattr(chosen, name) is None:
            yield name


def _login(chosen: KeyManagement) -> Login:
    method = chosen.vault_auth
    if method == "token":
        return _token(chosen)
    mount = _path(chosen.vault_auth_mount or method, "vault_auth_mount")
    if method == "cert":
        return Certificate(mount, chosen.vault_role)
    role = _given(chosen.vault_role)
    if method == "approle":
        return AppRole(mount, role, _given(chosen.vault_secret_id_file))
    if method == "kubernetes":
        return Jwt(method, mount, role, chosen.vault_jwt_file or _SERVICE_ACCOUNT)
    return Jwt(method, mount, role, _given(chosen.vault_jwt_file))


def _token(chosen: KeyManagement) -> Login:
    if chosen.vault_token_file is not None and chosen.vault_token is not None:
        raise ConfigurationError(
            "security.key_management has both vault_token (MFN_VAULT_TOKEN) and vault_token_file"
            " (MFN_VAULT_TOKEN_FILE): give one"
        )
    if chosen.vault_token_file is not None:
        return TokenFile(chosen.vault_token_file)
    return GivenToken(_given(chosen.vault_token))


def _given(value: _T | None) -> _T:
    """What :func:`_missing` has seen to be there."""
    return cast("_T", value)


def _path(text: str, name: str) -> str:
    """A mount or a namespace, without slashes at its ends."""
    found = text.strip("/")
    if not _MOUNT.fullmatch(found):
        raise ConfigurationError(
            f"security.key_management.{name} is no path: letters, digits, '.', '_' and '-',"
            " parts joined by '/'"
        )
    return found
