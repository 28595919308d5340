"""``mfn doctor``: what an operator should mend, by severity."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from mycelium_fractal_net.cli import options
from mycelium_fractal_net.cli.parsing import command
from mycelium_fractal_net.cli.terminal import say
from mycelium_fractal_net.security.errors import ExitCode

if TYPE_CHECKING:
    from mycelium_fractal_net.cli.invocation import Invocation

_CODES: Final = {
    "notice": ExitCode.DOCTOR_NOTICE,
    "warning": ExitCode.DOCTOR_WARNING,
    "critical": ExitCode.DOCTOR_CRITICAL,
}


@command("doctor")
@click.option("--all", "every", is_flag=True, help="Unwrap every version of every key.")
@options.also
def doctor(invocation: Invocation, every: bool, also: tuple[Path, ...]) -> None:
    """Look over configuration, key store and master key; the exit code is the worst found."""
    from mycelium_fractal_net.doctor import diagnose

    findings = diagnose(invocation.settings(), invocation.passphrase, all_versions=every, also=also)
    if invocation.json:
        invocation.answer([dataclasses.asdict(finding) for finding in findings])
    else:
        for finding in findings:
            say(f"{finding.severity}: {finding.subject}: {finding.advice} [{finding.check}]")
        if not findings:
            invocation.say("nothing to mend")
    if findings:
        raise click.exceptions.Exit(max(_CODES[str(finding.severity)] for finding in findings))
