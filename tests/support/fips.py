"""A real OpenSSL FIPS provider, and processes that run on it."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mycelium_fractal_net.security.fips.installed import install
from tests.support.cli import PROGRAM, Ran, environment
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
    return hashlib.sha256(path.read_bytes()).hexdigest()


class FipsHome:
    """A home folder with the module installed, and processes in FIPS mode over it."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.variables = {"MFN_HOME": str(home), "MFN_FIPS_MODE": "true"}

    def install(self) -> None:
        """As ``mfn fips install`` does, without its proof."""
        module = fips_module()
        install(module, sha256_of(module), self.home / "fips")

    def mfn(self, *arguments: str, **variables: str) -> Ran:
        """Run ``mfn`` as a process."""
        return self._run([*PROGRAM, *arguments], variables)

    def python(self, code: str, **variables: str) -> Ran:
        """Run a program."""
        return self._run([sys.executable, "-c", code], variables)

    def _run(self, command: list[str], variables: dict[str, str]) -> Ran:
        done = subprocess.run(
            command,
            env=environment({**self.variables, **variables}),
            capture_output=True,
            stdin=subprocess.DEVNULL,
            check=False,
        )
        return Ran(done.returncode, done.stdout.decode(), done.stderr.decode(), done.stdout)


@pytest.fixture
def fips_home(tmp_path: Path) -> FipsHome:
    """One that nothing is installed in."""
    return FipsHome(tmp_path / "home")


@pytest.fixture
def fips(fips_home: FipsHome) -> FipsHome:
    """One with the module."""
    fips_home.install()
    return fips_home
