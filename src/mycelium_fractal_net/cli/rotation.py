"""``mfn rotation``: rotate keys on time, see what is due, and what becomes of old versions."""

from __future__ import annotations

import contextlib
import json
import logging
import signal
import sys
import threading
from typing import TYPE_CHECKING, Annotated

import typer

from mycelium_fractal_net import shapes
from mycelium_fractal_net.cli import retention
from mycelium_fractal_net.cli.exits import CommandError
from mycelium_fractal_net.cli.key import KeyName
from mycelium_fractal_net.cli.options import AsJson
from mycelium_fractal_net.cli.session import session_of
from mycelium_fractal_net.cli.terminal import (
    columns,
    complain,
    counted,
    json_array,
    json_value,
    say,
)
from mycelium_fractal_net.security.errors import ExitCode, MfnError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

    from mycelium_fractal_net.security.records.keys import Key
    from mycelium_fractal_net.security.rotation import RunReport, ScheduledKey

__all__ = ["register"]


def register(group: typer.Typer) -> None:
    """Add the commands to the group ``mfn rotation``."""
    group.command("run")(_run)
    group.command("list")(_list)
    group.command("schedule")(_schedule)
    retention.register_cleanup(group)


def _run(
    context: typer.Context,
    once: Annotated[
        bool,
        typer.Option("--once", help="Look once, as from cron; the exit code tells failures."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Rotate the keys that are due, again and again until SIGTERM or Ctrl-C, or once.

    Also activates versions that were to be by now, and erases what waited for it. Any number may
    run at once, on any machines: a due key is rotated exactly once.
    """
    from mycelium_fractal_net.bootstrap import rotation_scheduler

    session = session_of(context)
    settings = session.settings()

    def tell(report: RunReport | None) -> None:
        if report is None:
            return  # the log says why
        if as_json:
            print(json.dumps(shapes.look_shape(report)), flush=True)
        else:
            _tell(report, quiet=session.quiet)

    with session.keyring() as keyring:
        if once:
            report = rotation_scheduler(settings, keyring.provider).run_once()
            if as_json:
                json_value(shapes.look_shape(report))
            elif not _tell(report, quiet=session.quiet):
                say("nothing was due", quiet=session.quiet)
            if not report.ok:
                raise typer.Exit(ExitCode.PARTIAL)
            return
        logging.basicConfig(format="%(levelname)s %(name)s: %(message)s", level=logging.WARNING)
        scheduler = rotation_scheduler(settings, keyring.provider, listener=tell)
        with _until_asked_to_end() as stop:
            scheduler.run(stop, settings.rotation.look_seconds)


@contextlib.contextmanager
def _until_asked_to_end() -> Iterator[threading.Event]:
    """An event that SIGTERM, SIGINT and SIGHUP set: a look that has begun ends first."""
    stop = threading.Event()

    def end(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    former = {n: h for n in numbers if (h := signal.getsignal(n)) is not signal.SIG_IGN}
    for number in former:
        signal.signal(number, end)
    try:
        yield stop
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


def _tell(report: RunReport, *, quiet: bool) -> bool:
    """Print what a look did; says whether there was anything."""
    told = [
        *(f"rotated: {each} is the newest version" for each in report.rotated),
        *(f"activated: {each} protects from now on" for each in report.activated),
        *(f"set back: {each} was scheduled by a clock that ran ahead" for each in report.set_back),
        *(f"pending destruction: {each}" for each in report.pending),
        *(f"erased: {each}" for each in report.erased),
    ]
    for line in told:
        say(line, quiet=quiet)
    for name, reason in report.failed:
        complain(f"key {name} failed: {reason}")
    for name in report.waiting:
        complain(f"key {name} failed before, and is tried again later: mfn rotation list")
    if report.credentials_due:
        due = counted(report.credentials_due, "API key")
        say(f"{due} to be rotated by who holds them: mfn credential list", quiet=quiet)
    if sys.stdout is not None:  # as it is where the shell closed it
        sys.stdout.flush()
    return bool(told or report.failed or report.waiting or report.credentials_due)


def _list(context: typer.Context, as_json: AsJson = False) -> None:
    """List when each key is due, which are overdue, and whose rotation fails."""
    from mycelium_fractal_net.bootstrap import rotation_scheduler

    session = session_of(context)
    with session.keyring() as keyring:
        found = rotation_scheduler(session.settings(), keyring.provider).status()
        if as_json:
            json_array(shapes.schedule_shape(name, seen) for name, seen in found)
        else:
            heads = ("KEY", "TYPE", "EVERY", "DUE", "NOTE")
            columns(heads, (_row(name, seen) for name, seen in found))


def _row(name: str, seen: ScheduledKey | MfnError) -> tuple[str, ...]:
    if isinstance(seen, MfnError):
        return (name, "-", "-", "-", str(seen))
    key = seen.key
    due = "-" if seen.due_at is None else str(shapes.time_text(seen.due_at))
    every = f"{key.rotation.interval_days} days" if key.rotation.automatic else "by hand"
    return (name, key.key_type.value, every, due, "; ".join(_notes(seen)))


def _notes(seen: ScheduledKey) -> Iterator[str]:
    key, failure = seen.key, seen.failure
    if seen.waits_for_backup:
        yield f"v{key.latest.version} waits for a backup"
    elif key.latest.activate_at is not None:
        yield f"v{key.latest.version} is activated at {shapes.time_text(key.latest.activate_at)}"
    elif not seen.protects:
        yield f"out of use: its newest version is {key.latest.state}"
    if seen.reason is not None:
        yield "is due" if seen.reason == "due" else "is due by use: half of its raw messages"
    if failure is not None:
        times = counted(failure.failures, "time")
        yield f"failed {times}, again at {shapes.time_text(failure.retry_at)}: {failure.reason}"


def _schedule(
    context: typer.Context,
    name: KeyName,
    every: Annotated[
        int | None,
        typer.Option(metavar="DAYS", help="Rotate so long after its newest version, 1 to 36500."),
    ] = None,
    off: Annotated[
        bool, typer.Option("--off", help="Rotate it by hand alone; by use it still is.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Have a key rotated every so many days, or by hand alone."""
    from mycelium_fractal_net.bootstrap import rotation_scheduler

    session = session_of(context)
    if (every is None) != off:
        raise CommandError(
            ExitCode.USAGE,
            "a key is rotated every so many days, or by hand",
            "give either --every DAYS or --off",
        )
    with session.keyring() as keyring:
        scheduler = rotation_scheduler(session.settings(), keyring.provider)
        if every is None:
            key = scheduler.unschedule_rotation(name)
        else:
            key = scheduler.schedule_rotation(name, every)
    if as_json:
        json_value(shapes.key_shape(key))
        return
    say(f"{key.key_id} is {_schedule_text(key)}", quiet=session.quiet)


def _schedule_text(key: Key) -> str:
    if not key.rotation.automatic:
        return "rotated by hand"
    due = shapes.time_text(key.rotation_due)
    return f"rotated every {key.rotation.interval_days} days, next at {due}"
