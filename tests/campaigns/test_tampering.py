"""Changes are what they say, and a form that takes one is found."""

from __future__ import annotations

import random

import pytest

from campaigns.tampering.ciphertexts import whole
from campaigns.tampering.crafted import SHAPES, crafted
from campaigns.tampering.forms import Form, tried
from campaigns.tampering.mutations import every_change, sampled
from mycelium_fractal_net.security.errors import DecryptionError


def test_every_single_change_is_made_once_and_changes_something() -> None:
    """Of 40 bytes: 320 bits, 40 cuts, and of equal neighbours one."""
    data = b"aa" + bytes(range(38))
    changes = list(every_change(data))
    made = {change.of(data) for change in changes}
    assert data not in made
    assert sum(change.kind == "bit" for change in changes) == 320
    assert sum(change.kind == "cut" for change in changes) == 40
    assert sum(change.kind == "removed" for change in changes) == 39
    assert sum(change.kind == "swapped" for change in changes) == 3
    assert all(change.of(data) != data for change in sampled(data, 100, 7))


def test_a_form_that_takes_a_change_fails_the_campaign() -> None:
    """The control of the part: a reader that looks at nothing, one that tells, one that breaks."""

    def strict(data: bytes) -> None:
        if data != b"abc":
            raise DecryptionError

    def telling(data: bytes) -> None:
        if data != b"abc":
            raise ValueError(len(data))

    changes = list(every_change(b"abc"))
    assert not tried(Form("strict", b"abc", strict, (DecryptionError,)), changes).failures
    assert tried(Form("lax", b"abc", len, (DecryptionError,)), changes).failures
    assert tried(Form("telling", b"abc", telling, (ValueError,)), changes).failures
    assert tried(Form("broken", b"abc", telling, (DecryptionError,)), changes).failures
    assert tried(Form("shut", b"abd", strict, (DecryptionError,)), changes).failures


def test_only_messages_of_the_right_shape_open() -> None:
    """Made by a holder of the key, from the primitives alone."""
    seen: set[str] = set()
    number = 0
    while seen != set(SHAPES):
        shape, message = crafted(random.Random(number))
        number += 1
        if shape in seen:
            continue
        seen.add(shape)
        if shape == "right":
            whole(message)
        else:
            with pytest.raises(DecryptionError):
                whole(message)
