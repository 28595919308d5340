"""What a caller may do and hand out: by its scopes, its secret, its end and its binding."""

from __future__ import annotations

import dataclasses
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from mycelium_fractal_net.security.directories.callers import Caller
from mycelium_fractal_net.security.errors import NotPermittedError
from mycelium_fractal_net.security.records.credentials import check_scopes, is_data_scope
from tests.support.stores import Clock

if TYPE_CHECKING:
    from mycelium_fractal_net.security.key_providers import LocalKeyProvider

DAY = timedelta(days=1)
DATA = ("encrypt", "decrypt", "sign", "verify", "mac", "index", "rewrap", "datakey", "fieldkey")
WHOLE = (
    "keys:read", "keys:admin", "credentials:admin", "signers:admin", "audit:read", "metrics:read",
    "*",
)  # fmt: skip


def caller_with(local_provider: LocalKeyProvider, *scopes: str, **options: object) -> Caller:
    made, _ = local_provider.credentials.create("x", scopes, **options)  # type: ignore[arg-type]
    return Caller.of(made, 90, due=False)


def may_hand_out(
    caller: Caller, *scopes: str, expires_at: object = None, bound: bool = False
) -> bool:
    try:
        caller.check_grant(scopes, expires_at, bound=bound)  # type: ignore[arg-type]
    except NotPermittedError:
        return False
    return True


def test_a_scope_for_a_key_is_for_that_operation_and_that_key_alone(
    local_provider: LocalKeyProvider,
) -> None:
    """Nothing near it is allowed."""
    caller = caller_with(local_provider, "encrypt:orders", "decrypt:*")
    assert caller.may("encrypt", "orders")
    assert caller.may("decrypt", "orders")
    assert caller.may("decrypt", "anything")
    for operation, name in [
        ("encrypt", "order"), ("encrypt", "orders2"), ("encrypt", "*"), ("encrypt", ""),
        ("sign", "orders"), ("rewrap", "orders"), ("*", "orders"), ("", "orders"),
    ]:  # fmt: skip
        assert not caller.may(operation, name)


def test_everything_is_everything(local_provider: LocalKeyProvider) -> None:
    """The scope of the first key."""
    caller = caller_with(local_provider, "*")
    assert caller.may("decrypt", "orders")
    assert caller.has("allow_compromised")
    assert caller.has("*")
    caller.check_grant(["*", "credentials:admin", "encrypt:orders", "encrypt:*"], None, bound=False)


@pytest.mark.parametrize(
    ("held", "wanted", "covered"),
    [
        ("encrypt:*", "encrypt:orders", True),
        ("encrypt:*", "encrypt:*", True),
        ("encrypt:orders", "encrypt:orders", True),
        ("encrypt:orders", "encrypt:*", False),
        ("encrypt:orders", "encrypt:invoices", False),
        ("encrypt:*", "decrypt:orders", False),
        ("encrypt:*", "*", False),
        ("keys:admin", "keys:read", False),
        ("keys:read", "keys:admin", False),
        ("credentials:admin", "*", False),
        ("decrypt:*", "allow_compromised", False),
    ],
)
def test_none_hands_out_a_scope_that_it_lacks(
    local_provider: LocalKeyProvider, held: str, wanted: str, covered: bool
) -> None:
    """A scope covers itself, and all keys cover one; no administration covers another."""
    caller = caller_with(local_provider, held)
    assert may_hand_out(caller, wanted) is covered
    assert caller.has(wanted) is covered
    assert not may_hand_out(caller, held, "signers:admin")


def test_none_hands_out_what_outlives_it(local_provider: LocalKeyProvider, clock: Clock) -> None:
    """What ends with it or before may be made, what ends later or never not."""
    caller = caller_with(local_provider, "*", expires_at=(end := clock() + 2 * DAY))
    assert may_hand_out(caller, "*", expires_at=end)
    assert may_hand_out(caller, "*", expires_at=end - DAY)
    assert not may_hand_out(caller, "*", expires_at=end + timedelta(microseconds=1))
    assert not may_hand_out(caller, "*")
    for_ever = caller_with(local_provider, "*")
    assert may_hand_out(for_ever, "*")
    assert may_hand_out(for_ever, "*", expires_at=end)


def test_a_bound_one_hands_out_what_is_bound(local_provider: LocalKeyProvider) -> None:
    """Whoever needs a signature makes none that needs none."""
    caller = caller_with(local_provider, "*", bound=True)
    assert caller.bound
    assert may_hand_out(caller, "*", bound=True)
    assert not may_hand_out(caller, "*")
    assert may_hand_out(caller_with(local_provider, "*"), "*", bound=True)


@pytest.mark.parametrize("held", ["*", *WHOLE, "allow_compromised"])
def test_a_former_secret_does_data_operations_only(
    local_provider: LocalKeyProvider, held: str
) -> None:
    """Whatever its scopes: it reads no keys, no audit records, no metrics, and changes nothing."""
    former = dataclasses.replace(caller_with(local_provider, held, "encrypt:*"), former=True)
    assert former.may("encrypt", "orders")
    assert not any(former.has(scope) for scope in WHOLE)
    for scope in (None, *WHOLE):
        with pytest.raises(NotPermittedError, match="former API key"):
            former.check(scope)
    assert former.has("allow_compromised") is (held in ("*", "allow_compromised"))
    assert not may_hand_out(former, *WHOLE)


def test_what_every_credential_may_takes_its_newest_secret(
    local_provider: LocalKeyProvider,
) -> None:
    """No scope is asked for, and one that is lacking is named."""
    caller = caller_with(local_provider, "encrypt:orders")
    caller.check()
    with pytest.raises(NotPermittedError, match="this needs a credential with the scope keys:read"):
        caller.check("keys:read")


def test_every_scope_is_one_for_data_or_for_the_service() -> None:
    """So a scope that is added later has to be put on one side."""
    for scope in (*(f"{each}:*" for each in DATA), *(f"{each}:k" for each in DATA)):
        check_scopes((scope,))
        assert is_data_scope(scope)
    assert is_data_scope("allow_compromised")
    for scope in WHOLE:
        check_scopes((scope,))
        assert not is_data_scope(scope)


def test_a_caller_cannot_be_changed(local_provider: LocalKeyProvider) -> None:
    """Who handles a request does not widen it."""
    caller = caller_with(local_provider, "keys:read")
    with pytest.raises(dataclasses.FrozenInstanceError):
        caller.scopes = frozenset("*")  # type: ignore[misc]
