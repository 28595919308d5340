"""A master key in the transit engine of a real OpenBao."""

from __future__ import annotations

import base64
import dataclasses
import threading
from typing import TYPE_CHECKING

import pytest

from mycelium_fractal_net.security.errors import (
    CustodianDeniedError,
    CustodianUnavailableError,
    MasterKeyError,
    StoreIntegrityError,
)
from mycelium_fractal_net.security.key_providers import Binding, SigningCustodian
from mycelium_fractal_net.security.key_providers.vault import VaultCustodian
from mycelium_fractal_net.security.key_providers.vault.custodian import BATCH_ITEMS
from mycelium_fractal_net.security.key_providers.vault.logins import GivenToken
from mycelium_fractal_net.security.key_providers.vault.session import Session
from mycelium_fractal_net.security.key_providers.vault.transport import Address, Transport
from tests.support.custodians.vault import custodian_of
from tests.support.scripted import Scripted, answer, scripted

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.custodians.vault import Bao

MATERIAL = b"k" * 64


def bound(version: int = 1) -> Binding:
    return Binding(bytes(16), "orders", "encryption", "data", "AES-256-GCM", version, b"12345678")


def kek(name: str, version: int = 1) -> str:
    return f"vault:{name}:v{version}"


def wrapped(custodian: VaultCustodian, name: str, version: int = 1) -> bytes:
    return custodian.wrap_many(kek(name, version), [(MATERIAL, bound())])[0]


def test_what_was_wrapped_unwraps_under_its_binding_alone(
    custodian: VaultCustodian, name: str
) -> None:
    """What is stored says the version; a changed bit, another binding, another key are refused."""
    sealed = wrapped(custodian, name)
    assert sealed.startswith(b"vault:v1:")
    assert custodian.unwrap_many(kek(name), [(sealed, bound())]) == [MATERIAL]
    head, _, body = sealed.rpartition(b":")
    raw = bytearray(base64.b64decode(body))
    raw[-1] ^= 1
    changed = head + b":" + base64.b64encode(raw)
    for edited, binding in (
        (changed, bound()),
        (sealed, bound(2)),
        (sealed, dataclasses.replace(bound(), store_id=b"another store!!!")),
        (b"vault:v1:AAAA", bound()),
    ):
        with pytest.raises(StoreIntegrityError, match="of key 'orders' does not unwrap"):
            custodian.unwrap_many(kek(name), [(sealed, bound()), (edited, binding)])
        with pytest.raises(StoreIntegrityError, match="of key 'orders' does not unwrap"):
            custodian.rewrap_many(kek(name), kek(name), [(sealed, bound()), (edited, binding)])
    assert isinstance(custodian, SigningCustodian)


@pytest.mark.parametrize("text", [b"", b"vault:v2:AAAA", b"vault:v1:", b'vault:v1:"}', b"\xff"])
def test_what_is_not_wrapped_under_the_version_named_is_refused_unasked(
    bao: Bao, name: str, text: bytes
) -> None:
    """No part of a row is sent that does not look as it must."""
    nobody = VaultCustodian(
        Session(Transport(Address("127.0.0.1", 1)), GivenToken("none")), name=name
    )
    with pytest.raises(StoreIntegrityError):
        nobody.unwrap_many(kek(name), [(text, bound())])


def test_it_holds_the_versions_of_the_configured_key_alone(
    custodian: VaultCustodian, name: str
) -> None:
    """By configuration: nobody is asked."""
    assert custodian.holds(kek(name, 999_999_999))
    for other in (f"vault:{name}x:v1", f"vault:{name}:v0", f"vault:{name}:v01", "local:1", ""):
        assert not custodian.holds(other)
    with pytest.raises(MasterKeyError, match="not a version"):
        custodian.wrap_many("vault:other:v1", [(MATERIAL, bound())])


def test_the_newest_version_is_known_within_two_seconds(
    bao: Bao, custodian: VaultCustodian, name: str
) -> None:
    """And at once by a ping; what is wrapped stays under the version that is named."""
    assert custodian.newest_id() == kek(name)
    bao.rotate(name)
    assert custodian.newest_id() == kek(name)
    assert wrapped(custodian, name).startswith(b"vault:v1:")
    custodian.ping()
    assert custodian.newest_id() == kek(name, 2)


