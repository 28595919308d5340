"""The OpenAPI document: what FastAPI derives from the routes, and every error."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from fastapi.openapi.utils import get_openapi

from mycelium_fractal_net.api.problems import KINDS
from mycelium_fractal_net.api.schemas import Problem, problem_example
from mycelium_fractal_net.api.streaming import StreamOperation

if TYPE_CHECKING:
    from mycelium_fractal_net.api.application import Application
    from mycelium_fractal_net.api.operation import Spec

__all__ = ["described", "document"]

_REF: Final = {"$ref": "#/components/schemas/Problem"}
_OCTETS: Final = {"schema": {"type": "string", "format": "binary"}}
_ASSOCIATED_DATA: Final = {
    "name": "X-Associated-Data",
    "in": "header",
    "required": False,
    "description": "Bytes in base64 that are authenticated and not stored.",
    "schema": {"type": "string", "contentEncoding": "base64"},
}
_TAGS: Final = [
    {"name": "crypto", "description": "Encrypt, open, sign, verify, one thing at a time."},
    {"name": "batch", "description": "The same for up to 1,000 items."},
    {"name": "streams", "description": "The same for bytes of any length."},
    {"name": "keys", "description": "Named keys, their versions, states and public keys."},
    {"name": "credentials", "description": "API keys and their scopes."},
    {"name": "audit", "description": "What was done, by whom, with which key."},
    {"name": "health", "description": "Whether the service serves, and how."},
]


def _problems(spec: Spec) -> list[str]:
    found = list(spec.problems)
    if not spec.public:
        found += ["unauthenticated", "audit-unavailable"]
        found += ["forbidden"] if spec.scope is not None else []
    if spec.path != "/health/live":
        found.append("disabled")
    if spec.method in ("POST", "PATCH"):
        found += ["malformed", "invalid", "too-large", "unsupported-media-type"]
    return [*found, "bad-request", "unexpected"]


def described(spec: Spec) -> dict[str, Any]:
    """What FastAPI is told of an operation beside its signature."""
    lines = (spec.endpoint.__doc__ or "").strip()
    summary, _, rest = lines.partition("\n")
    by_status: dict[int, list[str]] = {}
    for slug in dict.fromkeys(_problems(spec)):
        by_status.setdefault(KINDS[slug].status, []).append(slug)
    responses: dict[int | str, dict[str, Any]] = {
        status: _response(slugs) for status, slugs in sorted(by_status.items())
    }
    extra: dict[str, Any] = {}
    if spec.operation is StreamOperation:
        responses[200] = {
            "description": "The stream.",
            "content": {"application/octet-stream": _OCTETS},
        }
        extra = {
            "requestBody": {"required": True, "content": {"application/octet-stream": _OCTETS}},
            "parameters": [_ASSOCIATED_DATA],
        }
    elif spec.answer is None:
        responses[200] = {
            "description": "The text.",
            "content": {spec.media_type: {"schema": {"type": "string"}}},
        }
    return {
        "summary": summary.rstrip("."),
        "description": re.sub(r"\n +", "\n", rest).strip() or summary,
        "responses": responses,
        "openapi_extra": extra,
    }


def _response(slugs: list[str]) -> dict[str, Any]:
    kinds = [KINDS[slug] for slug in slugs]
    response: dict[str, Any] = {
        "description": "; ".join(kind.title for kind in kinds),
        "content": {
            "application/problem+json": {
                "schema": _REF,
                "examples": {
                    kind.slug: {
                        "value": problem_example(
                            kind.status, kind.slug, kind.title, kind.detail or kind.title
                        )
                    }
                    for kind in kinds
                },
            }
        },
    }
    if any(kind.retry_after is not None for kind in kinds):
        response["headers"] = {
            "Retry-After": {"description": "Seconds.", "schema": {"type": "integer"}}
        }
    return response


def document(app: Application) -> dict[str, Any]:
    """The whole document, with our problems where FastAPI has its own kind of 422."""
    found = get_openapi(
        title=app.title,
        version=app.version,
        summary=app.summary,
        routes=app.routes,
        tags=_TAGS,
        license_info={"name": "MIT", "identifier": "MIT"},
    )
    schemas = found["components"]["schemas"]
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    problem = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas.update(problem.pop("$defs", {}))
    schemas["Problem"] = problem
    for path in found["paths"].values():
        for operation in path.values():
            answer = operation["responses"].get("422", {})
            if "application/json" in answer.get("content", {}):
                del operation["responses"]["422"]
    return found
