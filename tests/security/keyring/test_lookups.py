"""Values are found by their tags before, in and after a rotation, and by nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mycelium_fractal_net.security.errors import (
    AlgorithmNotAllowedError,
    DecryptionError,
    InvalidInputError,
    KeyNotFoundError,
    KeyStateError,
    KeyUsageError,
)
from mycelium_fractal_net.security.policy import Policy
from mycelium_fractal_net.security.records.file_names import FileName
from mycelium_fractal_net.security.records.keys import (
    DEFAULT_ROTATION,
    KeyState,
    KeyType,
    RotationPolicy,
    Verb,
)
from mycelium_fractal_net.security.records.open_options import OpenOptions
from tests.support.stores import keyring_over

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mycelium_fractal_net.security.key_providers import LocalKeyProvider
    from mycelium_fractal_net.security.keyring.keyring import Keyring
    from tests.support.stores import Clock

NAME, FIELD = "customers-index", b"customers.email"


@pytest.fixture
def keyring(local_provider: LocalKeyProvider) -> Iterator[Keyring]:
    """With a key of each of the two types."""
    local_provider.keys.create(NAME, "index")
    with keyring_over(local_provider) as opened:
        yield opened


@pytest.fixture
def same(keyring: Keyring) -> None:
    """A deterministic key of that name, which FIPS mode refuses."""
    keyring.provider.keys.create("same", "deterministic")


def tags(keyring: Keyring, *, allow_compromised: bool = False) -> list[str]:
    """The versions that made the tags to search for."""
    found = keyring.index_tags(
        "alice", key_id=NAME, context=FIELD, allow_compromised=allow_compromised
    )
    assert len(set(found)) == len(found)
    return [each.key_id for each in found]


def stored(keyring: Keyring) -> tuple[bytes, str]:
    """The tag to store, and its version."""
    made = keyring.index_tag("alice", key_id=NAME, context=FIELD)
    return bytes(made), made.key_id


def test_what_is_stored_is_found(keyring: Keyring) -> None:
    """By the tag of the same value in the same field alone."""
    tag, version = stored(keyring)
    assert version == f"{NAME}:v1"
    assert keyring.index_tags("alice", key_id=NAME, context=FIELD) == [tag]
    assert keyring.index_tags("bob", key_id=NAME, context=FIELD) != [tag]
    assert keyring.index_tags("alice", key_id=NAME, context=b"customers.name") != [tag]


def test_a_new_version_is_searched_first_and_stored_once_it_is_activated(keyring: Keyring) -> None:
    """Whoever searches finds what both made at each step of a sweep; no step is skipped."""
    before, _ = stored(keyring)
    keyring.provider.keys.rotate(NAME)
    keyring.refresh()
    assert tags(keyring) == [f"{NAME}:v2", f"{NAME}:v1"]
    assert stored(keyring) == (before, f"{NAME}:v1")
    swept = keyring.index_tags("alice", key_id=NAME, context=FIELD)[0]
    keyring.provider.states.apply(Verb.ACTIVATE, f"{NAME}:v2")
    keyring.refresh()
    assert stored(keyring) == (bytes(swept), f"{NAME}:v2")
    assert before in keyring.index_tags("alice", key_id=NAME, context=FIELD)


def test_no_scheduler_and_no_backup_activates_what_waits_for_a_sweep(keyring: Keyring) -> None:
    """It is somebody's word that all is swept."""
    keys, states = keyring.provider.keys, keyring.provider.states
    keys.rotate(NAME)
    assert states.activate_due(NAME).latest.state is KeyState.PRE_ACTIVATION
    keys.require_backup = True
    keys.create("other-index", "index")
    keys.require_backup = False
    assert states.activate_due("other-index").latest.state is KeyState.ACTIVE
    states.apply(Verb.SUSPEND, f"{NAME}:v1")
    keyring.refresh()
    with pytest.raises(KeyStateError, match=rf"searched only, until: mfn key activate {NAME}:v2"):
        stored(keyring)


