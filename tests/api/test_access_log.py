"""Whose request a line of the access log names: the client's, as a trusted proxy has it."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import pytest

from mycelium_fractal_net.api.endpoints.access_log import AccessLog
from mycelium_fractal_net.bootstrap.logs import ACCESS

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send


async def _answer(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})


@pytest.mark.parametrize(
    ("peer", "headers", "client"),
    [
        ("192.0.2.10", [(b"x-forwarded-for", b"198.51.100.7")], "198.51.100.7"),
        ("192.0.2.10", [(b"x-forwarded-for", b"203.0.113.1, 198.51.100.7")], "198.51.100.7"),
        ("192.0.2.10", [], "192.0.2.10"),
        ("198.51.100.9", [(b"x-forwarded-for", b"198.51.100.7")], "198.51.100.9"),
    ],
)
def test_the_client_is_named_and_not_the_proxy(
    peer: str, headers: list[Any], client: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Also on routes without a credential and where no rate is counted; others are not believed."""

    async def nothing(*_: Any) -> Any: ...

    scope: dict[str, Any] = {
        "type": "http",
        "method": "GET",
        "client": (peer, 1),
        "headers": headers,
    }
    with caplog.at_level(logging.INFO, ACCESS):
        asyncio.run(AccessLog(_answer, ["192.0.2.10"])(scope, nothing, nothing))
    (record,) = caplog.records
    assert record.access["client"] == client  # type: ignore[attr-defined]
