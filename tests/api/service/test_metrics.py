"""The numbers that a process counts, and their sums over several processes."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from prometheus_client.parser import text_string_to_metric_families

from mycelium_fractal_net.api.service.counts import Counts, read_counts
from mycelium_fractal_net.api.service.metrics import STATES, Metrics
from tests.support.cli import environment
from tests.support.presence import need

if TYPE_CHECKING:
    import pytest


def samples(metrics: Metrics) -> dict[tuple[str, ...], float]:
    """Every sample, by its name and the values of its labels, in the order of their names."""
    return {
        (sample.name, *(sample.labels[name] for name in sorted(sample.labels))): sample.value
        for family in text_string_to_metric_families(metrics.render().decode())
        for sample in family.samples
    }


def test_requests_are_counted_by_operation_and_status() -> None:
    """Each with its time in the bucket that holds it, and in all above."""
    metrics = Metrics()
    metrics.observe("encrypt", 200, 0.0004)
    metrics.observe("encrypt", 404, 0.003)
    metrics.observe("sign", 200, 9.0)
    metrics.count("items", "encrypt.batch", "ok", count=7)
    found = samples(metrics)
    assert found["mfn_requests_total", "encrypt", "200"] == 1
    assert found["mfn_requests_total", "encrypt", "404"] == 1
    assert found["mfn_items_total", "encrypt.batch", "ok"] == 7
    buckets = {
        name[1]: value
        for name, value in found.items()
        if name[0] == "mfn_request_seconds_bucket" and name[2] == "encrypt"
    }
    assert (buckets["0.0005"], buckets["0.001"], buckets["0.005"], buckets["+Inf"]) == (1, 1, 2, 2)
    assert found["mfn_request_seconds_count", "encrypt"] == 2
    assert found["mfn_request_seconds_sum", "sign"] == 9.0
    assert found["mfn_request_seconds_bucket", "5.0", "sign"] == 0


def test_every_metric_is_on_the_page_and_no_other() -> None:
    """docs/service.md has the list for who makes alarms of them."""
    metrics = Metrics()
    metrics.observe("encrypt", 200, 0.1)
    metrics.count("items", "encrypt.batch", "ok")
    metrics.count("overloaded")
    metrics.count("xor")
    metrics.count("rotations", "ok")
    metrics.count("pending-uses")
    metrics.count("custodian-calls", "unwrap", "ok")
    metrics.count("custodian-retries")
    metrics.count("custodian-seconds", "unwrap")
    for state in STATES:
        metrics._values[metrics._counts.slot(f"state {state}")] = 1
    shown = re.findall(r"^# TYPE (\w+) ", metrics.render().decode(), re.MULTILINE)
    page = (Path(__file__).parents[3] / "docs" / "service.md").read_text()
    listed = re.findall(r"^\| `(mfn_\w+)` \|", page, re.MULTILINE)
    assert sorted(listed) == sorted(name for name in shown if not name.endswith("_created"))


def test_what_a_killed_process_counted_is_still_counted(tmp_path: Path) -> None:
    """Its numbers are in a file as soon as they are counted; its states are gone with it."""
    program = (
        "import os, pathlib, signal, sys\n"
        "from mycelium_fractal_net.api.service.metrics import Metrics\n"
        "metrics = Metrics(pathlib.Path(sys.argv[1]))\n"
        "metrics.observe('encrypt', 200, 0.1)\n"
        "metrics._values[metrics._counts.slot('state mfn_workers')] = 1\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], env=environment(), check=False
    )
    assert ran.returncode == -9
    mine = Metrics(tmp_path)
    mine.observe("encrypt", 200, 0.1)
    found = samples(mine)
    assert found["mfn_requests_total", "encrypt", "200"] == 2
    assert ("mfn_workers",) not in found


def test_states_of_another_worker_are_shown_where_proc_hides_it() -> None:
    """As under ProtectProc=invisible of systemd: workers are not dumpable, and not seen there."""
    program = (
        "import os, pathlib, signal, sys\n"
        "from mycelium_fractal_net.api.service.metrics import Metrics\n"
        "from mycelium_fractal_net.security.hardening import harden_process\n"
        "folder, (done, told) = pathlib.Path(sys.argv[1]), os.pipe()\n"
        "if not (child := os.fork()):\n"
        "    metrics = Metrics(folder)\n"
        "    harden_process()\n"
        "    metrics._values[metrics._counts.slot('state mfn_workers')] = 1\n"
        "    os.write(told, b'x')\n"
        "    signal.pause()\n"
        "os.read(done, 1)\n"
        "print(os.path.exists(f'/proc/{child}'), b'mfn_workers 1' in Metrics(folder).render())\n"
        "os.kill(child, signal.SIGKILL)\n"
    )
    hidden = "mount -t proc -o hidepid=invisible proc /proc"
    if os.geteuid() != 0 or subprocess.call(["unshare", "-m", "sh", "-c", hidden]):
        need("root, and the right to mount /proc anew")
    user = "setpriv --reuid=12345 --regid=12345 --clear-groups"
    with tempfile.TemporaryDirectory() as folder:  # pytest's own is closed to other users
        os.chown(folder, 12345, 12345)
        inside = f'{hidden} && exec {user} "$@"'
        ran = subprocess.run(
            ["unshare", "-m", "sh", "-c", inside, "sh", sys.executable, "-c", program, folder],
            env=environment({"COVERAGE_PROCESS_CONFIG": ""}, in_fips_mode=False),
            capture_output=True,
            text=True,
            check=False,
        )
    assert (ran.stdout, ran.stderr) == ("False True\n", "")


def test_a_file_that_is_not_whole_is_passed_over(tmp_path: Path) -> None:
    """It is being written, or is none of ours; the others are read."""
    (tmp_path / "7.names").write_text("[")
    (tmp_path / "8.names").write_text('["a"]')
    counts = Counts(tmp_path)
    counts.values[counts.slot("b")] += 2
    assert list(read_counts(tmp_path)) == [(os.getpid(), {"b": 2.0})]


def test_names_without_end_take_no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last slot takes them together."""
    monkeypatch.setattr("mycelium_fractal_net.api.service.counts._SLOTS", 2)
    counts = Counts()
    assert [counts.slot(name) for name in ("a", "b", "c", "a")] == [0, 1, 1, 0]
    counts.values[0] += 1
    assert counts.read()["a"] == 1
