"""Files and folders through the command line: time beside ``cp``, and memory."""

from __future__ import annotations

import filecmp
import os
import shutil
import statistics
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

from benchmarks.harness import Figure, Ran, figures, run, turns

MFN = [sys.executable, "-m", "mycelium_fractal_net"]
REWRAP = "mfn rewrap"


@dataclass
class FileFigures:
    """One large file: seconds without start-up beside ``cp``, and what each tool took beside.

    ``start_up`` is in seconds, ``seal_memory`` and ``open_memory`` are bytes above the same
    command on an empty file; each by the name of the tool.
    """

    size: int
    seal: list[Figure] = field(default_factory=list)
    open: list[Figure] = field(default_factory=list)
    start_up: dict[str, float] = field(default_factory=dict)
    seal_memory: dict[str, int] = field(default_factory=dict)
    open_memory: dict[str, int] = field(default_factory=dict)
    absent: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Tool:
    """Two commands: each is given its input and its output."""

    seal: Callable[[str, str], list[str]]
    open: Callable[[str, str], list[str]]


def environment(home: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MFN_")}
    return kept | {"MFN_HOME": str(home)}


def measure_file(size: int, rounds: int) -> FileFigures:
    """Seal and open one file on a file system in memory, where the disk does not hide the work.

    Every tool is measured alike: its start-up, the same command on an empty file in the same
    round, is taken off. What it opens must be what it sealed.
    """
    with ExitStack() as stack:
        place = "/dev/shm" if Path("/dev/shm").is_dir() else None
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=place)))
        env = environment(folder / "home")
        run([*MFN, "init"], env=env)
        run([*MFN, "key", "create", "bench"], env=env)
        (folder / "empty").touch()
        with (folder / "big").open("wb") as file:
            for _ in range(size >> 20):
                file.write(os.urandom(1 << 20))
        tools, absent = _tools(folder, env)
        seals: dict[str, list[float]] = {name: [] for name in tools}
        opens: dict[str, list[float]] = {name: [] for name in tools}
        starts: dict[str, list[float]] = {name: [] for name in tools}
        found = FileFigures(size, absent=absent)
        for names in turns(list(tools), rounds):
            for name in names:
                empty = _there_and_back(tools[name], folder, "empty", env)
                big = _there_and_back(tools[name], folder, "big", env)
                seals[name].append(big[0].seconds - empty[0].seconds)
                opens[name].append(big[1].seconds - empty[1].seconds)
                starts[name].append(empty[0].seconds)
                for memory, at in ((found.seal_memory, 0), (found.open_memory, 1)):
                    above = big[at].memory - empty[at].memory
                    memory[name] = max(memory.get(name, 0), above)
        found.seal, found.open = figures(seals), figures(opens)
        found.start_up = {name: statistics.median(times) for name, times in starts.items()}
    return found


def _there_and_back(tool: Tool, folder: Path, name: str, env: dict[str, str]) -> tuple[Ran, Ran]:
    source, sealed, back = (folder / each for each in (name, "sealed", "back"))
    ran = run(tool.seal(str(source), str(sealed)), env=env)
    opened = run(tool.open(str(sealed), str(back)), env=env)
    back.touch()  # age makes no file where there is nothing to write
    if not filecmp.cmp(source, back, shallow=False):
        raise RuntimeError(f"what {tool.open('IN', 'OUT')} opened is not what was sealed")
    sealed.unlink()
    back.unlink()
    return ran, opened


def _tools(folder: Path, env: dict[str, str]) -> tuple[dict[str, Tool], list[str]]:
    """``cp``, ours, and the peers that are installed; and the names of those that are not."""
    copy = Tool(*[lambda source, target: ["cp", source, target]] * 2)
    tools = {
        "cp": copy,
        "mfn": Tool(
            lambda source, target: [*MFN, "encrypt", source, "-k", "bench", "-o", target],
            lambda source, target: [*MFN, "decrypt", source, "-o", target],
        ),
    }
    absent = []
    if shutil.which("age"):
        key = f"{folder}/age.key"
        run(["age-keygen", "-o", key], env=env)
        # The identity's file names its recipient too: -e -i encrypts to it.
        tools["age"] = Tool(
            lambda source, target: ["age", "-e", "-i", key, "-o", target, source],
            lambda source, target: ["age", "-d", "-i", key, "-o", target, source],
        )
    else:
        absent.append("age")
    script = [sys.executable, str(Path(__file__).with_name("whole_file.py"))]
    for label, name, package in (
        ("Tink streaming", "tink", "tink"),
        ("AESGCM, whole file", "aesgcm", "cryptography"),
    ):
        if find_spec(package) is None:
            absent.append(label)
            continue
        command = [*script, name]
        tools[label] = Tool(
            lambda source, target, command=command: [*command, "seal", source, target],  # type: ignore[misc]
            lambda source, target, command=command: [*command, "open", source, target],  # type: ignore[misc]
        )
    return tools, absent


@dataclass(frozen=True)
class FolderFigures:
    """A folder of small files on the disk; seconds include start-up and syncs."""

    files: int
    work: list[Figure]

    def rate(self, name: str) -> float:
        """Files per second, in the median."""
        return self.files / next(each.seconds for each in self.work if each.name == name)


def measure_folder(count: int, rounds: int) -> FolderFigures:
    """Seal, open and rewrap ``count`` files of 4 KiB on the file system of the working folder.

    Beside it one that looks through them all and finds nothing to do, as the run after a kill does.
    """
    commands = {
        "cp -r, one sync": ["sh", "-c", "cp -r in copy && sync -f copy"],
        "mfn encrypt -r": [*MFN, "encrypt", "-r", "in", "-o", "sealed", "-k", "bench"],
        "mfn decrypt -r": [*MFN, "decrypt", "-r", "sealed", "-o", "back"],
        REWRAP: [*MFN, "rewrap", "sealed"],
        "mfn rewrap, all done": [*MFN, "rewrap", "sealed"],
    }
    times: dict[str, list[float]] = {name: [] for name in commands}
    with tempfile.TemporaryDirectory(dir=".") as name:
        folder = Path(name).resolve()
        env = environment(folder / "home")
        run([*MFN, "init"], env=env)
        run([*MFN, "key", "create", "bench"], env=env)
        for number in range(count):
            path = folder / "in" / f"{number % 100:02}" / f"{number}"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(os.urandom(4096))
        for _ in range(rounds):
            for label, command in commands.items():
                if label == REWRAP:
                    run([*MFN, "key", "rotate", "bench"], env=env)
                os.sync()
                times[label].append(run(command, env=env, cwd=str(folder)).seconds)
            for made in ("sealed", "back", "copy"):
                shutil.rmtree(folder / made)
    return FolderFigures(count, figures(times))
