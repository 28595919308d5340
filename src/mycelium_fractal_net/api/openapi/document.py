"""The OpenAPI document: what FastAPI derives from the routes, made exact and complete."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, cast

from fastapi import Response
from fastapi.openapi.utils import get_openapi

from mycelium_fractal_net.api.endpoints.route import ServiceRoute
from mycelium_fractal_net.api.openapi.links import LINKS
from mycelium_fractal_net.api.openapi.responses import EXAMPLES, HEADERS, OCTETS, responses_of
from mycelium_fractal_net.api.schemas.base import BASE64_PATTERN, SHAPES, Model, Problem
from mycelium_fractal_net.shapes.members import (
    CREDENTIAL_ID_PATTERN,
    KEY_ID_PATTERN,
    KEY_NAME_PATTERN,
)
from mycelium_fractal_net.shapes.transport import IMPORT_ID_PATTERN

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fastapi import FastAPI

    from mycelium_fractal_net.api.endpoints.spec import Spec

_ABOUT: Final = """\
Every operation but those that say "for anybody" needs an API key in `X-API-Key`, once, and the
scope that it names. A key that a credential may not use looks like one that is not there.

Bodies are JSON in UTF-8, uncompressed, and read strictly: a member that is there twice, one that
is not described here, and base64 that is not canonical are refused, and nothing is converted.
Query parameters are read likewise. Every refusal is a problem (RFC 9457) and repeats nothing of
the request. A path has the methods shown here and answers 405 with `Allow` to all others; an
answer of 401 is the same for a key that is unknown, malformed, revoked or expired.
"""
_TAGS: Final = [
    {"name": "crypto", "description": "Encrypt, open, sign, verify, one thing at a time."},
    {"name": "batch", "description": "The same for up to 1,000 items."},
    {"name": "streams", "description": "The same for bytes of any length."},
    {"name": "keys", "description": "Named keys, their versions, states and public keys."},
    {"name": "credentials", "description": "API keys and their scopes."},
    {"name": "audit", "description": "What was done, by whom, with which key."},
    {"name": "health", "description": "Whether the service serves, and how."},
]
_ASSOCIATED_DATA: Final[dict[str, Any]] = {
    "name": "X-Associated-Data",
    "in": "header",
    "required": False,
    "description": "Bytes in base64 that are authenticated and not stored, once.",
    "schema": {"type": "string", "pattern": BASE64_PATTERN, "contentEncoding": "base64"},
    "example": "cm93IDE3",
}
_OPTIONAL_KEY: Final[list[dict[str, list[str]]]] = [{}, {"ApiKey": []}]


def described(spec: Spec) -> dict[str, Any]:
    """What FastAPI is told of an operation beside its signature."""
    text = re.sub(r"\n +", "\n", (spec.endpoint.__doc__ or "").strip())
    return {
        "summary": re.split(r"\.\s|;", text, maxsplit=1)[0].rstrip("."),
        "description": text,
        **({"response_class": Response} if spec.response is None else {}),
    }


def document(app: FastAPI) -> dict[str, Any]:
    """The whole document."""
    found = get_openapi(
        title=app.title,
        version=app.version,
        summary=app.summary,
        description=_ABOUT,
        routes=app.routes,
        tags=_TAGS,
        license_info={"name": "MIT", "identifier": "MIT"},
    )
    found["servers"] = [{"url": "/"}]
    components = found["components"]
    _complete_schemas(components["schemas"])
    components["headers"] = HEADERS
    components["securitySchemes"]["Bearer"] = {
        "type": "http", "scheme": "bearer", "description": "The API key, where a scraper sends it."
    }  # fmt: skip
    for route in app.routes:
        if isinstance(route, ServiceRoute):
            operation = found["paths"][route.path_format][route.spec.method.lower()]
            _complete(operation, route.spec)
    _answer_no_null(components["schemas"], found["paths"])
    shown = str(found["paths"])
    components["examples"] = {
        slug: example
        for slug, example in EXAMPLES.items()
        if f"'#/components/examples/{slug}'" in shown
    }
    return found


def _complete(operation: dict[str, Any], spec: Spec) -> None:
    for parameter in operation.get("parameters", ()):
        parameter["schema"] = _parameter(parameter, spec)
    if spec.streams:
        operation["requestBody"] = {
            "required": True,
            "content": {"application/octet-stream": {"schema": OCTETS}},
        }
        operation["parameters"].append(_ASSOCIATED_DATA)
    elif "requestBody" in operation:
        media = operation["requestBody"]["content"]["application/json"]
        media["schema"] = _without_null(media["schema"])
        media["schema"].pop("title", None)
    if spec.knows_callers:
        operation["security"] = _OPTIONAL_KEY
    if spec.takes_bearer:
        operation["security"] = [*operation["security"], {"Bearer": []}]
    success = operation["responses"][str(spec.status)]
    operation["responses"] = responses_of(
        spec,
        reads="requestBody" in operation or any(_in_query(operation)),
        schema=success.get("content", {}).get("application/json", {}).get("schema"),
    )
    if links := LINKS.get(operation["operationId"]):
        operation["responses"][str(spec.status)]["links"] = links


def _in_query(operation: dict[str, Any]) -> Iterator[bool]:
    return (each["in"] == "query" for each in operation.get("parameters", ()))


def _parameter(parameter: dict[str, Any], spec: Spec) -> dict[str, Any]:
    """The schema of a parameter: no text of it is null, and ids in paths have a form."""
    if parameter["in"] != "path":
        schema = _without_null(parameter["schema"])
        schema.pop("title", None)
        schema.pop("description", None)
        return schema
    if parameter["name"] == "credential_id":
        parameter["description"] = "The id of a credential."
        parameter["example"] = "un23xcch6poedl7m"
        return {"type": "string", "pattern": CREDENTIAL_ID_PATTERN}
    if parameter["name"] == "import_id":
        parameter["description"] = "The id of an import."
        parameter["example"] = "5f2a9c0e61d84b7f9d3e0a1b2c3d4e5f"
        return {"type": "string", "pattern": IMPORT_ID_PATTERN}
    parameter["example"] = "orders"
    if spec.event == "key.rotate":
        parameter["description"] = "A key id, without a version."
        return {"type": "string", "pattern": KEY_NAME_PATTERN}
    parameter["description"] = "A key id such as `orders`, or a version id such as `orders:v3`."
    return {"type": "string", "pattern": KEY_ID_PATTERN}


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """``schema`` where null is none of the choices."""
    choices = [each for each in schema.get("anyOf", ()) if each != {"type": "null"}]
    if len(choices) != 1:
        return schema
    rest = {name: value for name, value in schema.items() if name not in ("anyOf", "default")}
    return {**choices[0], **rest}


# Schemas ----------------------------------------------------------------------------------


def _complete_schemas(schemas: dict[str, Any]) -> None:
    """Our problems in the place of FastAPI's, and no titles that only repeat a name."""
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    problem = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas.update(problem.pop("$defs", {}))
    schemas["Problem"] = problem
    for schema in schemas.values():
        for member in schema.get("properties", {}).values():
            member.pop("title", None)
    for model in _models(Model):
        if model.__name__ in schemas and (shown := model.model_config.get("json_schema_extra")):
            # FastAPI leaves null out of everything, examples too.
            schemas[model.__name__].update(cast("dict[str, Any]", shown))
    for name, shown_examples in SHAPES.items():
        if name in schemas and shown_examples:
            schemas[name]["examples"] = shown_examples


def _models(root: type[Model]) -> Iterator[type[Model]]:
    for model in root.__subclasses__():
        yield model
        yield from _models(model)


def _answer_no_null(schemas: dict[str, Any], paths: dict[str, Any]) -> None:
    """In answers a member that need not be there is absent, never null."""
    for name in _reached(schemas, [each for path in paths.values() for each in path.values()]):
        schema = schemas[name]
        required = schema.get("required", ())
        for member, described_as in schema.get("properties", {}).items():
            if member not in required:
                schema["properties"][member] = _without_null(described_as)


def _reached(schemas: dict[str, Any], operations: list[Any]) -> set[str]:
    """The names of the schemas that answers are made of."""
    found: set[str] = set()
    waiting = [operation["responses"] for operation in operations]
    while waiting:
        for name in re.findall(r"'#/components/schemas/(\w+)'", str(waiting.pop())):
            if name not in found:
                found.add(name)
                waiting.append(schemas[name])
    return found
