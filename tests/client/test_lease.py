"""Local mode: sealing and opening on the own machine, within bounds, and what is told of it."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import signal
import threading
import time
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from mycelium_fractal_net import open_keyring
from mycelium_fractal_net.client import AsyncClient, Client, DecryptItem
from mycelium_fractal_net.client.lease_state import LeaseLimits, LeaseState, lease_clock
from mycelium_fractal_net.client.replies import Reply
from mycelium_fractal_net.security.audit import query
from mycelium_fractal_net.security.errors import (
    AlgorithmNotAllowedError,
    AuthenticationError,
    DecryptionError,
    InvalidInputError,
    KeyNotFoundError,
    KeyStateError,
    MfnError,
    ServiceUnavailableError,
)
from mycelium_fractal_net.security.policy import Policy
from tests.client.test_client import key
from tests.support.client import API_KEY, QUICK, Clock, Counting, answering, problem
from tests.support.killed import killed
from tests.support.service import b64, credential

if TYPE_CHECKING:
    from mycelium_fractal_net.client import Lease
    from tests.support.service import Running

CALLS = 20  # of which 100,000 operations need fewer
DATAKEY, REPORT = "/crypto/datakey", "/crypto/datakey/report"


def records(service: Running, lease: Any, event: str) -> list[Any]:
    """The audit records of a lease, newest first."""
    found = query(service.home / "audit", event=event, limit=1000)
    return [each for each in found if each.get("reference") == lease.reference]


# What it is for -------------------------------------------------------------------------------


def test_a_hundred_thousand_operations_need_fewer_than_twenty_calls(
    counted: Client, counting: Counting, service: Running, client: httpx.Client
) -> None:
    """In fact two: one for the data key, one for the report, and a record of each."""
    key_id = key(counted)
    counting.paths.clear()
    with counted.local(key_id) as lease:
        for number in range(50_000):
            data = number.to_bytes(4)
            assert lease.decrypt(lease.encrypt(data)) == data
    assert len(counting.paths) < CALLS
    assert counting.paths == [DATAKEY, REPORT]
    (granted,) = (each for each in records(service, lease, "datakey") if each["event"] == "datakey")
    assert (granted["outcome"], granted["key"]) == ("ok", f"{key_id}:v1")
    (report,) = records(service, lease, "datakey.report")
    assert report["items"] == {
        f"{key_id}:v1": {"encrypted": 50_000, "decrypted": 50_000, "bytes": 400_000}
    }


def test_the_named_key_never_leaves_the_service(service: Running) -> None:
    """Nothing that a client is sent is the key; it opens no message of another data key."""
    seen: list[bytes] = []

    class Listening(httpx.HTTPTransport):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            answer = super().handle_request(request)
            seen.append(answer.read())
            return answer

    with Client(service.url, service.api_key, transport=Listening()) as remote:
        key_id = key(remote)
        with remote.local(key_id) as lease:
            lease.encrypt(b"hello")
        made = remote.data_key(key_id=key_id)
    with open_keyring(home=service.home) as keyring:
        material = keyring.provider.get_key(key_id)
    everything = b"".join(seen) + made.plaintext
    assert material not in everything
    assert b64(material).encode() not in everything


def test_its_messages_open_wherever_those_of_the_key_do(remote: Client, service: Running) -> None:
    """By the service and by a keyring, with nothing more to remember than for any other."""
    key_id = key(remote)
    with remote.local(key_id) as lease:
        message = lease.encrypt(bytearray(b"hello"), associated_data=memoryview(b"row"))
    assert (message[:4], len(message)) == (b"MFN\x02", 5 + 188)
    assert remote.decrypt(message, associated_data=b"row", key_id=key_id) == b"hello"
    with open_keyring(home=service.home) as keyring:
        assert keyring.decrypt(message, associated_data=b"row") == b"hello"
    with remote.local(key_id, data_key_associated_data=b"mine") as lease:
        bound = lease.encrypt(b"hello")
        assert lease.decrypt(bound) == b"hello"
    with pytest.raises(DecryptionError):
        remote.decrypt(bound)
    assert remote.decrypt(bound, data_key_associated_data=b"mine") == b"hello"


def test_the_default_key_serves_where_none_is_named(remote: Client) -> None:
    """As for everything else."""
    with remote.local() as lease:
        assert remote.decrypt(lease.encrypt(b"x")).key_id.startswith("default-encryption:")


# Bounds ---------------------------------------------------------------------------------------


def test_a_data_key_lives_as_long_as_it_was_granted(
    counted: Client, counting: Counting, clock: Clock
) -> None:
    """Then there is another one for sealing, and what it sealed is opened by the service."""
    key_id = key(counted)
    counting.paths.clear()
    with counted.local(key_id) as lease:
        first = lease.encrypt(b"first")
        clock.now += 299.9
        assert lease.encrypt(b"x")[:116] == first[:116]
        assert lease.decrypt(first) == b"first"
        assert counting.paths == [DATAKEY]
        clock.now += 0.1
        assert lease.decrypt(first) == b"first"
        assert counting.paths == [DATAKEY, "/crypto/decrypt"]
        second = lease.encrypt(b"second")
        assert second[:116] != first[:116]
        assert lease.decrypt(second) == b"second"
        assert counting.paths == [DATAKEY, "/crypto/decrypt", DATAKEY, REPORT]
    assert counting.paths[4:] == [REPORT]


def test_a_lease_lives_no_longer_than_its_time_after_a_revocation(
    counted: Client, clock: Clock
) -> None:
    """It goes on until then, in both directions, and not a moment longer."""
    key_id = key(counted)
    lease = counted.local(key_id, seconds=60)
    with pytest.raises(KeyStateError), lease:
        message = lease.encrypt(b"x")
        counted.change_key_state(key_id, "suspend")
        clock.now += 59.9
        assert lease.decrypt(message) == b"x"
        assert lease.encrypt(b"x")
        clock.now += 0.1
        with pytest.raises(KeyStateError):
            lease.decrypt(message)
        lease.encrypt(b"x")


def test_the_time_begins_before_the_data_key_was_asked_for(service: Running, clock: Clock) -> None:
    """However long the answer takes: what was revoked meanwhile was granted before."""

    class Slow(Counting):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            clock.now += 6
            return super().handle_request(request)

    with Client(service.url, service.api_key, transport=Slow()) as remote:
        with remote.local(seconds=7) as lease:
            lease.encrypt(b"x")
            clock.now += 1
            with pytest.raises(ServiceUnavailableError, match="ran out"):
                # The data key, and then the report, take six seconds each.
                lease.encrypt(b"x")


def test_the_clock_goes_on_while_the_machine_sleeps() -> None:
    """The system's own count of it, where there is one."""
    assert abs(lease_clock() - time.clock_gettime(time.CLOCK_BOOTTIME)) < 1


