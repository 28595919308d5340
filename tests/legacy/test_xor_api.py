"""Messages of the XOR cipher at the service: opened beside sealed ones where that is on."""

from __future__ import annotations

import base64
import concurrent.futures
import json
import secrets
import statistics
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from mycelium_fractal_net import initialise
from mycelium_fractal_net.client import Client
from mycelium_fractal_net.legacy.key import import_xor_key
from mycelium_fractal_net.security.errors import DecryptionError
from tests.support.legacy_xor import OLD_KEY, write_xor
from tests.support.service import Running, b64, credential, start, unb64

if TYPE_CHECKING:
    from collections.abc import Iterator

DEV = Path(__file__).parents[2] / "configs" / "dev.json"


def configuration(folder: Path, **sections: Any) -> str:
    """A configuration file: that of ``dev``, and what else it says."""
    path = folder / "settings.json"
    path.write_text(json.dumps({**json.loads(DEV.read_text()), **sections}))
    return str(path)


@pytest.fixture(scope="module")
def reading(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A service that opens them."""
    folder = tmp_path_factory.mktemp("reading")
    with initialise(home=folder / "home") as keyring:
        import_xor_key(keyring.provider, OLD_KEY)
        keyring.provider.keys.create("orders")
    running = start(
        folder / "home", env={"MFN_CONFIG": configuration(folder, legacy={"read_xor": True})}
    )
    yield running
    assert running.stop() == 0


@pytest.fixture
def caller(reading: Running) -> Iterator[httpx.Client]:
    """A client that may do all."""
    with reading.client() as opened:
        yield opened


def decrypt(client: httpx.Client, **asked: Any) -> httpx.Response:
    return client.post("/crypto/decrypt", json=asked)


def problem(response: httpx.Response, status: int, slug: str) -> Any:
    assert (response.status_code, response.json()["type"]) == (status, f"/problems/{slug}")
    return response.json()


def opened_in_all(client: httpx.Client) -> float:
    """What the metric says."""
    families = text_string_to_metric_families(client.get("/metrics").text)
    samples = [each for family in families for each in family.samples]
    return sum(each.value for each in samples if each.name == "mfn_xor_opened_total")


def as_text(message: str) -> str:
    return message


def as_every_message(message: str) -> str:
    return b64(message.encode())


@pytest.mark.parametrize("sent", [as_text, as_every_message])
@pytest.mark.parametrize("asked", [{"format": "xor"}, {}, {"key_id": "legacy-xor:v1"}])
def test_an_old_message_is_opened_and_the_answer_says_so(
    caller: httpx.Client, sent: Any, asked: dict[str, str]
) -> None:
    """As the old service's clients have it, or in base64 as every message; said or not."""
    before = opened_in_all(caller)
    answer = decrypt(caller, ciphertext=sent(write_xor("grüße")), reference="r", **asked)
    assert answer.status_code == 200, answer.text
    assert answer.json() == {
        "data": b64("grüße".encode()),
        "key_id": "legacy-xor:v1",
        "legacy": True,
        "reference": "r",
    }
    assert answer.headers["deprecation"] == "@1764633600"  # RFC 9745: 2025-12-02
    assert "sunset" not in answer.headers  # it goes when nobody needs it
    assert opened_in_all(caller) == before + 1


def test_a_sealed_message_is_opened_as_ever(caller: httpx.Client) -> None:
    """And its answer has no word of the old cipher."""
    sealed = caller.post("/crypto/encrypt", json={"data": b64(b"new"), "key_id": "orders"}).json()
    answer = decrypt(caller, ciphertext=sealed["ciphertext"])
    assert answer.json() == {"data": b64(b"new"), "key_id": "orders:v1"}
    assert "deprecation" not in answer.headers
    raw = {"data": b64(b"raw"), "key_id": "orders", "format": "raw"}
    made = caller.post("/crypto/encrypt", json=raw).json()
    asked = {"ciphertext": made["ciphertext"], "key_id": "orders", "format": "raw"}
    assert decrypt(caller, **asked).json()["data"] == raw["data"]


def test_what_begins_as_a_sealed_message_is_tried_as_an_old_one_only_on_demand(
    caller: httpx.Client,
) -> None:
    """One in 262,144 old texts begins with MFN by chance."""
    salt = base64.urlsafe_b64decode("MFNA") + secrets.token_bytes(13)
    message = write_xor(b"by chance", salt=salt)
    assert message.startswith("MFN")
    problem(decrypt(caller, ciphertext=as_every_message(message)), 400, "decryption-failed")
    answer = decrypt(caller, ciphertext=as_every_message(message), format="xor")
    assert unb64(answer.json()["data"]) == b"by chance"


@pytest.mark.parametrize("member", ["associated_data", "data_key_associated_data"])
def test_associated_data_with_an_old_message_is_refused(caller: httpx.Client, member: str) -> None:
    """The old cipher had none, so it would bind nothing."""
    asked = {"ciphertext": write_xor(b"data"), member: b64(b"row 17")}
    problem(decrypt(caller, **asked), 422, "invalid")
    problem(decrypt(caller, format="xor", **asked), 422, "invalid")


@pytest.mark.parametrize(
    "ciphertext",
    [
        write_xor(b"data", bytes(32)),
        write_xor(b"data")[:-1],
        write_xor(b"data") + "\n",
        "",
        "AAAA",
        b64(secrets.token_bytes(200)),
        "é" * 90,
    ],
    ids=["another key", "cut", "line end", "empty", "short", "no message", "no ASCII"],
)
def test_everything_wrong_with_an_old_message_is_one_answer(
    caller: httpx.Client, ciphertext: str
) -> None:
    """With one text."""
    first = problem(decrypt(caller, ciphertext=ciphertext), 400, "decryption-failed")
    second = problem(decrypt(caller, ciphertext=ciphertext, format="xor"), 400, "decryption-failed")
    assert first["detail"] == second["detail"] == DecryptionError.TEXT


def test_scopes_apply_to_the_old_key(reading: Running, caller: httpx.Client) -> None:
    """It is a key as any other: decrypt:legacy-xor."""
    message = write_xor(b"data")
    sealed = caller.post("/crypto/encrypt", json={"data": b64(b"new"), "key_id": "orders"}).json()
    with reading.client(credential(caller, "decrypt:orders", "rewrap:*")) as other:
        problem(decrypt(other, ciphertext=message), 400, "decryption-failed")
        problem(decrypt(other, ciphertext=message, format="xor"), 404, "not-found")
        problem(decrypt(other, ciphertext=message, key_id="legacy-xor"), 404, "not-found")
        assert decrypt(other, ciphertext=sealed["ciphertext"]).status_code == 200
    with reading.client(credential(caller, "decrypt:legacy-xor")) as own:
        assert unb64(decrypt(own, ciphertext=message).json()["data"]) == b"data"
        problem(decrypt(own, ciphertext=sealed["ciphertext"]), 400, "decryption-failed")
        problem(decrypt(own, ciphertext=message, key_id="orders"), 404, "not-found")


def test_another_key_than_the_old_one_opens_no_old_message(caller: httpx.Client) -> None:
    """A key that is named must agree."""
    asked = {"ciphertext": write_xor(b"data"), "key_id": "orders"}
    problem(decrypt(caller, **asked), 400, "decryption-failed")
    problem(decrypt(caller, format="xor", **asked), 400, "decryption-failed")


def test_the_old_key_protects_nothing(caller: httpx.Client) -> None:
    """No route makes anything with it, moves a message to it, or gives it a next version."""
    data = {"data": b64(b"data"), "key_id": "legacy-xor"}
    problem(caller.post("/crypto/encrypt", json=data), 409, "key-state")
    problem(caller.post("/crypto/encrypt", json={**data, "format": "raw"}), 409, "key-state")
    problem(caller.post("/crypto/datakey", json={"key_id": "legacy-xor"}), 409, "key-state")
    problem(caller.post("/keys/legacy-xor/rotate"), 400, "key-usage")
    made = caller.post("/keys", json={"key_id": "legacy-xor", "type": "encryption"})
    problem(made, 422, "invalid")
    rewrapped = caller.post("/crypto/rewrap", json={"ciphertext": write_xor(b"data")})
    problem(rewrapped, 400, "decryption-failed")
    shown = caller.get("/keys/legacy-xor").json()
    assert (shown["algorithm"], shown["primary"]) == ("LEGACY-XOR", None)
    assert "legacy-xor" not in caller.get("/.well-known/jwks.json").text


def test_a_batch_opens_ten_old_messages_and_refuses_the_rest(caller: httpx.Client) -> None:
    """Item by item, and the sealed ones among them as ever."""
    sealed = caller.post("/crypto/encrypt", json={"data": b64(b"new"), "key_id": "orders"}).json()
    message = write_xor(b"old")
    items = [{"ciphertext": message, "format": "xor"}] * 6 + [{"ciphertext": message}] * 6
    items.insert(3, {"ciphertext": sealed["ciphertext"]})
    items.append({"ciphertext": sealed["ciphertext"]})
    batch = caller.post("/crypto/decrypt/batch", json={"items": items})
    assert batch.status_code == 200, batch.text
    assert batch.headers["deprecation"] == "@1764633600"
    answers = batch.json()["items"]
    old = [each for place, each in enumerate(answers) if place not in (3, 13)]
    assert [each.get("legacy") for each in old] == [True] * 10 + [None] * 2
    for each in old[10:]:
        assert each["error"]["type"] == "/problems/invalid"
        assert "10 messages of the XOR cipher" in each["error"]["detail"]
    for place in (3, 13):
        assert answers[place] == {"data": b64(b"new"), "key_id": "orders:v1"}


def test_uses_are_recorded_under_the_old_key(reading: Running, caller: httpx.Client) -> None:
    """As of every key."""
    reference = secrets.token_hex(8)
    assert decrypt(caller, ciphertext=write_xor(b"x"), reference=reference).status_code == 200
    records = [
        json.loads(line)
        for path in (reading.home / "audit").glob("*/*.jsonl")
        for line in path.read_text().splitlines()
        if reference in line
    ]
    (record,) = records
    assert (record["event"], record["outcome"], record["key"]) == ("decrypt", "ok", "legacy-xor:v1")


def test_a_flood_of_old_messages_leaves_sealed_ones_their_speed(
    reading: Running, caller: httpx.Client
) -> None:
    """It waits for itself in a thread that stands back; past a short queue it is told to."""
    sealed = caller.post("/crypto/encrypt", json={"data": b64(b"new"), "key_id": "orders"}).json()
    body = {"ciphertext": sealed["ciphertext"]}
    items = [{"ciphertext": write_xor(b"old")}] * 10

    def flood(_: int) -> httpx.Response:
        with reading.client() as client:
            return client.post("/crypto/decrypt/batch", json={"items": items})

    with concurrent.futures.ThreadPoolExecutor(30) as pool:
        pending = [pool.submit(flood, each) for each in range(30)]
        time.sleep(0.3)  # while all of them are there
        times = []
        for _ in range(15):
            started = time.perf_counter()
            assert decrypt(caller, **body).status_code == 200
            times.append(time.perf_counter() - started)
        assert not all(each.done() for each in pending)
        answers = [each.result() for each in pending]
    refused = [each for each in answers if each.status_code != 200]
    assert refused
    for each in refused:
        problem(each, 503, "overloaded")
        assert each.headers["retry-after"] == "1"
    assert len(refused) < len(answers)
    # One batch of theirs holds its thread for more than 100 ms; nobody else waits for that.
    assert statistics.median(times) < 0.1


def test_the_client_opens_old_messages(reading: Running) -> None:
    """It says which they were."""
    message = write_xor(b"old").encode()
    with Client(reading.url, reading.api_key) as client:
        opened = client.decrypt(message, format="xor")
        assert (opened, opened.key_id, opened.legacy) == (b"old", "legacy-xor:v1", True)
        assert client.decrypt(message).legacy
        new = client.decrypt(client.encrypt(b"new"))
        assert (new, new.legacy) == (b"new", False)
        first, second = client.decrypt_batch([message, client.encrypt(b"new")])
        assert (first.legacy, second.legacy) == (True, False)  # type: ignore[union-attr]
        many = client.decrypt_batch([message] * 23, format="xor")
        assert many == [b"old"] * 23  # in requests of ten


def test_while_it_is_off_nothing_of_it_is_there(client: httpx.Client) -> None:
    """The format is refused with the setting's name, and an old message is no message."""
    message = write_xor(b"data")
    refused = problem(decrypt(client, ciphertext=message, format="xor"), 400, "bad-request")
    assert "legacy.read_xor" in refused["detail"]
    problem(decrypt(client, ciphertext=as_every_message(message)), 400, "decryption-failed")
