"""``mfn init``, ``mfn key``, ``mfn master`` and ``mfn doctor`` from the outside."""

from __future__ import annotations

import json
import os
import stat
from typing import TYPE_CHECKING

import pytest

from mycelium_fractal_net import open_keyring
from mycelium_fractal_net.security.errors import ExitCode
from tests.support.algorithms import SIGNING
from tests.support.cli import Mfn, descriptor, one_line, snapshot

if TYPE_CHECKING:
    from pathlib import Path

KEY_FIELDS = [
    "key_id", "type", "use", "algorithm", "publish", "exportable", "external", "created_at",
    "primary", "rotation_due", "rotation", "minimum_versions", "versions",
]  # fmt: skip
VERSION_FIELDS = [
    "version_id", "version", "state", "origin", "compromised", "handle", "created_at",
    "activate_at", "destroy_at", "external", "external_gone_at",
]  # fmt: skip


# init -------------------------------------------------------------------------------------


def test_init_makes_a_private_store_and_asks_nothing(empty: Mfn) -> None:
    """Folders are 0700, files 0600, and the outcome says to back them up."""
    said = empty.ok("init").out
    assert "back both up" in said
    assert stat.S_IMODE(empty.home.stat().st_mode) == 0o700
    for path in empty.home.rglob("*"):
        wanted = 0o700 if path.is_dir() else 0o600
        assert stat.S_IMODE(path.stat().st_mode) == wanted, path


def test_init_again_changes_no_key(mfn: Mfn) -> None:
    """A second init says that the store is there and leaves the master key as it was."""
    before = (mfn.home / "master.key").read_bytes()
    assert "are there" in mfn.ok("init").out
    assert (mfn.home / "master.key").read_bytes() == before


def test_init_with_a_passphrase_over_an_existing_master_key_is_refused(mfn: Mfn) -> None:
    """A passphrase that would guard nothing is not swallowed in silence."""
    ran = mfn("init", "--passphrase-fd", str(descriptor("correct horse\n")))
    assert "mfn master passphrase" in one_line(ran, ExitCode.EXISTS)


def test_every_command_before_init_says_to_run_it(empty: Mfn) -> None:
    """A missing store is exit code 10, names ``mfn init``, and nothing is created."""
    assert "mfn init" in one_line(empty("key", "list"), ExitCode.STORE)
    assert not empty.home.exists()


# Passphrases ------------------------------------------------------------------------------


def test_a_passphrase_store_opens_with_its_passphrase_and_no_other(empty: Mfn) -> None:
    """It is taken from a file descriptor; a wrong one is exit code 10 and is not shown."""
    empty.ok("init", "--passphrase-fd", str(descriptor("correct horse\n")))
    empty.ok("--passphrase-fd", str(descriptor("correct horse")), "key", "list")
    line = one_line(empty("--passphrase-fd", str(descriptor("wrong horse")), "key", "list"), 10)
    assert "horse" not in line


