"""The parts of docs/cli.md that are made from the code: exit codes, and every command's help."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from mycelium_fractal_net.cli.app import mfn
from mycelium_fractal_net.cli.exits import EXIT_MEANINGS
from scripts.made import filled

if TYPE_CHECKING:
    from collections.abc import Iterator

_WIDTH: Final = 90


def exit_codes() -> str:
    """The table of exit codes."""
    lines = ["| code | meaning |", "| --- | --- |"]
    lines += [f"| {code.value} | {meaning} |" for code, meaning in EXIT_MEANINGS.items()]
    return "\n".join(lines) + "\n"


def commands() -> str:
    """Every command under a heading, with its help as ``mfn COMMAND --help`` prints it."""
    return "\n".join(f"### `{path}`\n\n```text\n{text}\n```\n" for path, text in _helps())


def _helps() -> Iterator[tuple[str, str]]:
    yield from _walk(mfn, "mfn", None)


def _walk(entry: Any, name: str, parent: Any) -> Iterator[tuple[str, str]]:
    with entry.make_context(
        name, [], parent=parent, resilient_parsing=True, terminal_width=_WIDTH
    ) as context:
        # Where the page was made must not show in it.
        yield context.command_path, entry.get_help(context).rstrip()
        for child in entry.list_commands(context) if isinstance(entry, click.Group) else ():
            yield from _walk(entry.get_command(context, child), child, context)


def page(text: str) -> str:
    """``text`` with every block that is made from the code made anew."""
    return filled(text, {"exit_codes": exit_codes, "commands": commands})
