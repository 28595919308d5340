"""``mfn key list`` beside the imports that no command can do without."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from benchmarks.files import MFN, environment
from benchmarks.harness import Figure, figures, run, turns

_IMPORTS = "import cryptography.hazmat.primitives.ciphers.aead, sqlalchemy"


def measure(rounds: int) -> list[Figure]:
    """Start-up as a whole process, in alternating rounds."""
    with tempfile.TemporaryDirectory() as name:
        env = environment(Path(name) / "home")
        run([*MFN, "init"], env=env)
        times: dict[str, list[float]] = {"import cryptography, sqlalchemy": [], "mfn key list": []}
        commands = {
            "import cryptography, sqlalchemy": [sys.executable, "-c", _IMPORTS],
            "mfn key list": [*MFN, "key", "list"],
        }
        for names in turns(list(commands), rounds):
            for label in names:
                times[label].append(run(commands[label], env=env).seconds)
    return figures(times)
