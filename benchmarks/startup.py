"""``mfn --help`` beside an empty Python, ``mfn key list`` beside imports it cannot do without."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Final

from benchmarks.files import MFN, environment
from benchmarks.harness import Figure, figures, run, turns

_IMPORTS: Final = "import cryptography.hazmat.primitives.ciphers.aead, sqlalchemy"
PAIRS: Final = {
    "help": {
        "python -c pass": [sys.executable, "-c", "pass"],
        "mfn --help": [*MFN, "--help"],
    },
    "list": {
        "import cryptography, sqlalchemy": [sys.executable, "-c", _IMPORTS],
        "mfn key list": [*MFN, "key", "list"],
    },
}
"""The commands of each comparison; the first is the reference."""


def measure(rounds: int) -> dict[str, list[Figure]]:
    """Whole processes in alternating rounds, by the processor time that each took."""
    commands = {name: command for pair in PAIRS.values() for name, command in pair.items()}
    times: dict[str, list[float]] = {name: [] for name in commands}
    with tempfile.TemporaryDirectory() as folder:
        env = environment(Path(folder) / "home")
        env.pop("PYTHONDONTWRITEBYTECODE", None)  # an installation has its bytecode
        run([*MFN, "init"], env=env)
        for command in commands.values():
            run(command, env=env)
        for names in turns(list(commands), rounds):
            for name in names:
                times[name].append(run(commands[name], env=env).cpu)
    return {what: figures({name: times[name] for name in pair}) for what, pair in PAIRS.items()}
