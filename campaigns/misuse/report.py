"""The section of docs/security_testing.md that a run of this campaign writes."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from campaigns.frame.pages import table
from campaigns.misuse.payloads import KINDS, PAYLOADS
from campaigns.misuse.smuggling import DIFFERS, NOT_ANSWERED, ONE, PIPELINED, REFUSED

if TYPE_CHECKING:
    from campaigns.frame.campaign import Results

_SHOWN: Final = {
    REFUSED: "refused",
    ONE: "one",
    PIPELINED: "several",
    NOT_ANSWERED: "silent",
    DIFFERS: "**differs**",
}
_PARTS: Final = ("requests", "routes", "commands", "settings", "files")
_DOORS: Final = ("alone", "nginx", "haproxy")

_INJECTION: Final = """
### Texts in every field

{payloads} texts of {kinds} kinds ({names}): in every field that takes text one of each kind, in
turn. Routes: all members, parameters and headers of the OpenAPI document, of a running service,
with an API key that may do everything; numbers and enumerations too, parameters encoded and raw.
Command line: each option and argument that takes a value. Settings: each, from a file, and each
variable. Files: every text that Linux takes for a name, as a file in a folder of that name.

A field passes where each text was refused clearly or was data: no answer of 5xx, no problem that
repeats what the request held, no header and no line of its own, no error that nobody expected, no
traceback, no file beside what was named, no shell. What is printed has printable characters
alone; log and audit records are a line of printable ASCII each.

{rows}

Names of keys and signers are ASCII, `[a-z0-9][a-z0-9._-]{{0,63}}`; those of credentials printable
ASCII: no letter of another script looks like one of theirs, and no two spellings of one name
exist. `0` and `o`, `1` and `l` are different names that look alike in some fonts; ids of
credentials are made by the service.

Not tried: the columns of a database, whose text is data to a driver that binds it; shells' own
completion; `mfn serve` by its options, which are settings; texts of two kinds in one.
"""

_SMUGGLING: Final = """
### Requests with two readings

{connections} connections, {differing} on which two sides read different requests. Each technique
is sent raw, in TLS; then somebody else asks on a connection of his own. Every answer of the
service has a request id that its log has too: a request that the log knows and that nobody was
answered, or whose answer went to somebody else, is a difference, and so is an address that the
client chose. nginx and HAProxy are Debian 12's, with [the configuration of the
documents](deployment.md#behind-nginx-or-haproxy): connections to the service are reused, TLS is
on both sides, HTTP/2 and HTTP/1.1 in front. The control is a front and a service that disagree on
one CL.TE request: a run that does not find it fails.

*Refused*: one answer, an error of proxy or service. *One*: served as the one request that it is.
*Several*: more than one request, each read as one by both sides and answered to whoever sent it;
what stands behind a body that both sides end at the same place is a request. *Silent*: the stream
or connection ended without an answer, or more was waited for.

{families}

<details><summary>Each technique, with the statuses, and who answered first</summary>

{techniques}

</details>

Not tried: HTTP/3; other proxies, and other versions of these two; pauses of more than 50 ms
between the parts of a request.
"""


def section(results: Results) -> str:
    """The text between the markers."""
    text = f"{results.seconds:.0f} s, ended {results.ended}: {results.machine}.\n"
    missing = [each for each in _PARTS if each not in results.parts]
    if missing:
        text += f"Not finished, and not in these figures: {', '.join(missing)}.\n"
    if {"routes", "commands", "settings", "files"} & results.parts.keys():
        text += _injection(results)
    if "requests" in results.parts:
        text += _requests(results.parts["requests"])
    return text


def _injection(results: Results) -> str:
    rows: list[tuple[object, ...]] = []
    for part, fields, what in (
        ("routes", "fields", "statuses"),
        ("commands", "options", "codes"),
        ("settings", "settings", "codes"),
        ("files", "names", "codes"),
    ):
        if part not in results.parts:
            continue
        figures = results.parts[part]
        outcomes = sorted(figures[what].items(), key=lambda each: -each[1])
        told = ", ".join(f"{name}: {count:,}" for name, count in outcomes)
        rows.append(
            (
                part,
                figures[fields],
                f"{sum(figures[what].values()):,}",
                told,
                len(figures["failures"]),
            )
        )
    heads = ("where", "fields", "tries", "statuses or exit codes", "failed")
    return _INJECTION.format(
        payloads=len(PAYLOADS), kinds=len(KINDS), names=", ".join(KINDS), rows=table(heads, rows)
    )


def _requests(figures: dict[str, Any]) -> str:
    verdicts: dict[tuple[str, str], dict[str, tuple[str, str]]] = {}
    for door in _DOORS:
        for family, name, reading, statuses, _ in (
            figures["doors"].get(door, {}).get("verdicts", ())
        ):
            verdicts.setdefault((family, name), {})[door] = reading, statuses
    readings = [reading for each in verdicts.values() for reading, _ in each.values()]
    return _SMUGGLING.format(
        connections=len(readings),
        differing=readings.count(DIFFERS) or "none",
        families=_families(verdicts),
        techniques=table(
            ("family", "technique", "alone", "nginx", "HAProxy"),
            (
                (family, f"`{name.replace('`', '')}`", *(_told(each.get(door)) for door in _DOORS))
                for (family, name), each in verdicts.items()
            ),
        ),
    )


def _families(verdicts: dict[tuple[str, str], dict[str, tuple[str, str]]]) -> str:
    rows = []
    for family in dict.fromkeys(family for family, _ in verdicts):
        of_family = [each for key, each in verdicts.items() if key[0] == family]
        row: list[object] = [family, len(of_family)]
        for door in _DOORS:
            counts = Counter(each[door][0] for each in of_family if door in each)
            told = (f"{counts[reading]} {_SHOWN[reading]}" for reading in _SHOWN if counts[reading])
            row.append(", ".join(told) or "not applicable")
        rows.append(row)
    return table(("family", "techniques", "alone", "nginx", "HAProxy"), rows)


def _told(verdict: tuple[str, str] | None) -> str:
    return "-" if verdict is None else f"{_SHOWN[verdict[0]]} {verdict[1]}".strip()
