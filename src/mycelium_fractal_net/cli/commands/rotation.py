"""``mfn rotation``: rotate keys on time, see what is due, and what becomes of old versions."""

from __future__ import annotations

import contextlib
import json
import signal
import sys
import threading
from typing import TYPE_CHECKING

import click

from mycelium_fractal_net import shapes
from mycelium_fractal_net.cli import options
from mycelium_fractal_net.cli.commands.retention import cleanup
from mycelium_fractal_net.cli.exits import CommandError
from mycelium_fractal_net.cli.numbers import WHOLE
from mycelium_fractal_net.cli.parsing import CommandGroup
from mycelium_fractal_net.cli.terminal import complain, counted, handling
from mycelium_fractal_net.security.errors import ExitCode, MfnError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

    from mycelium_fractal_net.cli.invocation import Invocation
    from mycelium_fractal_net.security.records.keys import Key
    from mycelium_fractal_net.security.rotation import RunReport, ScheduledKey

rotation = CommandGroup("rotation", help="Rotate keys on time, and retire old versions.")


@rotation.add("run")
@click.option("--once", is_flag=True, help="Look once, as from cron; the exit code tells failures.")
def _run(invocation: Invocation, once: bool) -> None:
    """Rotate the keys that are due, again and again until SIGTERM or Ctrl-C, or once.

    Also activates versions that were to be by now, and erases what waited for it. Any number may
    run at once, on any machines: a due key is rotated exactly once.
    """
    from mycelium_fractal_net.bootstrap import rotation_scheduler
    from mycelium_fractal_net.bootstrap.logs import write_logs
    from mycelium_fractal_net.security.hardening import harden_process

    settings = invocation.settings()
    if not once:
        harden_process()  # it holds keys for as long as it runs

    def tell(report: RunReport | None) -> None:
        if report is None:
            return  # the log says why
        if invocation.json:
            print(json.dumps(shapes.look_shape(report)), flush=True)
        else:
            _tell(invocation, report)

    with invocation.keyring() as keyring:
        if once:
            report = rotation_scheduler(settings, keyring.provider).run_once()
            if invocation.json:
                invocation.answer(shapes.look_shape(report))
            elif not _tell(invocation, report):
                invocation.say("nothing was due")
            if not report.ok:
                raise click.exceptions.Exit(ExitCode.PARTIAL)
            return
        write_logs(settings.log)
        scheduler = rotation_scheduler(settings, keyring.provider, listener=tell)
        with _until_asked_to_end() as stop:
            scheduler.run(stop, settings.rotation.look_seconds)


@contextlib.contextmanager
def _until_asked_to_end() -> Iterator[threading.Event]:
    """An event that SIGTERM, SIGINT and SIGHUP set: a look that has begun ends first."""
    stop = threading.Event()

    def end(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    with handling((signal.SIGTERM, signal.SIGINT, signal.SIGHUP), end):
        yield stop


def _tell(invocation: Invocation, report: RunReport) -> bool:
    """Print what a look did; says whether there was anything."""
    told = [
        *(f"rotated: {each} is the newest version" for each in report.rotated),
        *(f"activated: {each} protects from now on" for each in report.activated),
        *(f"set back: {each} was scheduled by a clock that ran ahead" for each in report.set_back),
        *(f"pending destruction: {each}" for each in report.pending),
        *(f"erased: {each}" for each in report.erased),
    ]
    for line in told:
        invocation.say(line)
    for name, reason in report.failed:
        complain(f"key {name} failed: {reason}")
    for name in report.waiting:
        complain(f"key {name} failed before, and is tried again later: mfn rotation list")
    if report.credentials_due:
        due = counted(report.credentials_due, "API key")
        invocation.say(f"{due} to be rotated by who holds them: mfn credential list")
    if sys.stdout is not None:  # as it is where the shell closed it
        sys.stdout.flush()
    return bool(told or report.failed or report.waiting or report.credentials_due)


@rotation.add("list")
@click.option("--due", is_flag=True, help="Only keys that are due, without reading all others.")
def _list(invocation: Invocation, due: bool) -> None:
    """List when each key is due, which are overdue, and whose rotation fails."""
    from mycelium_fractal_net.bootstrap import rotation_scheduler

    with invocation.keyring() as keyring:
        scheduler = rotation_scheduler(invocation.settings(), keyring.provider)
        found = scheduler.due() if due else scheduler.status()
        invocation.answer_table(
            found,
            lambda pair: shapes.schedule_shape(*pair),
            "KEY, TYPE, EVERY, DUE, NOTE",
            lambda pair: _row(*pair),
        )


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


@rotation.add("schedule")
@options.key_name
@click.option(
    "--every",
    metavar="DAYS",
    type=WHOLE,
    help="Rotate so long after its newest version, 1 to 36500.",
)
@click.option("--off", is_flag=True, help="Rotate it by hand alone; by use it still is.")
def _schedule(invocation: Invocation, name: str, every: int | None, off: bool) -> None:
    """Have a key rotated every so many days, or by hand alone."""
    from mycelium_fractal_net.bootstrap import rotation_scheduler

    if (every is None) != off:
        raise CommandError(
            ExitCode.USAGE,
            "a key is rotated every so many days, or by hand",
            "give either --every DAYS or --off",
        )
    with invocation.keyring() as keyring:
        scheduler = rotation_scheduler(invocation.settings(), keyring.provider)
        if every is None:
            key = scheduler.unschedule_rotation(name)
        else:
            key = scheduler.schedule_rotation(name, every)
    invocation.answer(shapes.key_shape(key), f"{key.key_id} is {_schedule_text(key)}")


def _schedule_text(key: Key) -> str:
    if not key.rotation.automatic:
        return "rotated by hand"
    due = shapes.time_text(key.rotation_due)
    return f"rotated every {key.rotation.interval_days} days, next at {due}"


rotation.add_command(cleanup)
