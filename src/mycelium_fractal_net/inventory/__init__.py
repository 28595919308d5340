"""The cryptographic inventory: a CycloneDX CBOM, and what of it a quantum computer breaks."""

from __future__ import annotations

from mycelium_fractal_net.inventory.document import cbom
from mycelium_fractal_net.inventory.quantum import QuantumView, quantum_view
from mycelium_fractal_net.inventory.records import Inventory
from mycelium_fractal_net.inventory.taking import take_inventory

__all__ = ["Inventory", "QuantumView", "cbom", "quantum_view", "take_inventory"]
