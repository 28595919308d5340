"""What an operation may answer, for the OpenAPI document: every status, problem and header."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from mycelium_fractal_net.api.http.problems import KINDS
from mycelium_fractal_net.security.errors import AuthenticationError, DecryptionError, Kind

if TYPE_CHECKING:
    from mycelium_fractal_net.api.endpoints.spec import Spec

PROBLEM_JSON: Final = "application/problem+json"
OCTETS: Final[dict[str, Any]] = {"type": "string", "format": "binary"}

# Of every request; of each that needs a credential; of those with a body or query parameters.
_HTTP: Final = (
    "bad-request", "too-large", "unsupported-media-type", "too-many-requests", "overloaded",
    "unexpected",
)  # fmt: skip
_CALLER: Final = (
    "unauthenticated", "request-signature", "audit-unavailable", "store-unavailable",
    "store-integrity", "master-key", "custodian-unavailable", "custodian-denied", "disabled",
)  # fmt: skip
_INPUT: Final = ("malformed", "invalid")

HEADERS: Final[dict[str, Any]] = {
    "RequestId": {
        "description": "Names the request in the log and in the audit records.",
        "required": True,
        "schema": {"type": "string", "pattern": "^[0-9a-f]{16}$"},
        "example": "52e5882300192367",
    },
    "RotationDue": {
        "description": "Since when the API key is due for rotation; absent while it is not.",
        "schema": {
            "type": "string",
            "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z$",
        },
        "example": "2027-02-22T12:27:35Z",
    },
    "Deprecation": {
        "description": "Since when what the request used is deprecated, RFC 9745: here the format"
        " `xor`. Absent where nothing is.",
        "schema": {"type": "string", "pattern": "^@[0-9]+$"},
        "example": "@1764633600",
    },
    "RetryAfter": {
        "description": "Seconds, of problems that pass.",
        "schema": {"type": "integer", "minimum": 1},
        "example": 1,
    },
    "Authenticate": {
        "description": "That an API key is needed, RFC 9110 section 11.6.1.",
        "required": True,
        "schema": {"type": "string"},
        "example": 'ApiKey realm="mycelium-fractal-net"',
    },
    "KeyId": {
        "description": "The version id of the key that is at work.",
        "required": True,
        "schema": {"type": "string"},
        "example": "orders:v1",
    },
}
"""The headers of answers, for ``components/headers``."""

_DETAILS: Final = {
    "unauthenticated": AuthenticationError.TEXT,
    "decryption-failed": DecryptionError.TEXT,
    "malformed": "a member is there twice",
    "invalid": "/data is required",
    "bad-request": "there is more than one X-API-Key",
    "too-large": "a body has at most 8388608 bytes",
    "unsupported-media-type": "the body must be application/json",
    "too-many-requests": "there are at most 6000 in a minute",
    "forbidden": "this needs a credential with the scope keys:admin",
    "overloaded": "too much that takes long waits; try again",
    "disabled": "security.encryption.enabled is false",
    "http-version": "a stream's end cannot be told in HTTP/1.0",
}


def _example(kind: Kind) -> dict[str, Any]:
    problem: dict[str, Any] = {
        "type": f"/problems/{kind.slug}",
        "title": kind.title,
        "status": kind.status,
        "detail": kind.detail or _DETAILS.get(kind.slug, kind.title),
        "request_id": HEADERS["RequestId"]["example"],
    }
    if kind.slug == "invalid":
        problem["errors"] = [{"pointer": "/data", "detail": "is required"}]
    return {"summary": kind.title, "value": problem}


EXAMPLES: Final = {slug: _example(kind) for slug, kind in KINDS.items()}
"""Every kind of problem as it is answered, for ``components/examples``."""


def responses_of(spec: Spec, *, reads: bool, schema: dict[str, Any] | None) -> dict[str, Any]:
    """The responses of an operation by status.

    ``reads`` says whether it has a body or query parameters to be refused, ``schema`` is that of
    its success in JSON.
    """
    responses = {str(spec.status): _success(spec, schema)}
    by_status: dict[int, list[Kind]] = {}
    for slug in dict.fromkeys(_problems(spec, reads=reads)):
        by_status.setdefault(KINDS[slug].status, []).append(KINDS[slug])
    for status, kinds in sorted(by_status.items()):
        responses[str(status)] = _refusal(status, kinds)
    if spec.path == "/health/ready":
        responses["503"] = {**responses["200"], "description": "It does not serve."}
    return responses


def _problems(spec: Spec, *, reads: bool) -> list[str]:
    found = [*spec.problems, *_HTTP]
    if spec.streams:
        found.remove("too-large")
    if not spec.public:
        found += _CALLER
    if spec.scope is not None:
        found.append("forbidden")
    if reads:
        found += _INPUT
    return found


def _success(spec: Spec, schema: dict[str, Any] | None) -> dict[str, Any]:
    headers = {"X-Request-Id": _ref("headers", "RequestId")}
    if not spec.public:
        headers["X-API-Key-Rotation-Due"] = _ref("headers", "RotationDue")
    if spec.deprecates:
        headers["Deprecation"] = _ref("headers", "Deprecation")
    if spec.streams:
        headers["X-Key-Id"] = _ref("headers", "KeyId")
        schema = OCTETS
    elif schema is None:
        schema = {"type": "string"}
    return {
        "description": "Made." if spec.status == 201 else "Done.",
        "headers": headers,
        "content": {spec.media_type: {"schema": schema}},
    }


def _refusal(status: int, kinds: list[Kind]) -> dict[str, Any]:
    headers = {"X-Request-Id": _ref("headers", "RequestId")}
    if status == 401:
        headers["WWW-Authenticate"] = _ref("headers", "Authenticate")
    if any(kind.retry_after is not None for kind in kinds):
        headers["Retry-After"] = _ref("headers", "RetryAfter")
    return {
        "description": ". ".join(kind.title for kind in kinds) + ".",
        "headers": headers,
        "content": {
            PROBLEM_JSON: {
                "schema": _ref("schemas", "Problem"),
                "examples": {kind.slug: _ref("examples", kind.slug) for kind in kinds},
            }
        },
    }


def _ref(kind: str, name: str) -> dict[str, str]:
    return {"$ref": f"#/components/{kind}/{name}"}
