"""Rotate a key, old data is readable: what opens and verifies in which state of its version."""

from __future__ import annotations

import io
from datetime import timedelta
from typing import TYPE_CHECKING, Final, NamedTuple

import pytest

from mycelium_fractal_net.security.errors import (
    DecryptionError,
    InvalidSignatureError,
    KeyStateError,
    MfnError,
)
from mycelium_fractal_net.security.records.keys import KeyState, Verb, version_id

if TYPE_CHECKING:
    from collections.abc import Callable

    from mycelium_fractal_net.security.keyring.keyring import Keyring
    from tests.support.stores import Clock

_TEXT: Final = b"written in the first week"
_KEYS: Final = ("orders", "release", "tags")


class Snapshot(NamedTuple):
    """One thing of each kind, made by the newest versions at one time."""

    version: int
    sealed: bytes
    stream: bytes
    envelope: bytes
    raw: bytes
    signature: bytes
    signature_file: bytes
    mac: bytes


def snapshot(keyring: Keyring) -> Snapshot:
    """What the newest versions make."""
    stream = io.BytesIO()
    keyring.encrypt_stream(io.BytesIO(_TEXT), stream, key_id="orders")
    return Snapshot(
        keyring.provider.keys.get("orders").latest.version,
        keyring.encrypt(_TEXT, key_id="orders"),
        stream.getvalue(),
        keyring.data_key(key_id="orders").sealer.seal(_TEXT, b""),
        keyring.encrypt(_TEXT, key_id="orders", format="raw"),
        keyring.sign(_TEXT, key_id="release"),
        keyring.sign_file(io.BytesIO(_TEXT), key_id="release"),
        keyring.mac(_TEXT, key_id="tags"),
    )


def rotate(keyring: Keyring) -> None:
    """All three keys."""
    for name in _KEYS:
        keyring.provider.rotate_key(name)
    keyring.refresh()


def _stream(keyring: Keyring, made: Snapshot) -> bytes:
    out = io.BytesIO()
    keyring.decrypt_stream(io.BytesIO(made.stream), out)
    return out.getvalue()


def _named(name: str, made: Snapshot) -> str:
    return version_id(name, made.version)


_OPENS: Final[dict[str, Callable[[Keyring, Snapshot], object]]] = {
    "sealed": lambda keyring, made: keyring.decrypt(made.sealed),
    "stream": _stream,
    "range": lambda keyring, made: keyring.open_reader(io.BytesIO(made.sealed)).read(),
    "rewrap": lambda keyring, made: keyring.decrypt(keyring.rewrap(made.sealed)),
    "envelope": lambda keyring, made: keyring.decrypt(made.envelope),
    "raw": lambda keyring, made: keyring.decrypt(
        made.raw, key_id=_named("orders", made), format="raw"
    ),
    "raw, bare name": lambda keyring, made: keyring.decrypt(
        made.raw, key_id="orders", format="raw"
    ),
}
_VERIFIES: Final[dict[str, Callable[[Keyring, Snapshot], object]]] = {
    "signature": lambda keyring, made: keyring.verify(
        _TEXT, made.signature, key_id=_named("release", made)
    ),
    "signature, bare name": lambda keyring, made: keyring.verify(
        _TEXT, made.signature, key_id="release"
    ),
    "signature file": lambda keyring, made: keyring.verify_file(
        io.BytesIO(_TEXT), made.signature_file, key_id="release"
    ),
}
_MACS: Final[dict[str, Callable[[Keyring, Snapshot], object]]] = {
    "mac": lambda keyring, made: keyring.verify_mac(_TEXT, made.mac, key_id=_named("tags", made)),
    "mac, bare name": lambda keyring, made: keyring.verify_mac(_TEXT, made.mac, key_id="tags"),
}
_ALL: Final = {**_OPENS, **_VERIFIES, **_MACS}

# What DESIGN.md's table of states allows an old version. None is that it works.
_YES: Final[dict[str, type[MfnError] | None]] = dict.fromkeys(_ALL)
_STATE: Final = KeyStateError
_BARE: Final[dict[str, type[MfnError] | None]] = {
    # A raw message and a bare signature name no version: those that may are tried, and not it.
    "raw, bare name": DecryptionError,
    "signature, bare name": InvalidSignatureError,
    "mac, bare name": InvalidSignatureError,
}
_NO: Final[dict[str, type[MfnError] | None]] = {**dict.fromkeys(_ALL, _STATE), **_BARE}
_MATRIX: Final[dict[KeyState, dict[str, type[MfnError] | None]]] = {
    KeyState.ACTIVE: _YES,
    KeyState.DEACTIVATED: _YES,
    KeyState.SUSPENDED: _NO,
    KeyState.COMPROMISED: _NO,
    KeyState.PENDING_DESTRUCTION: {
        **_YES,
        **dict.fromkeys(_OPENS, _STATE),
    },
    KeyState.DESTROYED: {
        **_YES,
        **dict.fromkeys(_OPENS, _STATE),
        "raw, bare name": DecryptionError,
        "mac": InvalidSignatureError,
        "mac, bare name": InvalidSignatureError,
    },
}


