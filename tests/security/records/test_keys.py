"""The records of a key: names, states, transitions, and which version does what."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from mycelium_fractal_net.security.errors import (
    InvalidInputError,
    KeyNotFoundError,
    KeyStateError,
)
from mycelium_fractal_net.security.records.keys import (
    DEFAULT_ROTATION,
    NEVER_AUTOMATIC,
    Key,
    KeyState,
    KeyType,
    KeyUse,
    KeyVersion,
    RotationPolicy,
    Verb,
    parse_key_id,
    version_id,
)

S = KeyState
NOW = datetime(2026, 1, 1, tzinfo=UTC)

# DESIGN's table, state by state: what each verb leads to, and nothing where it is refused.
TRANSITIONS = {
    S.PRE_ACTIVATION: {
        Verb.ACTIVATE: S.ACTIVE,
        Verb.COMPROMISE: S.COMPROMISED,
        Verb.DESTROY: S.PENDING_DESTRUCTION,
    },
    S.ACTIVE: {
        Verb.SUSPEND: S.SUSPENDED,
        Verb.DEACTIVATE: S.DEACTIVATED,
        Verb.COMPROMISE: S.COMPROMISED,
        Verb.DESTROY: S.PENDING_DESTRUCTION,
    },
    S.SUSPENDED: {
        Verb.ACTIVATE: S.ACTIVE,
        Verb.DEACTIVATE: S.DEACTIVATED,
        Verb.COMPROMISE: S.COMPROMISED,
        Verb.DESTROY: S.PENDING_DESTRUCTION,
    },
    S.DEACTIVATED: {Verb.COMPROMISE: S.COMPROMISED, Verb.DESTROY: S.PENDING_DESTRUCTION},
    S.COMPROMISED: {Verb.DESTROY: S.PENDING_DESTRUCTION},
    S.PENDING_DESTRUCTION: {
        Verb.COMPROMISE: S.PENDING_DESTRUCTION,
        Verb.CANCEL_DESTRUCTION: S.DEACTIVATED,
    },
    S.DESTROYED: {Verb.COMPROMISE: S.DESTROYED},
}
DECRYPTS = {S.ACTIVE, S.DEACTIVATED}
VERIFIES = {S.ACTIVE, S.DEACTIVATED, S.PENDING_DESTRUCTION, S.DESTROYED}


def version(number: int, state: KeyState, *, compromised: bool = False) -> KeyVersion:
    return KeyVersion(
        version=number,
        handle=number.to_bytes(8, "big"),
        state=state,
        created_at=NOW,
        wrapped=b"w",
        compromised=compromised or state is S.COMPROMISED,
    )


def key(*states: KeyState) -> Key:
    return Key(
        key_id="orders",
        key_type=KeyType.ENCRYPTION,
        use=KeyUse.DATA,
        algorithm="AES-256-GCM",
        rotation=DEFAULT_ROTATION[KeyType.ENCRYPTION],
        created_at=NOW,
        versions=tuple(version(number, state) for number, state in enumerate(states, 1)),
    )


@pytest.mark.parametrize("state", list(KeyState))
@pytest.mark.parametrize("verb", list(Verb))
def test_a_verb_leads_where_the_table_says_and_is_refused_elsewhere(
    state: KeyState, verb: Verb
) -> None:
    """Every pair of state and verb is decided by the table of SP 800-57's states."""
    expected = TRANSITIONS[state].get(verb)
    if expected is None:
        with pytest.raises(KeyStateError, match=f"cannot {verb}"):
            version(1, state).state_after(verb)
    else:
        assert version(1, state).state_after(verb) is expected


def test_a_compromise_is_remembered_through_a_cancelled_destruction() -> None:
    """A compromised version whose destruction is cancelled is compromised again."""
    pending = version(1, S.PENDING_DESTRUCTION, compromised=True)
    assert pending.state_after(Verb.CANCEL_DESTRUCTION) is S.COMPROMISED


@pytest.mark.parametrize("state", list(KeyState))
def test_only_the_states_of_the_table_decrypt(state: KeyState) -> None:
    """Active and deactivated versions decrypt, compromised ones only when that is allowed."""
    one = key(state)
    if state in DECRYPTS:
        one.check_decrypt(one.latest)
    else:
        with pytest.raises(KeyStateError, match=str(state)):
            one.check_decrypt(one.latest)
    if state is S.COMPROMISED:
        one.check_decrypt(one.latest, allow_compromised=True)