def test_a_passphrase_comes_from_the_file_that_the_environment_names(
    empty: Mfn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MFN_MASTER_PASSPHRASE_FILE serves both making the store and opening it."""
    file = tmp_path / "passphrase"
    file.write_text("correct horse\n")
    file.chmod(0o600)
    monkeypatch.setenv("MFN_MASTER_PASSPHRASE_FILE", str(file))
    empty.ok("init")
    empty.ok("key", "list")
    assert "correct horse" not in (empty.home / "master.key").read_text()


def test_without_terminal_or_descriptor_the_line_says_how_to_give_a_passphrase(
    empty: Mfn,
) -> None:
    """A process without a terminal does not hang on a prompt."""
    empty.ok("init", "--passphrase-fd", str(descriptor("correct horse")))
    ran = empty.process("key", "list", start_new_session=True)
    assert "--passphrase-fd" in one_line(ran, ExitCode.STORE)


def test_a_byte_order_mark_is_no_part_of_a_passphrase(
    empty: Mfn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An editor of Windows puts it there; UTF-16 is named."""
    empty.ok("init", "--passphrase-fd", str(descriptor("\ufeffcorrect horse\r\n")))
    empty.ok("--passphrase-fd", str(descriptor("correct horse")), "key", "list")
    file = tmp_path / "passphrase"
    monkeypatch.setenv("MFN_MASTER_PASSPHRASE_FILE", str(file))
    file.touch(mode=0o600)
    file.write_bytes(b"\xef\xbb\xbfcorrect horse\r\n")
    empty.ok("key", "list")
    file.write_bytes("\ufeffcorrect horse\r\n".encode("utf-16-le"))
    assert "is UTF-16; save it as UTF-8" in one_line(empty("key", "list"), ExitCode.STORE)
    reading, writing = os.pipe()
    os.write(writing, file.read_bytes())
    os.close(writing)
    assert "UTF-16" in one_line(empty("--passphrase-fd", str(reading), "key", "list"), 2)


@pytest.mark.parametrize("text", ["", "\n", "x" * 5000])
def test_an_empty_or_endless_passphrase_is_refused(empty: Mfn, text: str) -> None:
    """Exit code 2, and no store is made."""
    one_line(empty("init", "--passphrase-fd", str(descriptor(text))), ExitCode.USAGE)
    assert not empty.home.exists()


def test_a_descriptor_that_is_not_open_is_a_missing_input(empty: Mfn) -> None:
    """Exit code 4, with the shell syntax that opens one."""
    assert "987<FILE" in one_line(empty("init", "--passphrase-fd", "987"), ExitCode.INPUT)


def test_the_master_key_takes_changes_and_loses_a_passphrase(mfn: Mfn) -> None:
    """Keys stay readable at each step, with the passphrase of that step alone."""
    mfn.ok("master", "passphrase", "--new-passphrase-fd", str(descriptor("one")))
    old = ("--passphrase-fd", str(descriptor("one")))
    mfn.ok(*old, "master", "passphrase", "--new-passphrase-fd", str(descriptor("two")))
    assert mfn("--passphrase-fd", str(descriptor("one")), "key", "list").code == ExitCode.STORE
    mfn.ok("--passphrase-fd", str(descriptor("two")), "master", "passphrase", "--remove")
    assert "orders" in mfn.ok("key", "list").out


def test_removing_and_setting_a_passphrase_at_once_makes_no_sense(mfn: Mfn) -> None:
    """Exit code 2 before anything is read."""
    ran = mfn("master", "passphrase", "--remove", "--new-passphrase-fd", "987")
    one_line(ran, ExitCode.USAGE)


def test_master_rotate_moves_every_key_and_data_still_opens(mfn: Mfn) -> None:
    """The master key's id changes, and what was sealed before opens after."""
    with open_keyring(home=mfn.home) as keyring:
        sealed = keyring.encrypt(b"kept", key_id="orders")
    before = json.loads((mfn.home / "master.key").read_text())["keys"].keys()
    mfn.ok("master", "rotate")
    after = json.loads((mfn.home / "master.key").read_text())["keys"].keys()
    assert len(after) == 1
    assert not before & after
    with open_keyring(home=mfn.home) as keyring:
        assert keyring.decrypt(sealed) == b"kept"


# Keys -------------------------------------------------------------------------------------


def test_key_list_prints_columns_for_people_and_an_array_for_programs(mfn: Mfn) -> None:
    """Both name every key in order, and each element has the documented fields."""
    lines = mfn.ok("key", "list").out.splitlines()
    listed = mfn.ok("key", "list", "--json").json
    names = [key["key_id"] for key in listed]
    assert names == sorted(names)
    assert [line.split()[0] for line in lines] == ["KEY", *names]
    for key in listed:
        assert list(key) == KEY_FIELDS
        assert all(list(version) == VERSION_FIELDS for version in key["versions"])


def test_key_show_is_the_element_of_key_list(mfn: Mfn) -> None:
    """One shape for one thing."""
    shown = mfn.ok("key", "show", "orders", "--json").json
    assert shown in mfn.ok("key", "list", "--json").json
    said = mfn.ok("key", "show", "orders").out
    assert "protects   orders:v1" in said
    assert "every 90 days" in said


def test_a_key_has_what_its_options_asked_for(mfn: Mfn) -> None:
    """Type, algorithm, use and publication are those given."""
    mfn.ok("key", "create", "web", "--type", "signing", "--algorithm", "ECDSA-P256",
           "--use", "request", "--publish")  # fmt: skip
    shown = mfn.ok("key", "show", "web", "--json").json
    got = [shown[field] for field in ("type", "algorithm", "use", "publish")]
    assert got == ["signing", "ECDSA-P256", "request", True]


def test_rotation_says_the_new_version_and_keeps_the_old(mfn: Mfn) -> None:
    """The newest protects from then on."""
    assert "orders:v2" in mfn.ok("key", "rotate", "orders").out
    shown = mfn.ok("key", "show", "orders", "--json").json
    assert shown["primary"] == "orders:v2"
    assert [version["version_id"] for version in shown["versions"]] == ["orders:v1", "orders:v2"]


def test_the_policy_changes_only_what_is_named(mfn: Mfn) -> None:
    """The other values stay, and without options the policy is shown."""
    mfn.ok("key", "policy", "orders", "--interval-days", "30", "--auto-destroy")
    shown = mfn.ok("key", "policy", "orders", "--json").json
    assert shown == {
        "key_id": "orders",
        "interval_days": 30,
        "retain_count": 3,
        "auto_destroy": True,
        "unused_for_days": 400,
        "automatic": True,
        "publish": False,
    }
    assert "interval_days    30" in mfn.ok("key", "policy", "orders").out
    mfn.ok("key", "policy", "release", "--publish")
    assert mfn.ok("key", "show", "release", "--json").json["publish"] is True


@pytest.mark.parametrize(
    ("verb", "state"),
    [("suspend", "suspended"), ("deactivate", "deactivated"), ("compromise", "compromised")],
)
def test_a_verb_leads_to_its_state_and_says_so(mfn: Mfn, verb: str, state: str) -> None:
    """A bare name means the newest version."""
    assert f"orders:v1 is {state}" in mfn.ok("key", verb, "orders").out
    shown = mfn.ok("key", "show", "orders", "--json").json
    assert shown["versions"][0]["state"] == state
    assert shown["primary"] is None


def test_destruction_has_a_window_and_can_be_cancelled(mfn: Mfn) -> None:
    """The outcome says when the version is erased; cancelling brings it back, deactivated."""
    mfn.ok("key", "rotate", "orders")
    said = mfn.ok("key", "destroy", "orders:v1", "--window-days", "7").out
    version = mfn.ok("key", "show", "orders", "--json").json["versions"][0]
    assert version["state"] == "pending-destruction"
    assert version["destroy_at"] in said
    assert "erased at" in mfn.ok("key", "show", "orders").out
    assert "deactivated" in mfn.ok("key", "cancel-destruction", "orders:v1").out


def test_activation_ends_a_suspension(mfn: Mfn) -> None:
    """Suspended and back."""
    mfn.ok("key", "suspend", "orders")
    assert "orders:v1 is active" in mfn.ok("key", "activate", "orders").out


def test_a_public_key_prints_as_pem_and_as_jwk(mfn: Mfn) -> None:
    """The JWK carries the version id as its kid."""
    assert mfn.ok("key", "public", "release").out.startswith("-----BEGIN PUBLIC KEY-----\n")
    jwk = mfn.ok("key", "public", "release", "--format", "jwk").json
    curve = {"Ed25519": ("OKP", "Ed25519"), "ECDSA-P256": ("EC", "P-256")}[SIGNING]
    assert (jwk["kid"], jwk["kty"], jwk["crv"]) == ("release:v1", *curve)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("key", "show", "nothing"), ExitCode.KEY_UNKNOWN),
        (("key", "rotate", "nothing"), ExitCode.KEY_UNKNOWN),
        (("key", "suspend", "orders:v9"), ExitCode.KEY_UNKNOWN),
        (("key", "show", "orders:v9"), ExitCode.KEY_UNKNOWN),
        (("key", "policy", "orders:v9", "--retain", "9"), ExitCode.KEY_UNKNOWN),
        (("key", "create", "orders"), ExitCode.EXISTS),
        (("key", "create", "Not A Name"), ExitCode.USAGE),
        (("key", "create", "x", "--algorithm", "Ed25519"), ExitCode.USAGE),
        (("key", "create", "x", "--type", "other"), ExitCode.USAGE),
        (("key", "policy", "orders", "--retain", "0"), ExitCode.USAGE),
        (("key", "destroy", "orders"), ExitCode.FORBIDDEN),
        (("key", "destroy", "orders", "--window-days", "1"), ExitCode.USAGE),
        (("key", "activate", "orders"), ExitCode.FORBIDDEN),
        (("key", "public", "orders"), ExitCode.FORBIDDEN),
        (("key", "frobnicate"), ExitCode.USAGE),
        (("key", "list", "--frobnicate"), ExitCode.USAGE),
        (("key", "show"), ExitCode.USAGE),
    ],
)
def test_a_refusal_is_one_line_with_its_code_and_changes_nothing(
    mfn: Mfn, arguments: tuple[str, ...], code: ExitCode
) -> None:
    """What is wrong, what to do, and the store is as before."""
    before = mfn.ok("key", "list", "--json").json
    line = one_line(mfn(*arguments), code)
    assert "; " in line
    assert mfn.ok("key", "list", "--json").json == before


