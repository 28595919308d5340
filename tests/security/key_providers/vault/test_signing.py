"""Signing keys that a real OpenBao makes and keeps."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from mycelium_fractal_net.security.algorithms.names import ED25519_MESSAGE_BYTES
from mycelium_fractal_net.security.errors import CustodianDeniedError, CustodianUnavailableError
from mycelium_fractal_net.security.key_providers import Binding
from mycelium_fractal_net.security.key_providers.together import MOST
from mycelium_fractal_net.security.key_providers.vault import VaultCustodian
from mycelium_fractal_net.security.key_providers.vault.logins import GivenToken
from mycelium_fractal_net.security.key_providers.vault.session import Session
from mycelium_fractal_net.security.key_providers.vault.transport import Address, Transport
from tests.support.scripted import answer, scripted

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.custodians.vault import Bao

ALGORITHMS = ("Ed25519", "ECDSA-P256", "ECDSA-P384")


def bound(name: str, algorithm: str) -> Binding:
    """Of a version of a key of its own, for each test."""
    handle = f"{name:0>8}".encode()
    return Binding(bytes(16), "release", "signing", "data", algorithm, 1, handle)


def verify(algorithm: str, spki: bytes, signature: bytes, message: bytes) -> None:
    """As a stranger would who has the public key."""
    public: Any = serialization.load_der_public_key(spki)
    if algorithm == "Ed25519":
        assert isinstance(public, ed25519.Ed25519PublicKey)
        public.verify(signature, message)
        return
    curve, digest = {
        "ECDSA-P256": (ec.SECP256R1, hashes.SHA256),
        "ECDSA-P384": (ec.SECP384R1, hashes.SHA384),
    }[algorithm]
    assert isinstance(public.curve, curve)
    public.verify(signature, message, ec.ECDSA(digest()))


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_key_that_never_leaves_signs_what_everybody_verifies(
    custodian: VaultCustodian, name: str, bao: Bao, algorithm: str
) -> None:
    """With the least policy: made, used, looked at, destroyed."""
    assert algorithm in custodian.signing_algorithms
    made = custodian.create_signing_key(algorithm, bound(name, algorithm))
    assert custodian.signing_public_key(made.reference) == made.public_key
    for message in (b"", b"message", b"x" * ED25519_MESSAGE_BYTES):
        signature = custodian.sign(made.reference, algorithm, message)
        verify(algorithm, made.public_key, signature, message)
        with pytest.raises(InvalidSignature):
            verify(algorithm, made.public_key, signature, message + b"!")
    described = bao.asked("GET", f"transit/keys/{made.reference}")["data"]
    assert not described["exportable"]
    for _ in range(2):
        custodian.destroy_signing_key(made.reference)
    assert bao.ask("GET", f"transit/keys/{made.reference}").status == 404
    gone: tuple[Callable[[], object], ...] = (
        lambda: custodian.sign(made.reference, algorithm, b"message"),
        lambda: custodian.signing_public_key(made.reference),
    )
    for call in gone:
        with pytest.raises(CustodianDeniedError, match="not in Vault any more"):
            call()


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_many_messages_are_signed_by_one_request(
    custodian: VaultCustodian, name: str, bao: Bao, algorithm: str
) -> None:
    """As many as ever go together, in their order, the longest there are, by the first version."""
    made = custodian.create_signing_key(algorithm, bound(name, algorithm))
    bao.rotate(made.reference)
    messages = [bytes([number]) * ED25519_MESSAGE_BYTES for number in range(MOST)]
    signed = custodian.sign_many(made.reference, algorithm, messages)
    for message, signature in zip(messages, signed, strict=True):
        verify(algorithm, made.public_key, signature, message)
    verify(
        algorithm,
        made.public_key,
        custodian.sign_many(made.reference, algorithm, [b"alone"])[0],
        b"alone",
    )
    custodian.destroy_signing_key(made.reference)
    with pytest.raises(CustodianDeniedError, match="not in Vault any more"):
        custodian.sign_many(made.reference, algorithm, messages)


def test_a_signing_key_that_is_disabled_or_may_leave_is_refused(
    custodian: VaultCustodian, name: str, bao: Bao
) -> None:
    """By its first version, by a deletion that can be taken back, by export."""
    made = custodian.create_signing_key("Ed25519", bound(name, "Ed25519"))
    bao.asked("DELETE", f"transit/keys/{made.reference}/soft-delete")
    with pytest.raises(CustodianDeniedError, match="deleted, and restorable"):
        custodian.sign(made.reference, "Ed25519", b"message")
    bao.asked("POST", f"transit/keys/{made.reference}/soft-delete-restore")
    bao.configure(made.reference, exportable=True)
    with pytest.raises(CustodianDeniedError, match="may leave it"):
        custodian.signing_public_key(made.reference)
    bao.rotate(made.reference)
    custodian.sign(made.reference, "Ed25519", b"message")
    bao.configure(made.reference, min_encryption_version=2)
    with pytest.raises(CustodianDeniedError, match=r"version 1 .* is disabled"):
        custodian.sign(made.reference, "Ed25519", b"message")


def test_a_signing_key_of_another_algorithm_is_refused(
    custodian: VaultCustodian, name: str, bao: Bao
) -> None:
    """One that was there under the name, and one that does not sign."""
    binding = bound(name, "Ed25519")
    made = custodian.create_signing_key("Ed25519", binding)
    with pytest.raises(CustodianDeniedError, match="of another type"):
        custodian.create_signing_key("ECDSA-P256", binding)
    custodian.destroy_signing_key(made.reference)
    bao.make_key(made.reference)
    with pytest.raises(CustodianDeniedError, match="of another type"):
        custodian.signing_public_key(made.reference)


@pytest.mark.parametrize("reference", ["", "mycelium-fractal-net", "../keys/x", "mfn-signing-0-1"])
def test_a_reference_that_is_none_enters_no_path(custodian: VaultCustodian, reference: str) -> None:
    """Whatever a row says."""
    calls: tuple[Callable[[], object], ...] = (
        lambda: custodian.sign(reference, "Ed25519", b"message"),
        lambda: custodian.signing_public_key(reference),
        lambda: custodian.destroy_signing_key(reference),
    )
    for call in calls:
        with pytest.raises(CustodianDeniedError, match="none of Vault's"):
            call()


def test_a_policy_without_signing_keys_is_told_which_line_it_lacks(
    custodian: VaultCustodian, name: str, bao: Bao
) -> None:
    """To make, to sign, to destroy."""
    made = custodian.create_signing_key("Ed25519", bound(name, "Ed25519"))
    bao.write_policy(name, 'path "transit/keys/*" { capabilities = ["read"] }')
    calls: dict[str, Callable[[], object]] = {
        f"transit/keys/{made.reference}": lambda: custodian.create_signing_key(
            "Ed25519", bound(name, "Ed25519")
        ),
        f"transit/sign/{made.reference}": lambda: custodian.sign(made.reference, "Ed25519", b"m"),
        f"transit/keys/{made.reference}/config": lambda: custodian.destroy_signing_key(
            made.reference
        ),
    }
    for path, call in calls.items():
        with pytest.raises(CustodianDeniedError, match=f'lacks path "{path}"'):
            call()


def test_what_is_left_over_is_found_by_its_name(
    custodian: VaultCustodian, name: str, bao: Bao
) -> None:
    """Of the store's keys, and of those that somebody knows; to list is a line of the policy."""
    made = custodian.create_signing_key("Ed25519", bound(name, "Ed25519"))
    gone = made.reference[:-1] + "-"
    found = custodian.list_signing_keys(bytes(16), {name, gone}, thorough=False)
    assert {name, made.reference} <= found
    assert gone not in found
    assert custodian.list_signing_keys(b"x" * 16, (), thorough=False) == set()
    bao.write_policy(name, f'path "transit/keys/{name}" {{ capabilities = ["read"] }}')
    with pytest.raises(CustodianDeniedError, match='lacks path "transit/keys"'):
        custodian.list_signing_keys(bytes(16), (), thorough=False)


