"""The master key in a file, in a folder beside the homes of the stores."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from mycelium_fractal_net.security.algorithms.digests import sha256
from mycelium_fractal_net.security.key_providers import LocalCustodian
from mycelium_fractal_net.security.policy import Policy


class LocalHarness:
    """A folder of key files, one for each home: a file names its store.

    ``mfn init`` makes a file, so that ``make_key`` has nothing to do.
    """

    name = "local"

    def __init__(self) -> None:
        self._base = Path(tempfile.mkdtemp(prefix="mfn-local-"))
        self._keys = self._base / "keys"
        self._keys.mkdir(mode=0o700)

    def environment(self, home: Path) -> dict[str, str]:
        """The file's path, and where the store is."""
        file = self._keys / f"{sha256(str(home).encode()).hex()[:16]}.key"
        return {
            "MFN_KEY_PROVIDER": "local",
            "MFN_HOME": str(home),
            "MFN_MASTER_KEY_FILE": str(file),
        }

    def make_key(self) -> None:
        """Nothing."""

    def rotate(self) -> None:
        """A further master key in every file."""
        for file in self._keys.iterdir():
            LocalCustodian(file, Policy()).add()

    def disable(self) -> None:
        """Others may read the files, which is refused."""
        for file in self._keys.iterdir():
            file.chmod(0o644)

    def enable(self) -> None:
        """As they were."""
        for file in self._keys.iterdir():
            file.chmod(0o600)

    def stop(self) -> None:
        """The folder is gone, as a disk that is not mounted."""
        self._keys.rename(self._base / "away")

    def start(self) -> None:
        """It is back."""
        (self._base / "away").rename(self._keys)

    def close(self) -> None:
        """Remove the folder."""
        shutil.rmtree(self._base)
