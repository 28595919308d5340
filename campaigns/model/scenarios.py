"""Who is at work on the store, and what it holds in the beginning."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any, Final

from campaigns.model.properties import Event
from campaigns.model.system import Part, System, Worker
from campaigns.model.world import KEY, World
from mycelium_fractal_net.security.errors import MfnError
from mycelium_fractal_net.security.key_providers.stored import StoredKeyProvider
from mycelium_fractal_net.security.key_store.scheduler_table import SchedulerTable
from mycelium_fractal_net.security.lifecycle.retention import cleanup_old_versions
from mycelium_fractal_net.security.records.keys import RotationPolicy, Verb
from mycelium_fractal_net.security.rotation import KeyRotationScheduler

Alter = Callable[[StoredKeyProvider], None]
_DAY: Final = timedelta(days=1)
_A_DAY_ON: Final = 86_401.0  # seconds: the next due time has come


# What they do ---------------------------------------------------------------------------------


def _scheduler(looks: int, world: World) -> Callable[[Worker], None]:
    provider = world.provider()

    def work(worker: Worker) -> None:
        for _ in range(looks):
            begun = worker.begin(world)
            scheduler = KeyRotationScheduler(provider)
            try:
                report = scheduler.run_once()
                error = report.failed[0][1] if report.failed else ""
            except MfnError as failure:
                error = type(failure).__name__
            worker.events.append(Event("looked", 0, begun, error))

    return work


def _writer(messages: int, world: World) -> Callable[[Worker], None]:
    keyring = world.keyring()

    def work(worker: Worker) -> None:
        for _ in range(messages):
            begun = worker.begin(world)
            try:
                made = keyring.encrypt_result(b"message", key_id=KEY)
            except MfnError as error:
                worker.events.append(Event("not sealed", 0, begun, type(error).__name__))
            else:
                number = int(made.key_id.rpartition("v")[2])
                world.messages.append((number, made.data))
                worker.events.append(Event("sealed", number, begun))

    return work


def _reader(which: Sequence[int], world: World) -> Callable[[Worker], None]:
    """Opens messages: the first that there is, or with -1 the newest."""
    keyring = world.keyring()

    def work(worker: Worker) -> None:
        for each in which:
            begun = worker.begin(world)
            number, message = world.messages[each]
            try:
                keyring.decrypt(message)
            except MfnError as error:
                worker.events.append(Event("not opened", number, begun, type(error).__name__))
            else:
                worker.events.append(Event("opened", number, begun))

    return work


def _operator(
    words: Sequence[Callable[[StoredKeyProvider], object]], world: World
) -> Callable[[Worker], None]:
    provider = world.provider()

    def work(worker: Worker) -> None:
        for word in words:
            begun = worker.begin(world)
            try:
                word(provider)
            except MfnError as error:
                worker.events.append(Event("not done", 0, begun, type(error).__name__))

    return work


def _verb(verb: Verb, version: int) -> Callable[[StoredKeyProvider], object]:
    return lambda provider: provider.states.apply(verb, f"{KEY}:v{version}", reason="the model")


def compromise(version: int) -> Callable[[StoredKeyProvider], object]:
    """The word that a version is compromised."""
    return _verb(Verb.COMPROMISE, version)


def scheduler(name: str, looks: int) -> Part:
    """One that looks so many times."""
    return Part(name, "scheduler", partial(_scheduler, looks), remembers=False)


def writer(messages: int) -> Part:
    """One that seals so many messages."""
    return Part("writer", "writer", partial(_writer, messages), remembers=True)


def reader(*which: int) -> Part:
    """One that opens these messages."""
    return Part("reader", "reader", partial(_reader, which), remembers=True)


def operator(*words: Callable[[StoredKeyProvider], object]) -> Part:
    """One who says these words."""
    return Part("operator", "operator", partial(_operator, words), remembers=False)


# The stores -----------------------------------------------------------------------------------


def rotated_daily(world: World) -> None:
    """A key of one version that falls due now, and a message that it sealed."""
    _made(world, RotationPolicy(interval_days=1, retain_count=3))


def _made(world: World, policy: RotationPolicy) -> None:
    world.at(-_DAY)
    provider = world.provider()
    provider.keys.create(KEY, rotation=policy)
    _sealed(world)
    _looked(world, timedelta(minutes=-1))


def _sealed(world: World) -> None:
    keyring = world.keyring()
    made = keyring.encrypt_result(b"message", key_id=KEY)
    world.messages.append((int(made.key_id.rpartition("v")[2]), made.data))
    keyring.flush()


def _looked(world: World, last: timedelta) -> None:
    """A scheduler has looked all the time, so that no erasure is held."""
    table = SchedulerTable(world.provider().store.database)
    for offset in (last - 2 * _DAY, last - _DAY, last):
        world.at(offset)
        table.note_look(world.wall())


def _to_be_erased(world: World) -> None:
    """A key of three versions, of which the first is to be erased now; each has sealed."""
    world.at(-8 * _DAY)
    provider = world.provider()
    provider.keys.create(
        KEY, rotation=RotationPolicy(interval_days=90, retain_count=1, automatic=False)
    )
    for _ in range(2):
        _sealed(world)
        provider.keys.rotate(KEY)
    _sealed(world)
    world.at(-7 * _DAY)
    provider.states.apply(Verb.DESTROY, f"{KEY}:v1", window_days=7)
    _looked(world, timedelta(minutes=-1))


def _retired(provider: StoredKeyProvider) -> object:
    """An operator's word that what is old may go."""
    from mycelium_fractal_net.security.key_store import UsageStore

    usage = UsageStore(provider.store.database)
    return cleanup_old_versions(provider, usage, KEY, 1, reason="the model")


