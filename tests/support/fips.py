"""A real OpenSSL FIPS provider, and processes that run on it."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from mycelium_fractal_net.security.fips.installed import install, read
from tests.support.cli import PROGRAM, Ran, environment
from tests.support.fips_module import fips_module, sha256_of
from tests.support.forks import Forks

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["FipsHome", "fips", "fips_home", "fips_module", "sha256_of"]


class FipsHome:
    """A home folder with the module installed, and processes in FIPS mode over it.

    They set it up by themselves, also in a run of the tests that is in the mode as a whole.

    Without something that forks, each process is started anew, and takes a second.
    """

    def __init__(self, home: Path, fresh: Forks | None = None, proven: Forks | None = None) -> None:
        self.home = home
        self.variables = {"MFN_HOME": str(home), "MFN_FIPS_MODE": "true"}
        self._fresh = fresh
        self._proven = proven

    def install(self) -> None:
        """As ``mfn fips install`` does, without its proof."""
        module = fips_module()
        install(module, sha256_of(module), self.home / "fips")

    def installed_version(self) -> str | None:
        """What the module says that it is: ``3.5.9``."""
        return read(self.home / "fips").version

    def mfn(self, *arguments: str, **variables: str) -> Ran:
        """Run ``mfn`` in a fork of a process in FIPS mode, or outside of it by MFN_FIPS_MODE."""
        off = variables.get("MFN_FIPS_MODE") == "false"
        return self._run(self._fresh if off else self._proven, variables, argv=list(arguments))

    def start(self, *arguments: str, **variables: str) -> Ran:
        """Run ``mfn`` in a process that has yet to set FIPS mode up."""
        return self._run(self._fresh, variables, argv=list(arguments))

    def python(self, code: str, **variables: str) -> Ran:
        """Run a program that has yet to."""
        return self._run(self._fresh, variables, argv=None, code=code)

    def python_within(self, code: str, **variables: str) -> Ran:
        """Run a program in a fork of a process that is in FIPS mode."""
        return self._run(self._proven, variables, argv=None, code=code)

    def _run(
        self,
        forks: Forks | None,
        variables: dict[str, str],
        *,
        argv: list[str] | None,
        code: str = "",
    ) -> Ran:
        env = environment({**self.variables, **variables}, in_fips_mode=False)
        if forks is not None:
            ended, out, err = forks.run(argv=argv, code=code, env=env)
            return Ran(ended, out.decode(), err.decode(), out)
        command = [sys.executable, "-c", code] if argv is None else [*PROGRAM, *argv]
        done = subprocess.run(
            command, env=env, capture_output=True, stdin=subprocess.DEVNULL, check=False
        )
        return Ran(done.returncode, done.stdout.decode(), done.stderr.decode(), done.stdout)


@pytest.fixture(scope="session")
def fips_forks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Forks, Forks]]:
    """A process that has not set FIPS mode up, and one that has: the first asked for starts it."""
    module = fips_module()
    folder = tmp_path_factory.mktemp("proven") / "fips"
    install(module, sha256_of(module), folder)
    both = Forks(), Forks(folder)
    yield both
    for each in both:
        each.close()


@pytest.fixture
def fips_home(tmp_path: Path, fips_forks: tuple[Forks, Forks]) -> FipsHome:
    """One that nothing is installed in."""
    return FipsHome(tmp_path / "home", *fips_forks)


@pytest.fixture
def fips(fips_home: FipsHome) -> FipsHome:
    """One with the module."""
    fips_home.install()
    return fips_home
