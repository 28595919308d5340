"""Which files are changed everywhere, and which here and there."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Final

from campaigns.mutation.mutants import Mutant, mutants_of

ROOT: Final = Path(__file__).parents[2]
SECURITY: Final = "src/mycelium_fractal_net/security"
SEED: Final = 16
SAMPLE: Final = 20  # mutants of each file that is not in WHOLE

WHOLE: Final = tuple(
    f"{SECURITY}/{each}.py"
    for each in (
        "aes_encryption",
        "policy",
        "sealed/sealer",
        "sealed/whole",
        "sealed/reader",
        "key_providers/authenticated_table",
        "key_providers/record_macs",
        "key_providers/wrapping",
        "key_store/record_mac",
        "directories/credentials",
        "signed_requests/verifier",
        "signed_requests/replay",
        "http_signatures/components",
        "http_signatures/content_digest",
        "http_signatures/coverage",
        "http_signatures/message_signature",
        "http_signatures/plan_profile",
        "http_signatures/structured_fields",
        "lifecycle/retention",
        "audit/chain",
        "audit/chain_checker",
    )
)
"""What guards most: every mutant of these."""


def others(root: Path = ROOT) -> list[str]:
    """Every other file of ``security/`` that has code; migrations are frozen history."""
    found = (path.relative_to(root).as_posix() for path in (root / SECURITY).rglob("*.py"))
    return sorted(each for each in found if each not in WHOLE and "/migrations/" not in each)


def of_file(file: str, root: Path = ROOT) -> list[Mutant]:
    """All mutants of a file in WHOLE; of another one, the seeded sample."""
    mutants = mutants_of(file, (root / file).read_text())
    if file in WHOLE or len(mutants) <= SAMPLE:
        return mutants
    chosen = random.Random(f"{SEED} {file}").sample(range(len(mutants)), SAMPLE)
    return [mutants[each] for each in sorted(chosen)]
