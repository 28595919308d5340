"""From settings to a keyring: making a store, opening it, and refusing what is not there."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mycelium_fractal_net import initialise, open_keyring
from mycelium_fractal_net.config import Settings, load_settings
from mycelium_fractal_net.security.errors import (
    ConfigurationError,
    MasterKeyError,
    StorePermissionsError,
    StoreUnavailableError,
    StoreVersionError,
)
from mycelium_fractal_net.security.key_providers import LocalCustodian
from mycelium_fractal_net.security.key_store import Database
from mycelium_fractal_net.security.policy import Policy

if TYPE_CHECKING:
    from collections.abc import Callable

    from mycelium_fractal_net.security.keyring.keyring import Keyring


def settings(home: Path, **environ: str) -> Settings:
    return load_settings(environ={"MFN_HOME": str(home), **environ})


def test_a_new_store_has_its_default_keys_and_seals(home: Path) -> None:
    """initialise makes all that open_keyring needs."""
    with initialise(settings=settings(home)) as keyring:
        sealed = keyring.encrypt(b"data")
        names = [key.key_id for key in keyring.provider.keys.all()]
    assert names == ["default-encryption", "default-mac", "default-signing"]
    with open_keyring(settings=settings(home)) as keyring:
        assert keyring.decrypt(sealed) == b"data"


def test_initialising_again_changes_nothing(home: Path) -> None:
    """The master key and every key stay as they were."""
    with initialise(settings=settings(home)) as keyring:
        before = list(keyring.provider.keys.all())
    key_file = (home / "master.key").read_bytes()
    with initialise(settings=settings(home)) as keyring:
        assert list(keyring.provider.keys.all()) == before
    assert (home / "master.key").read_bytes() == key_file


@pytest.mark.parametrize("name", ["a b", "x?y=1", "p#q", "100%", "ключи", "a%20b"])
def test_any_folder_name_will_do(tmp_path: Path, name: str) -> None:
    """Characters that mean something in a URL mean nothing in a path."""
    folder = tmp_path / name
    with initialise(settings=settings(folder)) as keyring:
        keyring.encrypt(b"data")
    assert (folder / "keys.db").is_file()


def test_a_store_on_postgresql_needs_its_url_alone(home: Path, postgres_url: str) -> None:
    """The same calls, another URL; master key and audit records stay on this machine."""
    with initialise(home=home, store=postgres_url) as keyring:
        sealed = keyring.encrypt(b"data")
    with open_keyring(home=home, store=postgres_url) as keyring:
        assert keyring.decrypt(sealed) == b"data"
    assert sorted(entry.name for entry in home.iterdir()) == ["audit", "master.key"]


def test_a_store_that_is_not_there_says_how_to_make_it(home: Path) -> None:
    """Nothing is created by opening."""
    with pytest.raises(StoreUnavailableError, match="mfn init"):
        open_keyring(settings=settings(home))
    assert list(home.iterdir()) == []


def test_a_lost_key_file_is_not_replaced_by_a_new_one(home: Path) -> None:
    """A fresh master key opens nothing; the old one must come back."""
    initialise(settings=settings(home)).close()
    away = (home / "master.key").rename(home / "away.key")
    with pytest.raises(MasterKeyError, match="put the file back"):
        initialise(settings=settings(home))
    with pytest.raises(MasterKeyError):
        open_keyring(settings=settings(home))
    away.rename(home / "master.key")
    open_keyring(settings=settings(home)).close()


def test_another_stores_key_file_is_told_from_tampering(tmp_path: Path) -> None:
    """The error speaks of the master key and names the variable."""
    for name in ("one", "two"):
        initialise(settings=settings(tmp_path / name)).close()
    (tmp_path / "two" / "master.key").replace(tmp_path / "one" / "master.key")
    with (
        open_keyring(settings=settings(tmp_path / "one")) as keyring,
        pytest.raises(MasterKeyError, match="MFN_MASTER_KEY_FILE"),
    ):
        keyring.encrypt(b"data")


def test_two_inits_at_once_make_one_store(home: Path, store_url: str) -> None:
    """On every database: whoever comes second finds what the first one made."""
    initialise(settings=settings(home)).close()  # the key file; the race is for the store
    before = (home / "master.key").read_bytes()
    failed: list[BaseException] = []

    def init() -> None:
        try:
            with initialise(home=home, store=store_url) as keyring:
                assert keyring.decrypt(keyring.encrypt(b"data")) == b"data"
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=init) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert (home / "master.key").read_bytes() == before


@pytest.mark.parametrize("made", ["key file", "tables", "both"])
def test_an_interrupted_init_is_finished_by_the_next(home: Path, made: str) -> None:
    """Whichever step the first one died after."""
    if made in ("key file", "both"):
        LocalCustodian.create(home / "master.key", Policy())
    if made in ("tables", "both"):
        database = Database(home / "keys.db")
        database.create()
        database.close()
        with (
            pytest.raises((StoreUnavailableError, MasterKeyError)),
            open_keyring(settings=settings(home)) as keyring,
        ):
            keyring.encrypt(b"data")
    with initialise(settings=settings(home)) as keyring:
        assert keyring.decrypt(keyring.encrypt(b"data")) == b"data"


def test_an_empty_database_is_not_opened(home: Path) -> None:
    """A file without tables is no store."""
    (home / "keys.db").touch(mode=0o600)
    with pytest.raises(StoreVersionError):
        open_keyring(settings=settings(home))


@pytest.mark.parametrize("provider", ["vault", "aws-kms", "pkcs11"])
def test_a_custodian_without_its_settings_is_refused(home: Path, provider: str) -> None:
    """It does not fall back to a local key."""
    with pytest.raises(ConfigurationError):
        initialise(settings=settings(home, MFN_KEY_PROVIDER=provider))
    assert not (home / "master.key").exists()


# Passphrases --------------------------------------------------------------------------------


@pytest.fixture
def passphrase_file(home: Path) -> Path:
    """A private file with a passphrase in its first line."""
    path = home / "passphrase"
    path.write_bytes(b"correct horse\r\nignored\n")
    path.chmod(0o600)
    return path


def test_a_passphrase_comes_as_bytes_from_a_call_or_from_a_file(
    home: Path, passphrase_file: Path
) -> None:
    """All three open the same store; the file's first line counts, without its line end."""
    with initialise(settings=settings(home), passphrase=b"correct horse") as keyring:
        sealed = keyring.encrypt(b"data")
    in_file = settings(home, MFN_MASTER_PASSPHRASE_FILE=str(passphrase_file))
    for chosen, passphrase in (
        (settings(home), b"correct horse"),
        (settings(home), lambda: b"correct horse"),
        (in_file, None),
    ):
        with open_keyring(settings=chosen, passphrase=passphrase) as keyring:
            assert keyring.decrypt(sealed) == b"data"


