"""Key bytes that are wiped: when, for whom, and what they do not do."""

from __future__ import annotations

import copy
import pickle

import pytest

from mycelium_fractal_net.security.byte_io.secret_bytes import SecretBytes

KEY = bytes(range(32))


def test_the_last_reference_that_goes_wipes_the_key() -> None:
    """And none before it: whoever still holds the key goes on with the key."""
    wiped: list[bytes] = []

    class Watched(SecretBytes):
        """Remembers what is in it when its memory is given back."""

        def __del__(self) -> None:
            super().__del__()
            wiped.append(bytes(self))

    secret = Watched(KEY)
    held = secret
    view = memoryview(secret)[:16]
    del secret
    assert held == KEY
    del held
    assert (bytes(view), wiped) == (KEY[:16], [])
    del view
    assert wiped == [bytes(32)]


def test_it_shows_no_key() -> None:
    """Neither in a message nor in the locals of a traceback."""
    secret = SecretBytes(KEY)
    assert f"{secret} {secret!r}" == "<SecretBytes, 32 bytes> <SecretBytes, 32 bytes>"


def test_it_is_neither_pickled_nor_copied_nor_hashed() -> None:
    """What would leave a copy that nobody wipes is refused."""
    secret = SecretBytes(KEY)
    for act in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="not pickled or copied"):
            act(secret)
    with pytest.raises(TypeError):
        hash(secret)


def test_it_is_equal_to_the_same_bytes_and_to_nothing_else() -> None:
    """Whatever they stand in."""
    secret = SecretBytes(KEY)
    assert secret == KEY
    assert memoryview(KEY) == secret
    assert secret != KEY[:-1]
    assert secret != "key"