# doctor -----------------------------------------------------------------------------------


def test_doctor_exits_with_the_worst_it_finds(mfn: Mfn) -> None:
    """A master key in the clear is a notice; a file that others may read is critical."""
    notice = mfn("doctor")
    assert notice.code == ExitCode.DOCTOR_NOTICE
    assert notice.out.startswith("notice: ")
    (mfn.home / "master.key").chmod(0o644)
    ran = mfn("doctor", "--json")
    assert ran.code == ExitCode.DOCTOR_CRITICAL
    assert {finding["check"] for finding in ran.json} >= {"file-modes"}
    members = ["severity", "check", "subject", "advice", "what", "requirements", "acknowledged"]
    assert all(list(each) == members for each in ran.json)


def test_doctor_warns_of_a_key_that_protects_nothing(mfn: Mfn) -> None:
    """A warning outweighs notices."""
    mfn.ok("key", "suspend", "orders")
    assert mfn("doctor").code == ExitCode.DOCTOR_WARNING


def test_doctor_finds_nothing_where_there_is_nothing(empty: Mfn) -> None:
    """A fresh store under a passphrase is fine, exit code 0."""
    empty.ok("init", "--passphrase-fd", str(descriptor("correct horse")))
    ran = empty.ok("--passphrase-fd", str(descriptor("correct horse")), "doctor")
    assert ran.out == "nothing to mend\n"


