"""A token, as threads use it: a session for each, one login for all.

A session is borrowed by one thread and given back; after an error it is closed, since nobody knows
what is left under way in it. A further one, the anchor, stays open: a login lasts as long as a
session does. All that is remembered belongs to one generation of the library.
"""

from __future__ import annotations

import contextlib
import threading
from ctypes import byref
from typing import TYPE_CHECKING, Final, NamedTuple

from mycelium_fractal_net.security.errors import (
    CustodianDeniedError,
    CustodianUnavailableError,
    MasterKeyError,
)
from mycelium_fractal_net.security.key_providers.pkcs11 import codes, cryptoki
from mycelium_fractal_net.security.key_providers.pkcs11.codes import TokenError
from mycelium_fractal_net.security.key_providers.pkcs11.cryptoki import CK_ULONG
from mycelium_fractal_net.security.key_providers.pkcs11.session import Session
from mycelium_fractal_net.security.key_providers.pkcs11.token_facts import facts_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mycelium_fractal_net.security.key_providers.pkcs11.library import Library
    from mycelium_fractal_net.security.key_providers.pkcs11.pin import PinSource
    from mycelium_fractal_net.security.key_providers.pkcs11.token_facts import TokenFacts
    from mycelium_fractal_net.security.key_providers.pkcs11.uri import Pkcs11Uri

NOT_SEEN: Final = "C_GetSlotList"
SESSIONS: Final = 16  # at once, beside the anchor; as many as RemoteCustodian has threads
_WAIT_SECONDS: Final = 5.0  # for one of them

# PINs that a token refused, by library and serial number: what names the PIN, never itself. A
# token locks after a few wrong ones, so none is tried a second time by this process.
_refused: Final[dict[tuple[str, str], tuple[object, ...]]] = {}


class _Opened(NamedTuple):
    """Where the token is in one generation of the library, and the session that keeps the login."""

    generation: int
    slot: int
    serial: str
    anchor: int


class Token:
    """The token that a URI names."""

    def __init__(self, library: Library, uri: Pkcs11Uri, pin: PinSource) -> None:
        self.library = library
        self._uri = uri
        self._pin = pin
        self._lock = threading.Lock()
        self._places = threading.BoundedSemaphore(SESSIONS)
        self._opened: _Opened | None = None
        self._idle: list[int] = []

    def __repr__(self) -> str:
        return f"Token({self._uri.path()})"

    @contextlib.contextmanager
    def session(self, *, writing: bool = False) -> Iterator[Session]:
        """A session that is logged in, of this thread alone within the block.

        One for ``writing`` makes and destroys keys, and is not kept.

        Raises what the block does, :class:`TokenError`, and of our own what :meth:`_login` does.
        """
        if not self._places.acquire(timeout=_WAIT_SECONDS):
            raise CustodianUnavailableError(
                "all sessions of the HSM are in use and none comes back"
            )
        try:
            with self.library.using() as generation:
                opened = self._ready(generation)
                handle = (
                    self._open(opened.slot, writing=True) if writing else self._borrowed(opened)
                )
                kept = False
                try:
                    yield Session(self.library, opened.slot, handle)
                    kept = not writing and self._give_back(opened, handle)
                finally:
                    if not kept:
                        self._close(handle)
        finally:
            self._places.release()

    @property
    def generation(self) -> int | None:
        """That of the library when it was opened; what was found since belongs to it."""
        opened = self._opened
        return None if opened is None else opened.generation

    def forget(self) -> None:
        """Close its sessions, and so log out unless somebody else has any."""
        with self._lock:
            opened, self._opened = self._opened, None
            idle, self._idle = self._idle, []
        if opened is None:
            return
        with self.library.using() as generation:
            if generation == opened.generation:
                for handle in (*idle, opened.anchor):
                    self._close(handle)

    # What it is ---------------------------------------------------------------------------

    def facts(self) -> TokenFacts:
        """What the token says of itself, looked for anew; nobody is logged in for it."""
        with self.library.using():
            return self._found()

    def _found(self) -> TokenFacts:
        fitting = [facts for facts in self._all() if self._fits(facts)]
        if not fitting:
            raise TokenError(NOT_SEEN, codes.TOKEN_NOT_PRESENT)
        if len(fitting) > 1:
            raise MasterKeyError(
                "several tokens fit MFN_PKCS11_URI: name one by its serial, as in"
                f" serial={fitting[0].serial}"
            )
        return fitting[0]

    def _all(self) -> Iterator[TokenFacts]:
        count = CK_ULONG()
        self.library.call("C_GetSlotList", 1, None, byref(count))
        slots = (CK_ULONG * count.value)()
        self.library.call("C_GetSlotList", 1, slots, byref(count))
        for slot in slots[: count.value]:
            with contextlib.suppress(TokenError):  # it went meanwhile
                yield facts_of(self.library, slot)

    def _fits(self, facts: TokenFacts) -> bool:
        uri = self._uri
        wanted = (
            (uri.token, facts.label),
            (uri.manufacturer, facts.manufacturer),
            (uri.model, facts.model),
            (uri.serial, facts.serial),
            (uri.slot_id, facts.slot),
        )
        return facts.is_ready and all(asked in (None, there) for asked, there in wanted)

    # Sessions and login -------------------------------------------------------------------

    def _ready(self, generation: int) -> _Opened:
        """The token opened and logged in, once for all threads."""
        with self._lock:
            if self._opened is None or self._opened.generation != generation:
                self._opened, self._idle = None, []
                facts = self._found()
                anchor = self._open(facts.slot)
                try:
                    self._login(facts, anchor)
                except BaseException:
                    self._close(anchor)
                    raise
                self._opened = _Opened(generation, facts.slot, facts.serial, anchor)
            return self._opened

    def _login(self, facts: TokenFacts, session: int) -> None:
        """Log in, with a PIN that this token has not refused before.

        Raises :class:`CustodianDeniedError`; and what :meth:`.pin.PinSource.read` does.
        """
        pin = self._pin.read()
        token = (self.library.path, facts.serial)
        if _refused.get(token) == pin.identity:
            raise CustodianDeniedError(
                "the token refused this PIN, and it is not tried again, since tokens lock: put the"
                " right one where it is read"
            )
        if facts.flags & cryptoki.CKF_USER_PIN_LOCKED:
            raise TokenError("C_Login", codes.PIN_LOCKED)
        if facts.flags & cryptoki.CKF_USER_PIN_FINAL_TRY:
            raise CustodianDeniedError(
                "the token takes one more PIN before it locks: log in to it once by hand"
            )
        try:
            self.library.call("C_Login", session, cryptoki.CKU_USER, pin.pin, len(pin.pin))
        except TokenError as error:
            if error.code == codes.USER_ALREADY_LOGGED_IN:
                return
            if error.is_refusal:
                _refused[token] = pin.identity
            raise
        _refused.pop(token, None)

    def _borrowed(self, opened: _Opened) -> int:
        with self._lock:
            if self._idle and self._opened == opened:
                return self._idle.pop()
        return self._open(opened.slot)

    def _give_back(self, opened: _Opened, handle: int) -> bool:
        with self._lock:
            if self._opened != opened:
                return False
            self._idle.append(handle)
            return True

    def _open(self, slot: int, *, writing: bool = False) -> int:
        flags = cryptoki.CKF_SERIAL_SESSION | (cryptoki.CKF_RW_SESSION if writing else 0)
        handle = CK_ULONG()
        self.library.call("C_OpenSession", slot, flags, None, None, byref(handle))
        return handle.value

    def _close(self, handle: int) -> None:
        self.library.code_of("C_CloseSession", handle)
