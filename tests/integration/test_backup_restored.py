"""Backups of a store that is used hard, restored on another machine; and the service over one.

``MFN_TEST_BACKUPS`` says how many are taken; docs/reliability.md has the figures of a large run.
"""

from __future__ import annotations

import io
import multiprocessing
import os
import shutil
import subprocess
import time
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from mycelium_fractal_net import initialise, open_keyring
from mycelium_fractal_net.bootstrap import restore
from mycelium_fractal_net.config import load_settings
from mycelium_fractal_net.security.backup import record_backup, write_backup
from mycelium_fractal_net.security.errors import ConflictError
from tests.support.cli import PROGRAM, environment
from tests.support.service import b64, start
from tests.support.signing import Peer

if TYPE_CHECKING:
    from multiprocessing.process import BaseProcess
    from multiprocessing.synchronize import Event

    from mycelium_fractal_net.config import Settings
    from tests.support.service import Running

pytestmark = pytest.mark.long

AUTHORITY = "api.example.com"
ENVIRONMENT = {"MFN_REQUEST_SIGNING": "required", "MFN_PUBLIC_AUTHORITY": AUTHORITY}
BACKUPS = int(os.environ.get("MFN_TEST_BACKUPS", "4"))


def at(home: Path, store: str) -> Settings:
    """The settings of a machine: its home folder and its database."""
    return load_settings(environ={"MFN_HOME": str(home), "MFN_STORE": store})


def seal(home: Path, store: str, file: Path, ending: Event) -> None:
    """Seal message after message, and tell of each in a file once it is whole."""
    with open_keyring(settings=at(home, store)) as keyring, file.open("ab", buffering=0) as told:
        number = 0
        while not ending.is_set():
            number += 1
            message = keyring.encrypt(str(number).encode(), key_id="orders")
            told.write(b"%d %s\n" % (number, message.hex().encode()))
            time.sleep(0.002)


def rotate(home: Path, store: str, ending: Event) -> None:
    """Rotate again and again; who loses too many races tries once more."""
    with open_keyring(settings=at(home, store)) as keyring:
        while not ending.is_set():
            with suppress(ConflictError):
                keyring.provider.rotate_key("orders")
            time.sleep(0.02)  # every version makes the key's record longer


def told(files: list[Path]) -> list[tuple[bytes, bytes]]:
    """The messages that the writers have told of by now, and what is in each."""
    lines = [line for file in files for line in file.read_bytes().splitlines(keepends=True)]
    whole = [line.split() for line in lines if line.endswith(b"\n")]
    return [(number, bytes.fromhex(text.decode())) for number, text in whole]


def test_backups_under_load_open_all_that_was_sealed_before_them(
    store_url: str, home: Path, tmp_path: Path
) -> None:
    """Two processes seal, two rotate in a loop; each backup restores on a machine of its own."""
    with initialise(settings=at(home, store_url)) as keyring:
        keyring.provider.keys.create("orders")
    context = multiprocessing.get_context("spawn")
    ending = context.Event()
    files = [tmp_path / "told-0", tmp_path / "told-1"]
    workers: list[BaseProcess] = [
        *(context.Process(target=seal, args=(home, store_url, each, ending)) for each in files),
        *(context.Process(target=rotate, args=(home, store_url, ending)) for _ in range(2)),
    ]
    for worker in workers:
        worker.start()
    taken: list[tuple[bytes, int]] = []
    try:
        while not all(file.exists() and file.stat().st_size for file in files):
            time.sleep(0.05)
        with open_keyring(settings=at(home, store_url)) as keyring:
            for _ in range(BACKUPS):
                sealed, writer = [file.stat().st_size for file in files], io.BytesIO()
                record_backup(keyring.provider, write_backup(keyring.provider, writer))
                (tmp_path / f"{len(taken)}.sizes").write_text(" ".join(map(str, sealed)))
                taken.append((writer.getvalue(), len(taken)))
                time.sleep(0.2)
    finally:
        ending.set()
        for worker in workers:
            worker.join(60)
    assert [worker.exitcode for worker in workers] == [0] * len(workers)
    versions, opened = [], 0
    for content, number in taken:
        sizes = map(int, (tmp_path / f"{number}.sizes").read_text().split())
        before = []
        for file, size in zip(files, sizes, strict=True):
            part = tmp_path / "part"
            part.write_bytes(file.read_bytes()[:size])
            before += told([part])
        machine = tmp_path / f"machine-{number}"
        machine.mkdir(mode=0o700)
        shutil.copy(home / "master.key", machine)
        settings = at(machine, f"sqlite:///{machine / 'keys.db'}")
        restore(settings, io.BytesIO(content))
        with open_keyring(settings=settings) as keyring:
            opened += len(before)
            assert all(keyring.decrypt(message) == data for data, message in before)
            versions.append(keyring.provider.keys.get("orders").latest.version)
    assert opened
    assert versions == sorted(versions)
    assert versions[-1] > versions[0]