def test_what_a_version_tagged_is_never_missed_in_silence(keyring: Keyring) -> None:
    """A state that forbids searching refuses the search; what is destroyed has no tags."""
    states = keyring.provider.states
    keyring.provider.keys.rotate(NAME)
    states.apply(Verb.ACTIVATE, f"{NAME}:v2")
    states.apply(Verb.SUSPEND, f"{NAME}:v1")
    keyring.refresh()
    with pytest.raises(KeyStateError, match=rf"would be missed.*mfn key activate {NAME}:v1"):
        tags(keyring)
    states.apply(Verb.COMPROMISE, f"{NAME}:v1")
    keyring.refresh()
    with pytest.raises(KeyStateError, match="allow_compromised"):
        tags(keyring)
    assert tags(keyring, allow_compromised=True) == [f"{NAME}:v2", f"{NAME}:v1"]


def test_what_a_destroyed_version_tagged_is_searched_no_more(
    keyring: Keyring, clock: Clock
) -> None:
    """Until then it is, with the alarm of a version that somebody still needs."""
    provider = keyring.provider
    provider.keys.rotate(NAME)
    provider.states.apply(Verb.ACTIVATE, f"{NAME}:v2")
    provider.states.apply(Verb.DESTROY, f"{NAME}:v1")
    keyring.refresh()
    assert tags(keyring) == [f"{NAME}:v2", f"{NAME}:v1"]
    clock.forward(days=30)
    provider.states.erase_due(NAME)
    keyring.refresh()
    assert tags(keyring) == [f"{NAME}:v2"]


def test_these_keys_never_rotate_by_themselves(keyring: Keyring) -> None:
    """A rotation that nobody sweeps after would have searches miss."""
    for kind in (KeyType.INDEX, KeyType.DETERMINISTIC):
        assert not DEFAULT_ROTATION[kind].automatic
        with pytest.raises(InvalidInputError, match="by hand alone"):
            keyring.provider.keys.create("k", kind, rotation=RotationPolicy(90, 3))
    with pytest.raises(KeyUsageError, match="by hand alone"):
        keyring.provider.keys.set_rotation(NAME, RotationPolicy(90, 3))


def test_many_fields_of_one_key_keep_their_tags(keyring: Keyring) -> None:
    """More than are held at a time."""
    of = [keyring.index(key_id=NAME, context=f"field {n}".encode()) for n in range(300)]
    first = [each.tag("alice") for each in of]
    assert [each.tag("alice") for each in of] == first
    assert len(set(first)) == 300
    assert NAME in repr(of[0])


@pytest.mark.usefixtures("same")
def test_each_type_does_its_own_work_alone(keyring: Keyring) -> None:
    """An index key never encrypts or makes MACs, and no other key makes tags."""
    keyring.provider.keys.create("orders")
    keyring.provider.keys.create("orders-mac", "mac")
    for name in ("orders", "orders-mac", "same"):
        for search in (keyring.index_tag, keyring.index_tags):
            with pytest.raises(KeyUsageError):
                search("alice", key_id=name, context=FIELD)
    for name in ("orders", NAME):
        with pytest.raises(KeyUsageError):
            keyring.encrypt(b"", key_id=name, format="deterministic")
        with pytest.raises(KeyUsageError):
            keyring.deterministic_messages(b"", key_id=name)
    for name in (NAME, "same"):
        with pytest.raises(KeyUsageError):
            keyring.encrypt(b"", key_id=name)
        with pytest.raises(KeyUsageError):
            keyring.mac(b"", key_id=name)


# Deterministic messages ------------------------------------------------------------------------


def sealed(keyring: Keyring, data: bytes = b"alice") -> bytes:
    return keyring.encrypt(data, key_id="same", associated_data=FIELD, format="deterministic")


