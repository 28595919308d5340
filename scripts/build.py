"""Build the wheel, the sdist and the SBOM; with --twice see that it gives the same bytes again.

python -m scripts.build [--twice] [FOLDER]      # into dist

The time in them is SOURCE_DATE_EPOCH, else that of the last commit, else what hatchling takes. The
second build is made from the first one's sdist, in another folder, time zone, locale and hash seed,
with other modes and times of files: what an sdist gives is what the tree gives.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path
from typing import Final

from scripts import sbom

ROOT: Final = Path(__file__).resolve().parent.parent
_OTHERWISE: Final = {"TZ": "Pacific/Kiritimati", "LC_ALL": "C", "PYTHONHASHSEED": "4711"}
_OLD: Final = 1_000_000_000  # seconds since 1970


def _git(*words: str) -> str:
    """What git says of this tree; nothing where there is none, or it is somebody else's."""
    if not (ROOT / ".git").exists() or shutil.which("git") is None:
        return ""
    command = ["git", "-c", "safe.directory=*", "-C", str(ROOT), *words]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.rstrip()


def _epoch() -> dict[str, str]:
    """The time of the build as the environment has it, empty where nobody says one."""
    given = os.environ.get("SOURCE_DATE_EPOCH") or _git("log", "-1", "--format=%ct")
    return {"SOURCE_DATE_EPOCH": given} if given else {}


def build(root: Path, folder: Path, environment: dict[str, str], umask: int = -1) -> None:
    """Build wheel and sdist of the tree at ``root``, and their SBOM, into ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    env = {**os.environ, **environment}
    tool = [sys.executable, "-m", "hatchling", "build", "-d", str(folder.resolve())]
    written = [sys.executable, str(root / "scripts" / "sbom.py"), "--output"]
    for command in (tool, [*written, str(folder.resolve() / sbom.NAME)]):
        done = subprocess.run(
            command, cwd=root, env=env, umask=umask, check=False, capture_output=True, text=True
        )
        if done.returncode:
            raise SystemExit(f"{command[1:3]} failed:\n{done.stderr}")


def again(first: Path, folder: Path, environment: dict[str, str]) -> None:
    """Build from the sdist in ``first`` into ``folder``; what should not matter is otherwise."""
    (sdist,) = first.glob("*.tar.gz")
    with tempfile.TemporaryDirectory(prefix="another-place-") as place:
        with tarfile.open(sdist) as archive:
            archive.extractall(place, filter="data")
        (tree,) = Path(place).iterdir()
        (tree / "PKG-INFO").unlink()  # which the sdist has beside what is in the tree
        for path in tree.rglob("*"):
            if path.is_file():
                path.chmod(path.stat().st_mode & 0o700)
                os.utime(path, (_OLD, _OLD))
        build(tree, folder, {**environment, **_OTHERWISE}, umask=0o077)


def attached(folder: Path) -> bool:
    """Whether the wheel has the SBOM that lies beside it, where PEP 770 wants it."""
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        place = [name for name in archive.namelist() if name.endswith(f"/sboms/{sbom.NAME}")]
        found = [archive.read(name) for name in place if ".dist-info/" in name]
    return found == [(folder / sbom.NAME).read_bytes()]


def different(first: Path, second: Path) -> list[str]:
    """The names of what is not the same in both."""
    names = {path.name for folder in (first, second) for path in folder.iterdir()}
    return [name for name in sorted(names) if _bytes(first / name) != _bytes(second / name)]


def _bytes(path: Path) -> bytes | None:
    return path.read_bytes() if path.exists() else None


def main() -> int:
    """Build; the exit code is 1 where a second time gives something else."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--twice", action="store_true", help="build again, and compare")
    parser.add_argument("folder", nargs="?", type=Path, default=ROOT / "dist")
    chosen = parser.parse_args()
    environment = _epoch()
    if changed := _git("status", "--porcelain"):
        print(f"built with what is in no commit:\n{changed}", file=sys.stderr)
    with tempfile.TemporaryDirectory() as work:
        made, second = Path(work, "first"), Path(work, "second")
        build(ROOT, made, environment)
        if not attached(made):
            print(f"the wheel has no {sbom.NAME}, or another", file=sys.stderr)
            return 1
        if chosen.twice:
            again(made, second, environment)
            if names := different(made, second):
                print(f"not the same when built again: {', '.join(names)}", file=sys.stderr)
                return 1
        chosen.folder.mkdir(parents=True, exist_ok=True)
        for path in sorted(made.iterdir()):
            shutil.copy(path, chosen.folder / path.name)
            print(chosen.folder / path.name)
    return 0


if __name__ == "__main__":
    sys.exit(main())
