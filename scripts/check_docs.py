"""Check the documents against the code: links, commands, and targets of the Makefile.

Settings and variables, the command line's options and exit codes, and the format's vectors are
checked by tests; this looks at what no test of one part owns.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_COMMAND = re.compile(r"^\s*(?:\$ )?mfn ([a-z][a-z-]*)(?: ([a-z][a-z-]*))?", re.MULTILINE)
_MAKE = re.compile(r"\bmake ((?:[a-z]+ ?)+)")


def documents() -> list[Path]:
    """Every Markdown file that belongs to the project."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    return [ROOT / name for name in listed.stdout.split()]


def broken_links(path: Path, text: str) -> list[str]:
    """Relative links that lead nowhere."""
    found = []
    for target in _LINK.findall(text):
        if target.startswith(("https://", "http://", "#", "mailto:")):
            continue
        if not (path.parent / target.split("#")[0]).exists():
            found.append(f"{path.relative_to(ROOT)}: the link {target} leads nowhere")
    return found


def unknown_commands(path: Path, text: str) -> list[str]:
    """Lines that show a command that ``mfn`` does not have."""
    from mycelium_fractal_net.cli.app import command

    known = command().commands
    found = []
    for name, sub in _COMMAND.findall(text):
        inner = getattr(known.get(name), "commands", None)
        if name not in known or (inner is not None and sub and sub not in inner):
            found.append(f"{path.relative_to(ROOT)}: there is no command mfn {name} {sub}".rstrip())
    return found


def unknown_targets(path: Path, code: str) -> list[str]:
    """Targets that are named in code and that the Makefile does not have."""
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {word for group in _MAKE.findall(code) for word in group.split()}
    return [
        f"{path.relative_to(ROOT)}: there is no target {name}" for name in sorted(named - targets)
    ]


def code_of(text: str) -> str:
    """What stands in code blocks and between backticks, comments left out."""
    blocks = re.findall(r"```[a-z]*\n(.*?)```", text, re.DOTALL)
    inline = re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
    lines = (line.split("#")[0] for part in (*blocks, *inline) for line in part.splitlines())
    return "\n".join(lines)


def main() -> int:
    """Print what is wrong; 1 if anything is."""
    found: list[str] = []
    for path in documents():
        text = path.read_text()
        code = code_of(text)
        found += broken_links(path, text)
        found += unknown_commands(path, code)
        found += unknown_targets(path, code)
    print("\n".join(found) or f"{len(documents())} documents are in order")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
