"""Keys taken along: only those made for it, wrapped for others, recorded before they leave."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import text

from mycelium_fractal_net.security.byte_io.secret_bytes import SecretBytes
from mycelium_fractal_net.security.errors import (
    AuditUnavailableError,
    CustodianUnavailableError,
    InvalidInputError,
    InvalidKeyError,
    KeyNotExportableError,
    KeyNotFoundError,
    KeyStateError,
    StoreIntegrityError,
)
from mycelium_fractal_net.security.policy import Policy
from mycelium_fractal_net.security.records.imports import WRAP_METHODS
from mycelium_fractal_net.security.records.keys import Verb
from tests.security.audit.test_changes import recorded, said
from tests.support.algorithms import WRAPPING
from tests.support.audit import Books
from tests.support.key_transport import key_to_wrap_for

if TYPE_CHECKING:
    from mycelium_fractal_net.security.key_providers import LocalKeyProvider

__all__ = ["recorded"]  # a fixture
METHODS = pytest.mark.parametrize("method", WRAP_METHODS)
POLICY = Policy()


def to(method: str) -> bytes:
    """The public key of somebody to export to."""
    return key_to_wrap_for(method).public.pem()


@METHODS
@pytest.mark.parametrize("key_type", ["encryption", "mac"])
def test_a_symmetric_key_leaves_as_its_bytes(
    local_provider: LocalKeyProvider, method: str, key_type: str
) -> None:
    """Of a bare name the version that protects; of a version id that one."""
    local_provider.keys.create("orders", key_type, exportable=True)
    local_provider.rotate_key("orders")
    for name, named in (("orders", "orders:v2"), ("orders:v1", "orders:v1")):
        exported = local_provider.exports.wrap_for(to(method), name)
        assert (exported.key_id, exported.key_type, exported.method) == (named, key_type, method)
        material = key_to_wrap_for(method).unwrap(exported.wrapped)
        assert material == local_provider.get_key(named)


@METHODS
@pytest.mark.parametrize("algorithm", ["Ed25519", "ECDSA-P256", "ECDSA-P384", "ML-DSA-65"])
def test_a_signing_key_leaves_as_pkcs8(
    local_provider: LocalKeyProvider, method: str, algorithm: str
) -> None:
    """In the one encoding that everybody reads."""
    made = local_provider.keys.create("release", "signing", algorithm=algorithm, exportable=True)
    exported = local_provider.exports.wrap_for(to(method), "release")
    der = key_to_wrap_for(method).unwrap(exported.wrapped)
    kept, public = POLICY.material_to_keep(algorithm, der)
    assert (kept, public) == (local_provider.get_key("release"), made.latest.public_key)
    assert exported.algorithm == algorithm


@METHODS
def test_what_one_store_exports_another_imports(
    local_provider: LocalKeyProvider, method: str
) -> None:
    """With nothing in between: the public key of an import is one to export to."""
    local_provider.keys.create("orders", exportable=True)
    pending = local_provider.imports.begin("copy", method=method)
    exported = local_provider.exports.wrap_for(pending.public_key, "orders", method)
    local_provider.imports.finish(pending.import_id, exported.wrapped)
    assert local_provider.get_key("copy") == local_provider.get_key("orders")


def test_a_key_that_was_imported_to_be_exportable_is(local_provider: LocalKeyProvider) -> None:
    """It is said when the import begins."""
    pending = local_provider.imports.begin("brought", exportable=True, method=WRAPPING)
    blob = POLICY.wrapping_key(pending.public_key).wrap(b"k" * 32)
    assert local_provider.imports.finish(pending.import_id, blob).exportable
    local_provider.exports.wrap_for(to(WRAPPING), "brought")


def test_a_key_that_was_not_made_exportable_never_is(provider: LocalKeyProvider) -> None:
    """It is off where nobody says so, and who writes the store cannot switch it on."""
    provider.keys.create("orders")
    for name in ("orders", "orders:v1", "orders:v9"):
        with pytest.raises(KeyNotExportableError, match="not made exportable"):
            provider.exports.wrap_for(to(WRAPPING), name)
    assert len(provider.get_key("orders")) == 32  # the plan's, which the flag does not govern
    with provider.store.database.write() as connection:
        connection.execute(text("UPDATE mfn_keys SET exportable = true"))
    with pytest.raises(StoreIntegrityError, match="fails its authentication"):
        provider.exports.wrap_for(to(WRAPPING), "orders")


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE mfn_keys SET exportable = false",
        "UPDATE mfn_key_versions SET imported = true",
    ],
)
def test_neither_flag_nor_origin_can_be_edited(provider: LocalKeyProvider, statement: str) -> None:
    """Both are under the MAC of the key's record."""
    provider.keys.create("orders", exportable=True)
    with provider.store.database.write() as connection:
        connection.execute(text(statement))
    with pytest.raises(StoreIntegrityError):
        provider.keys.get("orders")


