"""Try mutants: warm first, then in a fresh import what could not be put in or survived."""

from __future__ import annotations

import operator
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from threading import Lock, Thread
from typing import Any, Final

from campaigns.frame.run import Run
from campaigns.mutation.choosing import Chooser
from campaigns.mutation.contexts import brought_up_to_date
from campaigns.mutation.mutants import Mutant
from campaigns.mutation.worker import Zygote, copied

_KEEP_SECONDS: Final = 10.0
_WORKERS: Final = 2
_CPU: Final = 60.0  # seconds for the tests of one mutant; they take a few
Outcome = dict[str, Any]
"""``outcome`` is killed, survived, timeout or uncovered; ``by`` names the test, ``ran`` counts."""


class Trial:
    """Mutants of some files, tried one after the other; each outcome is kept."""

    def __init__(self, run: Run, mutants: Sequence[Mutant]) -> None:
        self._run = run
        self._mutants = mutants
        self._outcomes: dict[str, Outcome] = run.kept().get("outcomes", {})
        self._said = time.monotonic()
        known = {each.key for each in mutants}
        for key in list(self._outcomes):
            if key not in known or self._outcomes[key]["outcome"] == "survived":
                del self._outcomes[key]  # its line was changed, or a new test may notice it

    def outcomes(self) -> dict[str, Outcome]:
        """Try what has no outcome yet; by the key of each mutant, what became of it."""
        left = [each for each in self._mutants if each.key not in self._outcomes]
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
            again = self._each(left, chooser, warm, "at once")
        with ExitStack() as closing:
            cold = [Zygote(tree, "cold") for tree in trees]
            for each in cold:
                closing.callback(each.close)
            self._each(again, chooser, cold, "imported anew")
        return self._outcomes

    def _each(
        self, mutants: Sequence[Mutant], chooser: Chooser, zygotes: Sequence[Zygote], how: str
    ) -> list[Mutant]:
        """Those that are to be tried another way. Each process has a thread that asks it."""
        again: list[Mutant] = []
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
                    answer = attempted(mutant, chooser, zygote.attempt, sound)
                    with lock:
                        if answer["outcome"] == "not warm" or (
                            answer["outcome"] == "survived" and how == "at once"
                        ):
                            again.append(mutant)
                        if answer["outcome"] != "not warm":
                            self._outcomes[mutant.key] = _told(mutant, answer)
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
        return again

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


def attempted(mutant: Mutant, chooser: Chooser, attempt: Attempt, sound: set[str]) -> Outcome:
    """What became of one mutant. A test that kills is first seen to pass without it, once."""
    while True:
        tests, of = chooser.tests_for(mutant)
        if not tests:
            return {"outcome": "uncovered", "of": of}
        answer = {**attempt(mutant.file, mutant.source, tests, _CPU), "of": of}
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
