"""Check the documents against the code: links, commands, variables, targets, promises.

What each setting does, the command line's help and exit codes, and the format's vectors are
checked by the tests of their parts; this looks at what no one part owns.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from scripts import promises

ROOT = Path(__file__).resolve().parents[1]

_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_COMMAND = re.compile(r"^\s*(?:\$ )?mfn ([a-z][a-z-]*)(?: ([a-z][a-z-]*))?", re.MULTILINE)
_MAKE = re.compile(r"\bmake ((?:[a-z][a-z-]* ?)+)")
_VARIABLE = re.compile(r"\bMFN_[A-Z0-9_]+")
_MADE = {"build", "dist", "node_modules", "__pycache__"}  # .gitignore, where there is no Git


def project_files() -> list[Path]:
    """Every file of the project: what Git tracks or would; in an unpacked archive, what is there.

    A checkout that another user owns is read as well: only names are asked for.
    """
    command = "git -c safe.directory=* ls-files -z --cached --others --exclude-standard"
    try:
        listed = subprocess.run(command.split(), cwd=ROOT, check=True, capture_output=True)
        paths = [ROOT / name for name in listed.stdout.decode().split("\0") if name]
    except (FileNotFoundError, subprocess.CalledProcessError):
        paths = [
            path
            for path in ROOT.rglob("*")
            if not any(
                part in _MADE or (part.startswith(".") and part != ".ci")
                for part in path.relative_to(ROOT).parts
            )
        ]
    return sorted(path for path in paths if path.is_file())


def anchors(path: Path) -> set[str]:
    """The names by which a link reaches the headings of a document."""
    text = re.sub(r"```.*?```", "", path.read_text(), flags=re.DOTALL)
    headings = re.findall(r"^#+ +(.+?) *$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-") for each in headings}


def broken_links(path: Path, text: str) -> list[str]:
    """Links inside the project that lead to no file or to no heading."""
    found = []
    for target in _LINK.findall(text):
        if target.startswith(("https://", "http://", "mailto:")):
            continue
        name, _, anchor = target.partition("#")
        there = path.parent / name if name else path
        if not there.exists() or (anchor and anchor not in anchors(there)):
            found.append(f"the link {target} leads nowhere")
    return found


def unknown_commands(code: str) -> list[str]:
    """Lines that show a command that ``mfn`` does not have."""
    from mycelium_fractal_net.cli.app import mfn

    context = mfn.make_context("mfn", [], resilient_parsing=True)
    found = []
    for name, sub in _COMMAND.findall(code):
        command = mfn.get_command(context, name)
        inner = getattr(command, "commands", None)
        if command is None or (inner is not None and sub and sub not in inner):
            found.append(f"there is no command mfn {name} {sub}".rstrip())
    return found


def unknown_variables(text: str) -> list[str]:
    """Variables that the configuration would refuse; those of the tests are left alone."""
    from mycelium_fractal_net.config import VARIABLES

    named = {name for name in _VARIABLE.findall(text) if not name.startswith("MFN_TEST_")}
    return [f"there is no variable {name}" for name in sorted(named - {*VARIABLES, "MFN_CONFIG"})]


def unknown_targets(code: str) -> list[str]:
    """Targets that are named in code and that the Makefile does not have."""
    targets = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {word for group in _MAKE.findall(code) for word in group.split()}
    return [f"there is no target {name}" for name in sorted(named - targets)]


def code_of(text: str) -> str:
    """What stands in code blocks and between backticks, comments left out."""
    blocks = re.findall(r"```[a-z]*\n(.*?)```", text, re.DOTALL)
    inline = re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
    lines = (line.split("#")[0] for part in (*blocks, *inline) for line in part.splitlines())
    return "\n".join(lines)


def faults(path: Path) -> list[str]:
    """What is wrong in one document."""
    text = path.read_text()
    code = code_of(text)
    return [
        *broken_links(path, text),
        *unknown_commands(code),
        *unknown_variables(text),
        *unknown_targets(code),
        *promises.faults(text),
    ]


def main() -> int:
    """Print what is wrong; 1 if anything is."""
    documents = [path for path in project_files() if path.suffix == ".md"]
    found = [f"{path.relative_to(ROOT)}: {fault}" for path in documents for fault in faults(path)]
    found += promises.not_collected(promises.PAGE.read_text())
    print("\n".join(found) or f"{len(documents)} documents are in order")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
