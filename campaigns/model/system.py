"""The real code as a model that is searched.

A step of an actor depends on what the actor knows, on what is stored and on the clock, and on
nothing else. So a step that was run once is known for every state of the others: the search runs
in memory, and asks the code for the steps that are new. Each is run by going through a whole
schedule that leads to it, in which every step is compared with what was known of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Final, NamedTuple

from campaigns.model import properties
from campaigns.model.properties import Event, History
from campaigns.model.search import ViolationError
from campaigns.model.turns import Actor, Pending, here
from campaigns.model.world import Content, VersionRow, World
from mycelium_fractal_net.security.records.keys import MinimumVersions

_DIGEST_BYTES: Final = 16


class State(NamedTuple):
    """Where everybody is, by number: the actors, what is stored, what was; the clock."""

    actors: tuple[int, ...]
    content: int
    history: int
    ticked: int
    switched: int
    """How often the store went out of reach, or came back."""


class Known(NamedTuple):
    """What an actor knows, of which the digest is all that counts, and what it does next."""

    digest: str
    kind: str
    where: str
    """``kind`` is empty where it has come to its end."""


class Step(NamedTuple):
    """What a step led to: what the actor knows, what is stored, and what ended with it."""

    actor: int
    content: int
    event: int


@dataclass(frozen=True)
class Part:
    """One actor: its name, its role, and what it does, given the world."""

    name: str
    role: str
    program: Callable[[World], Callable[[Worker], None]]
    remembers: bool
    """Whether it knows more at its next operation than that the last one ended."""


class Worker:
    """What the program of an actor is given: it says where an operation begins and how it ended."""

    def __init__(self) -> None:
        self.actor: Actor | None = None
        self.begun = 0
        self.events: list[Event] = []

    def begin(self, world: World) -> float:
        """Wait for the turn to begin an operation; gives the seconds of the clock then."""
        actor = here()
        assert actor is not None
        actor.stop("begin")
        self.begun += 1
        return world.seconds


class System:
    """One scenario over the real code; see :class:`.Model`."""

    def __init__(
        self,
        world: World,
        parts: Sequence[Part],
        *,
        outages: int = 0,
        kept: dict[str, Any] | None = None,
    ) -> None:
        self._world = world
        self._parts = parts
        self._switches = 2 * outages
        self._known: list[Known] = []
        self._known_by: dict[tuple[str, str, str], int] = {}
        self._contents: list[Content] = []
        self._digests: list[str] = []
        self._content_by: dict[str, int] = {}
        self._floors: dict[int, MinimumVersions] = {}
        self._histories: list[History] = []
        self._history_by: dict[History, int] = {}
        self._events: list[Event] = []
        self._event_by: dict[Event, int] = {}
        self._steps: dict[tuple[int, int, int, int, int], Step] = {}
        self._judged: set[tuple[int, int, int, int, bool]] = set()
        self.executions = 0
        self._actors: list[Actor] = []
        self._workers: list[Worker] = []
        self._schedule: list[int] | None = None
        if kept:
            self._take(kept)
        self._now: State = self._begin()
        self._first: State = self._now

    @property
    def steps(self) -> int:
        """The different steps of the real code that were run."""
        return len(self._steps)

    # The model ------------------------------------------------------------------------------

    def initial(self) -> State:
        return self._first

    def choices(self, state: State) -> Iterator[int]:
        for number, actor in enumerate(state.actors):
            if self._known[actor].kind:
                yield number
        if state.ticked < len(self._world.ticks):
            yield self._tick
        if state.switched < self._switches:
            yield self._switch

    def preempts(self, state: State, last: int, choice: int) -> bool:
        if last in (-1, choice):
            return False
        return self._known[state.actors[last]].kind not in ("", "begin")

    def turn(self, last: int, choice: int) -> int:
        return choice if choice < len(self._parts) else last

    def after(self, state: State, choice: int, schedule: Callable[[], list[int]]) -> State:
        if choice == self._tick:
            return state._replace(ticked=state.ticked + 1)
        if choice == self._switch:
            return state._replace(switched=state.switched + 1)
        key = (choice, state.actors[choice], state.content, state.ticked, state.switched % 2)
        step = self._steps.get(key)
        if step is None:
            self._go_to(schedule())
            if self._now != state:
                raise AssertionError(f"a schedule led to {self._now} and not to {state}")
            return self._advance(choice)
        return self._stepped(state, choice, step)

    def _stepped(self, state: State, choice: int, step: Step) -> State:
        actors = (*state.actors[:choice], step.actor, *state.actors[choice + 1 :])
        history = state.history
        if step.content != state.content:
            history = self._history_after(state, step.content)
        after = State(actors, step.content, history, state.ticked, state.switched)
        if step.event >= 0:
            self._judge(step.event, after)
        return after

    def _history_after(self, state: State, content: int) -> int:
        history = self._histories[state.history]
        states = properties.vector(self._contents[content])
        if states == history[-1][1]:
            return state.history
        return self._number_of_history((*history, (self._seconds(state.ticked), states)))

    def _judge(self, event: int, state: State) -> None:
        key = (event, state.history, state.ticked, state.content, state.switched > 0)
        if key not in self._judged:
            properties.happened(
                self._events[event],
                self._histories[state.history],
                self._seconds(state.ticked),
                self._contents[state.content],
                outage=state.switched > 0,
            )
            self._judged.add(key)

    def _seconds(self, ticked: int) -> float:
        return float(sum(self._world.ticks[:ticked]))

    @property
    def _tick(self) -> int:
        return len(self._parts)

    @property
    def _switch(self) -> int:
        return len(self._parts) + 1

    # The real code --------------------------------------------------------------------------

    def _begin(self) -> State:
        """Everybody at the beginning."""
        self.stop()
        world = self._world
        world.reset()
        self._checking = world.provider()
        programs = [part.program(world) for part in self._parts]
        self._workers = [Worker() for _ in self._parts]
        self._actors = []
        locals_ = []
        for part, worker, program in zip(self._parts, self._workers, programs, strict=True):
            actor = Actor(part.name, _bound(program, worker))
            self._actors.append(actor)
            locals_.append(self._number_of_known(part.name, actor.pending))
        self.executions += 1
        content = self._number_of_content(world.content(), -1, "", 0.0)
        history = ((0.0, properties.vector(self._contents[content])),)
        self._schedule = []
        self._now = State(tuple(locals_), content, self._number_of_history(history), 0, 0)
        return self._now

    def _go_to(self, schedule: list[int]) -> None:
        """Have the real code at the end of that schedule, from where it is, or from the start."""
        done = self._schedule
        if done is None or schedule[: len(done)] != done:
            self._begin()
            done = []
        for choice in schedule[len(done) :]:
            self._advance(choice)

    def _advance(self, choice: int) -> State:
        """One choice for real, in the state that everybody is in."""
        state, world = self._now, self._world
        assert self._schedule is not None
        self._schedule.append(choice)
        if choice == self._tick:
            world.ticked += 1
            self._now = state._replace(ticked=world.ticked)
            return self._now
        if choice == self._switch:
            world.down = not world.down
            self._now = state._replace(switched=state.switched + 1)
            return self._now
        key = (choice, state.actors[choice], state.content, state.ticked, state.switched % 2)
        step = self._real_step(choice, state)
        known = self._steps.setdefault(key, step)
        if known != step:
            raise AssertionError(f"{self._parts[choice].name} did something else the second time")
        self._now = self._stepped(state, choice, step)
        return self._now

    def _real_step(self, choice: int, state: State) -> Step:
        part, actor, worker = self._parts[choice], self._actors[choice], self._workers[choice]
        before = self._known[state.actors[choice]]
        said = len(worker.events)
        actor.step()
        if actor.failure is not None:
            raise AssertionError(f"{part.name} ended with {actor.failure!r}") from actor.failure
        content = self._number_of_content(
            self._world.content(), state.content, part.role, self._seconds(state.ticked)
        )
        digest = self._digest_after(before, state)
        if actor.pending is not None and actor.pending.kind == "begin" and not part.remembers:
            digest = f"{part.name} {worker.begun}"  # all that it knows
        event = -1
        for each in worker.events[said:]:
            event = self._event_by.setdefault(each, len(self._events))
            if event == len(self._events):
                self._events.append(each)
        return Step(self._number_of_known(digest, actor.pending), content, event)

    def _digest_after(self, before: Known, state: State) -> str:
        """What an actor knows after a step: what it knew, and what it could see by the step."""
        still = state.ticked == len(self._world.ticks)  # then it reads the clock in passing
        seen: tuple[Any, ...] = (before.digest, before.kind, still, state.switched % 2)
        if before.kind in ("clock", "begin"):
            seen += (state.ticked,)
        if before.kind != "clock":
            seen += (self._digests[state.content],)
        return blake2b(repr(seen).encode(), digest_size=_DIGEST_BYTES).hexdigest()

    def stop(self) -> None:
        """End every thread."""
        for actor in self._actors:
            actor.kill()
        self._actors = []
        self._schedule = None

    # Numbers --------------------------------------------------------------------------------

    def _number_of_known(self, digest: str, pending: Pending | None) -> int:
        key = (digest, *pending) if pending is not None else ("", "", "")
        number = self._known_by.setdefault(key, len(self._known))
        if number == len(self._known):
            self._known.append(Known(*key))
        return number

    def _number_of_content(self, content: Content, before: int, role: str, seconds: float) -> int:
        """Its number; where it is new all that must hold of it is looked at."""
        if before >= 0 and content is self._contents[before]:
            return before
        digest = blake2b(repr(content).encode(), digest_size=_DIGEST_BYTES).hexdigest()
        number = self._content_by.get(digest, -1)
        if number < 0:
            number = self._content_by[digest] = len(self._contents)
            self._contents.append(content)
            self._digests.append(digest)
        if number not in self._floors:
            try:
                self._floors[number] = properties.stored(self._world, self._checking)
            except ViolationError:
                raise
            except Exception as error:  # the record is not authentic, for example
                raise ViolationError(f"the store is damaged: {error}") from error
        if before >= 0 and number != before:
            properties.changed(role, seconds, self._contents[before], content)
            properties.raised(role, self._floors[before], self._floors[number])
        return number

    def _number_of_history(self, history: History) -> int:
        number = self._history_by.setdefault(history, len(self._histories))
        if number == len(self._histories):
            self._histories.append(history)
        return number

    # For whoever reads it -------------------------------------------------------------------

    def fails(self, schedule: Sequence[int]) -> str | None:
        """What is wrong after that schedule, of which what cannot be is passed over."""
        self._begin()
        try:
            for choice in schedule:
                if choice in self.choices(self._now):
                    self._advance(choice)
        except ViolationError as error:
            self.stop()
            return error.what
        return None

    def told(self, schedule: Sequence[int]) -> list[str]:
        """The schedule in words: one line for each that has the turn, and what it did in it."""
        self._begin()
        lines: list[str] = []
        last = -1
        for choice in schedule:
            if choice not in self.choices(self._now):
                continue
            if choice == self._tick:
                line = f"the clock moves on by {self._world.ticks[self._now.ticked]:g} s"
            elif choice == self._switch:
                line = "the store answers again" if self._world.down else "the store is silent"
            else:
                known = self._known[self._now.actors[choice]]
                line = f"{known.kind} in {known.where}"
                if choice == last:
                    lines[-1] += f"; {line}"
                    line = ""
                else:
                    line = f"{self._parts[choice].name}: {line}"
            if line:
                lines.append(line)
            last = choice
            try:
                self._advance(choice)
            except ViolationError as error:
                lines.append(f"then {error.what}")
                break
        self.stop()
        return lines

    # What is kept ---------------------------------------------------------------------------

    def kept(self) -> dict[str, Any]:
        """Every step that was run, as JSON: with it another search need not run them again."""
        return {
            "known": self._known,
            "contents": [each[:4] for each in self._contents],
            "digests": self._digests,
            "floors": [[number, *floors] for number, floors in self._floors.items()],
            "events": self._events,
            "steps": [[*key, *step] for key, step in self._steps.items()],
            "executions": self.executions,
        }

    def _take(self, kept: dict[str, Any]) -> None:
        self._known = [Known(*each) for each in kept["known"]]
        self._known_by = {
            (each.digest, each.kind, each.where): number for number, each in enumerate(self._known)
        }
        self._contents = [_content(each) for each in kept["contents"]]
        self._digests = kept["digests"]
        self._content_by = {digest: number for number, digest in enumerate(self._digests)}
        self._floors = {number: MinimumVersions(*rest) for number, *rest in kept["floors"]}
        self._events = [Event(*each) for each in kept["events"]]
        self._event_by = {each: number for number, each in enumerate(self._events)}
        self._steps = {tuple(each[:5]): Step(*each[5:]) for each in kept["steps"]}
        self.executions = kept["executions"]


def _content(kept: list[Any]) -> Content:
    """What was stored, of which the checks need no more than the versions."""
    versions, rotate_at, interval_days, revision = kept
    rows = tuple(VersionRow(*each) for each in versions)
    return Content(rows, rotate_at, interval_days, revision, ())


def _bound(program: Callable[[Worker], None], worker: Worker) -> Callable[[], None]:
    return lambda: program(worker)
