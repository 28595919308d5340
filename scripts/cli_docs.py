"""Write the parts of docs/cli.md that are made from the code, or say that they are out of date.

python scripts/cli_docs.py            # exit 1 where the file differs from the code
python scripts/cli_docs.py --write    # write it
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from mycelium_fractal_net.cli.app import mfn
from mycelium_fractal_net.cli.exits import EXIT_MEANINGS

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE: Final = Path(__file__).resolve().parent.parent / "docs" / "cli.md"
_WIDTH: Final = 90
_BLOCK: Final = re.compile(r"(<!-- made: (?P<name>\w+) -->\n).*?(<!-- end of \w+ -->\n)", re.DOTALL)


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
    made = {"exit_codes": exit_codes, "commands": commands}
    return _BLOCK.sub(lambda m: f"{m[1]}\n{made[m['name']]()}\n{m[3]}", text)


def main() -> int:
    """Compare or write; returns the exit code."""
    now = PAGE.read_text()
    wanted = page(now)
    if "--write" in sys.argv[1:]:
        PAGE.write_text(wanted)
    elif now != wanted:
        print("docs/cli.md differs from the code; run: python scripts/cli_docs.py --write")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
