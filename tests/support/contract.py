"""The OpenAPI document as schemathesis has it, and what is to be expected of each operation."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hypothesis
import schemathesis
from hypothesis import HealthCheck, Phase
from schemathesis.core.failures import FailureGroup

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Case = schemathesis.Case[Any]

DOCUMENT = json.loads((Path(__file__).parents[2] / "docs" / "openapi.json").read_text())
# What was made up is no message, and a key of that name may be of another type.
_MAY_BE_400 = [
    *(f"POST /crypto/{name}" for name in ("encrypt", "sign", "verify", "datakey", "mac")),
    *("POST /crypto/mac/verify", "POST /crypto/decrypt", "POST /crypto/rewrap"),
    *("POST /crypto/encrypt/stream", "POST /crypto/decrypt/stream"),
    *("PATCH /keys/{key_id}", "GET /keys/{key_id}/public"),
]
_INDEXES = [
    "POST /crypto/index",
    "POST /crypto/index/fieldkeys",
    "POST /crypto/deterministic/fieldkeys",
]
_MAY_BE_422 = ("200", "201", "404", "409", "422")
# An item whose base64 is wrong has an error of its own, in an answer of 200.
_BATCHES = [f"POST {path}" for path in DOCUMENT["paths"] if path.endswith("/batch")]


def _check(operations: list[str], check: str, *statuses: str) -> list[dict[str, Any]]:
    """What is to be expected of these operations."""
    return [
        {"include-name": name, "checks": {check: {"expected-statuses": [*statuses]}}}
        for name in operations
    ]


_EXPECTED = [
    *_check(_MAY_BE_400, "positive_data_acceptance", "200", "400", "404", "409"),
    # What was made up is no public key.
    *_check(["POST /signers"], "positive_data_acceptance", "201", "404", "409", "422"),
    # What was made up is no public key and no wrapped key, and may not leave; what an
    # import is to be says more than one member.
    *_check(["POST /imports"], "positive_data_acceptance", "400", *_MAY_BE_422),
    *_check(["POST /imports/{import_id}/finish"], "positive_data_acceptance", *_MAY_BE_422),
    *_check(["POST /keys/{key_id}/export"], "positive_data_acceptance", "400", *_MAY_BE_422),
    # An external key needs a custodian that keeps signing keys, which a file is not.
    *_check(["POST /keys"], "positive_data_acceptance", *_MAY_BE_422),
    # A moment that was made up may have passed, and a version be one that is kept.
    *_check(["POST /keys/{key_id}/rotate"], "positive_data_acceptance", *_MAY_BE_422),
    *_check(["POST /keys/{key_id}/cleanup"], "positive_data_acceptance", *_MAY_BE_422),
    # A field of no bytes is none, and a text in which case means nothing may be no text.
    *_check(_INDEXES, "positive_data_acceptance", "400", *_MAY_BE_422),
    # A cursor is one that a search gave.
    *_check(["GET /audit"], "positive_data_acceptance", "200", "422"),
    # Two API keys come along, one in each form.
    *_check(["GET /metrics"], "positive_data_acceptance", "200", "400"),
    *_check(_BATCHES, "negative_data_rejection", "200", "400", "401", "415", "422"),
]


def contract_schema(seed: int, examples: int) -> Any:
    """The document, ready to make requests of: so many random ones for each operation."""
    config = schemathesis.Config.from_dict(
        {
            "seed": seed,
            # Of a request that is made from an answer, what was wrong on purpose may be made right.
            "phases": {"stateful": {"generation": {"mode": "positive"}}},
            "generation": {"deterministic": True, "database": "none", "max-examples": examples},
            "operations": _EXPECTED,
        }
    )
    schema = schemathesis.openapi.from_dict(DOCUMENT, config=config)
    schema.hook("filter_case")(_filter_case)
    return schema


def _filter_case(_context: schemathesis.HookContext, case: Case) -> bool:
    """JSON Schema takes 402.0 for an integer; the service does not, on purpose.

    And an empty list in a query is not sent at all.
    """
    if any(value in ([], {}) for value in (case.query or {}).values()):
        return False
    return re.search(r"[0-9]\.0\b", json.dumps(case.body, default=str)) is None


@schemathesis.check
def a_wrong_item_has_an_error(
    _context: schemathesis.CheckContext, response: schemathesis.Response, case: Case
) -> None:
    """Of a batch that was made wrong, and answered all the same."""
    meta = case.meta
    wrong = meta is not None and meta.generation.mode is schemathesis.GenerationMode.NEGATIVE
    if wrong and case.path.endswith("/batch") and response.status_code == 200:
        assert any("error" in item for item in response.json()["items"])


def settings(**more: Any) -> hypothesis.settings:
    """Of Hypothesis: each run makes the same requests, and none is made smaller for minutes."""
    given = {
        "derandomize": True,
        "deadline": None,
        "database": None,
        "suppress_health_check": list(HealthCheck),
        "phases": [Phase.explicit, Phase.generate],
    }
    return hypothesis.settings(**(given | more))


def machine(
    schema: Any,
    *,
    url: str,
    headers: Callable[[Case], dict[str, str]],
    spare: Callable[[dict[str, Any]], None],
    answered: Callable[[schemathesis.Response, Case], None],
    failed: Callable[[FailureGroup], None],
    excluded_checks: Sequence[Callable[..., Any]] = (),
) -> Any:
    """A state machine along the links of the document.

    It may end all but the default keys; of what else it names in a path ``spare`` may make another.
    ``answered`` is told each answer, ``failed`` what was wrong with one.
    """

    class Machine(schema.as_state_machine()):  # type: ignore[misc]
        """Makes requests of answers."""

        def before_call(self, case: Case) -> None:
            named = case.path_parameters
            spare(named)
            if str(named.get("key_id")).startswith("default-") and not case.path.endswith("rotate"):
                named["key_id"] = "orders"

        def get_call_kwargs(self, case: Case) -> dict[str, Any]:
            return {"base_url": url, "headers": headers(case)}

        def after_call(self, response: schemathesis.Response, case: Case) -> None:
            super().after_call(response, case)
            answered(response, case)

        def validate_response(
            self, response: schemathesis.Response, case: Case, *_: Any, **transport: Any
        ) -> None:
            try:
                case.validate_response(
                    response, excluded_checks=[*excluded_checks], transport_kwargs=transport
                )
            except FailureGroup as failure:
                failed(failure)
                raise

    return Machine
