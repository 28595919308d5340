"""Who holds a store's master key, and what that must do.

A :class:`Custodian` wraps and unwraps the keys of a store. Whoever adds one writes one file, and
an entry in :mod:`mycelium_fractal_net.bootstrap.custodians`; one that asks another machine is put
behind :class:`.remote.RemoteCustodian`. An outage, a refusal, and a row that was edited are three
errors, and none of them is ever one of the others.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final, NamedTuple, Protocol, runtime_checkable

from mycelium_fractal_net.security.errors import MasterKeyError, StoreIntegrityError
from mycelium_fractal_net.security.forking import OfOneProcess

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from mycelium_fractal_net.security.byte_io.buffers import Octets
    from mycelium_fractal_net.security.key_providers.call_statistics import CustodianStatistics

_WRAP_LABEL: Final = b"mycelium-fractal-net/wrap/v1"
REFERENCE_CHARACTERS: Final = 512


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

    def refusal(self) -> StoreIntegrityError:
        """The error for what is wrapped otherwise than this says; names the row."""
        named = f"version {self.version} of key {self.key_id!r}"
        return StoreIntegrityError(
            f"{named if self.key_id else 'the authority key'} does not unwrap: its row was"
            " changed, or comes from another store or master key"
        )


@dataclass(frozen=True, slots=True)
class CustodianStatus:
    """What a custodian says of itself, for an operator.

    ``place`` is where it is: a path, or an address. ``kek_ids`` are its master keys, oldest first;
    ``guard`` is what keeps others from them: ``none``, ``passphrase``, ``remote``; of a passphrase
    ``iterations`` are those of its key derivation. ``warnings`` are sentences about what is not as
    it should be on the other side: a permission too many, rotation that is off, a deletion that is
    pending. Each says what to do, and holds no text of a server's or of an SDK's. ``wraps_with`` is
    the algorithm by which its master keys wrap: AES-256-GCM, AES-256-KWP or AES-256-KW.
    """

    place: str
    kek_ids: tuple[str, ...]
    guard: str
    iterations: int | None = None
    warnings: tuple[str, ...] = ()
    wraps_with: str = "AES-256-GCM"


class Custodian(OfOneProcess, ABC):
    """Holder of a store's master keys, each with an id. A master key never enters the key store.

    All methods may be called from any thread, and may wait. They raise
    :class:`CustodianUnavailableError` for an outage, :class:`CustodianDeniedError` for a refusal,
    and :class:`MasterKeyError` where a master key of the custodian's own is absent or damaged.
    """

    scheme: ClassVar[str]
    """What begins the id of each of its master keys: ``local``."""

    is_one_key_everywhere: ClassVar[bool] = False
    """Whether an id names the same master key wherever it is asked for, as that of a key of AWS KMS
    does, which has replicas in other regions. Of other kinds two may have keys of one id."""

    takes_many: ClassVar[bool] = False
    """Whether many items are one request there, and cost little more than one of them."""

    @abstractmethod
    def newest_id(self) -> str:
        """The id of the master key that wraps what is new."""

    @abstractmethod
    def holds(self, kek_id: str) -> bool:
        """Whether that is one of its master keys, by its own configuration.

        It is asked about ids that stand in rows of the store, which anybody may have written, and
        asks nobody else.
        """

    def check(self, kek_id: str) -> None:
        """Raise :class:`MasterKeyError` unless it holds that master key."""
        if not self.holds(kek_id):
            raise MasterKeyError(
                "the master key of the store is not one that is configured here: MFN_KEY_PROVIDER"
                " and MFN_FORMER_KEY_PROVIDERS say whose are"
            )

    @property
    def parts(self) -> tuple[Custodian, ...]:
        """The custodians that it is made of, the one that wraps what is new first: itself."""
        return (self,)

    @abstractmethod
    def wrap_many(self, kek_id: str, items: Sequence[tuple[Octets, Binding]]) -> list[bytes]:
        """Each material encrypted under that master key and bound to its binding, in order."""

    @abstractmethod
    def unwrap_many(self, kek_id: str, items: Sequence[tuple[bytes, Binding]]) -> Sequence[Octets]:
        """The materials that :meth:`wrap_many` was given.

        Raises :class:`StoreIntegrityError` where one is not its wrapping of that binding.
        """

    def rewrap_many(
        self, from_id: str, to_id: str, items: Sequence[tuple[bytes, Binding]]
    ) -> list[bytes]:
        """The same materials under another of its master keys; on the other side where it can."""
        bindings = [binding for _, binding in items]
        materials = self.unwrap_many(from_id, items)
        return self.wrap_many(to_id, list(zip(materials, bindings, strict=True)))

    @abstractmethod
    def ping(self) -> None:
        """See that it answers: one call at most."""

    @abstractmethod
    def inspect(self) -> CustodianStatus:
        """What an operator should know of it: as many calls as it takes."""

    def managing(self) -> ManagesMasterKeys | None:
        """What makes and forgets its master keys, where this application does so."""
        return self if isinstance(self, ManagesMasterKeys) else None

    def statistics(self) -> CustodianStatistics | None:
        """What this process has asked of another machine, where it asks one."""
        return None

    def close(self) -> None:
        """Let go of what it holds."""


class SigningKeyReference(NamedTuple):
    """A signing key that stays where it was made: its name there, and its public key.

    ``reference`` is text of the custodian's own, at most :data:`REFERENCE_CHARACTERS` of ASCII,
    which holds no secret; ``public_key`` is a SubjectPublicKeyInfo, DER (RFC 5280 section 4.1.2.7).
    """

    reference: str
    public_key: bytes


def signing_key_name(binding: Binding) -> str:
    """What the key for that version is called on the other side: ``mfn-signing-…``, 37 characters.

    The store's first 4 bytes and the handle, in hex. A handle is random: no two versions, not even
    two that race for one number, have one name. A key whose record was never written is found by
    it, since no version has its handle.
    """
    return signing_key_prefix(binding.store_id) + binding.handle.hex()


def signing_key_prefix(store_id: bytes) -> str:
    """How the names of all signing keys of a store begin: ``mfn-signing-5f3a90c1-``."""
    return f"mfn-signing-{store_id[:4].hex()}-"


@runtime_checkable
class SigningCustodian(Protocol):
    """A custodian that makes signing keys which never leave it: one for each version of a key.

    Methods wait, and raise, as those of :class:`Custodian` do. A reference comes from a record
    whose MAC was verified, and is held against the custodian's own configuration all the same. A
    key that is gone, or is not to be used, is a :class:`CustodianDeniedError`.
    """

    @property
    def signing_algorithms(self) -> frozenset[str]:
        """Of ``Ed25519``, ``ECDSA-P256``, ``ECDSA-P384``: what it makes keys for."""

    def create_signing_key(self, algorithm: str, binding: Binding) -> SigningKeyReference:
        """Make a key, named :func:`signing_key_name`, that signs and does nothing else.

        It is asked once: an answer that is lost leaves a key that no record names.
        """

    def sign(self, reference: str, algorithm: str, message: bytes) -> bytes:
        """The signature: of ECDSA, hashed here, DER as in :mod:`..signatures`; of Ed25519 64 bytes.

        Ed25519 takes messages of at most 4,096 bytes, which the caller sees to.
        It may be asked again where an answer was lost.
        """

    def signing_public_key(self, reference: str) -> bytes:
        """Its SubjectPublicKeyInfo, as the other side has it now."""

    def destroy_signing_key(self, reference: str) -> None:
        """Destroy it, at once or as soon as the other side does; it is no error if it is gone."""

    def list_signing_keys(
        self, store_id: bytes, known: Collection[str], *, thorough: bool
    ) -> frozenset[str] | None:
        """The references of ``known`` keys that are there, and of all others named for that store.

        Keys whose destruction is under way are left out. None where that takes a request for each
        key on the other side, and it is not to be ``thorough``. To list is a permission of its own.
        """


@runtime_checkable
class SignsTogether(Protocol):
    """A :class:`SigningCustodian` of which many signatures by one key are one request."""

    def sign_many(self, reference: str, algorithm: str, messages: Sequence[bytes]) -> list[bytes]:
        """What ``sign`` gives of each message, in order."""


@runtime_checkable
class ManagesMasterKeys(Protocol):
    """A custodian whose master keys this application makes and forgets itself."""

    def add(self) -> str:
        """Make a further master key, durably, and return its id."""

    def forget_all_but(self, kek_id: str) -> None:
        """Forget, for ever, every other master key."""
