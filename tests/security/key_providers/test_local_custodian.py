"""The master key's file: modes, damage, passphrases."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from mycelium_fractal_net.security.errors import (
    MasterKeyError,
    StoreIntegrityError,
    StorePermissionsError,
)
from mycelium_fractal_net.security.key_providers import Binding, LocalCustodian
from mycelium_fractal_net.security.key_providers.local import PassphraseKdf
from mycelium_fractal_net.security.policy import Policy
from tests.support.killed import killed
from tests.support.presence import need

POLICY = Policy()
KDF = PassphraseKdf(b"correct horse", 200_000)


def binding(custodian: LocalCustodian, **changes: object) -> Binding:
    values: dict[str, object] = {
        "store_id": custodian.store_id,
        "key_id": "orders",
        "key_type": "encryption",
        "use": "data",
        "algorithm": "AES-256-GCM",
        "version": 1,
        "handle": b"12345678",
    }
    return Binding(**(values | changes))  # type: ignore[arg-type]


def wrap(custodian: LocalCustodian, kek_id: str, material: bytes, bound: Binding) -> bytes:
    return custodian.wrap_many(kek_id, [(material, bound)])[0]


def unwrap(custodian: LocalCustodian, kek_id: str, wrapped: bytes, bound: Binding) -> bytes:
    return bytes(custodian.unwrap_many(kek_id, [(wrapped, bound)])[0])


@pytest.fixture
def path(home: Path) -> Path:
    """Where the master key goes."""
    return home / "master.key"


@pytest.fixture
def custodian(path: Path) -> LocalCustodian:
    """A custodian over a fresh key file."""
    return LocalCustodian.create(path, POLICY)


def test_what_was_wrapped_unwraps_after_the_file_is_read_again(
    custodian: LocalCustodian, path: Path
) -> None:
    """The file holds all there is."""
    wrapped = wrap(custodian, custodian.newest_id(), b"k" * 32, binding(custodian))
    again = LocalCustodian(path, POLICY)
    assert again.store_id == custodian.store_id
    assert unwrap(again, again.newest_id(), wrapped, binding(again)) == b"k" * 32


@pytest.mark.parametrize(
    "change",
    [
        {"store_id": bytes(16)},
        {"key_id": "invoices"},
        {"key_type": "mac"},
        {"use": "request"},
        {"algorithm": "Ed25519"},
        {"version": 2},
        {"handle": b"87654321"},
    ],
)
def test_a_wrapping_opens_under_its_own_binding_alone(
    custodian: LocalCustodian, change: dict[str, object]
) -> None:
    """Each part of the binding is authenticated."""
    wrapped = wrap(custodian, custodian.newest_id(), b"k" * 32, binding(custodian))
    with pytest.raises(StoreIntegrityError):
        unwrap(custodian, custodian.newest_id(), wrapped, binding(custodian, **change))


def test_neighbouring_parts_of_a_binding_do_not_run_together(custodian: LocalCustodian) -> None:
    """A letter that moves from one part to the next gives another binding."""
    one = binding(custodian, key_id="ab", key_type="c")
    other = binding(custodian, key_id="a", key_type="bc")
    assert one.encode() != other.encode()


def test_the_file_is_private(custodian: LocalCustodian, path: Path) -> None:
    """Mode 0600, and nothing else is left in the folder."""
    assert path.stat().st_mode & 0o777 == 0o600
    assert [entry.name for entry in path.parent.iterdir()] == ["master.key"]
    assert "local:" in repr(custodian)


def test_a_key_file_is_never_overwritten(custodian: LocalCustodian, path: Path) -> None:
    """It may be all that opens somebody's data."""
    before = path.read_bytes()
    with pytest.raises(MasterKeyError, match="never overwritten"):
        LocalCustodian.create(path, POLICY)
    assert path.read_bytes() == before


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_a_file_that_others_may_use_is_refused(
    custodian: LocalCustodian, path: Path, mode: int
) -> None:
    """The error names the file and the mode to give it."""
    path.chmod(mode)
    with pytest.raises(StorePermissionsError, match="chmod 0600"):
        LocalCustodian(path, POLICY)


def test_a_folder_that_others_may_use_is_refused(custodian: LocalCustodian, path: Path) -> None:
    """Who may write in the folder could put another file there."""
    path.parent.chmod(0o755)
    with pytest.raises(StorePermissionsError, match="chmod 0700"):
        LocalCustodian(path, POLICY)


def test_a_symbolic_link_is_refused(custodian: LocalCustodian, path: Path) -> None:
    """The name must be the file."""
    moved = path.rename(path.with_name("elsewhere"))
    path.symlink_to(moved)
    with pytest.raises(StorePermissionsError, match="symbolic link"):
        LocalCustodian(path, POLICY)


