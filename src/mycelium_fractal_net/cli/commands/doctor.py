"""``mfn doctor``: what an operator should mend, by severity."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from mycelium_fractal_net.cli import options
from mycelium_fractal_net.cli.commands.acknowledging import (
    acknowledge,
    acknowledged,
    acknowledgement_shape,
    withdraw,
)
from mycelium_fractal_net.cli.exits import CommandError
from mycelium_fractal_net.cli.inputs import STANDARD
from mycelium_fractal_net.cli.invocation import Invocation
from mycelium_fractal_net.cli.outputs import destination, output_stream
from mycelium_fractal_net.cli.parsing import ActingGroup
from mycelium_fractal_net.cli.terminal import json_text, say
from mycelium_fractal_net.security.errors import ExitCode

if TYPE_CHECKING:
    from mycelium_fractal_net.doctor import Finding

_CODES: Final = {
    "notice": ExitCode.DOCTOR_NOTICE,
    "warning": ExitCode.DOCTOR_WARNING,
    "critical": ExitCode.DOCTOR_CRITICAL,
}


@click.command("doctor", cls=ActingGroup)
@click.option("--all", "every", is_flag=True, help="Unwrap every version of every key.")
@click.option(
    "--profile",
    type=click.Choice(["prod"]),
    help="Look also for what a reviewer of a service in production would (docs/posture.md).",
)
@click.option(
    "--sarif",
    metavar="FILE",
    help="Write the findings there too, as SARIF 2.1.0; - is standard output, and nothing else.",
)
@options.force
@options.also
@click.pass_context
def doctor(
    context: click.Context,
    every: bool,
    profile: str | None,
    sarif: str | None,
    force: bool,
    also: tuple[Path, ...],
) -> None:
    """Look over configuration, key store and master key; the exit code is the worst found.

    What is acknowledged is told, and does not count.
    """
    if context.invoked_subcommand is not None:
        return
    invocation = context.ensure_object(Invocation)
    target = destination(STANDARD, sarif)
    alone = sarif is not None and target is None
    if alone and invocation.json:
        raise CommandError(
            ExitCode.USAGE,
            "--json and --sarif - are both standard output",
            "name a file in --sarif",
        )
    settings = invocation.settings()  # first: it sets FIPS mode up, and doctor has cryptography

    from mycelium_fractal_net.config import configuration_file
    from mycelium_fractal_net.doctor import diagnose

    configuration = configuration_file(invocation.config)
    findings = diagnose(
        settings,
        invocation.passphrase,
        all_versions=every,
        also=also,
        profile=profile,
        configuration=configuration,
    )
    if sarif is not None:
        from mycelium_fractal_net.doctor.sarif import sarif_log

        text = json_text(sarif_log(findings, configuration=configuration))
        with output_stream(target, force=force) as writer:
            writer.write(f"{text}\n".encode())
    if alone:
        pass
    elif invocation.json:
        invocation.answer([_shape(finding) for finding in findings])
    else:
        for finding in findings:
            say(_line(finding, cite=profile is not None))
        if not findings:
            invocation.say("nothing to mend")
    count = [_CODES[str(each.severity)] for each in findings if each.acknowledged is None]
    if count:
        raise click.exceptions.Exit(max(count))


for _each in (acknowledge, acknowledged, withdraw):
    doctor.add_command(_each)


def _line(finding: Finding, *, cite: bool) -> str:
    cited = (f"ASVS {each}" for each in finding.requirements if cite)
    about = ", ".join((finding.check, *cited))
    said = f"{finding.severity}: {finding.subject}: {finding.advice} [{about}]"
    known = finding.acknowledged
    if known is None:
        return said
    return f"acknowledged until {known.until:%Y-%m-%d} ({known.actor}: {known.reason}): {said}"


def _shape(finding: Finding) -> dict[str, Any]:
    from mycelium_fractal_net.doctor.asvs import cited

    known = finding.acknowledged
    return {
        "severity": finding.severity,
        "check": finding.check,
        "subject": finding.subject,
        "advice": finding.advice,
        "what": finding.what,
        "requirements": [cited(each) for each in finding.requirements],
        "acknowledged": None if known is None else acknowledgement_shape(known),
    }
