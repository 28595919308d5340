"""A store that is moved from one custodian to another: killed on the way, raced for, and served."""

from __future__ import annotations

import signal
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from mycelium_fractal_net.security.errors import ConflictError, ExitCode
from tests.support.custodians import NAMES, harness
from tests.support.custodians.place import Place
from tests.support.fault_proxy import PASS, REFUSE, FaultProxy
from tests.support.service import b64, unb64

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import httpx

pytestmark = pytest.mark.long

KEYS = 40
KILLS = 8
THERE, BACK = ("vault", "aws-kms") if {"vault", "aws-kms"} <= set(NAMES) else ("local", "aws-kms")


def check(place: Place, messages: dict[str, bytes], secrets: dict[str, bytes]) -> None:
    """All that there was opens, and its keys are what they were."""
    with place.open() as keyring:
        for name, message in messages.items():
            assert keyring.decrypt(message) == name.encode()
            assert keyring.provider.get_key(name) == secrets[name]
        assert not [key for key in keyring.provider.keys.all() if not key.versions]


def test_a_move_that_is_killed_at_many_points_goes_on_and_loses_nothing(tmp_path: Path) -> None:
    """Real processes, SIGKILL; between two of them everything opens, by either order of names."""
    one, other = harness(THERE), harness(BACK)
    place = Place.of(tmp_path / "home", one, other)
    with place.init() as keyring:
        for number in range(KEYS):
            keyring.provider.keys.create(f"k{number}")
            keyring.provider.rotate_key(f"k{number}")
        keyring.provider.credentials.create("app", ("encrypt:*",))
        messages = {f"k{n}": keyring.encrypt(f"k{n}".encode(), key_id=f"k{n}") for n in range(KEYS)}
        secrets = {name: keyring.provider.get_key(name) for name in messages}
    begun = time.monotonic()
    place.ok("master", "status")
    quiet = time.monotonic() - begun  # a process that moves nothing
    both = [place.under(one.name, other.name), place.under(other.name, one.name)]
    target, killed, finished = other.name, 0, 0
    for round_ in range(KILLS):
        process = subprocess.Popen(
            place.command("master", "migrate", "--to", target),
            env=both[round_ % 2].environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            code = process.wait(quiet * (0.5 + 1.5 * round_ / KILLS))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
            killed += 1
        else:
            assert code == 0
            finished += 1
            target = one.name if target == other.name else other.name
        check(both[round_ % 2], messages, secrets)
    assert killed
    both[0].ok("master", "migrate", "--to", target)
    alone = place.under(target)
    status = alone.ok("master", "status", "--json").json
    assert (status["left"], status["unknown"]) == (0, {})
    check(alone, messages, secrets)


def test_two_moves_at_once_are_one(tmp_path: Path) -> None:
    """The second says that another is at it, or finds that all is done."""
    one, other = harness(THERE), harness(BACK)
    place = Place.of(tmp_path / "home", one, other)
    with place.init() as keyring:
        for number in range(KEYS):
            keyring.provider.keys.create(f"k{number}")
    with ThreadPoolExecutor(3) as pool:
        ran = list(pool.map(lambda _: place.mfn("master", "migrate", "--to", other.name), range(3)))
    assert {each.code for each in ran} <= {0, int(ConflictError.kind.exit_code)}
    assert any(each.code == 0 for each in ran)
    assert place.under(other.name).ok("master", "status", "--json").json["left"] == 0


@pytest.mark.parametrize("provider", [name for name in NAMES if name != "local"])
def test_of_machines_that_begin_one_database_at_once_one_does(
    tmp_path: Path, provider: str, postgres_url: str
) -> None:
    """The others make nothing, and say what brings the id to them; with it all is there."""
    places = [
        Place.of(tmp_path / f"m{number}" / "home", harness(provider), store=postgres_url)
        for number in range(3)
    ]
    with ThreadPoolExecutor(3) as pool:
        ran = list(pool.map(lambda each: each.mfn("init", "--json"), places))
    (winner,) = (place for place, each in zip(places, ran, strict=True) if each.code == 0)
    store_id = winner.ok("master", "status", "--json").json["store_id"]
    for place, each in zip(places, ran, strict=True):
        if place is winner:
            continue
        assert each.code == ExitCode.STORE
        assert "the id of the key store is not known here" in each.err
        assert "mfn master status" in each.err
        assert not (place.home / "store-id").exists()
        told = place.under(provider, MFN_STORE_ID=store_id)
        told.ok("init")
        assert told.ok("master", "status", "--json").json["store_id"] == store_id


# Machines -----------------------------------------------------------------------------------


class Traffic:
    """Encrypts, decrypts and signs on each service all the time, and keeps what was not well."""

    def __init__(self, clients: list[httpx.Client]) -> None:
        self.failures: list[str] = []
        self.done = 0
        self._end = threading.Event()
        self._threads = [threading.Thread(target=self._work, args=(client,)) for client in clients]

    def __enter__(self) -> Traffic:
        for each in self._threads:
            each.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        for each in self._threads:
            each.join()

    def _work(self, client: httpx.Client) -> None:
        number = 0
        while not self._end.is_set():
            number += 1
            try:
                self._once(client, f"k{number % 10}", b"%d" % number)
            except Exception as error:
                self.failures.append(repr(error))
            self.done += 1

    def _once(self, client: httpx.Client, key: str, data: bytes) -> None:
        sealed = client.post("/crypto/encrypt", json={"key_id": key, "data": b64(data)})
        assert sealed.status_code == 200, sealed.text
        message = sealed.json()["ciphertext"]
        opened = client.post("/crypto/decrypt", json={"ciphertext": message})
        assert opened.status_code == 200, opened.text
        assert unb64(opened.json()["data"]) == data
        signed = client.post("/crypto/sign", json={"key_id": "default-signing", "data": b64(data)})
        assert signed.status_code == 200, signed.text


def machines(tmp_path: Path, postgres_url: str, *names: str) -> tuple[Place, Place]:
    """Two homes with one store, with ten keys, under the first of these custodians."""
    custodians = [harness(name) for name in names]
    one = Place.of(tmp_path / "one" / "home", *custodians, store=postgres_url)
    with one.init() as keyring:
        for number in range(10):
            keyring.provider.keys.create(f"k{number}")
        store_id = keyring.provider.store_id.hex()
    other = Place.of(tmp_path / "other" / "home", *custodians, store=postgres_url)
    return one, other.under(names[0], MFN_STORE_ID=store_id)


def test_a_store_is_moved_while_two_services_serve_it(tmp_path: Path, postgres_url: str) -> None:
    """No request fails; keys are made and rotated meanwhile; and the former side may go then."""
    one, other = machines(tmp_path, postgres_url, THERE, BACK)
    both = [one.under(THERE, BACK), other.under(THERE, BACK)]
    first = both[0].serve()
    second = both[1].serve()
    try:
        clients = [each.client(first.api_key) for each in (first, second)]
        with Traffic(clients) as traffic:
            for target in (BACK, THERE, BACK):
                moved = both[0].ok("master", "migrate", "--to", target, "--json").json
                assert moved["master_key"].startswith(f"{target}:")
                rotated = clients[1].post("/keys/k1/rotate")
                assert rotated.status_code in (200, 201), rotated.text
            harness(BACK).rotate()
            both[1].under(BACK, THERE).ok("master", "rewrap")
        assert traffic.failures == []
        assert traffic.done > 20
        harness(THERE).stop()
        try:
            with Traffic(clients) as traffic:
                time.sleep(2)
            assert traffic.failures == []
        finally:
            harness(THERE).start()
        for client in clients:
            client.close()
    finally:
        assert (first.stop(), second.stop()) == (0, 0)
    assert other.under(BACK).ok("master", "status", "--json").json["left"] == 0


@pytest.mark.parametrize("provider", [name for name in NAMES if name != "local"])
def test_what_one_machine_decides_the_other_does_within_five_seconds(
    tmp_path: Path, postgres_url: str, provider: str
) -> None:
    """Rotation, compromise, revocation, and a master key that was rewrapped."""
    one, other = machines(tmp_path, postgres_url, provider)
    first = one.serve()
    second = other.serve()
    try:
        admin, far = first.client(), second.client(first.api_key)
        made = admin.post("/credentials", json={"name": "app", "scopes": ["encrypt:*"]}).json()
        app = second.client(made["api_key"])
        seal = {"key_id": "k1", "data": b64(b"data")}
        within(5, lambda: app.post("/crypto/encrypt", json=seal).status_code == 200)
        message = far.post("/crypto/encrypt", json=seal).json()["ciphertext"]

        assert admin.post("/keys/k1/rotate").is_success
        within(5, lambda: far.post("/crypto/encrypt", json=seal).json()["key_id"] == "k1:v2")
        assert admin.post("/keys/k1:v1/compromise").is_success
        opening = {"ciphertext": message}
        within(5, lambda: far.post("/crypto/decrypt", json=opening).status_code == 409)
        assert admin.post(f"/credentials/{made['id']}/revoke").is_success
        within(5, lambda: app.post("/crypto/encrypt", json=seal).status_code == 401)
        harness(provider).rotate()
        one.ok("master", "rewrap")
        assert far.post("/crypto/encrypt", json=seal).status_code == 200
        cold = far.post("/crypto/encrypt", json={"key_id": "k7", "data": b64(b"data")})
        assert cold.status_code == 200, cold.text
        for client in (admin, far, app):
            client.close()
    finally:
        assert (first.stop(), second.stop()) == (0, 0)


def within(seconds: float, holds: Callable[[], bool]) -> None:
    """See that it holds at the latest after so many seconds."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.1)


def test_a_custodian_that_one_machine_does_not_reach_does_not_stop_the_other(
    tmp_path: Path, postgres_url: str
) -> None:
    """Its address is wrong there: cold keys are 503, and the other machine has them."""
    one, other = machines(tmp_path, postgres_url, "aws-kms")
    with FaultProxy(other.variables["MFN_AWS_ENDPOINT_URL"]) as proxy:
        cut = other.under("aws-kms", MFN_AWS_ENDPOINT_URL=proxy.url)
        first, second = one.serve(), cut.serve()
        try:
            near, far = first.client(), second.client(first.api_key)
            cold, warm = ({"key_id": name, "data": b64(b"data")} for name in ("k9", "k1"))
            assert far.post("/crypto/encrypt", json=warm).status_code == 200
            proxy.mode = REFUSE
            assert far.post("/crypto/encrypt", json=cold).status_code == 503
            assert near.post("/crypto/encrypt", json=cold).status_code == 200
            assert far.post("/crypto/encrypt", json=warm).status_code == 200
            proxy.mode = PASS
            within(10, lambda: far.post("/crypto/encrypt", json=cold).status_code == 200)
            near.close()
            far.close()
        finally:
            assert (first.stop(), second.stop()) == (0, 0)
