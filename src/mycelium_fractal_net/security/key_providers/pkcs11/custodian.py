"""A store's custodian on an HSM: what the package's other files do, put together."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar, Final

from mycelium_fractal_net.security.errors import CustodianDeniedError, MasterKeyError
from mycelium_fractal_net.security.key_providers.custodian import (
    Binding,
    Custodian,
    CustodianStatus,
    SigningKeyReference,
)
from mycelium_fractal_net.security.key_providers.pkcs11 import signing
from mycelium_fractal_net.security.key_providers.pkcs11.inspection import warnings_of
from mycelium_fractal_net.security.key_providers.pkcs11.library import library_at
from mycelium_fractal_net.security.key_providers.pkcs11.master_keys import (
    SCHEME,
    KeyOnToken,
    MasterKeys,
)
from mycelium_fractal_net.security.key_providers.pkcs11.recovery import CarefulToken
from mycelium_fractal_net.security.key_providers.pkcs11.token import Token
from mycelium_fractal_net.security.key_providers.pkcs11.wrapping import (
    ALGORITHMS,
    KEY_WRAPS,
    mechanism_for,
    mechanism_of,
    unwrapped,
    wrapped,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from mycelium_fractal_net.security.byte_io.buffers import Octets
    from mycelium_fractal_net.security.byte_io.secret_bytes import SecretBytes
    from mycelium_fractal_net.security.key_providers.pkcs11.pin import PinSource
    from mycelium_fractal_net.security.key_providers.pkcs11.session import Session
    from mycelium_fractal_net.security.key_providers.pkcs11.uri import Pkcs11Uri

_KNOWN: Final = b"mycelium-fractal-net/pkcs11/known-answer/v1"


class PKCS11Custodian(Custodian):
    """The keys of one label on one token. Making it loads the library and asks nothing."""

    scheme: ClassVar[str] = SCHEME

    def __init__(self, uri: Pkcs11Uri, pin: PinSource) -> None:
        self._uri = uri
        self._keys = MasterKeys(uri)
        self._token = Token(library_at(uri.module_path), uri, pin)
        self._careful = CarefulToken(self._token, self._works)
        self._known: tuple[int | None, dict[str, KeyOnToken]] = (None, {})
        self._newest: str | None = None
        self._mechanisms: frozenset[int] | None = None

    def __repr__(self) -> str:
        return f"PKCS11Custodian({self._uri.path()})"

    def open(self, *, refuse_wide: bool = False) -> None:
        """Log in, and find the keys. Raises as every call does.

        With ``refuse_wide`` a key that may leave the token is a :class:`MasterKeyError`.
        """
        self._careful.ask(self._found)
        if refuse_wide:
            self._careful.ask(self._refuse_wide)

    def has_key(self) -> bool:
        """Whether there is a master key on the token."""
        return bool(self._careful.ask(self._keys.on))

    # The custodian ------------------------------------------------------------------------

    def newest_id(self) -> str:
        """See :class:`Custodian`; of the keys that were seen last."""
        if self._newest is None:
            self.open()
        return str(self._newest)

    def holds(self, kek_id: str) -> bool:
        """See :class:`Custodian`: whether it is an id of the URI's label."""
        return self._keys.may_be(kek_id)

    def wrap_many(self, kek_id: str, items: Sequence[tuple[Octets, Binding]]) -> list[bytes]:
        """See :class:`Custodian`."""

        def wrap(session: Session) -> list[bytes]:
            key = self._key(session, kek_id)
            return [_wrapped(session, key, material, bound.encode()) for material, bound in items]

        return self._careful.ask(wrap)

    def unwrap_many(self, kek_id: str, items: Sequence[tuple[bytes, Binding]]) -> Sequence[Octets]:
        """See :class:`Custodian`."""

        def unwrap(session: Session) -> list[SecretBytes]:
            key = self._key(session, kek_id)
            return [self._unwrapped(session, key, form, bound.encode()) for form, bound in items]

        return self._careful.ask(unwrap)

    def ping(self) -> None:
        """See :class:`Custodian`: something is wrapped under the newest key, and unwrapped."""
        self._careful.ask(self._works)

    def inspect(self) -> CustodianStatus:
        """See :class:`Custodian`."""

        def look(session: Session) -> CustodianStatus:
            found = self._found(session)
            by = list(found.values())[-1].mechanism
            named = f", wraps by {KEY_WRAPS[by]}" if by in KEY_WRAPS else ""
            shown = session.facts().shown + named
            return CustodianStatus(
                place=f"{self._uri.path()} ({shown})",
                kek_ids=tuple(found),
                guard="remote",
                warnings=warnings_of(session, self._keys),
                wraps_with=ALGORITHMS[by],
            )

        return self._careful.ask(look)

    def close(self) -> None:
        """Close its sessions, and so log out."""
        self._token.forget()

    def managing(self) -> PKCS11Custodian | None:
        """Itself; nobody where the URI names one key by its id."""
        return self if self._uri.key_id is None else None

    # ManagesMasterKeys --------------------------------------------------------------------

    def make_first(self) -> None:
        """Make a master key where the label has none yet."""
        self._careful.ask(
            lambda session: self._keys.on(session) or self._made(session), writing=True
        )

    def add(self) -> str:
        """Make a further master key on the token."""

        def make(session: Session) -> str:
            made = self._made(session)
            self._found(session)
            return made.kek_id

        return self._careful.ask(make, writing=True)

    def forget_all_but(self, kek_id: str) -> None:
        """Destroy every other key of the label, for ever."""

        def forget(session: Session) -> None:
            kept = self._key(session, kek_id)
            for key in self._found(session).values():
                if key.handle != kept.handle:
                    session.destroy(key.handle)
            self._found(session)

        self._careful.ask(forget, writing=True)

    # SigningCustodian ---------------------------------------------------------------------

    @property
    def signing_algorithms(self) -> frozenset[str]:
        """See :class:`SigningCustodian`: what the token lists; it was asked when it was opened."""
        if self._mechanisms is None:
            self.open()
        return signing.signing_algorithms(self._mechanisms or frozenset())

    def create_signing_key(self, algorithm: str, binding: Binding) -> SigningKeyReference:
        """See :class:`SigningCustodian`."""
        if algorithm not in self.signing_algorithms:
            raise CustodianDeniedError(f"the token makes no keys for {algorithm}")
        return self._careful.ask(
            lambda session: signing.create(session, algorithm, binding), writing=True
        )

    def sign(self, reference: str, algorithm: str, message: bytes) -> bytes:
        """See :class:`SigningCustodian`."""
        return self._of_key(lambda session: signing.sign(session, reference, algorithm, message))

    def signing_public_key(self, reference: str) -> bytes:
        """See :class:`SigningCustodian`."""
        return self._of_key(lambda session: signing.public_key(session, reference))

    def destroy_signing_key(self, reference: str) -> None:
        """See :class:`SigningCustodian`; for ever, and at once."""
        if not self._careful.ask(lambda session: signing.destroy(session, reference), writing=True):
            self._careful.see_that_it_works()  # a token that was taken out has no keys either

    def list_signing_keys(
        self,
        store_id: bytes,
        known: Collection[str],
        *,
        thorough: bool,  # noqa: ARG002 - they are all on the token
    ) -> frozenset[str]:
        """See :class:`SigningCustodian`."""
        return self._careful.ask(lambda session: signing.references(session, store_id, known))

    def _of_key(self, act: Callable[[Session], bytes]) -> bytes:
        try:
            return self._careful.ask(act)
        except CustodianDeniedError:
            self._careful.see_that_it_works()  # as above: else this is an outage
            raise

    # Beneath ------------------------------------------------------------------------------

    def _works(self, session: Session) -> None:
        """A wrapping that is known beforehand to unwrap, and to what, under the newest key."""
        key = list(self._found(session).values())[-1]
        form = _wrapped(session, key, _KNOWN, _KNOWN)
        if self._unwrapped(session, key, form, _KNOWN) != _KNOWN:
            raise CustodianDeniedError("the token does not decrypt to what it encrypted")

    def _refuse_wide(self, session: Session) -> None:
        key = list(self._found(session).values())[-1]
        for why in self._keys.too_wide(session, key):
            raise MasterKeyError(f"the master key on the token {why}: have one made that stays")

    def _key(self, session: Session, kek_id: str) -> KeyOnToken:
        """The key of that id, looked for where it is not known in this generation."""
        generation, known = self._known
        if generation != self._token.generation or kek_id not in known:
            known = self._found(session)
        if kek_id not in known:
            raise MasterKeyError("the token does not hold the master key that the store needs")
        return known[kek_id]

    def _found(self, session: Session) -> dict[str, KeyOnToken]:
        """All keys of the label, oldest first; remembered."""
        mechanisms = self._mechanisms_of(session)
        keys = self._keys.on(session)
        if not keys:
            mechanism_of(mechanisms)
            raise MasterKeyError(self._keys.absent())
        for key in keys:
            self._keys.check(session, key)
        keys = [
            replace(key, mechanism=mechanism_for(session, key.handle, mechanisms)) for key in keys
        ]
        known = {key.kek_id: key for key in keys}
        self._known = (self._token.generation, known)
        self._newest = keys[-1].kek_id
        return known

    def _made(self, session: Session) -> KeyOnToken:
        return self._keys.make(session, mechanism_of(self._mechanisms_of(session)))

    def _mechanisms_of(self, session: Session) -> frozenset[int]:
        if self._mechanisms is None:
            self._mechanisms = session.mechanisms()
        return self._mechanisms

    def _unwrapped(
        self, session: Session, key: KeyOnToken, form: bytes, bound: bytes
    ) -> SecretBytes:
        return unwrapped(session, key.handle, self._mechanisms_of(session), form, bound)


def _wrapped(session: Session, key: KeyOnToken, material: Octets, bound: bytes) -> bytes:
    return wrapped(session, key.handle, key.mechanism, material, bound)
