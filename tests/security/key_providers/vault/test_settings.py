"""What the settings must say before a Vault is asked, and what becomes of them."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any

import pytest

from mycelium_fractal_net.bootstrap.custodians import scheme_of
from mycelium_fractal_net.bootstrap.custodians.vault import VaultScheme
from mycelium_fractal_net.config import load_settings
from mycelium_fractal_net.security.errors import ConfigurationError, ExitCode
from mycelium_fractal_net.security.key_providers.vault import VaultCustodian, VaultKeyProvider
from mycelium_fractal_net.security.key_store import Database
from mycelium_fractal_net.security.policy import Policy
from tests.support.cli import one_line
from tests.support.custodians import harness
from tests.support.custodians.place import Place

if TYPE_CHECKING:
    from pathlib import Path

    from mycelium_fractal_net.config import Settings
    from tests.support.cli import Mfn

ADDRESS = "https://vault.example:8200"


def settings(folder: Path, **key_management: Any) -> Settings:
    """A configuration with that section."""
    path = folder / "mfn.json"
    section = {"provider": "vault", **key_management}
    path.write_text(json.dumps({"security": {"key_management": section}}))
    return load_settings(path, home=folder / "home", environ={})


def connected(folder: Path, **key_management: Any) -> VaultCustodian:
    custodian = VaultScheme().connect(settings(folder, **key_management), Policy())
    custodian.close()
    return custodian


COMPLETE: dict[str, dict[str, Any]] = {
    "token": {"vault_token": "t"},
    "token-file": {"vault_token_file": "/token"},
    "approle": {"vault_auth": "approle", "vault_role": "r", "vault_secret_id_file": "/secret-id"},
    "jwt": {"vault_auth": "jwt", "vault_role": "r", "vault_jwt_file": "/jwt"},
    "kubernetes": {"vault_auth": "kubernetes", "vault_role": "r"},
}


@pytest.mark.parametrize("method", COMPLETE)
def test_nobody_is_asked_before_a_key_is_needed(tmp_path: Path, method: str) -> None:
    """So that what does not need one, such as the doctor, says what is wrong."""
    chosen = {"vault_addr": ADDRESS, "vault_namespace": "/team/a/", **COMPLETE[method]}
    assert connected(tmp_path, **chosen).scheme == "vault"


@pytest.mark.parametrize(
    ("given", "missing"),
    [
        ({"vault_token": "t"}, "vault_addr (MFN_VAULT_ADDR)"),
        ({}, "vault_token_file (MFN_VAULT_TOKEN_FILE) or vault_token (MFN_VAULT_TOKEN)"),
        ({**COMPLETE["approle"], "vault_role": None}, "vault_role"),
        ({**COMPLETE["approle"], "vault_secret_id_file": None}, "vault_secret_id_file"),
        ({**COMPLETE["jwt"], "vault_jwt_file": None}, "vault_jwt_file"),
        ({"vault_auth": "cert"}, "vault_client_certificate"),
    ],
)
def test_a_setting_that_is_missing_is_named(
    tmp_path: Path, given: dict[str, Any], missing: str
) -> None:
    """Before anything is made."""
    address = {} if "vault_addr" in missing else {"vault_addr": ADDRESS}
    chosen = {name: value for name, value in {**address, **given}.items() if value is not None}
    with pytest.raises(ConfigurationError) as caught:
        connected(tmp_path, **chosen)
    assert str(caught.value) == f"security.key_management lacks {missing}"


def test_all_that_is_missing_is_named_at_once(mfn: Mfn, monkeypatch: pytest.MonkeyPatch) -> None:
    """By every command, the address first, before it says what a store lacks; nothing is made."""
    for name in ("keys.db", "master.key"):
        (mfn.home / name).unlink()
    monkeypatch.setenv("MFN_KEY_PROVIDER", "vault")
    for command in ("init", "key list", "master status", "backup file"):
        told = one_line(mfn(*command.split()), ExitCode.CONFIGURATION)
        assert "lacks vault_addr (MFN_VAULT_ADDR), and vault_token_file (MFN" in told, command
    assert not (mfn.home / "keys.db").exists()
    monkeypatch.setenv("MFN_VAULT_ADDR", ADDRESS)
    monkeypatch.setenv("MFN_VAULT_TOKEN", "t")
    assert "create it: mfn init" in one_line(mfn("key", "list"), ExitCode.STORE)
    with contextlib.closing(Database(mfn.home / "keys.db")) as database:
        database.create()
    assert "never initialised; run: mfn init" in one_line(mfn("key", "list"), ExitCode.STORE)


def test_two_tokens_are_refused(tmp_path: Path) -> None:
    """Nobody would know which is used."""
    both = {**COMPLETE["token"], **COMPLETE["token-file"]}
    with pytest.raises(ConfigurationError, match="give one"):
        connected(tmp_path, vault_addr=ADDRESS, **both)


@pytest.mark.parametrize("setting", ["vault_mount", "vault_namespace", "vault_auth_mount"])
@pytest.mark.parametrize("text", ["/", "a//b", "../sys", "a/../b", "a b", "a?b", "\u00e4"])
def test_what_is_no_path_is_refused(tmp_path: Path, setting: str, text: str) -> None:
    """It would lead elsewhere on the server."""
    chosen = {"vault_addr": ADDRESS, **COMPLETE["kubernetes"], setting: text}
    with pytest.raises(ConfigurationError, match=f"{setting} is no path"):
        connected(tmp_path, **chosen)


def test_the_files_that_nobody_else_may_use_are_looked_at(tmp_path: Path) -> None:
    """The token, the secret id, the client's private key, beside the id of the store."""
    names = ("vault_token_file", "vault_secret_id_file", "vault_client_key")
    files = {name: str(tmp_path / name) for name in names}
    chosen = settings(tmp_path, vault_addr=ADDRESS, **files)
    assert sorted(map(str, scheme_of(chosen).files(chosen))) == sorted(files.values())


def test_a_store_under_vault_is_used_as_every_other(tmp_path: Path) -> None:
    """The plan's provider, by its name."""
    place = Place.of(tmp_path / "home", harness("vault"))
    with place.init() as keyring:
        assert isinstance(keyring.provider, VaultKeyProvider)
        name = keyring.provider.generate_key("encryption")
        sealed = keyring.encrypt(b"data", key_id=name)
        first = keyring.provider.get_key(name)
        assert keyring.provider.rotate_key(name) == f"{name}:v2"
    with place.open() as keyring:
        assert keyring.decrypt(sealed) == b"data"
        assert keyring.provider.get_key(f"{name}:v1") == first != keyring.provider.get_key(name)
