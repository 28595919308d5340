"""``mfn usage`` and ``mfn rotation cleanup``."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from mycelium_fractal_net.security.errors import ExitCode
from tests.support.cli import Mfn, one_line

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def rotated(mfn: Mfn) -> Mfn:
    """With four versions of ``orders``, of which the first has sealed and opened a file."""
    (mfn.folder / "a").write_text("hello")
    mfn.ok("encrypt", "a", "-k", "orders")
    mfn.ok("decrypt", "a.mfn", "-o", "b")
    for _ in range(3):
        mfn.ok("key", "rotate", "orders")
    return mfn


@pytest.fixture
def documented() -> Callable[[str], Any]:
    """The JSON that docs/cli.md shows after a command."""
    text = (Path(__file__).parents[2] / "docs" / "cli.md").read_text()

    def after(command: str) -> Any:
        shown = text.partition(f"`{command}`")[2].partition("```json")[2]
        return json.loads(shown.partition("```")[0])

    return after


def state(mfn: Mfn, version: int) -> str:
    shown = mfn.ok("key", "show", "orders", "--json").json
    return str(shown["versions"][version - 1]["state"])


def test_usage_is_a_line_for_each_version(rotated: Mfn) -> None:
    """Which ones open, and when they last did."""
    today = datetime.now(UTC).date().isoformat()
    head, first, second, *_ = rotated.ok("usage", "orders").out.splitlines()
    assert head.split()[:3] == ["VERSION", "STATE", "DECRYPTS"]
    assert first.split() == ["orders:v1", "active", "yes", today, "1", today, "1"]
    assert second.split() == ["orders:v2", "active", "yes", "-", "0", "-", "0"]


def test_usage_as_json_is_what_the_service_answers(rotated: Mfn) -> None:
    """The members that docs/cli.md lists."""
    shown = rotated.ok("usage", "orders", "--json").json
    assert shown["key_id"] == "orders"
    assert [each["version"] for each in shown["versions"]] == [1, 2, 3, 4]
    assert shown["versions"][0]["decrypted"] == 1
    assert list(shown["versions"][0]) == [
        "version_id", "version", "state", "decrypts", "created_at", "last_decrypted",
        "last_protected", "last_refused", "last_kept", "leased_until", "decrypted", "protected",
        "refused", "rewrapped_at", "destroy_at", "backed_up",
    ]  # fmt: skip


def test_usage_notes_what_speaks_for_a_version_and_against_it(rotated: Mfn) -> None:
    """Leases, uses that were refused, a recorded rewrap, and when it is erased."""
    from mycelium_fractal_net import open_keyring

    with open_keyring(home=rotated.home) as keyring:
        keyring.data_key(key_id="orders")
        keyring.provider.retirement.record_rewrap("orders", reason="all files")
    rotated.ok("rotation", "cleanup", "orders", "--retain", "3", "--reason", "moved")
    ran = rotated("decrypt", "a.mfn", "-o", "c")
    assert "mfn key cancel-destruction orders:v1" in one_line(ran, ExitCode.FORBIDDEN)
    _, first, *_, last = rotated.ok("usage", "orders").out.splitlines()
    assert "refused 1 times" in first
    assert "rewrapped by" in first
    assert "erased at" in first
    assert "data keys in use until" in last


def test_a_cleanup_without_a_reason_only_lists(rotated: Mfn) -> None:
    """As many as the policy says stay, or as the option says."""
    listed = rotated.ok("rotation", "cleanup", "orders").out.splitlines()
    assert [line.split()[0] for line in listed] == ["VERSION", "orders:v1"]
    assert "give a reason" in listed[1]
    more = rotated.ok("rotation", "cleanup", "orders", "--retain", "1", "--json").json
    assert [each["version"] for each in more["proposals"]] == [1, 2, 3]
    assert (more["moved"], more["destroy_at"], more["retain_count"]) == ([], None, 1)
    assert state(rotated, 1) == "active"


def test_a_cleanup_with_a_reason_says_what_it_did_and_how_to_take_it_back(rotated: Mfn) -> None:
    """And the reason is in the audit log."""
    out = rotated.ok(
        "rotation", "cleanup", "orders", "--retain", "1", "--version", "orders:v2",
        "--reason", "never used", "--window-days", "7",
    ).out  # fmt: skip
    assert "mfn key cancel-destruction orders:v2" in out
    assert [state(rotated, each) for each in (1, 2, 3)] == [
        "active", "pending-destruction", "active",
    ]  # fmt: skip
    records = rotated.ok("audit", "show", "--json").json
    assert "never used" in [each.get("reason") for each in records]
    rotated.ok("key", "cancel-destruction", "orders:v2")
    assert state(rotated, 2) == "deactivated"


def test_the_reason_for_which_a_version_is_destroyed_is_kept(rotated: Mfn) -> None:
    """By the verb of the version, too."""
    rotated.ok("key", "destroy", "orders:v1", "--reason", "leaked in a test")
    records = rotated.ok("audit", "show", "--json").json
    assert "leaked in a test" in [each.get("reason") for each in records]


def test_where_nothing_is_old_that_is_said(rotated: Mfn) -> None:
    """Unless it was to be quiet."""
    assert "nothing" in rotated.ok("rotation", "cleanup", "orders", "--retain", "9").out
    assert rotated.ok("--quiet", "rotation", "cleanup", "orders", "--retain", "9").out == ""


_WRONG: dict[str, tuple[tuple[str, ...], ExitCode]] = {
    "none to retain": (("orders", "--retain", "0"), ExitCode.USAGE),
    "no reason in it": (("orders", "--reason", " "), ExitCode.USAGE),
    "a version": (("orders:v1",), ExitCode.USAGE),
    "the newest": (("orders", "--reason", "x", "--version", "orders:v4"), ExitCode.USAGE),
    "too short": (("orders", "--reason", "x", "--window-days", "6"), ExitCode.USAGE),
    "no such key": (("letters",), ExitCode.KEY_UNKNOWN),
}


@pytest.mark.parametrize("what", list(_WRONG))
def test_what_makes_no_sense_is_refused_and_nothing_moves(rotated: Mfn, what: str) -> None:
    """In one line."""
    arguments, code = _WRONG[what]
    one_line(rotated("rotation", "cleanup", *arguments), code)
    assert state(rotated, 1) == "active"


def test_the_documented_json_is_that_of_the_code(
    rotated: Mfn, documented: Callable[[str], Any]
) -> None:
    """docs/cli.md shows the very members."""
    usage = rotated.ok("usage", "orders", "--json").json
    shown = documented("mfn usage KEY --json")
    assert list(usage["versions"][0]) == list(shown["versions"][0])
    cleanup = rotated.ok("rotation", "cleanup", "orders", "--json").json
    shown = documented("mfn rotation cleanup KEY --json")
    assert list(cleanup) == list(shown)
    assert list(cleanup["proposals"][0]) == list(shown["proposals"][0])
