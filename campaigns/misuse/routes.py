"""Every text in every request of the OpenAPI document: members, parameters, headers."""

from __future__ import annotations

import copy
import json
import shutil
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from campaigns.misuse.in_turn import begun, count, in_turn
from campaigns.misuse.lines import faults_of_json_lines, faults_of_lines
from campaigns.misuse.payloads import FORGED, MARK, Payload, chosen
from campaigns.misuse.places import place, work_folder
from campaigns.misuse.wire import Door, Spoken, speak
from mycelium_fractal_net.security.records.keys import KEY_NAME

if TYPE_CHECKING:
    from campaigns.frame.campaign import Figures
    from campaigns.frame.run import Run
    from campaigns.misuse.places import Place

DOCUMENT: Final[dict[str, Any]] = json.loads(
    (Path(__file__).parents[2] / "docs" / "openapi.json").read_text()
)
_HEADERS: Final = (
    "X-API-Key",
    "Authorization",
    "Content-Type",
    "Content-Encoding",
    "X-Associated-Data",
    "Accept",
    "User-Agent",
    "X-Request-Id",
    "Forwarded",
    "X-Forwarded-For",
    "Origin",
    "Cookie",
    "Signature",
    "Signature-Input",
    "X-Signature",
    "X-Public-Key",
    "X-Signature-Timestamp",
    "X-Signature-Nonce",
    "Content-Digest",
    "Traceparent",
)  # those that are read, and those that others write into logs


@dataclass(frozen=True)
class Field:
    """One place for a text: an operation, and where in its request. ``path`` is into the body."""

    method: str
    route: str
    where: str  # body, name, path, query or header
    name: str
    path: tuple[str | int, ...] = ()

    def __str__(self) -> str:
        return f"{self.method} {self.route} {self.where} {self.name}"


