"""The key of the XOR cipher in the store: it opens old messages, and nothing else can be had."""

from __future__ import annotations

import base64
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from mycelium_fractal_net import initialise
from mycelium_fractal_net.config import load_settings
from mycelium_fractal_net.legacy.key import import_xor_key, read_xor_key
from mycelium_fractal_net.legacy.xor_format import XorFormat, open_xor, xor_key
from mycelium_fractal_net.security.errors import (
    ConfigurationError,
    ConflictError,
    DecryptionError,
    InvalidInputError,
    InvalidKeyError,
    KeyExistsError,
    KeyNotExportableError,
    KeyNotFoundError,
    KeyStateError,
    KeyUsageError,
    MasterKeyError,
    StorePermissionsError,
)
from mycelium_fractal_net.security.key_providers import Binding, LocalCustodian, LocalKeyProvider
from mycelium_fractal_net.security.key_store import KeyStore
from mycelium_fractal_net.security.key_store.usage import OPEN
from mycelium_fractal_net.security.keyring.keyring import Keyring
from mycelium_fractal_net.security.policy import Policy
from mycelium_fractal_net.security.records.keys import RotationPolicy, Verb
from mycelium_fractal_net.security.records.open_options import OpenOptions
from tests.support.legacy_xor import OLD_KEY, write_xor
from tests.support.stores import keyring_over

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from mycelium_fractal_net.security.byte_io.buffers import Octets
    from mycelium_fractal_net.security.key_store.meta import StoreStatus
    from tests.support.stores import Clock

NAME = "legacy-xor"
TEXT = write_xor("grüße")
OLD = TEXT.encode()
DATA = "grüße".encode()


@pytest.fixture
def reading(local_provider: LocalKeyProvider) -> Iterator[Keyring]:
    """A keyring that opens old messages, with the key of them and a key orders."""
    local_provider.keys.create("orders")
    import_xor_key(local_provider, OLD_KEY)
    with keyring_over(local_provider, old_format=XorFormat()) as opened:
        yield opened


# Opening --------------------------------------------------------------------------------------


def test_both_kinds_of_message_are_opened(reading: Keyring) -> None:
    """Whichever it is; and the result says which it was."""
    sealed = reading.encrypt(b"new", key_id="orders")
    raw = reading.encrypt(b"raw", key_id="orders", format="raw")
    assert reading.decrypt_result(OLD) == (DATA, "legacy-xor:v1", True)
    assert reading.decrypt_result(OLD, format="xor") == (DATA, "legacy-xor:v1", True)
    assert reading.decrypt_result(sealed) == (b"new", "orders:v1", False)
    assert reading.decrypt(raw, key_id="orders", format="raw") == b"raw"
    assert open_xor(reading, TEXT).data == DATA
    for key_id in (NAME, "legacy-xor:v1"):
        assert reading.decrypt(OLD, key_id=key_id) == DATA


def test_a_sealed_message_that_fails_is_not_tried_as_an_old_one(reading: Keyring) -> None:
    """Nor is an old one whose text begins with MFN, unless its format is named."""
    sealed = bytearray(reading.encrypt(b"new", key_id="orders"))
    sealed[-1] ^= 1
    with pytest.raises(DecryptionError):
        reading.decrypt(sealed)
    by_chance = write_xor(b"x", salt=base64.urlsafe_b64decode("MFNA") + secrets.token_bytes(13))
    with pytest.raises(DecryptionError):
        reading.decrypt(by_chance.encode())
    assert reading.decrypt(by_chance.encode(), format="xor") == b"x"
    with pytest.raises(DecryptionError):
        reading.decrypt(sealed, format="xor")


@pytest.mark.parametrize("bound", ["associated_data", "data_key_associated_data"])
def test_an_old_message_has_no_associated_data(reading: Keyring, bound: str) -> None:
    """It would be bound to nothing."""
    for format in ("sealed", "xor"):
        with pytest.raises(InvalidInputError, match="no associated data"):
            reading.decrypt(OLD, format=format, **{bound: b"row 17"})  # type: ignore[arg-type]


