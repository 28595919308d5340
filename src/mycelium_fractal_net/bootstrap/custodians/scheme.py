"""What every kind of custodian does for the composition root."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from mycelium_fractal_net.security.errors import ConfigurationError
from mycelium_fractal_net.security.key_providers.stored import StoredKeyProvider

if TYPE_CHECKING:
    from mycelium_fractal_net.config import Settings
    from mycelium_fractal_net.security.errors import MasterKeyError
    from mycelium_fractal_net.security.key_providers import Custodian
    from mycelium_fractal_net.security.key_store import KeyStore
    from mycelium_fractal_net.security.policy import Policy

Passphrase = bytes | Callable[[], bytes] | None


class Opened(NamedTuple):
    """A custodian, and the 16 bytes that name the store whose keys it wraps."""

    custodian: Custodian
    store_id: bytes


class KeptStoreId(NamedTuple):
    """The id of a store, 32 hexadecimal digits, and the file that it was found in."""

    store_id: str
    place: Path


class CustodianScheme(ABC):
    """How one kind of custodian is found, made and opened, from settings."""

    def require_settings(self, settings: Settings) -> None:  # noqa: B027 - all have a default
        """Raise :class:`ConfigurationError`, which names all settings that it lacks at once."""

    @abstractmethod
    def is_there(self, settings: Settings) -> bool:
        """Whether there is what a store is opened with; nobody is asked on another machine."""

    @abstractmethod
    def kept_store_id(self, settings: Settings) -> KeptStoreId | None:
        """The id of the store, if a file of this machine has it. Raises :class:`MasterKeyError`."""

    def know(self, settings: Settings, passphrase: Passphrase) -> None:  # noqa: B027
        """Take what guards the master key, where that is needed before :meth:`make_key`."""

    def make_key(self, settings: Settings, policy: Policy) -> None:  # noqa: B027 - there may be none
        """Make the master key on the other side, where that is not done by :meth:`create`."""

    @abstractmethod
    def create(self, settings: Settings, policy: Policy, passphrase: Passphrase) -> None:
        """Make what a store will be opened with: a fresh id, unless the settings have one.

        No master key is made on another machine.
        """

    @abstractmethod
    def open(self, settings: Settings, policy: Policy, passphrase: Passphrase) -> Opened:
        """Open what is there. Raises :class:`MasterKeyError`."""

    @abstractmethod
    def missing(self, settings: Settings, *, of_backup: bool) -> MasterKeyError:
        """The error where it is not there, and the key store or a backup needs it."""

    def advice_without_store(self, settings: Settings) -> str:
        """What to do where there is no store: to bring it back where only the store went."""
        if not self.is_there(settings):
            return "create it: mfn init"
        return (
            "its master key is here, so bring a lost store back: mfn restore BACKUP. Where there"
            " was none yet, or no backup: mfn init begins an empty one, and nothing that was"
            " encrypted before decrypts with it"
        )

    def provider(
        self, settings: Settings, store: KeyStore, policy: Policy, opened: Opened
    ) -> StoredKeyProvider:
        """The provider over a store whose keys it wraps."""
        return StoredKeyProvider(
            store,
            opened.custodian,
            policy,
            store_id=opened.store_id,
            outage_seconds=settings.security.key_management.outage_seconds,
        )

    def change_passphrase(
        self,
        settings: Settings,  # noqa: ARG002
        policy: Policy,  # noqa: ARG002
        passphrase: Passphrase,  # noqa: ARG002
        new: Callable[[], bytes] | None,  # noqa: ARG002
    ) -> None:
        """Put the master key under another passphrase, or with None under none.

        ``new`` is called once the master key was opened.
        """
        raise ConfigurationError("the master key is kept by another, and has no passphrase here")

    def needs_passphrase(self, settings: Settings, policy: Policy) -> bool:  # noqa: ARG002
        """Whether it opens with a passphrase that no file gives."""
        return False

    def files(self, settings: Settings) -> list[Path]:  # noqa: ARG002
        """The files and folders of it that nobody else may use."""
        return []
