"""docs/runbook.md: each day is brought about, and its commands are run by a shell as they stand."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import shutil
import sqlite3
import subprocess
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from mycelium_fractal_net import initialise
from mycelium_fractal_net.config import load_settings
from mycelium_fractal_net.security.key_store.scheduler_table import RotationFailure, SchedulerTable
from tests.support import custodians
from tests.support.cli import PROGRAM, environment
from tests.support.presence import need
from tests.support.service import Running, start

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from tests.support.cli import Mfn
    from tests.support.custodians import CustodianHarness

pytestmark = pytest.mark.long

PAGE = (Path(__file__).parents[2] / "docs" / "runbook.md").read_text()
SECTIONS = {
    title: re.findall(r"```sh\n(.*?)```", body, re.DOTALL)
    for title, _, body in (part.partition("\n") for part in PAGE.split("\n## ")[1:])
}


class Day:
    """A folder in which the commands of the page are run, beside the home of a store."""

    def __init__(self, mfn: Mfn, programs: Path) -> None:
        self.mfn = mfn
        self.home = mfn.home
        self.programs = programs

    def run(
        self,
        title: str,
        number: int = 0,
        *,
        url: str = "",
        key: str = "",
        codes: tuple[int, ...] = (),
        env: Mapping[str, str] | None = None,
    ) -> str:
        """Run a block of a section; what it prints. Only ``codes`` may commands fail with."""
        script = f"trap 'echo \"$? $BASH_COMMAND\" >> failed' ERR\n{SECTIONS[title][number]}"
        failed = self.mfn.folder / "failed"
        failed.write_text("")
        path = f"{self.programs}:{os.environ['PATH']}"
        known = {"MFN_HOME": str(self.home), "URL": url, "API_KEY": key, "PATH": path}
        done = subprocess.run(
            ["bash", "-c", script],
            cwd=self.mfn.folder,
            env=environment({**known, **(env or {})}),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        found = [int(line.split()[0]) for line in failed.read_text().splitlines()]
        assert set(found) <= {0, *codes}, (failed.read_text(), done.stdout, done.stderr)
        return done.stdout + done.stderr

    def checks(self) -> set[str]:
        """What doctor still finds, but for the master key without a passphrase."""
        return {each["check"] for each in self.mfn("doctor", "--json").json} - {"master-key"}

    def seal(self) -> None:
        """A folder ``data`` with a file that ``orders`` sealed."""
        Path("plain").mkdir()
        Path("plain", "one").write_bytes(b"some bytes")
        self.mfn.ok("encrypt", "-r", "plain", "-o", "data", "-k", "orders")


@pytest.fixture
def day(mfn: Mfn, tmp_path: Path) -> Day:
    """With ``mfn`` on the path, and a backup ``keys.mfb``."""
    programs = tmp_path / "bin"
    programs.mkdir()
    program = programs / "mfn"
    program.write_text(f'#!/bin/sh\nexec {shlex.join(PROGRAM)} "$@"\n')
    program.chmod(0o755)
    return Day(mfn, programs)


def test_a_key_is_compromised(day: Day) -> None:
    """Its data is under the next version, and the old one is on its way out."""
    day.seal()
    day.run("A key is compromised")
    shown = day.mfn.ok("key", "show", "orders", "--json").json
    assert [each["state"] for each in shown["versions"]] == ["pending-destruction", "active"]
    assert shown["versions"][0]["compromised"]
    day.mfn.ok("decrypt", "-r", "data", "-o", "back")
    assert Path("back", "one").read_bytes() == b"some bytes"
    assert not day.checks() & {"compromised-data", "no-backup"}


def test_the_store_is_lost(day: Day) -> None:
    """The backup takes its place, and everything opens."""
    day.seal()
    day.mfn.ok("backup", "keys.mfb")
    (day.home / "keys.db").write_bytes(b"no database" * 1000)
    assert "orders" in day.run("The store is lost")
    day.mfn.ok("decrypt", "-r", "data", "-o", "back")
    assert (day.home / "damaged" / "keys.db").read_bytes().startswith(b"no database")


def test_the_master_key_is_lost(day: Day) -> None:
    """A copy brings all of it back; without one a new store begins beside what is kept."""
    day.seal()
    Path("kept").mkdir()
    shutil.copy(day.home / "master.key", "kept")
    (day.home / "master.key").unlink()
    assert "orders" in day.run("The master key is lost")
    day.mfn.ok("decrypt", "-r", "data", "-o", "back")
    (day.home / "master.key").unlink()
    day.run("The master key is lost", 1)
    assert day.home.with_name(day.home.name + "-lost").is_dir()
    day.mfn.ok("encrypt", "-r", "plain", "-o", "again", "-k", "orders")


@pytest.fixture(params=["vault", "aws-kms"])
def far(request: pytest.FixtureRequest, day: Day) -> Iterator[tuple[CustodianHarness, Running]]:
    """A custodian on a server, and a service whose key orders it wraps and that is in use."""
    if request.param not in custodians.NAMES:
        pytest.skip(f"there is no {request.param}")
    side = custodians.harness(request.param)
    home = day.home.with_name("far")
    config = day.home.with_name("far.json")
    config.write_text(
        json.dumps(
            {
                "keyring": {"cache_seconds": 1},
                "server": {"request_signing": "off"},
                "security": {"tls": {"required": False}},
            }
        )
    )
    env = {**side.environment(home), "MFN_CONFIG": str(config)}
    with initialise(settings=load_settings(environ=environment(env))) as keyring:
        keyring.provider.keys.create("orders")
    day.home = home
    running = start(home, env=env)
    try:
        yield side, running
    finally:
        running.stop()


def encrypt(running: Running) -> int:
    with running.client() as client:
        answer = client.post("/crypto/encrypt", json={"key_id": "orders", "data": "eA=="})
        return answer.status_code


def test_the_custodian_does_not_answer(
    day: Day, far: tuple[CustodianHarness, Running], tmp_path: Path
) -> None:
    """Keys in use serve on; service and doctor say what it is, and all is well once it is back."""
    side, running = far
    env = side.environment(day.home)
    assert encrypt(running) == 200
    side.stop()
    try:
        time.sleep(1.1)
        assert encrypt(running) == 200
        until(lambda: "riding-out" in health(running))
        said = day.run(
            "The custodian does not answer",
            url=running.url,
            key=running.api_key,
            codes=(22,),
            env=env,
        )
    finally:
        side.start()
    assert re.search(r"^mfn_custodian_outage_seconds (?!0.0$)", said, re.MULTILINE), said
    assert "is not usable" in said
    until(lambda: '"custodian":"ok"' in health(running))
    assert encrypt(running) == 200


def test_the_custodian_refuses(
    day: Day, far: tuple[CustodianHarness, Running], tmp_path: Path
) -> None:
    """Which ends its keys; service and doctor say why, and all is well once it is mended."""
    side, running = far
    env = side.environment(day.home)
    assert encrypt(running) == 200
    side.disable()
    try:
        until(lambda: encrypt(running) == 502)
        said = day.run(
            "The custodian refuses", url=running.url, key=running.api_key, codes=(22,), env=env
        )
    finally:
        side.enable()
    assert '"custodian":"refuses"' in said.replace(" ", "")
    assert "refuses" in said
    until(lambda: encrypt(running) == 200)


def health(running: Running) -> str:
    with running.client() as client:
        return client.get("/health/ready").text.replace(" ", "")


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def test_a_scheduler_fails(day: Day) -> None:
    """The reason is shown, and nothing is overdue or failing at the end."""
    then, now = datetime.now(UTC) - timedelta(days=95), datetime.now(UTC)
    shutil.rmtree(day.home)
    with initialise(home=day.home) as keyring:
        provider = keyring.provider
        provider.clock = lambda: then
        provider.keys.create("orders")
        failure = RotationFailure("orders", 3, now, now, "no such algorithm")
        SchedulerTable(provider.store.database).record_failure(failure)
    assert day.checks() >= {"rotation-failing", "rotation-due"}
    assert "no such algorithm" in day.run("A scheduler fails")
    assert day.checks() == set()


def test_the_audit_log_does_not_verify(day: Day) -> None:
    """What is wrong is named twice, the folder is kept as it was, and work goes on."""
    Path("heads.jsonl").write_text(day.mfn.ok("audit", "head").out)
    (segment,) = (day.home / "audit").glob("*/*.jsonl")
    edited = segment.read_bytes().replace(b'"key.create"', b'"key.cheate"', 1)
    segment.write_bytes(edited)
    said = day.run("The audit log does not verify", codes=(8,))
    assert said.count("edited, or not written with this store's audit key") == 2
    (kept,) = Path("evidence").glob("*/*.jsonl")
    assert kept.read_bytes() == edited
    day.mfn.ok("key", "rotate", "orders")
    assert "acknowledged" in day.run("The audit log does not verify", 1)


def test_a_worker_answers_503(day: Day) -> None:
    """It says which part, doctor says why, and it serves again once that has ended."""
    running = start(day.home)
    try:
        with contextlib.closing(sqlite3.connect(day.home / "keys.db")) as other:
            other.isolation_level = None
            other.execute("BEGIN IMMEDIATE")
            wait(running.url, 503)
            said = day.run(
                "A worker answers 503", url=running.url, key=running.api_key, codes=(22,)
            )
            assert '"key-store":"not-writable"' in said.replace(" ", "")
            assert "cannot be written" in said
            assert str(os.getpid()) in day.run("A worker answers 503", 1, codes=(1,)).split()
            other.execute("ROLLBACK")
        wait(running.url, 200)
    finally:
        running.stop()


def wait(url: str, status: int) -> None:
    """Until ``/health/ready`` answers so."""
    deadline = time.monotonic() + 60
    while httpx.get(f"{url}/health/ready").status_code != status:
        assert time.monotonic() < deadline
        time.sleep(0.2)


def test_the_disk_is_full(day: Day) -> None:
    """With the ballast gone everything goes on, and nothing was damaged."""
    kept = day.home.with_name("kept")
    day.home.rename(kept)
    day.home.mkdir(mode=0o700)
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m,mode=0700", "none", str(day.home)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        need("the right to mount a tmpfs")
    try:
        shutil.copytree(kept, day.home, dirs_exist_ok=True)
        (day.home / "ballast").write_bytes(bytes(1 << 20))
        with contextlib.suppress(OSError), (day.home / "filled").open("wb", 0) as file:
            while True:
                file.write(bytes(4096))
        Path("plain").write_bytes(b"x")
        assert day.mfn.process("key", "rotate", "orders").code in (6, 10)
        said = day.run("The disk is full", codes=(20,))
        assert "ballast" in said
        day.mfn.ok("key", "rotate", "orders")
        assert day.mfn.ok("audit", "verify").code == 0
    finally:
        subprocess.run(["umount", "-l", day.home], check=True)


def test_a_signature_is_refused(day: Day) -> None:
    """The thumbprints are compared, and a signer gets a new name."""
    day.mfn.ok("key", "create", "client", "--type", "signing", "--use", "request")
    Path("billing.pem").write_text(day.mfn.ok("key", "public", "client").out)
    day.mfn.ok("signer", "add", "billing", "--public-key", "billing.pem", "--any-credential")
    running = start(day.home)
    try:
        said = day.run("A signature is refused", url=running.url)
    finally:
        running.stop()
    thumbprint = day.mfn.ok("signer", "show", "billing", "--json").json["thumbprint"]
    assert said.count(thumbprint) == 2
    assert "date:" in said.lower()
    day.mfn.ok("signer", "revoke", "billing")
    day.mfn.ok("key", "rotate", "client")
    Path("billing.pem").write_text(day.mfn.ok("key", "public", "client").out)
    again = day.run("A signature is refused", 1)
    assert "billing-2" in again


def test_a_backup_was_restored(day: Day) -> None:
    """Nothing waits any more, and doctor has nothing to say."""
    day.mfn.ok("credential", "create", "app", "--scope", "keys:read")
    day.mfn.ok("backup", "keys.mfb")
    day.mfn.ok("key", "rotate", "orders")
    for path in day.home.glob("keys.db*"):
        path.unlink()
    day.mfn.ok("restore", "keys.mfb")
    said = day.run("A backup was restored", codes=(20,))
    assert "key.rotate" in said
    assert "confirmed: " in said
    assert day.checks() == set()


def test_every_block_of_the_page_is_run() -> None:
    """A section without a test here would go stale."""
    blocks = {(title, n) for title, found in SECTIONS.items() for n in range(len(found))}
    named = Path(__file__).read_text()
    for title, number in blocks:
        call = f'"{title}", {number}' if number else f'"{title}"'
        assert call in named