@pytest.mark.skipif(os.geteuid() != 0, reason="giving a file away needs root")
def test_a_file_of_another_user_is_refused(
    custodian: LocalCustodian, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its owner could read it and change it."""
    os.chown(path, 12345, -1)
    with pytest.raises(StorePermissionsError, match="another user"):
        LocalCustodian(path, POLICY)


def test_a_custodian_answers_while_its_file_is_there(custodian: LocalCustodian, path: Path) -> None:
    """Whatever it has in memory."""
    custodian.ping()
    path.unlink()
    with pytest.raises(MasterKeyError, match="cannot be read: it is not there"):
        custodian.ping()


def test_a_store_id_that_is_given_is_kept(home: Path) -> None:
    """A move carries it along: what is wrapped is bound to it."""
    made = LocalCustodian.create(home / "other.key", POLICY, store_id=b"i" * 16)
    assert made.store_id == b"i" * 16


def test_a_missing_file_is_told_from_one_that_is_damaged(home: Path) -> None:
    """One line, with the command."""
    with pytest.raises(MasterKeyError, match="cannot be read: it is not there"):
        LocalCustodian(home / "master.key", POLICY)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"[" * 100_000,
        b'{"format": "mfn-master-key/2", "store_id": "00", "keys": {}}',
        b'{"format": "mfn-master-key/1", "store_id": "zz", "keys": {"a": {}}}',
        b'{"format": "mfn-master-key/1", "store_id": "%s", "keys": {}}' % (b"00" * 16),
        b'{"format": "mfn-master-key/1", "store_id": "%s", "keys": {"a": {"protection": "x"}}}'
        % (b"00" * 16),
        b'{"format": "mfn-master-key/1", "store_id": "%s", "keys": {"a": 5}}' % (b"00" * 16),
    ],
)
def test_a_damaged_file_is_refused(home: Path, content: bytes) -> None:
    """Whatever is wrong with it, the error is that it is damaged, and shows none of it."""
    path = home / "master.key"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(MasterKeyError, match="damaged"):
        LocalCustodian(path, POLICY)


@pytest.mark.parametrize("key", ["", "AAAA", "!", "QR=="])
def test_a_damaged_key_in_the_file_is_refused(
    custodian: LocalCustodian, path: Path, key: str
) -> None:
    """A master key that is not 32 bytes wraps nothing."""
    document = json.loads(path.read_text())
    document["keys"][custodian.newest_id()]["key"] = key
    path.write_text(json.dumps(document))
    with pytest.raises(MasterKeyError, match="damaged"):
        wrap(LocalCustodian(path, POLICY), custodian.newest_id(), b"k", binding(custodian))


def test_an_unknown_master_key_is_an_error_of_its_own(custodian: LocalCustodian) -> None:
    """A store that another file wrapped is told from a store that was changed."""
    with pytest.raises(MasterKeyError, match="MFN_MASTER_KEY_FILE"):
        unwrap(custodian, "local:00000000", b"", binding(custodian))


# Passphrases --------------------------------------------------------------------------------


def test_a_passphrase_is_needed_where_the_key_is_under_one(path: Path) -> None:
    """The right one opens, a wrong one and none are refused, and the file says how it was made."""
    custodian = LocalCustodian.create(path, POLICY, KDF)
    wrapped = wrap(custodian, custodian.newest_id(), b"k" * 32, binding(custodian))
    status = custodian.inspect()
    assert (status.guard, status.iterations) == ("passphrase", 200_000)
    again = LocalCustodian(path, POLICY, KDF)
    assert unwrap(again, again.newest_id(), wrapped, binding(again)) == b"k" * 32
    with pytest.raises(MasterKeyError, match="does not open"):
        unwrap(
            LocalCustodian(path, POLICY, PassphraseKdf(b"wrong", 200_000)),
            again.newest_id(),
            wrapped,
            binding(again),
        )
    with pytest.raises(MasterKeyError, match="MFN_MASTER_PASSPHRASE_FILE"):
        unwrap(LocalCustodian(path, POLICY), again.newest_id(), wrapped, binding(again))


def test_the_file_of_a_passphrase_holds_no_key_and_no_passphrase(path: Path) -> None:
    """What is written is sealed, and says its own parameters."""
    LocalCustodian.create(path, POLICY, KDF)
    (entry,) = json.loads(path.read_text())["keys"].values()
    assert set(entry) == {"protection", "kdf", "iterations", "salt", "sealed"}
    assert b"correct horse" not in path.read_bytes()
    assert "correct horse" not in repr(KDF)


@pytest.mark.parametrize(("member", "text"), [("salt", "AAAA"), ("salt", "%"), ("sealed", "")])
def test_a_damaged_entry_of_a_passphrase_is_refused(path: Path, member: str, text: str) -> None:
    """As a file that is damaged, and not as a wrong passphrase."""
    LocalCustodian.create(path, POLICY, KDF)
    document = json.loads(path.read_text())
    (entry,) = document["keys"].values()
    entry[member] = text
    path.write_text(json.dumps(document))
    custodian = LocalCustodian(path, POLICY, KDF)
    with pytest.raises(MasterKeyError, match="damaged"):
        wrap(custodian, custodian.newest_id(), b"k", binding(custodian))


def test_the_stored_count_decides_and_not_the_configured_one(path: Path) -> None:
    """A store made with 200,000 iterations opens after the setting was raised."""
    custodian = LocalCustodian.create(path, POLICY, KDF)
    wrapped = wrap(custodian, custodian.newest_id(), b"k", binding(custodian))
    raised = LocalCustodian(path, POLICY, PassphraseKdf(b"correct horse", 600_000))
    assert unwrap(raised, raised.newest_id(), wrapped, binding(raised)) == b"k"


def test_a_passphrase_can_be_changed_set_and_taken_away(path: Path) -> None:
    """The master key stays the same, so nothing in the store has to be wrapped again."""
    custodian = LocalCustodian.create(path, POLICY)
    wrapped = wrap(custodian, custodian.newest_id(), b"k", binding(custodian))
    assert custodian.inspect().iterations is None
    for kdf in (KDF, PassphraseKdf(b"battery staple", 200_001), None):
        LocalCustodian(path, POLICY, custodian._passphrase).change_passphrase(kdf)
        custodian = LocalCustodian(path, POLICY, kdf)
        assert unwrap(custodian, custodian.newest_id(), wrapped, binding(custodian)) == b"k"
    assert custodian.inspect().guard == "none"


# Two master keys ----------------------------------------------------------------------------


def test_a_further_master_key_is_seen_by_those_who_have_the_file_open(
    custodian: LocalCustodian, path: Path
) -> None:
    """An unknown id makes the file be read again, so nobody needs a restart."""
    other = LocalCustodian(path, POLICY)
    added = custodian.add()
    assert custodian.newest_id() == added != other.newest_id()
    wrapped = wrap(custodian, added, b"k", binding(custodian))
    assert unwrap(other, added, wrapped, binding(other)) == b"k"
    assert len(other.inspect().kek_ids) == 2


def test_forgetting_keeps_what_it_is_told_to_keep(custodian: LocalCustodian) -> None:
    """All others are gone, and an id that is not there forgets nothing."""
    first = custodian.newest_id()
    second = custodian.add()
    with pytest.raises(MasterKeyError):
        custodian.forget_all_but("local:00000000")
    assert list(custodian.inspect().kek_ids) == [first, second]
    custodian.forget_all_but(second)
    assert list(custodian.inspect().kek_ids) == [second]
    with pytest.raises(MasterKeyError):
        wrap(custodian, first, b"k", binding(custodian))


def test_what_a_killed_writer_left_goes_with_the_next_change(
    custodian: LocalCustodian, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It holds master keys that would otherwise be forgotten everywhere but there."""

    def die(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", die)
        killed(custodian.add)
    (left,) = set(path.parent.iterdir()) - {path}
    assert json.loads(left.read_bytes())["keys"].keys() > {custodian.newest_id()}
    other = path.with_name(f".{path.name}.old")
    other.touch()
    custodian.forget_all_but(custodian.add())
    assert set(path.parent.iterdir()) == {path, other}


def test_a_file_that_cannot_be_written_stays_as_it_was(
    custodian: LocalCustodian, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk in the middle of a change loses no key and leaves no half file."""
    before = path.read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(MasterKeyError, match="No space left"):
        custodian.add()
    assert path.read_bytes() == before
    assert [entry.name for entry in path.parent.iterdir()] == ["master.key"]


def test_a_master_key_that_a_platform_delivers_is_read(
    custodian: LocalCustodian, path: Path
) -> None:
    """A file of root that nobody writes, in a folder that others may list; over a link too."""
    if os.geteuid() != 0:
        need("root, to whom what a platform delivers belongs")
    path.chmod(0o440)
    path.parent.chmod(0o755)
    link = path.with_name("linked.key")
    link.symlink_to(path.name)
    assert LocalCustodian(link, POLICY).newest_id() == custodian.newest_id()
    path.chmod(0o444)
    with pytest.raises(StorePermissionsError):
        LocalCustodian(path, POLICY)
