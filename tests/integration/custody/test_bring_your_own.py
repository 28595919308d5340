"""Keys brought along and taken along: under each custodian, and to and from a real OpenBao."""

from __future__ import annotations

import base64
import secrets
from typing import TYPE_CHECKING, Any

import pytest

from mycelium_fractal_net.security.policy import Policy
from mycelium_fractal_net.security.records.keys import KeyOrigin
from tests.support.algorithms import WRAPPING
from tests.support.custodians import MOVES, harness
from tests.support.custodians.place import Place
from tests.support.custodians.vault import Bao, VaultHarness
from tests.support.key_transport import key_to_wrap_for
from tests.support.stores import keyring_over

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mycelium_fractal_net.security.key_providers import LocalKeyProvider
    from tests.support.custodians import CustodianHarness

pytestmark = pytest.mark.long
POLICY = Policy()
SIGNING = {"ECDSA-P256": "ecdsa-p256", "ECDSA-P384": "ecdsa-p384", "Ed25519": "ed25519"}


@pytest.mark.parametrize("method", ["rsa-aes", WRAPPING])
def test_a_key_comes_and_goes_under_each_custodian(
    tmp_path: Path, custodian: CustodianHarness, method: str
) -> None:
    """What opens an import is wrapped by it, 2,400 bytes of RSA too; another process ends it."""
    place = Place.of(tmp_path / "home", custodian)
    material = secrets.token_bytes(32)
    with place.init() as keyring:
        pending = keyring.provider.imports.begin("card", exportable=True, method=method)
    wrapped = POLICY.wrapping_key(pending.public_key).wrap(material)
    with place.open() as keyring:
        made = keyring.provider.imports.finish(pending.import_id, wrapped)
        assert made.latest.origin is KeyOrigin.IMPORTED
        own = key_to_wrap_for(method)
        exported = keyring.provider.exports.wrap_for(own.public.pem(), "card")
        assert own.unwrap(exported.wrapped) == material
        assert keyring.decrypt(keyring.encrypt(b"data", key_id="card")) == b"data"


def test_an_import_goes_along_where_the_store_moves(
    tmp_path: Path, custodian: CustodianHarness
) -> None:
    """What opens it is rewrapped by the next custodian, and the key that was wrapped comes in."""
    other = harness(MOVES[custodian.name])
    here = Place.of(tmp_path / "home", custodian, other)
    with here.init() as keyring:
        pending = keyring.provider.imports.begin("card")
    here.ok("master", "migrate", "--to", other.name)
    wrapped = POLICY.wrapping_key(pending.public_key).wrap(bytes(32))
    with here.under(other.name).open() as keyring:
        keyring.provider.imports.finish(pending.import_id, wrapped)
        assert keyring.provider.get_key("card") == bytes(32)


# To and from Vault -------------------------------------------------------------------------------


@pytest.fixture
def bao() -> Bao:
    """The OpenBao of this test process, with a transit engine."""
    found = harness("vault")
    assert isinstance(found, VaultHarness)
    return found.bao


@pytest.fixture
def name(bao: Bao) -> Iterator[str]:
    """The name of a key there, which is deleted in the end."""
    made = f"t-{secrets.token_hex(6)}"
    yield made
    bao.delete(made)


def imported_there(bao: Bao, name: str, kind: str, wrapped: bytes) -> None:
    """``transit/keys/NAME/import``, as its documentation has it."""
    body = {"ciphertext": base64.b64encode(wrapped).decode(), "hash_function": "SHA256"}
    bao.asked("POST", f"transit/keys/{name}/import", {**body, "type": kind, "exportable": True})


def exported_there(bao: Bao, name: str, public_key: str) -> bytes:
    """``transit/byok-export``: a key of theirs, wrapped for a public key that they were given."""
    to = f"{name}-to"
    bao.asked("POST", f"transit/keys/{to}/import", {"public_key": public_key, "type": "rsa-4096"})
    keys: dict[str, Any] = bao.asked("GET", f"transit/byok-export/{to}/{name}")["data"]["keys"]
    bao.delete(to)
    return base64.b64decode(keys["1"])


