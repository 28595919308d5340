"""Mutants whose end is known: some must be killed, one that changes nothing must survive."""

from __future__ import annotations

import random
from typing import Any, Final

from campaigns.frame.run import Run
from campaigns.mutation.files import ROOT, SECURITY, SEED, of_file
from campaigns.mutation.mutants import Mutant
from campaigns.mutation.worker import Zygote, copied

_DIGEST: Final = f"{SECURITY}/http_signatures/content_digest.py"
_QUICK: Final = {
    _DIGEST: "tests/security/http_signatures/test_digest.py",
    f"{SECURITY}/records/keys.py": "tests/security/records/test_keys.py",
}
"""Two files with tests of their own that take milliseconds."""
_SEEDED: Final = 6  # of each
_LEAST: Final = 0.75  # of those are killed by these tests alone
_CPU: Final = 10.0  # seconds, of which these tests take a tenth of one


def tried(run: Run) -> dict[str, Any]:
    """The controls, and a few seeded mutants; ``failures`` where one ended otherwise."""
    tree = copied(run.folder / "tree")
    outcomes: dict[str, str] = {}
    warm = Zygote(tree, "warm", list(_QUICK.values()))
    cold = Zygote(tree, "cold")
    try:
        tests = {
            file: sorted(each for each in warm.tests if each.startswith(test))
            for file, test in _QUICK.items()
        }
        for name, mutant, zygote, _ in _controls(warm, cold):
            answer = zygote.attempt(mutant.file, mutant.source, tests[mutant.file], _CPU)
            outcomes[name] = answer["outcome"]
        seeded: list[str] = []
        for file in _QUICK:
            inside = [each for each in of_file(file) if each.scope and "." not in each.scope]
            for mutant in random.Random(SEED).sample(inside, min(_SEEDED, len(inside))):
                answer = warm.attempt(mutant.file, mutant.source, tests[file], _CPU)
                if answer["outcome"] != "not warm":
                    seeded.append(answer["outcome"])
    finally:
        warm.close()
        cold.close()
    failures = [
        f"control, {name}: {outcomes[name]}, not {expected}"
        for name, _, _, expected in _controls(warm, cold)
        if outcomes[name] != expected
    ]
    killed = seeded.count("killed")
    if killed < _LEAST * len(seeded):
        failures.append(f"of {len(seeded)} seeded mutants {killed} were killed")
    return {
        "controls": outcomes,
        "seeded": {"tried": len(seeded), "killed": killed},
        "failures": failures,
    }


def _controls(warm: Zygote, cold: Zygote) -> list[tuple[str, Mutant, Zygote, str]]:
    unchecked = _changed("    def check(self)", "    def check(self)", unchecked=True)
    constant = _changed('"sha-512": running_sha512', '"sha-512": running_sha256')
    same = _changed(
        "if not compare_digest(running.digest(), expected):",
        "if not compare_digest(expected, running.digest()):",
    )
    return [
        ("a refusal that is left out", unchecked, warm, "killed"),
        ("a constant of the module", constant, warm, "killed"),
        ("a constant of the module, imported anew", constant, cold, "killed"),
        ("two sides of a comparison changed about", same, warm, "survived"),
        ("two sides of a comparison changed about, imported anew", same, cold, "survived"),
    ]


def _changed(before: str, after: str, *, unchecked: bool = False) -> Mutant:
    source = (ROOT / _DIGEST).read_text()
    if source.count(before) != 1:
        raise ValueError(f"the control's line is gone: {before}")
    if unchecked:
        begin = source.index(before)
        text = source[:begin] + source[begin:].replace("raise InvalidSignatureError", "pass", 1)
    else:
        text = source.replace(before, after)
    return Mutant(_DIGEST, "", "control", before, after, 0, 1, 1, True, text)
