"""What the client tries again, and when: faults that a real service cannot be made to show."""

from __future__ import annotations

import asyncio
import gzip
import logging
import os
import time
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from mycelium_fractal_net.api.http.problems import KINDS, body_of
from mycelium_fractal_net.client import AsyncClient, Client, Retries, operations
from mycelium_fractal_net.client.problems import error_of_reply
from mycelium_fractal_net.client.replies import NoReply, Reply
from mycelium_fractal_net.client.retries import attempts
from mycelium_fractal_net.client.steps import Pause, Request
from mycelium_fractal_net.security import errors
from mycelium_fractal_net.security.errors import (
    AuditUnavailableError,
    InvalidInputError,
    MfnError,
    ServiceError,
    ServiceUnavailableError,
    StoreUnavailableError,
    kind_of,
)
from tests.support.client import API_KEY, QUICK, answering, problem

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from mycelium_fractal_net.client.steps import Effects

GOOD = httpx.Response(200, json={"ciphertext": "eA==", "key_id": "a:v1"})
KEY = httpx.Response(200, json={
    "key_id": "a", "type": "encryption", "use": "data", "algorithm": "AES-256-GCM",
    "publish": False, "created_at": "2026-11-24T12:27:35Z",
    "rotation_due": "2027-02-22T12:27:35Z",
    "rotation": {"interval_days": 90, "retain_count": 3, "auto_destroy": False,
                 "unused_for_days": 400, "automatic": True},
    "versions": [{"version": 1, "state": "active", "compromised": False, "handle": "0c2a",
                  "created_at": "2026-11-24T12:27:35Z", "activate_at": None,
                  "destroy_at": None}],
})  # fmt: skip
BUSY = problem("store-unavailable", 503)
READS: dict[str, Callable[[Client], Any]] = {
    "encrypt": lambda remote: remote.encrypt(b"x"),
    "encrypt_batch": lambda remote: remote.encrypt_batch([b"x"]),
    "decrypt": lambda remote: remote.decrypt(b"x"),
    "rewrap": lambda remote: remote.rewrap(b"x"),
    "sign": lambda remote: remote.sign(b"x"),
    "verify": lambda remote: remote.verify(b"x", b"y"),
    "mac": lambda remote: remote.mac(b"x"),
    "verify_mac": lambda remote: remote.verify_mac(b"x", b"y"),
    "data_key": lambda remote: remote.data_key(),
    "show_key": lambda remote: remote.show_key("a"),
    "key_usage": lambda remote: remote.key_usage("a"),
    "cleanup_key, listing": lambda remote: remote.cleanup_key("a", 1),
    "export_key": lambda remote: remote.export_key("a", "x"),
    "list_imports": lambda remote: remote.list_imports(),
    "show_import": lambda remote: remote.show_import("0" * 32),
    "own_credential": lambda remote: remote.own_credential(),
}
CHANGES: dict[str, Callable[[Client], Any]] = {
    "create_key": lambda remote: remote.create_key("a"),
    "change_key": lambda remote: remote.change_key("a", publish=True),
    "rotate_key": lambda remote: remote.rotate_key("a"),
    "cleanup_key": lambda remote: remote.cleanup_key("a", 1, reason="old"),
    "begin_import": lambda remote: remote.begin_import("a"),
    "finish_import": lambda remote: remote.finish_import("0" * 32, b"x"),
    "cancel_import": lambda remote: remote.cancel_import("0" * 32),
    "change_key_state": lambda remote: remote.change_key_state("a", "suspend"),
    "rotate_own_credential": lambda remote: remote.rotate_own_credential(),
}


# What is repeated -----------------------------------------------------------------------------


@pytest.mark.parametrize("fault", [
    BUSY, problem("audit-unavailable", 503), httpx.Response(429), httpx.ConnectError("refused"),
    httpx.ConnectTimeout(""), httpx.ReadError(""), httpx.RemoteProtocolError("disconnected"),
], ids=str)  # fmt: skip
def test_what_does_no_harm_twice_is_tried_again(fault: Any) -> None:
    """An answer that was lost is asked for once more."""
    remote, requests = answering(fault, fault, GOOD)
    with remote:
        assert remote.encrypt(b"x") == b"x"
    assert len(requests) == 3


