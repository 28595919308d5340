"""``mfn usage`` and ``mfn rotation cleanup``: what old versions are still for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from mycelium_fractal_net import shapes
from mycelium_fractal_net.cli.completion import version_names
from mycelium_fractal_net.cli.key import KeyName
from mycelium_fractal_net.cli.options import AsJson
from mycelium_fractal_net.cli.session import session_of
from mycelium_fractal_net.cli.terminal import columns, json_value, say

if TYPE_CHECKING:
    from datetime import date

    from mycelium_fractal_net.security.records.retention import CleanupReport, VersionUse

__all__ = ["register", "register_cleanup"]


def register(app: typer.Typer) -> None:
    """Add ``mfn usage``."""
    app.command("usage")(_usage)


def register_cleanup(group: typer.Typer) -> None:
    """Add ``cleanup`` to the group ``mfn rotation``."""
    group.command("cleanup")(_cleanup)


def _usage(context: typer.Context, name: KeyName, as_json: AsJson = False) -> None:
    """Show which versions of a key still open data, and when they last did."""
    from mycelium_fractal_net.security.retention import usage_of

    with session_of(context).keyring() as keyring:
        key = keyring.provider.keys.get(name)
        uses = usage_of(keyring.provider, keyring.usage, key)
    if as_json:
        json_value(shapes.usage_shape(key.key_id, uses))
        return
    columns(
        (
            "VERSION",
            "STATE",
            "OPENS",
            "LAST OPENED",
            "OPENED",
            "LAST PROTECTED",
            "PROTECTED",
            "NOTE",
        ),
        (
            (
                use.version_id,
                use.state.value,
                "yes" if use.opens else "no",
                _day(use.last_opened),
                str(use.opened),
                _day(use.last_protected),
                str(use.protected),
                "; ".join(_notes(use)),
            )
            for use in uses
        ),
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


def _cleanup(
    context: typer.Context,
    name: KeyName,
    retain: Annotated[
        int | None,
        typer.Option(metavar="N", help="How many stay; by default as many as the policy says."),
    ] = None,
    versions: Annotated[
        list[str] | None,
        typer.Option(
            "--version",
            metavar="VERSION",
            help="One of those proposed; may be repeated. By default all.",
            autocompletion=version_names,
        ),
    ] = None,
    reason: Annotated[
        str | None,
        typer.Option(metavar="TEXT", help="Why they may go; without it they are only listed."),
    ] = None,
    window_days: Annotated[
        int, typer.Option(metavar="DAYS", help="How long it can still be cancelled, 7 to 365.")
    ] = 30,
    as_json: AsJson = False,
) -> None:
    """List old versions and what is known of their use; with --reason, have them destroyed.

    After the window they are erased, and what they sealed is then lost for ever.
    """
    from mycelium_fractal_net.security.retention import (
        CleanupReport,
        cleanup_old_versions,
        propose,
    )

    session = session_of(context)
    with session.keyring() as keyring:
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
    if as_json:
        json_value(shapes.cleanup_shape(report))
    else:
        _print(report, quiet=session.quiet)


def _print(report: CleanupReport, *, quiet: bool) -> None:
    if not report.proposals:
        say(f"nothing of {report.key_id} is past the {report.retain_count} that stay", quiet=quiet)
        return
    columns(
        (
            "VERSION",
            "STATE",
            "LAST OPENED",
            "LAST PROTECTED",
            "DATA KEYS UNTIL",
            "BACKED UP",
            "WHY",
        ),
        (
            (
                each.version_id,
                each.state.value,
                _day(each.last_opened),
                _day(each.last_protected),
                _day(each.leased_until),
                "yes" if each.backed_up else "no",
                each.why,
            )
            for each in report.proposals
        ),
    )
    for moved in report.moved:
        say(
            f"{moved} is erased at {shapes.time_text(report.destroy_at)}; to keep it:"
            f" mfn key cancel-destruction {moved}",
            quiet=quiet,
        )
