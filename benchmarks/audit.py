"""What verifying audit records costs, first and again; writes nothing.

python -m benchmarks.audit [--quick]

The same records are verified as they were written, then with what was verified written down
beside them, then all of them again.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

from mycelium_fractal_net import initialise
from mycelium_fractal_net.bootstrap import audit_report
from mycelium_fractal_net.config import load_settings
from mycelium_fractal_net.security.audit import Event
from mycelium_fractal_net.security.keyring.keyring import Keyring

_GROUP = 1000


def main() -> None:
    """Parse the options, measure, print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.audit", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer records and rounds")
    quick = parser.parse_args().quick
    records, rounds = (20_000, 3) if quick else (200_000, 5)
    seconds = measure(records, rounds)
    again, known = (statistics.median(seconds[name]) for name in ("again", "known"))
    print(f"{records:,} records: {again:.3f} s of CPU read whole, {known:.3f} s known before")
    goal = "met   " if known <= again / 10 else "MISSED"
    print(f"{goal} verifying what was verified: 1/{again / known:.0f} (1/10 at most)")


def measure(records: int, rounds: int) -> dict[str, list[float]]:
    """Seconds of CPU of each way, in alternating rounds."""
    seconds: dict[str, list[float]] = {"again": [], "known": []}
    with tempfile.TemporaryDirectory(prefix="mfn-audit-") as name:
        home = Path(name) / "home"
        settings = load_settings(environ={"MFN_HOME": str(home)})
        with initialise(home=home) as keyring:
            fill(keyring, records)
            for number in range(2 * rounds):
                again = number % 2 == 0
                before = time.process_time()
                report = audit_report(settings, keyring.provider, again=again)
                seconds["again" if again else "known"].append(time.process_time() - before)
                if report.faults or report.records < records:
                    raise RuntimeError("the records are not whole")
    return seconds


def fill(keyring: Keyring, records: int) -> None:
    """Write so many records, in groups that are synced together."""
    log = keyring.provider.audit
    if log is None:
        raise RuntimeError("nothing is recorded")
    event = Event("encrypt", "ok", key="orders:v1", actor="0" * 16, request="0" * 22)
    for _ in range(0, records, _GROUP):
        for _ in range(_GROUP):
            last = log.append(event, wake=False)
        log.wake()
        log.wait(last)


if __name__ == "__main__":
    main()
