"""Master keys on an HSM, reached through its PKCS #11 library.

Settings: ``MFN_PKCS11_URI`` (RFC 7512), such as
``pkcs11:token=mfn;object=orders-store?module-path=/usr/lib/softhsm/libsofthsm2.so&pin-source=/run/secrets/pin``;
see :mod:`.uri` and :mod:`.pin`. What the token needs: AES-GCM (``CKM_AES_GCM``) with a nonce and a
tag that the caller chooses, and a user PIN. What leaves this machine's memory for the token, and
comes back from it: the keys of a store, in the clear over the library's way to the token, wrapped
as ``nonce(12) || ciphertext || tag(16)``. Master keys never leave it.

Errors: :class:`CustodianUnavailableError` where the token is gone or does not answer,
:class:`CustodianDeniedError` where it refuses (PIN, attributes, mechanisms),
:class:`MasterKeyError` where a key is not on it, :class:`StoreIntegrityError` for a wrapping that
was edited, or is of another key. Calls cannot be interrupted: it is put behind
:class:`..remote.RemoteCustodian`, which leaves a thread that does not come back to itself, and has
few of them.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, ClassVar, Final, TypeVar

from mycelium_fractal_net.security.errors import (
    CustodianDeniedError,
    CustodianUnavailableError,
    MasterKeyError,
    StoreIntegrityError,
)
from mycelium_fractal_net.security.key_providers.custodian import (
    Binding,
    Custodian,
    CustodianStatus,
)
from mycelium_fractal_net.security.key_providers.pkcs11.codes import TokenError
from mycelium_fractal_net.security.key_providers.pkcs11.library import library_at
from mycelium_fractal_net.security.key_providers.pkcs11.master_keys import (
    SCHEME,
    KeyOnToken,
    MasterKeys,
)
from mycelium_fractal_net.security.key_providers.pkcs11.session import (
    GCM_NONCE_BYTES,
    GCM_TAG_BYTES,
)
from mycelium_fractal_net.security.key_providers.pkcs11.token import NOT_SEEN, Token

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mycelium_fractal_net.security.key_providers.pkcs11.pin import PinSource
    from mycelium_fractal_net.security.key_providers.pkcs11.session import Session
    from mycelium_fractal_net.security.key_providers.pkcs11.uri import Pkcs11Uri

_T = TypeVar("_T")
_OVERHEAD_BYTES: Final = GCM_NONCE_BYTES + GCM_TAG_BYTES
_KNOWN: Final = b"mycelium-fractal-net/pkcs11/known-answer/v1"


class PKCS11Custodian(Custodian):
    """The keys of one label on one token. Opening it asks the token nothing."""

    scheme: ClassVar[str] = SCHEME

    def __init__(self, uri: Pkcs11Uri, pin: PinSource) -> None:
        self._uri = uri
        self._keys = MasterKeys(uri)
        self._token = Token(library_at(uri.module_path), uri, pin)
        self._known: tuple[int | None, dict[str, KeyOnToken]] = (None, {})
        self._newest: str | None = None

    def __repr__(self) -> str:
        return f"PKCS11Custodian({self._uri.path()})"

    def open(self) -> None:
        """Log in, and find the keys. Raises as every call does."""
        self._on_token(self._found)

    # The custodian ------------------------------------------------------------------------

    def newest_id(self) -> str:
        """See :class:`Custodian`; of the keys that were seen last."""
        if self._newest is None:
            self.open()
        return str(self._newest)

    def holds(self, kek_id: str) -> bool:
        """See :class:`Custodian`: whether it is an id of the URI's label."""
        return self._keys.may_be(kek_id)

    def wrap_many(self, kek_id: str, items: Sequence[tuple[bytes, Binding]]) -> list[bytes]:
        """See :class:`Custodian`."""

        def wrap(session: Session) -> list[bytes]:
            key = self._key(session, kek_id)
            return [_wrapped(session, key, material, bound.encode()) for material, bound in items]

        return self._on_token(wrap)

    def unwrap_many(self, kek_id: str, items: Sequence[tuple[bytes, Binding]]) -> list[bytes]:
        """See :class:`Custodian`."""

        def unwrap(session: Session) -> list[bytes]:
            key = self._key(session, kek_id)
            return [_unwrapped(session, key, wrapped, bound.encode()) for wrapped, bound in items]

        return self._on_token(unwrap, of_row=True)

    def ping(self) -> None:
        """See :class:`Custodian`: something is wrapped under the newest key, and unwrapped."""
        self._on_token(self._works)

    def inspect(self) -> CustodianStatus:
        """See :class:`Custodian`."""
        ids = tuple(self._on_token(self._found))
        return CustodianStatus(self._uri.path(), ids, "remote")

    def close(self) -> None:
        """Close its sessions, and so log out."""
        self._token.forget()

    def managing(self) -> PKCS11Custodian | None:
        """Itself; nobody where the URI names one key by its id."""
        return self if self._uri.key_id is None else None

    # ManagesMasterKeys --------------------------------------------------------------------

    def add(self) -> str:
        """Make a further master key on the token. Not tried again: it may have been made."""

        def make(session: Session) -> str:
            made = self._keys.make(session)
            self._found(session)
            return made.kek_id

        return self._on_token(make, writing=True)

    def make_first(self) -> None:
        """Make a master key where the label has none yet."""
        self._on_token(
            lambda session: self._keys.on(session) or self._keys.make(session), writing=True
        )

    def forget_all_but(self, kek_id: str) -> None:
        """Destroy every other key of the label, for ever."""

        def forget(session: Session) -> None:
            kept = self._key(session, kek_id)
            for key in self._found(session).values():
                if key.handle != kept.handle:
                    session.destroy(key.handle)
            self._found(session)

        self._on_token(forget, writing=True)

    # Beneath ------------------------------------------------------------------------------

    def _on_token(
        self, act: Callable[[Session], _T], *, writing: bool = False, of_row: bool = False
    ) -> _T:
        """Do that in a session. What the library's numbers say becomes an error of ours.

        Where the library does not see the token, it begins anew and looks again: some learn of a
        token at their start alone. An error that says several things is looked into: where the
        token is there and does what is known of it, a row ``of_row`` that does not decrypt once
        more was edited; of everything else it is not known.
        """
        generation = self._token.library.generation
        try:
            return self._once(act, writing=writing)
        except TokenError as error:
            first = error
        if first.is_refusal or first.is_of_data:
            raise first.error()
        if first.function == NOT_SEEN:
            self._token.library.begin_anew(generation)
        else:
            self._see_that_it_works()
            if not of_row or first.function != "C_Decrypt":
                raise first.error()
        try:
            return self._once(act, writing=writing)
        except TokenError as error:
            again = error
        if again.is_refusal or again.is_of_data or again.function != "C_Decrypt":
            raise again.error()
        self._see_that_it_works()
        raise StoreIntegrityError("what the token was given does not decrypt")

    def _once(self, act: Callable[[Session], _T], *, writing: bool = False) -> _T:
        with self._token.session(writing=writing) as session:
            return act(session)

    def _see_that_it_works(self) -> None:
        """Raise what is so where the token is not there, or does not do what is known of it.

        The library begins anew then, for who asks next.
        """
        generation = self._token.library.generation
        self._known = (None, {})
        try:
            self._token.facts()
            self._once(self._works)
        except TokenError as error:
            if not error.is_refusal:
                self._token.library.begin_anew(generation)
            raise error.error() from None

    def _works(self, session: Session) -> None:
        """A wrapping that is known beforehand to unwrap, and to what."""
        key = self._key(session, list(self._found(session))[-1])
        wrapped = _wrapped(session, key, _KNOWN, _KNOWN)
        if _unwrapped(session, key, wrapped, _KNOWN) != _KNOWN:
            raise CustodianDeniedError("the token does not decrypt to what it encrypted")

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
        keys = self._keys.on(session)
        if not keys:
            raise MasterKeyError("the token has no key as MFN_PKCS11_URI names it")
        for key in keys:
            self._keys.check(session, key)
        known = {key.kek_id: key for key in keys}
        self._known = (self._token.generation, known)
        self._newest = keys[-1].kek_id
        return known


def _wrapped(session: Session, key: KeyOnToken, material: bytes, bound: bytes) -> bytes:
    nonce = secrets.token_bytes(GCM_NONCE_BYTES)
    sealed = session.encrypt(key.handle, nonce, material, bound)
    if len(sealed) != len(material) + GCM_TAG_BYTES:
        raise CustodianDeniedError("the token does not encrypt with a tag of 16 bytes")
    return nonce + sealed


def _unwrapped(session: Session, key: KeyOnToken, wrapped: bytes, bound: bytes) -> bytes:
    """Raises :class:`StoreIntegrityError` for a wrapping of another size than is made here."""
    size = len(wrapped) - _OVERHEAD_BYTES
    if size <= 0:
        raise StoreIntegrityError("what the token was to be given is too short")
    nonce, sealed = wrapped[:GCM_NONCE_BYTES], wrapped[GCM_NONCE_BYTES:]
    material = session.decrypt(key.handle, nonce, sealed, bound)
    if len(material) != size:
        raise CustodianUnavailableError("the token answers what cannot be used")
    return material