def test_another_key_id_does_not_open_an_old_message(reading: Keyring) -> None:
    """As of a sealed one."""
    for key_id in ("orders", "legacy-xor:v2"):
        with pytest.raises(DecryptionError):
            reading.decrypt(OLD, key_id=key_id)


def test_who_may_not_use_the_key_gets_the_answer_of_a_damaged_message(reading: Keyring) -> None:
    """The permit of the service's scopes is asked for the old key too."""
    asked: list[str] = []

    def permit(name: str) -> bool:
        asked.append(name)
        return False

    with pytest.raises(DecryptionError):
        reading.decrypt_result(OLD, OpenOptions(permit=permit))
    assert NAME in asked


def test_while_it_is_off_an_old_message_is_no_message(reading: Keyring) -> None:
    """Only whoever migrates opens it, by a method of its own."""
    with keyring_over(reading.provider) as other:  # type: ignore[arg-type]
        with pytest.raises(DecryptionError):
            other.decrypt(OLD)
        with pytest.raises(InvalidInputError, match=r"legacy\.read_xor"):
            other.decrypt(OLD, format="xor")
        assert open_xor(other, OLD).data == DATA


def test_nothing_is_made_in_the_old_format(reading: Keyring) -> None:
    """By no keyring."""
    with pytest.raises(InvalidInputError, match="never made"):
        reading.encrypt(b"data", key_id="orders", format="xor")


def test_without_the_key_nothing_opens(local_provider: LocalKeyProvider) -> None:
    """An old message is then like one of an unknown key; asked for by name the key is missing."""
    with keyring_over(local_provider, old_format=XorFormat()) as keyring:
        for format in ("sealed", "xor"):
            with pytest.raises(DecryptionError):
                keyring.decrypt(OLD, format=format)
        with pytest.raises(KeyNotFoundError, match="mfn key import-xor FILE"):
            xor_key(keyring)


def test_uses_are_counted_durably_and_failures_are_not(reading: Keyring, clock: Clock) -> None:
    """What did not open was perhaps never such a message."""
    handle = reading.provider.keys.get(NAME).latest.handle

    def opened() -> dict[int, int]:
        reading.flush()
        days = reading.usage.days([handle])
        return {each.day: each.count for each in days if each.kind == OPEN}

    for message in (b"no message", write_xor(b"x", bytes(32)).encode()):
        with pytest.raises(DecryptionError):
            reading.decrypt(message)
    assert opened() == {}
    reading.decrypt(OLD)
    reading.decrypt(OLD)
    assert list(opened().values()) == [2]


def test_the_states_of_the_key_hold(reading: Keyring) -> None:
    """Compromised it opens only when that is allowed, pending destruction not at all."""
    provider = reading.provider
    provider.states.apply(Verb.COMPROMISE, NAME)
    reading.refresh()
    with pytest.raises(KeyStateError, match="compromised"):
        reading.decrypt(OLD)
    assert reading.decrypt(OLD, allow_compromised=True) == DATA
    provider.states.apply(Verb.DESTROY, NAME)
    reading.refresh()
    with pytest.raises(KeyStateError, match="cancel-destruction"):
        reading.decrypt(OLD, allow_compromised=True)


