"""Master key and passphrase as Kubernetes and systemd deliver them, read by a plain user."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mycelium_fractal_net import initialise
from tests.support.cli import PROGRAM, environment
from tests.support.presence import need

if TYPE_CHECKING:
    from collections.abc import Iterator

USER = 12345


@pytest.fixture
def home() -> Iterator[Path]:
    """The home of a user's store; its master key and passphrase are delivered into ``volume``."""
    if os.geteuid() != 0 or shutil.which("setpriv") is None:
        need("root and setpriv, to run as another user")
    # Not below pytest's own folder, which every session closes to other users again.
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield delivered_into(Path(folder))


def delivered_into(folder: Path) -> Path:
    """Make both there; the home."""
    home, volume = folder / "home", folder / "volume"
    initialise(home=home, passphrase=b"correct horse").close()
    data = volume / "..2026_11_30"
    data.mkdir(parents=True)
    (home / "master.key").rename(data / "master.key")
    (data / "passphrase").write_bytes(b"correct horse\n")
    for file in data.iterdir():
        file.chmod(0o440)
        os.chown(file, 0, USER)
    (volume / "..data").symlink_to(data.name)
    for name in ("master.key", "passphrase"):
        (volume / name).symlink_to(f"..data/{name}")
    for path in (home, *home.rglob("*")):
        os.chown(path, USER, USER)
    return home


def as_user(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command as the user."""
    volume = home.parent / "volume"
    user = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups"]
    return subprocess.run(
        [*user, *PROGRAM, "--home", home, *arguments],
        env=environment(
            {
                "MFN_MASTER_KEY_FILE": str(volume / "master.key"),
                "MFN_MASTER_PASSPHRASE_FILE": str(volume / "passphrase"),
                "HOME": str(home),
                "COVERAGE_PROCESS_CONFIG": "",  # the user may not write what was counted
            },
            in_fips_mode=False,  # nor read the module of tests in that mode
        ),
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_user_works_with_secrets_that_are_delivered(home: Path) -> None:
    """Keys are made and listed, and doctor has nothing to say of the files."""
    made = as_user(home, "key", "create", "orders")
    assert (made.returncode, made.stderr) == (0, "")
    assert "orders" in as_user(home, "key", "list").stdout
    assert as_user(home, "doctor").stdout == "nothing to mend\n"


def test_what_cannot_be_written_is_told_where_the_master_key_is_to_change(home: Path) -> None:
    """One line, and every key still opens."""
    changed = as_user(home, "master", "rotate")
    assert changed.returncode == 10
    assert changed.stderr.count("\n") == 1
    assert "master.key" in changed.stderr
    assert as_user(home, "key", "list").returncode == 0


def test_a_delivered_secret_that_everybody_reads_is_refused(home: Path) -> None:
    """Kubernetes' own default, 0644; the mode is named."""
    (home.parent / "volume" / "..data" / "master.key").chmod(0o644)
    refused = as_user(home, "key", "list")
    assert refused.returncode == 10
    assert "volume" in refused.stderr