# The program itself -----------------------------------------------------------------------


def test_quiet_leaves_results_and_errors(mfn: Mfn) -> None:
    """Outcomes go, tables and lines of errors stay."""
    assert mfn.ok("--quiet", "key", "rotate", "orders").out == ""
    assert "orders" in mfn.ok("--quiet", "key", "list").out
    one_line(mfn("--quiet", "key", "show", "nothing"), ExitCode.KEY_UNKNOWN)


@pytest.mark.parametrize("arguments", [(), ("key",), ("master",)])
def test_a_group_alone_prints_its_help(empty: Mfn, arguments: tuple[str, ...]) -> None:
    """Nothing is opened for that."""
    assert empty.ok(*arguments).out.startswith("Usage: mfn")
    assert not empty.home.exists()


def test_the_version_is_that_of_the_package(empty: Mfn) -> None:
    """As an option and as a command."""
    assert empty.ok("--version").out == empty.ok("version").out == "mfn 4.1.0\n"


def test_an_unknown_setting_in_the_environment_is_exit_code_3(
    empty: Mfn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The variable is named, its value is not."""
    monkeypatch.setenv("MFN_HOEM", "secret-value")
    line = one_line(empty("key", "list"), ExitCode.CONFIGURATION)
    assert "MFN_HOEM" in line
    assert "secret-value" not in line


def test_a_configuration_file_that_is_missing_is_exit_code_3(empty: Mfn) -> None:
    """Not 4: no input of the command is missing."""
    one_line(empty("--config", "nowhere.json", "key", "list"), ExitCode.CONFIGURATION)


def test_names_of_keys_are_completed(mfn: Mfn) -> None:
    """What the shell's completion calls prints keys, and versions once a name is whole."""

    def completed(words: str) -> list[str]:
        env = {
            "_MFN_COMPLETE": "complete_bash",
            "COMP_WORDS": words,
            "COMP_CWORD": str(len(words.split(" ")) - 1),
            "MFN_HOME": str(mfn.home),
        }
        return mfn.process(env=env).out.split()

    assert completed("mfn key suspend ord") == ["orders"]
    assert completed("mfn key suspend orders:") == ["orders:v1"]


def test_completion_says_nothing_where_there_is_no_store(empty: Mfn) -> None:
    """The TAB key never prints an error."""
    env = {"_MFN_COMPLETE": "complete_bash", "COMP_WORDS": "mfn key show o", "COMP_CWORD": "3"}
    ran = empty.process(env=env | {"MFN_HOME": str(empty.home)})
    assert (ran.out.strip(), ran.err) == ("", "")
    assert snapshot(empty.folder) == {}
