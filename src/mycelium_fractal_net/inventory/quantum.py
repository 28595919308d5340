"""What of an inventory a quantum computer breaks, and what takes its place."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

from mycelium_fractal_net.inventory.catalogue import CATALOGUE, Quantum

if TYPE_CHECKING:
    from mycelium_fractal_net.inventory.records import Inventory

_ORDER: Final = (Quantum.BROKEN, Quantum.FALLS, Quantum.WEAKENED, Quantum.HOLDS)
_WORDS: Final = {
    "key": "key version",
    "master-key": "master key",
    "passphrase": "passphrase",
    "store": "store key",
    "protocol": "protocol",
    "certificate": "certificate",
    "signer": "signer",
    "credential": "credential",
    "import": "import",
}


@dataclass(frozen=True, slots=True)
class QuantumView:
    """One algorithm that is used, as it looks to a quantum computer.

    ``by`` is Shor's algorithm or Grover's, ``category`` NIST's of post-quantum strength, 1 to 5 or
    0 for none, ``classical_bits`` the strength against everything else, ``used_by`` what uses it,
    by its ref in the CBOM.
    """

    algorithm: str
    quantum: Quantum
    by: str | None
    consequence: str | None
    classical_bits: int | None
    category: int | None
    used_by: tuple[str, ...]
    instead: str | None

    def users(self) -> str:
        """``3 key versions, 1 protocol``."""
        counts = Counter(ref.partition(":")[0] for ref in self.used_by)
        return ", ".join(
            f"{number} {_WORDS[kind]}{'s' if number > 1 else ''}" for kind, number in counts.items()
        )

    def shape(self) -> dict[str, Any]:
        """It as JSON."""
        return {**asdict(self), "quantum": self.quantum.value, "used_by": [*self.used_by]}


def quantum_view(inventory: Inventory) -> list[QuantumView]:
    """Every algorithm that something uses, what falls first."""
    rows = []
    for name, users in inventory.users().items():
        known = CATALOGUE[name]
        if users:
            rows.append(
                QuantumView(
                    name,
                    known.quantum,
                    known.by,
                    known.consequence,
                    known.bits,
                    known.level,
                    tuple(users),
                    known.instead,
                )
            )
    return sorted(rows, key=lambda row: (_ORDER.index(row.quantum), row.algorithm))
