"""What to believe when a token answers with an error that says several things.

SoftHSM says ``CKR_GENERAL_ERROR`` to a tag that is wrong, and to a token that is gone. So the token
is asked what it is (C_GetTokenInfo), then for a wrapping whose result is known beforehand. Where
both go well the error was about what was asked; where not, the library is finalised and
initialised anew, which is how some learn that a token is back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from mycelium_fractal_net.security.errors import StoreIntegrityError
from mycelium_fractal_net.security.key_providers.pkcs11.codes import TokenError
from mycelium_fractal_net.security.key_providers.pkcs11.token import NOT_SEEN

if TYPE_CHECKING:
    from collections.abc import Callable

    from mycelium_fractal_net.security.key_providers.pkcs11.session import Session
    from mycelium_fractal_net.security.key_providers.pkcs11.token import Token

_T = TypeVar("_T")
_DECRYPTS = ("C_Decrypt", "C_UnwrapKey")


class CarefulToken:
    """Asks a token, and raises errors of ours alone; ``known_answer`` raises unless it works."""

    def __init__(self, token: Token, known_answer: Callable[[Session], None]) -> None:
        self.token = token
        self._known_answer = known_answer

    def ask(self, act: Callable[[Session], _T], *, writing: bool = False) -> _T:
        """What ``act`` returns of a session that is logged in.

        It is called twice where the library did not see the token, so that nothing was asked; and
        where it decrypts: what does not, before and after a wrapping that does, was edited.
        """
        generation = self.token.library.generation
        try:
            return self._once(act, writing=writing)
        except TokenError as error:
            first = error
        if first.is_clear:
            raise first.error()
        if first.function == NOT_SEEN:
            self.token.library.begin_anew(generation)
        else:
            self.see_that_it_works()
            if first.function not in _DECRYPTS:
                raise first.error()
        try:
            return self._once(act, writing=writing)
        except TokenError as error:
            again = error
        if again.is_clear or again.function not in _DECRYPTS:
            raise again.error()
        self.see_that_it_works()
        raise StoreIntegrityError("what the token was given does not decrypt")

    def _once(self, act: Callable[[Session], _T], *, writing: bool = False) -> _T:
        with self.token.session(writing=writing) as session:
            return act(session)

    def see_that_it_works(self) -> None:
        """Raise :class:`CustodianUnavailableError` where the token is gone, whatever it said."""
        generation = self.token.library.generation
        try:
            self.token.facts()
            self._once(self._known_answer)
        except TokenError as error:
            if not error.is_clear:
                self.token.library.begin_anew(generation)
            raise error.error() from None
