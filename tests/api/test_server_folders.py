"""Where workers keep their metrics for each other, also on a root that cannot be written."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from mycelium_fractal_net import initialise
from mycelium_fractal_net.api.server.metrics_folder import metrics_folder
from mycelium_fractal_net.security.errors import ConfigurationError
from tests.support.cli import environment
from tests.support.service import start


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of temporary files."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def test_the_folder_is_there_for_as_long_as_it_serves(temporary: Path, home: Path) -> None:
    """In that of temporary files, and gone afterwards."""
    with metrics_folder(home) as folder:
        assert folder.parent == temporary
        assert folder.stat().st_mode & 0o777 == 0o700
    assert not list(temporary.iterdir())


def test_without_temporary_files_another_place_is_taken(
    monkeypatch: pytest.MonkeyPatch, home: Path
) -> None:
    """Or an error names the variable, before a key is made."""

    def none() -> str:
        raise FileNotFoundError

    monkeypatch.setattr(tempfile, "gettempdir", none)
    with metrics_folder(home) as folder:
        assert folder.parent in (Path("/dev/shm"), home)
    made = tempfile.mkdtemp

    def only_home(prefix: str, dir: Path) -> str:
        if dir != home:
            raise PermissionError
        return made(prefix=prefix, dir=dir)

    monkeypatch.setattr(tempfile, "mkdtemp", only_home)
    home.mkdir(exist_ok=True)
    with metrics_folder(home) as folder:
        assert folder.parent == home
    with (
        pytest.raises(ConfigurationError, match="TMPDIR"),
        metrics_folder(home / "none"),
    ):
        pass


def test_what_nobody_holds_is_swept_and_nothing_else(temporary: Path, home: Path) -> None:
    """A folder of a service that runs stays, and one that is just being made."""
    with metrics_folder(home) as running:
        left, begun, linked = (temporary / f"mfn-metrics-{name}" for name in ("a", "b", "c"))
        left.mkdir()
        (left / "lock").touch()
        begun.mkdir()
        linked.symlink_to(home)
        with metrics_folder(home):
            assert not left.exists()
            assert running.exists()
            assert begun.exists()
            assert linked.is_symlink()
        os.utime(begun, (time.time() - 100,) * 2)
        with metrics_folder(home):
            assert not begun.exists()


def test_what_a_killed_service_left_is_swept_by_the_next(home: Path) -> None:
    """By SIGKILL of the whole group, of which nobody can clean up."""
    initialise(home=home).close()
    first = start(home, "--workers", "2")
    assert len(list(home.parent.glob("mfn-metrics-*"))) == 1
    os.killpg(first.process.pid, signal.SIGKILL)
    first.kill()
    assert len(list(home.parent.glob("mfn-metrics-*"))) == 1
    second = start(home, "--workers", "2")
    try:
        assert len(list(home.parent.glob("mfn-metrics-*"))) == 1
        assert second.stop() == 0
    finally:
        second.kill()
    assert not list(home.parent.glob("mfn-metrics-*"))


def test_without_a_folder_no_key_is_made(home: Path) -> None:
    """On a read-only root: the error comes before the first API key, which nobody would see."""
    initialise(home=home).close()
    program = (
        "import sys, tempfile\n"
        "def nowhere(**named): raise PermissionError\n"
        "tempfile.mkdtemp = nowhere\n"
        "from mycelium_fractal_net.cli import main\n"
        "sys.argv[1:] = ['--home', sys.argv[1], 'serve', '--port', '0', '--workers', '2']\n"
        "sys.exit(main())\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program, str(home)],
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ran.returncode, "TMPDIR" in ran.stderr) == (3, True)
    assert not (home / "first-api-key").exists()
