"""``mfn usage`` and ``mfn rotation cleanup``: what old versions are still for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from mycelium_fractal_net import shapes
from mycelium_fractal_net.cli import options
from mycelium_fractal_net.cli.completion import version_names
from mycelium_fractal_net.cli.numbers import WHOLE
from mycelium_fractal_net.cli.parsing import command
from mycelium_fractal_net.cli.terminal import columns

if TYPE_CHECKING:
    from datetime import date

    from mycelium_fractal_net.cli.invocation import Invocation
    from mycelium_fractal_net.security.records.retention import CleanupReport, VersionUse


@command("usage")
@options.key_name
def usage(invocation: Invocation, name: str) -> None:
    """Show which versions of a key still open data, and when they last did."""
    from mycelium_fractal_net.security.lifecycle.retention import usage_of

    with invocation.keyring() as keyring:
        key = keyring.provider.keys.get(name)
        uses = usage_of(keyring.provider, keyring.usage, key)
    if invocation.json:
        invocation.answer(shapes.usage_shape(key.key_id, uses))
        return
    heads = "VERSION, STATE, DECRYPTS, LAST DECRYPTED, DECRYPTED, LAST PROTECTED, PROTECTED, NOTE"
    columns(heads.split(", "), map(_usage_row, uses))


def _usage_row(use: VersionUse) -> tuple[str, ...]:
    return (
        use.version_id,
        use.state.value,
        "yes" if use.decrypts else "no",
        _day(use.last_decrypted),
        str(use.decrypted),
        _day(use.last_protected),
        str(use.protected),
        "; ".join(_notes(use)),
    )


def _day(day: date | None) -> str:
    return "-" if day is None else day.isoformat()


def _notes(use: VersionUse) -> list[str]:
    notes = []
    if use.leased_until is not None:
        notes.append(f"data keys in use until {use.leased_until}")
    if use.last_refused is not None:
        notes.append(f"refused {use.refused} times, last on {use.last_refused}")
    if use.rewrapped_at is not None:
        notes.append(f"rewrapped by {use.rewrapped_at:%Y-%m-%d}")
    if use.destroy_at is not None:
        notes.append(f"erased at {shapes.time_text(use.destroy_at)}")
    return notes


@command("cleanup")
@options.key_name
@click.option(
    "--retain",
    metavar="N",
    type=WHOLE,
    help="How many stay; by default as many as the policy says.",
)
@click.option(
    "--version",
    "versions",
    multiple=True,
    metavar="VERSION",
    help="One of those proposed; may be repeated. By default all.",
    shell_complete=version_names,
)
@click.option("--reason", metavar="TEXT", help="Why they may go; without it they are only listed.")
@options.window_days
@options.yes
def cleanup(
    invocation: Invocation,
    name: str,
    retain: int | None,
    versions: tuple[str, ...],
    reason: str | None,
    window_days: int,
) -> None:
    """List old versions and what is known of their use; with --reason, have them destroyed.

    After the window they are erased, and what they sealed is then lost for ever.
    """
    from mycelium_fractal_net.security.lifecycle.retention import cleanup_old_versions, propose
    from mycelium_fractal_net.security.records.retention import CleanupReport

    if reason is not None:
        erased = " ".join(versions) or f"what is proposed of {name}"
        invocation.confirm(f"{erased} is erased after {window_days} days")
    with invocation.keyring() as keyring:
        provider, usage = keyring.provider, keyring.usage
        keep = provider.keys.get(name).rotation.retain_count if retain is None else retain
        if reason is None:
            report = CleanupReport(name, keep, tuple(propose(provider, usage, name, keep)))
        else:
            report = cleanup_old_versions(
                provider,
                usage,
                name,
                keep,
                reason=reason,
                versions=versions or None,
                window_days=window_days,
            )
    if invocation.json:
        invocation.answer(shapes.cleanup_shape(report))
    else:
        _print(invocation, report)


def _print(invocation: Invocation, report: CleanupReport) -> None:
    if not report.proposals:
        kept = report.retain_count
        invocation.say(f"nothing of {report.key_id} is past the {kept} that stay")
        return
    heads = "VERSION, STATE, LAST DECRYPTED, LAST PROTECTED, DATA KEYS UNTIL, BACKED UP, WHY"
    columns(
        heads.split(", "),
        (
            (
                each.version_id,
                each.state.value,
                _day(each.last_decrypted),
                _day(each.last_protected),
                _day(each.leased_until),
                "yes" if each.backed_up else "no",
                each.why,
            )
            for each in report.proposals
        ),
    )
    for moved in report.moved:
        invocation.say(
            f"{moved} is erased at {shapes.time_text(report.destroy_at)}; to keep it:"
            f" mfn key cancel-destruction {moved}"
        )
