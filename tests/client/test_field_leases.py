"""Local mode of lookups: tags and messages of one field, made on the own machine for seconds."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from mycelium_fractal_net.client import AsyncClient, Client
from mycelium_fractal_net.security.audit import query
from mycelium_fractal_net.security.errors import (
    AlgorithmNotAllowedError,
    DecryptionError,
    InvalidInputError,
    KeyNotFoundError,
    KeyStateError,
    KeyUsageError,
    ServiceError,
)
from mycelium_fractal_net.security.policy import Policy
from mycelium_fractal_net.security.records.keys import Verb
from tests.client.test_client import key
from tests.support.client import API_KEY, Clock, Counting, answering, problem
from tests.support.service import b64, credential

if TYPE_CHECKING:
    from tests.support.service import Running

FIELD = b"customers.email"
INDEX, SAME = "/crypto/index/fieldkeys", "/crypto/deterministic/fieldkeys"
REPORT = "/crypto/datakey/report"


def made(counted: Client, counting: Counting, kind: str) -> str:
    """A new key of that type."""
    key_id = key(counted, type=kind)
    counting.paths.clear()
    return key_id


def reported(service: Running, reference: str) -> Any:
    """What was reported under a reference, and nothing else was."""
    found = query(service.home / "audit", event="datakey.report", limit=1000)
    (record,) = [each for each in found if each.get("reference") == reference]
    return record["items"]


# Tags -----------------------------------------------------------------------------------------


def test_thousands_of_tags_need_one_key(
    counted: Client, counting: Counting, service: Running, clock: Clock
) -> None:
    """They are those of the service, whole, cut short and normalised; grant and report are
    recorded."""
    key_id = made(counted, counting, "index")
    with counted.local_index(key_id, context=FIELD) as lease:
        tags = [lease.tag(f"user {number}") for number in range(2000)]
        assert lease.tags("user 7") == [tags[7]]
    assert (tags[7].key_id, len(set(tags))) == (f"{key_id}:v1", 2000)
    assert counting.paths == [INDEX, REPORT]
    assert tags[7] == counted.index_tag("user 7", key_id=key_id, context=FIELD)
    assert reported(service, lease.reference)[f"{key_id}:v1"] == {
        "encrypted": 2000, "decrypted": 1, "bytes": sum(map(len, map(str, range(2000)))) + 10_006,
    }  # fmt: skip
    granted = query(service.home / "audit", event="index.fieldkeys", limit=1000)
    (record,) = [each for each in granted if each.get("reference") == lease.reference]
    assert (record["outcome"], record["key"]) == ("ok", f"{key_id}:v1")
    short: dict[str, Any] = {"context": FIELD, "bits": 13, "normalisation": "caseless"}
    with counted.local_index(f"{key_id}:v1", **short) as lease:
        assert lease.tag("STRASSE") == counted.index_tag("Straße".encode(), key_id=key_id, **short)
        assert lease.tag(b"STRASSE") == lease.tag("Straße")


def test_a_rotation_is_known_when_the_seconds_are_over(
    counted: Client, counting: Counting, clock: Clock
) -> None:
    """The new version is searched then, and stored once it is activated."""
    key_id = made(counted, counting, "index")
    with counted.local_index(key_id, context=FIELD) as lease:
        (before,) = lease.tags("alice")
        counted.rotate_key(key_id)
        counted.index_tags("alice", key_id=key_id, context=FIELD)
        assert lease.tags("alice") == [before]
        clock.now += 5
        newest, former = lease.tags("alice")
        assert (newest.key_id, former, lease.tag("alice")) == (f"{key_id}:v2", before, before)
        counted.change_key_state(f"{key_id}:v2", Verb.ACTIVATE)
        clock.now += 5
        assert lease.tag("alice") == newest


@pytest.mark.parametrize("verb", [Verb.SUSPEND, Verb.COMPROMISE])
def test_a_revocation_reaches_it_within_five_seconds(
    counted: Client, counting: Counting, clock: Clock, verb: Verb
) -> None:
    """Of a version; and then nothing is made any more."""
    key_id = made(counted, counting, "index")
    with counted.local_index(key_id, context=FIELD) as lease:
        lease.tag("alice")
        counted.change_key_state(f"{key_id}:v1", verb)
        clock.now += 5
        for ask in (lease.tag, lease.tags):
            with pytest.raises(KeyStateError, match="would be missed"):
                ask("alice")


def test_a_revoked_credential_gets_no_more_keys(
    service: Running, client: httpx.Client, counted: Client, counting: Counting, clock: Clock
) -> None:
    """Its lease ends with its seconds."""
    key_id = made(counted, counting, "index")
    api_key = credential(client, f"fieldkey:{key_id}")
    with Client(service.url, api_key) as narrow:
        lease = narrow.local_index(key_id, context=FIELD)
        lease.tag("alice")
        assert client.post(f"/credentials/{api_key.split('_')[1]}/revoke").status_code == 200
        clock.now += 5
        with pytest.raises(Exception, match="not accepted"):
            lease.tag("alice")


def test_a_service_that_says_more_seconds_is_not_believed(clock: Clock) -> None:
    """Nor does one keep what it was given for no time, beyond the one call."""
    keys = {"keys": [{"key": b64(bytes(32)), "key_id": "a:v1"}], "key_id": "a:v1"}
    for seconds, asked in ((3600.0, 2), (0.0, 3), (2.5, 2)):
        answer = httpx.Response(200, json={**keys, "seconds": seconds})
        counted, requests = answering(answer)
        lease = counted.local_index("a", context=FIELD)
        lease.tag("x")
        lease.tag("x")
        clock.now += 5
        lease.tag("x")
        assert len(requests) == asked


def test_a_key_that_protects_nothing_is_searched_only(
    counted: Client, counting: Counting, clock: Clock
) -> None:
    """As by the service."""
    key_id = made(counted, counting, "index")
    counted.change_key_state(f"{key_id}:v1", Verb.DEACTIVATE)
    with counted.local_index(key_id, context=FIELD) as lease:
        assert [each.key_id for each in lease.tags("a")] == [f"{key_id}:v1"]
        with pytest.raises(KeyStateError, match="protects nothing"):
            lease.tag("a")


def test_the_scope_is_one_of_its_own(
    service: Running, client: httpx.Client, counted: Client, counting: Counting
) -> None:
    """Neither who makes tags by the service gets keys of fields, nor who gets data keys."""
    index, same = made(counted, counting, "index"), made(counted, counting, "deterministic")
    api_key = credential(client, "index:*", "datakey:*", "encrypt:*", "decrypt:*")
    with Client(service.url, api_key) as other:
        with pytest.raises(KeyNotFoundError):
            other.local_index(index, context=FIELD).tag("a")
        with pytest.raises(KeyNotFoundError):
            other.local_deterministic(same).encrypt(b"a")
        other.index_tag("a", key_id=index, context=FIELD)
    with Client(service.url, credential(client, f"fieldkey:{index}")) as narrow:
        with narrow.local_index(index, context=FIELD) as lease:
            lease.tag("a")
        with pytest.raises(KeyNotFoundError):
            narrow.index_tag("a", key_id=index, context=FIELD)
    with counted.local_index(index, context=FIELD), pytest.raises(KeyUsageError):
        counted.local_index(same, context=FIELD).tag("a")


def test_what_is_no_field_is_refused_before_anything_is_sent() -> None:
    """And a value that is none, and a lease that has ended."""
    keys = {"keys": [{"key": b64(bytes(32)), "key_id": "a:v1"}], "key_id": "a:v1", "seconds": 5}
    counted, requests = answering(httpx.Response(200, json=keys))
    for wrong in ({"context": b""}, {"context": b"x", "bits": 3}, {"context": "x"}):
        with pytest.raises((InvalidInputError, TypeError)):
            counted.local_index("a", **wrong)
    with pytest.raises(InvalidInputError):
        counted.local_index("No Key", context=b"x")
    assert requests == []
    with counted.local_index("a", context=b"x", normalisation="nfc") as lease:
        with pytest.raises(InvalidInputError):
            lease.tag(b"\xff")
        assert "a:v1" not in repr(lease)
        assert lease.reference.startswith("lease ")
    with pytest.raises(InvalidInputError, match="has ended"):
        lease.tag("x")
    assert len(requests) == 1


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"keys": [{"key": b64(bytes(31)), "key_id": "a:v1"}], "seconds": 5},
        {"keys": [{"key": "%", "key_id": "a:v1"}], "seconds": 5},
        {"keys": [{"key": b64(bytes(64)), "key_id": "a:v1", "header": ""}], "seconds": 5},
        {"keys": [{"key": b64(bytes(64)), "key_id": "a", "header": b64(bytes(12))}], "seconds": 5},
    ],
)
def test_an_answer_that_is_no_key_of_a_field_is_the_services_fault(answer: Any) -> None:
    """And none of it is shown."""
    counted, _ = answering(httpx.Response(200, json=answer))
    with pytest.raises(ServiceError) as caught:
        counted.local_deterministic("a").encrypt(b"x")
    assert "AAAA" not in str(caught.value)
    if "header" not in str(answer):
        with pytest.raises(ServiceError):
            counted.local_index("a", context=b"x").tag("x")


def test_the_clients_policy_is_asked() -> None:
    """Whoever forbids an algorithm makes nothing with it here either."""
    keys = {"keys": [{"key": b64(bytes(32)), "key_id": "a:v1"}], "key_id": "a:v1", "seconds": 5}
    policy = Policy(disallowed=["HMAC-SHA-256"])
    counted, _ = answering(httpx.Response(200, json=keys), policy=policy)
    with pytest.raises(AlgorithmNotAllowedError):
        counted.local_index("a", context=b"x").tag("x")


def test_what_could_not_be_reported_is_reported_later(clock: Clock) -> None:
    """With the next report, of which there is one in five minutes, or at the end."""
    keys = {"keys": [{"key": b64(bytes(32)), "key_id": "a:v1"}], "key_id": "a:v1", "seconds": 5}
    granted = httpx.Response(200, json=keys)
    counted, requests = answering(
        granted, granted, problem("audit-unavailable", 400), granted, httpx.Response(200, json={})
    )
    lease = counted.local_index("a", context=FIELD)
    lease.tag("one")
    clock.now += 301
    lease.tag("two")
    clock.now += 5
    lease.tag("three")
    lease.close()
    lease.close()
    assert [each.url.path for each in requests] == [INDEX, INDEX, REPORT, INDEX, REPORT]
    assert b'"encrypted":3' in requests[-1].content


def test_a_process_that_forks_asks_for_keys_of_its_own(clock: Clock) -> None:
    """And reports what it did itself."""
    keys = {"keys": [{"key": b64(bytes(32)), "key_id": "a:v1"}], "key_id": "a:v1", "seconds": 5}
    counted, requests = answering(httpx.Response(200, json=keys))
    lease = counted.local_index("a", context=FIELD)
    lease.tag("one")
    reading, writing = os.pipe()
    if os.fork() == 0:
        try:
            lease.tag("two")
            os.write(writing, b"%d" % len(requests))
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        assert pipe.read() == b"2"
    os.wait()


# Deterministic messages -------------------------------------------------------------------------


def test_messages_are_those_of_the_service(
    counted: Client, counting: Counting, service: Running, clock: Clock
) -> None:
    """They are made and opened here; what is of another field the service judges."""
    key_id = made(counted, counting, "deterministic")
    shared: dict[str, Any] = {"key_id": key_id, "format": "deterministic"}
    with counted.local_deterministic(key_id, associated_data=FIELD) as lease:
        message = lease.encrypt(b"FI")
        assert (lease.decrypt(message), lease.messages(b"FI")) == (b"FI", [message])
        assert message.key_id == f"{key_id}:v1"
        assert counting.paths == [SAME]
        assert message == counted.encrypt(b"FI", associated_data=FIELD, **shared)
        counting.paths.clear()
        with pytest.raises(DecryptionError):
            lease.decrypt(message[:-1])
        other = counted.encrypt(b"FI", associated_data=b"another field", **shared)
        with pytest.raises(DecryptionError):
            lease.decrypt(other)
        sealed = counted.encrypt(b"x")
        with pytest.raises(DecryptionError):
            lease.decrypt(sealed)
    assert reported(service, lease.reference) == {
        f"{key_id}:v1": {"encrypted": 1, "decrypted": 2, "failed": 2, "bytes": 6}
    }
    assert counting.paths[-2:] == ["/crypto/decrypt", REPORT]


def test_what_every_version_made_is_opened_and_found(
    counted: Client, counting: Counting, clock: Clock
) -> None:
    """But what may not be opened is not: the service says why."""
    key_id = made(counted, counting, "deterministic")
    with counted.local_deterministic(key_id) as lease:
        former = lease.encrypt(b"FI")
        counted.rotate_key(key_id)
        clock.now += 5
        newest = lease.encrypt(b"FI")
        assert lease.messages(b"FI") == [newest, former]
        assert lease.decrypt(former) == lease.decrypt(newest) == b"FI"
        counted.change_key_state(f"{key_id}:v1", Verb.DESTROY)
        clock.now += 5
        assert lease.messages(b"FI") == [newest, former]
        with pytest.raises(KeyStateError):
            lease.decrypt(former)


def test_both_leases_are_awaited_too(service: Running, counted: Client, counting: Counting) -> None:
    """With the same results."""
    index, same = made(counted, counting, "index"), made(counted, counting, "deterministic")

    async def work() -> None:
        async with AsyncClient(service.url, service.api_key) as awaited:
            async with awaited.local_index(index, context=FIELD) as lease:
                tag = await lease.tag("alice")
                assert await lease.tags("alice") == [tag]
            field = awaited.local_deterministic(same, associated_data=FIELD)
            message = await field.encrypt(b"FI")
            assert await field.decrypt(message) == b"FI"
            assert await field.messages(b"FI") == [message]
            await field.aclose()

    asyncio.run(work())
    assert API_KEY not in counting.paths