@pytest.mark.parametrize("name", READS)
def test_everything_but_a_change_may_be_repeated(name: str) -> None:
    """As often as the retries say, and then the error is the last one."""
    remote, requests = answering(BUSY)
    with remote, pytest.raises(StoreUnavailableError, match="it is so"):
        READS[name](remote)
    assert len(requests) == QUICK.attempts


@pytest.mark.parametrize("fault", [
    BUSY, httpx.Response(429), httpx.ReadError(""), httpx.ReadTimeout(""),
    httpx.RemoteProtocolError("disconnected"), httpx.WriteError(""),
], ids=str)  # fmt: skip
@pytest.mark.parametrize("name", CHANGES)
def test_a_change_that_may_have_been_made_is_not_repeated(name: str, fault: Any) -> None:
    """There would be two versions of a key, or a second API key that ends the first."""
    remote, requests = answering(fault)
    with remote, pytest.raises(MfnError):
        CHANGES[name](remote)
    assert len(requests) == 1


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_that_surely_did_not_arrive_is_repeated(name: str) -> None:
    """Nobody was there to make it."""
    remote, requests = answering(httpx.ConnectError("refused"))
    with remote, pytest.raises(ServiceUnavailableError):
        CHANGES[name](remote)
    assert len(requests) == QUICK.attempts
    remote, requests = answering(httpx.PoolTimeout(""), KEY)
    with remote:
        assert remote.rotate_key("a") == "a:v1"


@pytest.mark.parametrize("slug", sorted(KINDS))
def test_every_problem_of_the_service_is_the_error_that_it_was(slug: str) -> None:
    """The client's table is the other side of the service's."""
    kind = KINDS[slug]
    answer = problem(slug, kind.status)
    error = error_of_reply(Reply(answer.status_code, dict(answer.headers), answer.content))
    if slug in ("bad-request", "malformed", "method-not-allowed", "unsupported-media-type",
                "http-version", "unexpected"):  # fmt: skip
        assert type(error) is ServiceError
    elif slug in ("disabled", "overloaded", "too-many-requests"):
        assert type(error) is ServiceUnavailableError
    elif slug == "too-large":
        assert type(error) is InvalidInputError
    elif slug == "request-signature":
        assert type(error) is errors.NotPermittedError  # and not what verify() raises
    else:
        assert kind_of(error).slug == slug
        assert body_of(error)["status"] == kind.status
    assert error.__notes__ == ["request 52e5 of the service"]


@pytest.mark.parametrize("fault", [problem("disabled", 503), problem("unexpected", 500),
                                   problem("decryption-failed", 400), httpx.Response(200)],
                         ids=str)  # fmt: skip
def test_what_stays_as_it_is_is_not_asked_again(fault: httpx.Response) -> None:
    """It would only take longer."""
    remote, requests = answering(fault)
    with remote, pytest.raises(MfnError):
        remote.encrypt(b"x")
    assert len(requests) == 1


def test_health_is_asked_once_and_answers_also_where_it_is_not_ready() -> None:
    """503 is its answer, and no reason to wait."""
    remote, requests = answering(httpx.Response(503, json={"status": "unavailable"}))
    with remote:
        assert not remote.health().ready
    assert len(requests) == 1


def test_what_a_problem_says_is_shown_as_one_safe_line() -> None:
    """It may come from whoever is in front of the service."""
    detail = "a\x1b[31m\r\nb" + "c" * 1000
    remote, _ = answering(problem("unexpected", 500, detail, **{"x-request-id": "a b\x7f"}))
    with remote, pytest.raises(ServiceError) as caught:
        remote.encrypt(b"x")
    assert str(caught.value).startswith("a?[31m??bccc")
    assert len(str(caught.value)) == 300
    assert not hasattr(caught.value, "__notes__")


# How long -------------------------------------------------------------------------------------


class Clock:
    """Time that passes only in pauses."""

    def __init__(self) -> None:
        self.now = 100.0
        self.pauses: list[float] = []

    def __call__(self) -> float:
        return self.now


def tried(
    retries: Retries, outcome: Any, random: Iterator[float] | float = 1.0, **request: Any
) -> Clock:
    """The pauses of a request that always ends so."""
    clock = Clock()
    numbers = (lambda: random) if isinstance(random, float) else (lambda: next(random))
    trying = attempts(Request("GET", "/", **request), retries, clock, numbers)
    effect = next(trying)
    with pytest.raises(MfnError):
        while True:
            if isinstance(effect, Pause):
                clock.pauses.append(effect.seconds)
                clock.now += effect.seconds
                effect = trying.send(None)
            else:
                effect = trying.send(outcome)
    return clock