@pytest.mark.usefixtures("same")
def test_equal_data_is_found_by_its_message_and_opened(keyring: Keyring) -> None:
    """It names its key, so nobody has to say which form it is; where somebody does it must be."""
    message = sealed(keyring)
    assert sealed(keyring) == message
    assert keyring.deterministic_messages(b"alice", key_id="same", associated_data=FIELD) == [
        message
    ]
    assert keyring.decrypt(message, associated_data=FIELD) == b"alice"
    assert keyring.decrypt(message, key_id="same:v1", associated_data=FIELD) == b"alice"
    assert keyring.decrypt(message, associated_data=FIELD, format="deterministic") == b"alice"
    said = keyring.describe(message)
    assert (said.form, said.version_id, said.newest) == ("deterministic", "same:v1", True)


@pytest.mark.usefixtures("same")
def test_a_rotated_key_goes_on_finding_and_rewraps(keyring: Keyring) -> None:
    """The newest version is stored, each is searched, and a rewrap moves to the newest one."""
    old = sealed(keyring)
    keyring.provider.keys.rotate("same")
    keyring.refresh()
    new = sealed(keyring)
    found = keyring.deterministic_messages(b"alice", key_id="same", associated_data=FIELD)
    assert found == [new, old]
    assert [each.key_id for each in found] == ["same:v2", "same:v1"]
    assert keyring.rewrap(old, associated_data=FIELD) == new


@pytest.mark.usefixtures("same")
def test_everything_wrong_with_a_message_is_one_error(keyring: Keyring) -> None:
    """Of a form that does not fit its key as well, and of messages that pass for another's."""
    keyring.provider.keys.create("orders")
    message = sealed(keyring)
    ordinary = keyring.encrypt(b"alice", key_id="orders", associated_data=FIELD)
    wrong = [
        (message, b"other", "sealed"),
        (message[:-1], FIELD, "sealed"),
        (b"MFN\x01" + message[4:], FIELD, "sealed"),
        (b"MFN\x03" + ordinary[4:], FIELD, "sealed"),
        (b"MFN\x03" + bytes(8) + message[12:], FIELD, "deterministic"),
        (ordinary, FIELD, "deterministic"),
        (b"", b"", "deterministic"),
    ]
    for changed, associated_data, form in wrong:
        with pytest.raises(DecryptionError):
            keyring.decrypt(changed, associated_data=associated_data, format=form)  # type: ignore[arg-type]
    with pytest.raises(DecryptionError):
        keyring.decrypt(message, key_id="orders", associated_data=FIELD)
    with pytest.raises(DecryptionError):
        keyring.rewrap(message)


@pytest.mark.usefixtures("same")
def test_a_message_of_a_file_is_never_deterministic(keyring: Keyring) -> None:
    """Whoever opens a file by its name gets the one error."""
    with pytest.raises(DecryptionError):
        keyring.decrypt_result(sealed(keyring), OpenOptions(FIELD, name=FileName("a.txt")))


def test_a_deterministic_key_has_to_be_named(keyring: Keyring) -> None:
    """There is none by default, since each of them gives something away."""
    with pytest.raises(InvalidInputError, match="name one"):
        keyring.encrypt(b"", format="deterministic")
    with pytest.raises(KeyNotFoundError):
        keyring.encrypt(b"", key_id="absent", format="deterministic")


def test_a_policy_without_siv_opens_and_makes_none(local_provider: LocalKeyProvider) -> None:
    """Whoever narrows the list of algorithms is asked."""
    policy = Policy(disallowed=["AES-256-SIV"])
    for ask in (
        lambda: policy.deterministic_cipher(bytes(64), bytes(8), b""),
        lambda: policy.generate_key_material("AES-256-SIV"),
        lambda: Policy(disallowed=["HMAC-SHA-256"]).index_key("HMAC-SHA-256", bytes(32)),
    ):
        with pytest.raises(AlgorithmNotAllowedError):
            ask()
