"""One part for each kind of caller: chunks of requests, each of a seed of its own, all kept."""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import hypothesis
import schemathesis
from hypothesis.errors import Flaky, Unsatisfiable
from schemathesis.core.failures import FailureGroup

from campaigns.api_fuzzing.callers import Caller
from mycelium_fractal_net import initialise
from tests.support.contract import contract_schema, machine, settings
from tests.support.service import start

if TYPE_CHECKING:
    from campaigns.frame.run import Run

    Case = schemathesis.Case[Any]

REQUESTS: Final = 16_700  # of each caller; 50,100 in all
_QUICK_REQUESTS: Final = 150
_EXAMPLES: Final = 3  # of an operation, right and wrong alike, in a chunk
_SCENARIOS, _STEPS = 4, 25  # of requests that are made of answers, in a chunk
_KEPT: Final = 40
_MODES: Final = (schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE)


class Chunk:
    """Requests of one seed, and what was seen: statuses by operation, and what was wrong."""

    def __init__(self, caller: Caller, seed: int) -> None:
        self._caller = caller
        self._seed = seed
        self._schema = contract_schema(seed, _EXAMPLES)
        self.answers: Counter[str] = Counter()
        self.wrong: Counter[str] = Counter()

    def run(self, most: int) -> None:
        """Send them: first each operation by itself, then those that follow from answers."""
        for found in self._schema.get_all_operations():
            for mode in _MODES:
                if self.answers.total() < most:
                    self._by_itself(found.ok(), mode)
        if self.answers.total() < most:
            self._of_answers()

    def _by_itself(self, operation: Any, mode: schemathesis.GenerationMode) -> None:
        @hypothesis.seed(self._seed)
        @settings(derandomize=False, max_examples=_EXAMPLES)
        @hypothesis.given(operation.as_strategy(generation_mode=mode))
        def ask(case: Case) -> None:
            headers = self._caller.headers(case)
            response = case.call(base_url=self._caller.service.url, headers=headers)
            self._answered(response, case)
            excluded = self._caller.excluded_checks
            try:
                case.validate_response(response, excluded_checks=excluded, headers=headers)
            except FailureGroup as failure:
                self._failed(failure)

        with contextlib.suppress(Unsatisfiable):  # nothing is wrong with what takes nothing
            ask()

    def _of_answers(self) -> None:
        caller = self._caller
        wandering = machine(
            self._schema,
            url=caller.service.url,
            headers=caller.headers,
            spare=caller.spare,
            answered=self._answered,
            failed=self._failed,
            excluded_checks=caller.excluded_checks,
        )
        # A name that was free in one scenario is taken in the next; Hypothesis calls that flaky.
        with contextlib.suppress(Flaky, FailureGroup):
            hypothesis.seed(self._seed)(wandering).run(
                settings=settings(
                    derandomize=False, max_examples=_SCENARIOS, stateful_step_count=_STEPS
                )
            )

    def _answered(self, response: schemathesis.Response, case: Case) -> None:
        self.answers[f"{case.operation.label} {response.status_code}"] += 1

    def _failed(self, failure: FailureGroup) -> None:
        for each in failure.exceptions:
            operation = getattr(each, "operation", "?")
            what = " ".join(str(each).split())[:200]
            self.wrong[f"{operation}: {type(each).__name__}: {what}"] += 1


def _fuzzed(kind: str, run: Run) -> dict[str, Any]:
    """Chunk after chunk until there were enough; each is kept, and the next run goes on."""
    most = _QUICK_REQUESTS if run.quick else REQUESTS
    kept = run.kept() or {"seed": 0, "answers": {}, "wrong": {}}
    answers, wrong = Counter(kept["answers"]), Counter(kept["wrong"])
    home = run.folder / f"home-{time.time_ns()}"
    initialise(home=home).close()
    service = start(home)
    try:
        caller = Caller.of(kind, service)
        while answers.total() < most:
            chunk = Chunk(caller, kept["seed"])
            chunk.run(most - answers.total())
            answers += chunk.answers
            wrong += chunk.wrong
            kept |= {"seed": kept["seed"] + 1, "answers": dict(answers)}
            kept["wrong"] = dict(wrong.most_common(_KEPT))
            run.keep(kept)
            run.progress(min(answers.total(), most), most, "requests")
            run.pause_if_due()
    finally:
        service.stop()
    return _figures(kept)


def _figures(kept: dict[str, Any]) -> dict[str, Any]:
    answers: dict[str, int] = kept["answers"]
    statuses: Counter[str] = Counter()
    for each, count in answers.items():
        statuses[each[-3:]] += count
    served = {each[:-4] for each in answers if each[-3] == "2"}
    wrong: dict[str, int] = kept["wrong"]
    return {
        "requests": sum(answers.values()),
        "seeds": kept["seed"],
        "statuses": dict(sorted(statuses.items())),
        "operations": len({each[:-4] for each in answers}),
        "served": len(served),
        "wrong": wrong,
        "failures": [f"{count} x {what}" for what, count in wrong.items()],
    }


def part_of(kind: str) -> Any:
    """The work of the part that has that kind of caller."""
    return partial(_fuzzed, kind)
