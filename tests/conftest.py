"""What every test has: the fixtures for stores, and Hypothesis set up for parallel runs."""

from __future__ import annotations

import gc
import os
import signal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# What runs in parallel reports through this file alone.
from tests.vectors.conftest import pytest_terminal_summary  # noqa: F401

pytest_plugins = [
    "tests.support.audit",
    "tests.support.cli",
    "tests.support.client",
    "tests.support.columns",
    "tests.support.custodians",
    "tests.support.cyclonedx",
    "tests.support.fips",
    "tests.support.service",
    "tests.support.stores",
]

_MEMORY = "/dev/shm"
_ROOM_BYTES = 2 << 30  # in a container it is 64 MiB, unless somebody gave it more

# A look at all that eight thousand tests are made of takes 0.1 s; as tests are imported and run it
# would be taken hundreds of times, in every worker.
gc.disable()
# Timings on a shared machine say nothing, so no deadline; CI repeats the same examples.
settings.register_profile(
    "default", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.register_profile("ci", settings.get_profile("default"), derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "default")
for _name in list(os.environ):
    if _name.startswith("MFN_") and not _name.startswith("MFN_TEST_"):
        del os.environ[_name]
# Images for containers set it; it hid that what stood in a buffer failed when the program ended.
os.environ.pop("PYTHONUNBUFFERED", None)
# What is started in the background or under nohup ignores them, and so would what it starts.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)
# Every commit waits for the disk: ten a test, 4 ms each. Memory answers at once, where it has room.
if "TMPDIR" not in os.environ and os.access(_MEMORY, os.W_OK):
    _room = os.statvfs(_MEMORY)
    _runs = not _room.f_flag & os.ST_NOEXEC  # tests write programs, too; containers forbid it there
    if _runs and _room.f_bavail * _room.f_frsize >= _ROOM_BYTES:
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", _MEMORY)
# Every client reads the authorities that it trusts, the machine's 26 ms long; no test needs those.
os.environ["SSL_CERT_FILE"] = str(Path(__file__).parent / "support" / "nobody.pem")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Without the long tests, their modules are not even imported: each worker would for itself."""
    if config.option.markexpr != "not long" or collection_path.suffix != ".py":
        return None
    return "\npytestmark = pytest.mark.long\n" in collection_path.read_text() or None


def pytest_collection_finish() -> None:
    """What was collected stays to the end: only what tests make from here on is looked at."""
    gc.freeze()
    gc.set_threshold(10_000, 20, 50)
    gc.enable()
