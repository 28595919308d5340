"""What of a request's head must be signed, and that it is judged before the body comes."""

from __future__ import annotations

import ast
import json
import re
import select
import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

import mycelium_fractal_net
from mycelium_fractal_net import initialise
from mycelium_fractal_net.client import Client, RequestSigner
from mycelium_fractal_net.security.http_signatures.coverage import BODY_FIELDS, WHEN_SENT
from tests.support.service import b64, start, unb64
from tests.support.signing import Peer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.service import Running

PACKAGE = Path(mycelium_fractal_net.__file__).parent
OCTETS = {"Content-Type": "application/octet-stream"}
BOUND = b"row 17"

# Headers of requests that are looked at and need not be signed, and why.
NEED_NOT = {
    "host": "the authority is signed, and the service takes it from its configuration",
    "content-length": "the digest is signed of all of the body",
    "transfer-encoding": "the digest is signed of all of the body",
    "upgrade": "refused",
    "expect": "when the body comes, not what happens to it",
    "content-encoding": "refused, unless it says that there is none",
    "x-forwarded-for": "believed of proxies alone, and for rates",
    "forwarded": "never believed",
    "authorization": "becomes the X-API-Key of a scraper, which nobody can sign so",
    "signature": "is the signature",
    "signature-input": "signed as @signature-params",
    "x-signature-nonce": "signed by the plan's profile",
    "x-signature-timestamp": "signed by the plan's profile",
}


def looked_at(folder: Path) -> set[str]:
    """The names of headers that the code below a folder compares with, looks up, or lists."""
    found: set[str] = set()
    for file in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            places: list[ast.expr] = []
            if isinstance(node, ast.Compare):
                places = [node.left, *node.comparators]
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                places = node.args if node.func.attr in ("get", "pop") else []
            elif isinstance(node, ast.Subscript):
                places = [node.slice]
            elif isinstance(node, ast.Set):
                places = node.elts
            for constant in (each for place in places for each in ast.walk(place)):
                if isinstance(constant, ast.Constant) and isinstance(constant.value, bytes):
                    name = constant.value.decode("latin-1")
                    if re.fullmatch("[a-z]+(-[a-z0-9]+)*", name):
                        found.add(name)
    return found - {"identity", "chunked", "bearer"}  # values


def test_every_header_that_a_route_looks_at_is_signed_when_it_is_sent() -> None:
    """Or it is known why it need not be; one that is new fails here until that is decided."""
    found = looked_at(PACKAGE / "api") | looked_at(PACKAGE / "security" / "signed_requests")
    assert {"x-api-key", "x-associated-data", "content-type"} <= found
    assert found - NEED_NOT.keys() == found & {*WHEN_SENT, *BODY_FIELDS}


def test_every_header_in_the_description_of_the_service_is_signed_when_it_is_sent() -> None:
    """The OpenAPI document names what a caller may send."""
    document = json.loads((PACKAGE.parents[1] / "docs" / "openapi.json").read_text())

    def named(part: Any) -> Iterator[str]:
        if isinstance(part, dict):
            if part.get("in") == "header":
                yield part["name"].lower()
            part = list(part.values())
        for each in part if isinstance(part, list) else ():
            yield from named(each)

    assert {*named(document)} == {*WHEN_SENT}


@pytest.fixture(scope="module")
def signed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Running, Peer]]:
    """A service that asks for signatures, and a peer who may give them."""
    home = tmp_path_factory.mktemp("signed") / "home"
    peer = Peer("peer")
    with initialise(home=home) as keyring:
        keyring.provider.signers.add("peer", peer.public_key, any_credential=True)
    with (home.parent / "log").open("wb") as log:
        running = start(home, env={"MFN_REQUEST_SIGNING": "required"}, stderr=log)
    peer.authority = running.url.partition("://")[2]
    yield running, peer
    assert running.stop() == 0


def sent(request: httpx.Request) -> httpx.Response:
    with httpx.Client(timeout=30.0) as client:
        return client.send(request)


def stream(running: Running, direction: str, body: bytes, **headers: str) -> httpx.Request:
    return httpx.Request(
        "POST", f"{running.url}/crypto/{direction}/stream", content=body,
        headers={**OCTETS, "X-API-Key": running.api_key, **headers},
    )  # fmt: skip


def test_associated_data_of_a_signed_stream_can_be_neither_changed_nor_added(
    signed: tuple[Running, Peer],
) -> None:
    """Whoever stands between would bind the message to something else; our client signs it."""
    running, peer = signed
    bound = {"X-Associated-Data": b64(BOUND)}
    for honest, change in (
        (stream(running, "encrypt", b"data", **bound), {"X-Associated-Data": b64(b"row 18")}),
        (stream(running, "encrypt", b"data"), bound),
    ):
        peer.sign(honest)
        forged = httpx.Request("POST", honest.url, content=b"data", headers=honest.headers)
        forged.headers.update(change)
        assert sent(forged).status_code == 401
        assert sent(honest).status_code == 200
    uncovered = stream(running, "encrypt", b"data", **bound)
    value = uncovered.headers.pop("X-Associated-Data")
    peer.sign(uncovered).headers["X-Associated-Data"] = value
    assert sent(uncovered).status_code == 401


