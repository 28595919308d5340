"""Put what fuzzing found back into fuzz/corpus: the inputs that reach what none there reaches.

    python -m campaigns.fuzzing.keep [FOLDER OF THE PART]

libFuzzer chooses a small set (-set_cover_merge); inputs are called by their SHA-1. The tests run
all of them, so large ones stay where they are, and no target gets many.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from campaigns.fuzzing.targets import CORPORA, ROOT, names

_MOST_BYTES: Final = 1024  # of an input
_MOST_INPUTS: Final = 40  # of a target, beside its seeds
_FOLDER: Final = ROOT / "build" / "campaigns" / "full" / "fuzzing" / "targets"


def keep(name: str, found: Path) -> int:
    """Add to the target's corpus; how many inputs."""
    there = CORPORA / name
    with tempfile.TemporaryDirectory() as folder:
        merged = Path(folder)
        for path in there.iterdir():
            (merged / path.name).write_bytes(path.read_bytes())
        command = [sys.executable, "-m", "fuzz", name, "-set_cover_merge=1", folder, str(found)]
        subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
        new = [path for path in merged.iterdir() if not (there / path.name).exists()]
        small = [path for path in sorted(new) if path.stat().st_size <= _MOST_BYTES]
        room = max(0, _MOST_INPUTS - sum(len(path.name) == 40 for path in there.iterdir()))
        for path in small[:room]:
            (there / path.name).write_bytes(path.read_bytes())
    return len(small[:room])


def main() -> None:
    """Go through the targets; one that was not fuzzed is passed over."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else _FOLDER
    for name in names():
        found = folder / "corpus" / name
        if found.is_dir():
            print(f"{name}: {keep(name, found)} inputs more")


if __name__ == "__main__":
    main()
