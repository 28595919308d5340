"""Core dumps: that there is none, and what one holds where the protection is off.

The kernel writes one as core_pattern says, which is the machine's and stays as it is: for what
a process would write, gcore (Debian: gdb) writes the same memory as root.
"""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from campaigns.frame.campaign import Figures
from campaigns.frame.run import Run
from campaigns.leakage.search import Searcher, by_kind_and_form
from campaigns.leakage.stores import made, secrets_in

ROOT = Path(__file__).parents[2]
# Uses a key, and then crashes as a process does whose memory is damaged.
_CRASHES = """
import os, resource, signal, sys
from pathlib import Path
from mycelium_fractal_net import harden_process, open_keyring
hardened, home = sys.argv[1] == "hardened", Path(sys.argv[2])
os.chdir(home.parent)
resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY,) * 2)
if hardened:
    harden_process()
keyring = open_keyring(home=home)
keyring.encrypt(b"x", key_id="orders")
os.kill(os.getpid(), signal.SIGSEGV)
"""


def dumped(pid: int, folder: Path) -> Path:
    """A core of a living process."""
    program = shutil.which("gcore")
    if program is None:
        raise RuntimeError("gcore is not installed; Debian: apt-get install gdb")
    subprocess.run(
        [program, "-a", "-o", str(folder / "core"), str(pid)], check=True, capture_output=True
    )
    return folder / f"core.{pid}"


def crashes(run: Run) -> Figures:
    """A process with a key crashes, hardened and not; who leaves a core, and what is in it."""
    home = run.folder / f"home-{os.getpid()}" / "home"
    made(home)
    searcher = Searcher(secrets_in(home), halves=True)
    pattern = Path("/proc/sys/kernel/core_pattern").read_text().strip()
    found: Figures = {"core_pattern": pattern, "failures": []}
    for how in ("hardened", "not hardened"):
        cores, ended = _crash(home, hardened=how == "hardened")
        found[how] = {
            "signal": ended,
            "cores": len(cores),
            "found": [by_kind_and_form(searcher.file(each)) for each in cores],
        }
        for each in cores:
            each.unlink()
    if found["hardened"]["cores"]:
        found["failures"].append("a hardened process left a core dump")
    if _writes_here(pattern) and not any(found["not hardened"]["found"]):
        found["failures"].append("the control left no core dump in which a key is found")
    return found


def _writes_here(pattern: str) -> bool:
    """Whether a core goes into the working folder of the process, which is what we can look at."""
    limit = resource.getrlimit(resource.RLIMIT_CORE)[1]
    return not pattern.startswith(("|", "/")) and limit == resource.RLIM_INFINITY


def _crash(home: Path, *, hardened: bool) -> tuple[list[Path], str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    before = {*home.parent.iterdir()}
    process = subprocess.run(
        [sys.executable, "-c", _CRASHES, "hardened" if hardened else "not", str(home)],
        env=environment,
        check=False,
        capture_output=True,
    )
    time.sleep(0.1)
    left = [each for each in home.parent.iterdir() if each not in before]
    return left, signal.Signals(-process.returncode).name if process.returncode < 0 else "none"
