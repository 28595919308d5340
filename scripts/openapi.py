"""Write docs/openapi.json, the description of the service, or say that it is out of date.

python scripts/openapi.py            # exit 1 where the file differs from the code
python scripts/openapi.py --write    # write it
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Final

from mycelium_fractal_net.api.application import create_app
from mycelium_fractal_net.config import Settings

PAGE: Final = Path(__file__).resolve().parent.parent / "docs" / "openapi.json"
RENEW: Final = "docs/openapi.json differs from the code; run: python scripts/openapi.py --write"


def page() -> str:
    """The document as it belongs into the file."""
    return json.dumps(create_app(Settings()).openapi(), indent=1, ensure_ascii=False) + "\n"


def main() -> int:
    """Compare or write; returns the exit code."""
    wanted = page()
    if "--write" in sys.argv[1:]:
        PAGE.write_text(wanted)
    elif not PAGE.exists() or PAGE.read_text() != wanted:
        print(RENEW)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
