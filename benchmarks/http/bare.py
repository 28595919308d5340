"""The floor: a bare ASGI endpoint that reads the body and answers as many bytes as the service.

No JSON, no cryptography, no authentication. Nothing that runs on this server can be faster.

python -m benchmarks.http.bare
"""

from __future__ import annotations

import json
from base64 import b64encode
from typing import TYPE_CHECKING

from benchmarks.http.serving import main

if TYPE_CHECKING:
    from uvicorn._types import ASGIReceiveCallable, ASGISendCallable, Scope

_BODY = json.dumps(
    {
        "ciphertext": b64encode(bytes(68 + 1024 + 16)).decode(),
        "algorithm": "AES-256-GCM",
        "key_id": "default-encryption:v1",
    }
).encode()
_HEADERS = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(_BODY))]


async def app(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
    assert scope["type"] == "http"
    more = True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            return
        more = message.get("more_body", False)
    await send(
        {"type": "http.response.start", "status": 200, "headers": _HEADERS, "trailers": False}
    )
    await send({"type": "http.response.body", "body": _BODY, "more_body": False})


if __name__ == "__main__":
    main(app, lifespan="off")
