"""The master key on an HSM, which its PKCS #11 library reaches."""

from __future__ import annotations

import contextlib
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from mycelium_fractal_net.bootstrap.custodians.remote import RemoteScheme
from mycelium_fractal_net.config import user_variable
from mycelium_fractal_net.security.byte_io.delivered import delivered
from mycelium_fractal_net.security.errors import ConfigurationError, MasterKeyError
from mycelium_fractal_net.security.key_providers.pkcs11 import (
    PinSource,
    PKCS11Custodian,
    PKCS11KeyProvider,
    parse_uri,
)

if TYPE_CHECKING:
    from mycelium_fractal_net.bootstrap.custodians.scheme import Opened, Passphrase
    from mycelium_fractal_net.config import Settings
    from mycelium_fractal_net.security.key_providers import StoredKeyProvider
    from mycelium_fractal_net.security.key_providers.pkcs11 import Pkcs11Uri
    from mycelium_fractal_net.security.key_store import KeyStore
    from mycelium_fractal_net.security.policy import Policy


class Pkcs11Scheme(RemoteScheme):
    """The token and the keys that the URI of the settings names.

    A PIN that no file gives takes the place of a passphrase: who opens the store is asked for it.
    """

    def __init__(self) -> None:
        self._pin: bytes | None = None
        self._begins = False

    def require_settings(self, settings: Settings) -> None:
        """The token and its keys."""
        _uri(settings)

    def connect(self, settings: Settings, policy: Policy) -> PKCS11Custodian:  # noqa: ARG002
        """Load the library, log in and find the newest master key."""
        uri = _uri(settings)
        custodian = PKCS11Custodian(uri, self._pin_source(settings))
        if self._begins and not custodian.has_key():
            raise MasterKeyError(_how_to_make(uri))
        custodian.open(refuse_wide=self._begins)
        return custodian

    def know(self, settings: Settings, passphrase: Passphrase) -> None:
        """Ask for the PIN now: a call to the token has a deadline, and whoever types has none."""
        if passphrase is not None and not self._pin_source(settings).is_there():
            self._pin = passphrase if isinstance(passphrase, bytes) else passphrase()

    def make_key(self, settings: Settings, policy: Policy) -> None:  # noqa: ARG002
        """Make the first master key of the URI's label."""
        pin = self._pin_source(settings)
        with contextlib.closing(PKCS11Custodian(_uri(settings), pin)) as custodian:
            custodian.make_first()

    def create(self, settings: Settings, policy: Policy, passphrase: Passphrase) -> None:
        """Give the store an id, once a key was seen on the token that does not leave it."""
        self._begins = True
        super().create(settings, policy, passphrase)

    def open(self, settings: Settings, policy: Policy, passphrase: Passphrase) -> Opened:
        """Reach what there is."""
        self.know(settings, passphrase)
        return super().open(settings, policy, passphrase)

    def provider(
        self, settings: Settings, store: KeyStore, policy: Policy, opened: Opened
    ) -> StoredKeyProvider:
        """The plan's provider."""
        return PKCS11KeyProvider(
            store,
            opened.custodian,
            policy,
            store_id=opened.store_id,
            outage_seconds=settings.security.key_management.outage_seconds,
        )

    def needs_passphrase(self, settings: Settings, policy: Policy) -> bool:  # noqa: ARG002
        """Whether no file gives the PIN."""
        return not self._pin_source(settings).is_there()

    def files(self, settings: Settings) -> list[Path]:
        """The files of the store's id and of the PIN."""
        pin = self._pin_source(settings).path
        found = super().files(settings)
        return found if pin is None or delivered(pin) is not None else [*found, pin]

    def _pin_source(self, settings: Settings) -> PinSource:
        pin, folder = self._pin, user_variable("CREDENTIALS_DIRECTORY")
        return PinSource(
            _uri(settings).pin_source,
            credentials=None if folder is None else Path(folder),
            ask=None if pin is None else lambda: pin,
        )


def _uri(settings: Settings) -> Pkcs11Uri:
    text = settings.security.key_management.pkcs11_uri
    if text is None:
        raise ConfigurationError(
            "security.key_management.pkcs11_uri (MFN_PKCS11_URI) is missing: the token and the"
            " label of the store's master keys, such as pkcs11:token=mfn;object=orders-store"
            "?module-path=/usr/lib/softhsm/libsofthsm2.so&pin-source=/run/secrets/pin"
        )
    return parse_uri(text)


def _how_to_make(uri: Pkcs11Uri) -> str:
    module, token, label = (
        shlex.quote(each) for each in (uri.module_path, uri.token or "TOKEN", uri.label or "LABEL")
    )
    return (
        f"the token has no master key of the label {label} yet: mfn init --create-key makes one; or"
        f" by hand: pkcs11-tool --module {module} --token-label {token} --login --keygen"
        f" --key-type AES:32 --label {label} --id 01 --private --sensitive"
    )