NOBODY = NoReply("nobody is there", arrived=False)


def test_pauses_are_drawn_between_nothing_and_a_bound_that_doubles() -> None:
    """Full jitter, with the longest pause as its end."""
    retries = Retries(attempts=6, base=1.0, longest=5.0, seconds=60)
    assert tried(retries, NOBODY).pauses == [1.0, 2.0, 4.0, 5.0, 5.0]
    assert tried(retries, NOBODY, 0.0).pauses == [0.0] * 5
    drawn = tried(retries, NOBODY, iter([0.5, 0.25, 0.1, 0.0, 1.0])).pauses
    assert drawn == [0.5, 0.5, 0.4, 0.0, 5.0]


def test_two_clients_do_not_come_back_together() -> None:
    """Each draws for itself."""
    drawn = []
    for _ in range(2):
        remote, _ = answering(BUSY)
        drawn.append([remote._sender._random() for _ in range(8)])
        remote.close()
    assert drawn[0] != drawn[1]


def test_no_attempt_begins_after_the_time_is_up() -> None:
    """However many are left."""
    retries = Retries(attempts=100, base=1.0, longest=3.0, seconds=10)
    clock = tried(retries, NOBODY)
    assert clock.pauses == [1.0, 2.0, 3.0, 3.0]
    assert tried(Retries(attempts=1), NOBODY).pauses == []


@pytest.mark.parametrize(
    ("told", "pauses"),
    [("3", [3.5, 4.0]), ("0", [0.5, 1.0]), ("31", []), ("soon", [0.5, 1.0]), ("-1", [0.5, 1.0]),
     ("Tue, 24 Nov 2026 12:00:00 GMT", [0.5, 1.0]), ("9" * 30, [0.5, 1.0])],
)  # fmt: skip
def test_the_service_says_how_long_to_wait_at_least(told: str, pauses: list[float]) -> None:
    """With jitter on top, and not at all where that is more than there is patience for."""
    busy = Reply(429, {"retry-after": told}, b"")
    assert tried(Retries(attempts=3, base=0.5, seconds=30), busy).pauses == pauses


@pytest.mark.parametrize("wrong", [
    {"attempts": 0}, {"attempts": 101}, {"seconds": -1}, {"base": float("inf")},
    {"longest": float("nan")},
])  # fmt: skip
def test_retries_have_bounds(wrong: Any) -> None:
    """Nobody asks for ever."""
    with pytest.raises(InvalidInputError):
        Retries(**wrong)


def test_a_client_really_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """As long as the service asked for."""
    remote, requests = answering(problem("conflict", 503, **{"retry-after": "1"}), GOOD)
    started = time.monotonic()
    with remote:
        remote.encrypt(b"x")
    assert time.monotonic() - started >= 1
    assert len(requests) == 2


# A new API key that cannot be kept ------------------------------------------------------------

DUE = {"x-api-key-rotation-due": "2026-01-01T00:00:00Z"}


def due(request: httpx.Request) -> httpx.Response:
    """A service whose API key is due, and which renews it."""
    if request.url.path == "/credentials/self/rotate":
        return httpx.Response(200, json={"api_key": "mfn_bbbbbbbbbbbbbbbb_new"})
    return httpx.Response(200, json={"ciphertext": "eA==", "key_id": "a:v1"}, headers=DUE)


