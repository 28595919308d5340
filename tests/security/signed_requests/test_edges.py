"""What happens to signed requests at the edges: clients that go away, loops that end, races."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from mycelium_fractal_net.security.directories.signers import SignerDirectory
from mycelium_fractal_net.security.errors import InvalidSignatureError, RequestSignatureError
from mycelium_fractal_net.security.key_store import NonceStore
from mycelium_fractal_net.security.key_store.freshness import Freshness
from mycelium_fractal_net.security.request_signing import SignatureVerificationMiddleware
from mycelium_fractal_net.security.response_signing import ResponseSigningMiddleware
from mycelium_fractal_net.security.signatures.signing_key import SigningKey
from mycelium_fractal_net.security.signed_requests.asgi import (
    EXCHANGE,
    BodyTooLargeError,
    read_body,
)
from mycelium_fractal_net.security.signed_requests.replay import Nonce, ReplayGuard, Taken
from mycelium_fractal_net.security.signed_requests.verifier import _Nonces, _settle
from tests.support.algorithms import SIGNING
from tests.support.signing import AUTHORITY

if TYPE_CHECKING:
    from mycelium_fractal_net import Keyring
    from mycelium_fractal_net.security.key_providers import LocalKeyProvider


def nonce() -> Nonce:
    return Nonce(os.urandom(32), int(time.time()) + 300)


def receiving(*messages: dict[str, Any]) -> Any:
    """An ASGI ``receive`` that gives these messages, and then that the client is gone."""
    left = list(messages)

    async def receive() -> dict[str, Any]:
        return left.pop(0) if left else {"type": "http.disconnect"}

    return receive


def part(body: bytes, more: bool = False) -> dict[str, Any]:
    return {"type": "http.request", "body": body, "more_body": more}


async def ignored(_message: Any) -> None:
    """An ASGI ``send`` that nobody listens to."""


# The body -----------------------------------------------------------------------------------


def test_a_body_is_handed_on_once_and_then_what_comes() -> None:
    """Who reads on learns that the client has gone."""

    async def run() -> None:
        body = await read_body({}, receiving(part(b"a", True), part(b"b")), 10)
        assert body is not None
        assert body.content == b"ab"
        assert await body.receive() == part(b"ab")
        assert (await body.receive())["type"] == "http.disconnect"

    asyncio.run(run())


def test_a_client_that_goes_away_has_sent_no_body() -> None:
    """Part of one is none."""
    assert asyncio.run(read_body({}, receiving(part(b"a", True)), 10)) is None


def test_a_server_of_ours_keeps_the_body_for_the_next() -> None:
    """Where it was there already it is still there; where it was read it is put back."""

    class Exchange:
        kept: bytes | None = None

        def __init__(self, whole: bytes | None) -> None:
            self.whole = whole

        def whole_body(self) -> bytes | None:
            return self.whole

        def keep_body(self, body: bytes) -> None:
            self.kept = body

    async def run() -> None:
        there, coming = Exchange(b"whole"), Exchange(None)
        found = await read_body({"extensions": {EXCHANGE: there}}, receiving(), 10)
        assert found is not None
        assert (found.content, there.kept) == (b"whole", None)
        found = await read_body({"extensions": {EXCHANGE: coming}}, receiving(part(b"x")), 10)
        assert found is not None
        assert (found.content, coming.kept) == (b"x", b"x")
        with pytest.raises(BodyTooLargeError):
            scope = {"extensions": {EXCHANGE: Exchange(b"0123456789ab")}}
            await read_body(scope, receiving(part(b"0123456789ab")), 10)

    asyncio.run(run())


# The middleware -----------------------------------------------------------------------------


def test_the_start_and_end_of_an_application_pass(keyring: Keyring) -> None:
    """They are no requests."""
    seen: list[str] = []

    async def app(scope: Any, _receive: Any, _send: Any) -> None:
        seen.append(scope["type"])

    verifying = SignatureVerificationMiddleware(app, keyring=keyring, authority=AUTHORITY)
    signing = ResponseSigningMiddleware(
        verifying, keyring=keyring, key_id="none", authority=AUTHORITY
    )
    asyncio.run(signing({"type": "lifespan"}, receiving(), ignored))
    assert seen == ["lifespan"]


def test_a_client_that_goes_away_gets_no_handler(keyring: Keyring) -> None:
    """Its request was never whole, so nothing is verified and nothing runs."""

    async def app(_scope: Any, _receive: Any, _send: Any) -> None:
        raise AssertionError("it ran")

    verifying = SignatureVerificationMiddleware(app, keyring=keyring, authority=AUTHORITY)
    scope = {
        "type": "http", "method": "POST", "path": "/a", "query_string": b"",
        "headers": [(b"x-signature", b"AA==")],
    }  # fmt: skip
    asyncio.run(verifying(scope, receiving(), ignored))


def test_a_flowing_body_that_breaks_off_is_the_applications_to_see(keyring: Keyring) -> None:
    """It is told that the client has gone; a body that does not fit raises."""
    from mycelium_fractal_net.security.http_signatures.content_digest import (
        BodyDigest,
        content_digest,
    )
    from mycelium_fractal_net.security.request_signing import _Flow

    def flowing(body: bytes) -> _Flow:
        digest = BodyDigest(content_digest(b"ab").encode())
        return _Flow(receiving(part(body, body == b"a")), ignored, digest)

    async def run() -> None:
        cut, wrong = flowing(b"a"), flowing(b"x")
        assert (await cut.receive())["body"] == b"a"
        assert (await cut.receive())["type"] == "http.disconnect"
        with pytest.raises(RequestSignatureError):
            await wrong.receive()

    asyncio.run(run())


def test_an_application_that_answers_nothing_signs_nothing(keyring: Keyring) -> None:
    """Nor does one that sends a body without a beginning."""
    keyring.provider.keys.create("service", "signing", use="request")
    sent: list[Any] = []

    async def silent(_scope: Any, _receive: Any, _send: Any) -> None: ...

    async def headless(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.body", "body": b"x" * 100})

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": "/", "query_string": b"", "headers": []}
    for app in (silent, headless):
        signing = ResponseSigningMiddleware(
            app, keyring=keyring, key_id="service", authority=AUTHORITY, max_body_bytes=10
        )
        asyncio.run(signing(dict(scope), receiving(), send))
    assert sent == []


# Nonces and signers -------------------------------------------------------------------------


def test_whoever_stopped_waiting_is_passed_over() -> None:
    """A request that was cancelled; the others learn what became of their nonces."""

    async def run() -> None:
        loop = asyncio.get_running_loop()
        gone, there = loop.create_future(), loop.create_future()
        gone.cancel()
        _settle([gone, there], [True, False])
        assert await there is False

    asyncio.run(run())


def test_nonces_of_one_round_are_taken_together(local_provider: LocalKeyProvider) -> None:
    """In one group, of which each has its own answer."""
    guard = ReplayGuard(NonceStore(local_provider.store.database))
    groups: list[int] = []
    submit = guard.submit

    def counting(nonces: Any, done: Any) -> None:
        groups.append(len(nonces))
        submit(nonces, done)

    guard.submit = counting  # type: ignore[method-assign]
    twice = nonce()

    async def run() -> list[bool]:
        nonces = _Nonces(guard)
        return await asyncio.gather(*(nonces.take(each) for each in (twice, nonce(), twice)))

    assert asyncio.run(run()) == [True, True, False]
    assert groups == [3]
    guard.close()


def test_a_loop_that_has_ended_is_not_called(local_provider: LocalKeyProvider) -> None:
    """The nonce is taken all the same: nobody was told that it was not."""
    guard = ReplayGuard(NonceStore(local_provider.store.database))
    begun, go_on = threading.Event(), threading.Event()
    submit = guard.submit
    taken = nonce()

    def late(nonces: Any, done: Any) -> None:
        def wait_for_the_end(result: Taken) -> None:
            begun.set()
            go_on.wait(10)
            done(result)

        submit(nonces, wait_for_the_end)

    guard.submit = late  # type: ignore[method-assign]

    async def run() -> None:
        task = asyncio.ensure_future(_Nonces(guard).take(taken))
        await asyncio.to_thread(begun.wait, 10)
        task.cancel()

    asyncio.run(run())
    go_on.set()
    guard.close()
    again = ReplayGuard(NonceStore(local_provider.store.database))
    assert not again.take(taken)
    again.close()


def test_more_nonces_than_one_transaction_takes_are_taken_in_turn(
    local_provider: LocalKeyProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And a guard that two threads begin at once has one thread."""
    monkeypatch.setattr("mycelium_fractal_net.security.signed_requests.replay._MOST_NONCES", 2)
    guard = ReplayGuard(NonceStore(local_provider.store.database))
    guard._begin()
    guard._begin()
    results: list[Taken] = []
    for _ in range(5):
        guard.submit([nonce(), nonce(), nonce()], results.append)
    guard.close()
    assert results == [[True, True, True]] * 5


def test_signers_are_read_again_where_one_changed_meanwhile(
    local_provider: LocalKeyProvider,
) -> None:
    """What is kept is never older than what was known when it was read."""
    freshness = Freshness(local_provider.store)
    directory = SignerDirectory(local_provider, freshness)
    read = directory._read
    times: list[int] = []

    def reading(*arguments: Any) -> Any:
        found = read(*arguments)
        if not times:
            key = SigningKey.generate(SIGNING).public.der()
            local_provider.signers.add("late", key, any_credential=True)
            freshness.refresh()
        times.append(1)
        return found

    directory._read = reading  # type: ignore[method-assign, assignment]
    assert directory.by_name("late").signer.name == "late"
    assert len(times) == 2
    with pytest.raises(InvalidSignatureError):
        directory.by_name("nobody")
