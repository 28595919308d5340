"""The misuse campaign's own logic: what it sends, and how it tells that something differs."""

from __future__ import annotations

from pathlib import Path

import pytest

from campaigns.misuse.commands import options
from campaigns.misuse.file_names import names
from campaigns.misuse.h2_techniques import H2Technique, h2_techniques
from campaigns.misuse.heads import techniques
from campaigns.misuse.lines import faults_of_json_lines, faults_of_lines
from campaigns.misuse.payloads import KINDS, PAYLOADS, chosen
from campaigns.misuse.places import Entry, documented, local
from campaigns.misuse.routes import DOCUMENT, fields, request
from campaigns.misuse.settings import settings
from campaigns.misuse.smuggling import DIFFERS, ONE, PIPELINED, REFUSED, compared
from campaigns.misuse.techniques import Technique
from campaigns.misuse.wire import CLIENT, Answer, Spoken, _answer

OK = b'{"status":"ok"}'


def _served(name: str, operation: str = "health.live", client: str = CLIENT) -> Entry:
    return Entry(name, operation, 200, client, "GET")


def _verdict(spoken: Spoken, log: dict[str, Entry], *, victim: bytes = OK) -> str:
    other = Spoken([Answer(200, "v1", victim), Answer(200, "v2", OK)])
    known = {**log, "v1": _served("v1"), "v2": _served("v2")}
    return compared(spoken, [other], lambda: known, set()).reading


def test_what_is_answered_to_whoever_sent_it_does_not_differ() -> None:
    """One request, several, and one that was refused before it came to the log."""
    one = Answer(200, "a", OK)
    assert _verdict(Spoken([one]), {"a": _served("a")}) == ONE
    two = Spoken([one, Answer(200, "b", b"{}")])
    assert _verdict(two, {"a": _served("a"), "b": _served("b")}) == PIPELINED
    assert _verdict(Spoken([Answer(400, "c", b"{}")], closed=True), {}) == REFUSED


@pytest.mark.parametrize(
    ("answers", "served"),
    [
        ([Answer(200, "a", OK)], ["a", "hidden"]),
        ([Answer(400, None, b"")], ["hidden"]),
        ([], ["hidden"]),
    ],
)
def test_a_request_that_nobody_was_answered_differs(
    answers: list[Answer], served: list[str]
) -> None:
    """That is what a smuggled one looks like from outside."""
    assert _verdict(Spoken(answers), {name: _served(name) for name in served}) == DIFFERS


def test_an_answer_that_went_to_somebody_else_differs() -> None:
    """And a client's address that the client chose; and an answer that the log does not know."""
    spoken, log = Spoken([Answer(200, "a", OK)]), {"a": _served("a")}
    assert _verdict(spoken, log, victim=b'{"keys":[]}') == DIFFERS
    assert _verdict(spoken, {"a": _served("a", client="192.0.2.1")}) == DIFFERS
    assert _verdict(spoken, {}) == DIFFERS


def test_answers_are_taken_apart() -> None:
    """By their length, by chunks, without a body; an interim one is none; half of one waits."""
    head = b"HTTP/1.1 200 OK\r\nX-Request-Id: a\r\n"
    assert _answer(head + b"Content-Length: 2\r\n\r\nabHTTP", of_head=False) == (
        Answer(200, "a", b"ab"),
        57,
    )
    chunked = head + b"Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n"
    assert _answer(chunked, of_head=False) == (Answer(200, "a", b"ab"), len(chunked))
    assert _answer(chunked[:-1], of_head=False) is None
    assert _answer(head + b"Content-Length: 9\r\n\r\n", of_head=True) == (Answer(200, "a", b""), 55)
    assert _answer(b"HTTP/1.1 100 Continue\r\n\r\n", of_head=False) == (None, 25)


def test_every_technique_has_a_name_of_its_own() -> None:
    """So that a row of the table is one of them; and each of HTTP/1.1 ends or is cut off."""
    found: list[Technique | H2Technique] = [*techniques(), *h2_techniques()]
    assert len({(each.family, each.name) for each in found}) == len(found) > 400
    assert {each.family for each in found} >= {
        "CL.TE",
        "TE.CL",
        "TE.0",
        "CL.0",
        "0.CL",
        "Expect",
        "HTTP/2",
    }


@pytest.mark.parametrize("name", ["nginx", "haproxy"])
def test_the_documented_configuration_runs_here_with_other_places_alone(name: str) -> None:
    """What is tested is what is documented: nothing else of it is changed."""
    text = documented(name)
    here = local(text, Path("/there"), 1234, 5678)
    assert "192.0.2." not in here
    assert "/etc/mfn" not in here
    changed = [
        (old, new)
        for old, new in zip(text.split("\n"), here.split("\n"), strict=True)
        if old != new
    ]
    assert all(
        old.split()[0] in ("server", "listen", "bind", "default-server") or "/etc/mfn/" in old
        for old, _ in changed
    )


def test_fields_are_those_of_the_document() -> None:
    """Every operation, every place for a text; each request is whole."""
    found = fields()
    operations = {(each.method, each.route) for each in found}
    assert operations == {
        (method.upper(), route) for route, item in DOCUMENT["paths"].items() for method in item
    }
    assert {
        "POST /credentials body name",
        "POST /crypto/encrypt/batch body items/0/data",
        "GET /keys/{key_id} path key_id",
        "GET /audit query cursor",
        "POST /crypto/encrypt/stream header X-Associated-Data",
    } <= {str(each) for each in found}
    for field in found:
        raw = request(field, PAYLOADS[0], "key")
        assert raw.startswith(f"{field.method} /".encode())
        assert b"{" not in raw.split(b" ")[1]


def test_every_kind_is_tried_in_the_short_form_too() -> None:
    """One payload for a field, in turn."""
    tried = {each.kind for place in range(len(PAYLOADS)) for each in chosen(place, quick=True)}
    assert tried == set(KINDS)
    assert [each.kind for each in chosen(3, quick=False)] == list(KINDS)
    assert {each for place in range(60) for each in chosen(place, quick=False)} == set(PAYLOADS)
    assert len(names()) > 60


def test_options_and_settings_are_walked() -> None:
    """What takes a value, of each command; each setting, down to the last section."""
    told = {f"{' '.join(each.words)} {each.name}" for each in options()}
    assert {
        "key create name",
        "credential create --scope",
        "encrypt --output",
        "audit show --actor",
    } <= told
    assert {
        "server.trusted_proxies",
        "security.key_management.pkcs11_uri",
        "home",
        "audit.folder",
    } <= {*settings()}


def test_lines_are_looked_at() -> None:
    """A control is found, and JSON that is none, or is not ASCII."""
    assert faults_of_lines("plain\ncaf\u00e9\n", of="a") == []
    assert len(faults_of_lines("a\x1bb\nc\u202ed\n", of="a")) == 2
    assert faults_of_json_lines(b'{"a":"\\u202e"}\n', of="a") == []
    assert len(faults_of_json_lines('{"a":"\u202e"}\nforged\n{"a":"\x7f"}\n'.encode(), of="a")) == 3
