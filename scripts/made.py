"""Write the pages of docs/ that are made from the code, or say which of them differ from it.

python -m scripts.made            # exit 1 where a page differs from the code
python -m scripts.made --write    # write them: make pages
"""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

DOCS: Final = Path(__file__).resolve().parents[1] / "docs"
MAKERS: Final = {
    "cli.md": "cli_docs",
    "house.svg": "house",
    "library.md": "library_docs",
    "openapi.json": "openapi",
    "posture.md": "posture_docs",
    "side_channels.md": "side_channels",
}
"""By page, the module of this folder whose ``page(text)`` makes it anew of what it is now."""

_BLOCK: Final = re.compile(r"(<!-- made: (?P<name>\w+) -->\n).*?(<!-- end of \w+ -->\n)", re.DOTALL)


def filled(text: str, parts: Mapping[str, Callable[[], str]]) -> str:
    """``text`` with what stands between the marks of each part made anew."""
    return _BLOCK.sub(lambda m: f"{m[1]}\n{parts[m['name']]()}\n{m[3]}", text)


def page(name: str, *, docs: Path = DOCS) -> tuple[str, str]:
    """What a page is, and what it is to be."""
    file = docs / name
    now = file.read_text() if file.exists() else ""
    wanted: str = importlib.import_module(f"scripts.{MAKERS[name]}").page(now)
    return now, wanted


def differing(*, docs: Path = DOCS) -> dict[str, str]:
    """The pages that differ from the code, each with what it is to be."""
    pages = {name: page(name, docs=docs) for name in MAKERS}
    return {name: wanted for name, (now, wanted) in pages.items() if now != wanted}


def main(*, docs: Path = DOCS) -> int:
    """Compare or write; returns the exit code."""
    found = differing(docs=docs)
    if "--write" in sys.argv[1:]:
        for name, wanted in found.items():
            (docs / name).write_text(wanted)
        return 0
    for name in found:
        print(f"docs/{name} differs from the code; run: make pages")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
