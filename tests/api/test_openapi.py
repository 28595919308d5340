"""docs/openapi.json is what the code says, valid, and complete."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import jsonschema_rs
import pytest
import schemathesis

from mycelium_fractal_net.api.http.problems import KINDS
from mycelium_fractal_net.api.routes import SPECS
from mycelium_fractal_net.api.schemas.audit import AuditRecord
from mycelium_fractal_net.api.schemas.credentials import Scope
from mycelium_fractal_net.security.audit import Event
from mycelium_fractal_net.security.errors import InvalidInputError
from mycelium_fractal_net.security.records import api_keys
from mycelium_fractal_net.security.records.credentials import check_scopes
from mycelium_fractal_net.shapes.members import CREDENTIAL_ID_PATTERN
from scripts import openapi

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx

PAGE = Path(__file__).parents[2] / "docs" / "openapi.json"
DOCUMENT: dict[str, Any] = json.loads(PAGE.read_text())
OPERATIONS = {
    f"{method.upper()} {path}": operation
    for path, item in DOCUMENT["paths"].items()
    for method, operation in item.items()
}
FOR_ANYBODY = {"GET /health/live", "GET /health/ready", "GET /.well-known/jwks.json"}
each_operation = pytest.mark.parametrize("name", OPERATIONS)


def resolved(value: dict[str, Any]) -> dict[str, Any]:
    """What a reference stands for."""
    while "$ref" in value:
        place: Any = DOCUMENT
        for step in value["$ref"].removeprefix("#/").split("/"):
            place = place[step]
        value = place
    return value


def validator(schema: dict[str, Any]) -> jsonschema_rs.Draft202012Validator:
    """A validator of a schema that may refer into the document."""
    return jsonschema_rs.Draft202012Validator({**schema, "components": DOCUMENT["components"]})


def schemas(operation: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The schemas of an operation's body and of all its answers in JSON."""
    for media in (
        operation.get("requestBody", {}),
        *map(resolved, operation["responses"].values()),
    ):
        for kind, content in media.get("content", {}).items():
            if kind.endswith("json"):
                yield content["schema"]


def test_the_file_is_what_the_code_says() -> None:
    """So that the document is reviewed with the change that changes it."""
    assert PAGE.read_text() == openapi.page(), "run: make pages"


def test_the_service_serves_this_document(client: httpx.Client) -> None:
    """To anybody, since it is not production."""
    served = client.get("/openapi.json", headers={"X-API-Key": ""})
    assert served.json() == DOCUMENT


