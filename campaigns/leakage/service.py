"""The service on a real socket: every route, right and wrong, at log level debug; then a search."""

from __future__ import annotations

import json
import os
import secrets
import signal
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import httpx

from campaigns.frame.campaign import Figures
from campaigns.frame.run import Run
from campaigns.leakage import memory
from campaigns.leakage.requests import Markers, walked
from campaigns.leakage.search import HALF, Hit, Marker, Searcher, files_below
from campaigns.leakage.stores import made, secrets_in
from tests.support.service import Running, b64, start, unb64
from tests.support.tls import Authority, configured

LOG: Final = "standard error: the log at level debug"
AUDIT: Final = "audit segments"
MEMORY: Final = ("memory, serving", "memory, at exit")
_BY_DESIGN: Final = ("home/master.key", "home/first-api-key", "server.key", "server.pem")
"""Files that hold a secret because that is what they are for."""


_SENT: Final = ("plaintext", "associated data", "text of a wrong request")
NAME: Final = "name of a key that is not there"
"""What log and audit records say of a request that named it: no secret, and looked for all the same
since nothing else may have it."""
_RECORDED: Final = (LOG, AUDIT)


_FIELDS: Final = (("index", "context", "people"), ("deterministic", "associated_data", "countries"))


class _Found:
    """What was found of each kind, by place."""

    def __init__(self) -> None:
        self.places: dict[str, Counter[str]] = {}
        self.forms: dict[str, Counter[str]] = {}

    def take(self, place: str, hits: Iterable[Hit]) -> None:
        counts = self.places.setdefault(place, Counter())
        for hit in hits:
            counts[hit.kind if hit.form != HALF else f"{hit.kind}, half"] += 1
            self.forms.setdefault(place, Counter())[f"{hit.kind}: {hit.form}"] += 1


def routes(run: Run) -> Figures:
    """In text and without TLS; at full length in JSON over TLS as well."""
    figures = _served(run.folder / f"text-{os.getpid()}", tls=False)
    failures = figures.pop("failures")
    found = {"without TLS, logs in text": figures}
    if not run.quick:
        figures = _served(run.folder / f"json-{os.getpid()}", tls=True)
        failures += figures.pop("failures")
        found["over TLS, logs in JSON"] = figures
    return {**found, "failures": failures}


def _served(folder: Path, *, tls: bool) -> Figures:
    home = folder / "home"
    made(home)
    sent = Markers(
        *(Marker(kind, secrets.token_hex(20).encode()) for kind in (*_SENT, NAME)),
    )
    found = _Found()
    running, stderr = _started(folder, home, tls=tls)
    try:
        with running.client() as client:
            issued = _issued(client, sent.plaintext, sent.bound)
            markers = [*secrets_in(home), *sent, *issued]
            markers.append(Marker("credential", running.api_key.split("_", 2)[2].encode()))
            searcher, stored = Searcher(markers, halves=True), Searcher(secrets_in(home))
            asked = _asked(client, sent, searcher, stored, found)
            found.take("/metrics", searcher.hits(client.get("/metrics").content))
            found.take("answer of /audit", searcher.hits(client.get("/audit").content))
        pid = running.process.pid
        for name in ("environ", "cmdline"):
            found.take(f"/proc/PID/{name}", searcher.hits(Path(f"/proc/{pid}/{name}").read_bytes()))
        found.take(MEMORY[0], memory.hits(pid, searcher))
        seen = memory.at_exit(
            pid, lambda: os.kill(pid, signal.SIGTERM), lambda: memory.hits(pid, searcher)
        )
        found.take(MEMORY[1], seen)
        code = running.stop()
    finally:
        running.kill()
    found.take("standard output", searcher.hits(running.said.encode()))
    found.take(LOG, searcher.file(stderr))
    for place, hits in _files(folder, searcher, stderr):
        found.take(place, hits)
    failures = [
        f"{kind} is in: {place}, {count} times"
        for place, counts in found.places.items()
        for kind, count in counts.items()
        if place not in MEMORY and not (kind == NAME and place in _RECORDED)
    ]
    if code:
        failures.append(f"the service ended with {code}")
    return {
        "requests": sum(asked.values()),
        "answers": dict(sorted(asked.items())),
        "log_bytes": stderr.stat().st_size,
        "markers": dict(Counter(marker.kind for marker in markers)),
        "places": {place: dict(counts) for place, counts in found.places.items()},
        "forms": {place: dict(counts) for place, counts in found.forms.items()},
        "failures": failures,
    }


