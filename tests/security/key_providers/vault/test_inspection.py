"""What an operator is told of a real OpenBao: policies, keys and tokens that invite a loss."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mycelium_fractal_net.security.errors import CustodianDeniedError, CustodianUnavailableError
from mycelium_fractal_net.security.key_providers.vault import VaultCustodian
from mycelium_fractal_net.security.key_providers.vault.logins import GivenToken
from mycelium_fractal_net.security.key_providers.vault.session import Session
from mycelium_fractal_net.security.key_providers.vault.transport import Address, Transport
from tests.support.custodians.vault import custodian_of, policy_of
from tests.support.scripted import answer, scripted

if TYPE_CHECKING:
    from tests.support.custodians.vault import Bao


def warned(custodian: VaultCustodian) -> str:
    """All that is said, each in a line."""
    return "\n".join(custodian.inspect().warnings)


def test_with_the_least_policy_there_is_nothing_to_say(
    bao: Bao, custodian: VaultCustodian, name: str
) -> None:
    """Where it is, and the versions that open something."""
    for _ in range(2):
        bao.rotate(name)
    bao.configure(name, min_decryption_version=2)
    status = custodian.inspect()
    assert status.place == f"{bao.address}, transit/keys/{name}"
    assert status.kek_ids == (f"vault:{name}:v2", f"vault:{name}:v3")
    assert (status.guard, status.warnings) == ("remote", ())


def test_a_key_that_may_be_deleted_or_leave_is_named(
    bao: Bao, custodian: VaultCustodian, name: str
) -> None:
    """Each for itself."""
    bao.configure(name, deletion_allowed=True)
    assert "may be deleted" in warned(custodian)
    bao.configure(name, deletion_allowed=False, allow_plaintext_backup=True)
    assert "may leave Vault" in warned(custodian)
    assert "may be deleted" not in warned(custodian)


def test_a_policy_that_permits_more_than_a_store_needs_is_named(
    bao: Bao, custodian: VaultCustodian, name: str
) -> None:
    """With "create" on encrypt a deleted key is made anew by the next that encrypts."""
    least = policy_of(name)
    bao.write_policy(name, least.replace('["update"]', '["create", "update"]', 1))
    assert warned(custodian) == (
        f'the policy permits "create" on transit/encrypt/{name}: it makes a deleted key anew,'
        " under which nothing opens: permit update alone"
    )
    wide = f'path "transit/keys/{name}/*" {{ capabilities = ["update"] }}'
    leaks = f'path "transit/export/+/{name}" {{ capabilities = ["read"] }}'
    bao.write_policy(name, f"{least}\n{wide}\n{leaks}")
    said = warned(custodian)
    for path in (f"keys/{name}/config", f"keys/{name}/rotate", f"export/encryption-key/{name}"):
        assert f"permits to use transit/{path}" in said
    assert "backup" not in said


@pytest.mark.parametrize("verb", ["encrypt", "decrypt", "rewrap"])
def test_a_policy_that_is_too_narrow_is_found_by_trying(
    bao: Bao, custodian: VaultCustodian, name: str, verb: str
) -> None:
    """Before a store needs it."""
    bao.write_policy(name, policy_of(name).replace(f"transit/{verb}/", "elsewhere/"))
    with pytest.raises(CustodianDeniedError, match=rf'lacks path "transit/{verb}/{name}"'):
        custodian.inspect()


def test_the_token_of_root_is_named_alone(bao: Bao, custodian: VaultCustodian, name: str) -> None:
    """What it may do need not be listed."""
    (said,) = custodian_of(bao, GivenToken(bao.root_token), name=name).inspect().warnings
    assert said.startswith("the token is root's")


def test_a_token_that_ends_for_good_is_named(
    bao: Bao, custodian: VaultCustodian, name: str
) -> None:
    """A periodic one does not, and one that looks at nothing is said to be unknown."""
    ending = custodian_of(bao, GivenToken(bao.token(name, ttl="1h")), name=name)
    assert "seconds and is not periodic" in warned(ending)
    blind = bao.token(name, period="1h", no_default_policy=True)
    said = warned(custodian_of(bao, GivenToken(blind), name=name)).splitlines()
    assert [each.partition(" (")[0] for each in said] == [
        "the token may not look at itself",
        "the token may not ask what it may do",
    ]


def test_a_server_that_gives_back_something_else_is_found_out() -> None:
    """By the trial: what is wrapped must unwrap to itself."""
    described = {
        "type": "aes256-gcm96", "derived": True, "latest_version": 1, "min_decryption_version": 1,
        "min_encryption_version": 0, "deletion_allowed": False, "exportable": False,
        "allow_plaintext_backup": False, "keys": {},
    }  # fmt: skip
    sealed = answer(200, {"data": {"batch_results": [{"ciphertext": "vault:v1:AAAA"}]}})
    opened = answer(200, {"data": {"batch_results": [{"plaintext": "AAAA"}]}})
    with scripted(answer(200, {"data": described}), sealed, sealed, opened) as server:
        session = Session(Transport(Address.parse(server.address)), GivenToken("t"))
        with pytest.raises(CustodianUnavailableError, match="does not give back"):
            VaultCustodian(session, name="k").inspect()
