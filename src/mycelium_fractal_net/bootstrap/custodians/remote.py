"""What is the same for every master key that another machine, or an HSM, keeps.

No file of it is here. What is here is the store's id, 16 bytes: ``key_management.store_id``
(``MFN_STORE_ID``, 32 hexadecimal digits) or, written by ``mfn init``, the file ``store-id`` in the
home folder. It is no secret, and it is not in the database: whoever writes that cannot have rows of
another store unwrapped.
"""

from __future__ import annotations

import os
import secrets
from abc import abstractmethod
from typing import TYPE_CHECKING

from mycelium_fractal_net.bootstrap.custodians.scheme import CustodianScheme, Opened
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
        return settings.security.key_management.store_id is not None or _file(settings).exists()

    def create(
        self,
        settings: Settings,
        policy: Policy,
        passphrase: Passphrase,  # noqa: ARG002 - there is none here
        *,
        make_key: bool,
    ) -> None:
        """Give the store an id, once the other side has answered."""
        if make_key:
            self.make_key(settings, policy)
        custodian = self._reached(settings, policy)
        try:
            custodian.ping()
        finally:
            custodian.close()
        _write(_file(settings), secrets.token_bytes(STORE_ID_BYTES).hex())

    def open(
        self,
        settings: Settings,
        policy: Policy,
        passphrase: Passphrase,  # noqa: ARG002
    ) -> Opened:
        """Reach what there is."""
        store_id = _store_id(settings)
        return Opened(self._reached(settings, policy), store_id)

    def _reached(self, settings: Settings, policy: Policy) -> RemoteCustodian:
        limits = CallLimits(deadline_seconds=settings.security.key_management.deadline_seconds)
        return RemoteCustodian(lambda: self.connect(settings, policy), limits)

    def missing(self, settings: Settings, *, of_backup: bool) -> MasterKeyError:
        """The error where the store's id is not known here."""
        whose = "the backed-up store" if of_backup else "the key store"
        return MasterKeyError(
            f"the id of {whose} is not known here: set MFN_STORE_ID, or put the file"
            f" {_file(settings)} back"
        )

    def files(self, settings: Settings) -> list[Path]:
        """The file of the store's id."""
        return [_file(settings)] if _file(settings).exists() else []


def _file(settings: Settings) -> Path:
    return settings.home / "store-id"


def _store_id(settings: Settings) -> bytes:
    given = settings.security.key_management.store_id
    text = _file(settings).read_text("ascii", "replace").strip() if given is None else given
    try:
        store_id = bytes.fromhex(text)
    except ValueError:
        store_id = b""
    if len(store_id) != STORE_ID_BYTES:
        raise MasterKeyError(f"{_file(settings)} is damaged: it holds no id of a store")
    return store_id


def known_store_id(settings: Settings) -> bytes | None:
    """The store's id, or None where ``mfn init`` has not made one yet. Raises as opening does."""
    there = settings.security.key_management.store_id is not None or _file(settings).exists()
    return _store_id(settings) if there else None


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = create_private(path)
    try:
        os.write(descriptor, f"{text}\n".encode())
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    sync_folder(path.parent)
