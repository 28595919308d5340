"""One client of the service that is loaded: it asks, times, and notes what it did not expect."""

from __future__ import annotations

import re
import time
from collections import Counter, defaultdict
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import httpx

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_KEPT: Final = 50  # descriptions of what was unexpected; the rest is counted
_TIMEOUT_SECONDS: Final = 60.0
NONE: Final = ""
"""In place of an API key: the request has none."""


class UnexpectedAnswerError(Exception):
    """An answer that is not what the request must get; its story cannot go on."""


@dataclass
class Ledger:
    """What all clients of one run saw: answers, their times, and what was unexpected."""

    seconds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    answers: Counter[str] = field(default_factory=Counter)
    """How many of each ``OPERATION STATUS``, the operation as in the OpenAPI document."""
    unexpected: Counter[str] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)

    def note(self, operation: str, status: int, seconds: float) -> None:
        """Count an answer."""
        self.answers[f"{operation} {status}"] += 1
        self.seconds[operation].append(seconds)

    def complain(self, operation: str, what: str, text: str = "") -> None:
        """Count what should not be."""
        self.unexpected[f"{operation}: {what}"] += 1
        if len(self.examples) < _KEPT:
            self.examples.append(f"{operation}: {what} {text[:300]}".strip())

    def add(self, other: Ledger) -> None:
        """Take over what another one saw."""
        for operation, seconds in other.seconds.items():
            self.seconds[operation] += seconds
        self.answers += other.answers
        self.unexpected += other.unexpected
        self.examples += other.examples[: _KEPT - len(self.examples)]

    def times(self, *operations: str) -> list[float]:
        """How long the answers of these operations took, of all where none is named."""
        names = operations or tuple(self.seconds)
        return [each for name in names for each in self.seconds[name]]

    def served(self) -> set[str]:
        """The operations that had an answer of success."""
        return {each[:-4] for each in self.answers if each[-3:-2] == "2"}


class Caller:
    """A client with a connection of its own, which it gives up when it is asked to."""

    def __init__(
        self,
        url: str,
        api_key: str,
        ledger: Ledger,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.url = url
        self.api_key = api_key
        self.ledger = ledger
        self._clock = clock
        self._client = httpx.Client(base_url=url, timeout=_TIMEOUT_SECONDS)

    def reconnect(self) -> None:
        """Use another connection from now on, which another worker may accept."""
        self._client.close()
        self._client = httpx.Client(base_url=self.url, timeout=_TIMEOUT_SECONDS)

    def close(self) -> None:
        """End the connection."""
        self._client.close()

    def ask(
        self,
        operation: str,
        expected: int = 200,
        slug: str | None = None,
        *,
        api_key: str | None = None,
        signs: Callable[[httpx.Request], httpx.Request] | None = None,
        path: dict[str, str] | None = None,
        **request: Any,
    ) -> Any:
        """One request and its answer: JSON, or bytes where it is something else.

        ``operation`` is such as ``POST /keys/{key_id}/rotate``, ``path`` fills it in. A refusal
        must be the problem ``slug``. Raises :class:`UnexpectedAnswerError`.
        """
        method, _, template = operation.partition(" ")
        target = re.sub(r"\{(\w+)\}", lambda found: (path or {})[found[1]], template)
        key = self.api_key if api_key is None else api_key
        headers = {**({"X-API-Key": key} if key else {}), **request.pop("headers", {})}
        made = self._client.build_request(method, target, headers=headers, **request)
        if signs is not None:
            signs(made)
        began = self._clock()
        try:
            answer = self._client.send(made)
        except httpx.HTTPError as error:
            self.ledger.complain(operation, type(error).__name__, str(error))
            raise UnexpectedAnswerError(operation) from error
        self.ledger.note(operation, answer.status_code, self._clock() - began)
        kind = answer.headers.get("content-type", "")
        body: Any = answer.json() if kind.endswith("json") else answer.content
        if answer.status_code != expected:
            self.ledger.complain(operation, f"{answer.status_code}, not {expected}", answer.text)
            raise UnexpectedAnswerError(operation)
        if slug is not None and body["type"] != f"/problems/{slug}":
            self.ledger.complain(operation, f"{body['type']}, not {slug}", answer.text)
            raise UnexpectedAnswerError(operation)
        return body

    def expect(self, right: bool, operation: str, what: str) -> None:
        """Complain unless it is ``right``. Raises :class:`UnexpectedAnswerError`."""
        if not right:
            self.ledger.complain(operation, what)
            raise UnexpectedAnswerError(operation)


@contextmanager
def calling(url: str, api_key: str, ledger: Ledger) -> Iterator[Caller]:
    """A caller, closed at the end."""
    caller = Caller(url, api_key, ledger)
    try:
        yield caller
    finally:
        caller.close()
