"""What the schema of SARIF 2.1.0 (errata 01) demands of the objects that doctor writes.

Written anew from the standard, for these objects alone: what each requires, the type and the range
of every property, and that there is no other. Numbers are sections of the standard.
"""

from __future__ import annotations

from typing import Any

import jsonschema_rs


def _object(*required: str, **properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "required": list(required),
        "properties": properties,
        "additionalProperties": False,
    }


def _unique(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": items, "uniqueItems": True}


_TEXT = {"type": "string"}
_INDEX = {"type": "integer", "minimum": -1}
_URI = {"type": "string", "format": "uri"}
_MESSAGE = _object("text", text=_TEXT)  # 3.11: text or id
_MULTIFORMAT = _object("text", text=_TEXT)  # 3.12
_LEVEL = {"enum": ["none", "note", "warning", "error"]}  # 3.27.10
_COMPONENT = _object(name=_TEXT, index=_INDEX)  # 3.54
_BAG = {"type": "object", "properties": {"tags": _unique(_TEXT)}}  # 3.8
_REFERENCE = _object("index", id=_TEXT, index=_INDEX, toolComponent=_COMPONENT)  # 3.52
_DESCRIPTOR = _object(  # 3.49
    "id",
    id=_TEXT,
    shortDescription=_MULTIFORMAT,
    defaultConfiguration=_object(level=_LEVEL),
    relationships=_unique(_object("target", target=_REFERENCE, kinds=_unique(_TEXT))),
    properties=_BAG,
)
_TOOL_COMPONENT = _object(  # 3.19
    "name",
    name=_TEXT,
    version=_TEXT,
    semanticVersion={"type": "string", "pattern": r"^\d+\.\d+\.\d+"},
    organization=_TEXT,
    shortDescription=_MULTIFORMAT,
    rules=_unique(_DESCRIPTOR),
    taxa=_unique(_DESCRIPTOR),
    supportedTaxonomies=_unique(_COMPONENT),
    isComprehensive={"type": "boolean"},
)
_LOCATION = _object(  # 3.28
    logicalLocations=_unique(_object(fullyQualifiedName=_TEXT, kind=_TEXT)),
    physicalLocation=_object(
        artifactLocation=_object(uri={"type": "string", "format": "uri-reference"}),
        region=_object(startLine={"type": "integer", "minimum": 1}),
    ),
)
_SUPPRESSION = _object(  # 3.35
    "kind",
    kind={"enum": ["inSource", "external"]},
    status={"enum": ["accepted", "underReview", "rejected"]},
    justification=_TEXT,
    properties={"type": "object"},
)
_RESULT = _object(  # 3.27
    "message",
    ruleId=_TEXT,
    ruleIndex=_INDEX,
    level=_LEVEL,
    message=_MESSAGE,
    locations={"type": "array", "items": _LOCATION},
    partialFingerprints={"type": "object", "additionalProperties": _TEXT},
    taxa=_unique(_REFERENCE),
    suppressions=_unique(_SUPPRESSION),
)
_RUN = _object(  # 3.14
    "tool",
    tool=_object("driver", driver=_TOOL_COMPONENT),
    invocations={
        "type": "array",
        "items": _object("executionSuccessful", executionSuccessful={"type": "boolean"}),
    },
    taxonomies=_unique(_TOOL_COMPONENT),
    results={"type": ["array", "null"], "items": _RESULT},
)
_LOG = _object(  # 3.13
    "version",
    "runs",
    **{"$schema": _URI, "version": {"const": "2.1.0"}, "runs": {"type": "array", "items": _RUN}},
)


def check_sarif(log: dict[str, Any]) -> None:
    """Raise unless it is a log of that form, whose references lead to what they name."""
    jsonschema_rs.validate(_LOG, log, validate_formats=True)
    for run in log["runs"]:
        rules = run["tool"]["driver"]["rules"]
        suppressed = {"suppressions" in each for each in run["results"]}
        assert len(suppressed) < 2  # 3.27.23: all results have it, or none
        taxa = run["taxonomies"][0]["taxa"]
        for result in run["results"]:
            assert rules[result["ruleIndex"]]["id"] == result["ruleId"]  # 3.27.6
        targets = [each["target"] for rule in rules for each in rule["relationships"]]
        for reference in (
            *targets,
            *(each for result in run["results"] for each in result["taxa"]),
        ):
            component = reference["toolComponent"]
            assert run["taxonomies"][component["index"]]["name"] == component["name"]
            assert taxa[reference["index"]]["id"] == reference["id"]
