"""Memory with a master key that is on another machine: it never comes over.

The transit key of OpenBao is one that its administrator may read (``exportable``), so that we know
what to look for; the product's own token cannot.
"""

from __future__ import annotations

import base64
import os
import subprocess
import sys
from pathlib import Path

from campaigns.frame.campaign import Figures
from campaigns.frame.run import Run
from campaigns.leakage import memory
from campaigns.leakage.search import Marker, Searcher, by_kind_and_form
from tests.support.custodians.vault import KEY_NAME, VaultHarness

ROOT = Path(__file__).parents[2]
_USES = """
import sys
from mycelium_fractal_net import open_keyring
def stage(name):
    print(name, flush=True)
    sys.stdin.readline()
keyring = open_keyring()
for _ in range(20):
    keyring.decrypt(keyring.encrypt(b"x"))
stage("after use")
keyring.close()
stage("after close")
"""


def external(run: Run) -> Figures:
    """OpenBao's transit engine; in the quick form nothing, since a server takes its time."""
    if run.quick:
        return {"stages": []}
    home = run.folder / f"store-{os.getpid()}" / "home"
    harness = VaultHarness()
    try:
        harness.bao.make_key(exportable=True)
        shown = harness.bao.asked("GET", f"transit/export/encryption-key/{KEY_NAME}")
        keys = [Marker("master key", base64.b64decode(each)) for each in _values(shown)]
        keys.append(Marker("token of the custodian", harness.token.encode()))
        named = harness.environment(home)
        environment = {**os.environ, **named, "PYTHONPATH": str(ROOT / "src")}
        subprocess.run(
            [sys.executable, "-m", "mycelium_fractal_net", "init"],
            env=environment,
            check=True,
            capture_output=True,
        )
        stages = _looked_at(environment, Searcher(keys, halves=True))
        control = memory.hits(harness.pid, Searcher(keys[:1]))
    finally:
        harness.close()
    failures = [
        f"{each['stage']}: the master key is in memory"
        for each in stages
        if "master key" in each["found"]
    ]
    if not control:
        failures.append("the master key is not found in the memory of the server that has it")
    return {
        "stages": stages,
        "in the server": by_kind_and_form(control),
        "failures": failures,
    }


def _values(shown: dict[str, dict[str, dict[str, str]]]) -> list[str]:
    return list(shown["data"]["keys"].values())


def _looked_at(environment: dict[str, str], searcher: Searcher) -> list[Figures]:
    found = []
    with subprocess.Popen(
        [sys.executable, "-c", _USES],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        while stage := process.stdout.readline().strip():
            hits = memory.hits(process.pid, searcher)
            found.append({"stage": stage, "found": by_kind_and_form(hits)})
            process.stdin.write("\n")
            process.stdin.flush()
    return found
