"""What an operator should mend, read from the live configuration and store."""

from __future__ import annotations

from mycelium_fractal_net.doctor.diagnosis import diagnose
from mycelium_fractal_net.doctor.findings import Finding, Severity
from mycelium_fractal_net.doctor.old_cipher import forget_kept, note_kept

__all__ = ["Finding", "Severity", "diagnose", "forget_kept", "note_kept"]
