"""Keys of a store, wrapped by a token of SoftHSM2."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mycelium_fractal_net.security.errors import MasterKeyError, StoreIntegrityError
from mycelium_fractal_net.security.key_providers.remote import RemoteCustodian
from tests.security.key_providers.pkcs11.conftest import bound

if TYPE_CHECKING:
    from mycelium_fractal_net.security.key_providers.pkcs11 import PKCS11Custodian

MATERIAL = b"k" * 32


def test_what_the_token_wrapped_it_unwraps_under_the_same_binding_alone(
    custodian: PKCS11Custodian,
) -> None:
    """Whole batches, each item with a nonce of its own and a tag of 16 bytes."""
    newest = custodian.newest_id()
    items = [(bytes([number]) * 32, bound(number)) for number in range(1, 4)]
    wrapped = custodian.wrap_many(newest, items)
    assert [len(each) for each in wrapped] == [12 + 32 + 16] * 3
    assert len({each[:12] for each in wrapped}) == 3
    again = [(each, binding) for each, (_, binding) in zip(wrapped, items, strict=True)]
    assert custodian.unwrap_many(newest, again) == [material for material, _ in items]
    with pytest.raises(StoreIntegrityError):
        custodian.unwrap_many(newest, [(wrapped[0], bound(2))])
    custodian.ping()
    assert custodian.holds(newest)


@pytest.mark.parametrize("byte", [0, 11, 12, 43, 44, 59])
def test_a_wrapping_with_one_bit_changed_is_no_wrapping(
    custodian: PKCS11Custodian, byte: int
) -> None:
    """In the nonce, in the key, in the tag: SoftHSM's answer means an outage as well, and it is
    found out that there is none."""
    newest = custodian.newest_id()
    (wrapped,) = custodian.wrap_many(newest, [(MATERIAL, bound())])
    edited = bytearray(wrapped)
    edited[byte] ^= 1
    with pytest.raises(StoreIntegrityError):
        custodian.unwrap_many(newest, [(bytes(edited), bound())])


def test_a_wrapping_that_was_cut_is_no_wrapping(custodian: PKCS11Custodian) -> None:
    """Of every length: a tag that is shorter is not asked for."""
    newest = custodian.newest_id()
    (wrapped,) = custodian.wrap_many(newest, [(MATERIAL, bound())])
    for size in (0, 1, 12, 27, 28, 29, 44, 59):
        with pytest.raises(StoreIntegrityError):
            custodian.unwrap_many(newest, [(wrapped[:size], bound())])
    with pytest.raises(StoreIntegrityError):
        custodian.unwrap_many(newest, [(wrapped + b"\0", bound())])


def test_master_keys_are_made_and_destroyed_from_here(own: PKCS11Custodian) -> None:
    """As where they lie in a file: what was under the former one is rewrapped before."""
    first = own.newest_id()
    (wrapped,) = own.wrap_many(first, [(MATERIAL, bound())])
    second = own.add()
    assert second == own.newest_id() != first
    assert own.inspect().kek_ids == (first, second)
    (moved,) = own.rewrap_many(first, second, [(wrapped, bound())])
    own.forget_all_but(second)
    assert own.inspect().kek_ids == (second,)
    assert own.unwrap_many(second, [(moved, bound())]) == [MATERIAL]
    with pytest.raises(MasterKeyError, match="does not hold the master key"):
        own.unwrap_many(first, [(wrapped, bound())])
    assert own.holds(first)  # by its configuration it might
    managing = RemoteCustodian(lambda: own).managing()
    assert managing is not None
    third = managing.add()
    managing.forget_all_but(third)
    assert own.inspect().kek_ids == (third,)