@pytest.mark.parametrize("bound", [{"messages": 4}, {"bytes": 40}, {"bytes": 49}])
def test_messages_and_bytes_are_bounded_in_both_directions(
    counted: Client, counting: Counting, bound: Any
) -> None:
    """What is sealed and what is opened counts together."""
    key_id = key(counted)
    counting.paths.clear()
    with counted.local(key_id, **bound) as lease:
        messages = [lease.encrypt(bytes(10)) for _ in range(3)]
        assert lease.decrypt(messages[0]) == bytes(10)
        assert counting.paths == [DATAKEY]
        assert lease.decrypt(messages[0]) == bytes(10)
        assert counting.paths == [DATAKEY, "/crypto/decrypt"]
        newer = lease.encrypt(bytes(10))
        assert newer[:116] != messages[0][:116]
    assert counting.paths[2:] == [DATAKEY, REPORT, REPORT]


@pytest.mark.parametrize("wrong", [
    {"seconds": 0}, {"seconds": -1}, {"seconds": 86_401}, {"seconds": float("nan")},
    {"messages": 0}, {"bytes": 0}, {"key_id": "No Key"},
])  # fmt: skip
def test_a_lease_without_bounds_is_refused(remote: Client, wrong: Any) -> None:
    """It would outlive every revocation."""
    with pytest.raises(InvalidInputError):
        remote.local(**wrong)


def test_what_no_data_key_may_protect_is_refused(remote: Client) -> None:
    """It would ask for data keys for ever."""
    with remote.local(bytes=10) as lease:
        assert lease.encrypt(bytes(10))
        with pytest.raises(InvalidInputError):
            lease.encrypt(bytes(11))


def test_old_data_keys_are_forgotten() -> None:
    """At their time, and of those that are left only so many are kept."""
    clock, policy = Clock(), Policy()
    state = LeaseState("a", LeaseLimits(100, 1, 10), b"", policy, clock)
    named = policy.sealer(bytes(32), b"12345678")
    for number in range(80):
        renewing = state.renew()
        next(renewing)
        made = named.wrap_data_key()
        body = {"plaintext": b64(made.plaintext), "wrapped": b64(made.header), "key_id": "a:v1"}
        with pytest.raises(StopIteration):
            renewing.send(Reply(200, {}, json.dumps(body).encode()))
        assert len(state._active) == min(number + 1, 64)
    clock.now += 100
    assert state.sealer(1) is None


