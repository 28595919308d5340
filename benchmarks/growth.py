"""What 100,000 keys in the store cost those who use one."""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from sqlalchemy import insert

from benchmarks.files import MFN, environment
from benchmarks.harness import Figure, Work, figures, run, seconds_of, turns
from mycelium_fractal_net import initialise, open_keyring
from mycelium_fractal_net.security.key_providers import StoredKeyProvider
from mycelium_fractal_net.security.key_providers.keys import NewVersion
from mycelium_fractal_net.security.key_store.rows import key_row, version_row
from mycelium_fractal_net.security.key_store.schema import key_versions, keys
from mycelium_fractal_net.security.records.keys import Key
from mycelium_fractal_net.security.rotation import KeyRotationScheduler

_OPEN_AND_ENCRYPT = """
from mycelium_fractal_net import open_keyring
with open_keyring() as keyring:
    keyring.encrypt(b"data", key_id="orders")
"""


@dataclass(frozen=True)
class Growth:
    """What each work costs with that many keys, beside the smallest store.

    ``look`` is a scheduler's after a change, when nothing is due; ``listed`` the seconds of CPU
    that reading all keys takes, for each of them, and ``due`` those of asking who is due.
    """

    keys: int
    start: Figure
    show: Figure
    encrypt: Figure
    record: Figure
    memory: float
    look: float
    listed: float
    due: float


@dataclass(frozen=True)
class Versions:
    """The seconds of CPU that reading one key of so many versions takes."""

    count: int
    seconds: float


def fill(provider: StoredKeyProvider, count: int) -> None:
    """``count`` authentic keys, sealed by the provider's own code, in one transaction."""
    template = provider.keys.get("orders")
    empty: Key = replace(template, versions=())
    made = [
        NewVersion(provider.keys).to(replace(empty, key_id=f"filler-{number:06}"))
        for number in range(count)
    ]
    with provider.store.database.write() as connection:
        for start in range(0, count, 1000):
            part = made[start : start + 1000]
            connection.execute(
                insert(keys),
                [
                    {**key_row(key), "generation": 2, "mac": provider.keys.sealed(key)}
                    for key in part
                ],
            )
            connection.execute(
                insert(key_versions), [version_row(key.key_id, key.latest) for key in part]
            )


def measure(counts: tuple[int, ...], rounds: int) -> list[Growth]:
    """The same work over stores of each size, in alternating rounds."""
    with tempfile.TemporaryDirectory() as name:
        homes = {count: Path(name) / str(count) for count in counts}
        for count, home in homes.items():
            with initialise(home=home) as keyring:
                keyring.provider.keys.create("orders")
                fill(keyring.provider, count)
        starts, shows = _processes(homes, rounds)
        memory = {count: starts[count][1] for count in counts}
        start = figures({str(count): starts[count][0] for count in counts})
        show = figures({str(count): shows[count] for count in counts})
        encrypt, record = _within(homes, rounds)
        base = counts[0]
        found = []
        for at, count in enumerate(counts):
            look, listed, due = _whole(homes[count], rounds)
            ratio = memory[count] / memory[base]
            figures_of = (start[at], show[at], encrypt[at], record[at])
            found.append(Growth(count, *figures_of, ratio, look, listed / (count + 1), due))
        return found


def _processes(
    homes: dict[int, Path], rounds: int
) -> tuple[dict[int, tuple[list[float], int]], dict[int, list[float]]]:
    starts: dict[int, tuple[list[float], int]] = {count: ([], 0) for count in homes}
    shows: dict[int, list[float]] = {count: [] for count in homes}
    for counts in turns(list(homes), rounds):
        for count in counts:
            env = environment(homes[count])
            ran = run([sys.executable, "-c", _OPEN_AND_ENCRYPT], env=env)
            times, memory = starts[count]
            starts[count] = ([*times, ran.seconds], max(memory, ran.memory))
            shows[count].append(run([*MFN, "key", "show", "orders"], env=env).seconds)
    return starts, shows


def _within(homes: dict[int, Path], rounds: int) -> tuple[list[Figure], list[Figure]]:
    """Short rounds, many of them: these take microseconds, and one disturbance must not decide."""
    data = os.urandom(64)
    encrypting: dict[str, list[float]] = {str(count): [] for count in homes}
    reading: dict[str, list[float]] = {str(count): [] for count in homes}
    with ExitStack() as stack:
        opened = {
            count: stack.enter_context(open_keyring(home=home)) for count, home in homes.items()
        }
        for keyring in opened.values():
            keyring.encrypt(data, key_id="orders")
        for counts in turns(list(opened), rounds * 7):
            for count in counts:
                encrypt = partial(opened[count].encrypt, data, key_id="orders")
                read = partial(opened[count].provider.keys.get, "orders")
                encrypting[str(count)].append(seconds_of(encrypt, 1000))
                reading[str(count)].append(seconds_of(read, 20))
    return figures(encrypting), figures(reading)


def _whole(home: Path, rounds: int) -> tuple[float, float, float]:
    """CPU of a look after a change, of reading every key, and of asking who is due."""
    with open_keyring(home=home) as keyring:
        provider = keyring.provider
        scheduler = KeyRotationScheduler(provider)
        scheduler.run_once()
        looks, dues = [], []
        for _ in range(rounds):
            provider.keys.rotate("orders")
            looks.append(cpu_seconds(scheduler.run_once))
            dues.append(cpu_seconds(lambda: list(scheduler.due())))
        lists = [cpu_seconds(lambda: sum(1 for _ in provider.keys.all())) for _ in range(3)]
    return statistics.median(looks), statistics.median(lists), statistics.median(dues)


def measure_versions(counts: tuple[int, ...], rounds: int) -> list[Versions]:
    """Reading one key, as its versions grow in number."""
    found = []
    with tempfile.TemporaryDirectory() as name, initialise(home=Path(name) / "home") as keyring:
        provider = keyring.provider
        for count in counts:
            key = grown = provider.keys.create(f"versions-{count}")
            while len(grown.versions) < count:
                grown = NewVersion(provider.keys).to(grown)
            if grown is not key:
                grown = replace(grown, revision=key.revision + 1)
                provider.store.keys.replace(key, grown, provider.keys.sealed(grown))
            read = partial(provider.keys.get, key.key_id)
            times = [cpu_seconds(read) for _ in range(rounds)]
            found.append(Versions(count, statistics.median(times)))
    return found


def cpu_seconds(work: Work) -> float:
    """The CPU time of one call."""
    started = time.process_time()
    work()
    return time.process_time() - started
