"""Honest clients beside a thousand that stall; prints the table of docs/reliability.md.

python -m benchmarks.stalled
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mycelium_fractal_net import initialise
from tests.support.service import Running, start
from tests.support.stalled import KINDS, honest, stalled
from tests.support.tls import Authority, configured

if TYPE_CHECKING:
    import ssl

MANY = 1000
_SECONDS = 3.0


def main() -> int:
    """Measure each kind without and with TLS, print a row of each."""
    print(
        "| who stalls | honest requests/s | p50 | p99 | served | the last one was ended after"
        " | memory of the service |\n|---|---|---|---|---|---|---|",
        flush=True,
    )
    authority = Authority()
    with tempfile.TemporaryDirectory(prefix="mfn-stalled-") as folder:
        _measure(_plain(Path(folder) / "plain"), "", None)
        _measure(_secured(Path(folder) / "tls", authority), ", TLS", authority.trusted())
    return 0


def _plain(folder: Path) -> Running:
    folder.mkdir()
    initialise(home=folder / "home").close()
    return start(folder / "home")


def _secured(folder: Path, authority: Authority) -> Running:
    folder.mkdir()
    initialise(home=folder / "home").close()
    authority.issue().write(folder)
    path = configured(folder, server={"production": False})
    return start(folder / "home", env={"MFN_CONFIG": str(path)}, verify=authority.trusted())


def _measure(service: Running, how: str, tls: ssl.SSLContext | None) -> None:
    try:
        _row(f"nobody{how}", service, honest(service, _SECONDS), None)
        for kind in KINDS:
            with stalled(service, kind, MANY, tls) as them:
                began = time.monotonic()
                honest(service, 0.1)
                time.sleep(2.0)
                seen = honest(service, _SECONDS)
                while them.left and time.monotonic() - began < 30:
                    time.sleep(0.1)
                last = None if them.left else time.monotonic() - began
            _row(f"{kind}{how}", service, seen, last)
    finally:
        service.kill()


def _row(name: str, service: Running, seen: list[tuple[float, int]], last: Any) -> None:
    times = sorted(seconds * 1000 for seconds, _ in seen)
    served = sum(status == 200 for _, status in seen) / len(seen)
    pages = int(Path(f"/proc/{service.process.pid}/statm").read_text().split()[1])
    ended = "-" if last is None else f"{last:.0f} s"
    print(
        f"| {name} | {len(seen) / _SECONDS:.0f} | {statistics.median(times):.1f} ms"
        f" | {times[int(len(times) * 0.99)]:.1f} ms | {served:.0%} | {ended}"
        f" | {pages * 4096 / (1 << 20):.0f} MiB |",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main())