def test_a_move_to_another_version_happens_on_the_server(
    bao: Bao, custodian: VaultCustodian, name: str
) -> None:
    """More than fit a batch at once, in order; to the version that is named, not to the latest."""
    count = BATCH_ITEMS + 2
    items = [(bytes([number % 256]) * 32, bound(number + 1)) for number in range(count)]
    sealed = custodian.wrap_many(kek(name), items)
    bao.rotate(name)
    bao.rotate(name)
    again = [(each, binding) for each, (_, binding) in zip(sealed, items, strict=True)]
    moved = custodian.rewrap_many(kek(name), kek(name, 2), again)
    assert all(each.startswith(b"vault:v2:") for each in moved)
    again = [(each, binding) for each, (_, binding) in zip(moved, items, strict=True)]
    assert custodian.unwrap_many(kek(name, 2), again) == [material for material, _ in items]
    assert custodian.wrap_many(kek(name), []) == []


def test_threads_get_each_its_own_answer(custodian: VaultCustodian, name: str) -> None:
    """Connections are shared in turn, never at once."""
    wrong: list[int] = []

    def use(number: int) -> None:
        for each in range(20):
            material = f"{number}-{each}".encode() * 8
            sealed = custodian.wrap_many(kek(name), [(material, bound(number + 1))])
            opened = custodian.unwrap_many(kek(name), [(sealed[0], bound(number + 1))])
            if opened != [material]:
                wrong.append(number)

    threads = [threading.Thread(target=use, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


# Refusals -----------------------------------------------------------------------------------


def test_a_version_that_is_disabled_is_a_refusal_and_no_tampering(
    bao: Bao, custodian: VaultCustodian, name: str
) -> None:
    """Its own text for what decrypts no more, and for what only encrypts no more."""
    sealed = wrapped(custodian, name)
    bao.rotate(name)
    bao.configure(name, min_encryption_version=2)
    assert custodian.unwrap_many(kek(name), [(sealed, bound())]) == [MATERIAL]
    with pytest.raises(CustodianDeniedError, match="encrypts no more: its min_encryption_version"):
        wrapped(custodian, name)
    with pytest.raises(CustodianDeniedError, match="encrypts no more"):
        custodian.rewrap_many(kek(name), kek(name), [(sealed, bound())])
    bao.configure(name, min_decryption_version=2)
    for call in (
        lambda: custodian.unwrap_many(kek(name), [(sealed, bound())]),
        lambda: custodian.rewrap_many(kek(name), kek(name, 2), [(sealed, bound())]),
    ):
        with pytest.raises(CustodianDeniedError, match="disabled: its min_decryption_version is 2"):
            call()
    bao.asked("POST", f"transit/keys/{name}/trim", {"min_available_version": 2})
    with pytest.raises(CustodianDeniedError, match="disabled"):
        custodian.unwrap_many(kek(name), [(sealed, bound())])


def test_a_key_that_is_gone_is_no_tampering(bao: Bao, custodian: VaultCustodian, name: str) -> None:
    """Nor one that was made anew: its versions are too few. To make it is not permitted."""
    sealed = wrapped(custodian, name)
    bao.rotate(name)
    newer = custodian.wrap_many(kek(name, 2), [(MATERIAL, bound())])[0]
    bao.delete(name)
    for call in (
        lambda: wrapped(custodian, name),
        lambda: custodian.unwrap_many(kek(name), [(sealed, bound())]),
        lambda: custodian.rewrap_many(kek(name), kek(name), [(sealed, bound())]),
        custodian.ping,
    ):
        with pytest.raises(MasterKeyError, match=f"has no key {name} at transit: bao write -f"):
            call()
    bao.make_key(name)
    with pytest.raises(MasterKeyError, match="has no version 2"):
        custodian.unwrap_many(kek(name, 2), [(newer, bound())])
    with pytest.raises(MasterKeyError, match="has no version 2"):
        wrapped(custodian, name, 2)
    with pytest.raises(StoreIntegrityError):
        custodian.unwrap_many(kek(name), [(sealed, bound())])


def test_a_key_that_is_deleted_and_restorable_is_a_refusal(
    bao: Bao, custodian: VaultCustodian, name: str
) -> None:
    """OpenBao's soft deletion: it is used by nobody until it is restored."""
    sealed = wrapped(custodian, name)
    bao.asked("DELETE", f"transit/keys/{name}/soft-delete")
    for call in (
        lambda: wrapped(custodian, name),
        lambda: custodian.unwrap_many(kek(name), [(sealed, bound())]),
        lambda: custodian.rewrap_many(kek(name), kek(name), [(sealed, bound())]),
    ):
        with pytest.raises(CustodianDeniedError, match="deleted, and restorable"):
            call()
    bao.asked("POST", f"transit/keys/{name}/soft-delete-restore")
    assert custodian.unwrap_many(kek(name), [(sealed, bound())]) == [MATERIAL]


@pytest.mark.parametrize(("verb", "capability"), [
    ("encrypt", "update"), ("decrypt", "update"), ("rewrap", "update"), ("keys", "read"),
])  # fmt: skip
def test_a_policy_that_lacks_a_line_is_told_which(
    bao: Bao, custodian: VaultCustodian, name: str, verb: str, capability: str
) -> None:
    """Also where the key may not be read, which says otherwise what a refusal means."""
    sealed = wrapped(custodian, name)
    denied = f'path "transit/{verb}/{name}" {{ capabilities = ["deny"] }}'
    permitted = 'path "transit/*" { capabilities = ["read", "update"] }'
    calls: dict[str, Callable[[], object]] = {
        "encrypt": lambda: wrapped(custodian, name),
        "decrypt": lambda: custodian.unwrap_many(kek(name), [(sealed, bound())]),
        "rewrap": lambda: custodian.rewrap_many(kek(name), kek(name), [(sealed, bound())]),
        "keys": custodian.ping,
    }
    for others in (permitted, 'path "transit/*" { capabilities = ["deny"] }'):
        bao.write_policy(name, f"{denied}\n{others}")
        with pytest.raises(CustodianDeniedError) as caught:
            calls[verb]()
        line = f'lacks path "transit/{verb}/{name}" {{ capabilities = ["{capability}"] }}'
        assert line in str(caught.value)


def test_a_token_that_is_none_is_a_refusal_of_its_own(bao: Bao, name: str) -> None:
    """No policy mends it."""
    with pytest.raises(CustodianDeniedError, match="does not accept the token"):
        custodian_of(bao, GivenToken("s.none"), name=name).ping()


def test_a_sealed_vault_is_an_outage_and_serves_again_once_it_is_unsealed(
    bao: Bao, custodian: VaultCustodian, name: str
) -> None:
    """Without being opened anew."""
    sealed = wrapped(custodian, name)
    bao.seal()
    with pytest.raises(CustodianUnavailableError, match="is sealed"):
        custodian.unwrap_many(kek(name), [(sealed, bound())])
    bao.unseal()
    assert custodian.unwrap_many(kek(name), [(sealed, bound())]) == [MATERIAL]


def test_a_namespace_has_keys_of_its_own(bao: Bao, name: str) -> None:
    """The same names elsewhere are other keys."""
    bao.asked("POST", f"sys/namespaces/{name}")
    bao.asked("POST", f"{name}/sys/mounts/transit", {"type": "transit"})
    there = custodian_of(bao, GivenToken(bao.root_token), name=name, namespace=name)
    with pytest.raises(MasterKeyError, match="has no key"):
        there.ping()
    there.make_key()
    assert there.unwrap_many(kek(name), [(wrapped(there, name), bound())]) == [MATERIAL]
    assert bao.ask("GET", f"transit/keys/{name}").status == 404
    assert bao.ask("GET", f"{name}/transit/keys/{name}").status == 200


# Making the key -----------------------------------------------------------------------------


def test_the_key_is_made_by_a_token_that_may(bao: Bao, name: str, token: str) -> None:
    """Once: where it is there nothing changes. The least policy does not permit it."""
    with pytest.raises(CustodianDeniedError, match=rf'lacks path "transit/keys/{name}"'):
        custodian_of(bao, GivenToken(token), name=name).make_key()
    root = custodian_of(bao, GivenToken(bao.root_token), name=name)
    for _ in range(2):
        root.make_key()
        assert root.newest_id() == kek(name)


def test_an_engine_that_is_not_mounted_is_said(bao: Bao, name: str) -> None:
    """With the command that mounts it."""
    address = Address.parse(bao.address, ca_file=bao.ca_file)
    session = Session(Transport(address), GivenToken(bao.root_token))
    nowhere = VaultCustodian(session, name=name, mount="nowhere")
    for call in (nowhere.ping, nowhere.make_key):
        with pytest.raises(MasterKeyError, match="bao secrets enable -path=nowhere transit"):
            call()


@pytest.mark.parametrize("options", [{"derived": False}, {"type": "chacha20-poly1305"}])
def test_a_key_of_another_kind_is_refused(bao: Bao, name: str, options: dict[str, object]) -> None:
    """Rewrapping needs a derived one, and its kind cannot be changed."""
    bao.make_key(name, **options)
    root = custodian_of(bao, GivenToken(bao.root_token), name=name)
    for call in (root.ping, root.newest_id, root.make_key):
        with pytest.raises(MasterKeyError, match="is not of type aes256-gcm96 and derived"):
            call()


# Answers that no Vault gives ----------------------------------------------------------------

KEY = {
    "type": "aes256-gcm96", "derived": True, "latest_version": 1, "min_decryption_version": 1,
    "min_encryption_version": 0, "deletion_allowed": False, "exportable": False,
    "allow_plaintext_backup": False, "keys": {"1": 1},
}  # fmt: skip
KEY_ANSWER = answer(200, {"data": KEY})


def over(server: Scripted) -> VaultCustodian:
    """A custodian that asks that server."""
    session = Session(Transport(Address.parse(server.address)), GivenToken("token"))
    return VaultCustodian(session, name="k")


@pytest.mark.parametrize(
    "said",
    [
        answer(200, {}),
        answer(200, {"data": {"batch_results": {}}}),
        answer(200, {"data": {"batch_results": []}}),
        answer(200, {"data": {"batch_results": [{}, {}]}}),
        answer(200, {"data": {"batch_results": [{}]}}),
        answer(200, {"data": {"batch_results": ["?"]}}),
        answer(200, {"data": {"batch_results": [{"ciphertext": "vault:v2:AAAA"}]}}),
        answer(200, {"data": {"batch_results": [{"ciphertext": "vault:v1:"}]}}),
        answer(200, {"data": {"batch_results": [{"ciphertext": 7}]}}),
        answer(418, {"data": {"batch_results": [{"ciphertext": "vault:v1:AAAA"}]}}),
    ],
)
def test_an_answer_that_does_not_fit_is_an_outage(said: bytes) -> None:
    """Of a wrapping: nothing is stored that is not under the version that was named."""
    with scripted(said, KEY_ANSWER) as server, pytest.raises(CustodianUnavailableError):
        over(server).wrap_many("vault:k:v1", [(MATERIAL, bound())])


def test_a_failure_of_the_server_is_a_refusal_where_the_key_says_so() -> None:
    """Else it is an outage, which says the status."""
    disabled = answer(200, {"data": {**KEY, "latest_version": 2, "min_decryption_version": 2}})
    for described, error, text in (
        (disabled, CustodianDeniedError, "is disabled"),
        (KEY_ANSWER, CustodianUnavailableError, "fails, with status 500"),
    ):
        with scripted(answer(500, {}), described) as server, pytest.raises(error, match=text):
            over(server).unwrap_many("vault:k:v1", [(b"vault:v1:AAAA", bound())])


def test_a_node_that_is_behind_another_is_an_outage() -> None:
    """It has not the version yet that another node of the same server had: it will."""
    newer = answer(200, {"data": {**KEY, "latest_version": 2}})
    with scripted(newer, answer(400, {}), KEY_ANSWER) as server:
        custodian = over(server)
        assert custodian.newest_id() == "vault:k:v2"
        with pytest.raises(CustodianUnavailableError, match="behind the node that was asked"):
            custodian.wrap_many("vault:k:v2", [(MATERIAL, bound())])


@pytest.mark.parametrize("found", [{}, {"plaintext": "?"}, {"plaintext": None}, {"plaintext": "A"}])
def test_a_plaintext_that_is_none_is_an_outage(found: dict[str, object]) -> None:
    """It is not a key."""
    said = answer(200, {"data": {"batch_results": [found]}})
    with scripted(said) as server, pytest.raises(CustodianUnavailableError, match="cannot be used"):
        over(server).unwrap_many("vault:k:v1", [(b"vault:v1:AAAA", bound())])


@pytest.mark.parametrize(
    "said",
    [
        answer(200),
        answer(200, {"data": 1}),
        answer(400, {}),
        answer(200, {"data": {**KEY, "keys": 1}}),
        answer(200, {"data": {**KEY, "keys": {"first": 1}}}),
        answer(200, {"data": {**KEY, "latest_version": float("inf")}}),
    ],
)
def test_a_description_of_the_key_that_is_none_is_an_outage(said: bytes) -> None:
    """Nothing is taken from half of one."""
    with scripted(said) as server, pytest.raises(CustodianUnavailableError):
        over(server).ping()
