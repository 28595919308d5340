"""Methods that are written once: what each of the two classes gets of them."""

from __future__ import annotations

import asyncio
import inspect
import threading
from typing import Any

import httpx
import pytest

from mycelium_fractal_net.client import (
    AsyncClient,
    AsyncDeterministicLease,
    AsyncIndexLease,
    AsyncLease,
    Client,
    DeterministicLease,
    IndexLease,
    Lease,
)
from mycelium_fractal_net.security.errors import NotPermittedError, ServiceUnavailableError
from tests.client.test_lease import granting
from tests.support.client import API_KEY, QUICK, answering, problem


@pytest.mark.parametrize(
    ("blocks", "waits"),
    [
        (Client, AsyncClient),
        (Lease, AsyncLease),
        (IndexLease, AsyncIndexLease),
        (DeterministicLease, AsyncDeterministicLease),
    ],
)
def test_both_classes_have_the_same_methods(blocks: type, waits: type) -> None:
    """Under one name, one signature and one text, as functions of their own; one is awaited."""
    for name, method in inspect.getmembers(blocks, inspect.isfunction):
        if not name.startswith("_") and name != "close":
            other = getattr(waits, name)
            makes_a_lease = name.startswith("local")
            assert inspect.iscoroutinefunction(other) != makes_a_lease
            assert not inspect.iscoroutinefunction(method)
            assert inspect.signature(other) == inspect.signature(method)
            assert method.__doc__
            assert other.__doc__ == method.__doc__
            if not makes_a_lease:
                assert method.__qualname__ == f"{blocks.__name__}.{name}"
                assert other.__qualname__ == f"{waits.__name__}.{name}"


def test_a_class_of_the_user_overrides_a_method() -> None:
    """And calls the one that it replaced."""

    class Loud(Client):
        def encrypt(self, data: Any, **more: Any) -> Any:
            return super().encrypt(data.upper(), **more)

    class Waiting(AsyncClient):
        async def health(self) -> Any:
            return [await super().health()]

    sent: list[bytes] = []

    def refuse(request: httpx.Request) -> httpx.Response:
        sent.append(request.content)
        return problem("forbidden", 403)

    with Loud("https://keys.example", API_KEY, transport=httpx.MockTransport(refuse)) as remote:
        for _ in range(2):
            with pytest.raises(NotPermittedError):
                remote.encrypt(b"x")
    assert ['"WA=="' in each.decode() for each in sent] == [True, True]

    async def work() -> None:
        async with Waiting("http://127.0.0.2:9", API_KEY, retries=QUICK) as nobody:
            with pytest.raises(ServiceUnavailableError):
                await nobody.health()

    asyncio.run(work())


@pytest.mark.parametrize("is_held", [False, True])
def test_a_renewal_that_is_cut_short_keeps_nobody_waiting(is_held: bool) -> None:
    """Before it had the lock of the lease, and after."""
    remote, _ = answering(granting([]))
    with remote, remote.local("a", messages=1) as lease:
        lease.encrypt(b"x")
        cut_short = lease._renewed(1)
        effect: Any = next(cut_short)
        if is_held:
            effect.acquire()
        cut_short.close()
        done = threading.Thread(target=lease.encrypt, args=(b"x",))
        done.start()
        done.join(10)
        assert not done.is_alive()
