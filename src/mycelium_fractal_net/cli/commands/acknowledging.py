"""``mfn doctor acknowledge``: findings that somebody lives with, with a reason and an end."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from mycelium_fractal_net import shapes
from mycelium_fractal_net.cli.exits import CommandError
from mycelium_fractal_net.cli.parsing import command
from mycelium_fractal_net.security.errors import ExitCode

if TYPE_CHECKING:
    from mycelium_fractal_net.cli.invocation import Invocation
    from mycelium_fractal_net.doctor.findings import Acknowledgement
    from mycelium_fractal_net.security.key_store.finding_table import AcknowledgedFinding

_check = click.argument("check", metavar="CHECK", help="As in brackets, such as audit-export.")
_subject = click.argument(
    "subject",
    metavar="[SUBJECT]",
    default="",
    help="Of this subject alone, as doctor shows it.",
)


@command("acknowledge")
@_check
@_subject
@click.option(
    "--until", metavar="DATE", required=True, help="When it is a finding again: 2027-03-01, in UTC."
)
@click.option("--reason", metavar="TEXT", required=True, help="Why, for the audit log.")
def acknowledge(invocation: Invocation, check: str, subject: str, until: str, reason: str) -> None:
    """Live with a finding until a day. This is recorded.

    Doctor tells of it and exits as if it were not there; from that day on, a year ahead at most, it
    is a finding again. Without SUBJECT it holds for all findings of that check, where it is one of
    the profile's.
    """
    ends = _date(until)
    with invocation.keyring() as keyring:
        from mycelium_fractal_net.doctor.acknowledged import check_acknowledgement

        provider = keyring.provider
        now = provider.clock()
        check_acknowledgement(check, subject, now=now, until=ends)
        if provider.audit is not None:
            provider.audit.acknowledge_finding(check, subject, reason=reason, at=now, until=ends)
    named = f"{check} of {subject}" if subject else check
    shape = {"check": check, "subject": subject or None, "until": shapes.time_text(ends)}
    invocation.answer(shape, f"acknowledged until {ends:%Y-%m-%d}: {named}")


@command("withdraw")
@_check
@_subject
@click.option("--reason", metavar="TEXT", help="Why, for the audit log.")
def withdraw(invocation: Invocation, check: str, subject: str, reason: str | None) -> None:
    """Take the word back: it is a finding again, at once. This is recorded."""
    with invocation.keyring() as keyring:
        audit = keyring.provider.audit
        done = audit is not None and audit.withdraw_finding(check, subject, reason=reason)
    shape = {"check": check, "subject": subject or None, "withdrawn": done}
    invocation.answer(shape, "withdrawn" if done else "nothing was acknowledged of that")


@command("acknowledged")
def acknowledged(invocation: Invocation) -> None:
    """List what is acknowledged, and what has ended."""
    with invocation.keyring() as keyring:
        from mycelium_fractal_net.doctor.acknowledged import acknowledged_rows

        found = acknowledged_rows(keyring.provider)
    invocation.answer_table(found, _shape, "CHECK, SUBJECT, UNTIL, ACTOR, REASON", _row)


def acknowledgement_shape(known: Acknowledgement) -> dict[str, Any]:
    """What is shown of it in JSON."""
    return {
        "at": shapes.time_text(known.at),
        "until": shapes.time_text(known.until),
        "actor": known.actor,
        "reason": known.reason,
    }


def _shape(row: AcknowledgedFinding) -> dict[str, Any]:
    from mycelium_fractal_net.doctor.acknowledged import acknowledgement_of

    known = acknowledgement_shape(acknowledgement_of(row))
    return {"check": row.finding, "subject": row.subject or None, **known}


def _row(row: AcknowledgedFinding) -> tuple[str, ...]:
    shape = _shape(row)
    return (row.finding, row.subject or "-", shape["until"], row.actor, row.reason)


def _date(text: str) -> datetime:
    try:
        if not text.isascii():  # strptime takes the digits of every script
            raise ValueError
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        raise CommandError(
            ExitCode.USAGE, "--until is a date", "write it as 2027-03-01, in UTC"
        ) from None
