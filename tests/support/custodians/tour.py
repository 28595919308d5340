"""The tour on each custodian, for real; what is passed on are the tour's own options::

python -m tests.support.custodians.tour [--only vault] [--size 64MiB --files 500]
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Final

from tests.support.custodians import NAMES, new_harness

_TOUR: Final = Path(__file__).parents[3] / "scripts" / "tour.py"


def main() -> int:
    """Walk through it on each; the first that fails ends all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", action="append", choices=NAMES)
    options, passed_on = parser.parse_known_args()
    for name in options.only or NAMES:
        print(f"\n=== {name} " + "=" * (72 - len(name)), flush=True)
        with closing(new_harness(name)) as custodian, tempfile.TemporaryDirectory() as folder:
            custodian.make_key()
            home = Path(folder) / "home"
            home.mkdir(mode=0o700)
            command = [sys.executable, str(_TOUR), "--settings", *passed_on]
            environment = {**os.environ, **custodian.environment(home)}
            code = subprocess.run(command, env=environment, check=False).returncode
        if code:
            return code
    return 0


if __name__ == "__main__":
    sys.exit(main())
