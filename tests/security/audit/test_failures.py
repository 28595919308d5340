"""Disks that fill up and syncs that fail: nobody is told of what is not durable, and it heals."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mycelium_fractal_net import initialise, open_keyring
from mycelium_fractal_net.bootstrap import audit_report
from mycelium_fractal_net.config import load_settings
from mycelium_fractal_net.security.audit import AuditLog, Event, query
from mycelium_fractal_net.security.audit.export import Exporter, sink
from mycelium_fractal_net.security.errors import AuditUnavailableError
from tests.support.audit import Books, until
from tests.support.cli import environment
from tests.support.presence import need

if TYPE_CHECKING:
    from collections.abc import Iterator


def used(number: int = 1) -> Event:
    """The record of a use of the key ``orders``."""
    return Event("encrypt", "ok", key=f"orders:v{number}", actor="caller")


@pytest.fixture
def small(books: Books) -> Iterator[Books]:
    """An audit folder on a disk of a quarter of a megabyte."""
    books.folder.mkdir(mode=0o700)
    options = ["-t", "tmpfs", "-o", "size=256k,mode=0700", "tmpfs"]
    if (
        os.geteuid() != 0
        or subprocess.run(
            ["mount", *options, str(books.folder)], capture_output=True, check=False
        ).returncode
    ):
        need("the right to mount a tmpfs")
    yield books
    subprocess.run(["umount", "-l", str(books.folder)], check=True)


def fill(log: AuditLog) -> list[int]:
    """Record until the disk is full; returns what was acknowledged."""
    told: list[int] = []
    with pytest.raises(AuditUnavailableError):
        while True:
            told.append(log.record(used(len(told))))
    return told


def kept(books: Books) -> set[int]:
    """The sequences of the records that are there."""
    return {record["sequence"] for record in query(books.folder, limit=10_000)}


def test_a_full_disk_refuses_and_a_disk_with_room_again_serves(
    small: Books, caplog: pytest.LogCaptureFixture
) -> None:
    """It fills in the middle of a record; what was acknowledged is there, and all is whole."""
    ballast = small.folder / "ballast"
    ballast.write_bytes(bytes(150_001))
    with small.opened() as log:
        heard: list[tuple[int, bool]] = []
        log.listener = lambda durable, failed: heard.append((durable, failed))
        told = fill(log)
        assert len(told) > 100
        assert not small.files[-1].read_bytes().endswith(b"\n")
        assert not log.healthy
        assert log.stats.segments_abandoned >= 1
        assert heard[-1] == (told[-1], True)
        with pytest.raises(AuditUnavailableError):
            log.append(used())
        time.sleep(0.2)  # some more tries, of which none leaves a file
        assert len(small.files) == 1
        ballast.unlink()
        until(lambda: log.healthy)
        assert log.record(used()) > told[-1]
        assert heard[-1][1] is False
    assert small.faults() == []
    assert kept(small) >= set(told)
    assert "cannot be written" in caplog.text
    assert "can be written again" in caplog.text


def test_a_process_that_ends_on_a_full_disk_ends(small: Books) -> None:
    """It tries once more, and the next process takes its chain over as after a crash."""
    ballast = small.folder / "ballast"
    ballast.write_bytes(bytes(200_001))
    log = small.log()
    told = fill(log)
    log.close()
    ballast.unlink()
    small.write(1)
    assert small.faults() == []
    assert kept(small) >= set(told)
    assert len(small.records_of("audit.torn")) == 1


def test_a_disk_that_is_full_at_the_start_refuses(small: Books) -> None:
    """The chain cannot be begun; the next record tries again."""
    ballast = small.folder / "ballast"
    with pytest.raises(OSError, match="No space"):
        ballast.write_bytes(bytes(1 << 20))
    log = small.log()
    with pytest.raises(AuditUnavailableError):
        log.record(used())
    ballast.unlink()
    until(lambda: log.healthy)
    log.record(used())
    log.close()
    assert small.faults() == []


WRITES = """
import json
import time
from mycelium_fractal_net import open_keyring
from mycelium_fractal_net.security.audit import Event
from mycelium_fractal_net.security.errors import AuditUnavailableError
keyring = open_keyring()
log = keyring.provider.audit
refused = 0
told = []
while len(told) < 5:
    try:
        told.append(log.record(Event("encrypt", "ok", actor="caller")))
    except AuditUnavailableError:
        refused += 1
        time.sleep(0.02)
