"""The master key in a file of this machine."""

from __future__ import annotations

import codecs
from typing import TYPE_CHECKING, Final, cast

from mycelium_fractal_net.bootstrap.custodians.scheme import (
    CustodianScheme,
    KeptStoreId,
    Opened,
)
from mycelium_fractal_net.security.byte_io.delivered import delivered
from mycelium_fractal_net.security.byte_io.private import check_private
from mycelium_fractal_net.security.errors import MasterKeyError
from mycelium_fractal_net.security.key_providers.local import (
    LocalCustodian,
    LocalKeyProvider,
    PassphraseKdf,
)
from mycelium_fractal_net.security.key_providers.master_key_file import MasterKeyFile

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from mycelium_fractal_net.bootstrap.custodians.scheme import Passphrase
    from mycelium_fractal_net.config import Settings
    from mycelium_fractal_net.security.key_providers import StoredKeyProvider
    from mycelium_fractal_net.security.key_store import KeyStore
    from mycelium_fractal_net.security.policy import Policy

_PASSPHRASE_BYTES: Final = 4096  # the most that a passphrase file may hold


class LocalScheme(CustodianScheme):
    """A file of this machine."""

    def is_there(self, settings: Settings) -> bool:
        """Whether the file is there."""
        return settings.master_key_file.exists()

    def kept_store_id(self, settings: Settings) -> KeptStoreId | None:
        """That in the file."""
        if not self.is_there(settings):
            return None
        store_id, _, _ = MasterKeyFile(settings.master_key_file).read()
        return KeptStoreId(store_id.hex(), settings.master_key_file)

    def create(self, settings: Settings, policy: Policy, passphrase: Passphrase) -> None:
        """Write the file."""
        given = settings.security.key_management.store_id
        LocalCustodian.create(
            settings.master_key_file,
            policy,
            _kdf(settings, passphrase),
            store_id=None if given is None else bytes.fromhex(given),
        )

    def open(self, settings: Settings, policy: Policy, passphrase: Passphrase) -> Opened:
        """Read the file. Raises :class:`MasterKeyError` where the settings have another id."""
        custodian = self._opened(settings, policy, passphrase)
        given = settings.security.key_management.store_id
        if given not in (None, custodian.store_id.hex()):
            raise MasterKeyError(
                f"the master key file {settings.master_key_file} is of another store than"
                " MFN_STORE_ID names"
            )
        return Opened(custodian, custodian.store_id)

    def _opened(self, settings: Settings, policy: Policy, passphrase: Passphrase) -> LocalCustodian:
        custodian = LocalCustodian(settings.master_key_file, policy)
        if custodian.inspect().guard != "passphrase":
            return custodian
        return LocalCustodian(settings.master_key_file, policy, _kdf(settings, passphrase))

    def missing(self, settings: Settings, *, of_backup: bool) -> MasterKeyError:
        """The error that names the file."""
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
        """The plan's provider."""
        return LocalKeyProvider(store, cast("LocalCustodian", opened.custodian), policy)

    def change_passphrase(
        self,
        settings: Settings,
        policy: Policy,
        passphrase: Passphrase,
        new: Callable[[], bytes] | None,
    ) -> None:
        """Write the file anew."""
        custodian = self._opened(settings, policy, passphrase)
        iterations = settings.security.encryption.key_derivation_iterations
        custodian.change_passphrase(None if new is None else PassphraseKdf(new(), iterations))

    def needs_passphrase(self, settings: Settings, policy: Policy) -> bool:
        """Whether the file says so, and no file of the settings has it."""
        if settings.master_passphrase_file is not None:
            return False
        return LocalCustodian(settings.master_key_file, policy).inspect().guard == "passphrase"

    def files(self, settings: Settings) -> list[Path]:
        """The master key, its folder, and its passphrase."""
        file, passphrase = settings.master_key_file, settings.master_passphrase_file
        found = [file.parent, file] if delivered(file) is None else []
        if passphrase is not None and delivered(passphrase) is None:
            found.append(passphrase)
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
