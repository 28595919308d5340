"""What is not as it should be on a token: what an operator is told, and what to do."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from mycelium_fractal_net.security.key_providers.pkcs11 import cryptoki

if TYPE_CHECKING:
    from mycelium_fractal_net.security.key_providers.pkcs11.master_keys import MasterKeys
    from mycelium_fractal_net.security.key_providers.pkcs11.session import Session
    from mycelium_fractal_net.security.key_providers.pkcs11.token_facts import TokenFacts


def warnings_of(session: Session, keys: MasterKeys) -> tuple[str, ...]:
    """Sentences; none where all is well."""
    return *_of_pin(session.facts()), *_of_keys(session, keys)


def _of_pin(facts: TokenFacts) -> Iterator[str]:
    """Its flags are those of before this program logged in (PKCS #11 v2.40 section 3.2)."""
    if facts.flags & cryptoki.CKF_USER_PIN_LOCKED:
        yield "the token's PIN is locked: its security officer sets a new one"
    elif facts.flags & cryptoki.CKF_USER_PIN_FINAL_TRY:
        yield "one more wrong PIN locks the token: find out who gives it wrong ones"
    elif facts.flags & cryptoki.CKF_USER_PIN_COUNT_LOW:
        yield "the token was given a wrong PIN since the last right one: find out by whom"


def _of_keys(session: Session, keys: MasterKeys) -> Iterator[str]:
    found = keys.on(session)
    for key in found:
        for why in (*keys.too_wide(session, key), *keys.wide(session, key)):
            yield (
                f"the master key {key.kek_id} {why}: mfn master rotate moves the store to one that"
                " is made as it should be"
            )
    if len(found) > 1:
        yield (
            f"the token has {len(found)} keys of the master keys' label: mfn master rotate moves"
            " the store to the newest, and destroys the others"
        )
    if keys.without_id(session):
        yield "a key of the master keys' label has no CKA_ID, and is not used: give it one"