# Nothing else ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("use", "error"),
    [
        (lambda k: k.encrypt(b"x", key_id=NAME), KeyStateError),
        (lambda k: k.encrypt(b"x", key_id=NAME, format="raw"), KeyStateError),
        (lambda k: k.encrypt(b"x", key_id="legacy-xor:v1"), KeyStateError),
        (lambda k: k.encryptor(key_id=NAME), KeyStateError),
        (lambda k: k.data_key(key_id=NAME), KeyStateError),
        (lambda k: k.protecting_key(NAME), KeyUsageError),
        (lambda k: k.decrypt(bytes(40), key_id=NAME, format="raw"), KeyUsageError),
        (lambda k: k.sign(b"x", key_id=NAME), KeyStateError),
        (lambda k: k.mac(b"x", key_id=NAME), KeyStateError),
        (lambda k: k.rewrap(OLD), DecryptionError),
        (lambda k: k.provider.get_key(NAME), KeyNotExportableError),
        (lambda k: k.provider.get_key("legacy-xor:v1"), KeyNotExportableError),
        (lambda k: k.provider.rotate_key(NAME), KeyUsageError),
        (lambda k: k.provider.keys.rotate_from("legacy-xor:v1"), KeyUsageError),
        (lambda k: k.provider.keys.set_publish(NAME, True), KeyUsageError),
        (lambda k: k.provider.states.apply(Verb.ACTIVATE, NAME), KeyStateError),
        (lambda k: k.provider.keys.create("other", algorithm="LEGACY-XOR"), InvalidInputError),
        (lambda k: import_xor_key(k.provider, OLD_KEY), KeyExistsError),
        (lambda k: import_xor_key(k.provider, bytes(16)), InvalidKeyError),
    ],
)
def test_every_other_use_of_the_key_is_refused(
    reading: Keyring, use: Callable[[Keyring], object], error: type[Exception]
) -> None:
    """It protects nothing, is never handed out, and has no next version."""
    with pytest.raises(error) as refused:
        use(reading)
    assert refused.type is error
    assert len(reading.provider.keys.get(NAME).versions) == 1


def test_a_sealed_message_that_names_the_old_key_was_not_sealed_here(reading: Keyring) -> None:
    """Who had the old master key could make one; it is refused in every way to open one."""
    handle = reading.provider.keys.get(NAME).latest.handle
    forged = Policy().sealer(OLD_KEY, handle).seal(b"forged", b"")
    for use in (reading.decrypt, reading.rewrap, reading.decryptor):
        with pytest.raises(DecryptionError):
            use(forged)


def test_only_an_import_makes_a_key_of_that_name(local_provider: LocalKeyProvider) -> None:
    """So nobody takes it before."""
    with pytest.raises(InvalidInputError, match="mfn key import-xor"):
        local_provider.keys.create(NAME)


def test_a_key_of_another_kind_with_that_name_opens_no_old_message(reading: Keyring) -> None:
    """One that was made by an earlier release, when the name was free."""
    from dataclasses import replace

    provider = reading.provider
    provider.keys.update(NAME, lambda key: replace(key, algorithm="AES-256-GCM"))
    reading.refresh()
    with pytest.raises(DecryptionError):
        reading.decrypt(OLD)
    with pytest.raises(KeyNotFoundError):
        xor_key(reading)


def test_no_scheduler_is_told_to_rotate_it(reading: Keyring) -> None:
    """Its policy is not automatic, and cannot be made so; the rest of it can be changed."""
    provider = reading.provider
    key = provider.keys.get(NAME)
    assert not key.rotation.automatic
    with pytest.raises(KeyUsageError, match="no next version"):
        provider.keys.set_rotation(NAME, RotationPolicy(interval_days=90, retain_count=1))
    policy = RotationPolicy(interval_days=90, retain_count=1, automatic=False)
    assert provider.keys.set_rotation(NAME, policy).rotation == policy


def test_its_record_says_what_it_is(reading: Keyring) -> None:
    """A key as any other, which only opens: deactivated, its minimum versions in order."""
    key = reading.provider.keys.get(NAME)
    assert (key.key_type, key.algorithm, key.publish) == ("encryption", "LEGACY-XOR", False)
    assert key.latest.state == "deactivated"
    assert key.minimum_versions == (1, 1, 1, 1)
    assert OLD_KEY not in key.latest.wrapped
    assert reading.published_keys() == []


def test_it_moves_to_a_new_master_key_with_the_others(reading: Keyring) -> None:
    """And opens what it did."""
    before = reading.provider.keys.get(NAME).latest.wrapped
    reading.provider.master_keys.rotate()
    reading.refresh()
    assert reading.provider.keys.get(NAME).latest.wrapped != before
    assert reading.decrypt(OLD) == DATA


