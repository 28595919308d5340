"""API keys that are refused, each for another reason."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial
from typing import Any, Final

from campaigns.timing.group import Group, Pair, across, among, controls_of
from campaigns.timing.place import Place, one_of
from mycelium_fractal_net.security.directories.credentials import CredentialDirectory
from mycelium_fractal_net.security.errors import AuthenticationError
from mycelium_fractal_net.security.records.api_keys import generate

_OF_EACH: Final = 6  # credentials of each kind: few enough to stay in the fastest memory
_SOON: Final = timedelta(seconds=1)
_SECRET_FROM: Final = 21  # mfn_, the id, _
UNKNOWN, WRONG, REVOKED, EXPIRED = "unknown", "wrong", "revoked", "expired"
REVOKED_WRONG, EXPIRED_WRONG = "revoked and wrong", "expired and wrong"
FORMER, BOUND, MALFORMED = "former, ended", "bound, not signed", "malformed"
KNOWN: Final = (WRONG, REVOKED, EXPIRED, BOUND, FORMER, REVOKED_WRONG, EXPIRED_WRONG)


def api_keys(
    place: Place, controls: Sequence[str]
) -> tuple[dict[str, Callable[[], bytes]], dict[str, Callable[[], bytes]]]:
    """What makes an API key of each kind, and of each control, which are :data:`WRONG` ones.

    The store then has credentials for them, as many for each.
    """
    credentials, scopes = place.keyring.provider.credentials, ("encrypt:*",)

    def made(**more: Any) -> list[bytes]:
        return [credentials.create("one", scopes, **more)[1].text.encode() for _ in range(_OF_EACH)]

    good, former, bound = made(), made(), made(bound=True)
    revoked, revoked_wrong = made(), made()
    of_controls = {name: made() for name in controls}
    ends = credentials.clock() + _SOON
    expired, expired_wrong = made(expires_at=ends), made(expires_at=ends)
    for each in (*revoked, *revoked_wrong):
        credentials.revoke(_id(each))
    for each in former:
        credentials.rotate(_id(each), overlap=timedelta(), revoke_previous=True)
    time.sleep(_SOON.total_seconds())
    place.keyring.refresh()

    def wrong(some: list[bytes]) -> bytes:
        return one_of(some)[:_SECRET_FROM] + generate().text.encode()[_SECRET_FROM:]

    classes: dict[str, Callable[[], bytes]] = {
        UNKNOWN: lambda: generate().text.encode(),
        WRONG: lambda: wrong(good),
        REVOKED: lambda: one_of(revoked),
        REVOKED_WRONG: lambda: wrong(revoked_wrong),
        EXPIRED: lambda: one_of(expired),
        EXPIRED_WRONG: lambda: wrong(expired_wrong),
        FORMER: lambda: one_of(former),
        BOUND: lambda: one_of(bound),
        MALFORMED: lambda: b"mfn-" + generate().text.encode()[4:],
    }
    return classes, {name: partial(wrong, some) for name, some in of_controls.items()}


def _id(api_key: bytes) -> str:
    return api_key[4 : _SECRET_FROM - 1].decode()


IN_PROCESS_CAUSES: Final = {
    "unknown": (
        "Python's dictionary takes longer for a name that it has than for one that it lacks. An id"
        " is no secret: it is 16 random characters that stand in lists and in the audit log, and"
        " none can be guessed"
    ),
    "malformed": "what is no API key is looked up under an empty name; who sent it knows",
    "right": (
        "what a comparison says becomes one of Python's two booleans by a branch, and the processor"
        " guesses branches. Only a secret that was right once makes the difference, of a credential"
        " that does nothing any more"
    ),
    "state": (
        "when a credential ends is a time, and times are compared byte by byte; whether the secret"
        " was right makes no difference"
    ),
}


def groups(place: Place) -> list[Group]:
    """``CredentialDirectory.authenticate``."""
    directory = CredentialDirectory(place.keyring.provider, place.keyring.freshness)
    delays = (10, 20, 50, 100, 200)
    classes, controls = api_keys(place, controls_of(delays))

    def attempt(api_key: bytes) -> None:
        try:
            directory.authenticate(api_key)
        except AuthenticationError:
            return
        raise AssertionError("an API key was accepted that is to be refused")

    same = [Pair(WRONG, FORMER), Pair(REVOKED_WRONG, EXPIRED_WRONG)]
    right = [
        Pair(REVOKED, REVOKED_WRONG, IN_PROCESS_CAUSES["right"]),
        Pair(EXPIRED, EXPIRED_WRONG, IN_PROCESS_CAUSES["right"]),
    ]
    return [
        Group(
            name="authenticate",
            what="`CredentialDirectory.authenticate`, from the text of an API key to the refusal",
            base=WRONG,
            classes=classes,
            pairs=[
                *same,
                *right,
                *among([WRONG, REVOKED, EXPIRED, BOUND], IN_PROCESS_CAUSES["state"]),
                *across([UNKNOWN], KNOWN[:4], IN_PROCESS_CAUSES["unknown"]),
                *across([MALFORMED], [UNKNOWN, *KNOWN[:3]], IN_PROCESS_CAUSES["malformed"]),
            ],
            delays=delays,
            attempt=attempt,
            controls=controls,
            renew=directory.load,  # so that no record keeps its place in memory
        )
    ]
