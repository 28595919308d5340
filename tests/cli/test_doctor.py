"""``mfn doctor`` from the outside: the profile, SARIF, and findings that are acknowledged."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from mycelium_fractal_net.security.errors import ExitCode
from tests.support.sarif import check_sarif

if TYPE_CHECKING:
    from tests.support.cli import Mfn


def test_the_profile_says_what_a_reviewer_would(mfn: Mfn) -> None:
    """With requirements, to people too; without it there is nothing of that."""
    assert "ASVS" not in mfn("doctor").out
    ran = mfn("--config", "prod", "doctor", "--profile", "prod")
    assert ran.code == ExitCode.DOCTOR_WARNING
    assert "[audit-export, ASVS 16.4.3]" in ran.out
    found = mfn("--config", "prod", "doctor", "--profile", "prod", "--json").json
    (finding,) = (each for each in found if each["check"] == "audit-export")
    assert finding["requirements"] == ["v5.0.0-16.4.3"]
    assert finding["what"] == "Audit records stay on this machine"


def test_the_file_of_the_configuration_is_looked_at(mfn: Mfn) -> None:
    """The one that the command was given."""
    file = Path("settings.json")
    file.write_text("{}")
    file.chmod(0o666)
    ran = mfn("--config", file, "doctor", "--profile", "prod")
    assert ran.code == ExitCode.DOCTOR_CRITICAL
    assert f"critical: {file}: " in ran.out


def test_sarif_goes_to_a_file_beside_what_is_printed(mfn: Mfn) -> None:
    """With the same exit code; a file that is there is kept unless it is to be replaced."""
    ran = mfn("doctor", "--sarif", "found.sarif")
    assert (ran.code, ran.out) == (ExitCode.DOCTOR_NOTICE, mfn("doctor").out)
    log = json.loads(Path("found.sarif").read_text())
    check_sarif(log)
    assert [each["ruleId"] for each in log["runs"][0]["results"]] == ["master-key"]
    assert mfn("doctor", "--sarif", "found.sarif").code == ExitCode.EXISTS
    forced = mfn("doctor", "--sarif", "found.sarif", "--force", "--json")
    assert [each["check"] for each in forced.json] == ["master-key"]


def test_sarif_alone_is_standard_output(mfn: Mfn) -> None:
    """Not beside JSON of another shape."""
    ran = mfn("doctor", "--sarif", "-")
    assert ran.code == ExitCode.DOCTOR_NOTICE
    check_sarif(ran.json)
    assert mfn("doctor", "--sarif", "-", "--json").code == ExitCode.USAGE
