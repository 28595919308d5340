"""The section of docs/security_testing.md, written from the figures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from campaigns.frame.pages import table

if TYPE_CHECKING:
    from campaigns.frame.campaign import Results

_WHO: Final = {
    "nobody": "nobody: no API key",
    "data": "one who may work with the data of some keys",
    "administrator": "an administrator",
}


def section(results: Results) -> str:
    """What was sent, and what was wrong with an answer."""
    rows, wrong = [], []
    for name, figures in results.parts.items():
        statuses = ", ".join(f"{count:,} x {each}" for each, count in figures["statuses"].items())
        rows.append(
            (
                _WHO[name],
                f"{figures['requests']:,}",
                figures["operations"],
                figures["served"],
                statuses,
            )
        )
        wrong += [f"- {_WHO[name]}: {count} x {what}" for what, count in figures["wrong"].items()]
    head = ("who asks", "requests", "operations asked", "with success", "answers")
    total = sum(figures["requests"] for figures in results.parts.values())
    about = [
        f"{total:,} requests that [Schemathesis](https://schemathesis.io) made from",
        f"`docs/openapi.json`, on {results.machine}, ended on {results.ended}: of each",
        "operation right ones and such as are wrong on purpose, and scenarios of 25 steps along",
        "the links of the document, in which what one answer gives another request takes. Every",
        "answer is held against the document: its status, media type, headers and schema; none may",
        "be 5xx; what was ended is used no more; a request without credentials is refused. Of an",
        "administrator's requests the right ones must be taken and the wrong ones refused.",
    ]
    faults = ["What was wrong with an answer:", "", *wrong]
    none = ["No answer was 5xx, and none was other than documented."]
    return "\n".join([*about, "", table(head, rows), "", *(faults if wrong else none)])
