"""The tables of docs/posture.md, from the code: the checks, and the requirements they cite."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mycelium_fractal_net.doctor.asvs import REQUIREMENTS, cited
from mycelium_fractal_net.doctor.rules import HEALTH, POSTURE, RAISED
from scripts.made import filled

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mycelium_fractal_net.doctor.rules import Rule


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
    return filled(
        text,
        {
            "posture": lambda: checks(POSTURE),
            "health": lambda: checks(HEALTH),
            "requirements": requirements,
        },
    )