# The scenarios --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Scenario:
    """``ticks`` are the seconds by which the clock moves, ``share`` what it gets of the time."""

    name: str
    about: str
    prepare: Callable[[World], None]
    parts: Sequence[Part]
    ticks: Sequence[float]
    outages: int = 0
    share: float = 1.0

    @contextlib.contextmanager
    def system(
        self, *, alter: Alter = lambda _: None, kept: dict[str, Any] | None = None
    ) -> Iterator[System]:
        """The scenario at its beginning; while it is open the product goes by its clock."""
        with World(self.prepare, self.ticks, alter=alter).open() as world:
            found = System(world, self.parts, outages=self.outages, kept=kept)
            try:
                yield found
            finally:
                found.stop()


SCENARIOS: Final[tuple[Scenario, ...]] = (
    Scenario(
        "rotation",
        "two schedulers that look twice each and a writer, over two due times",
        rotated_daily,
        (scheduler("scheduler 1", 2), scheduler("scheduler 2", 2), writer(2)),
        (_A_DAY_ON,),
    ),
    Scenario(
        "revocation",
        "an operator who marks a version compromised, a writer and a reader of two operations"
        " each; the store falls silent once and comes back",
        rotated_daily,
        (operator(compromise(1)), writer(2), reader(0, 0, 0)),
        (3.0, 3.0, 3.0),
        outages=1,
    ),
    Scenario(
        "suspension",
        "an operator who suspends the newest version and takes it back, a scheduler to which the"
        " key is due, a writer and a reader",
        rotated_daily,
        (
            operator(_verb(Verb.SUSPEND, 1), _verb(Verb.ACTIVATE, 1)),
            scheduler("scheduler 1", 1),
            writer(1),
            reader(0),
        ),
        (3.0, 3.0),
    ),
    Scenario(
        "retention",
        "two schedulers that erase what is due, an operator who cancels that and lets another"
        " version go, and a reader",
        _to_be_erased,
        (
            operator(_verb(Verb.CANCEL_DESTRUCTION, 1), _retired),
            scheduler("scheduler 1", 1),
            scheduler("scheduler 2", 1),
            reader(0, 1),
        ),
        (3.0, 3.0),
    ),
    Scenario(
        "together",
        "two schedulers, a writer, a reader and an operator who marks a version compromised",
        rotated_daily,
        (
            scheduler("scheduler 1", 1),
            scheduler("scheduler 2", 1),
            writer(2),
            reader(0, -1),
            operator(compromise(1)),
        ),
        (3.0, 3.0, _A_DAY_ON),
        share=2.0,
    ),
)
