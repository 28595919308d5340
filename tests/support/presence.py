"""What a test needs and a machine may lack: skipped with its name, and a failure in CI."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest


def need(what: str) -> NoReturn:
    """Skip the test, saying what is missing; where CI is set nothing may be missing."""
    reason = f"missing on this machine: {what}"
    if os.environ.get("CI"):
        pytest.fail(f"{reason}; in CI nothing may be missing")
    pytest.skip(reason)
