"""A store that is moved between two custodians of one kind, each for real: two Vault mounts, two
regions of AWS KMS, two tokens of an HSM."""

from __future__ import annotations

import json
import secrets
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from botocore.session import Session

from mycelium_fractal_net import initialise, open_keyring
from mycelium_fractal_net.bootstrap import build_policy, open_to_move
from mycelium_fractal_net.bootstrap.masters import master_status
from mycelium_fractal_net.cli import main
from mycelium_fractal_net.config import VARIABLES, load_settings
from mycelium_fractal_net.security.errors import CustodianDeniedError, MasterKeyError
from tests.support.custodians import NAMES, harness, new_harness
from tests.support.custodians.aws_kms import AWSKMSHarness
from tests.support.custodians.vault import VaultHarness, policy_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mycelium_fractal_net.config import Settings
    from tests.support.custodians import CustodianHarness

pytestmark = pytest.mark.long
KINDS = [name for name in NAMES if name != "local"]

Custody = dict[str, Any]
"""The settings of one custodian, as a configuration file has them."""


@contextmanager
def two_of(kind: str, folder: Path) -> Iterator[tuple[Custody, Custody]]:
    """The custodian of the session, and another of its kind, which has a master key too."""
    first = harness(kind)
    custody = custody_of(first, folder)
    other: Custody = dict(custody)
    if isinstance(first, VaultHarness):
        mount = other["vault_mount"] = f"transit-{secrets.token_hex(4)}"
        name = other["vault_key_name"] = "orders"
        first.bao.asked("POST", f"sys/mounts/{mount}", {"type": "transit"})
        first.bao.asked("POST", f"{mount}/keys/{name}", {"type": "aes256-gcm96", "derived": True})
        first.bao.write_policy(mount, policy_of(name).replace("transit/", f"{mount}/"))
        token = folder / "other-token"
        token.touch(mode=0o600)
        token.write_text(first.bao.token(mount))
        other["vault_token_file"] = str(token)
        yield custody, other
        first.bao.asked("DELETE", f"sys/mounts/{mount}")
    elif isinstance(first, AWSKMSHarness):
        other["aws_region"] = "eu-west-1"
        client = Session().create_client("kms", region_name="eu-west-1", endpoint_url=first.url)
        made = client.create_key()["KeyMetadata"]["KeyId"]
        client.create_alias(AliasName=other["aws_kms_key_id"], TargetKeyId=made)
        yield custody, other
        client.delete_alias(AliasName=other["aws_kms_key_id"])
        client.close()
    else:
        with closing(new_harness(kind)) as second:
            other = custody_of(second, folder)
            other["pkcs11_uri"] = other["pkcs11_uri"].replace("object=", "object=other%20")
            yield custody, other


def custody_of(custodian: CustodianHarness, folder: Path) -> Custody:
    """Its variables as settings."""
    section = "security.key_management."
    return {
        VARIABLES[name][0].removeprefix(section): value
        for name, value in custodian.environment(folder / "home").items()
        if name in VARIABLES and VARIABLES[name][0].startswith(section)
    }


class Configurations:
    """Configuration files over one home, each with the custodians that it names."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def naming(self, present: Custody, *former: Custody) -> Path:
        """The file with these custodians, the one that is to hold the store first."""
        file = self._folder / f"{secrets.token_hex(4)}.json"
        management = {**present, "former": list(former)}
        document = {"home": str(self._folder / "home"), "security": {"key_management": management}}
        file.write_text(json.dumps(document))
        return file


def settings_of(file: Path) -> Settings:
    return load_settings(config=file, environ={})


def left(file: Path) -> int | None:
    """The rows that are not yet under the newest master key of the first custodian."""
    settings = settings_of(file)
    found = master_status(settings, build_policy(settings))
    assert not found.unknown
    return found.left


def cut_off(_: int) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("kind", KINDS)
def test_a_store_moves_from_one_to_the_next_of_its_kind_and_back(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It serves all the while, a move that was cut off goes on, and external keys stay behind."""
    configurations = Configurations(tmp_path)
    with two_of(kind, tmp_path) as (old, new):
        alone, both = configurations.naming(old), configurations.naming(new, old)
        with initialise(settings=settings_of(alone)) as keyring:
            for name in ("orders", "cards"):
                keyring.provider.keys.create(name)
                keyring.provider.rotate_key(name)
            keyring.provider.credentials.create("app", ("encrypt:*",))
            keyring.provider.keys.create(
                "release", "signing", algorithm="ECDSA-P256", external=True
            )
            signature = keyring.sign(b"data", key_id="release")
            message = keyring.encrypt(b"data", key_id="orders")
        with initialise(settings=settings_of(both), create_key=kind == "pkcs11"):
            pass  # which makes the other's master key where there is none

        with open_keyring(config=both) as serving:
            with (
                open_to_move(settings_of(both), kind) as moving,
                pytest.raises(KeyboardInterrupt),
            ):
                moving.provider.master_keys.migrate(cut_off)
            assert left(both)  # and nothing is under a master key of nobody
            serving.refresh()
            assert serving.decrypt(message) == b"data"
            between = serving.encrypt(b"between", key_id="cards")
            assert main(["--config", str(both), "master", "migrate", "--to", kind]) == 0
            assert (
                f"the external key release stays with the former {kind}" in capsys.readouterr().out
            )
            serving.refresh()
            assert serving.decrypt(between) == b"between"
            serving.verify(b"data", signature, key_id="release")
            serving.verify(b"data", serving.sign(b"data", key_id="release"), key_id="release")
            assert serving.provider.rotate_key("release") == "release:v2"
        with pytest.raises(MasterKeyError), open_keyring(config=alone) as keyring:
            keyring.decrypt(message)
        with open_keyring(config=configurations.naming(new)) as keyring:
            assert keyring.decrypt(message) == b"data"
            assert keyring.decrypt(between) == b"between"
            external = keyring.provider.keys.external
            release = keyring.provider.keys.get("release")
            external.check(release, release.latest)  # made by the present one
            with pytest.raises(CustodianDeniedError):
                external.check(release, release.version(1))

        back = configurations.naming(old, new)
        assert main(["--config", str(back), "master", "migrate", "--to", kind]) == 0
        assert left(configurations.naming(old)) == 0
        with open_keyring(config=alone) as keyring:
            assert keyring.decrypt(message) == b"data"