def test_a_key_imported_while_the_master_key_moves_is_not_stored(
    local_provider: LocalKeyProvider, clock: Clock
) -> None:
    """Under a master key that is gone it could never be unwrapped; trying again is safe."""
    provider = local_provider
    old = provider.store.require_status()

    class LateStore(KeyStore):
        def require_status(self) -> StoreStatus:
            return old

    new = provider.master_keys.rotate()

    class KeepsOld(LocalCustodian):
        """A custodian that would still wrap under the master key that is gone."""

        def holds(self, master_id: str) -> bool:
            return True

        def wrap_many(self, _: str, items: Sequence[tuple[Octets, Binding]]) -> list[bytes]:
            return super().wrap_many(new, items)

    path = Path(provider.store.database.file or "").with_name("master.key")
    custodian = KeepsOld(path, provider.policy)
    late = LocalKeyProvider(
        LateStore(provider.store.database), custodian, provider.policy, clock=clock
    )
    late.record_macs._macs[old.master_id] = b"", late.record_macs.of(new)
    with pytest.raises(ConflictError):
        import_xor_key(late, OLD_KEY)
    assert not provider.store.keys.has(NAME)
    assert import_xor_key(provider, OLD_KEY).key_id == NAME


# The file and the setting -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [
        OLD_KEY,
        OLD_KEY.hex().encode(),
        OLD_KEY.hex().upper().encode() + b"\n",
        base64.urlsafe_b64encode(OLD_KEY) + b"\r\n",
        base64.urlsafe_b64encode(OLD_KEY).rstrip(b"="),
    ],
)
def test_a_key_file_holds_32_bytes_or_a_text_of_them(tmp_path: Path, content: bytes) -> None:
    """As the old service had it."""
    path = tmp_path / "old.key"
    path.write_bytes(content)
    path.chmod(0o600)
    assert read_xor_key(path) == OLD_KEY


@pytest.mark.parametrize(
    "content",
    [b"", OLD_KEY[:31], OLD_KEY + b"\n", b"0" * 63, b"0" * 65, b"A" * 42 + b"B", b"g" * 64,
     b"A" * 43 + b"==", bytes(200)],
)  # fmt: skip
def test_anything_else_is_no_key(tmp_path: Path, content: bytes) -> None:
    """The error names the file and quotes nothing of it."""
    path = tmp_path / "old.key"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(InvalidKeyError, match=r"old\.key holds no key"):
        read_xor_key(path)


def test_a_key_file_is_private_and_no_link(tmp_path: Path) -> None:
    """As every file with a key."""
    path = tmp_path / "old.key"
    with pytest.raises(MasterKeyError, match="cannot be read"):
        read_xor_key(path)
    path.write_bytes(OLD_KEY)
    path.chmod(0o640)
    with pytest.raises(StorePermissionsError, match="chmod 0600"):
        read_xor_key(path)
    path.chmod(0o600)
    link = tmp_path / "link"
    link.symlink_to(path)
    with pytest.raises(MasterKeyError):
        read_xor_key(link)


def test_the_setting_is_what_switches_it_on(tmp_path: Path) -> None:
    """legacy.read_xor; in FIPS mode it stops every program before it does anything."""

    def settings(text: str) -> Any:
        path = tmp_path / "settings.json"
        path.write_text(text)
        return load_settings(path, home=tmp_path / "home", environ={})

    with initialise(settings=settings("{}")) as keyring:
        assert keyring.old_format is None
    with initialise(settings=settings('{"legacy": {"read_xor": true}}')) as keyring:
        assert keyring.old_format is not None
    both = '{"legacy": {"read_xor": true}, "security": {"fips_mode": true}}'
    with pytest.raises(ConfigurationError, match=r"legacy\.read_xor"):
        initialise(settings=settings(both))
