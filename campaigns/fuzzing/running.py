"""Run one target for a while in a process of its own, under libFuzzer."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

from campaigns.fuzzing.figures import Progress, Slice
from campaigns.fuzzing.targets import CORPORA, ROOT

_SAID: Final = 40  # lines of a run that ended badly
_OPTIONS: Final = ("-print_final_stats=1", "-timeout=120", "-report_slow_units=120")


def run_slice(name: str, progress: Progress, folder: Path, seconds: int) -> str | None:
    """Fuzz for ``seconds`` and add to ``progress``. What it said, where it ended with a finding.

    ``folder``/corpus/NAME is where inputs that reach something new are kept; beside it
    ``folder``/findings/NAME, with the inputs that fail.
    """
    corpus, findings = folder / "corpus" / name, folder / "findings" / name
    for each in (corpus, findings):
        each.mkdir(parents=True, exist_ok=True)
    command = [
        *(sys.executable, "-m", "fuzz", name, *_OPTIONS),
        f"-max_total_time={seconds}",
        f"-artifact_prefix={findings}/",
        *(str(each) for each in (corpus, CORPORA / name) if each.is_dir()),
    ]
    said: list[str] = []
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        watched = Slice(progress)
        assert process.stdout is not None
        for line in process.stdout:
            watched.line(line, _cpu_seconds(process.pid))
            said = [*said[1 - _SAID :], line]
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    progress.cpu_seconds += usage.ru_utime + usage.ru_stime
    if not process.returncode:
        return None
    progress.findings = sorted(path.name for path in findings.iterdir())
    return "".join(said)


def _cpu_seconds(pid: int) -> float:
    """What a process that still runs, or has not been waited for, has used (proc_pid_stat(5))."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
