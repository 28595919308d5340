"""What an operator should mend, read from the live configuration and store."""

from __future__ import annotations

from mycelium_fractal_net.doctor.diagnosis import diagnose
from mycelium_fractal_net.doctor.findings import Finding
from mycelium_fractal_net.doctor.rules import Severity

__all__ = ["Finding", "Severity", "diagnose"]
