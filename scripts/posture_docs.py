"""Write the tables of docs/posture.md from the code, or say that they are out of date.

python scripts/posture_docs.py            # exit 1 where the file differs from the code
python scripts/posture_docs.py --write    # write it
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from mycelium_fractal_net.doctor.asvs import REQUIREMENTS, cited
from mycelium_fractal_net.doctor.rules import HEALTH, POSTURE, RAISED

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mycelium_fractal_net.doctor.rules import Rule

PAGE: Final = Path(__file__).resolve().parent.parent / "docs" / "posture.md"
_BLOCK: Final = re.compile(r"(<!-- made: (?P<name>\w+) -->\n).*?(<!-- end of \w+ -->\n)", re.DOTALL)


def checks(rules: Mapping[str, Rule]) -> str:
    """A table of checks, by name."""
    lines = ["| check | what it finds | at worst | ASVS 5.0.0 |", "| --- | --- | --- | --- |"]
    for name in sorted(rules):
        rule = rules[name]
        numbers = ", ".join(rule.requirements) or "-"
        worst = f"{rule.worst}, with the profile" if name in RAISED else rule.worst
        lines.append(f"| `{name}` | {rule.what} | {worst} | {numbers} |")
    return "\n".join(lines) + "\n"


def requirements() -> str:
    """The requirements that are cited, with the checks that are about them."""
    lines = ["| requirement | in our words | checks |", "| --- | --- | --- |"]
    rules = HEALTH | POSTURE
    for number, words in REQUIREMENTS.items():
        about = ", ".join(f"`{n}`" for n in sorted(rules) if number in rules[n].requirements)
        lines.append(f"| {cited(number)} | {words} | {about} |")
    return "\n".join(lines) + "\n"


def page(text: str) -> str:
    """``text`` with every block that is made from the code made anew."""
    made = {"posture": checks(POSTURE), "health": checks(HEALTH), "requirements": requirements()}
    return _BLOCK.sub(lambda m: f"{m[1]}\n{made[m['name']]}\n{m[3]}", text)


def main() -> int:
    """Compare or write; returns the exit code."""
    now = PAGE.read_text()
    wanted = page(now)
    if "--write" in sys.argv[1:]:
        PAGE.write_text(wanted)
    elif now != wanted:
        print("docs/posture.md differs from the code: python scripts/posture_docs.py --write")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