def test_without_the_right_passphrase_nothing_opens(home: Path) -> None:
    """None and a wrong one are told apart from a damaged store."""
    initialise(settings=settings(home), passphrase=b"correct horse").close()
    for passphrase, text in ((None, "under a passphrase"), (b"wrong", "does not open")):
        with (
            open_keyring(settings=settings(home), passphrase=passphrase) as keyring,
            pytest.raises(MasterKeyError, match=text),
        ):
            keyring.encrypt(b"data")


def test_no_passphrase_is_asked_for_where_none_is_needed(home: Path) -> None:
    """A store whose master key is in the clear opens without a question."""
    initialise(settings=settings(home)).close()

    def ask() -> bytes:
        raise AssertionError("asked")

    open_keyring(settings=settings(home), passphrase=ask).close()


def test_a_passphrase_file_must_be_there_private_and_not_empty(
    home: Path, passphrase_file: Path
) -> None:
    """Each fault has its own line."""
    chosen = settings(home, MFN_MASTER_PASSPHRASE_FILE=str(passphrase_file))
    passphrase_file.chmod(0o644)
    with pytest.raises(StorePermissionsError, match="chmod 0600"):
        initialise(settings=chosen)
    passphrase_file.chmod(0o600)
    passphrase_file.write_bytes(b"\n")
    with pytest.raises(MasterKeyError, match="is empty"):
        initialise(settings=chosen)
    passphrase_file.unlink()
    with pytest.raises(MasterKeyError, match="cannot be read"):
        initialise(settings=chosen)
    passphrase_file.mkdir(mode=0o700)
    with pytest.raises(MasterKeyError, match="cannot be read"):
        initialise(settings=chosen)
    assert not (home / "master.key").exists()


@pytest.mark.parametrize("call", [open_keyring, initialise])
def test_what_fails_to_open_leaves_no_connection(home: Path, call: Callable[..., Keyring]) -> None:
    """A service that tries again until the master key is there runs out of no descriptors."""
    initialise(settings=settings(home)).close()
    (home / "master.key").unlink()
    with pytest.raises(MasterKeyError) as caught:
        call(settings=settings(home))
    links = Path("/proc/self/fd").iterdir()
    assert [link for link in links if os.path.realpath(link).startswith(str(home))] == []
    assert caught.value.__traceback__ is not None  # what it holds was not closed by being forgotten