@pytest.mark.parametrize("state", list(KeyState))
@pytest.mark.parametrize("compromised", [False, True])
def test_only_the_states_of_the_table_verify(state: KeyState, compromised: bool) -> None:
    """Destroyed versions verify by their public part; compromised ones only when allowed."""
    one = key(state)
    candidate = version(1, state, compromised=compromised)
    if state in VERIFIES and not candidate.compromised:
        one.check_verify(candidate)
    else:
        with pytest.raises(KeyStateError, match="may not verify"):
            one.check_verify(candidate)
    if state not in (S.PRE_ACTIVATION, S.SUSPENDED):
        one.check_verify(candidate, allow_compromised=True)


def test_the_newest_version_that_left_pre_activation_protects() -> None:
    """A version that waits for its activation leaves the one before it in charge."""
    assert key(S.DEACTIVATED, S.ACTIVE, S.PRE_ACTIVATION).primary.version == 2


@pytest.mark.parametrize("state", [S.SUSPENDED, S.DEACTIVATED, S.COMPROMISED, S.DESTROYED])
def test_a_key_never_falls_back_to_an_older_version(state: KeyState) -> None:
    """With its newest version out of use a key protects nothing, though an older is active."""
    with pytest.raises(KeyStateError, match="protects nothing"):
        _ = key(S.ACTIVE, state).primary


def test_a_key_that_is_not_yet_active_protects_nothing() -> None:
    """Before the first activation there is no version to protect with."""
    with pytest.raises(KeyStateError, match="not yet active"):
        _ = key(S.PRE_ACTIVATION).primary


def test_versions_are_found_by_number_and_by_handle() -> None:
    """A number or handle that the key does not have is an error, never another version."""
    one = key(S.ACTIVE, S.ACTIVE)
    assert one.version(1).version == 1
    assert one.by_handle((2).to_bytes(8, "big")).version == 2
    with pytest.raises(KeyNotFoundError):
        one.version(3)
    with pytest.raises(KeyNotFoundError):
        one.by_handle(bytes(8))


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("orders", ("orders", None)),
        ("0.a_b-c", ("0.a_b-c", None)),
        ("orders:v1", ("orders", 1)),
        ("orders:v120", ("orders", 120)),
        ("a" * 64, ("a" * 64, None)),
    ],
)
def test_a_key_id_parses(text: str, parsed: tuple[str, int | None]) -> None:
    """A name, or a name with its version."""
    assert parse_key_id(text) == parsed
    if parsed[1] is not None:
        assert version_id(parsed[0], parsed[1]) == text


@pytest.mark.parametrize(
    "text",
    ["", "a" * 65, "Orders", ".a", "-a", "a b", "é", "a\n", "a:1", "a:v0", "a:v01", "a:v",
     "a:v1:v2", "a:v١", ":v1", "a:v1\n", "a:V1", "a:v9999999999", "secret value"],
)  # fmt: skip
def test_what_is_no_key_id_is_refused_and_not_repeated(text: str) -> None:
    """The error says what a key id looks like and does not quote what came."""
    with pytest.raises(InvalidInputError) as caught:
        parse_key_id(text)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "values",
    [
        {"interval_days": 0, "retain_count": 1},
        {"interval_days": 36_501, "retain_count": 1},
        {"interval_days": 90, "retain_count": 0},
        {"interval_days": 90, "retain_count": 10_001},
        {"interval_days": 90, "retain_count": 1, "unused_for_days": 399},
    ],
)
def test_a_rotation_policy_outside_its_bounds_is_refused(values: dict[str, int]) -> None:
    """A policy that keeps no version, or destroys what was used this year, cannot be made."""
    with pytest.raises(InvalidInputError, match="must be between"):
        RotationPolicy(**values)  # type: ignore[arg-type]


def test_the_plans_rotation_table_is_the_default() -> None:
    """Encryption 90 days keep 3, signing a year keep 2, API keys 90 days keep 2."""
    table = {
        kind: (r.interval_days, r.retain_count)
        for kind, r in DEFAULT_ROTATION.items()
        if kind not in NEVER_AUTOMATIC
    }
    assert table == {
        KeyType.ENCRYPTION: (90, 3),
        KeyType.SIGNING: (365, 2),
        KeyType.MAC: (90, 3),
        KeyType.API: (90, 2),
    }


def test_a_records_repr_shows_no_key_material() -> None:
    """What a log or a debugger prints of a record holds no wrapped key."""
    assert " wrapped" not in repr(key(S.ACTIVE))
