"""Signing requests in tests, by the pure functions that the service verifies with."""

from __future__ import annotations

import hashlib
import secrets
import time
from dataclasses import dataclass, field
from typing import Any

import httpx

from mycelium_fractal_net.security.http_signatures.content_digest import content_digest
from mycelium_fractal_net.security.http_signatures.coverage import WHEN_SENT
from mycelium_fractal_net.security.http_signatures.message_signature import (
    TAG,
    SignatureParameters,
    sign,
)
from mycelium_fractal_net.security.http_signatures.messages import RequestView
from mycelium_fractal_net.security.http_signatures.plan_profile import sign_plan
from mycelium_fractal_net.security.signatures.signing_key import SigningKey
from tests.support.algorithms import SIGNING

AUTHORITY = "api.example.com"
COVERED = ("@method", "@authority", "@path", "@query")


@dataclass
class Peer:
    """Somebody with a key, who signs what he sends."""

    name: str
    key: SigningKey = field(default_factory=lambda: SigningKey.generate(SIGNING))
    authority: str = AUTHORITY
    scheme: str = "http"

    @property
    def public_key(self) -> bytes:
        return self.key.public.der()

    def view(self, request: httpx.Request) -> RequestView:
        raw_path, _, query = request.url.raw_path.partition(b"?")
        headers = [(name.lower(), value) for name, value in request.headers.raw]
        return RequestView(request.method, self.scheme, self.authority, raw_path, query, headers)

    def sign(self, request: httpx.Request, **changed: Any) -> httpx.Request:
        """Sign by RFC 9421; ``changed`` are other parameters, or ``covered`` components."""
        components = list(changed.pop("covered", COVERED))
        if request.content:
            request.headers.setdefault("Content-Digest", content_digest(request.content))
            components += ["content-digest", "content-type"]
        components += [name for name in WHEN_SENT if name in request.headers]
        now = int(time.time())
        given = {
            "created": now,
            "expires": now + 60,
            "keyid": self.name,
            "nonce": secrets.token_urlsafe(16),
            "tag": TAG,
            **changed,
        }
        made, signature = sign(
            self.view(request),
            label="sig1",
            components=components,
            parameters=SignatureParameters(**given),
            signer=self.key.sign_fixed_size,
        )
        request.headers["Signature-Input"], request.headers["Signature"] = made, signature
        return request

    def sign_plan(self, request: httpx.Request, **changed: Any) -> httpx.Request:
        """Sign by the plan's profile."""
        api_key = request.headers.get("x-api-key")
        given: dict[str, Any] = {
            "api_key_id": None if api_key is None else api_key.split("_")[1],
            "timestamp": int(time.time()),
            "nonce": secrets.token_urlsafe(16),
            "body_sha256": hashlib.sha256(request.content).hexdigest(),
            "public_key": self.public_key,
            "signer": self.key.sign_fixed_size,
            **changed,
        }
        for name, value in sign_plan(self.view(request), **given):
            request.headers[name] = value
        return request
