"""Files and folders through the command line: time beside ``cp``, and memory."""

from __future__ import annotations

import os
import shutil
import statistics
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.harness import Figure, figures, run

MFN = [sys.executable, "-m", "mycelium_fractal_net"]


@dataclass
class FileFigures:
    """One large file: seconds without start-up beside cp, and memory above an empty file."""

    size: int
    seal: list[Figure] = field(default_factory=list)
    open: list[Figure] = field(default_factory=list)
    start_up: float = 0.0
    seal_memory: int = 0
    open_memory: int = 0


def environment(home: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MFN_")}
    return kept | {"MFN_HOME": str(home)}


def measure_file(size: int, rounds: int) -> FileFigures:
    """Seal and open one file on a file system in memory, where the disk does not hide the work."""
    found = FileFigures(size)
    with ExitStack() as stack:
        place = "/dev/shm" if Path("/dev/shm").is_dir() else None
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=place)))
        env = environment(folder / "home")
        run([*MFN, "init"], env=env)
        run([*MFN, "key", "create", "bench"], env=env)
        big, empty = folder / "big", folder / "empty"
        empty.touch()
        with big.open("wb") as file:
            for _ in range(size >> 20):
                file.write(os.urandom(1 << 20))
        tools = _tools(folder, env)
        seal: dict[str, list[float]] = {"cp": [], "mfn encrypt": [], **{n: [] for n in tools}}
        unseal: dict[str, list[float]] = {"cp": [], "mfn decrypt": [], **{n: [] for n in tools}}
        starts, memories = [], []
        for _ in range(rounds):
            base = run(
                [*MFN, "encrypt", str(empty), "-k", "bench", "-o", f"{folder}/e.mfn"], env=env
            )
            unbase = run([*MFN, "decrypt", f"{folder}/e.mfn", "-o", f"{folder}/e"], env=env)
            copy = run(["cp", str(big), f"{folder}/copy"], env=env)
            Path(f"{folder}/copy").unlink()
            ours = run(
                [*MFN, "encrypt", str(big), "-k", "bench", "-o", f"{folder}/big.mfn"], env=env
            )
            seal["cp"].append(copy.seconds)
            seal["mfn encrypt"].append(ours.seconds - base.seconds)
            back = run([*MFN, "decrypt", f"{folder}/big.mfn", "-o", f"{folder}/back"], env=env)
            unseal["cp"].append(copy.seconds)
            unseal["mfn decrypt"].append(back.seconds - unbase.seconds)
            starts.append(base.seconds)
            memories.append((ours.memory - base.memory, back.memory - unbase.memory))
            for name in ("e", "e.mfn", "big.mfn", "back"):
                (folder / name).unlink()
            for name, (sealing, opening, output) in tools.items():
                seal[name].append(run(sealing, env=env).seconds)
                unseal[name].append(run(opening, env=env).seconds)
                for made in (output, f"{output}.back"):
                    Path(made).unlink()
        found.seal, found.open = figures(seal), figures(unseal)
        found.start_up = statistics.median(starts)
        found.seal_memory = max(seal for seal, _ in memories)
        found.open_memory = max(opened for _, opened in memories)
    return found


def _tools(folder: Path, env: dict[str, str]) -> dict[str, tuple[list[str], list[str], str]]:
    """Peers that work on files, where they are installed: seal, open, and what they write."""
    big, found = str(folder / "big"), {}
    if shutil.which("age"):
        run(["age-keygen", "-o", f"{folder}/age.key"], env=env)
        public = next(
            line.split()[-1]
            for line in Path(f"{folder}/age.key").read_text().splitlines()
            if "public key" in line
        )
        out = f"{folder}/age.out"
        found["age"] = (
            ["age", "-r", public, "-o", out, big],
            ["age", "-d", "-i", f"{folder}/age.key", "-o", f"{out}.back", out],
            out,
        )
    script = str(Path(__file__).with_name("whole_file.py"))
    for name in ("tink", "aesgcm"):
        out = f"{folder}/{name}.out"
        if name == "tink":
            try:
                import tink  # noqa: F401
            except ImportError:
                continue
        label = {"tink": "Tink streaming", "aesgcm": "AESGCM, whole file"}[name]
        found[label] = (
            [sys.executable, script, name, "seal", big, out],
            [sys.executable, script, name, "open", out, f"{out}.back"],
            out,
        )
    return found


@dataclass(frozen=True)
class FolderFigures:
    """A folder of small files on the disk: files per second, start-up and syncs included."""

    files: int
    seal: float
    open: float
    copy: float


def measure_folder(count: int, rounds: int) -> FolderFigures:
    """Seal and open ``count`` files of 4 KiB on the file system of the working folder."""
    seals, opens, copies = [], [], []
    with tempfile.TemporaryDirectory(dir=".") as name:
        folder = Path(name).resolve()
        env = environment(folder / "home")
        run([*MFN, "init"], env=env)
        run([*MFN, "key", "create", "bench"], env=env)
        for number in range(count):
            path = folder / "in" / f"{number % 100:02}" / f"{number}"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(os.urandom(4096))
        os.sync()
        for _ in range(rounds):
            seal = [*MFN, "encrypt", "-r", "in", "-o", "sealed", "-k", "bench"]
            seals.append(count / run(seal, env=env, cwd=str(folder)).seconds)
            back = [*MFN, "decrypt", "-r", "sealed", "-o", "back"]
            opens.append(count / run(back, env=env, cwd=str(folder)).seconds)
            copy = ["sh", "-c", "cp -r in copy && sync -f copy"]
            copies.append(count / run(copy, env=env, cwd=str(folder)).seconds)
            for made in ("sealed", "back", "copy"):
                shutil.rmtree(folder / made)
            os.sync()
    return FolderFigures(count, *(statistics.median(each) for each in (seals, opens, copies)))