def test_a_credential_never_leaves(local_provider: LocalKeyProvider) -> None:
    """There is no key in it."""
    made, _ = local_provider.credentials.create("app", ("*",))
    with pytest.raises(KeyNotExportableError, match="stored as a digest"):
        local_provider.exports.wrap_for(to(WRAPPING), made.credential_id)
    with pytest.raises(KeyNotFoundError):
        local_provider.exports.wrap_for(to(WRAPPING), "unknown")


@pytest.mark.parametrize("verb", [Verb.SUSPEND, Verb.COMPROMISE, Verb.DEACTIVATE])
def test_a_version_leaves_in_the_states_in_which_it_decrypts(
    local_provider: LocalKeyProvider, verb: Verb
) -> None:
    """Suspended, compromised or on its way out it stays."""
    local_provider.keys.create("orders", exportable=True)
    local_provider.states.apply(verb, "orders")
    with pytest.raises(KeyStateError, match="protects nothing"):
        local_provider.exports.wrap_for(to(WRAPPING), "orders")
    if verb is Verb.DEACTIVATE:
        local_provider.exports.wrap_for(to(WRAPPING), "orders:v1")
        local_provider.states.apply(Verb.DESTROY, "orders:v1")
    with pytest.raises(KeyStateError):
        local_provider.exports.wrap_for(to(WRAPPING), "orders:v1")


def test_a_public_key_or_method_that_does_not_fit_is_refused(
    local_provider: LocalKeyProvider,
) -> None:
    """Before anything is unwrapped or recorded."""
    local_provider.keys.create("orders", exportable=True)
    with pytest.raises(InvalidInputError, match="wrapped by hpke"):
        local_provider.exports.wrap_for(to(WRAPPING), "orders", "rsa-aes")
    with pytest.raises(InvalidKeyError):
        local_provider.exports.wrap_for(b"", "orders")


def test_it_is_recorded_before_the_key_is_unwrapped_and_before_it_leaves(
    recorded: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two records, both durable by the time that the caller has it."""
    provider = recorded.provider
    provider.keys.create("orders", exportable=True)
    seen: list[list[tuple[Any, ...]]] = []
    unwrap = provider.keys.unwrap

    def watching(*given: Any) -> SecretBytes:
        seen.append(said(recorded, "event", "outcome", "key")[2:])
        return unwrap(*given)

    monkeypatch.setattr(provider.keys, "unwrap", watching)
    provider.exports.wrap_for(to(WRAPPING), "orders")
    intent = ("key.export", "intent", "orders:v1")
    assert seen == [[intent]]
    assert said(recorded, "event", "outcome", "key")[2:] == [
        intent, ("key.export", "ok", "orders:v1"),
    ]  # fmt: skip


def test_an_export_that_fails_says_why_without_an_audit_log_too(
    local_provider: LocalKeyProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program that uses the library may have none."""
    local_provider.keys.create("orders", exportable=True)

    def away(*_: object) -> bytes:
        raise CustodianUnavailableError("the custodian does not answer")

    monkeypatch.setattr(local_provider.keys, "unwrap", away)
    with pytest.raises(CustodianUnavailableError):
        local_provider.exports.wrap_for(to(WRAPPING), "orders")


def test_an_export_that_cannot_be_recorded_does_not_happen(
    recorded: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither before it is unwrapped, nor once it is wrapped."""
    provider = recorded.provider
    provider.keys.create("orders", exportable=True)
    log = provider.audit
    assert log is not None
    now, unwrapped = log.now, []
    unwrap = provider.keys.unwrap

    def failing_at(outcome: str) -> None:
        def refuse(event: str, said: str = "ok", **more: Any) -> int:
            if said == outcome:
                raise AuditUnavailableError("the disk is full")
            return now(event, said, **more)

        monkeypatch.setattr(log, "now", refuse)

    def watching(*given: Any) -> SecretBytes:
        unwrapped.append(given)
        return unwrap(*given)

    monkeypatch.setattr(provider.keys, "unwrap", watching)
    for outcome, times in (("intent", 0), ("ok", 1)):
        failing_at(outcome)
        with pytest.raises(AuditUnavailableError):
            provider.exports.wrap_for(to(WRAPPING), "orders")
        assert len(unwrapped) == times


def test_an_export_that_fails_is_recorded_as_that(
    recorded: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It did not leave, and the record says why."""
    provider = recorded.provider
    provider.keys.create("orders", exportable=True)

    def away(*_: object) -> bytes:
        raise CustodianUnavailableError("the custodian does not answer")

    monkeypatch.setattr(provider.keys, "unwrap", away)
    with pytest.raises(CustodianUnavailableError):
        provider.exports.wrap_for(to(WRAPPING), "orders")
    assert said(recorded, "event", "outcome")[2:] == [
        ("key.export", "intent"), ("key.export", "custodian-unavailable"),
    ]  # fmt: skip
