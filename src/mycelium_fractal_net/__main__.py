"""``python -m mycelium_fractal_net`` is ``mfn``."""

import sys

from mycelium_fractal_net.cli import main

if __name__ == "__main__":
    sys.exit(main())