# The service over a restored store ----------------------------------------------------------


def asked(peer: Peer, running: Running, api_key: str, *, plan: bool, ahead: int) -> httpx.Request:
    """A request that is signed once, by a clock that is so many seconds ahead."""
    request = httpx.Request(
        "POST", f"{running.url}/crypto/encrypt", json={"data": b64(b"data")},
        headers={"X-API-Key": api_key},
    )  # fmt: skip
    now = int(time.time()) + ahead
    if plan:
        return peer.sign_plan(request, timestamp=now)
    return peer.sign(request, created=now, expires=now + 60)


def status(running: Running, request: httpx.Request) -> int:
    """What the service answers to a request that was signed before, to its address of now."""
    host, port = running.address()
    request.url = request.url.copy_with(host=host, port=port)
    with closing(httpx.Client(timeout=30.0)) as client:
        return client.send(request).status_code


def mfn(home: Path, *arguments: str | Path) -> None:
    """Run a command, which must succeed."""
    command = [*PROGRAM, "--home", str(home), *map(str, arguments)]
    subprocess.run(command, check=True, env=environment(), capture_output=True)


def test_the_service_over_a_restored_store_takes_nothing_of_before(tmp_path: Path) -> None:
    """Neither a request that was accepted before, nor one that was not sent, nor a credential.

    Requests whose clocks were as far ahead as may be are told from those that are new.
    """
    home, other, file = tmp_path / "home", tmp_path / "other", tmp_path / "keys.mfb"
    peer = Peer("peer", authority=AUTHORITY)
    with initialise(home=home) as keyring:
        keyring.provider.signers.add("peer", peer.public_key, any_credential=True)
        _, kept = keyring.provider.credentials.create("kept", ("encrypt:*",))
        _, late = keyring.provider.credentials.create("revoked later", ("encrypt:*",))
    running = start(home, env=ENVIRONMENT)
    try:
        key = kept.text
        sent = [asked(peer, running, key, plan=plan, ahead=0) for plan in (False, True)]
        held = [asked(peer, running, key, plan=plan, ahead=29) for plan in (False, True)]
        held.append(asked(peer, running, key, plan=True, ahead=295))
        assert status(running, asked(peer, running, late.text, plan=False, ahead=0)) == 200
        assert [status(running, each) for each in sent] == [200, 200]
        mfn(home, "backup", file)
        mfn(home, "credential", "revoke", late.credential_id)
    finally:
        running.stop()
    other.mkdir(mode=0o700)
    shutil.copy(home / "master.key", other)
    mfn(other, "restore", file)
    restored_at = time.time()
    mfn(other, "credential", "confirm", kept.credential_id)
    running = start(other, env=ENVIRONMENT)
    try:
        time.sleep(max(0.0, restored_at + 2 - time.time()))
        assert [status(running, each) for each in sent + held] == [401] * 5
        fresh = [
            asked(peer, running, key, plan=plan, ahead=ahead)
            for plan, ahead in ((False, 29), (True, 299))
        ]
        assert [status(running, each) for each in fresh] == [200, 200]
        again = [
            asked(peer, running, late.text, plan=plan, ahead=ahead)
            for plan, ahead in ((False, 29), (True, 299))
        ]
        assert [status(running, each) for each in again] == [401, 401]
        mfn(other, "credential", "confirm", late.credential_id)
        deadline = time.time() + 10
        while status(running, asked(peer, running, late.text, plan=False, ahead=29)) != 200:
            assert time.time() < deadline
            time.sleep(0.5)
    finally:
        assert running.stop() == 0


@pytest.mark.parametrize("there", ["running", "stopped"])
def test_a_restore_beside_a_running_service_is_refused(there: str, tmp_path: Path) -> None:
    """It still writes its audit records; once it has stopped the restore goes through."""
    home, file = tmp_path / "home", tmp_path / "keys.mfb"
    initialise(home=home).close()
    mfn(home, "backup", file)
    running = start(home)
    try:
        for path in home.glob("keys.db*"):
            path.unlink()
        if there == "stopped":
            running.stop()
            mfn(home, "restore", file)
            mfn(home, "audit", "verify")
        else:
            with pytest.raises(subprocess.CalledProcessError, match="exit status 10"):
                mfn(home, "restore", file)
    finally:
        running.stop()
