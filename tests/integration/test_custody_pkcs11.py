"""docs/custody/pkcs11.md: its commands are run as they stand; what init says; a service over it."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest

from mycelium_fractal_net import initialise, open_keyring
from mycelium_fractal_net.bootstrap.custodians.pkcs11 import Pkcs11Scheme
from mycelium_fractal_net.config import Settings, load_settings
from mycelium_fractal_net.security.errors import (
    ConfigurationError,
    CustodianDeniedError,
    MasterKeyError,
)
from mycelium_fractal_net.security.key_providers.pkcs11 import PKCS11KeyProvider
from mycelium_fractal_net.security.policy import Policy
from tests.support.cli import PROGRAM
from tests.support.custodians import new_harness
from tests.support.custodians.pkcs11 import KEY_LABEL, PIN, PKCS11Harness

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.long

PAGE = (Path(__file__).parents[2] / "docs" / "custody" / "pkcs11.md").read_text()
COMMANDS = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture
def token() -> Iterator[PKCS11Harness]:
    """A token without a key."""
    found = cast("PKCS11Harness", new_harness("pkcs11"))
    yield found
    found.close()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Where the store will be."""
    return tmp_path / "home"


def settings(token: PKCS11Harness, home: Path, **more: str) -> Settings:
    return load_settings(environ={**token.environment(home), **more})


def test_the_commands_of_the_page_are_run_as_they_stand(tmp_path: Path) -> None:
    """On a folder of tokens of their own, by whoever has SoftHSM2."""
    (tmp_path / "tokens").mkdir()
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "mfn"
    program.write_text(f'#!/bin/sh\nexec {shlex.join(PROGRAM)} "$@"\n')
    program.chmod(0o755)
    (tmp_path / "softhsm2.conf").write_text(f"directories.tokendir = {tmp_path / 'tokens'}\n")
    clean = {name: value for name, value in os.environ.items() if not name.startswith("MFN_")}
    done = subprocess.run(
        ["bash", "-eu", "-o", "pipefail", "-c", COMMANDS[0]],
        cwd=tmp_path,
        env={
            **clean,
            "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}",
            "SOFTHSM2_CONF": str(tmp_path / "softhsm2.conf"),
            "MFN_HOME": str(tmp_path / "home"),
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert "to be kept" in done.stdout


def test_init_makes_no_key_unless_it_is_asked_to(token: PKCS11Harness, home: Path) -> None:
    """It says how, and leaves no store id behind; then it is made, once."""
    chosen = settings(token, home)
    with pytest.raises(MasterKeyError, match=r"has no master key of the label .*mfn init --create"):
        initialise(settings=chosen)
    assert not (home / "store-id").exists()
    for create in (True, False, True):
        with initialise(settings=chosen, create_key=create) as keyring:
            assert isinstance(keyring.provider, PKCS11KeyProvider)
            assert len(keyring.provider.custodian.inspect().kek_ids) == 1
            assert keyring.decrypt(keyring.encrypt(b"data")) == b"data"


@pytest.mark.skipif(shutil.which("pkcs11-tool") is None, reason="OpenSC is not installed")
def test_the_command_that_init_prints_makes_the_key(token: PKCS11Harness, home: Path) -> None:
    """With OpenSC's tool; doctor says what it cannot say."""
    chosen = settings(token, home)
    with pytest.raises(MasterKeyError) as caught:
        initialise(settings=chosen)
    (command,) = re.findall("by hand: (.*)", str(caught.value))
    subprocess.run(
        [*shlex.split(command), "--pin", PIN], check=True, capture_output=True, timeout=60
    )
    with initialise(settings=chosen) as keyring:
        status = keyring.provider.custodian.inspect()
        assert status.kek_ids[0].startswith("pkcs11:01:")
        named = {re.findall(r"CKA_[A-Z_]+", each)[0] for each in status.warnings}
        assert named == {"CKA_WRAP", "CKA_UNWRAP", "CKA_SIGN"}


def test_a_store_is_not_begun_under_a_key_that_may_leave(token: PKCS11Harness, home: Path) -> None:
    """An extractable key is refused before anything is under it."""
    token.act("make-extractable")
    with pytest.raises(MasterKeyError, match="may be taken out of the token"):
        initialise(settings=settings(token, home))
    assert not (home / "store-id").exists()


def test_without_a_uri_nothing_is_opened(home: Path) -> None:
    """The message shows one."""
    chosen = load_settings(environ={"MFN_KEY_PROVIDER": "pkcs11", "MFN_HOME": str(home)})
    with pytest.raises(ConfigurationError, match=r"\(MFN_PKCS11_URI\) is missing"):
        initialise(settings=chosen)


def test_who_opens_the_store_is_asked_for_a_pin_that_no_file_gives(
    token: PKCS11Harness, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As for a passphrase: by a call, or as bytes."""
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    uri = token.uri.partition("&pin-source=")[0]
    chosen = settings(token, home, MFN_PKCS11_URI=uri)
    scheme = Pkcs11Scheme()
    assert scheme.needs_passphrase(chosen, Policy())
    assert not scheme.needs_passphrase(settings(token, home), Policy())
    with pytest.raises(MasterKeyError, match="the PIN of the HSM is not given"):
        initialise(settings=chosen, create_key=True)
    initialise(settings=chosen, create_key=True, passphrase=PIN.encode()).close()
    with open_keyring(settings=chosen, passphrase=lambda: PIN.encode()) as keyring:
        assert keyring.decrypt(keyring.encrypt(b"data")) == b"data"
    assert scheme.files(chosen) == [home / "store-id"]
    assert scheme.files(settings(token, home)) == [home / "store-id", token.pin_file]


def test_a_master_key_is_rotated_as_one_in_a_file(token: PKCS11Harness, home: Path) -> None:
    """A further one is made, everything goes under it, and the former is destroyed."""
    chosen = settings(token, home)
    with initialise(settings=chosen, create_key=True) as keyring:
        sealed = keyring.encrypt(b"data")
        before = keyring.provider.custodian.newest_id()
        after = keyring.provider.master_keys.rotate()
        assert keyring.provider.custodian.inspect().kek_ids == (after,)
        assert after != before
    with open_keyring(settings=chosen) as keyring:
        assert keyring.decrypt(sealed) == b"data"


def test_a_wrong_pin_is_told_from_an_absent_key(token: PKCS11Harness, home: Path) -> None:
    """And is not tried again."""
    token.pin_file.write_text("wrong-one\n")
    for says in ("the PIN is wrong", "refused this PIN"):
        with pytest.raises(CustodianDeniedError, match=says):
            initialise(settings=settings(token, home), create_key=True)
    assert KEY_LABEL not in token.pin_file.read_text()