# Messages of others ---------------------------------------------------------------------------


def test_what_another_lease_sealed_is_opened_by_the_service_at_once(
    counted: Client, counting: Counting
) -> None:
    """Of both forms, many in one request; what is wrong fails alone."""
    key_id, other = key(counted), key(counted)
    with counted.local(key_id) as former:
        old = [former.encrypt(b"%d" % number, associated_data=b"row") for number in range(50)]
    first_form = counted.encrypt(b"first form", key_id=key_id, associated_data=b"row")
    foreign = counted.encrypt(b"foreign", key_id=other, associated_data=b"row")
    with counted.local(key_id) as lease:
        own = lease.encrypt(b"own", associated_data=b"row")
        counting.paths.clear()
        broken = own[:-1] + bytes([own[-1] ^ 1])
        item = DecryptItem(own, associated_data=b"another row")
        mixed: list[Any] = [*old, own, first_form, foreign, broken, b"", item]
        opened = lease.decrypt_batch(mixed, associated_data=b"row")
        assert counting.paths == ["/crypto/decrypt/batch"]
        assert opened[:52] == [*(b"%d" % number for number in range(50)), b"own", b"first form"]
        assert [type(each) for each in opened[52:]] == [DecryptionError] * 4
        assert lease.decrypt_batch([own], associated_data=b"row") == [b"own"]
        assert lease.decrypt(old[0], associated_data=b"row") == b"0"
        for message in (foreign, broken, own[:150], b"MFN\x02"):
            with pytest.raises(DecryptionError):
                lease.decrypt(message, associated_data=b"row")
    assert counting.paths[1] == "/crypto/decrypt"


def test_an_item_that_says_more_than_the_lease_is_for_is_judged_by_the_service(
    counted: Client, counting: Counting
) -> None:
    """Its key, its format, what its data key is bound to: they are not passed over."""
    key_id, other = key(counted), key(counted)
    with counted.local(key_id) as lease:
        own = lease.encrypt(b"own")
        wrong: list[Any] = [
            DecryptItem(own, key_id=other),
            DecryptItem(own, format="raw"),
            DecryptItem(own, data_key_associated_data=b"x"),
        ]
        right = [DecryptItem(own, key_id=key_id), DecryptItem(own)]
        counting.paths.clear()
        opened = lease.decrypt_batch([*wrong, *right])
        assert counting.paths == ["/crypto/decrypt/batch"]
        assert [isinstance(each, MfnError) for each in opened] == [True] * 3 + [False] * 2
        (none,) = lease.decrypt_batch([DecryptItem(own, associated_data=5)])  # type: ignore[arg-type]
        assert isinstance(none, InvalidInputError)
    with pytest.raises(InvalidInputError, match="ended"):
        lease.decrypt_batch(wrong)


# Reports --------------------------------------------------------------------------------------


def test_failures_are_counted_and_a_rotation_is_followed(
    remote: Client, service: Running, clock: Clock
) -> None:
    """Each version with what was done under it, in the report that comes next."""
    key_id = key(remote)
    with remote.local(key_id) as lease:
        message = lease.encrypt(b"12345")
        with pytest.raises(DecryptionError):
            lease.decrypt(message, associated_data=b"x")
        remote.rotate_key(key_id)
        clock.now += 300
        lease.encrypt(b"1")
        lease.encrypt(b"1")
    found = [each["items"] for each in records(service, lease, "datakey.report")]
    assert found == [
        {f"{key_id}:v2": {"encrypted": 2, "bytes": 2}},
        {f"{key_id}:v1": {"encrypted": 1, "failed": 1, "bytes": 5}},
    ]


def granting(reports: list[Any], *refusals: httpx.Response) -> Any:
    """A service that grants data keys, and refuses so many reports."""
    named, left = Policy().sealer(bytes(32), b"12345678"), list(refusals)

    def answer(request: httpx.Request) -> httpx.Response:
        body = json.loads(request.content)
        if request.url.path == DATAKEY:
            made = named.wrap_data_key()
            wrapped, plain = b64(made.header), b64(made.plaintext)
            return httpx.Response(
                200, json={"wrapped": wrapped, "plaintext": plain, "key_id": "a:v1"}
            )
        if left:
            return left.pop(0)
        reports.append(body["uses"])
        return httpx.Response(200, json={"operations": 1})

    return answer