def test_vault_takes_a_key_of_ours_and_opens_what_it_sealed(
    bao: Bao, name: str, local_provider: LocalKeyProvider
) -> None:
    """And the other way round: its ciphertext is the raw form."""
    local_provider.keys.create("card", exportable=True)
    theirs = bao.asked("GET", "transit/wrapping_key")["data"]["public_key"]
    exported = local_provider.exports.wrap_for(theirs.encode(), "card", "rsa-aes")
    imported_there(bao, name, "aes256-gcm96", exported.wrapped)
    with keyring_over(local_provider) as keyring:
        sealed = keyring.encrypt(b"data", key_id="card", format="raw")
        text = f"vault:v1:{base64.b64encode(sealed).decode()}"
        opened = bao.asked("POST", f"transit/decrypt/{name}", {"ciphertext": text})["data"]
        assert base64.b64decode(opened["plaintext"]) == b"data"
        data = {"plaintext": base64.b64encode(b"theirs").decode()}
        made = bao.asked("POST", f"transit/encrypt/{name}", data)["data"]["ciphertext"]
        raw = base64.b64decode(made.removeprefix("vault:v1:"))
        assert keyring.decrypt(raw, key_id="card:v1", format="raw") == b"theirs"


@pytest.mark.parametrize("algorithm", SIGNING)
def test_vault_takes_a_signing_key_of_ours(
    bao: Bao, name: str, local_provider: LocalKeyProvider, algorithm: str
) -> None:
    """It signs with it, and we verify."""
    local_provider.keys.create("release", "signing", algorithm=algorithm, exportable=True)
    theirs = bao.asked("GET", "transit/wrapping_key")["data"]["public_key"]
    exported = local_provider.exports.wrap_for(theirs.encode(), "release")
    imported_there(bao, name, SIGNING[algorithm], exported.wrapped)
    hashed = "sha2-384" if algorithm == "ECDSA-P384" else "sha2-256"
    asked = {"input": base64.b64encode(b"data").decode(), "hash_algorithm": hashed}
    made = bao.asked("POST", f"transit/sign/{name}", asked)["data"]["signature"]
    with keyring_over(local_provider) as keyring:
        keyring.verify(b"data", base64.b64decode(made.split(":")[2]), key_id="release")


def test_a_key_of_vaults_is_brought_along(
    bao: Bao, name: str, local_provider: LocalKeyProvider
) -> None:
    """What it sealed before opens here."""
    bao.asked("POST", f"transit/keys/{name}", {"type": "aes256-gcm96", "exportable": True})
    data = {"plaintext": base64.b64encode(b"theirs").decode()}
    made = bao.asked("POST", f"transit/encrypt/{name}", data)["data"]["ciphertext"]
    pending = local_provider.imports.begin("card")
    local_provider.imports.finish(pending.import_id, exported_there(bao, name, pending.pem()))
    with keyring_over(local_provider) as keyring:
        raw = base64.b64decode(made.removeprefix("vault:v1:"))
        assert keyring.decrypt(raw, key_id="card:v1", format="raw") == b"theirs"


@pytest.mark.parametrize("algorithm", SIGNING)
def test_a_signing_key_of_vaults_is_brought_along(
    bao: Bao, name: str, local_provider: LocalKeyProvider, algorithm: str
) -> None:
    """Its public key is the one that they show, and what they signed before verifies."""
    bao.asked("POST", f"transit/keys/{name}", {"type": SIGNING[algorithm], "exportable": True})
    pending = local_provider.imports.begin("release", "signing", algorithm=algorithm)
    local_provider.imports.finish(pending.import_id, exported_there(bao, name, pending.pem()))
    with keyring_over(local_provider) as keyring:
        signature = keyring.sign(b"data", key_id="release")
    hashed = "sha2-384" if algorithm == "ECDSA-P384" else "sha2-256"
    asked = {
        "input": base64.b64encode(b"data").decode(),
        "signature": f"vault:v1:{base64.b64encode(signature).decode()}",
        "hash_algorithm": hashed,
    }
    assert bao.asked("POST", f"transit/verify/{name}", asked)["data"]["valid"] is True
