"""``mfn doctor``: what an operator should mend, by severity."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import typer

from mycelium_fractal_net.cli.options import AsJson
from mycelium_fractal_net.cli.session import session_of
from mycelium_fractal_net.cli.terminal import json_value, say
from mycelium_fractal_net.security.errors import ExitCode

if TYPE_CHECKING:
    from mycelium_fractal_net.doctor import Finding

__all__ = ["register"]

_CODES: Final = {
    "notice": ExitCode.DOCTOR_NOTICE,
    "warning": ExitCode.DOCTOR_WARNING,
    "critical": ExitCode.DOCTOR_CRITICAL,
}


def register(app: typer.Typer) -> None:
    """Add ``mfn doctor``."""
    app.command("doctor")(_doctor)


def _doctor(
    context: typer.Context,
    as_json: AsJson = False,
) -> None:
    """Look over configuration, key store and master key; the exit code is the worst found."""
    from mycelium_fractal_net.doctor import diagnose

    session = session_of(context)
    findings = diagnose(session.settings(), session.passphrase)
    if as_json:
        json_value([_shape(finding) for finding in findings])
    else:
        for finding in findings:
            say(f"{finding.severity}: {finding.subject}: {finding.advice} [{finding.check}]")
        if not findings:
            say("nothing to mend", quiet=session.quiet)
    if findings:
        raise typer.Exit(max(_CODES[str(finding.severity)] for finding in findings))


def _shape(finding: Finding) -> dict[str, str]:
    return {
        "severity": str(finding.severity),
        "check": finding.check,
        "subject": finding.subject,
        "advice": finding.advice,
    }
