"""Runs over columns that are really killed at random moments; an application that writes on."""

from __future__ import annotations

import base64
import json
import os
import random
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from mycelium_fractal_net.columns import MessageColumn, rewrap_column
from mycelium_fractal_net.legacy.columns import commit_column, migrate_column
from mycelium_fractal_net.legacy.key import import_xor_key
from tests.support.cli import environment
from tests.support.columns import Application, customers, opened, rotate
from tests.support.legacy_xor import OLD_KEY, write_xor
from tests.support.stores import keyring_over, open_provider

if TYPE_CHECKING:
    from pathlib import Path

    from mycelium_fractal_net.security.keyring.keyring import Keyring

pytestmark = pytest.mark.long

_RUN = """
import sys
from pathlib import Path
from tests.support.stores import keyring_over, open_provider
from mycelium_fractal_net.columns import MessageColumn, rewrap_column
from mycelium_fractal_net.legacy.columns import migrate_column
home = Path(sys.argv[1])
with keyring_over(open_provider(f"sqlite:///{home / 'keys.db'}", home)) as keyring:
    print("ready", flush=True)
    if sys.argv[3] == "rewrap":
        rewrap_column(keyring, MessageColumn(sys.argv[2], "customers", "iban"), workers=2)
    else:
        migrate_column(keyring, MessageColumn(sys.argv[2], "notes", "body"), "orders", workers=2)
"""
_WRITE = """
import json, random, sys, time
from pathlib import Path
from sqlalchemy import create_engine, text
from tests.support.stores import keyring_over, open_provider
home = Path(sys.argv[1])
engine = create_engine(sys.argv[2])
change = text("UPDATE customers SET iban = :m WHERE id = :id")
written = {}
with keyring_over(open_provider(f"sqlite:///{home / 'keys.db'}", home)) as keyring:
    print("ready", flush=True)
    number = 0
    while not Path(sys.argv[3]).exists():
        rows = random.sample(range(300), random.choice([1, 1, 5]))  # in any order
        with engine.begin() as connection:
            for row in rows:
                number += 1
                message = keyring.encrypt(b"%d" % number, key_id="orders")
                connection.execute(change, {"m": message, "id": row})
                written[row] = number
        time.sleep(0.001)
print(json.dumps(written))
"""


@pytest.fixture
def keys(home: Path) -> Keyring:
    """A keyring that other processes can open too."""
    keyring = keyring_over(open_provider(f"sqlite:///{home / 'keys.db'}", home))
    keyring.provider.keys.create("orders")
    return keyring


def start(script: str, *arguments: object) -> subprocess.Popen[bytes]:
    """A process that has begun its work, in a group of its own."""
    environ = environment()
    environ["PYTHONPATH"] = os.pathsep.join([environ["PYTHONPATH"], os.getcwd()])
    process = subprocess.Popen(
        [sys.executable, "-c", script, *map(str, arguments)],
        stdout=subprocess.PIPE,
        env=environ,
        start_new_session=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    return process


@pytest.mark.parametrize("whole_group", [True, False], ids=["all", "the parent alone"])
def test_a_killed_rewrap_is_taken_up(
    application: Application, keys: Keyring, home: Path, whole_group: bool
) -> None:
    """Every value opens at every moment, and the run after the kills moves the rest."""
    plain = customers(application, keys, 4000)
    rotate(keys)
    moved = []
    for _ in range(4):
        process = start(_RUN, home, application.url, "rewrap")
        time.sleep(random.uniform(0.0, 0.12))
        kill = os.killpg if whole_group else os.kill
        kill(process.pid, signal.SIGKILL)
        process.communicate()
        rows = application.all("SELECT id, iban FROM customers")
        assert {number: keys.decrypt(value) for number, value in rows} == plain
        moved.append(sum(keys.describe(value).newest for _, value in rows))
    assert moved == sorted(moved)
    time.sleep(0.3)  # orphans end with the span that they are at
    report = rewrap_column(keys, MessageColumn(application.url, "customers", "iban"), workers=2)
    assert (report.done + report.skipped, report.failed) == (4000, 0)
    assert report.skipped >= moved[-1]
    assert opened(application, keys) == plain


def test_a_killed_migration_is_taken_up(
    application: Application, keys: Keyring, home: Path
) -> None:
    """At every moment each value is the old one, or sealed with the old one in the side table."""
    import_xor_key(keys.provider, OLD_KEY)
    application.run("CREATE TABLE notes (id INTEGER PRIMARY KEY, body TEXT)")
    old = {number: write_xor(f"note {number}") for number in range(60)}
    rows = [{"id": number, "body": value} for number, value in old.items()]
    application.run("INSERT INTO notes VALUES (:id, :body)", *rows)
    for _ in range(3):
        process = start(_RUN, home, application.url, "migrate")
        time.sleep(random.uniform(0.1, 0.4))
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        now = dict(application.all("SELECT id, body FROM notes"))
        kept = {}
        if "notes_body_xor" in application.tables():
            kept = dict(application.all("SELECT id, mfn_old FROM notes_body_xor"))
        for number, value in now.items():
            if number in kept:
                assert kept[number] == old[number]
                plain = keys.decrypt(base64.urlsafe_b64decode(value))
                assert plain == f"note {number}".encode()
            else:
                assert value == old[number]
    report = migrate_column(
        keys, MessageColumn(application.url, "notes", "body"), "orders", workers=2
    )
    assert (report.done + report.skipped, report.failed) == (60, 0)
    assert (
        commit_column(keys, MessageColumn(application.url, "notes", "body"), workers=2).done == 60
    )
    assert application.tables() == {"notes"}


def test_an_application_that_writes_throughout_loses_nothing(
    application: Application, keys: Keyring, home: Path, tmp_path: Path
) -> None:
    """Its transactions of several rows, in any order, neither fail nor are overwritten."""
    customers(application, keys, 300)
    stop = tmp_path / "stop"
    process = start(_WRITE, home, application.url, stop)
    done = failed = 0
    until = time.monotonic() + 4
    while time.monotonic() < until:
        rotate(keys)
        report = rewrap_column(keys, MessageColumn(application.url, "customers", "iban"), workers=2)
        done += report.done
        failed += report.failed
    stop.touch()
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    written = {int(row): number for row, number in json.loads(out).items()}
    assert len(written) > 100
    assert done > 0
    assert failed == 0
    keys.refresh()
    rewrap_column(keys, MessageColumn(application.url, "customers", "iban"), workers=2)
    found = opened(application, keys)
    assert {row: found[row] for row in written} == {n: b"%d" % v for n, v in written.items()}
