"""A store whose master key is on some other side: its home, ``mfn`` over it, and the library."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from mycelium_fractal_net import initialise, open_keyring
from mycelium_fractal_net.config import load_settings
from tests.support.cli import Ran, environment
from tests.support.custodians import MFN
from tests.support.service import Running, start

if TYPE_CHECKING:
    from pathlib import Path

    from mycelium_fractal_net.config import Settings
    from mycelium_fractal_net.security.keyring.keyring import Keyring
    from tests.support.custodians import CustodianHarness


@dataclass(frozen=True)
class Place:
    """A home folder, and the variables with which everything over it is run."""

    home: Path
    variables: dict[str, str] = field(repr=False)

    @classmethod
    def of(cls, home: Path, *custodians: CustodianHarness, store: str | None = None) -> Place:
        """Over the first of these custodians; the others are named as well, and not used."""
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        variables: dict[str, str] = {}
        for each in reversed(custodians):
            variables |= each.environment(home)
        if store is not None:
            variables["MFN_STORE"] = store
        return cls(home, variables)

    def under(self, custodian: str, *former: str, **more: str) -> Place:
        """The same place with another one of the custodians first, and others beside it."""
        changed = {**self.variables, "MFN_KEY_PROVIDER": custodian, **more}
        changed.pop("MFN_FORMER_KEY_PROVIDERS", None)
        if former:
            changed["MFN_FORMER_KEY_PROVIDERS"] = ",".join(former)
        return replace(self, variables=changed)

    @property
    def settings(self) -> Settings:
        """As everything here reads them."""
        return load_settings(environ=self.variables)

    def init(self) -> Keyring:
        """Make the store, and open it in this process."""
        return initialise(settings=self.settings)

    def open(self) -> Keyring:
        """Open it in this process."""
        return open_keyring(settings=self.settings)

    def command(self, *arguments: str) -> list[str]:
        """``mfn`` with these arguments."""
        return [*MFN, *arguments]

    @property
    def environment(self) -> dict[str, str]:
        """Of a process of its own."""
        return environment(self.variables)

    def mfn(self, *arguments: str | Path) -> Ran:
        """Run ``mfn`` over it, as a process of its own."""
        done = subprocess.run(
            self.command(*map(str, arguments)),
            env=self.environment,
            cwd=self.home.parent,
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        return Ran(done.returncode, done.stdout, done.stderr)

    def ok(self, *arguments: str | Path) -> Ran:
        """Run it and insist that it succeeds."""
        ran = self.mfn(*arguments)
        assert ran.code == 0, ran
        return ran

    def serve(self, *arguments: str) -> Running:
        """A service over it, without TLS and request signatures."""
        return start(self.home, *arguments, env={"MFN_REQUEST_SIGNING": "off", **self.variables})
