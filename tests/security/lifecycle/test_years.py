"""Three years on a virtual clock, day by day: everything that was ever written can be read."""

from __future__ import annotations

import random
import tempfile
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mycelium_fractal_net.security.records.keys import KeyState, RotationPolicy
from mycelium_fractal_net.security.rotation import KeyRotationScheduler
from tests.support.stores import MEMORY, Clock, keyring_over, open_provider

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mycelium_fractal_net.security.key_providers import LocalKeyProvider
    from mycelium_fractal_net.security.keyring.keyring import Keyring

pytestmark = pytest.mark.long

DAYS = 3 * 365
WEEK = 7
DESTROYING = RotationPolicy(interval_days=90, retain_count=1, auto_destroy=True)


@dataclass
class Written:
    """What was written, by the day: sealed messages, signatures, MACs, an archive."""

    sealed: list[bytes] = field(default_factory=list)
    signed: list[bytes] = field(default_factory=list)
    tagged: list[bytes] = field(default_factory=list)
    archived: list[bytes] = field(default_factory=list)

    def write(self, keyring: Keyring, day: int) -> None:
        """One day's traffic."""
        data = b"%d" % day
        self.sealed.append(keyring.encrypt(data, key_id="orders", associated_data=data))
        self.signed.append(keyring.sign(data, key_id="release"))
        self.tagged.append(keyring.mac(data, key_id="tags"))
        self.archived.append(keyring.encrypt(data, key_id="archive"))

    def read(self, keyring: Keyring, day: int) -> None:
        """All that was written on a day, as whoever wrote it reads it."""
        data = b"%d" % day
        assert keyring.decrypt(self.sealed[day], associated_data=data) == data
        keyring.verify(data, self.signed[day], key_id="release")
        keyring.verify_mac(data, self.tagged[day], key_id="tags")


@pytest.fixture
def local_provider(clock: Clock) -> Iterator[LocalKeyProvider]:
    """A store in memory: three years have ten thousand syncs."""
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        home = Path(folder) / "home"
        home.mkdir(mode=0o700)
        provider = open_provider(f"sqlite:///{home / 'keys.db'}", home, clock)
        with closing(provider.store.database):
            yield provider


def test_after_three_years_everything_can_be_read(
    local_provider: LocalKeyProvider, clock: Clock
) -> None:
    """Daily traffic and a look a day; what the first week wrote is read on the last day only.

    The archive's key destroys what nothing has used for 400 days, and its messages are read once
    a year: they stay, too.
    """
    for name, key_type in (("orders", "encryption"), ("release", "signing"), ("tags", "mac")):
        local_provider.keys.create(name, key_type)
    local_provider.keys.create("archive", rotation=DESTROYING)
    local_provider.keys.create("unused", rotation=DESTROYING)
    scheduler = KeyRotationScheduler(local_provider, clock=clock)
    written, chosen = Written(), random.Random(1)
    rotated: list[str] = []
    erased: list[str] = []
    with keyring_over(local_provider) as keyring:
        for day in range(DAYS):
            clock.forward(days=1)
            report = scheduler.run_once()
            assert report.ok
            rotated += report.rotated
            erased += report.erased
            keyring.refresh()
            written.write(keyring, day)
            if day > WEEK:
                written.read(keyring, chosen.randrange(WEEK, day + 1))
            if day % 365 == 364:
                for old, message in enumerate(written.archived):
                    assert keyring.decrypt(message) == b"%d" % old
        for day in range(DAYS):
            written.read(keyring, day)
    counts = {name: sum(each.startswith(f"{name}:") for each in rotated) for name in _NAMES}
    assert counts == {"orders": 12, "tags": 12, "archive": 12, "unused": 12, "release": 3}
    assert all(each.startswith("unused:") for each in erased)
    assert len(erased) >= 5  # it can fail: what nobody needed is gone
    for name in ("orders", "release", "tags", "archive"):
        states = {each.state for each in local_provider.keys.get(name).versions}
        assert states == {KeyState.ACTIVE}


_NAMES = ("orders", "release", "tags", "archive", "unused")
