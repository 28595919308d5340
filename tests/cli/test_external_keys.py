"""External signing keys on the command line, under a custodian that signs and one that does not."""

from __future__ import annotations

import json
import shutil
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from mycelium_fractal_net import open_keyring
from mycelium_fractal_net.security.errors import ExitCode, MasterKeyError
from mycelium_fractal_net.security.records.keys import Verb
from mycelium_fractal_net.security.signatures.signing_key import SigningKey
from tests.support.algorithms import SIGNING
from tests.support.cli import Mfn, one_line
from tests.support.custodian import NAME, registered

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def far(empty: Mfn, monkeypatch: pytest.MonkeyPatch) -> Iterator[Mfn]:
    """``mfn`` over a store whose master key, and signing keys, are on another machine."""
    monkeypatch.setenv("MFN_KEY_PROVIDER", NAME)
    with registered():
        empty.ok("init", "--create-key")
        yield empty


def private(far: Mfn, number: int = 1) -> Path:
    """The file of a version's private key on the other machine."""
    versions = far.ok("key", "show", "release", "--json").json["versions"]
    name = versions[number - 1]["external"].removeprefix("elsewhere:")
    return far.home / "elsewhere" / f"{name}.pem"


def found(far: Mfn, *options: str) -> list[tuple[str, str, str]]:
    """What doctor says of external keys."""
    told = json.loads(far("doctor", "--json", *options).out)
    return [
        (each["severity"], each["subject"], each["advice"])
        for each in told
        if each["check"] == "external-key"
    ]


@pytest.mark.parametrize("algorithm", [None, "ECDSA-P256"])
def test_a_file_is_signed_and_verified_with_an_external_key(
    far: Mfn, algorithm: str | None
) -> None:
    """As with every other key, across a rotation; what is shown says external."""
    named = ["--algorithm", algorithm] if algorithm else []
    made = far.ok("key", "create", "release", "--type", "signing", "--external", *named)
    assert made.out == f"made external signing key release ({algorithm or SIGNING})\n"
    file = far.folder / "file"
    file.write_bytes(bytes(100_000))
    far.ok("sign", file, "-k", "release")
    assert "release:v2" in far.ok("key", "rotate", "release").out
    assert "release:v1" in far.ok("verify", file, f"{file}.sig", "-k", "release").out
    far.ok("key", "public", "release:v1")
    shown = far.ok("key", "show", "release")
    assert f"signing for data, {algorithm or SIGNING}, external" in shown.out
    assert "kept as elsewhere:mfn-signing-" in shown.out
    assert ", external" in far.ok("key", "list").out
    told = far.ok("key", "show", "release", "--json").json
    assert told["external"] is True
    assert [each["external_gone_at"] for each in told["versions"]] == [None, None]
    assert far.ok("key", "show", "default-signing", "--json").json["external"] is False
    private(far, 2).unlink()
    assert "no such key" in one_line(far("sign", file, "-k", "release", "--force"), ExitCode.STORE)


def test_a_local_master_key_has_no_external_signing_keys(mfn: Mfn) -> None:
    """The refusal says which custodians have them; and only a signing key can be one."""
    ran = mfn("key", "create", "release", "-t", "signing", "--external")
    line = one_line(ran, ExitCode.USAGE)
    assert "(local) keeps no signing keys" in line
    assert "MFN_KEY_PROVIDER" in line
    ran = mfn("key", "create", "release", "--external")
    assert "only a signing key can be external" in one_line(ran, ExitCode.USAGE)


def test_doctor_sees_a_key_that_is_gone_or_another(far: Mfn) -> None:
    """Of the newest and some versions, or of all."""
    far.ok("key", "create", "release", "-t", "signing", "--external")
    for _ in range(5):
        far.ok("key", "rotate", "release")
    assert found(far) == []
    private(far, 6).unlink()
    ((severity, subject, advice),) = found(far)
    assert (severity, subject) == ("critical", "key release:v6")
    assert "does not sign, with elsewhere:mfn-signing-" in advice
    for number in range(1, 6):
        private(far, number).write_bytes(SigningKey.generate("Ed25519").private_pem())
    replaced = [told for told in found(far, "--all") if "was replaced" in told[2]]
    assert [subject for _, subject, _ in replaced] == [f"key release:v{n}" for n in range(1, 6)]
    assert len(found(far)) == 4
    (far.home / "elsewhere" / "mode").write_text("down")
    (only,) = json.loads(far("doctor", "--json").out)
    assert only["check"] == "custodian"


def test_doctor_sees_what_no_record_names(far: Mfn) -> None:
    """Keys there under the names of this store, and of another's nothing; and the reverse."""
    far.ok("key", "create", "release", "-t", "signing", "--external")
    for _ in range(6):
        far.ok("key", "rotate", "release")
    private(far, 2).unlink()
    assert "key release:v2" in [subject for _, subject, _ in found(far)]
    folder, (name, *_) = far.home / "elsewhere", private(far, 1).stem.rsplit("-", 1)
    (folder / f"{name}-0123456789abcdef.pem").touch()
    (folder / "mfn-signing-00000000-0123456789abcdef.pem").touch()
    (told,) = left_over(far)
    assert f"elsewhere:{name}-0123456789abcdef" in told["subject"]
    assert "no record says so" in told["advice"]


