"""The custodians that there are, by ``security.key_management.provider``.

Everything else asks for the custodian of the settings and is given a :class:`Custodian`; the one
place that names a class of them is here.
"""

from __future__ import annotations

import codecs
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Final, NamedTuple, cast

from mycelium_fractal_net.security.byte_io.delivered import delivered
from mycelium_fractal_net.security.errors import ConfigurationError, MasterKeyError
from mycelium_fractal_net.security.key_providers import LocalCustodian, LocalKeyProvider
from mycelium_fractal_net.security.key_providers.local import PassphraseKdf
from mycelium_fractal_net.security.key_providers.stored import StoredKeyProvider
from mycelium_fractal_net.security.key_store.sqlite import check_private

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from mycelium_fractal_net.config import Settings
    from mycelium_fractal_net.security.key_providers import Custodian
    from mycelium_fractal_net.security.key_store import KeyStore
    from mycelium_fractal_net.security.policy import Policy

    Passphrase = bytes | Callable[[], bytes] | None

_PASSPHRASE_BYTES: Final = 4096  # the most that a passphrase file may hold


class Opened(NamedTuple):
    """A custodian, and the 16 bytes that name the store whose keys it wraps."""

    custodian: Custodian
    store_id: bytes


class CustodianScheme(ABC):
    """How one kind of custodian is found, made and opened, from settings."""

    @abstractmethod
    def is_there(self, settings: Settings) -> bool:
        """Whether there is a master key to open a store with."""

    @abstractmethod
    def create(self, settings: Settings, policy: Policy, passphrase: Passphrase) -> None:
        """Make a master key for a store that is not begun."""

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


class _Local(CustodianScheme):
    """A file of this machine."""

    def is_there(self, settings: Settings) -> bool:
        return settings.master_key_file.exists()

    def create(self, settings: Settings, policy: Policy, passphrase: Passphrase) -> None:
        LocalCustodian.create(settings.master_key_file, policy, _kdf(settings, passphrase))

    def open(self, settings: Settings, policy: Policy, passphrase: Passphrase) -> Opened:
        custodian = self._opened(settings, policy, passphrase)
        return Opened(custodian, custodian.store_id)

    def _opened(self, settings: Settings, policy: Policy, passphrase: Passphrase) -> LocalCustodian:
        custodian = LocalCustodian(settings.master_key_file, policy)
        if custodian.inspect().guard != "passphrase":
            return custodian
        return LocalCustodian(settings.master_key_file, policy, _kdf(settings, passphrase))

    def missing(self, settings: Settings, *, of_backup: bool) -> MasterKeyError:
        path = settings.master_key_file
        if of_backup:
            return MasterKeyError(
                f"the master key file {path} is not there; put the file there that the backed-up"
                " store had: no other key opens its backup"
            )
        return MasterKeyError(
            f"the key store is there and its master key file {path} is not;"
            " put the file back, no other key opens this store"
        )

    def provider(
        self,
        settings: Settings,  # noqa: ARG002
        store: KeyStore,
        policy: Policy,
        opened: Opened,
    ) -> StoredKeyProvider:
        return LocalKeyProvider(store, cast("LocalCustodian", opened.custodian), policy)

    def change_passphrase(
        self,
        settings: Settings,
        policy: Policy,
        passphrase: Passphrase,
        new: Callable[[], bytes] | None,
    ) -> None:
        custodian = self._opened(settings, policy, passphrase)
        iterations = settings.security.encryption.key_derivation_iterations
        custodian.change_passphrase(None if new is None else PassphraseKdf(new(), iterations))

    def needs_passphrase(self, settings: Settings, policy: Policy) -> bool:
        if settings.master_passphrase_file is not None:
            return False
        return LocalCustodian(settings.master_key_file, policy).inspect().guard == "passphrase"

    def files(self, settings: Settings) -> list[Path]:
        file, passphrase = settings.master_key_file, settings.master_passphrase_file
        found = [file.parent, file] if delivered(file) is None else []
        if passphrase is not None and delivered(passphrase) is None:
            found.append(passphrase)
        return found


SCHEMES: Final[dict[str, CustodianScheme]] = {"local": _Local()}


def scheme_of(settings: Settings) -> CustodianScheme:
    """That of the settings. Raises :class:`ConfigurationError` for one that is not here."""
    provider = settings.security.key_management.provider
    found = SCHEMES.get(provider)
    if found is None:
        raise ConfigurationError(
            f"security.key_management.provider (MFN_KEY_PROVIDER): {provider} is not in this"
            f" release; those there are: {', '.join(SCHEMES)}"
        )
    return found


def _kdf(settings: Settings, passphrase: Passphrase) -> PassphraseKdf | None:
    found = _passphrase(settings, passphrase)
    if found is None:
        return None
    return PassphraseKdf(found, settings.security.encryption.key_derivation_iterations)


def _passphrase(settings: Settings, passphrase: Passphrase) -> bytes | None:
    if isinstance(passphrase, bytes):
        return passphrase
    file = settings.master_passphrase_file
    if file is not None:
        return _read_passphrase(file)
    return None if passphrase is None else passphrase()


def _read_passphrase(path: Path) -> bytes:
    """The first line of the file, without its line end and an editor's byte order mark."""
    if path.exists() and delivered(path) is None:
        check_private(path)
    try:
        with path.open("rb") as file:
            content = file.read(_PASSPHRASE_BYTES)
    except OSError as error:
        raise MasterKeyError(
            f"the passphrase file {path} cannot be read: {error.strerror}"
        ) from None
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise MasterKeyError(f"the passphrase file {path} is UTF-16; save it as UTF-8")
    line = content.removeprefix(codecs.BOM_UTF8).split(b"\n", 1)[0].rstrip(b"\r")
    if not line:
        raise MasterKeyError(f"the passphrase file {path} is empty")
    return line
