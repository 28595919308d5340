"""Runs the program under callgrind and reads its dumps."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parents[2]
_SUMMARY: Final = re.compile(r"^summary: (\d+)", re.MULTILINE)


class NoValgrindError(Exception):
    """There is no valgrind on this machine."""


def counted(*, whole: bool) -> dict[str, dict[str, list[int]]]:
    """For each work, the instructions of one call with each input, as often as it was counted.

    Raises :class:`NoValgrindError`.
    """
    valgrind = shutil.which("valgrind")
    if valgrind is None:
        raise NoValgrindError("valgrind is missing: Debian's package of that name")
    with tempfile.TemporaryDirectory(prefix="mfn-callgrind-") as folder:
        out = Path(folder) / "out"
        ran = subprocess.run(
            [valgrind, "--tool=callgrind", "--dump-before=getppid", f"--callgrind-out-file={out}",
             sys.executable, "-m", "campaigns.instructions.counted", *["--whole"][: int(whole)]],
            cwd=ROOT,
            env={
                "PATH": os.environ["PATH"],
                "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}",
                "PYTHONHASHSEED": "0",
            },
            capture_output=True,
            text=True,
            check=False,
        )  # fmt: skip
        if ran.returncode:
            raise RuntimeError(ran.stderr[-2000:])
        dumps = {
            int(path.suffix[1:]): int(_SUMMARY.findall(path.read_text())[0])
            for path in Path(folder).glob("out.*")
        }
    return by_work(json.loads(ran.stdout.splitlines()[-1]), dumps)


def by_work(sections: list[Any], dumps: dict[int, int]) -> dict[str, dict[str, list[int]]]:
    """What each call took: of sections with few and with many calls, the difference.

    Dump 1 ends at the first mark, 2 with the first section, 3 before the second one, and so on.
    """
    found: dict[str, dict[str, list[int]]] = {}
    for number in range(0, len(sections), 2):
        (work, name, few), (_, _, many) = sections[number], sections[number + 1]
        more = dumps[2 * (number + 2)] - dumps[2 * (number + 1)]
        found.setdefault(work, {}).setdefault(name, []).append(round(more / (many - few)))
    return found
