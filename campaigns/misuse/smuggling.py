"""Whether a front and the service behind it read the same requests, by the log of the service.

On one connection the technique is sent; then somebody else, on a connection of his own, asks for
what everybody may. Each answer of the service carries a request id, which its log has too: a
request that the log knows, and that nobody was answered, was smuggled; so was one whose answer went
to somebody else.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from campaigns.misuse.h2_techniques import H2Technique, sent_as_h2
from campaigns.misuse.techniques import GET, Technique
from campaigns.misuse.wire import CLIENT, NO_ANSWER_SECONDS, Spoken, received, speak

if TYPE_CHECKING:
    from campaigns.misuse.places import Entry
    from campaigns.misuse.wire import Door

REFUSED: Final = "refused"
ONE: Final = "one request"
PIPELINED: Final = "as many as answers"
NOT_ANSWERED: Final = "no answer"
DIFFERS: Final = "DIFFERS"
_VICTIM: Final = (GET + b"\r\n",)
_SETTLED_SECONDS: Final = 1.0
_VICTIM_SECONDS: Final = 10.0  # who waits for an answer gets one, however busy the machine is

Log = Callable[[], "Mapping[str, Entry]"]


@dataclass(frozen=True)
class Verdict:
    """What became of a technique at one door, and what differed if anything did."""

    reading: str
    statuses: tuple[int, ...]
    by: str  # who answered first: the service, the proxy, or nobody
    why: str = ""


def judged(
    technique: Technique | H2Technique,
    door: Door,
    log: Log,
    api_key: bytes,
    *,
    patience: float = NO_ANSWER_SECONDS,
) -> Verdict:
    """Send it, then be somebody else, and compare the answers with the log."""
    before = set(log())
    if isinstance(technique, H2Technique):
        with door.connect(("h2",)) as connection:
            spoken = sent_as_h2(connection, technique, api_key, patience)
            others = [asked(door)]
        return compared(spoken, others, log, before)
    parts = [part.replace(b"API_KEY", api_key) for part in technique.parts]
    with door.connect() as connection:
        spoken = speak(connection, parts, of_head=parts[0].startswith(b"HEAD"), patience=patience)
        others = [asked(door)]
        more = received(connection, 0.01) if not spoken.closed else None
        if more:
            spoken.rest += more
    return compared(spoken, others, log, before, open_to_all=technique.open_to_all)


def asked(door: Door) -> Spoken:
    """What somebody else is answered, twice on a connection of his own."""
    with door.connect() as connection:
        first = speak(connection, _VICTIM, most=1, patience=_VICTIM_SECONDS)
        if first.closed:
            return first
        second = speak(connection, _VICTIM, most=1, patience=_VICTIM_SECONDS)
    return Spoken(first.answers + second.answers, second.closed, second.rest)


def compared(
    spoken: Spoken, others: list[Spoken], log: Log, before: set[str], *, open_to_all: bool = True
) -> Verdict:
    """The verdict, from what everybody was answered and what the log has beyond ``before``."""
    everybody = [*spoken.answers, *(each for one in others for each in one.answers)]
    known = {each.request_id for each in everybody if each.request_id is not None}
    served = {each.request_id for each in everybody if each.request_id and each.status < 300}
    deadline = time.monotonic() + _SETTLED_SECONDS
    while True:
        new = {name: entry for name, entry in log().items() if name not in before}
        if served <= set(new) or time.monotonic() > deadline:
            break
        time.sleep(0.01)
    statuses = tuple(each.status for each in spoken.answers)
    first = spoken.answers[0] if spoken.answers else None
    by = "nobody" if first is None else "the service" if first.request_id else "the proxy"
    faults = []
    unanswered = [  # without a status the front went away before the service answered
        f"{entry.method} {entry.operation}"
        for name, entry in new.items()
        if name not in known and entry.status is not None
    ]
    if unanswered:
        faults.append(f"served and not answered: {', '.join(unanswered)}")
    if served - set(new):
        faults.append("an answer that the log does not know")
    for one in others:
        faults += [
            f"somebody else was answered {answer.status}"
            for answer in one.answers
            if answer.status != 200 or json.loads(answer.body) != {"status": "ok"}
        ]
        if len(one.answers) != 2 or one.rest:
            faults.append("somebody else was not answered")
    strangers = {e.client for name, e in new.items() if e.client not in (CLIENT, None)}
    if strangers:
        faults.append(f"another client's address: {', '.join(sorted(strangers))}")
    if not open_to_all and 200 in statuses and any(b'"keys"' in a.body for a in spoken.answers):
        faults.append("answered to a caller without a key")
    if spoken.rest.startswith(b"HTTP/"):
        faults.append("an answer that was not whole")
    if faults:
        return Verdict(DIFFERS, statuses, by, "; ".join(dict.fromkeys(faults)))
    return Verdict(_reading(statuses), statuses, by)


def _reading(statuses: tuple[int, ...]) -> str:
    if not statuses:
        return NOT_ANSWERED
    if statuses[0] >= 300 and len(statuses) == 1:
        return REFUSED
    return ONE if len(statuses) == 1 else PIPELINED
