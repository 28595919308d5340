"""Try mutants: warm first, then at length, and in a fresh import what could not be put in.

A survivor that nothing explains is tried again where any test is another one than it survived.
"""

from __future__ import annotations

import json
import operator
import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from hashlib import sha256
from threading import Lock, Thread
from typing import Any, Final

from campaigns.frame.run import Run
from campaigns.mutation.choosing import BUDGET, LONG, Chooser
from campaigns.mutation.contexts import brought_up_to_date, hashes_of_tests
from campaigns.mutation.explained import Explanation, explained, explanations
from campaigns.mutation.mutants import Mutant
from campaigns.mutation.worker import Zygote, copied

_KEEP_SECONDS: Final = 10.0
_WORKERS: Final = min(2, len(os.sched_getaffinity(0)))
_CPU: Final = 60.0  # seconds for the tests of one mutant; they take a few
Outcome = dict[str, Any]
"""``outcome`` is killed, survived, timeout or uncovered; ``by`` names the test, ``ran`` counts."""


def due(
    mutants: Sequence[Mutant],
    outcomes: Mapping[str, Outcome],
    table: list[Explanation],
    tests: str,
) -> list[Mutant]:
    """Those to be tried: the new ones, and who survived other tests without an explanation.

    ``tests`` names the tests as they are now.
    """

    def is_due(mutant: Mutant) -> bool:
        known = outcomes.get(mutant.key)
        if known is None:
            return True
        survived = known["outcome"] in ("survived", "uncovered")
        return survived and known.get("tests") != tests and explained(known, table) is None

    return [each for each in mutants if is_due(each)]


class Trial:
    """Mutants of some files, tried one after the other; each outcome is kept."""

    def __init__(self, run: Run, mutants: Sequence[Mutant]) -> None:
        self._run = run
        self._mutants = mutants
        self._table = explanations()
        self._tests = sha256(json.dumps(hashes_of_tests()).encode()).hexdigest()[:16]
        self._said = time.monotonic()
        known = {each.key for each in mutants}  # another was changed with its line
        kept: dict[str, Outcome] = run.kept().get("outcomes", {})
        self._outcomes = {key: each for key, each in kept.items() if key in known}

    def outcomes(self) -> dict[str, Outcome]:
        """Try what is due; by the key of each mutant, what became of it."""
        left = due(self._mutants, self._outcomes, self._table, self._tests)
        if not left:
            return self._outcomes
        contexts = brought_up_to_date(self._run.folder.parent / "contexts")
        trees = [copied(self._run.folder / f"tree-{number}") for number in range(_WORKERS)]
        files = sorted({name.partition("::")[0] for name in contexts.seconds})
        with ExitStack() as closing:
            warm = [Zygote(tree, "warm", files) for tree in trees]
            for each in warm:
                closing.callback(each.close)
            chooser = Chooser(contexts, warm[0].tests, warm[0].costly)
            survived, others = self._each(left, chooser, warm, "at once")
            survived, _ = self._each(survived, chooser, warm, "at length", LONG)
        with ExitStack() as closing:
            cold = [Zygote(tree, "cold") for tree in trees]
            for each in cold:
                closing.callback(each.close)
            self._each(survived, chooser, cold, "imported anew", is_last=True)
            survived, _ = self._each(others, chooser, cold, "imported anew")
            self._each(survived, chooser, cold, "imported anew, at length", LONG, is_last=True)
        return self._outcomes

    def _each(
        self,
        mutants: Sequence[Mutant],
        chooser: Chooser,
        zygotes: Sequence[Zygote],
        how: str,
        budget: float = BUDGET,
        *,
        is_last: bool = False,
    ) -> tuple[list[Mutant], list[Mutant]]:
        """Those that survive and are not explained, and those that cannot be put in.

        Each process has a thread that asks it.
        """
        survived: list[Mutant] = []
        others: list[Mutant] = []
        sound: set[str] = set()
        waiting = iter(mutants)
        lock = Lock()
        stopped: list[BaseException] = []

        def work(zygote: Zygote) -> None:
            while not stopped:
                with lock:
                    mutant = next(waiting, None)
                if mutant is None:
                    return
                try:
                    answer = attempted(mutant, chooser, zygote.attempt, sound, budget)
                    with lock:
                        if answer["outcome"] == "not warm":
                            others.append(mutant)
                        else:
                            told = self._outcomes[mutant.key] = _told(mutant, answer)
                            if is_last or answer["outcome"] == "uncovered":
                                told["tests"] = self._tests
                            if answer["outcome"] == "survived" and not explained(told, self._table):
                                survived.append(mutant)
                        done = len(mutants) - operator.length_hint(waiting)
                        self._keep(done, len(mutants), f"{how}: {mutant.file}")
                except BaseException as error:
                    stopped.append(error)

        threads = [Thread(target=work, args=(zygote,)) for zygote in zygotes]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        self._run.keep({"outcomes": self._outcomes})
        if stopped:
            raise stopped[0]
        return survived, others

    def _keep(self, done: int, total: int, what: str) -> None:
        self._run.progress(done, total, what)
        if time.monotonic() - self._said > _KEEP_SECONDS:
            self._said = time.monotonic()
            self._run.keep({"outcomes": self._outcomes})
            self._run.pause_if_due()


def _told(mutant: Mutant, answer: Outcome) -> Outcome:
    return {
        "file": mutant.file,
        "scope": mutant.scope,
        "operator": mutant.operator,
        "before": mutant.before,
        "after": mutant.after,
        **{name: answer[name] for name in ("outcome", "by", "ran", "of") if name in answer},
    }


Attempt = Callable[[str, str | None, Sequence[str], float], Outcome]


def attempted(
    mutant: Mutant,
    chooser: Chooser,
    attempt: Attempt,
    sound: set[str],
    budget: float = BUDGET,
) -> Outcome:
    """What became of one mutant. A test that kills is first seen to pass without it, once."""
    while True:
        tests, of = chooser.tests_for(mutant, budget)
        if not tests:
            return {"outcome": "uncovered", "of": of}
        answer = {**attempt(mutant.file, mutant.source, tests, _CPU + budget), "of": of}
        by = answer.get("by", "")
        if answer["outcome"] != "killed" or "::" not in by or by in sound:
            break
        if attempt(mutant.file, None, [by], _CPU)["outcome"] == "survived":
            sound.add(by)
            break
        chooser.unsound.add(by)
    if answer["outcome"] == "killed" and "::" in by:
        chooser.killed(mutant, by)
    return answer
