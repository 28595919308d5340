"""What the service holds while it runs: keyring, credentials, audit log, threads, metrics.

The event loop's thread never waits for a backend: what would is run again in a thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from mycelium_fractal_net.api.http.problems import RequestError
from mycelium_fractal_net.api.rate_limits.rates import RateLimits
from mycelium_fractal_net.api.service.custodian_watch import CustodianWatch
from mycelium_fractal_net.api.service.durability import Durability
from mycelium_fractal_net.api.service.executors import Executors
from mycelium_fractal_net.api.service.metrics import OVERLOADED, Metrics
from mycelium_fractal_net.api.service.rotation_thread import RotationThread
from mycelium_fractal_net.api.service.store_probe import StoreProbe
from mycelium_fractal_net.bootstrap import open_keyring
from mycelium_fractal_net.security import blocking
from mycelium_fractal_net.security.directories.credentials import CredentialDirectory
from mycelium_fractal_net.security.directories.signers import SignerDirectory
from mycelium_fractal_net.security.errors import (
    ConfigurationError,
    MfnError,
    StoreUnavailableError,
)
from mycelium_fractal_net.security.key_store import NonceStore
from mycelium_fractal_net.security.key_store.freshness import STALE_SECONDS
from mycelium_fractal_net.security.signed_requests.replay import ReplayGuard
from mycelium_fractal_net.security.signed_requests.verifier import RequestVerifier

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from mycelium_fractal_net.bootstrap.custodians import Passphrase
    from mycelium_fractal_net.config import Settings
    from mycelium_fractal_net.security.audit import AuditLog
    from mycelium_fractal_net.security.keyring.keyring import Keyring

_LOG: Final = logging.getLogger(__name__)
_REFRESH_SECONDS: Final = 1.0  # half of what a cache allows, so that no request has to read
_CLOSE_SECONDS: Final = 10.0  # for the last that is written to a store


class Service:
    """One process's part of the service. :meth:`start` opens it, :meth:`close` ends it."""

    durability: Durability
    signers: SignerDirectory
    verifier: RequestVerifier
    in_signing_thread: Callable[..., Awaitable[Any]]
    """Where answers are signed: with an external key in the threads that ask the custodian."""

    def __init__(
        self,
        settings: Settings,
        passphrase: Passphrase = None,
        *,
        metrics_folder: Path | None = None,
        authority: str | None = None,
    ) -> None:
        self.settings = settings
        self.enabled = settings.security.encryption.enabled  # MFN_CRYPTO_ENABLED
        self.requires_signatures = settings.server.request_signing == "required"
        self.max_body_bytes = settings.server.max_body_bytes
        self.metrics = Metrics(metrics_folder)
        server = settings.server
        self.authority = server.public_authority or authority or f"{server.host}:{server.port}"
        self._passphrase = passphrase
        self._keyring: Keyring | None = None
        self._directory: CredentialDirectory | None = None
        self.executors = Executors(self._check_fresh)
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="mfn-reader")
        self._refreshing: asyncio.Task[None] | None = None
        self._reading: asyncio.Task[None] | None = None
        self._was_read = True
        self.rotation: RotationThread | None = None
        self._probe: StoreProbe | None = None
        self._custodian: CustodianWatch | None = None
        self.frontend: dict[str, Callable[[], str]] = {}  # what of it has a state, by name
        self.connections: Callable[[], int] | None = None  # how many there are, where that is known
        self.rates = RateLimits.of(settings.server)

    @property
    def keyring(self) -> Keyring:
        """The keyring. Raises :class:`RequestError` where cryptography is switched off."""
        if self._keyring is None:
            raise RequestError("disabled", "security.encryption.enabled is false")
        return self._keyring

    @property
    def directory(self) -> CredentialDirectory:
        """The credentials. Raises :class:`RequestError` where cryptography is switched off."""
        if self._directory is None:
            raise RequestError("disabled", "security.encryption.enabled is false")
        return self._directory

    @property
    def audit(self) -> AuditLog:
        """The audit log. Every keyring of the service has one."""
        log = self.keyring.provider.audit
        if log is None:
            raise ConfigurationError("the service does not run without an audit log")
        return log

    async def start(self) -> None:
        """Open everything, or fail with what is wrong; nothing is served before."""
        if not self.enabled:
            _LOG.warning("cryptography is switched off: every crypto route answers 503")
            return
        try:
            await self._start()
        except MfnError as error:
            _LOG.error("the service does not start: %s", error)
            raise

    async def _start(self) -> None:
        server = self.settings.server
        if server.production and server.body_only_signatures:
            raise ConfigurationError("server.body_only_signatures is not for production")
        loop = asyncio.get_running_loop()
        keyring = await asyncio.to_thread(self._open)
        keyring.provider.retirement.on_pending_use = partial(self.metrics.count, "pending-uses")
        self._keyring = keyring
        self._directory = CredentialDirectory(
            keyring.provider,
            keyring.freshness,
            rotation_days=self.settings.credentials.rotation_days,
        )
        self.signers = SignerDirectory(keyring.provider, keyring.freshness, self._directory)
        self._replay = ReplayGuard(NonceStore(keyring.provider.store.database))
        self.verifier = RequestVerifier(
            self.signers,
            self._replay,
            authority=self.authority,
            body_only=self.settings.server.body_only_signatures,
            in_thread=self.executors.in_thread,
        )
        try:
            await asyncio.to_thread(self._warm)
        except BaseException:
            await self.close()
            raise
        if self.settings.security.key_management.rotation_enabled:
            self.rotation = RotationThread(self.settings, keyring.provider, self.metrics)
        self._probe = StoreProbe(keyring.provider.store.check_writable)
        outage_seconds = self.settings.security.key_management.outage_seconds
        self._custodian = CustodianWatch(keyring.provider, outage_seconds)
        self.durability = Durability(self.audit, loop)
        self.metrics.watch(self._states, self._custodian.counts)
        blocking.refuse_in_this_thread()
        blocking.refuse_to_compute_in_this_thread()
        blocking.refuse_to_ask_in_this_thread()
        self._refreshing = loop.create_task(self._refresh())
        gc.enable()  # the command line switches it off while it loads
        gc.collect()
        gc.freeze()  # what is loaded now stays; a collection need not look at it again
        gc.set_threshold(20_000, 20, 50)

    def _open(self) -> Keyring:
        # Each request is recorded by itself, and the event loop must not wait for that.
        return open_keyring(settings=self.settings, passphrase=self._passphrase, record_uses=False)

    def _warm(self) -> None:
        self.audit.open()
        self.directory.load()
        self.signers.load()
        if self.settings.server.sign_answers_with is not None:
            self.keyring.request_key(self.settings.server.sign_answers_with)
            external = self.keyring.is_external(self.settings.server.sign_answers_with)
            self.in_signing_thread = self.executors.ask if external else asyncio.to_thread

    async def _refresh(self) -> None:
        """Have the store's generation read often enough that requests need not."""
        while True:
            await asyncio.sleep(_REFRESH_SECONDS)
            self.metrics.note_states()
            if self._reading is None or self._reading.done():
                self._reading = asyncio.get_running_loop().create_task(self._read())

    async def _read(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            await loop.run_in_executor(self._reader, self.keyring.refresh)
        except Exception as error:
            if self._was_read:
                what = str(error) if isinstance(error, MfnError) else type(error).__name__
                _LOG.error("the key store is not read: %s", what)
            self._was_read = False
        else:
            if not self._was_read:
                _LOG.warning("the key store is read again")
            self._was_read = True

    async def close(self) -> None:
        """End everything; what was counted and recorded is written first."""
        blocking.allow_in_this_thread()
        for task in (self._refreshing, self._reading):
            if task is not None:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
        self._refreshing = self._reading = None
        if self._probe is not None:
            self._probe.end()
        if self._custodian is not None:
            self._custodian.end()
        keyring, self._keyring, self._directory = self._keyring, None, None
        if keyring is not None:
            closing = ThreadPoolExecutor(1, thread_name_prefix="mfn-close")
            try:
                await self.executors.within(_CLOSE_SECONDS, closing, self._end, keyring)
            except StoreUnavailableError:
                _LOG.error("the key store is silent; the last counts of uses are lost")
        self.executors.close()
        self._reader.shutdown(wait=False)
        gc.unfreeze()

    def _end(self, keyring: Keyring) -> None:
        if self.rotation is not None:
            self.rotation.end()
        self._replay.close()
        keyring.close()

    def _check_fresh(self) -> None:
        if self._is_stale():
            raise self.keyring.freshness.silent()

    # Health -------------------------------------------------------------------------------

    def backends(self) -> dict[str, str]:
        """Each backend and its state; ``ok`` is the only good one."""
        if self._keyring is None:
            return {"cryptography": "disabled" if not self.enabled else "closed"}
        return {
            "key-store": self._store_state(),
            "audit": "ok" if self.audit.healthy else "unavailable",
            **({} if self._custodian is None else self._custodian.backends()),
            **({} if self.rotation is None else {"rotation": self.rotation.state}),
            **{name: state() for name, state in self.frontend.items()},
            **({} if self.rates is None else {"rates": self.rates.counting.state}),
        }

    def _store_state(self) -> str:
        if self._is_stale():
            return "unavailable"
        return "ok" if self._probe is None or self._probe.is_writable else "not-writable"

    def _states(self) -> dict[str, float]:
        """The states that metrics show of this process."""
        log, age = self.audit, self.keyring.freshness.age()
        audit = log.stats
        states = {
            "mfn_audit_pending_records": float(audit.pending),
            "mfn_audit_healthy": float(log.healthy),
            "mfn_audit_abandoned_segments": float(audit.segments_abandoned),
            "mfn_audit_unanchored_records": float(audit.unanchored),
            "mfn_audit_anchor_age_seconds": audit.anchor_age,
            "mfn_store_read_age_seconds": -1.0 if age is None else age,
            "mfn_store_writable": float(self._probe is None or self._probe.is_writable),
            "mfn_credentials_due": float(self.directory.due_count()),
            "mfn_workers": 1.0,
        }
        if self.connections is not None:  # of `mfn serve`
            states["mfn_connections"] = float(self.connections())
        if self.rotation is not None:
            states["mfn_keys_overdue"] = float(self.rotation.overdue)
            states["mfn_rotation_look_age_seconds"] = self.rotation.look_age
        if self._custodian is not None:
            states |= self._custodian.states()
        return states

    def _is_stale(self) -> bool:
        """Whether what is in memory of the store is too old to be used."""
        age = self.keyring.freshness.age()
        return age is None or age >= STALE_SECONDS

    # Refusals before authentication -------------------------------------------------------

    def count_overloaded(self) -> None:
        """Count a request that waited too long for its turn, whoever sent it."""
        self.metrics.count(OVERLOADED)
        self.count_refusal("overloaded")

    def count_refusal(self, reason: str) -> None:
        """Count a stranger's refusal; the audit log sums them up once a second."""
        if self._keyring is not None:
            self.audit.refused(reason)
