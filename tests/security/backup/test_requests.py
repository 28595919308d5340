"""Request signatures over a store that came from a backup: those of before are worth nothing."""

from __future__ import annotations

import asyncio
import io
import shutil
from typing import TYPE_CHECKING

import httpx
import pytest
from sqlalchemy import update

from mycelium_fractal_net.security.backup import restore_backup, write_backup
from mycelium_fractal_net.security.directories.signers import SignerDirectory
from mycelium_fractal_net.security.key_providers import LocalCustodian, LocalKeyProvider
from mycelium_fractal_net.security.key_store import Database, KeyStore, NonceStore
from mycelium_fractal_net.security.key_store.freshness import Freshness
from mycelium_fractal_net.security.key_store.schema import store_meta
from mycelium_fractal_net.security.policy import Policy
from mycelium_fractal_net.security.signed_requests.replay import ReplayGuard
from mycelium_fractal_net.security.signed_requests.verifier import (
    RequestRefusedError,
    RequestVerifier,
)
from tests.support.signing import AUTHORITY, Peer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.stores import Clock

SKEW = 30  # seconds, the verifier's
TIMESTAMP = 300  # of the plan's profile


@pytest.fixture
def restored(
    local_provider: LocalKeyProvider, home: Path, tmp_path: Path, clock: Clock
) -> Iterator[tuple[LocalKeyProvider, Peer, int]]:
    """A restored store with a signer, and the second in which it was restored."""
    peer = Peer("peer")
    local_provider.signers.add("peer", peer.public_key, any_credential=True)
    writer = io.BytesIO()
    write_backup(local_provider, writer)
    other = tmp_path / "elsewhere"
    other.mkdir(mode=0o700)
    shutil.copy(home / "master.key", other)
    policy = Policy()
    custodian = LocalCustodian(other / "master.key", policy)
    provider = LocalKeyProvider(
        KeyStore(Database(other / "keys.db")), custodian, policy, clock=clock
    )
    writer.seek(0)
    done = restore_backup(provider, writer)
    yield provider, peer, int(done.restored_at.timestamp())
    provider.store.database.close()


def refusal(
    provider: LocalKeyProvider, peer: Peer, *, plan: bool, created: int, now: int
) -> str | None:
    """Why a request that was signed at ``created`` is refused at ``now``, to whoever serves."""
    request = httpx.Request("GET", f"http://{AUTHORITY}/keys")
    if plan:
        peer.sign_plan(request, timestamp=created)
    else:
        peer.sign(request, created=created, expires=created + 60)
    signers = SignerDirectory(provider, Freshness(provider.store))
    guard = ReplayGuard(NonceStore(provider.store.database))
    verifier = RequestVerifier(
        signers, guard, authority=AUTHORITY, skew_seconds=SKEW, clock=lambda: now
    )

    async def verify() -> str:
        view = peer.view(request)
        return await verifier.finish(view, await verifier.verify_head(view), b"")

    try:
        asyncio.run(verify())
    except RequestRefusedError as error:
        return error.reason
    finally:
        guard.close()
    return None


def accepted(provider: LocalKeyProvider, peer: Peer, *, plan: bool, created: int, now: int) -> bool:
    """Whether it is; where it is not, nothing but the restore may be the reason."""
    reason = refusal(provider, peer, plan=plan, created=created, now=now)
    assert reason in (None, "it may be of before the store was restored")
    return reason is None


@pytest.mark.parametrize(("plan", "apart"), [(False, SKEW), (True, TIMESTAMP)])
def test_a_signature_that_may_be_of_before_the_restore_is_refused(
    restored: tuple[LocalKeyProvider, Peer, int], plan: bool, apart: int
) -> None:
    """By as much as the signer's clock may have been ahead, and not a second more."""
    provider, peer, at = restored
    for created in (at - 1, at, at + 1, at + apart):
        assert not accepted(provider, peer, plan=plan, created=created, now=created)
    assert accepted(provider, peer, plan=plan, created=at + apart + 1, now=at + apart + 1)


@pytest.mark.parametrize(("plan", "apart"), [(False, SKEW), (True, TIMESTAMP)])
def test_the_very_moment_of_the_restore_is_before_it(
    restored: tuple[LocalKeyProvider, Peer, int], plan: bool, apart: int
) -> None:
    """Where a restore falls on a whole second."""
    provider, peer, at = restored
    with provider.store.database.write() as connection:
        connection.execute(update(store_meta).values(restored_at=at * 1_000_000))
    for later, good in ((0, False), (1, True)):
        created = at + apart + later
        assert accepted(provider, peer, plan=plan, created=created, now=created) is good


@pytest.mark.parametrize("plan", [False, True])
def test_a_store_that_came_from_no_backup_takes_them(
    restored: tuple[LocalKeyProvider, Peer, int], plan: bool
) -> None:
    """It is the restore alone that refuses them."""
    provider, peer, at = restored
    with provider.store.database.write() as connection:
        connection.execute(update(store_meta).values(restored_at=None))
    assert accepted(provider, peer, plan=plan, created=at, now=at)