def _started(folder: Path, home: Path, *, tls: bool) -> tuple[Running, Path]:
    configuration, authority = folder / "config.json", Authority()
    settings: dict[str, Any] = {
        "log": {"level": "debug", "access": True, "format": "json" if tls else "text"},
        "server": {"request_signing": "off", "production": False},
    }
    if tls:
        authority.issue("127.0.0.1").write(folder)
        settings = {**json.loads(configured(folder).read_text()), "log": settings["log"]}
    else:
        settings["security"] = {"tls": {"required": False}}
    configuration.write_text(json.dumps(settings))
    stderr = folder / "stderr"
    with stderr.open("wb") as file:
        running = start(
            home,
            env={"MFN_CONFIG": str(configuration)},
            stderr=file,
            verify=authority.trusted() if tls else True,
        )
    return running, stderr


def _issued(client: httpx.Client, plaintext: Marker, bound: Marker) -> list[Marker]:
    """Everything that succeeds with data: and what secrets the service gave out for it."""
    body = {"data": b64(plaintext.value), "associated_data": b64(bound.value), "key_id": "orders"}
    sealed = _ok(client.post("/crypto/encrypt", json=body))["ciphertext"]
    given = {"ciphertext": sealed, "associated_data": b64(bound.value)}
    assert unb64(_ok(client.post("/crypto/decrypt", json=given))["data"]) == plaintext.value
    _ok(client.post("/crypto/rewrap", json=given))
    for name in ("encrypt", "decrypt"):
        items = [body] if name == "encrypt" else [given]
        _ok(client.post(f"/crypto/{name}/batch", json={"items": items}))
    octets = {"content-type": "application/octet-stream"}
    stream = {**octets, "x-associated-data": b64(bound.value)}
    content = plaintext.value * 1000
    message = client.post("/crypto/encrypt/stream?key_id=orders", content=content, headers=stream)
    opened = client.post("/crypto/decrypt/stream", content=message.content, headers=stream)
    assert opened.content == content
    for key_id, route in (("release", "sign"), ("curve", "sign"), ("codes", "mac")):
        _ok(client.post(f"/crypto/{route}", json={"data": body["data"], "key_id": key_id}))
    found = []
    for _ in range(3):
        made = _ok(client.post("/crypto/datakey", json={"key_id": "orders"}))
        found.append(Marker("data key", unb64(made["plaintext"])))
        for kind, member, key_id in _FIELDS:
            asked = {"key_id": key_id, member: b64(plaintext.value)}
            made = _ok(client.post(f"/crypto/{kind}/fieldkeys", json=asked))
            found.append(Marker("key of a field", unb64(made["keys"][0]["key"])))
        made = _ok(client.post("/credentials", json={"name": "leak", "scopes": ["encrypt:*"]}))
        found.append(Marker("credential", made["api_key"].split("_", 2)[2].encode()))
    return found


def _ok(answer: httpx.Response) -> dict[str, Any]:
    assert answer.status_code in (200, 201), (answer.request.url.path, answer.status_code)
    decoded: dict[str, Any] = answer.json()
    return decoded


def _asked(
    client: httpx.Client, sent: Markers, searcher: Searcher, stored: Searcher, found: _Found
) -> Counter[str]:
    """Send every request; search the answers. Errors may hold no marker, others no stored key."""
    statuses: Counter[str] = Counter()
    for request in walked(sent):
        answer = client.request(
            request.method, request.path, headers=request.headers, content=request.content
        )
        statuses[str(answer.status_code)] += 1
        whole = repr(answer.headers).encode() + answer.content
        if answer.status_code >= 400:
            found.take("answers that are errors", searcher.hits(whole))
        else:
            found.take("other answers: keys of the store", stored.hits(whole))
    return statuses


def _files(folder: Path, searcher: Searcher, stderr: Path) -> Iterator[tuple[str, list[Hit]]]:
    """By kind of file; the database with its write-ahead log, and whatever else was left."""
    places: dict[str, list[Hit]] = {AUDIT: [], "database": [], "other files": []}
    for path in files_below(folder):
        name = str(path.relative_to(folder))
        if path == stderr or name in _BY_DESIGN:
            continue
        place = "other files"
        if name.endswith(".jsonl"):
            place = AUDIT
        elif ".db" in path.name:
            place = "database"
        places[place] += searcher.file(path)
    yield from places.items()
