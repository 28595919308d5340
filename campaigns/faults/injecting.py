"""Each system call of each work fails in turn; after each, everything is looked at."""

from __future__ import annotations

import random
import re
import secrets
import shutil
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, Final

from campaigns.faults.snapshot import Snapshot
from campaigns.faults.strace import Ended, Fault, calls, faulty, plain, preload, socket_calls
from campaigns.faults.works import WORKS, Work
from campaigns.frame.campaign import Figures, Part
from campaigns.frame.run import Paused, Run
from tests.support import postgres
from tests.support.stores import MEMORY
from tests.torture.checks import check, check_whole
from tests.torture.ledger import Fact
from tests.torture.place import Place, new_place

STORES: Final = ("SQLite", "PostgreSQL")
_ONE_LINE: Final = re.compile(r"^mfn: (?!unexpected)[^\n]+\n\Z", re.MULTILINE)
_KEEP_EACH: Final = 20
_MOST_FAILURES: Final = 25  # then something is wrong everywhere
_QUICK_SEED: Final = 3

Choose = Callable[[Sequence[Fault]], Sequence[Fault]]


def part(work: Work, store: str) -> Part:
    """The part that fails every call of one work on one kind of store."""
    return Part(f"{work.name}, {store}", partial(_measured, work, store))


def _measured(work: Work, store: str, run: Run) -> Figures:
    if run.quick and (work.name, store) not in _QUICK:
        return {"left_out": "the short form"}
    state = run.kept()
    with new_store(store) as place:
        work.begin(place)
        snapshot = Snapshot(place, "before")
        if "faults" not in state:
            found = [asdict(each) for each in listed(place, work, snapshot)]
            state = {"faults": found, "done": 0, "counts": {}, "failures": []}
        every = [Fault(**each) for each in state["faults"]]
        if run.quick:
            every = random.Random(_QUICK_SEED).sample(every, _QUICK[work.name, store])
        counts = {name: Counter(found) for name, found in state["counts"].items()}
        draw = random.Random(1)
        for number, fault in enumerate(every[state["done"] :], state["done"] + 1):
            snapshot.restore()
            try:
                seen = injected(place, work, fault, draw)
            except Exception as error:
                seen = ["injected", "not as it must be"]
                lines = traceback.format_exception_only(error)
                state["failures"].append(f"{fault}: {''.join(lines).strip()[:2000]}")
            for each in seen:
                counts.setdefault(each, Counter())[fault.call] += 1
            state |= {"done": number, "counts": counts}
            if number % _KEEP_EACH == 0:
                run.keep(state)
                run.progress(number, len(every), f"{len(state['failures'])} failures")
                try:
                    run.pause_if_due()
                except Paused:
                    return {**_figures(state), "unfinished": f"{number} of {len(every)} faults"}
            if len(state["failures"]) >= _MOST_FAILURES:
                break
        run.keep(state)
    return _figures(state)


def _figures(state: dict[str, Any]) -> Figures:
    return {
        "faults": len(state["faults"]),
        "done": state["done"],
        "counts": {name: dict(found) for name, found in state["counts"].items()},
        "failures": state["failures"],
    }


# In the short form, how many of which; the others are left to the full length.
_QUICK: Final = {
    ("rotation", "SQLite"): 4,
    ("migrate files", "SQLite"): 2,
    ("rotation", "PostgreSQL"): 3,
    ("schema upgrade", "PostgreSQL"): 1,
}


@contextmanager
def new_store(store: str) -> Iterator[Place]:
    """A store in a folder of its own, in memory where there is such a folder."""
    preload()
    with ExitStack() as stack:
        url = None
        if store == "PostgreSQL":
            server = stack.enter_context(postgres.server())
            url = postgres.create_database(server, f"t{secrets.token_hex(6)}")
        place = new_place(url, None if MEMORY is None else Path(MEMORY))
        stack.callback(shutil.rmtree, place.folder, ignore_errors=True)
        stack.callback(place.disconnect)
        yield place


def listed(place: Place, work: Work, snapshot: Snapshot) -> list[Fault]:
    """Every fault that the work may meet here."""
    found = calls(place, work.asked(place)[0])
    if not place.on_sqlite:
        snapshot.restore()
        found += socket_calls(place, work.asked(place)[0])
    return found


def injected(place: Place, work: Work, fault: Fault, draw: random.Random) -> list[str]:
    """Run the work with that fault and see that nothing is lost; returns what is to be counted.

    Raises what the checks raise, and :class:`AssertionError`.
    """
    done, after = _asked(place, work, partial(faulty, fault=fault))
    seen = ["injected" if done.injected else "not reached"]
    if done.code == 0:
        seen.append("succeeded")
        _take(place, after)
    else:
        seen.append("failed in one line")
        if not failed_in_one_line(done.said):
            raise AssertionError(f"it ended with {done.code} and said {done.said!r}")
    before = place.ledger.keys["orders"].latest
    if not work.changes_schema:  # a store of the former schema is opened by nobody but init
        found = whole(place, draw)
        if done.code and found > before:
            seen.append("failed and was done")
    again, after = _asked(place, work, plain)
    if again.code:
        raise AssertionError(f"the next one ended with {again.code} and said {again.said!r}")
    _take(place, after)
    if work.changes_schema:
        whole(place, draw)
    with place.open() as keyring:
        check(place, keyring, draw)
    work.see(place)
    return seen


def failed_in_one_line(said: str) -> bool:
    """Whether a command that failed said so in a last line of its own, and no traceback."""
    return _ONE_LINE.search(said) is not None and "Traceback" not in said


def _asked(
    place: Place, work: Work, how: Callable[[Place, Sequence[str]], Ended]
) -> tuple[Ended, Sequence[Fact]]:
    arguments, before, after = work.asked(place)
    _take(place, before)
    place.disconnect()  # a child has connections of its own
    return how(place, arguments), after


def _take(place: Place, facts: Sequence[Fact]) -> None:
    for fact in facts:
        place.ledger.take(fact)


def whole(place: Place, draw: random.Random) -> int:
    """Everything opens, one version is newest, the chains verify, and the next rotation works.

    Returns the number of the version that was newest before that.
    """
    with place.open() as keyring:
        check(place, keyring, draw)
        check_whole(place, keyring)
        found = place.ledger.keys["orders"].latest
        number = int(keyring.provider.rotate_key("orders").rpartition("v")[2])
        sealed = keyring.encrypt(b"after", key_id="orders")
        if number != found + 1 or keyring.describe(sealed).version != number:
            raise AssertionError(f"the next rotation made v{number} and not v{found + 1}")
    place.ledger.take(("version", "orders", number))
    place.ledger.take(("sealed", sealed.hex(), b"after".hex(), "orders", number))
    return found


def parts() -> Iterator[Part]:
    """One for each work on each kind of store."""
    for store in STORES:
        for work in WORKS:
            yield part(work, store)