def left_over(far: Mfn) -> list[dict[str, str]]:
    """What doctor says of keys that no record has."""
    return [e for e in far("doctor", "--json").json if e["check"] == "left-over-key"]


def test_a_backup_says_that_it_has_no_private_key_of_them(far: Mfn, tmp_path: Path) -> None:
    """Restored, they sign where the custodian still has them, and the others are named."""
    plain = far.ok("backup", "before.mfb")
    assert "private key" not in plain.out
    far.ok("key", "create", "release", "-t", "signing", "--external")
    far.ok("key", "rotate", "release")
    made = far.ok("backup", "keys.mfb")
    assert "of 2 of them, which are external, the private key is with its custodian" in made.out
    told = far.ok("backup", "--verify", "keys.mfb", "--json").json
    assert (told["external"], told["versions"]) == (2, told["rows"]["key_versions"])
    private(far).unlink()
    home = tmp_path / "other"
    home.mkdir(mode=0o700)
    shutil.copytree(far.home / "elsewhere", home / "elsewhere")
    other = Mfn(home, far.folder, far._capture)
    restored = other.ok("restore", "keys.mfb")
    assert "does not sign here: release:v1: there is no such key" in restored.out
    assert "release:v2:" not in restored.out
    file = far.folder / "file"
    file.write_text("data")
    other.ok("sign", file, "-k", "release")
    other.ok("verify", file, f"{file}.sig", "-k", "release:v2")


def test_what_was_restored_says_in_json_what_does_not_sign(far: Mfn, tmp_path: Path) -> None:
    """By version, with the reason."""
    far.ok("key", "create", "release", "-t", "signing", "--external")
    far.ok("backup", "keys.mfb")
    private(far).unlink()
    home = tmp_path / "other"
    home.mkdir(mode=0o700)
    shutil.copytree(far.home / "elsewhere", home / "elsewhere")
    told = Mfn(home, far.folder, far._capture).ok("restore", "keys.mfb", "--json").json
    (only,) = told["unusable"]
    assert only["version_id"] == "release:v1"
    assert "no such key" in only["why"]


def test_a_move_to_another_custodian_leaves_it_where_it_is(
    far: Mfn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It signs on while its custodian is configured, and is named by what is not possible then."""
    far.ok("key", "create", "release", "-t", "signing", "--external")
    moved = far.ok("master", "migrate", "--to", "local")
    assert "the external key release stays with the former elsewhere, and signs while" in moved.out
    monkeypatch.setenv("MFN_KEY_PROVIDER", "local")
    monkeypatch.setenv("MFN_FORMER_KEY_PROVIDERS", NAME)
    file = far.folder / "file"
    file.write_text("data")
    far.ok("sign", file, "-k", "release")
    assert "(local) keeps no signing keys" in one_line(
        far("key", "rotate", "release"), ExitCode.USAGE
    )
    monkeypatch.delenv("MFN_FORMER_KEY_PROVIDERS")
    line = one_line(far("sign", file, "-k", "release", "--force"), ExitCode.STORE)
    assert "kept by another custodian (elsewhere)" in line
    far.ok("verify", file, f"{file}.sig", "-k", "release")
    assert "kept by another custodian" in found(far)[0][2]


def test_a_key_whose_custodian_is_gone_for_good_is_given_up(
    far: Mfn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Destroyed here and never there: doctor names the word that ends it, and then says no more."""
    far.ok("key", "create", "release", "-t", "signing", "--external")
    far.ok("key", "deactivate", "release:v1")
    far.ok("master", "migrate", "--to", "local")
    monkeypatch.setenv("MFN_KEY_PROVIDER", "local")
    with open_keyring(home=far.home) as keyring:
        provider = keyring.provider
        provider.states.apply(Verb.DESTROY, "release:v1", window_days=7)
        later = provider.clock() + timedelta(days=8)
        provider.clock = lambda: later
        with pytest.raises(MasterKeyError):
            provider.states.erase_due("release", now=later)
    ((severity, subject, advice),) = found(far)
    assert (severity, subject) == ("warning", "key release:v1")
    word = "mfn key abandon release:v1 --reason"
    assert word in advice
    ran = far.ok(*word.split()[1:], "the server was scrapped")
    assert ran.out == "release:v1 is destroyed, and its private key counts as gone\n"
    assert found(far) == []
    assert ", gone since " in far.ok("key", "show", "release").out
    told = far.ok("audit", "show", "--event", "key.abandon", "--json").json
    assert {each.get("reason") for each in told} == {"the server was scrapped", None}
    monkeypatch.setenv("MFN_FORMER_KEY_PROVIDERS", NAME)  # which came back
    (left,) = left_over(far)
    assert "somebody gave it up" in left["advice"]
