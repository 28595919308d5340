"""Sets FIPS mode up in each Python process that a test of ``make test-fips`` starts.

It is found by PYTHONPATH, and read before the program is: see :mod:`tests.support.fips_run`.
"""

import os
import sys
from pathlib import Path

if _folder := os.environ.get("MFN_TEST_FIPS_FOLDER"):
    sys.path.insert(0, str(Path(__file__).parents[3] / "src"))
    from mycelium_fractal_net.security.fips.process import start

    start(Path(_folder))
