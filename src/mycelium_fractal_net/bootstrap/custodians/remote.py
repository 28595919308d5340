"""What is the same for every master key that another machine, or an HSM, keeps.

No file of it is here. What is here is the store's id, 16 bytes: ``key_management.store_id``
(``MFN_STORE_ID``, 32 hexadecimal digits) or, written by ``mfn init``, the file ``store-id`` in the
home folder. It is no secret, and it is not in the database: whoever writes that cannot have rows of
another store unwrapped.
"""

from __future__ import annotations

import os
import re
import secrets
from abc import abstractmethod
from typing import TYPE_CHECKING

from mycelium_fractal_net.bootstrap.custodians.scheme import (
    CustodianScheme,
    KeptStoreId,
    Opened,
)
from mycelium_fractal_net.security.byte_io.durable import create_private, sync_folder
from mycelium_fractal_net.security.errors import MasterKeyError
from mycelium_fractal_net.security.key_providers.call_limits import CallLimits
from mycelium_fractal_net.security.key_providers.remote import RemoteCustodian
from mycelium_fractal_net.security.key_store.record_mac import STORE_ID_BYTES

if TYPE_CHECKING:
    from pathlib import Path

    from mycelium_fractal_net.bootstrap.custodians.scheme import Passphrase
    from mycelium_fractal_net.config import Settings
    from mycelium_fractal_net.security.key_providers import Custodian
    from mycelium_fractal_net.security.policy import Policy


class RemoteScheme(CustodianScheme):
    """A custodian elsewhere: what differs is how it is reached, and how a key is made there."""

    @abstractmethod
    def connect(self, settings: Settings, policy: Policy) -> Custodian:
        """Reach the other side, by the settings alone; called again in a child process.

        Raises :class:`ConfigurationError` for a setting or a package that is missing, and as every
        call of a :class:`Custodian` does.
        """

    @abstractmethod
    def make_key(self, settings: Settings, policy: Policy) -> None:
        """Make the master key on the other side; changes nothing where it is there."""

    def is_there(self, settings: Settings) -> bool:
        """Whether the store's id is known here."""
        given = settings.security.key_management.store_id
        return given is not None or store_id_file(settings).exists()

    def kept_store_id(self, settings: Settings) -> KeptStoreId | None:
        """That in the file ``store-id``."""
        return _kept(store_id_file(settings))

    def create(
        self,
        settings: Settings,
        policy: Policy,
        passphrase: Passphrase,  # noqa: ARG002 - there is none here
    ) -> None:
        """Give the store an id, once the other side has answered."""
        custodian = self._reached(settings, policy)
        try:
            custodian.ping()
        finally:
            custodian.close()
        given = settings.security.key_management.store_id
        keep_store_id(settings, given or secrets.token_bytes(STORE_ID_BYTES).hex())

    def open(
        self,
        settings: Settings,
        policy: Policy,
        passphrase: Passphrase,  # noqa: ARG002
    ) -> Opened:
        """Reach what there is, by settings that have the store's id."""
        store_id = settings.security.key_management.store_id
        if store_id is None:
            raise self.missing(settings, of_backup=False)
        return Opened(self._reached(settings, policy), bytes.fromhex(store_id))

    def _reached(self, settings: Settings, policy: Policy) -> RemoteCustodian:
        return RemoteCustodian(lambda: self.connect(settings, policy), self.limits(settings))

    def limits(self, settings: Settings) -> CallLimits:
        """Those of its calls."""
        return CallLimits(deadline_seconds=settings.security.key_management.deadline_seconds)

    def missing(self, settings: Settings, *, of_backup: bool) -> MasterKeyError:
        """The error where the store's id is not known here."""
        whose = "the backed-up store" if of_backup else "the key store"
        return MasterKeyError(
            f"the id of {whose} is not known here: set MFN_STORE_ID to what a machine that has it"
            f" is told by 'mfn master status', or put the file {store_id_file(settings)} back"
        )

    def files(self, settings: Settings) -> list[Path]:
        """The file of the store's id."""
        path = store_id_file(settings)
        return [path] if path.exists() else []


def store_id_file(settings: Settings) -> Path:
    """The file of the store's id in the home folder, there or not."""
    return settings.home / "store-id"


def known_store_id(settings: Settings) -> bytes | None:
    """The store's id, or None where ``mfn init`` has not made one yet. Raises as opening does."""
    given = settings.security.key_management.store_id
    kept = _kept(store_id_file(settings)) if given is None else None
    text = given if kept is None else kept.store_id
    return None if text is None else bytes.fromhex(text)


def _kept(path: Path) -> KeptStoreId | None:
    if not path.exists():
        return None
    text = path.read_text("ascii", "replace").strip()
    if re.fullmatch(f"[0-9a-f]{{{2 * STORE_ID_BYTES}}}", text) is None:
        raise MasterKeyError(f"{path} is damaged: it holds no id of a store")
    return KeptStoreId(text, path)


def keep_store_id(settings: Settings, store_id: str) -> bool:
    """Write that file, whole and durably, and return True; one that is there stays."""
    path = store_id_file(settings)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = create_private(beside)
    try:
        os.write(descriptor, f"{store_id}\n".encode())
        os.fsync(descriptor)
        os.link(beside, path)  # unlike a rename, never over a file that is there
    except FileExistsError:
        return False
    finally:
        os.close(descriptor)
        beside.unlink()
    sync_folder(path.parent)
    return True
