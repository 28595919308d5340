"""What is taken back stops everywhere within five seconds, or everything stops."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import threading
import time
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from mycelium_fractal_net import initialise
from mycelium_fractal_net.security.key_store.freshness import STALE_SECONDS
from tests.support.cli import PROGRAM, environment
from tests.support.records import records, verified
from tests.support.service import Running, b64, credential, start

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.long

ENCRYPT = {"data": b64(b"hello")}
OK = (200, "")
REFUSED = (401, "unauthenticated")
UNAVAILABLE = (503, "store-unavailable")


class Clients:
    """A client on a connection to each of two workers."""

    def __init__(self, service: Running, api_key: str) -> None:
        self._stack = contextlib.ExitStack()
        found: dict[str, httpx.Client] = {}
        while len(found) < 2:
            client = self._stack.enter_context(service.client(api_key))
            answer = client.get("/health/live")
            found.setdefault(answer.headers["x-request-id"][:8], client)
        self.all = list(found.values())

    def encrypt(self, **more: Any) -> Iterator[httpx.Response]:
        """What each worker answers."""
        return (c.post("/crypto/encrypt", json={**ENCRYPT, **more}) for c in self.all)

    def until(
        self,
        wanted: tuple[int, str],
        within: float,
        *,
        before: tuple[int, str] = OK,
        **more: Any,
    ) -> None:
        """Ask until all workers give the wanted answer; ``before`` comes no later than that."""
        began = time.monotonic()
        found = {before}
        while found != {wanted}:
            found.clear()
            for answer in self.encrypt(**more):
                found.add(outcome(answer))
                assert found <= {wanted, before}
                assert found == {wanted} or time.monotonic() < began + within
            time.sleep(0.05)

    def close(self) -> None:
        self._stack.close()


def outcome(answer: httpx.Response) -> tuple[int, str]:
    """Its status, and the name of its problem."""
    return answer.status_code, answer.json().get("type", "").removeprefix("/problems/")


@pytest.fixture
def two(home: Path, store_url: str) -> Iterator[Running]:
    """A service with two workers, on SQLite and on PostgreSQL."""
    initialise(home=home, store=store_url).close()
    running = start(home, "--workers", "2", env={"MFN_STORE": store_url})
    yield running
    try:
        assert running.stop() == 0
        assert not verified(home, store=store_url).faults
    finally:
        running.kill()


def test_what_is_taken_back_is_refused_by_every_worker(two: Running, store_url: str) -> None:
    """A credential that one worker revokes, one that the command line revokes, a key suspended."""
    with two.client() as admin:
        made = admin.post("/keys", json={"key_id": "orders", "type": "encryption"})
        assert made.status_code == 201
        for way in ("service", "mfn"):
            api_key = credential(admin, "encrypt:*")
            clients = Clients(two, api_key)
            clients.until(OK, STALE_SECONDS, before=REFUSED)
            credential_id = api_key.split("_")[1]
            if way == "service":
                assert admin.post(f"/credentials/{credential_id}/revoke").status_code == 200
            else:
                command = [*PROGRAM, "--home", str(two.home), "credential", "revoke", credential_id]
                env = environment({"MFN_STORE": store_url})
                subprocess.run(command, env=env, check=True, capture_output=True)
            clients.until(REFUSED, STALE_SECONDS)
            time.sleep(0.2)
            clients.until(REFUSED, 0)
            clients.close()
        clients = Clients(two, two.api_key)
        clients.until(OK, STALE_SECONDS, key_id="orders")
        assert admin.post("/keys/orders/suspend").status_code == 200
        clients.until((409, "key-state"), STALE_SECONDS, key_id="orders")
        assert admin.post("/keys/orders/activate").status_code == 200
        time.sleep(STALE_SECONDS)
        clients.until(OK, 0, key_id="orders")
        clients.close()


def _end(end: socket.socket) -> None:
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)


class Door:
    """A way to PostgreSQL that can be shut, so that it refuses, or held, so that all is silent."""

    def __init__(self, port: int) -> None:
        self._target = ("127.0.0.1", port)
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self._flows = threading.Event()
        self._flows.set()
        self._pairs: list[socket.socket] = []
        self._accept()

    def _accept(self) -> None:
        threading.Thread(target=self._accept_all, args=(self._listening,), daemon=True).start()

    def _accept_all(self, listening: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                ours, _ = listening.accept()
                threading.Thread(target=self._carry, args=(ours,), daemon=True).start()

    def _carry(self, ours: socket.socket) -> None:
        with ours, socket.create_connection(self._target) as theirs:
            self._pairs += [ours, theirs]
            back = threading.Thread(target=self._pump, args=(theirs, ours), daemon=True)
            back.start()
            self._pump(ours, theirs)
            back.join()

    def _pump(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65_536):
                self._flows.wait()
                target.sendall(data)
        for each in (source, target):
            _end(each)

    def shut(self) -> None:
        """As a server that was stopped: connections end, new ones are refused."""
        _end(self._listening)
        self._listening.close()
        for each in self._pairs:
            _end(each)
        self._pairs.clear()

    def open(self) -> None:
        """As it is started again."""
        self._listening = socket.create_server(("127.0.0.1", self.port))
        self._accept()

    def hold(self) -> None:
        """As a server, or a network, from which nothing comes any more."""
        self._flows.clear()

    def release(self) -> None:
        """Everything that was held goes on."""
        self._flows.set()


@pytest.fixture
def door(postgres_url: str) -> Iterator[Door]:
    """A door to a PostgreSQL server."""
    made = Door(int(postgres_url.rsplit(":", 1)[1].partition("/")[0]))
    yield made
    made.release()
    made.shut()


@pytest.mark.parametrize("way", ["shut", "hold"])
def test_a_store_out_of_reach_is_503_in_time_and_comes_back(
    home: Path, postgres_url: str, door: Door, way: str
) -> None:
    """An outage never looks like tampering or a wrong key, and no request hangs in it."""
    initialise(home=home, store=postgres_url).close()
    database = postgres_url.rpartition("/")[2]
    url = f"postgresql+psycopg://mfn@127.0.0.1:{door.port}/{database}"
    with (home / "errors").open("wb") as errors:
        running = start(home, "--workers", "2", env={"MFN_STORE": url}, stderr=errors)
    try:
        clients = Clients(running, running.api_key)
        sealed, _ = clients.encrypt()
        assert sealed.status_code == 200
        door.shut() if way == "shut" else door.hold()
        clients.until(UNAVAILABLE, STALE_SECONDS + 0.5)
        began = time.monotonic()
        for client in clients.all:
            for path, body in (
                ("/crypto/decrypt", sealed.json()),
                ("/crypto/verify", {"data": ENCRYPT["data"], "signature": b64(bytes(64))}),
                ("/keys", {"key_id": "k", "type": "mac"}),
            ):
                answer = client.post(path, json=body)
                assert outcome(answer) == UNAVAILABLE
                assert int(answer.headers["retry-after"]) >= 1
            wrong = {"X-API-Key": running.api_key[:-1] + "A"}
            answer = client.post("/crypto/decrypt", json=sealed.json(), headers=wrong)
            assert outcome(answer) == UNAVAILABLE
            assert client.get("/health/live").status_code == 200
            assert client.get("/health/ready").status_code == 503
        assert time.monotonic() - began < STALE_SECONDS, "somebody waits who need not"
        door.open() if way == "shut" else door.release()
        clients.until(OK, 2 * STALE_SECONDS, before=UNAVAILABLE)
        answer = clients.all[0].post("/crypto/decrypt", json=sealed.json())
        assert answer.json()["data"] == ENCRYPT["data"]
        clients.close()
        assert running.stop() == 0
    finally:
        running.kill()
    assert "Traceback" not in (home / "errors").read_text()
    report = verified(home, store=postgres_url)
    assert not report.faults
    assert not any(chain.past_anchor for chain in report.chains)


def test_a_silent_store_does_not_keep_the_service_from_ending(
    home: Path, postgres_url: str, door: Door
) -> None:
    """It waits its time for the last counts, and says that it did not end well."""
    initialise(home=home, store=postgres_url).close()
    database = postgres_url.rpartition("/")[2]
    url = f"postgresql+psycopg://mfn@127.0.0.1:{door.port}/{database}"
    running = start(home, env={"MFN_STORE": url})
    try:
        with running.client() as client:
            answer = client.post("/crypto/encrypt", json=ENCRYPT)
            assert answer.status_code == 200
        door.hold()
        assert running.stop() == 1
        door.release()
        assert start(home, env={"MFN_STORE": url}).stop() == 0
    finally:
        running.kill()
    assert not verified(home, store=postgres_url).faults
    (found,) = records(home / "audit", event="encrypt")
    assert found["request"] == answer.headers["x-request-id"]
