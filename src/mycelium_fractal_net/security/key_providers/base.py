"""What every custodian of a master key, and every provider of keys, must do.

The plan's :class:`KeyProvider` hands out named keys. A :class:`Custodian` holds the master
key and does two things with it, wrap and unwrap; whoever adds one writes one file.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from mycelium_fractal_net.security.errors import MasterKeyError

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

_WRAP_LABEL: Final = b"mycelium-fractal-net/wrap/v1"


class KeyProvider(ABC):
    """Abstract base class for key providers."""

    @abstractmethod
    def get_key(self, key_id: str) -> bytes:
        """Retrieve a key by ID.

        A bare name gives the version that protects new data, a version id that version.
        Encryption and MAC keys are 32 bytes, signing keys their private encoding. Bytes that
        were handed out lie outside every count of uses.
        """

    @abstractmethod
    def generate_key(self, key_type: str) -> str:
        """Generate a new key, return key ID. Types: ``encryption``, ``signing``, ``mac``."""

    @abstractmethod
    def rotate_key(self, key_id: str) -> str:
        """Rotate a key, return new version ID, such as ``orders:v3``."""


@dataclass(frozen=True, slots=True)
class Binding:
    """What a wrapped key is bound to: it unwraps as this version of this key in this store only."""

    store_id: bytes
    key_id: str
    key_type: str
    use: str
    algorithm: str
    version: int
    handle: bytes

    def encode(self) -> bytes:
        """The associated data of the wrapping: a label, then each part with its 4-byte length."""
        parts = (
            _WRAP_LABEL,
            self.store_id,
            self.key_id.encode(),
            self.key_type.encode(),
            self.use.encode(),
            self.algorithm.encode(),
            self.version.to_bytes(4, "big"),
            self.handle,
        )
        return b"".join(len(part).to_bytes(4, "big") + part for part in parts)


class Custodian(ABC):
    """Holder of one store's master keys. A master key never enters the key store.

    Each master key has an id, a short printable text that the store keeps beside what the key
    wrapped, so that both the old and the new one serve while a store moves between them.
    """

    @property
    @abstractmethod
    def store_id(self) -> bytes:
        """16 bytes that name the store; kept with the master key and not in the database."""

    @property
    @abstractmethod
    def newest_id(self) -> str:
        """The id of the master key that was made last."""

    @abstractmethod
    def holds(self, master_id: str) -> bool:
        """Whether that is one of its master keys, by its own configuration.

        It is asked about ids that stand in rows of the store, which anybody may have written.
        """

    def check(self, master_id: str) -> None:
        """Raise :class:`MasterKeyError` unless it holds that master key."""
        if not self.holds(master_id):
            raise MasterKeyError("the master key of the store is not one that is configured here")

    @abstractmethod
    def wrap(self, master_id: str, material: bytes, binding: Binding) -> bytes:
        """Encrypt ``material`` under that master key, bound to ``binding``.

        Raises :class:`MasterKeyError` where the custodian has no such master key.
        """

    @abstractmethod
    def unwrap(self, master_id: str, wrapped: bytes, binding: Binding) -> bytes:
        """The material that :meth:`wrap` was given.

        Raises :class:`MasterKeyError` where the custodian has no such master key, and
        :class:`StoreIntegrityError` where ``wrapped`` is not its wrapping of that binding.
        """

    @abstractmethod
    def moving(self) -> AbstractContextManager[None]:
        """Held by whoever moves the store to a new master key, and by one at a time.

        Entering raises :class:`ConflictError` while somebody else holds it: two moves at once
        could each forget the master key that the other one moved to.
        """

    @abstractmethod
    def add_master_key(self) -> str:
        """Make a further master key, durably, and return its id."""

    @abstractmethod
    def forget_master_keys(self, keep: str) -> None:
        """Forget, for ever, every master key but ``keep``."""
