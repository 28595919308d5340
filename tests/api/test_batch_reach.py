"""What a batch looks for before it begins, of keys that its caller may not use."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from mycelium_fractal_net import initialise
from mycelium_fractal_net.api.application import create_app
from mycelium_fractal_net.api.endpoints.context import Context
from mycelium_fractal_net.api.parsing.strict_json import decoder
from mycelium_fractal_net.api.routes.batch import sign_batch
from mycelium_fractal_net.api.schemas.batch import SignBatch
from mycelium_fractal_net.config import load_settings
from mycelium_fractal_net.security import blocking
from mycelium_fractal_net.security.records.api_keys import parse

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("name", ["hidden", "absent"])
def test_a_batch_looks_for_no_key_that_its_caller_may_not_use(tmp_path: Path, name: str) -> None:
    """It would have to wait for the store, and so take another time where there is such a key."""
    with initialise(home=tmp_path) as keyring:
        keyring.provider.keys.create("hidden", "signing")
        _, key = keyring.provider.credentials.create("one", ("sign:release",))
    app = create_app(load_settings(home=tmp_path, environ={}))

    async def refused() -> dict[str, Any]:
        async with app.router.lifespan_context(app):
            context = Context(app.service, "sign.batch", None)
            await asyncio.to_thread(context.admit, parse(key.text))
            body = decoder(SignBatch)(
                b'{"items": [{"data": "eA==", "key_id": "%b"}]}' % name.encode()
            )
            with blocking.refusing():
                return sign_batch(context, body)

    (item,) = asyncio.run(refused())["items"]
    assert item["error"]["status"] == 404
