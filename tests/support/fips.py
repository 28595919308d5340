"""A real OpenSSL FIPS provider, and processes that run on it."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from mycelium_fractal_net.security.fips.installed import install
from tests.support.cli import PROGRAM, Ran, environment
from tests.support.fips_module import fips_module, sha256_of

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["FipsHome", "fips", "fips_home", "fips_module", "sha256_of"]


class FipsHome:
    """A home folder with the module installed, and processes in FIPS mode over it.

    They set it up by themselves, also in a run of the tests that is in the mode as a whole.
    """

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
            env=environment({**self.variables, **variables}, in_fips_mode=False),
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
