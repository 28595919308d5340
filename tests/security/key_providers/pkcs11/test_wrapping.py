"""Tokens that have no AES-GCM: SoftHSM, of whose mechanisms some are hidden."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import pytest

from mycelium_fractal_net.security.errors import CustodianDeniedError, StoreIntegrityError
from mycelium_fractal_net.security.key_providers.pkcs11 import PKCS11Custodian, codes, cryptoki
from mycelium_fractal_net.security.key_providers.pkcs11.wrapping import (
    ALGORITHMS,
    KEY_WRAPS,
    mechanism_of,
)
from mycelium_fractal_net.security.key_providers.remote import RemoteCustodian
from mycelium_fractal_net.security.key_providers.stored import StoredKeyProvider
from mycelium_fractal_net.security.key_store import Database, KeyStore
from mycelium_fractal_net.security.policy import Policy
from tests.security.key_providers.pkcs11.conftest import bound, reached
from tests.security.key_providers.pkcs11.faults import answering

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mycelium_fractal_net.security.key_providers.pkcs11.session import Attributes, Session
    from tests.support.custodians.pkcs11 import PKCS11Harness

GCM, KW, PAD, KWP = (
    cryptoki.CKM_AES_GCM,
    cryptoki.CKM_AES_KEY_WRAP,
    cryptoki.CKM_AES_KEY_WRAP_PAD,
    cryptoki.CKM_AES_KEY_WRAP_KWP,
)
MATERIAL = b"k" * 32
_HIDDEN = 0x80000000  # CKM_VENDOR_DEFINED
EACH = pytest.mark.parametrize("mechanism", [KWP, PAD, KW], ids=KEY_WRAPS.get)


@contextlib.contextmanager
def having(custodian: PKCS11Custodian, mechanism: int | None) -> Iterator[None]:
    """Within the block the token lists that one mechanism to wrap with, and does no other.

    SoftHSM has the number of v2.40 for RFC 5649, and none of v3.0: KWP is PAD under that number.
    """
    library = custodian._token.library
    listed = library._functions.C_GetMechanismList
    real = PAD if mechanism == KWP else mechanism

    def the_list(slot: int, block: Any, count: Any) -> int:
        code = int(listed(slot, block, count))
        for place in range(count.contents.value if block else 0):
            if block[place] in (GCM, KW, PAD):
                block[place] = mechanism if block[place] == real else _HIDDEN
        return code

    def by(_: int, chosen: Any, *__: Any) -> int | None:
        if chosen.contents.mechanism != mechanism:
            return 0x70  # CKR_MECHANISM_INVALID
        chosen.contents.mechanism = real
        return None

    functions = dict.fromkeys(("C_EncryptInit", "C_DecryptInit", "C_WrapKey", "C_UnwrapKey"), by)
    custodian._mechanisms = None
    with answering(library, C_GetMechanismList=the_list, **functions):
        yield
    custodian._mechanisms = None


@pytest.fixture
def fresh(own_token: PKCS11Harness) -> Iterator[PKCS11Custodian]:
    """A custodian over a token without a key."""
    made = reached(own_token)
    yield made
    made.close()


@EACH
def test_a_store_is_kept_by_a_token_that_has_key_wrap_alone(
    fresh: PKCS11Custodian, mechanism: int, tmp_path: Any
) -> None:
    """Begun, used, and read again by another provider."""
    with having(fresh, mechanism):
        fresh.make_first()
        custodian = RemoteCustodian(lambda: fresh)
        database = Database(f"sqlite:///{tmp_path / 'keys.db'}")
        database.create()
        store = KeyStore(database)
        provider = StoredKeyProvider(store, custodian, Policy(), store_id=bytes(16))
        provider.master_keys.begin()
        provider.keys.create("orders")
        material = provider.get_key("orders")
        again = StoredKeyProvider(store, custodian, Policy(), store_id=bytes(16))
        assert again.get_key("orders") == material
        database.close()


@EACH
def test_what_key_wrap_wraps_it_unwraps_under_the_same_binding_alone(
    fresh: PKCS11Custodian, mechanism: int
) -> None:
    """The digest of the binding is in it; the keys that are made for it do nothing else."""
    with having(fresh, mechanism):
        fresh.make_first()
        custodian = RemoteCustodian(lambda: fresh)
        newest = custodian.newest_id()
        for size in (1, 7, 8, 32, 48, 2400):
            material = b"\x80" * size
            (form,) = custodian.wrap_many(newest, [(material, bound())])
            assert form[:8] == b"MFK\x01" + mechanism.to_bytes(4, "big")
            assert custodian.unwrap_many(newest, [(form, bound())]) == [material]
            with pytest.raises(StoreIntegrityError, match="orders"):
                custodian.unwrap_many(newest, [(form, bound(2))])
        status = fresh.inspect()
        assert status.warnings == ()
        assert status.place.endswith(f", wraps by {KEY_WRAPS[mechanism]})")
        assert status.wraps_with == ALGORITHMS[mechanism]
        fresh.ping()


@EACH
def test_a_key_wrapping_with_a_bit_changed_or_cut_is_no_wrapping(
    fresh: PKCS11Custodian, mechanism: int
) -> None:
    """In its header, in the key, in the digest; nothing of it is unwrapped."""
    with having(fresh, mechanism):
        fresh.make_first()
        newest = fresh.newest_id()
        custodian = RemoteCustodian(lambda: fresh)
        (form,) = custodian.wrap_many(newest, [(MATERIAL, bound())])
        wrong = [form[:size] for size in (0, 1, 7, 8, 9, 16, 24, len(form) - 8, len(form) - 1)]
        wrong += [form + b"\0", form + bytes(8)]
        for place in (6, 7, 8, 16, 40, len(form) - 1):
            edited = bytearray(form)
            edited[place] ^= 0x40
            wrong.append(bytes(edited))
        for each in wrong:
            with pytest.raises((StoreIntegrityError, CustodianDeniedError)) as refused:
                custodian.unwrap_many(newest, [(each, bound())])
            # What has lost its header is a form of AES-GCM, which this token does not have.
            assert isinstance(refused.value, StoreIntegrityError) or not each.startswith(form[:4])


def test_what_was_wrapped_one_way_opens_that_way(own: PKCS11Custodian) -> None:
    """Whatever the token would do today, and by what the key under it can do."""
    first = own.newest_id()
    (by_gcm,) = own.wrap_many(first, [(MATERIAL, bound())])
    with having(own, PAD):
        with pytest.raises(CustodianDeniedError, match=r"has no CKM_AES_GCM, by which this was"):
            own.unwrap_many(first, [(by_gcm, bound())])
        second = own.add()
        (by_wrap,) = own.wrap_many(second, [(MATERIAL, bound())])
    own.open()
    assert own.newest_id() == second
    assert own.unwrap_many(first, [(by_gcm, bound())]) == [MATERIAL]
    assert own.unwrap_many(second, [(by_wrap, bound())]) == [MATERIAL]
    (again,) = own.wrap_many(second, [(MATERIAL, bound())])  # its key wraps, and no more
    assert again[:8] == by_wrap[:8]
    third = own.add()
    (moved,) = own.rewrap_many(second, third, [(by_wrap, bound())])
    assert len(moved) == len(by_gcm)
    assert own.unwrap_many(third, [(moved, bound())]) == [MATERIAL]


def test_the_mechanism_is_chosen_by_what_the_token_lists() -> None:
    """AES-GCM first; of key wrap that whose padding has one meaning."""
    assert mechanism_of(frozenset({KW, PAD, KWP, GCM})) == GCM
    assert mechanism_of(frozenset({KW, PAD, KWP})) == KWP
    assert mechanism_of(frozenset({KW, PAD})) == PAD
    assert mechanism_of(frozenset({KW})) == KW


def test_a_token_with_neither_says_so(own: PKCS11Custodian, fresh: PKCS11Custodian) -> None:
    """Before it has a key, and where it has one."""
    for custodian in (own, fresh):
        with having(custodian, None):
            with pytest.raises(CustodianDeniedError, match=r"neither AES-GCM .* nor AES key wrap"):
                custodian.open()
            with pytest.raises(CustodianDeniedError, match="neither AES-GCM"):
                custodian.add()


@pytest.mark.parametrize("form", [b"MFK\x01", b"MFK\x01\0\0\x21\x09", b"MFK\x01\0\0\x10\x87x"])
def test_a_form_that_is_never_made_is_refused(custodian: PKCS11Custodian, form: bytes) -> None:
    """By its header: without a wrapping, or by a mechanism that is no key wrap."""
    with pytest.raises(StoreIntegrityError, match="no wrapping"):
        custodian.unwrap_many(custodian.newest_id(), [(form, bound())])


def test_what_was_wrapped_without_its_padding_is_refused(fresh: PKCS11Custodian) -> None:
    """By somebody else who may use the key."""
    with having(fresh, KW):
        fresh.make_first()
        newest = fresh.newest_id()

        wrongs = (bytes(40), b"x" * 40, b"x" * 30 + b"\x80" + bytes(9))

        def wrap(session: Session) -> list[bytes]:
            key = fresh._key(session, newest).handle
            return [session.wrap(key, KW, data) for data in wrongs]

        for blob in fresh._careful.ask(wrap):
            with pytest.raises(StoreIntegrityError, match="nothing that was wrapped"):
                fresh.unwrap_many(newest, [(b"MFK\x01\0\0\x21\x09" + blob, bound())])


def test_a_token_that_does_not_show_what_it_unwrapped_is_denied(fresh: PKCS11Custodian) -> None:
    """As some are in their FIPS mode; it is found out when a store is begun."""
    with having(fresh, PAD):
        fresh.make_first()
        fresh.open()

        def hidden(_: int, __: int, template: Any, ___: int) -> int | None:
            asked = template.contents.type
            return codes.ATTRIBUTE_SENSITIVE if asked == cryptoki.CKA_VALUE else None

        with (
            answering(fresh._token.library, C_GetAttributeValue=hidden),
            pytest.raises(CustodianDeniedError, match=r"does not show .*ATTRIBUTE_SENSITIVE"),
        ):
            fresh.ping()


def test_no_key_of_a_wrapping_is_left_on_the_token(fresh: PKCS11Custodian) -> None:
    """Neither of what was wrapped nor of what came out."""
    with having(fresh, PAD):
        fresh.make_first()
        newest = fresh.newest_id()
        (form,) = fresh.wrap_many(newest, [(MATERIAL, bound())])
        fresh.unwrap_many(newest, [(form, bound())])
        kind: Attributes = {cryptoki.CKA_KEY_TYPE: cryptoki.CKK_GENERIC_SECRET}
        assert fresh._careful.ask(lambda session: session.find(kind)) == []
