"""The custodians that the tests have, each for real: one file for each, and what all of them do.

A harness stands for the other side, a server or a token that this test process started for itself:
whoever runs a story over all custodians asks for the fixture ``custodian``, or for
:func:`harness`. It is started when it is first asked for and closed when the test process ends.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import sys
from typing import TYPE_CHECKING, Final, Protocol

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class CustodianHarness(Protocol):
    """Another side, with a master key on it. It is made without arguments, and starts at once.

    A second one of the same class is another side with another key. All methods return once what
    they say is so.
    """

    name: str
    """What ``MFN_KEY_PROVIDER`` is: ``vault``."""

    def environment(self, home: Path) -> dict[str, str]:
        """The ``MFN_…`` variables with which a store in that home has its master key there.

        Those of the custodian alone, ``MFN_KEY_PROVIDER`` and ``MFN_HOME`` among them; the same
        master key each time. What files it needs it writes below ``home``.
        """

    def make_key(self) -> None:
        """Make the master key, as a user would by hand; nothing changes where it is there."""

    def rotate(self) -> None:
        """Make a new version of the master key, as a user would on the other side."""

    def disable(self) -> None:
        """Have the master key refused: by permission, or by its state."""

    def enable(self) -> None:
        """Take that back."""

    def stop(self) -> None:
        """Be gone: nobody answers."""

    def start(self) -> None:
        """Be back, with all the keys."""

    def close(self) -> None:
        """Stop for good and leave nothing behind."""


_CLASSES: Final = {
    "local": "tests.support.custodians.local:LocalHarness",
    "vault": "tests.support.custodians.vault:VaultHarness",
    "aws-kms": "tests.support.custodians.aws_kms:AWSKMSHarness",
    "pkcs11": "tests.support.custodians.pkcs11:PKCS11Harness",
}

NAMES: Final = tuple(
    name for name, where in _CLASSES.items() if importlib.util.find_spec(where.split(":")[0])
)
"""Those that there are."""

MOVES: Final = dict(zip(NAMES, (*NAMES[1:], NAMES[0]), strict=True))
"""To which one a store of each is moved: round in a circle, so that each is left and come to."""

IN_FULL: Final = [
    pytest.param(name, marks=[pytest.mark.long] if name in ("vault", "aws-kms") else [])
    for name in NAMES
]
"""Parameters for what takes seconds on each: on servers of their own it is a long test."""

MFN: Final = [sys.executable, "-m", "mycelium_fractal_net"]

_started: dict[str, CustodianHarness] = {}


def new_harness(name: str) -> CustodianHarness:
    """One that is the caller's own, to be closed by it."""
    module, _, attribute = _CLASSES[name].partition(":")
    made: CustodianHarness = getattr(importlib.import_module(module), attribute)()
    return made


def harness(name: str) -> CustodianHarness:
    """The one of this test process, up and with its master key enabled; close it never."""
    if name not in _started:
        _started[name] = new_harness(name)
        _started[name].make_key()
    return _started[name]


@pytest.fixture(params=NAMES)
def custodian(request: pytest.FixtureRequest) -> CustodianHarness:
    """Each of them in turn, with its master key there."""
    return harness(request.param)


@pytest.fixture(scope="session", autouse=True)
def _closed_at_the_end() -> Iterator[None]:
    yield
    with contextlib.ExitStack() as stack:
        for each in _started.values():
            stack.callback(each.close)