def test_the_document_is_valid() -> None:
    """Against the schema of OpenAPI 3.1, and each schema in it against JSON Schema 2020-12."""
    schemathesis.openapi.from_dict(DOCUMENT).validate()
    for schema in DOCUMENT["components"]["schemas"].values():
        jsonschema_rs.meta.validate(
            {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
        )


def test_every_route_is_described_and_nothing_else() -> None:
    """One operation for each route, under an id of its own."""
    assert set(OPERATIONS) == {f"{spec.method} {spec.path}" for spec in SPECS}
    ids = [operation["operationId"] for operation in OPERATIONS.values()]
    assert len(set(ids)) == len(ids)


@each_operation
def test_an_operation_says_who_may_call_it(name: str) -> None:
    """All but three need an API key, and say what is answered without."""
    operation = OPERATIONS[name]
    bearer: list[object] = [{"Bearer": []}] if name == "GET /metrics" else []
    needs_a_key = operation.get("security") == [{"ApiKey": []}, *bearer]
    assert needs_a_key == (name not in FOR_ANYBODY)
    assert needs_a_key == ("401" in operation["responses"])
    off = "#/components/examples/disabled" in str(operation)
    assert off == (not name.startswith("GET /health/"))
    assert operation["summary"]
    assert not operation["summary"].endswith(".")
    assert re.search(r"[Ss]cope|credential|anybody|batch|items|up to", operation["description"])


@each_operation
def test_every_answer_has_its_headers(name: str) -> None:
    """The request's id on all, what to do next where there is something to do."""
    for status, answer in OPERATIONS[name]["responses"].items():
        headers = answer["headers"]
        assert "X-Request-Id" in headers
        assert ("WWW-Authenticate" in headers) == (status == "401")
        problems = answer["content"].get("application/problem+json", {}).get("examples", {})
        waits = any(KINDS[slug].retry_after is not None for slug in problems)
        assert ("Retry-After" in headers) == waits
        due = status[0] == "2" and name not in FOR_ANYBODY
        assert ("X-API-Key-Rotation-Due" in headers) == due


@each_operation
def test_every_problem_is_under_its_status(name: str) -> None:
    """With an example of each kind."""
    for status, answer in OPERATIONS[name]["responses"].items():
        if "application/problem+json" not in answer["content"]:
            continue
        problems = answer["content"]["application/problem+json"]["examples"]
        assert problems
        for slug, example in problems.items():
            assert resolved(example)["value"]["type"] == f"/problems/{slug}"
            assert resolved(example)["value"]["status"] == int(status)


def test_every_kind_of_problem_is_shown() -> None:
    """A method or path that is not there belongs to no operation; no example is there unused."""
    assert set(DOCUMENT["components"]["examples"]) <= set(KINDS)
    shown = {
        slug
        for operation in OPERATIONS.values()
        for answer in operation["responses"].values()
        for content in answer["content"].values()
        for slug in content.get("examples", {})
    }
    assert set(KINDS) - shown == {"method-not-allowed", "invalid-signature"}


@each_operation
def test_every_body_and_answer_has_an_example(name: str) -> None:
    """On its schema, or of each problem."""
    for schema in schemas(OPERATIONS[name]):
        target = resolved(schema)
        if target is DOCUMENT["components"]["schemas"]["Problem"]:
            continue
        parts = [target]
        if items := target.get("properties", {}).get("items"):  # a batch: of its items
            parts = [resolved(each) for each in items["items"].get("anyOf", [items["items"]])]
        assert all(part.get("examples") for part in parts), name


def test_every_example_fits_its_schema() -> None:
    """Also that of a member, a parameter, a header and a problem."""
    checked = 0
    for schema in DOCUMENT["components"]["schemas"].values():
        for part in (schema, *schema.get("properties", {}).values()):
            for example in part.get("examples", ()):
                validator(part).validate(example)
                checked += 1
    problem = validator({"$ref": "#/components/schemas/Problem"})
    for example in DOCUMENT["components"]["examples"].values():
        problem.validate(example["value"])
        checked += 1
    for header in DOCUMENT["components"]["headers"].values():
        validator(header["schema"]).validate(header["example"])
    for operation in OPERATIONS.values():
        for parameter in operation.get("parameters", ()):
            if "example" in parameter:
                validator(parameter["schema"]).validate(parameter["example"])
                checked += 1
    assert checked > 80


def test_no_parameter_and_no_answer_is_null_where_it_may_be_absent() -> None:
    """A query string has no null, and an answer leaves out what it has not."""
    for operation in OPERATIONS.values():
        for parameter in operation.get("parameters", ()):
            assert "null" not in str(parameter["schema"])
    for name in ("EncryptResponse", "DataKeyResponse", "BatchError", "Problem", "Ready", "Jwk"):
        assert "null" not in str(DOCUMENT["components"]["schemas"][name]["properties"])


def test_a_stream_is_bytes_both_ways() -> None:
    """`application/octet-stream`, the associated data in a header, the version in another."""
    for name in ("POST /crypto/encrypt/stream", "POST /crypto/decrypt/stream"):
        operation = OPERATIONS[name]
        octets = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
        assert operation["requestBody"] == {"required": True, "content": octets}
        assert operation["responses"]["200"]["content"] == octets
        assert "X-Key-Id" in operation["responses"]["200"]["headers"]
        assert "X-Associated-Data" in [each["name"] for each in operation["parameters"]]


def test_every_link_leads_to_an_operation() -> None:
    """By its id, with parameters that it has."""
    by_id = {operation["operationId"]: operation for operation in OPERATIONS.values()}
    links = [
        link
        for operation in OPERATIONS.values()
        for answer in operation["responses"].values()
        for link in answer.get("links", {}).values()
    ]
    assert len(links) > 15
    for link in links:
        target = by_id[link["operationId"]]
        assert set(link.get("parameters", ())) <= {
            each["name"] for each in target.get("parameters", ())
        }
        assert ("requestBody" not in link) or "requestBody" in target


# Patterns that stand in the models and in the records: one meaning ---------------------------


def test_an_audit_record_is_described_as_it_is_written() -> None:
    """Every member of an event, and what the chain adds; the MAC is not shown."""
    added = {"chain", "sequence", "time"}
    assert set(AuditRecord.model_fields) == {*Event.__struct_fields__, *added}


def test_the_pattern_of_credential_ids_fits_those_that_are_made() -> None:
    """A random one."""
    assert re.fullmatch(CREDENTIAL_ID_PATTERN, api_keys.generate().credential_id)


@pytest.mark.parametrize(
    "scope",
    ["*", "encrypt:*", "mac:a.b_c-d", "encrypt", "encrypt:", "encrypt:A", "keys:*", "all", "",
     "keys:admin", "allow_compromised", "encrypt:*\n", "*:*"],
)  # fmt: skip
def test_the_pattern_of_scopes_is_that_of_the_records(scope: str) -> None:
    """What one takes the other takes."""
    pattern = get_args(Scope)[1].metadata[0].pattern
    described = re.fullmatch(pattern.removesuffix("$"), scope) is not None
    try:
        check_scopes((scope,))
        taken = True
    except InvalidInputError:
        taken = False
    assert described == taken