def bring(keyring: Keyring, clock: Clock, state: KeyState) -> None:
    """Bring the first version of each key there."""
    provider = keyring.provider
    verbs = {
        KeyState.DEACTIVATED: Verb.DEACTIVATE,
        KeyState.SUSPENDED: Verb.SUSPEND,
        KeyState.COMPROMISED: Verb.COMPROMISE,
        KeyState.PENDING_DESTRUCTION: Verb.DESTROY,
        KeyState.DESTROYED: Verb.DESTROY,
    }
    for name in _KEYS:
        if state in verbs:
            provider.states.apply(verbs[state], f"{name}:v1")
    if state is KeyState.DESTROYED:
        clock.forward(days=31)
        for name in _KEYS:
            provider.states.erase_due(name, now=clock())
    keyring.refresh()
    assert {provider.keys.get(name).version(1).state for name in _KEYS} == {state}


def test_whatever_was_made_before_a_rotation_is_readable_after_it(keyring: Keyring) -> None:
    """Four rotations: at each time everything of every earlier time, by its own version."""
    made = [snapshot(keyring)]
    for _ in range(4):
        rotate(keyring)
        made.append(snapshot(keyring))
        for each in made:
            for what, use in _ALL.items():
                result = use(keyring, each)
                assert what not in _OPENS or result == _TEXT, (each.version, what)
                assert what in _OPENS or str(result).endswith(f":v{each.version}")
    assert [each.version for each in made] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("state", list(_MATRIX))
def test_what_an_old_version_made_is_read_as_its_state_allows(
    keyring: Keyring, clock: Clock, state: KeyState
) -> None:
    """Each kind in each state; what the newest version made is readable whatever becomes of it."""
    old = snapshot(keyring)
    rotate(keyring)
    bring(keyring, clock, state)
    new = snapshot(keyring)
    for what, use in _ALL.items():
        refused = _MATRIX[state][what]
        if refused is None:
            use(keyring, old)
        else:
            with pytest.raises(refused):
                use(keyring, old)
        use(keyring, new)


def test_a_compromised_version_opens_where_that_is_allowed(keyring: Keyring, clock: Clock) -> None:
    """Explicitly, each time; and it is remembered of one that waits for its destruction."""
    old = snapshot(keyring)
    rotate(keyring)
    bring(keyring, clock, KeyState.COMPROMISED)
    assert keyring.decrypt(old.sealed, allow_compromised=True) == _TEXT
    assert keyring.decrypt(old.envelope, allow_compromised=True) == _TEXT
    raw = keyring.decrypt(old.raw, key_id="orders", format="raw", allow_compromised=True)
    assert raw == _TEXT
    for name in _KEYS:
        keyring.provider.states.apply(Verb.DESTROY, f"{name}:v1")
    keyring.refresh()
    for use in (lambda: keyring.decrypt(old.sealed, allow_compromised=True),
                lambda: keyring.verify(_TEXT, old.signature, key_id="release:v1")):  # fmt: skip
        with pytest.raises(KeyStateError):
            use()


def test_a_version_that_is_not_active_yet_neither_protects_nor_opens(
    keyring: Keyring, clock: Clock
) -> None:
    """It has made nothing; the one before it goes on, and is no other's fallback."""
    provider = keyring.provider
    provider.rotate_key("orders", activate_at=clock() + timedelta(days=1))
    keyring.refresh()
    assert keyring.encrypt_result(b"x", key_id="orders").key_id == "orders:v1"
    with pytest.raises(KeyStateError, match="pre-activation"):
        keyring.decrypt(b"\0" * 28, key_id="orders:v2", format="raw")


@pytest.mark.parametrize("state", [KeyState.PENDING_DESTRUCTION, KeyState.COMPROMISED])
def test_a_version_that_is_kept_after_all_opens_again(
    keyring: Keyring, clock: Clock, state: KeyState
) -> None:
    """Cancelling gives back what there was; compromise is not forgotten over it."""
    old = snapshot(keyring)
    rotate(keyring)
    bring(keyring, clock, state)
    for name in _KEYS:
        if state is KeyState.COMPROMISED:
            keyring.provider.states.apply(Verb.DESTROY, f"{name}:v1")
        keyring.provider.states.apply(Verb.CANCEL_DESTRUCTION, f"{name}:v1")
    keyring.refresh()
    expected = _YES if state is KeyState.PENDING_DESTRUCTION else _NO
    for what, use in _ALL.items():
        refused = expected[what]
        if refused is None:
            use(keyring, old)
        else:
            with pytest.raises(refused):
                use(keyring, old)