def _resolved(schema: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in schema:
        schema = DOCUMENT["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]]
    return schema


def texts(
    schema: dict[str, Any], path: tuple[str | int, ...] = ()
) -> Iterator[tuple[str | int, ...]]:
    """The places in a value of that schema where a text may stand."""
    schema = _resolved(schema)
    for inner in (*schema.get("anyOf", ()), *schema.get("oneOf", ()), *schema.get("allOf", ())):
        yield from texts(inner, path)
    if schema.get("type") == "string" or "enum" in schema or "const" in schema:
        yield path
    for name, inner in schema.get("properties", {}).items():
        yield from texts(inner, (*path, name))
    if "items" in schema:
        yield from texts(schema["items"], (*path, 0))


def body_schema(operation: dict[str, Any]) -> dict[str, Any] | None:
    """The schema of an operation's JSON body."""
    content = operation.get("requestBody", {}).get("content", {})
    schema: dict[str, Any] | None = content.get("application/json", {}).get("schema")
    return schema


def fields() -> list[Field]:
    """Every field that takes text, numbers and enumerations of query and path among them."""
    found = []
    for route, item in DOCUMENT["paths"].items():
        for method, operation in item.items():
            verb = method.upper()
            found += [
                Field(verb, route, each["in"], each["name"])
                for each in operation.get("parameters", ())
            ]
            schema = body_schema(operation)
            if schema is not None:
                found += [
                    Field(verb, route, "body", "/".join(map(str, path)), path)
                    for path in dict.fromkeys(texts(schema))
                ]
                found.append(Field(verb, route, "name", "a member's name"))
            found.append(Field(verb, route, "query", "a parameter that is not there"))
    found += [Field("POST", "/crypto/encrypt", "header", name) for name in _HEADERS]
    return found


def example(schema: dict[str, Any]) -> Any:
    """A value of a schema: the document's own example where it has one."""
    schema = _resolved(schema)
    if schema.get("examples"):
        return copy.deepcopy(schema["examples"][0])
    if schema.get("anyOf"):
        return example(schema["anyOf"][0])
    kind = schema.get("type")
    if kind == "object":
        required = schema.get("required", ())
        return {name: example(schema["properties"][name]) for name in required}
    return {"array": [], "integer": 1, "boolean": False, "string": "a"}.get(str(kind))


def _put(value: Any, path: tuple[str | int, ...], text: str) -> Any:
    if not path:
        return text
    first, *rest = path
    if isinstance(first, int):
        items = value if isinstance(value, list) and value else [None]
        items[0] = _put(items[0], tuple(rest), text)
        return items
    members = value if isinstance(value, dict) else {}
    members[first] = _put(members.get(first), tuple(rest), text)
    return members


def request(field: Field, payload: Payload, api_key: str, *, raw: bool = False) -> bytes:
    """One request with the payload in the field; ``raw`` leaves out what encodes it in targets."""
    operation = DOCUMENT["paths"][field.route][field.method.lower()]
    octets = payload.text.encode("utf-8", "surrogatepass")
    target = field.route.encode()
    headers = {"Host": b"keys.example", "X-API-Key": api_key.encode()}
    schema = body_schema(operation)
    body = b""
    if schema is not None:
        value = example(schema)
        if field.where == "body":
            value = _put(value, field.path, payload.text)
        elif field.where == "name" and isinstance(value, dict):
            value[payload.text] = payload.text
        body = json.dumps(value).encode()
        headers["Content-Type"] = b"application/json"
    elif "requestBody" in operation:
        body, headers["Content-Type"] = b"abc", b"application/octet-stream"
    encoded = octets if raw else quote(octets, safe="").encode()
    if field.where == "path":
        target = target.replace(b"{%b}" % field.name.encode(), encoded)
    elif field.where == "query":
        name = encoded if "not there" in field.name else field.name.encode()
        target += b"?%b=%b" % (name, encoded)
    elif field.where == "header":
        # The end of a head in it would be one, and what stands behind a request of its own.
        headers[field.name] = octets.replace(b"\r\n\r\n", b"\r\n")
    target = b"/".join(b"orders" if part.startswith(b"{") else part for part in target.split(b"/"))
    lines = b"".join(b"%b: %b\r\n" % (name.encode(), value) for name, value in headers.items())
    if body:
        lines += b"Content-Length: %d\r\n" % len(body)
    return b"%b %b HTTP/1.1\r\n%b\r\n%b" % (field.method.encode(), target, lines, body)


class _Caller:
    """Sends one after the other on a connection that is made anew when it was closed."""

    def __init__(self, door: Door) -> None:
        self._door = door
        self._connection: socket.socket | None = None

    def ask(self, raw: bytes) -> Spoken:
        """What one request is answered."""
        for _ in range(2):
            if self._connection is None:
                self._connection = self._door.connect()
            spoken = speak(
                self._connection, [raw], of_head=raw.startswith(b"HEAD"), most=1, patience=10
            )
            if spoken.closed or not spoken.answers or b"connection: close" in spoken.heads.lower():
                self._connection.close()
                self._connection = None
            if spoken.answers:
                break
        return spoken


def work(run: Run) -> Figures:
    """Each payload in each field, one request each; then logs, audit records and folders."""
    state, folder = begun(run), work_folder()
    failures = state["failures"]
    try:
        with place(folder / "place", (), plain=True) as there:
            names = _names(folder)
            caller = _Caller(there.doors["alone"])
            wanted = fields()[:: 4 if run.quick else 1]
            for number, field in in_turn(run, state, wanted, "fields"):
                for payload in chosen(number, quick=run.quick):
                    for raw in (False, True) if field.where in ("path", "query") else (False,):
                        sent = request(field, payload, there.running.api_key, raw=raw)
                        status, faults = _asked(caller, sent, payload)
                        count(state, status)
                        failures += [
                            f"{field}, {payload.kind} {payload.text[:20]!a}: {each}"
                            for each in faults
                        ]
            more, home = _names(folder) - names, str(there.running.home)
            failures += [f"a file outside: {each}" for each in more if home not in each]
            failures += _written(there)
    finally:
        shutil.rmtree(folder)
    return {
        "fields": len(fields()),
        "requests": sum(state["counts"].values()),
        "statuses": state["counts"],
        "failures": failures[:200],
    }


def _asked(caller: _Caller, sent: bytes, payload: Payload) -> tuple[str, list[str]]:
    spoken = caller.ask(sent)
    if not spoken.answers:
        return "none", ["no answer"]
    answer, faults = spoken.answers[0], []
    if answer.status >= 500:
        faults.append(f"{answer.status} {answer.body[:200]!r}")
    if b"x-injected" in spoken.heads.lower() or FORGED.encode() in spoken.heads:
        faults.append("it stands in the head of the answer")
    if len(spoken.answers) != 1:
        faults.append("more answers than requests")
    if answer.status >= 400:
        text = payload.text
        is_name = KEY_NAME.fullmatch(text) is not None  # of a key that is there by now
        if len(text) > 6 and payload.is_unicode and not is_name and text.encode() in answer.body:
            faults.append(f"a problem repeats what the request held: {answer.body[:300]!r}")
        if not answer.body.isascii():
            faults.append("a problem is not in ASCII")
        json.loads(answer.body)
    return str(answer.status), faults


def _names(folder: Path) -> set[str]:
    found = {str(path) for path in folder.rglob("*")}
    return found | {str(path) for path in Path.cwd().iterdir()}


def _written(there: Place) -> list[str]:
    """What is wrong with the log, the audit records and what `mfn audit show` prints of them."""
    from campaigns.misuse.commands import ran

    faults = faults_of_json_lines(there.said().encode(), of="the log")
    for path in there.running.home.rglob("*.jsonl"):
        faults += faults_of_json_lines(path.read_bytes().rstrip(b"\0"), of="audit records")
    home = ("--home", str(there.running.home))
    shown = ran(*home, "audit", "show", "--limit", "100000")
    faults += faults_of_lines(shown.out.decode(errors="replace"), of="mfn audit show")
    faults += faults_of_lines(
        ran(*home, "credential", "list").out.decode(), of="mfn credential list"
    )
    if MARK in " ".join(_names(there.running.home)):
        faults.append("a shell ran what it was given")
    return faults
