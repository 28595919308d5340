"""Mutants that no test can or should notice: each with its reason, in explained.toml.

An entry names the lines as they stand and as the mutant has them, so that it goes stale with them.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from campaigns.mutation.files import ROOT, SECURITY

TABLE: Final = Path(__file__).with_name("explained.toml")
KINDS: Final = {
    "equivalent": "the program does the same",
    "speed": "the same answer, later or with more work",
    "text": "what people read in a log or a message",
    "defence": "a second check behind another one, which the first makes unreachable",
    "unseen": "would be noticed only by what a unit test cannot arrange",
}


@dataclass(frozen=True)
class Explanation:
    """Why mutants of one place survive. ``after`` holds each of them."""

    file: str
    scope: str
    before: str
    after: tuple[str, ...]
    kind: str
    why: str

    def is_stale(self, root: Path = ROOT) -> bool:
        """Whether the lines that it speaks of no longer stand there."""
        path = root / self.file
        if not path.exists():
            return True
        lines = "\n".join(line.strip() for line in path.read_text().splitlines())
        return f"\n{self.before}\n" not in f"\n{lines}\n"


def explanations(table: Path = TABLE) -> list[Explanation]:
    """All of them. Each file is named from the folder of ``security/`` on."""
    entries: list[dict[str, Any]] = tomllib.loads(table.read_text()).get("mutants", [])
    return [
        Explanation(
            file=f"{SECURITY}/{each['file']}",
            scope=each.get("scope", ""),
            before=each["before"].strip(),
            after=tuple(text.strip() for text in each["after"]),
            kind=each["kind"],
            why=each["why"],
        )
        for each in entries
    ]


def explained(outcome: Mapping[str, Any], table: list[Explanation]) -> Explanation | None:
    """What explains a mutant that survived, of what was kept of it; None: nothing does."""
    for each in table:
        if (each.file, each.scope, each.before) == (
            outcome["file"],
            outcome["scope"],
            outcome["before"],
        ) and outcome["after"] in each.after:
            return each
    return None
