"""Keys brought along: wrapped for a one-time key, taken in once, within the hour."""

from __future__ import annotations

import re
import subprocess
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from sqlalchemy import text

from mycelium_fractal_net.security.byte_io.buffers import Octets
from mycelium_fractal_net.security.errors import (
    AlgorithmNotAllowedError,
    ConflictError,
    CustodianUnavailableError,
    InvalidInputError,
    InvalidKeyError,
    KeyExistsError,
    KeyNotFoundError,
    KeyUsageError,
    MfnError,
    StoreIntegrityError,
)
from mycelium_fractal_net.security.key_providers import imports
from mycelium_fractal_net.security.key_providers.imports import MAX_WRAPPED_BYTES
from mycelium_fractal_net.security.policy import Policy
from mycelium_fractal_net.security.records.imports import WRAP_METHODS
from mycelium_fractal_net.security.records.keys import (
    LEGACY_XOR,
    LEGACY_XOR_KEY_ID,
    Key,
    KeyOrigin,
    KeyState,
    KeyType,
    KeyUse,
    KeyVersion,
    RotationPolicy,
)
from mycelium_fractal_net.security.rotation import KeyRotationScheduler
from tests.support.algorithms import WRAPPING
from tests.support.key_transport import key_to_wrap_for, openssl_wrap
from tests.support.stores import Clock, keyring_over, open_provider

if TYPE_CHECKING:
    from collections.abc import Callable

    from mycelium_fractal_net.security.key_providers import LocalKeyProvider
    from mycelium_fractal_net.security.records.imports import PendingImport

KEY = bytes(range(32))
POLICY = Policy()


@pytest.fixture(autouse=True)
def _store_clock(request: pytest.FixtureRequest, clock: Clock) -> None:
    """Have imports end by the clock that the test moves."""
    for name in ("provider", "local_provider"):
        if name in request.fixturenames:
            request.getfixturevalue(name).imports.clock = clock


def begun(provider: LocalKeyProvider, key_id: str = "brought", *args: Any, **more: Any) -> Any:
    """An import by HPKE, which is the faster method."""
    return provider.imports.begin(key_id, *args, method=WRAPPING, **more)


def wrapped(pending: PendingImport, material: bytes = KEY) -> bytes:
    """A key wrapped for an import."""
    return POLICY.wrapping_key(pending.public_key).wrap(material)


def pkcs8(algorithm: str) -> bytes:
    """A fresh signing key in DER."""
    return POLICY.generate_signing_key(algorithm).private_der()


# Taken in ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("key_type", ["encryption", "mac"])
def test_a_symmetric_key_is_taken_in(provider: LocalKeyProvider, key_type: str) -> None:
    """With its 32 bytes; its one version says where it comes from, under the record's MAC."""
    pending = begun(provider, "brought", key_type)
    made = provider.imports.finish(pending.import_id, wrapped(pending))
    assert made == provider.keys.get("brought")
    assert provider.get_key("brought") == KEY
    assert [each.origin for each in made.versions] == [KeyOrigin.IMPORTED]
    assert not made.exportable
    provider.rotate_key("brought")
    origins = [each.origin for each in provider.keys.get("brought").versions]
    assert origins == [KeyOrigin.IMPORTED, KeyOrigin.GENERATED]
    assert provider.store.imports.count() == 0


@pytest.mark.parametrize("algorithm", ["Ed25519", "ECDSA-P256", "ECDSA-P384", "ML-DSA-65"])
def test_a_signing_key_is_taken_in(local_provider: LocalKeyProvider, algorithm: str) -> None:
    """As PKCS #8; it signs as it did where it comes from."""
    own = POLICY.generate_signing_key(algorithm)
    pending = begun(
        local_provider, "release", "signing", algorithm=algorithm, use="request", publish=True
    )
    der = own.private_der()
    made = local_provider.imports.finish(pending.import_id, wrapped(pending, der))
    assert (made.use, made.publish, made.algorithm) == (KeyUse.REQUEST, True, algorithm)
    assert made.latest.public_key == own.public.der()
    assert local_provider.get_key("release") == own.private_bytes()