def test_a_key_that_could_not_be_kept_is_held_and_no_other_is_asked_for(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A second one would end the one that is in use; the log shows neither."""
    kept: list[str] = []

    def keep(api_key: str) -> None:
        if len(kept) < 2:
            kept.append("refused")
            raise OSError(f"no room for {api_key}")
        kept.append(api_key)

    remote, requests = answering(due, store_api_key=keep)
    clock = Clock()
    remote._sender.clock = clock
    with caplog.at_level(logging.DEBUG, "mycelium_fractal_net"):
        remote.encrypt(b"x")
        remote.encrypt(b"x")
        assert kept == ["refused"]
        clock.now += 61
        remote.encrypt(b"x")
        assert kept == ["refused", "refused"]
        remote.close()
    assert kept[2] == "mfn_bbbbbbbbbbbbbbbb_new"
    paths = [each.url.path for each in requests]
    assert paths.count("/credentials/self/rotate") == 1
    assert {each.headers["x-api-key"] for each in requests} == {API_KEY}
    assert "OSError" in caplog.text
    assert "bbbb" not in caplog.text


def test_a_key_that_was_kept_is_sent_from_then_on() -> None:
    """And not before: the former one serves as long as it takes."""
    seen: list[int] = []
    sent: list[httpx.Request] = []
    remote, requests = answering(due, store_api_key=lambda _: seen.append(len(sent)))
    sent = requests
    with remote:
        for _ in range(3):
            remote.encrypt(b"x")
    assert seen == [2]
    keys = [each.headers["x-api-key"][-3:] for each in requests]
    assert keys == ["sss", "sss", "new", "new"]


def test_a_renewal_that_fails_costs_no_result(caplog: pytest.LogCaptureFixture) -> None:
    """It is told to the log, and tried again a minute later."""

    def refusing(request: httpx.Request) -> httpx.Response:
        return problem("conflict", 409) if "rotate" in request.url.path else due(request)

    remote, requests = answering(refusing, store_api_key=print)
    with remote:
        assert remote.encrypt(b"x") == b"x"
        assert remote.encrypt(b"x") == b"x"
    assert len(requests) == 3
    assert "was not renewed" in caplog.text


def replied(flow: Effects[Any], reply: Reply) -> Any:
    """The result of an operation, or what it does next, once it has that answer."""
    try:
        return flow.send(reply)
    except StopIteration as end:
        return end.value


MADE = Reply(200, DUE, b'{"ciphertext":"eA==","key_id":"a:v1"}')
NEW = Reply(200, {}, b'{"api_key":"mfn_bbbbbbbbbbbbbbbb_new"}')


def test_an_answer_that_was_late_does_not_have_a_new_key_renewed() -> None:
    """It was given to the former key, whose overlap the second renewal would have ended."""
    kept: list[str] = []
    remote, requests = answering(due, store_api_key=kept.append)
    clock = Clock()
    remote._sender.clock = clock
    with remote:
        late = remote._sender.perform(operations.encrypt(b"x"))
        next(late)
        remote.encrypt(b"x")
        assert len(kept) == 1
        assert replied(late, MADE) == b"x"
        clock.now += 61
        done = remote._sender.perform(operations.encrypt(b"x"))
        next(done)
        assert replied(done, MADE._replace(headers={})) == b"x"
    assert [each.url.path for each in requests].count("/credentials/self/rotate") == 1


def test_two_renewals_are_made_one_after_the_other() -> None:
    """Of two at once the key that is sent and kept at the end could be the one that ended."""
    kept: list[str] = []
    remote, _ = answering(due, store_api_key=kept.append)
    sender = remote._sender
    with remote:
        by_itself = sender.perform(operations.encrypt(b"x"))
        next(by_itself)
        assert replied(by_itself, MADE).path == "/credentials/self/rotate"
        by_hand = sender.rotate(revoke_previous=True)
        assert isinstance(next(by_hand), Pause)
        work = replied(by_itself, NEW)
        work.function()
        with pytest.raises(StopIteration):
            by_itself.send(None)
        assert next(by_hand).path == "/credentials/self/rotate"  # type: ignore[union-attr]
        other = replied(by_hand, NEW._replace(body=b'{"api_key":"mfn_bbbbbbbbbbbbbbbb_newer"}'))
        other.function()
        with pytest.raises(StopIteration):
            by_hand.send(None)
    assert [each[-5:] for each in kept] == ["b_new", "newer"]
    assert sender.api_key_header[1] == kept[-1]


def test_an_api_key_that_is_none_is_not_kept(caplog: pytest.LogCaptureFixture) -> None:
    """Nor does it cost the result; the one that serves is sent on."""

    def strange(request: httpx.Request) -> httpx.Response:
        if "rotate" in request.url.path:
            return httpx.Response(200, json={"api_key": "mfn_b b\n"})
        return due(request)

    kept: list[str] = []
    remote, requests = answering(strange, store_api_key=kept.append)
    with remote:
        assert remote.encrypt(b"x") == b"x"
        assert remote.encrypt(b"x") == b"x"
    assert kept == []
    assert {each.headers["x-api-key"] for each in requests} == {API_KEY}
    assert "was not renewed" in caplog.text


def test_a_client_whose_end_is_interrupted_closes_its_connections() -> None:
    """Whatever the function raised that was to keep a key."""
    raised: list[type[BaseException]] = [OSError, KeyboardInterrupt]

    def keep(_: str) -> None:
        raise raised.pop(0)

    remote, _ = answering(due, store_api_key=keep)
    remote.encrypt(b"x")
    with pytest.raises(KeyboardInterrupt):
        remote.close()
    assert remote._driver._http().is_closed


# Answers that are not taken -------------------------------------------------------------------


@pytest.mark.parametrize("versions", [[], [{**KEY.json()["versions"][0], "handle": "no"}]])
def test_a_key_whose_versions_cannot_be_read_is_no_key(versions: list[Any]) -> None:
    """Each has a handle in hexadecimal, and a key has one version at least."""
    remote, _ = answering(httpx.Response(200, json={**KEY.json(), "versions": versions}))
    with remote, pytest.raises(ServiceError, match="cannot be read"):
        remote.show_key("a")


def test_an_answer_that_is_compressed_is_not_expanded() -> None:
    """Nobody asked for one: a few bytes could fill the memory."""
    packed = gzip.compress(GOOD.content)
    for encoding, content in (("gzip", packed), ("identity", GOOD.content)):
        headers = {"content-encoding": encoding}
        remote, requests = answering(
            lambda _, h=headers, c=content: httpx.Response(200, headers=h, content=c)  # type: ignore[misc]
        )
        with remote:
            if encoding == "identity":
                assert remote.encrypt(b"x") == b"x"
            else:
                with pytest.raises(ServiceError, match="as it was asked for"):
                    remote.encrypt(b"x")
        assert len(requests) == 1


def test_an_answer_without_end_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """By neither client."""
    monkeypatch.setattr("mycelium_fractal_net.client.replies._ANSWER_BYTES", 1000)
    sent: list[int] = []

    def endless() -> Iterator[bytes]:
        while True:
            sent.append(1)
            yield bytes(100)

    class Endless(httpx.SyncByteStream, httpx.AsyncByteStream):
        def __iter__(self) -> Iterator[bytes]:
            return endless()

        async def __aiter__(self) -> AsyncIterator[bytes]:
            for part in endless():
                yield part

    transport = httpx.MockTransport(lambda _: httpx.Response(200, stream=Endless()))
    options: Any = {"transport": transport, "retries": QUICK}
    with Client("https://keys.example", API_KEY, **options) as remote:
        with pytest.raises(ServiceError, match="as it was asked for"):
            remote.show_key("a")

    async def work() -> None:
        async with AsyncClient("https://keys.example", API_KEY, **options) as remote:
            with pytest.raises(ServiceError, match="as it was asked for"):
                await remote.show_key("a")

    asyncio.run(work())
    assert len(sent) == 22


def test_nothing_is_renewed_where_nobody_keeps_it() -> None:
    """An API key that only this process knew would be lost with it."""
    remote, requests = answering(due)
    with remote:
        remote.encrypt(b"x")
    assert len(requests) == 1


# Processes ------------------------------------------------------------------------------------


def test_a_process_that_forks_has_connections_of_its_own(service: Any) -> None:
    """Two that write on one connection would read each other's answers."""
    with Client(service.url, service.api_key) as remote:
        remote.encrypt(b"parent")
        inherited = remote._driver._http()
        child = os.fork()
        if child == 0:
            try:
                ok = remote.decrypt(remote.encrypt(b"child")) == b"child"
                os._exit(0 if ok and remote._driver._http() is not inherited else 1)
            finally:
                os._exit(2)
        assert remote.decrypt(remote.encrypt(b"parent")) == b"parent"
        assert os.waitpid(child, 0)[1] == 0


def test_an_outage_is_named(service: Any) -> None:
    """The audit log's as the store's: the errors of the library."""
    remote, _ = answering(problem("audit-unavailable", 503), retries=Retries(attempts=1))
    with remote, pytest.raises(AuditUnavailableError):
        remote.encrypt(b"x")