def test_a_report_that_failed_is_made_the_next_time() -> None:
    """With all that was done since; it is no reason to stop working."""
    reports: list[Any] = []
    busy = problem("audit-unavailable", 503)
    remote, _ = answering(granting(reports, busy, busy))
    lease = remote.local("a", messages=2)
    with pytest.raises(MfnError), lease:
        for _ in range(4):
            lease.encrypt(b"x")  # the second data key reports what the first did, in vain
    assert reports == []
    with pytest.raises(InvalidInputError, match="ended"):
        lease.encrypt(b"x")
    lease.close()
    assert reports == [
        [{"key_id": "a:v1", "encrypted": 4, "decrypted": 0, "failed": 0, "bytes": 4}]
    ]
    lease.close()
    assert len(reports) == 1
    remote.close()


def test_a_report_that_fails_does_not_hide_what_ended_the_work(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It is told to the log."""
    remote, _ = answering(granting([], problem("audit-unavailable", 503)))
    with remote, pytest.raises(ZeroDivisionError), remote.local("a") as lease:
        lease.encrypt(b"x")
        raise ZeroDivisionError
    assert f"{lease.reference} was not reported" in caplog.text


def test_a_lease_that_did_nothing_reports_nothing() -> None:
    """There is nothing to record."""
    reports: list[Any] = []
    remote, requests = answering(granting(reports))
    with remote, remote.local("a"):
        pass
    assert (len(requests), reports) == (1, [])


# Who may, and what is shown -------------------------------------------------------------------


def test_a_lease_needs_its_scope(client: httpx.Client, service: Running, remote: Client) -> None:
    """For the data key when it begins; what others sealed needs that of decrypting."""
    key_id = key(remote)
    message = remote.encrypt(b"x", key_id=key_id)
    with Client(service.url, credential(client, f"datakey:{key_id}")) as narrow:
        with narrow.local(key_id) as lease:
            assert lease.decrypt(lease.encrypt(b"x")) == b"x"
            with pytest.raises(KeyNotFoundError):
                lease.decrypt(message)
        with pytest.raises(KeyNotFoundError), narrow.local("default-encryption"):
            pass
    with Client(service.url, API_KEY, retries=QUICK) as stranger:
        with pytest.raises(AuthenticationError), stranger.local(key_id):
            pass


def test_nothing_of_a_lease_is_secret(remote: Client) -> None:
    """Its repr is the reference that the audit records have too."""
    with remote.local() as lease:
        assert repr(lease) == f"<Lease {lease.reference.removeprefix('lease ')}>"


def test_a_policy_holds_on_this_machine_too(service: Running) -> None:
    """An algorithm that is not allowed here is not used here."""
    policy = Policy(disallowed=["SHA-512"])
    with Client(service.url, service.api_key, policy=policy) as remote:
        with pytest.raises(AlgorithmNotAllowedError), remote.local():
            pass


# Threads, processes, tasks --------------------------------------------------------------------


def test_threads_share_a_lease(counted: Client, counting: Counting, service: Running) -> None:
    """One of them renews it for all, and every message is counted once."""
    key_id = key(counted)
    counting.paths.clear()
    failed: list[BaseException] = []

    def work(lease: Lease) -> None:
        try:
            for _ in range(500):
                assert lease.encrypt(b"x")
        except BaseException as error:
            failed.append(error)

    with counted.local(key_id, messages=1000) as lease:
        threads = [threading.Thread(target=work, args=(lease,)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert failed == []
    assert counting.paths.count(DATAKEY) == 4
    counts = [
        each["items"][f"{key_id}:v1"]["encrypted"]
        for each in records(service, lease, "datakey.report")
    ]
    assert sum(counts) == 4000


def test_a_process_that_forks_gets_a_data_key_of_its_own(remote: Client, service: Running) -> None:
    """Or the two would go past the bounds together; the parent reports what it did itself."""
    key_id = key(remote)
    with remote.local(key_id) as lease:
        message = lease.encrypt(b"x")
        child = os.fork()
        if child == 0:
            try:
                opened = lease.decrypt(message) == b"x"  # by the service
                other = lease.encrypt(b"child")[:116] != message[:116]
                lease.close()
                os._exit(0 if opened and other else 1)
            finally:
                os._exit(2)
        assert os.waitpid(child, 0)[1] == 0
        lease.encrypt(b"x")
    counts = [each["items"][f"{key_id}:v1"] for each in records(service, lease, "datakey.report")]
    assert counts == [{"encrypted": 2, "bytes": 2}, {"encrypted": 1, "bytes": 5}]


def test_a_process_that_is_forked_while_a_thread_asks_does_not_wait_for_that() -> None:
    """The thread is not in the child, and nobody there would ever let go of its turn."""
    asked, answered = threading.Event(), threading.Event()
    grant = granting([])

    def slow(request: httpx.Request) -> httpx.Response:
        if threading.current_thread() is not threading.main_thread():
            asked.set()
            answered.wait(10)
        return grant(request)  # type: ignore[no-any-return]

    remote, _ = answering(slow)
    lease = remote.local("a")
    thread = threading.Thread(target=lease.encrypt, args=(b"x",))
    thread.start()
    asked.wait(10)

    def child() -> None:
        signal.alarm(10)
        assert len(lease.encrypt(b"x")) == 189

    try:
        killed(child)
    finally:
        answered.set()
        thread.join()
    lease.close()
    remote.close()


def test_what_was_done_is_reported_by_a_lease_whose_report_was_cancelled() -> None:
    """At once, and not when somebody forgets the error that cancelled it."""
    reports: list[Any] = []
    grant = granting(reports)
    waiting: list[asyncio.Event] = []

    async def slow(request: httpx.Request) -> httpx.Response:
        if request.url.path == REPORT and not waiting:
            waiting.append(asyncio.Event())
            await asyncio.sleep(60)
        return grant(request)  # type: ignore[no-any-return]

    async def work() -> None:
        transport = httpx.MockTransport(slow)
        async with AsyncClient("https://keys.example", API_KEY, transport=transport) as remote:
            lease = remote.local("a", messages=1)
            await lease.encrypt(b"1")
            task = asyncio.create_task(lease.encrypt(b"2"))  # reports what the first did
            while not waiting:
                await asyncio.sleep(0.01)
            task.cancel()
            with pytest.raises(asyncio.CancelledError) as held:
                await task
            await lease.aclose()
            assert held.value is not None

    asyncio.run(work())
    assert [each[0]["encrypted"] for each in reports] == [1]


def test_a_lease_can_be_awaited(service: Running) -> None:
    """Tasks share it, one of them renews it, and a task that is cancelled reports."""
    reference = ""

    async def work() -> None:
        nonlocal reference
        async with AsyncClient(service.url, service.api_key) as remote:
            key_id = (await remote.create_key(f"k-{secrets.token_hex(6)}")).key_id
            old = await remote.encrypt_batch([b"a", b"b"], key_id=key_id)
            async with remote.local(key_id, messages=100) as lease:
                reference = lease.reference
                made = await asyncio.gather(*(lease.encrypt(b"%d" % n) for n in range(150)))
                assert len({each[:116] for each in made}) == 2
                assert await lease.decrypt(made[149]) == b"149"
                assert await lease.decrypt(made[0]) == b"0"
                assert await lease.decrypt_batch([made[149], *old]) == [b"149", b"a", b"b"]  # type: ignore[list-item]
                assert await lease.decrypt_batch([made[149]]) == [b"149"]
            with pytest.raises(InvalidInputError):
                await lease.encrypt(b"x")

            started = asyncio.Event()

            async def cancelled() -> None:
                nonlocal reference
                async with remote.local(key_id) as lease:
                    reference = lease.reference
                    await lease.encrypt(b"x")
                    started.set()
                    await asyncio.sleep(60)

            task = asyncio.create_task(cancelled())
            await started.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(work())
    found = query(service.home / "audit", event="datakey.report", limit=10)
    assert reference in [each.get("reference") for each in found]


def test_an_awaited_lease_that_runs_out_or_cannot_report_says_so(
    caplog: pytest.LogCaptureFixture, clock: Clock
) -> None:
    """As one that blocks does."""
    answer = granting([], problem("audit-unavailable", 503))

    def slow(request: httpx.Request) -> httpx.Response:
        clock.now += 6
        return answer(request)  # type: ignore[no-any-return]

    async def work() -> None:
        transport = httpx.MockTransport(slow)
        async with AsyncClient("https://keys.example", API_KEY, transport=transport) as remote:
            with pytest.raises(ZeroDivisionError):
                async with remote.local("a", seconds=7) as lease:
                    await lease.encrypt(b"x")
                    raise ZeroDivisionError
            await lease.aclose()
            with pytest.raises(ServiceUnavailableError, match="ran out"):
                async with remote.local("a", seconds=5) as lease:
                    await lease.encrypt(b"x")

    asyncio.run(work())
    assert "was not reported" in caplog.text