@pytest.mark.parametrize("said", [answer(200, {"data": {"keys": 7}}), answer(404, {"data": 7})])
def test_a_list_that_is_none_is_an_outage(said: Any) -> None:
    """No key is absent for that."""
    with scripted(said) as server, pytest.raises(CustodianUnavailableError):
        over(server.address).list_signing_keys(bytes(16), (), thorough=False)


REFERENCE = "mfn-signing-00000000-0000000000000000"
KEY = {
    "type": "ed25519", "derived": False, "latest_version": 1, "min_decryption_version": 1,
    "min_encryption_version": 0, "deletion_allowed": False, "exportable": False,
    "allow_plaintext_backup": False,
}  # fmt: skip


def over(address: str) -> VaultCustodian:
    return VaultCustodian(Session(Transport(Address.parse(address)), GivenToken("t")), name="k")


@pytest.mark.parametrize(
    "data",
    [None, {}, {"signature": 7}, {"signature": "vault:v2:AAAA"}, {"signature": "vault:v1:A"}],
)
def test_a_signature_that_is_none_is_an_outage(data: object) -> None:
    """Nothing else is handed on."""
    said = answer(200, {"data": data})
    with scripted(said) as server, pytest.raises(CustodianUnavailableError):
        over(server.address).sign(REFERENCE, "Ed25519", b"message")
    described = answer(200, {"data": {**KEY, "keys": {"1": {}}}})
    with scripted(answer(400, {}), described) as server, pytest.raises(CustodianUnavailableError):
        over(server.address).sign(REFERENCE, "Ed25519", b"message")


WRONG = base64.b64encode(b"x" * 44).decode()
SIGNED = {"signature": "vault:v1:QUJD"}


@pytest.mark.parametrize(
    "results",
    [None, {}, [], [SIGNED], [SIGNED] * 3, [SIGNED, None], [SIGNED, {"error": "no"}]],
)
def test_an_answer_to_many_messages_has_a_signature_of_each(results: object) -> None:
    """Where one is missing, or there is one too many, none is taken."""
    with (
        scripted(answer(200, {"data": {"batch_results": results}})) as server,
        pytest.raises(CustodianUnavailableError),
    ):
        over(server.address).sign_many(REFERENCE, "Ed25519", [b"a", b"b"])


PEM = f"-----BEGIN PUBLIC KEY-----\n{WRONG}\n-----END PUBLIC KEY-----\n"


@pytest.mark.parametrize("public_key", [None, "?", "QUJD", PEM])
def test_a_public_key_that_is_none_is_an_outage(public_key: object) -> None:
    """It must be of the algorithm, and whole."""
    versions = [{"1": {"public_key": public_key}}, {"1": 7}, {}]
    for keys in versions:
        said = answer(200, {"data": {**KEY, "keys": keys}})
        with scripted(said) as server, pytest.raises(CustodianUnavailableError):
            over(server.address).signing_public_key(REFERENCE)
