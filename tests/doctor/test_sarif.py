"""Findings as SARIF: of the form that the standard has, and with all that they say."""

from __future__ import annotations

from pathlib import Path

import jsonschema_rs
import pytest

from mycelium_fractal_net.doctor import Finding, Severity
from mycelium_fractal_net.doctor.rules import RULES
from mycelium_fractal_net.doctor.sarif import sarif_log
from tests.support.sarif import check_sarif

FINDINGS = [
    Finding(Severity.CRITICAL, "plain-http", "security.tls.required", "is false"),
    Finding(Severity.WARNING, "no-backup", "key orders", "no backup holds it"),
    Finding(Severity.NOTICE, "master-key", "/srv/keys/master.key", "lies unencrypted"),
]


def test_a_log_is_as_the_schema_demands() -> None:
    """With findings, with a requirement and without, and with none."""
    check_sarif(sarif_log(FINDINGS, configuration=Path("settings.json")))
    check_sarif(sarif_log([Finding(rule.worst, name, "x", "y") for name, rule in RULES.items()]))
    check_sarif(sarif_log([]))


@pytest.mark.parametrize("broken", ["level", "message", "more"])
def test_the_check_of_the_form_can_fail(broken: str) -> None:
    """A level that there is not, no message, a property of nobody's."""
    log = sarif_log(FINDINGS)
    result = log["runs"][0]["results"][0]
    if broken == "message":
        del result["message"]
    else:
        result[broken] = "critical"
    with pytest.raises(jsonschema_rs.ValidationError):
        check_sarif(log)


def test_a_result_says_what_its_finding_does() -> None:
    """How severe, on what, what to do, and by which requirement."""
    first, second, third = sarif_log(FINDINGS)["runs"][0]["results"]
    assert [each["level"] for each in (first, second, third)] == ["error", "warning", "note"]
    assert first["message"]["text"] == "security.tls.required: is false"
    assert [each["id"] for each in first["taxa"]] == ["v5.0.0-12.2.1"]
    assert second["taxa"] == []
    assert second["partialFingerprints"] == {"checkAndSubject/v1": "no-backup key orders"}
    assert third["locations"] == [
        {"logicalLocations": [{"fullyQualifiedName": "/srv/keys/master.key", "kind": "resource"}]}
    ]


def test_a_configuration_that_was_named_is_the_file_of_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Relative to the checkout that it is in, else by its whole path."""
    monkeypatch.chdir(tmp_path)
    for file, uri in (
        (Path("a b.json"), "a%20b.json"),
        (tmp_path / "c.json", "c.json"),
        (Path("/srv/d.json"), "file:///srv/d.json"),
    ):
        for result in sarif_log(FINDINGS, configuration=file)["runs"][0]["results"]:
            assert result["locations"][0]["physicalLocation"] == {
                "artifactLocation": {"uri": uri},
                "region": {"startLine": 1},
            }