def test_what_is_wrapped_with_openssl_is_taken_in(
    local_provider: LocalKeyProvider, tmp_path: Path
) -> None:
    """A key that it made, by RSA, which is the method where none is named."""
    generate = ["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"]
    made = subprocess.run([*generate, "-outform", "DER"], check=True, capture_output=True).stdout
    pkcs8_of = ["openssl", "pkcs8", "-topk8", "-nocrypt", "-inform", "DER", "-outform", "DER"]
    der = subprocess.run(pkcs8_of, input=made, check=True, capture_output=True).stdout
    pending = local_provider.imports.begin("release", "signing", algorithm="ECDSA-P256")
    assert pending.method == "rsa-aes"
    pem = POLICY.wrapping_key(pending.public_key).pem()
    blob = openssl_wrap(tmp_path, pem, der)
    local_provider.imports.finish(pending.import_id, blob)
    with keyring_over(local_provider) as keyring:
        signature = keyring.sign(b"data", key_id="release")
        keyring.verify(b"data", signature, key_id="release")


def test_a_pkcs8_without_its_public_key_is_taken_in(local_provider: LocalKeyProvider) -> None:
    """As Java and some tokens write it; what is kept is the private key alone."""
    scalar = POLICY.generate_signing_key("ECDSA-P256").private_bytes()
    # PrivateKeyInfo (RFC 5958) over an ECPrivateKey (RFC 5915) that ends after its scalar.
    der = (
        bytes.fromhex(
            "3041020100301306072a8648ce3d020106082a8648ce3d0301070427302502010104 20".replace(
                " ", ""
            )
        )
        + scalar
    )
    pending = begun(local_provider, "release", "signing", algorithm="ECDSA-P256")
    local_provider.imports.finish(pending.import_id, wrapped(pending, der))
    assert local_provider.get_key("release") == scalar


def test_a_key_that_is_there_gets_the_next_version(provider: LocalKeyProvider) -> None:
    """As a rotation gives it one: what was sealed before still opens."""
    provider.keys.create("orders")
    with keyring_over(provider) as keyring:
        before = keyring.encrypt(b"data", key_id="orders")
        pending = begun(provider, "orders", existing=True)
        made = provider.imports.finish(pending.import_id, wrapped(pending))
        keyring.refresh()
        assert made.primary.version == 2
        assert made.latest.origin is KeyOrigin.IMPORTED
        assert keyring.describe(keyring.encrypt(b"data", key_id="orders")).version == 2
        assert keyring.decrypt(before) == b"data"
    assert provider.get_key("orders:v2") == KEY
    assert made.rotation_due > made.latest.created_at


def test_a_version_that_must_be_backed_up_waits_for_it(local_provider: LocalKeyProvider) -> None:
    """However it was made."""
    local_provider.keys.require_backup = True
    pending = begun(local_provider)
    made = local_provider.imports.finish(pending.import_id, wrapped(pending))
    assert made.latest.state is KeyState.PRE_ACTIVATION


# Once, and within the hour ------------------------------------------------------------------------


def test_an_import_is_used_once(provider: LocalKeyProvider) -> None:
    """The same again is none, and adds no version."""
    provider.keys.create("orders")
    pending = begun(provider, "orders", existing=True)
    blob = wrapped(pending)
    provider.imports.finish(pending.import_id, blob)
    with pytest.raises(KeyNotFoundError, match=r"cancelled, or has expired; .*mfn key import"):
        provider.imports.finish(pending.import_id, blob)
    assert len(provider.keys.get("orders").versions) == 2


def test_an_import_ends_after_an_hour(provider: LocalKeyProvider, clock: Clock) -> None:
    """By the store's clock; what opens it is deleted then."""
    pending, blob = begun(provider), b""
    blob = wrapped(pending)
    clock.forward(hours=1)
    with pytest.raises(KeyNotFoundError, match="expired"):
        provider.imports.finish(pending.import_id, blob)
    assert provider.store.imports.count() == 0
    again = begun(provider)
    clock.forward(minutes=59, seconds=59)
    provider.imports.finish(again.import_id, wrapped(again))


def test_a_scheduler_deletes_what_has_expired(provider: LocalKeyProvider, clock: Clock) -> None:
    """Also where nobody imports anything any more."""
    begun(provider)
    scheduler = KeyRotationScheduler(provider, clock=clock)
    scheduler.run_once()
    assert provider.store.imports.count() == 1
    clock.forward(hours=1)
    scheduler.run_once()
    assert provider.store.imports.count() == 0


