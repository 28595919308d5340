"""Where tests find an OpenSSL FIPS provider. Imports no ``cryptography``."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from tests.support.presence import need

_FETCHED = Path(__file__).parents[2] / ".venv" / "fips" / "fips.so"


def fips_module() -> Path:
    """The provider's file: what ``MFN_TEST_FIPS_MODULE`` names, or ``make fips-module`` fetched."""
    path = Path(os.environ.get("MFN_TEST_FIPS_MODULE", _FETCHED))
    if not path.exists():
        need("an OpenSSL FIPS provider (make fips-module, or MFN_TEST_FIPS_MODULE)")
    return path


def sha256_of(path: Path) -> str:
    """As ``sha256sum`` prints it."""
    return hashlib.sha256(path.read_bytes(), usedforsecurity=False).hexdigest()