def test_our_client_signs_the_associated_data_of_a_stream(
    signed: tuple[Running, Peer], tmp_path: Path
) -> None:
    """So that the service takes it, and what it made opens with that data alone."""
    running, peer = signed
    (tmp_path / "a").write_bytes(b"data")
    with Client(running.url, running.api_key, auth=RequestSigner(peer.key, "peer")) as remote:
        remote.encrypt_stream(tmp_path / "a", tmp_path / "b", associated_data=BOUND)
        message = (tmp_path / "b").read_bytes()
        assert remote.decrypt(message, associated_data=BOUND) == b"data"


def test_the_plans_profile_takes_no_header_that_it_does_not_sign(
    signed: tuple[Running, Peer],
) -> None:
    """Its ten lines have no room for it."""
    running, peer = signed
    request = httpx.Request("GET", f"{running.url}/keys", headers={"X-API-Key": running.api_key})
    bound = httpx.Request("GET", request.url, headers={**request.headers, "X-Associated-Data": ""})
    assert sent(peer.sign_plan(request)).status_code == 200
    assert sent(peer.sign_plan(bound)).status_code == 401


def test_the_log_says_why_a_request_was_refused_and_the_answer_does_not(
    signed: tuple[Running, Peer],
) -> None:
    """One line with the id that the answer has, the reason and the keyid."""
    running, peer = signed
    elsewhere = Peer("peer", peer.key, "other.example.com")
    refused = sent(elsewhere.sign(stream(running, "encrypt", b"data")))
    assert refused.status_code == 401
    lines = (running.home.parent / "log").read_text().splitlines()
    (line,) = [each for each in lines if refused.headers["x-request-id"] in each]
    assert "keyid 'peer'" in line
    assert f"authority (here it is {peer.authority})" in line
    assert "authority" not in refused.text


# The head comes first ---------------------------------------------------------------------------

CONNECTIONS = 40
DECLARED = 8_000_000
_JUNK_KEY = b64(b"\x01" * 32)
JUNK = {
    "no signature at all": {"Signature": "x"},
    "a key that nobody registered": {
        "X-Signature": b64(bytes(64)), "X-Public-Key": _JUNK_KEY,
        "X-Signature-Timestamp": "{now}", "X-Signature-Nonce": "n" * 22,
    },
}  # fmt: skip


def memory(running: Running, name: str) -> int:
    """Bytes of all workers by that name of ``/proc/PID/status``."""
    total = 0
    for pid in running.workers():
        found = re.search(rf"{name}:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
        assert found
        total += int(found[1]) * 1024
    return total


@pytest.mark.parametrize("junk", JUNK)
def test_a_body_is_not_read_for_a_signature_that_is_junk(
    signed: tuple[Running, Peer], junk: str
) -> None:
    """40 connections that announce 8 MB each and send 2 hold next to nothing, and are refused."""

    running, _ = signed
    lines = {
        name: value.replace("{now}", str(int(time.time()))) for name, value in JUNK[junk].items()
    }
    head = (
        f"POST /crypto/encrypt HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
        f"X-API-Key: {running.api_key}\r\nContent-Length: {DECLARED}\r\n"
        + "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        + "\r\n"
    ).encode()
    before = memory(running, "VmRSS")
    open_sockets = []
    for _ in range(CONNECTIONS):
        sock = socket.create_connection(running.address(), 10)
        open_sockets.append(sock)
        sock.sendall(head)
        sock.settimeout(0.2)
        try:
            for _ in range(32):
                sock.sendall(bytes(65_536))
        except (TimeoutError, OSError):
            pass  # it is refused already
    answers = []
    for sock in open_sockets:
        assert select.select([sock], [], [], 10)[0]
        answers.append(sock.recv(12))
    held = memory(running, "VmRSS") - before
    for sock in open_sockets:
        sock.close()
    assert answers == [b"HTTP/1.1 401"] * CONNECTIONS
    assert held < 24 * 1024 * 1024


def test_a_signed_body_is_read_whole_and_its_digest_compared(signed: tuple[Running, Peer]) -> None:
    """Also one of which nothing but its parts tells the length, and one that is empty."""
    running, peer = signed
    body = json.dumps({"data": b64(b"hello")}).encode()
    headers = {"Content-Type": "application/json", "X-API-Key": running.api_key}
    signer = RequestSigner(peer.key, "peer")

    def pieces() -> Iterator[bytes]:
        yield body[:5]
        yield body[5:]

    with httpx.Client(base_url=running.url, headers=headers, auth=signer) as client:
        sealed = client.post("/crypto/encrypt", content=pieces())
        assert sealed.status_code == 200, sealed.text
        opened = client.post("/crypto/decrypt", json={"ciphertext": sealed.json()["ciphertext"]})
        assert unb64(opened.json()["data"]) == b"hello"
        nothing: list[bytes] = []
        empty = client.post("/keys/default-mac/rotate", content=iter(nothing))
        assert empty.status_code == 200, empty.text
