"""Findings as SARIF 2.1.0 (OASIS, errata 01), for systems that show what tools find.

One run, whose rules are all checks, with the requirements of OWASP ASVS as a taxonomy. Numbers of
sections are those of the standard. A finding has no line of code: its location is what it is about,
and the configuration file where one was named, since some systems show nothing without a file.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from mycelium_fractal_net import __version__
from mycelium_fractal_net.doctor.asvs import REQUIREMENTS, VERSION, cited
from mycelium_fractal_net.doctor.rules import RULES, Severity

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mycelium_fractal_net.doctor.findings import Finding

_SCHEMA: Final = (
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
)
_LEVELS: Final = {  # 3.27.10
    Severity.NOTICE: "note",
    Severity.WARNING: "warning",
    Severity.CRITICAL: "error",
}
_TAXONOMY: Final = {"name": "OWASP ASVS", "index": 0}  # 3.54: the first of the run's
_CHECKS: Final = sorted(RULES)
_NUMBERS: Final = list(REQUIREMENTS)


def sarif_log(findings: Sequence[Finding], *, configuration: Path | None = None) -> dict[str, Any]:
    """The findings as a SARIF log; ``configuration`` is the file that the settings come from."""
    uri = None if configuration is None else _uri(configuration)
    run = {
        "tool": {
            "driver": {
                "name": "mfn doctor",
                "semanticVersion": __version__,
                "rules": [_rule(check) for check in _CHECKS],
                "supportedTaxonomies": [_TAXONOMY],
            }
        },
        "invocations": [{"executionSuccessful": True}],
        "taxonomies": [_taxonomy()],
        "results": [_result(each, uri) for each in findings],
    }
    return {"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}


def _uri(file: Path) -> str:
    """Relative to the working folder where the file is in it, as a checkout has it."""
    path = file.absolute()
    here = Path.cwd()
    if path.is_relative_to(here):
        from urllib.parse import quote

        return quote(path.relative_to(here).as_posix())
    return path.as_uri()


def _taxon(number: str) -> dict[str, Any]:
    return {"id": cited(number), "index": _NUMBERS.index(number), "toolComponent": _TAXONOMY}


def _rule(check: str) -> dict[str, Any]:
    rule = RULES[check]
    return {
        "id": check,
        "shortDescription": {"text": rule.what},
        "defaultConfiguration": {"level": _LEVELS[rule.worst]},
        "relationships": [
            {"target": _taxon(number), "kinds": ["relevant"]} for number in rule.requirements
        ],
        "properties": {"tags": ["security"]},
    }


def _taxonomy() -> dict[str, Any]:
    return {
        "name": _TAXONOMY["name"],
        "version": VERSION,
        "organization": "OWASP",
        "shortDescription": {"text": "OWASP Application Security Verification Standard"},
        "taxa": [
            {"id": cited(number), "shortDescription": {"text": words}}
            for number, words in REQUIREMENTS.items()
        ],
        "isComprehensive": False,  # there are requirements that no check is about
    }


def _result(finding: Finding, uri: str | None) -> dict[str, Any]:
    location: dict[str, Any] = {
        "logicalLocations": [{"fullyQualifiedName": finding.subject, "kind": "resource"}]
    }
    if uri is not None:
        location["physicalLocation"] = {
            "artifactLocation": {"uri": uri},
            "region": {"startLine": 1},
        }
    return {
        "ruleId": finding.check,
        "ruleIndex": _CHECKS.index(finding.check),
        "level": _LEVELS[finding.severity],
        "message": {"text": f"{finding.subject}: {finding.advice}"},
        "locations": [location],
        "partialFingerprints": {"checkAndSubject/v1": f"{finding.check} {finding.subject}"},
        "taxa": [_taxon(number) for number in finding.requirements],
        "suppressions": _suppressions(finding),  # 3.27.23: of all results, or of none
    }


def _suppressions(finding: Finding) -> list[dict[str, Any]]:
    said = finding.acknowledged
    if said is None:
        return []
    return [
        {
            "kind": "external",  # 3.35.2: not in the source
            "status": "accepted",
            "justification": said.reason,
            "properties": {"actor": said.actor, "until": f"{said.until:%Y-%m-%d}"},
        }
    ]
