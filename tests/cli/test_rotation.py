"""``mfn rotation`` and ``mfn key rotate --activate-at`` from the outside."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import create_engine, text

from mycelium_fractal_net import open_keyring
from mycelium_fractal_net.security.errors import ExitCode
from tests.support.algorithms import SIGNING
from tests.support.cli import PROGRAM, Mfn, environment, one_line
from tests.support.records import records

if TYPE_CHECKING:
    from mycelium_fractal_net.security.key_providers import StoredKeyProvider

FIELDS = [
    "key_id", "type", "automatic", "interval_days", "newest", "state", "activate_at", "protects",
    "due_at", "due", "failure",
]  # fmt: skip
LOOK_FIELDS = [
    "looked_at", "ok", "rotated", "activated", "set_back", "failed", "waiting", "proposed",
    "pending", "erased", "credentials_due", "held_until",
]  # fmt: skip
WAIT_SECONDS = 60.0


def long_ago(mfn: Mfn, *names: str, days: float = 91) -> None:
    """Make keys that are that old."""
    with open_keyring(home=mfn.home) as keyring:
        provider: StoredKeyProvider = keyring.provider
        provider.clock = lambda: datetime.now(UTC) - timedelta(days=days)
        for name in names:
            provider.keys.create(name)


def damage(mfn: Mfn, name: str) -> None:
    engine = create_engine(f"sqlite:///{mfn.home / 'keys.db'}")
    with engine.begin() as connection:
        connection.execute(text(f"UPDATE mfn_keys SET retain_count = 9 WHERE key_id = '{name}'"))
    engine.dispose()


def shown(mfn: Mfn) -> dict[str, dict[str, Any]]:
    return {each["key_id"]: each for each in mfn.ok("rotation", "list", "--json").json}


def test_a_look_rotates_what_is_due_and_says_so(mfn: Mfn) -> None:
    """Once; a second look has nothing to do."""
    long_ago(mfn, "old", "older")
    ran = mfn.ok("rotation", "run", "--once")
    assert (
        ran.out
        == "rotated: old:v2 is the newest version\nrotated: older:v2 is the newest version\n"
    )
    assert mfn.ok("rotation", "run", "--once").out == "nothing was due\n"
    assert mfn.ok("--quiet", "rotation", "run", "--once").out == ""
    report = mfn.ok("rotation", "run", "--once", "--json").json
    assert list(report) == LOOK_FIELDS
    assert (report["ok"], report["rotated"]) == (True, [])
    (rotated,) = [
        each for each in records(mfn.home / "audit", key="old:v2") if each["outcome"] == "intent"
    ]
    assert (rotated["actor"], rotated["reason"]) == ("scheduler", "due")


def test_the_exit_code_of_a_look_tells_failures(mfn: Mfn) -> None:
    """The others are done; what failed is named, and tried again after a pause."""
    long_ago(mfn, "bad", "good")
    damage(mfn, "bad")
    ran = mfn("rotation", "run", "--once")
    assert ran.code == ExitCode.PARTIAL
    assert "rotated: good:v2" in ran.out
    assert ran.err.splitlines()[-1].startswith("mfn: key bad failed: key 'bad' fails its auth")
    again = mfn("rotation", "run", "--once", "--json")
    assert again.code == ExitCode.PARTIAL
    assert again.json["waiting"] == ["bad"]
    assert "tried again later" in mfn("rotation", "run", "--once").err
    assert "fails its authentication" in mfn.ok("rotation", "list").out
    assert set(shown(mfn)["bad"]) == {"key_id", "error"}


def test_a_list_shows_when_each_key_is_due_and_what_hinders(mfn: Mfn) -> None:
    """For people, and as JSON of the shape that docs/cli.md lists."""
    long_ago(mfn, "old")
    mfn.ok("rotation", "schedule", "orders", "--off")
    mfn.ok("key", "suspend", "release")
    mfn.ok("key", "rotate", "default-mac", "--activate-at", "2100-01-01")
    found = shown(mfn)
    assert list(found["old"]) == FIELDS
    assert (found["old"]["due"], found["old"]["protects"]) == ("due", True)
    assert (found["orders"]["automatic"], found["orders"]["due_at"]) == (False, None)
    assert (found["release"]["protects"], found["release"]["state"]) == (False, "suspended")
    assert found["default-mac"]["activate_at"] == "2100-01-01T00:00:00Z"
    rows = {row.split()[0]: row for row in mfn.ok("rotation", "list").out.splitlines()}
    assert "is due" in rows["old"]
    assert "by hand" in rows["orders"]
    assert "out of use: its newest version is suspended" in rows["release"]
    assert "v2 is activated at 2100-01-01T00:00:00Z" in rows["default-mac"]


def test_keys_that_are_due_are_listed_alone(mfn: Mfn) -> None:
    """In the same form; nothing where none is."""
    assert mfn.ok("rotation", "list", "--due", "--json").json == []
    long_ago(mfn, "old")
    (old,) = mfn.ok("rotation", "list", "--due", "--json").json
    assert old == shown(mfn)["old"]
    assert [row.split()[0] for row in mfn.ok("rotation", "list", "--due").out.splitlines()] == [
        "KEY",
        "old",
    ]


def test_a_failure_is_listed_with_its_pause(mfn: Mfn) -> None:
    """How often, until when, and why: here an algorithm that is not allowed any more."""
    with open_keyring(home=mfn.home) as keyring:
        keyring.provider.clock = lambda: datetime.now(UTC) - timedelta(days=400)
        keyring.provider.keys.create("seal", "signing")
    configuration = mfn.folder / "strict.json"
    configuration.write_text(json.dumps({"security": {"disallowed_algorithms": [SIGNING]}}))
    assert mfn("--config", configuration, "rotation", "run", "--once").code == ExitCode.PARTIAL
    failure = shown(mfn)["seal"]["failure"]
    assert failure["failures"] == 1
    assert SIGNING in failure["reason"]
    assert "failed 1 time, again at" in mfn.ok("rotation", "list").out


def test_a_schedule_is_set_and_ended(mfn: Mfn) -> None:
    """Either, and not both."""
    assert (
        "rotated every 7 days, next at"
        in mfn.ok("rotation", "schedule", "orders", "--every", "7").out
    )
    made = mfn.ok("rotation", "schedule", "orders", "--every", "30", "--json").json
    assert made["rotation"]["interval_days"] == 30
    assert mfn.ok("rotation", "schedule", "orders", "--off").out == "orders is rotated by hand\n"
    assert mfn.ok("key", "show", "orders", "--json").json["rotation"]["automatic"] is False
    assert "by hand" in mfn.ok("key", "show", "orders").out
    for arguments in ((), ("--every", "7", "--off")):
        one_line(mfn("rotation", "schedule", "orders", *arguments), ExitCode.USAGE)
    one_line(mfn("rotation", "schedule", "orders", "--every", "0"), ExitCode.USAGE)
    one_line(mfn("rotation", "schedule", "nobody", "--off"), ExitCode.KEY_UNKNOWN)


def test_a_credential_is_not_scheduled(mfn: Mfn) -> None:
    """Its holder rotates it: the line says how. A look says how many are due."""
    made = mfn.ok("credential", "create", "web", "--scope", "*", "--json").json
    line = one_line(mfn("rotation", "schedule", made["id"], "--every", "9"), ExitCode.FORBIDDEN)
    assert "POST /credentials/self/rotate" in line
    with open_keyring(home=mfn.home) as keyring:
        keyring.provider.clock = lambda: datetime.now(UTC) - timedelta(days=91)
        keyring.provider.credentials.create("old", ("*",))
    assert mfn.ok("rotation", "run", "--once").out.startswith("1 API key to be rotated")


@pytest.mark.parametrize(
    "text", ["2100-01-01", "2100-01-01T00:00:00Z", "2100-01-01T02:00:00+02:00"]
)
def test_a_version_is_made_that_protects_from_a_time_on(mfn: Mfn, text: str) -> None:
    """A day in UTC, or a time with its offset."""
    ran = mfn.ok("key", "rotate", "orders", "--activate-at", text)
    assert ran.out == "rotated: orders:v2 protects from 2100-01-01T00:00:00Z\n"
    made = mfn.ok("key", "show", "orders", "--json").json
    assert (made["primary"], made["versions"][1]["state"]) == ("orders:v1", "pre-activation")
    assert made["minimum_versions"] == {"available": 1, "decrypt": 1, "encrypt": 1, "latest": 2}
    assert "activated at 2100-01-01T00:00:00Z" in mfn.ok("key", "show", "orders").out
    mfn.ok("key", "activate", "orders:v2")
    assert mfn.ok("key", "show", "orders", "--json").json["primary"] == "orders:v2"


@pytest.mark.parametrize(
    "text", ["tomorrow", "2100-01-01T00:00:00", "2100-13-01", "2020-01-01", "9999-12-31", ""]
)
def test_a_time_that_is_none_or_has_passed_is_refused(mfn: Mfn, text: str) -> None:
    """And nothing is made."""
    one_line(mfn("key", "rotate", "orders", "--activate-at", text), ExitCode.USAGE)
    assert len(mfn.ok("key", "show", "orders", "--json").json["versions"]) == 1


# The long-lived one -------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("options", [(), ("--json",)])
def test_it_rotates_until_it_is_asked_to_end(
    mfn: Mfn, number: signal.Signals, options: tuple[str, ...]
) -> None:
    """What falls due while it runs is rotated; to end when asked to is a success."""
    configuration = mfn.folder / "often.json"
    configuration.write_text(json.dumps({"rotation": {"look_seconds": 1}}))
    process = subprocess.Popen(
        [*PROGRAM, "--home", str(mfn.home), "--config", str(configuration),
         "rotation", "run", *options],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment(), text=True,
        # As from a shell: a runner of tests in the background has SIGINT ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip
    try:
        time.sleep(0.1)
        long_ago(mfn, "old")
        assert process.stdout is not None
        deadline, line = time.monotonic() + WAIT_SECONDS, ""
        while "old:v2" not in line:
            assert time.monotonic() < deadline
            line = process.stdout.readline()
        if options:
            assert list(json.loads(line)) == LOOK_FIELDS
        process.send_signal(number)
        _, err = process.communicate(timeout=WAIT_SECONDS)
    finally:
        process.kill()
        process.wait()
    assert (process.returncode, err) == (0, "")