def test_of_many_that_finish_one_import_one_does(provider: LocalKeyProvider) -> None:
    """At once, from several threads: one version more, and the others find no import."""
    provider.keys.create("orders")
    pending = begun(provider, "orders", existing=True)
    blob, barrier, outcomes = wrapped(pending), threading.Barrier(4), []

    def finish() -> None:
        barrier.wait()
        try:
            provider.imports.finish(pending.import_id, blob)
            outcomes.append("done")
        except MfnError as error:
            outcomes.append(type(error).__name__)

    threads = [threading.Thread(target=finish) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["KeyNotFoundError"] * 3 + ["done"]
    assert len(provider.keys.get("orders").versions) == 2


def test_who_loses_the_race_changes_nothing(
    local_provider: LocalKeyProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The row is taken in the transaction that stores the version, or neither is done."""
    local_provider.keys.create("orders")
    pending = begun(local_provider, "orders", existing=True)
    blob = wrapped(pending)
    keep = local_provider.policy.material_to_keep
    taken: list[Key] = []

    def slow(algorithm: str, material: bytes) -> tuple[Octets, bytes | None]:
        if not taken:
            taken.append(local_provider.keys.get("orders"))
            local_provider.imports.finish(pending.import_id, blob)
        return keep(algorithm, material)

    monkeypatch.setattr(Policy, "material_to_keep", lambda _, *given: slow(*given))
    with pytest.raises(KeyNotFoundError):
        local_provider.imports.finish(pending.import_id, blob)
    assert len(local_provider.keys.get("orders").versions) == 2


def test_an_import_of_another_store_is_none(
    local_provider: LocalKeyProvider, tmp_path: Path, clock: Clock
) -> None:
    """Neither its name, nor its row brought over."""
    folder = tmp_path / "other"
    folder.mkdir(mode=0o700)
    other = open_provider(f"sqlite:///{folder / 'keys.db'}", folder, clock)
    other.imports.clock = clock
    pending = begun(other)
    with pytest.raises(KeyNotFoundError):
        local_provider.imports.finish(pending.import_id, wrapped(pending))
    stored = other.store.imports.load(pending.import_id)
    other.store.database.close()
    present = local_provider.store.require_status().master_id
    with local_provider.store.database.write() as connection:
        row = {**other.store.imports.kind.to_row(stored.record), "master_id": present}
        connection.execute(
            local_provider.store.imports.table.insert().values(**row, generation=1, mac=stored.mac)
        )
    with pytest.raises(StoreIntegrityError, match="fails its authentication"):
        local_provider.imports.finish(pending.import_id, wrapped(pending))


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("key_id", "'orders'"),
        ("existing", "true"),
        ("key_type", "'mac'"),
        ("algorithm", "'HMAC-SHA-256'"),
        ("exportable", "true"),
        ("publish", "true"),
        ("expires_at", "expires_at + 1"),
    ],
)
def test_what_an_import_is_to_be_cannot_be_edited(
    provider: LocalKeyProvider, column: str, value: str
) -> None:
    """Whoever writes the store gives no key more than it was to have."""
    pending = begun(provider)
    with provider.store.database.write() as connection:
        connection.execute(text(f"UPDATE mfn_pending_imports SET {column} = {value}"))
    with pytest.raises(StoreIntegrityError, match=r"import .* fails its authentication"):
        provider.imports.finish(pending.import_id, wrapped(pending))


@pytest.mark.parametrize("statement", ["key_type = 'x'", "wrapped = 'text'", "mac = 1"])
def test_a_damaged_row_is_refused_by_name(local_provider: LocalKeyProvider, statement: str) -> None:
    """As a row of every other table."""
    pending = begun(local_provider)
    with local_provider.store.database.write() as connection:
        connection.execute(text(f"UPDATE mfn_pending_imports SET {statement}"))
    with pytest.raises(StoreIntegrityError, match=f"import '{pending.import_id}'"):
        local_provider.imports.finish(pending.import_id, wrapped(pending))


def test_the_private_half_of_another_import_is_refused(local_provider: LocalKeyProvider) -> None:
    """Each is wrapped for its own name."""
    mine, other = begun(local_provider, "mine"), begun(local_provider, "other")
    record = local_provider.store.imports.load(mine.import_id).record
    swapped = local_provider.imports.update(
        mine.import_id, lambda _: _with(record, other.wrapped), "import.begin"
    )
    assert swapped.wrapped == other.wrapped
    with pytest.raises(StoreIntegrityError, match="does not unwrap"):
        local_provider.imports.finish(mine.import_id, wrapped(mine))


def _with(record: PendingImport, private: bytes) -> PendingImport:
    from dataclasses import replace

    return replace(record, wrapped=private)


# What is wrong with it ----------------------------------------------------------------------------


def _mismatched() -> bytes:
    """A P-256 key in whose encoding the public key of another stands."""
    own, other = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    points = [
        key.public_key().public_numbers().x.to_bytes(32, "big")
        + key.public_key().public_numbers().y.to_bytes(32, "big")
        for key in (own, other)
    ]
    der = own.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    assert points[0] in der
    return der.replace(points[0], points[1])


def _encrypted() -> bytes:
    key = ed25519.Ed25519PrivateKey.generate()
    return key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, BestAvailableEncryption(b"x"))


def _public() -> bytes:
    return POLICY.generate_signing_key("Ed25519").public.der()


WRONG: dict[str, tuple[str, Callable[[], bytes]]] = {
    "short": ("AES-256-GCM", lambda: KEY[1:]),
    "long": ("AES-256-GCM", lambda: KEY + b"x"),
    "empty": ("AES-256-GCM", lambda: b""),
    "a short MAC key": ("HMAC-SHA-256", lambda: KEY[1:]),
    "PKCS #8 as a symmetric key": ("AES-256-GCM", lambda: pkcs8("Ed25519")),
    "another curve": ("ECDSA-P256", lambda: pkcs8("ECDSA-P384")),
    "another algorithm": ("Ed25519", lambda: pkcs8("ECDSA-P256")),
    "a bare seed": ("Ed25519", lambda: KEY),
    "text": ("Ed25519", lambda: POLICY.generate_signing_key("Ed25519").private_pem()),
    "more behind it": ("Ed25519", lambda: pkcs8("Ed25519") + b"x"),
    "cut": ("Ed25519", lambda: pkcs8("Ed25519")[:-1]),
    "a public key": ("Ed25519", _public),
    "encrypted": ("Ed25519", _encrypted),
    "another's public key": ("ECDSA-P256", _mismatched),
    "secp256k1": (
        "ECDSA-P256",
        lambda: ec.generate_private_key(ec.SECP256K1()).private_bytes(
            Encoding.DER, PrivateFormat.PKCS8, NoEncryption()
        ),
    ),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_no_key_of_the_algorithm_is_one_error(
    local_provider: LocalKeyProvider, wrong: str
) -> None:
    """With the text that says nothing but which algorithm was named; and the import has ended."""
    algorithm, make = WRONG[wrong]
    key_type = {"AES-256-GCM": "encryption", "HMAC-SHA-256": "mac"}.get(algorithm, "signing")
    pending = begun(local_provider, "brought", key_type, algorithm=algorithm)
    with pytest.raises(InvalidKeyError) as caught:
        local_provider.imports.finish(pending.import_id, _wrap_anything(pending, make()))
    assert str(caught.value) == (
        f"no key of {algorithm} was wrapped for this import, which has ended; begin another one:"
        " mfn key import begin brought"
    )
    assert caught.value.__cause__ is None
    with pytest.raises(KeyNotFoundError):
        local_provider.imports.finish(pending.import_id, wrapped(pending))
    assert not local_provider.store.keys.has("brought")


def _wrap_anything(pending: PendingImport, material: bytes) -> bytes:
    return POLICY.wrapping_key(pending.public_key).wrap(material)


@pytest.mark.parametrize("method", WRAP_METHODS)
def test_what_does_not_unwrap_is_the_same_error_and_ends_the_import(
    local_provider: LocalKeyProvider, method: str
) -> None:
    """Nobody asks a second time what the private half makes of something."""
    for blob in (b"", bytes(552), key_to_wrap_for(method).public.wrap(KEY)):
        pending = local_provider.imports.begin("brought", method=method)
        with pytest.raises(InvalidKeyError, match=r"^no key of AES-256-GCM was wrapped for this"):
            local_provider.imports.finish(pending.import_id, blob)
        assert local_provider.store.imports.count() == 0


def test_what_is_too_large_is_refused_before_it_is_looked_at(
    local_provider: LocalKeyProvider,
) -> None:
    """The import stays as it is."""
    pending = begun(local_provider)
    with pytest.raises(InvalidInputError, match="at most 16384 bytes"):
        local_provider.imports.finish(pending.import_id, bytes(MAX_WRAPPED_BYTES + 1))
    local_provider.imports.finish(pending.import_id, wrapped(pending))


@pytest.mark.parametrize("import_id", ["", "x", "0" * 32, "A" * 32, "0" * 33, "é" * 32, "\0" * 32])
def test_an_unknown_import_is_one_error(local_provider: LocalKeyProvider, import_id: str) -> None:
    """Whatever it is called, and it is not repeated."""
    with pytest.raises(KeyNotFoundError) as caught:
        local_provider.imports.finish(import_id, b"")
    assert re.match(
        "there is no such import: it was used, cancelled, or has expired", str(caught.value)
    )


# What can be begun --------------------------------------------------------------------------------


def test_a_name_that_is_taken_is_refused_at_once(local_provider: LocalKeyProvider) -> None:
    """And where it is taken later, at the end; the import is not used up by that."""
    local_provider.keys.create("orders")
    with pytest.raises(KeyExistsError, match="'orders' is there already"):
        begun(local_provider, "orders")
    pending = begun(local_provider)
    local_provider.keys.create("brought")
    with pytest.raises(KeyExistsError, match="'brought' is there already"):
        local_provider.imports.finish(pending.import_id, wrapped(pending))
    assert local_provider.store.imports.count() == 1


@pytest.mark.parametrize(
    "more",
    [
        {"key_type": "api"},
        {"key_type": "x"},
        {"algorithm": "Ed25519"},
        {"use": "request"},
        {"publish": True},
        {"key_id": "Orders"},
        {"key_id": "orders:v1"},
        {"key_id": LEGACY_XOR_KEY_ID},
        {"key_id": "orders", "existing": True, "key_type": "encryption"},
        {"key_id": "orders", "existing": True, "algorithm": "AES-256-GCM"},
        {"key_id": "orders", "existing": True, "use": "data"},
        {"key_id": "orders", "existing": True, "publish": True},
        {"key_id": "orders", "existing": True, "exportable": True},
        {"key_id": "orders:v1", "existing": True},
        {"key_id": "unknown", "existing": True},
        {"method": "rsa"},
    ],
)
def test_what_does_not_fit_is_refused_before_a_key_is_made(
    local_provider: LocalKeyProvider, more: dict[str, Any]
) -> None:
    """As for a key that is made here; of one that is there nothing is said anew."""
    local_provider.keys.create("orders")
    asked = {"key_id": "brought", "method": WRAPPING, **more}
    with pytest.raises((InvalidInputError, KeyUsageError, KeyNotFoundError)):
        local_provider.imports.begin(**asked)
    assert local_provider.store.imports.count() == 0


def test_nothing_is_imported_into_the_key_of_the_old_cipher(
    local_provider: LocalKeyProvider, clock: Clock
) -> None:
    """It has one version."""
    key = Key(
        LEGACY_XOR_KEY_ID, KeyType.ENCRYPTION, KeyUse.DATA, LEGACY_XOR,
        RotationPolicy(90, 3, automatic=False), clock(), (),
    )  # fmt: skip
    version = KeyVersion(1, b"12345678", KeyState.DEACTIVATED, clock(), b"")
    local_provider.keys.adopt(key, version, KEY)
    with pytest.raises(KeyUsageError, match="no next version"):
        begun(local_provider, LEGACY_XOR_KEY_ID, existing=True)


def test_a_forbidden_algorithm_is_refused_at_the_beginning(
    sqlite_url: str, home: Path, clock: Clock
) -> None:
    """Of the key that is to come, and of the method."""
    provider = open_provider(sqlite_url, home, clock)
    for forbidden, method in (("AES-256-GCM", WRAPPING), ("RSA-OAEP-256", "rsa-aes")):
        provider.imports._policy = Policy(disallowed=(forbidden,))
        with pytest.raises(AlgorithmNotAllowedError):
            provider.imports.begin("brought", method=method)
    assert provider.store.imports.count() == 0
    provider.store.database.close()


@pytest.mark.parametrize(
    ("disallowed", "method"),
    [(("RSA-OAEP-256",), WRAPPING), (("AES-256-KWP", "HPKE-X25519"), "hpke-p256")],
)
def test_without_a_method_the_first_that_is_allowed_is_taken(
    local_provider: LocalKeyProvider, disallowed: tuple[str, ...], method: str
) -> None:
    """As FIPS mode, and a configuration that has no RSA, ask for it."""
    local_provider.imports._policy = Policy(disallowed=disallowed)
    assert local_provider.imports.begin("brought").method == method


def test_where_no_method_is_allowed_that_is_said(local_provider: LocalKeyProvider) -> None:
    """And nothing is begun."""
    local_provider.imports._policy = Policy(disallowed=("SHA-256", "SHA-384"))
    with pytest.raises(AlgorithmNotAllowedError, match="of which this configuration allows none"):
        local_provider.imports.begin("brought", "encryption")
    assert local_provider.store.imports.count() == 0


def test_an_import_that_is_cancelled_is_over(provider: LocalKeyProvider, clock: Clock) -> None:
    """Waiting or expired: nothing of it is left, and what was wrapped for it opens nowhere."""
    waits, late = begun(provider, "waits"), begun(provider, "late")
    assert waits.state(clock()) == "waiting"
    for pending in (waits, late):
        clock.forward(minutes=31)
        provider.imports.cancel(pending.import_id)
        assert not provider.store.imports.has(pending.import_id)
        with pytest.raises(KeyNotFoundError, match="was used, cancelled, or has expired"):
            provider.imports.finish(pending.import_id, wrapped(pending))
    assert late.state(clock()) == "expired"
    assert not any(provider.store.keys.has(each.key_id) for each in (waits, late))


@pytest.mark.parametrize("import_id", ["", "0" * 32, "x" * 32, "\0", "0" * 31 + "\u0660"])
def test_what_is_no_import_is_not_cancelled(
    local_provider: LocalKeyProvider, import_id: str
) -> None:
    """Neither twice."""
    with pytest.raises(KeyNotFoundError):
        local_provider.imports.cancel(import_id)


@pytest.mark.parametrize(
    "damage", ["mac = x'00'", "mac = 7", "expires_at = 9000000000000000", "algorithm = 'none'"]
)
def test_an_import_that_is_damaged_can_be_cancelled(
    local_provider: LocalKeyProvider, damage: str
) -> None:
    """It is of no use, and would otherwise stay for as long as somebody wrote into it."""
    pending = begun(local_provider)
    with local_provider.store.database.write() as connection:
        connection.execute(text(f"UPDATE mfn_pending_imports SET {damage}"))
    with pytest.raises(StoreIntegrityError):
        local_provider.imports.get(pending.import_id)
    local_provider.imports.cancel(pending.import_id)
    assert local_provider.store.imports.count() == 0


def test_an_import_that_has_expired_is_swept_whatever_is_left_of_its_row(
    local_provider: LocalKeyProvider, clock: Clock
) -> None:
    """One without an id and one without a MAC too; one that waits stays."""
    begun(local_provider, "first")
    with local_provider.store.database.write() as connection:
        connection.execute(text("UPDATE mfn_pending_imports SET import_id = 'none'"))
    begun(local_provider, "second")
    with local_provider.store.database.write() as connection:
        connection.execute(text("UPDATE mfn_pending_imports SET mac = 7 WHERE key_id = 'second'"))
    clock.forward(minutes=30)
    waits = begun(local_provider, "third")
    clock.forward(minutes=30)
    assert local_provider.imports.purge() == 2
    assert local_provider.store.imports.ids() == [waits.import_id]
    assert local_provider.imports.purge() == 0


def test_two_who_sweep_at_once_do_not_meet(
    local_provider: LocalKeyProvider, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What somebody else has deleted in the meantime is no error."""
    pending = begun(local_provider)
    clock.forward(hours=1)
    table = local_provider.store.imports
    seen = table.expired(clock())
    assert local_provider.imports.purge() == 1
    monkeypatch.setattr(local_provider.imports._imports, "expired", lambda _: seen)
    assert local_provider.imports.purge() == 0
    assert not table.has(pending.import_id)


def test_no_more_than_a_hundred_are_under_way(
    local_provider: LocalKeyProvider, monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    """Each ends within the hour, and makes room."""
    monkeypatch.setattr(imports, "MOST_UNDER_WAY", 2)
    begun(local_provider, "first")
    begun(local_provider, "second")
    with pytest.raises(ConflictError, match="2 imports are under way"):
        begun(local_provider, "third")
    clock.forward(hours=1)
    begun(local_provider, "third")


# With the rest of the store -----------------------------------------------------------------------


def test_an_import_outlives_a_new_master_key(provider: LocalKeyProvider) -> None:
    """Its private half moves along, and finishes; nothing is left under the former one."""
    pending = begun(provider)
    former = provider.store.require_status().master_id
    newest = provider.master_keys.rotate()
    moved = provider.imports.get(pending.import_id)
    assert (moved.master_id, pending.master_id) == (newest, former)
    provider.imports.finish(pending.import_id, wrapped(pending))
    assert provider.get_key("brought") == KEY


def test_an_import_that_ends_while_the_store_moves_stops_nothing(
    local_provider: LocalKeyProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It need not be moved any more."""
    pending = begun(local_provider)
    under = local_provider.store.imports.under

    def ended(*given: Any, **more: Any) -> list[str]:
        found = under(*given, **more)
        for each in found:
            local_provider.store.imports.end(each)
        return found

    monkeypatch.setattr(local_provider.store.imports, "under", ended)
    local_provider.master_keys.rotate()
    with pytest.raises(KeyNotFoundError):
        local_provider.imports.get(pending.import_id)


def test_a_private_half_is_rewrapped_once_however_often_a_race_is_lost(
    local_provider: LocalKeyProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A custodian far away is not asked again and again."""
    pending = begun(local_provider)
    lost: list[bool] = []
    table = local_provider.store.imports
    replace, rewrap = table.replace, local_provider.wrapping.rewrap
    asked: list[int] = []

    def losing(*given: Any) -> None:
        if not lost:
            lost.append(True)
            raise ConflictError("somebody else")
        replace(*given)

    def counted(*given: Any) -> list[bytes]:
        asked.append(len(given[2]))
        return rewrap(*given)

    monkeypatch.setattr(table, "replace", losing)
    monkeypatch.setattr(local_provider.wrapping, "rewrap", counted)
    newest = local_provider.master_keys.rotate()
    assert local_provider.imports.get(pending.import_id).master_id == newest
    assert asked == [1]


def test_an_outage_of_the_custodian_uses_nothing_up(
    local_provider: LocalKeyProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is tried again with the same wrapped key."""
    pending = begun(local_provider)
    with monkeypatch.context() as patched:

        def away(*_: object) -> list[bytes]:
            raise CustodianUnavailableError("the custodian does not answer")

        patched.setattr(type(local_provider.custodian), "unwrap_many", away)
        with pytest.raises(CustodianUnavailableError):
            local_provider.imports.finish(pending.import_id, wrapped(pending))
    local_provider.imports.finish(pending.import_id, wrapped(pending))


def test_what_opens_an_import_is_wiped_from_the_file(local_provider: LocalKeyProvider) -> None:
    """Once it was used, given up or has expired, no byte of it is left on the disk."""
    file = local_provider.store.database.file
    assert file is not None

    def on_disk(private: bytes) -> bool:
        return any(private in path.read_bytes() for path in file.parent.glob("keys.db*"))

    used, given_up = begun(local_provider, "used"), begun(local_provider, "given-up")
    assert on_disk(used.wrapped)
    local_provider.imports.finish(used.import_id, wrapped(used))
    assert not on_disk(used.wrapped)
    with pytest.raises(InvalidKeyError):
        local_provider.imports.finish(given_up.import_id, b"")
    assert not on_disk(given_up.wrapped)


def test_an_import_shows_no_key(local_provider: LocalKeyProvider) -> None:
    """Printed, it has neither half."""
    pending = begun(local_provider)
    assert pending.wrapped.hex() not in repr(pending)
    assert "wrapped" not in repr(pending)
