"""``mfn doctor`` from the outside: the profile, SARIF, and findings that are acknowledged."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
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


# Acknowledged --------------------------------------------------------------------------------


def in_days(days: int) -> str:
    return f"{datetime.now(UTC) + timedelta(days=days):%Y-%m-%d}"


def test_what_is_acknowledged_is_told_and_does_not_count(mfn: Mfn) -> None:
    """Until it is withdrawn; each word is recorded with who said it."""
    subject, until = str(mfn.home / "master.key"), in_days(30)
    named = ("master-key", subject)
    said = mfn.ok("doctor", "acknowledge", *named, "--until", until, "--reason", "known").out
    assert said == f"acknowledged until {until}: master-key of {subject}\n"
    told = mfn.ok("doctor").out
    assert told.startswith(f"acknowledged until {until} (cli:{os.getuid()}: known): notice: ")
    (finding,) = mfn.ok("doctor", "--json").json
    assert finding["acknowledged"]["until"] == f"{until}T00:00:00Z"
    assert f"master-key  {subject}" in mfn.ok("doctor", "acknowledged").out
    assert mfn.ok("doctor", "withdraw", *named, "--reason", "moved").out == "withdrawn\n"
    assert mfn.ok("doctor", "withdraw", *named).out == "nothing was acknowledged of that\n"
    assert mfn("doctor").code == ExitCode.DOCTOR_NOTICE
    events = [each["event"] for each in mfn.ok("audit", "show", "--json").json]
    assert events.count("finding.acknowledge") == 1
    assert events.count("finding.withdraw") == 2


def test_what_is_left_is_what_the_exit_code_tells(mfn: Mfn) -> None:
    """All of a check of the profile at once, and the others as ever."""
    options = ("--config", "prod", "doctor", "--profile", "prod")
    assert mfn(*options).code == ExitCode.DOCTOR_WARNING
    found = mfn(*options, "--json").json
    for each in found:
        if each["severity"] == "warning":
            mfn.ok(
                "doctor", "acknowledge", each["check"], each["subject"],
                "--until", in_days(1), "--reason", "known",
            )  # fmt: skip
    assert mfn(*options).code == ExitCode.DOCTOR_NOTICE


def test_an_end_that_is_no_date_is_refused(mfn: Mfn) -> None:
    """And so is a finding that nobody may live with."""
    for until, check in (("tomorrow", "swap"), (in_days(400), "swap"), (in_days(1), "nosuch")):
        ran = mfn("doctor", "acknowledge", check, "--until", until, "--reason", "x")
        assert ran.code == ExitCode.USAGE, ran
    assert mfn.ok("doctor", "acknowledged", "--json").json == []
