"""What every command takes: the options of ``mfn`` wherever they stand, and ``--json``."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click
import pytest

from mycelium_fractal_net.cli.app import mfn as program
from mycelium_fractal_net.cli.parsing import OF_MFN, SomePath
from mycelium_fractal_net.security.errors import ExitCode
from mycelium_fractal_net.security.policy import Policy
from tests.support.algorithms import WRAPPING
from tests.support.cli import one_line
from tests.support.key_transport import key_to_wrap_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.cli import Mfn

# How each command is run on a store with the keys orders and release; in this order.
COMMANDS = [
    "version", "init", "doctor", "doctor acknowledge swap --until TOMORROW --reason known",
    "doctor acknowledged", "doctor withdraw swap",
    "inventory", "inventory -o cbom.json", "inventory --quantum",
    "key create invoices", "key list", "key show orders",
    "key policy orders --retain 5", "key public release", "key rotate orders",
    "key suspend orders:v1", "key activate orders:v1", "key deactivate orders:v1",
    "key compromise orders:v1", "key destroy orders:v1", "key cancel-destruction orders:v1",
    "key import-xor old-key", "key create card --exportable",
    f"key import begin new --method {WRAPPING}",
    "key import list", "key import show IMPORT", "key import begin late --method hpke-p256",
    "key import cancel LAST",
    "key import finish IMPORT wrapped", "key export card --to peer.pem",
    "usage orders", "encrypt plain -k orders",
    "decrypt plain.mfn -o opened", "inspect plain.mfn", "rewrap plain.mfn",
    "key create names --type index", "index names plain --context users.email",
    "rewrap plain.mfn --finished orders --reason none", "encrypt -r folder -o sealed",
    "recipient new me", "recipient public me.key", "encrypt plain -o for-me.mfn --to me.pub",
    "decrypt for-me.mfn -o mine --identity me.key", "inspect for-me.mfn",
    "decrypt -r sealed -o opened-folder", "migrate-xor --dry-run folder",
    "sign plain -k release", "verify plain plain.sig -k release",
    "verify plain plain.sig --public-key public.pem", "backup kept.backup",
    "backup --verify kept.backup", "master forget local", "master rotate", "master rewrap",
    "master status",
    "master migrate --to local", "credential create app --scope encrypt:orders",
    "credential list", "credential show ID", "credential rotate ID", "credential confirm --all",
    "signer add billing --public-key client.pem --credential ID", "signer list",
    "signer show billing", "signer revoke billing", "credential revoke ID", "rotation run --once",
    "rotation list", "rotation schedule orders --every 30", "rotation cleanup orders",
    "audit verify", "audit acknowledge --reason known", "audit head", "audit show",
    "master passphrase --remove",
]  # fmt: skip
# Where a run of it would not end, or needs another store: shown in tests of its own.
# ``cat`` prints what is in files, and nothing beside it.
ELSEWHERE = {"cat", "serve", "restore", "fips install", "fips status", "key abandon"}


def commands(entry: click.Command, *names: str) -> Iterator[tuple[str, click.Command]]:
    """Every command that does something, by its words."""
    if isinstance(entry, click.Group):
        context = click.Context(entry, help_option_names=["-h", "--help"])
        for name in entry.list_commands(context):
            found = entry.get_command(context, name)
            assert found is not None
            yield from commands(found, *names, name)
    else:
        yield " ".join(names), entry


@pytest.mark.parametrize(
    "words",
    [
        ["encrypt", "-r", "", "-o", "../out"], ["encrypt", "plain", "-o", ""], ["rewrap", ""],
        ["migrate-xor", "--dry-run", ""], ["decrypt", "x.mfn", "-i", ""], ["restore", ""],
        ["encrypt", "plain", "--to", "a", "--to", ""], ["cat", "a", ""], ["verify", "plain", ""],
        ["doctor", "--sarif", ""],
    ],
)  # fmt: skip
def test_an_empty_path_is_no_path(empty: Mfn, words: list[str]) -> None:
    """It was the working folder: ``mfn rewrap "$UNSET"`` went through all that was in it."""
    Path("plain").touch()
    assert "it is empty" in one_line(empty(*words), ExitCode.USAGE)


def test_what_names_a_path_is_known_as_such() -> None:
    """By its metavar or its type, so that an empty one is refused of each."""
    for words, entry in commands(program):
        for each in entry.params:
            if isinstance(each.type, click.Path):
                assert type(each.type) is SomePath, words


def test_every_command_prints_one_json_value(mfn: Mfn) -> None:
    """Whatever it does: with ``--json`` standard output is one value, and not a line more."""
    Path("plain").write_bytes(b"some bytes")
    Path("old-key").write_bytes(bytes(range(32)))
    Path("old-key").chmod(0o600)
    os.mkdir("folder")
    Path("folder", "one").write_bytes(b"1")
    Path("public.pem").write_text(mfn.ok("key", "public", "release").out)
    mfn.ok("key", "create", "client", "--type", "signing", "--use", "request")
    Path("client.pem").write_text(mfn.ok("key", "public", "client").out)
    credential = pending = last = ""
    tomorrow = f"{datetime.now(UTC) + timedelta(days=1):%Y-%m-%d}"
    Path("peer.pem").write_bytes(key_to_wrap_for(WRAPPING).public.pem())
    for line in COMMANDS:
        if Policy().fips_mode and "-xor" in line:
            continue  # refused
        known = {"ID": credential or "ID", "IMPORT": pending, "LAST": last}
        known["TOMORROW"] = tomorrow
        words = [known.get(word, word) for word in line.split()]
        ran = mfn(*words, "--json")
        assert ran.code in (0, 11, 20, 21), (line, ran)
        value = json.loads(ran.out)
        if words[:2] == ["credential", "create"]:
            credential = value["id"]
        if words[:3] == ["key", "import", "begin"]:
            last = value["import_id"]
            pending = pending or last
        if words[:4] == ["key", "import", "begin", "new"]:
            recipient = Policy().wrapping_key(value["public_key"].encode())
            Path("wrapped").write_bytes(recipient.wrap(bytes(32)))
    missing = {
        path
        for path, _ in commands(program)
        if not any(line == path or line.startswith(f"{path} ") for line in COMMANDS)
    }
    assert missing == ELSEWHERE


def test_a_restore_prints_one_json_value(mfn: Mfn, empty: Mfn) -> None:
    """With the credentials that wait to be confirmed in it, and no table beside it."""
    mfn.ok("credential", "create", "app", "--scope", "keys:read")
    mfn.ok("backup", "kept.backup")
    for name in ("keys.db", "keys.db-wal", "keys.db-shm"):
        (mfn.home / name).unlink(missing_ok=True)
    assert len(mfn.ok("restore", "kept.backup", "--json").json["unconfirmed"]) == 1


@pytest.mark.parametrize("path", [path for path, _ in commands(program)])
def test_the_options_of_mfn_stand_after_every_command(path: str) -> None:
    """Each command has them all, and none has one of that name with another meaning."""
    command = dict(commands(program))[path]
    names = [
        name
        for each in command.get_params(click.Context(command, help_option_names=["-h", "--help"]))
        for name in each.opts
    ]
    assert len(names) == len(set(names))
    assert {name for option in OF_MFN for name in option.opts} <= set(names)


def test_options_mean_the_same_before_a_command_within_a_group_and_after(
    mfn: Mfn, tmp_path: Path
) -> None:
    """And the last of two counts."""
    home = str(mfn.home)
    listed = mfn.ok("key", "list").out
    nowhere = ("--home", str(tmp_path / "nowhere"))
    assert mfn.ok(*nowhere, "key", "--home", home, "list").out == listed
    assert mfn.ok(*nowhere, "key", "list", "--home", home).out == listed
    assert mfn.ok("--json", "key", "list").out == mfn.ok("key", "list", "--json").out
    assert mfn.ok("key", "rotate", "orders", "-q").out == ""


def test_help_of_a_command_shows_json_and_not_what_mfn_shows_itself(mfn: Mfn) -> None:
    """Eight more lines under each of forty commands would hide what it is about."""
    said = mfn.ok("key", "list", "--help").out
    assert "--json" in said
    assert "--passphrase-fd" not in said