print(json.dumps([refused, log.stats.segments_abandoned, told]))
keyring.close()
"""


@pytest.mark.parametrize(("call", "when"), [("fdatasync", 2), ("fsync", 1)])
def test_a_sync_that_fails_once_and_then_seems_to_succeed(
    tmp_path: Path, call: str, when: int
) -> None:
    """Whoever waits is refused, the file is given up, and what it had is durable in another.

    The system reports such a failure once, and forgets what it could not write.
    """
    if shutil.which("strace") is None:
        need("strace")
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"audit": {"folder": str(tmp_path / "audit")}}))
    variables = {"MFN_HOME": str(tmp_path / "home"), "MFN_CONFIG": str(config)}
    initialise(settings=load_settings(environ={"MFN_HOME": variables["MFN_HOME"]})).close()
    command = ["strace", "-f", "-qq", "-o", str(tmp_path / "trace"), "-e", f"trace={call}"]
    command += ["-e", f"inject={call}:error=EIO:when={when}", sys.executable, "-c", WRITES]
    done = subprocess.run(
        command, capture_output=True, text=True, env=environment(variables), check=False
    )
    assert done.returncode == 0, done.stderr
    refused, abandoned, told = json.loads(done.stdout)
    assert refused >= 1
    assert abandoned >= 1
    settings = load_settings(environ=variables)
    with open_keyring(settings=settings) as keyring:
        keyring.provider.rotate_key("default-mac")
        faults = audit_report(settings, keyring.provider).faults
    # The store was made with another audit folder: that chain is not here.
    assert [fault.what for fault in faults] == ["the whole chain is missing"]
    there = {record["sequence"] for record in query(settings.audit_folder, limit=1000)}
    assert there >= set(told)


# Export -----------------------------------------------------------------------------------


def test_lines_go_to_standard_output_once_they_are_durable(
    books: Books, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    """As they stand in the file."""
    books.write(3, sink=sink("stdout"))
    assert capfdbinary.readouterr().out.splitlines(keepends=True) == books.lines()


def test_lines_go_to_syslog(books: Books, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each as one message, to whoever looks after security."""
    import syslog

    sent: list[tuple[int, str]] = []
    monkeypatch.setattr(syslog, "syslog", lambda level, text: sent.append((level, text)))
    books.write(1, sink=sink("syslog"))
    assert [text.encode() + b"\n" for _, text in sent] == books.lines()
    assert {level for level, _ in sent} == {syslog.LOG_INFO | syslog.LOG_AUTHPRIV}


def test_nothing_is_exported_unless_it_is_asked_for() -> None:
    """The setting says where to."""
    assert sink("none") is None


def test_an_output_that_fails_stops_no_record(
    books: Books, caplog: pytest.LogCaptureFixture
) -> None:
    """It is logged, and later lines are tried again."""
    taken: list[bytes] = []

    def out(lines: list[bytes]) -> None:
        if not taken:
            taken.append(b"")
            raise BrokenPipeError(32, "Broken pipe")
        taken.extend(lines)

    books.write(3, sink=out)
    assert "were not exported: Broken pipe" in caplog.text
    assert taken[-1] == books.lines()[-1]


def test_a_reader_that_is_too_slow_stops_no_record(
    books: Books, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lines beyond what waits for him are left out, which is logged once, not for each."""
    monkeypatch.setattr("mycelium_fractal_net.security.audit.export._MOST_GROUPS", 2)
    monkeypatch.setattr("mycelium_fractal_net.security.audit.export._CLOSE_SECONDS", 0.05)
    reads = threading.Event()
    with books.opened(sink=lambda lines: bool(reads.wait()) and None) as log:
        for number in range(20):
            log.record(used(number))
    assert caplog.text.count("too slow") == 1
    assert len(books.lines()) == 21
    reads.set()


def test_an_export_ends_with_what_waited() -> None:
    """Closing waits for it."""
    taken: list[bytes] = []
    exporter = Exporter(taken.extend)
    exporter.put([b"a"])
    exporter.put([b"b"])
    exporter.close()
    assert taken == [b"a", b"b"]
