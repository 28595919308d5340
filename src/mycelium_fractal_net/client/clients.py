"""The two clients: one that blocks, and one that is awaited. Each operation is written once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Concatenate, Generic, ParamSpec, TypeAlias, TypeVar

import anyio
import httpx

from mycelium_fractal_net.client import (
    batches,
    credentials,
    keys,
    lookups,
    operations,
    streams,
)
from mycelium_fractal_net.client.batches import BatchLimits
from mycelium_fractal_net.client.connections import ServiceConnections, checked_url
from mycelium_fractal_net.client.drivers import AsyncDriver, Driver
from mycelium_fractal_net.client.field_lease import (
    AsyncDeterministicLease,
    AsyncIndexLease,
    DeterministicLease,
    IndexLease,
    deterministic_state,
    index_state,
)
from mycelium_fractal_net.client.lease import AsyncLease, Lease
from mycelium_fractal_net.client.lease_state import LeaseLimits, LeaseState, lease_clock
from mycelium_fractal_net.client.methods import Awaited, Blocking, Method
from mycelium_fractal_net.client.retries import Retries
from mycelium_fractal_net.client.sender import Sender
from mycelium_fractal_net.security.byte_io.buffers import as_bytes
from mycelium_fractal_net.security.forking import OfOneProcess
from mycelium_fractal_net.security.policy import Policy
from mycelium_fractal_net.security.records.index_fields import IndexField

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable
    from typing import Self

    from mycelium_fractal_net.client.steps import Effects, Steps
    from mycelium_fractal_net.security.byte_io.buffers import Buffer
    from mycelium_fractal_net.security.records.index_fields import Normalisation
    from mycelium_fractal_net.security.sealed.sealer import DataKey

P = ParamSpec("P")
T = TypeVar("T")
TransportT = TypeVar("TransportT")
LeaseT = TypeVar("LeaseT")
IndexLeaseT = TypeVar("IndexLeaseT")
DeterministicLeaseT = TypeVar("DeterministicLeaseT")

_SECONDS = 300.0  # of a lease: DESIGN's five minutes
_MESSAGES = 1_000_000
_BYTES = 1 << 36  # 64 GiB

DATA_KEY_ASSOCIATED_DATA = b""
"""Of the data keys of :meth:`Client.local`. Empty, so that nothing but the key is needed to open
their messages: by the service, by ``mfn decrypt``, by a keyring."""


_AnyClient: TypeAlias = "_Client[Any, Any, Any, Any]"


def _method(operation: Callable[P, Steps[T]]) -> Method[P, T]:
    def effects(self: _AnyClient, /, *args: P.args, **kwargs: P.kwargs) -> Effects[T]:
        return self._sender.perform(operation(*args, **kwargs))

    return Method(effects, operation, 0)


def _batch(operation: Callable[Concatenate[BatchLimits, P], Steps[T]]) -> Method[P, T]:
    def effects(self: _AnyClient, /, *args: P.args, **kwargs: P.kwargs) -> Effects[T]:
        return self._sender.perform(operation(self._limits, *args, **kwargs))

    return Method(effects, operation)


class _Client(OfOneProcess, Generic[TransportT, LeaseT, IndexLeaseT, DeterministicLeaseT]):
    """What both clients are: all but how they wait."""

    _driven_by: ClassVar[Any]
    _leases: ClassVar[Any]
    _index_leases: ClassVar[Any]
    _deterministic_leases: ClassVar[Any]

    def __init__(
        self,
        base_url: str,
        api_key: str,
        *,
        timeout: float = 30.0,
        retries: Retries | None = None,
        batch_limits: BatchLimits | None = None,
        store_api_key: Callable[[str], None] | None = None,
        auth: httpx.Auth | None = None,
        ssl_context: ssl.SSLContext | None = None,
        allow_plain_http: bool = False,
        policy: Policy | None = None,
        transport: TransportT | None = None,
    ) -> None:
        self._url = checked_url(base_url, allow_plain_http=allow_plain_http)
        connections = ServiceConnections(self._url, timeout, auth, ssl_context)
        self._limits = batch_limits or BatchLimits()
        self._policy = policy or Policy()
        self._sender = Sender(api_key, retries or Retries(), store_api_key)
        self._driver = self._driven_by(connections, transport)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self._url)!r})"

    encrypt = _method(operations.encrypt)
    decrypt = _method(operations.decrypt)
    rewrap = _method(operations.rewrap)
    sign = _method(operations.sign)
    verify = _method(operations.verify)
    mac = _method(operations.mac)
    verify_mac = _method(operations.verify_mac)
    index_tag = _method(lookups.index_tag)
    index_tags = _method(lookups.index_tags)
    wrapped_data_key = _method(operations.wrapped_data_key)

    encrypt_batch = _batch(batches.encrypt_batch)
    decrypt_batch = _batch(batches.decrypt_batch)
    rewrap_batch = _batch(batches.rewrap_batch)
    sign_batch = _batch(batches.sign_batch)
    verify_batch = _batch(batches.verify_batch)
    index_tag_batch = _batch(batches.index_tag_batch)
    index_tags_batch = _batch(batches.index_tags_batch)

    encrypt_stream = _method(streams.encrypt_stream)
    decrypt_stream = _method(streams.decrypt_stream)

    create_key = _method(keys.create_key)
    show_key = _method(keys.show_key)
    list_keys = _method(keys.list_keys)
    change_key = _method(keys.change_key)
    rotate_key = _method(keys.rotate_key)
    change_key_state = _method(keys.change_key_state)
    begin_import = _method(keys.begin_import)
    list_imports = _method(keys.list_imports)
    show_import = _method(keys.show_import)
    cancel_import = _method(keys.cancel_import)
    finish_import = _method(keys.finish_import)
    export_key = _method(keys.export_key)
    key_usage = _method(keys.key_usage)
    cleanup_key = _method(keys.cleanup_key)
    public_key = _method(keys.public_key)
    published_keys = _method(keys.published_keys)

    own_credential = _method(credentials.own_credential)
    health = _method(credentials.health)

    @Method
    def data_key(
        self,
        *,
        key_id: str | None = None,
        associated_data: Buffer = b"",
        reference: str | None = None,
    ) -> Effects[DataKey]:
        """A fresh data key, plain and wrapped by ``key_id``. Scope: ``datakey:KEY``.

        Its ``sealer`` makes messages of the second form, which :meth:`decrypt` opens with the
        same ``data_key_associated_data``. It has no bounds and reports nothing: for those there
        is :meth:`local`.
        """
        steps = operations.data_key(self._policy, key_id, associated_data, reference)
        return (yield from self._sender.perform(steps))[0]

    @Method
    def rotate_own_credential(self, *, revoke_previous: bool = False) -> Effects[str]:
        """A new API key, which this client sends from then on. It is shown this once.

        The former one ends one overlap later, or at once with ``revoke_previous``. The new one
        goes to ``store_api_key`` too.
        """
        return self._sender.rotate(revoke_previous=revoke_previous)

    def local(
        self,
        key_id: str | None = None,
        *,
        seconds: float = _SECONDS,
        messages: int = _MESSAGES,
        bytes: int = _BYTES,
        data_key_associated_data: Buffer = DATA_KEY_ASSOCIATED_DATA,
    ) -> LeaseT:
        """Local mode: encrypt and decrypt on this machine, under a data key of ``key_id``.

        One data key is used for so many ``seconds`` and ``messages``, and for so many ``bytes``
        of plaintext, sealed and opened; then another is asked for. Scope: ``datakey:KEY``, and
        ``decrypt:KEY`` for messages of others. Each data key has an audit record, and what was
        done under it another one, by :meth:`.Lease.close`.

        Messages open wherever the key's messages open; ``data_key_associated_data`` has to be
        given there again, where it is not empty.
        """
        limits = LeaseLimits(seconds, messages, bytes)
        state = LeaseState(key_id, limits, data_key_associated_data, self._policy, lease_clock)
        lease: LeaseT = self._leases(state, self._limits, self._sender, self._driver)
        return lease

    def local_index(
        self,
        key_id: str,
        *,
        context: Buffer,
        bits: int | None = None,
        normalisation: Normalisation = "exact",
    ) -> IndexLeaseT:
        """The tags of one field, made on this machine, under keys that make no other field's.

        They are asked for again after five seconds at the latest. Scope: ``fieldkey:KEY``. What
        says which field it is, is as in :meth:`index_tag`.
        """
        field = IndexField.checked(context, bits, normalisation)
        state = index_state(key_id, field, self._policy, lease_clock)
        lease: IndexLeaseT = self._index_leases(state, self._sender, self._driver)
        return lease

    def local_deterministic(
        self, key_id: str, *, associated_data: Buffer = b""
    ) -> DeterministicLeaseT:
        """The deterministic messages of one ``associated_data``, made and opened on this machine.

        Its keys seal and open nothing else, and are asked for again after five seconds at the
        latest. Scope: ``fieldkey:KEY``, and ``decrypt:KEY`` for other messages of the key.
        """
        field = bytes(as_bytes(associated_data))
        state = deterministic_state(key_id, field, self._policy, lease_clock)
        lease: DeterministicLeaseT = self._deterministic_leases(
            state, field, self._sender, self._driver
        )
        return lease


class Client(
    _Client[httpx.BaseTransport, Lease, IndexLease, DeterministicLease],
    Blocking,
):
    """The service, as functions that block. Threads may share it; use it as a context manager.

    ``base_url`` begins with ``https://``; ``http://`` reaches a loopback address alone, unless
    ``allow_plain_http``. ``timeout`` is how many seconds the service may do nothing, and
    ``retries`` how often and how long a request is tried that may be repeated.

    With ``store_api_key`` the client renews its API key when the service says that it is due:
    the function is called with the new key, and from when it returns that one is sent. What it
    must do is to keep it; it is called again, later and by :meth:`close`, until it raised nothing.
    Give it to one client of a credential.

    ``auth`` signs requests, such as :class:`~.signing.RequestSigner`. ``ssl_context`` trusts
    other authorities than the machine does, or has a client certificate. ``policy`` says which
    algorithms leases may use. ``transport`` replaces httpx's own for all but the streams.

    Every method may raise :class:`AuthenticationError`, :class:`NotPermittedError`,
    :class:`KeyNotFoundError` (also for a key that this credential may not use),
    :class:`KeyStateError`, :class:`KeyUsageError`, :class:`InvalidInputError`,
    :class:`AuditUnavailableError`, :class:`StoreError`, :class:`MasterKeyError`,
    :class:`ServiceUnavailableError` and :class:`ServiceError`. None of them, and no ``repr``,
    holds the API key, a plaintext or a message.
    """

    _driven_by = Driver
    _leases = Lease
    _index_leases = IndexLease
    _deterministic_leases = DeterministicLease

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections; have a new API key kept that could not be kept before."""
        try:
            self._driver.run(self._sender.finish())
        finally:
            self._driver.close()


class AsyncClient(
    _Client[httpx.AsyncBaseTransport, AsyncLease, AsyncIndexLease, AsyncDeterministicLease],
    Awaited,
):
    """:class:`Client` for asyncio and trio: the same, and each method is awaited.

    Those whose names begin with ``local`` are not: ``async with client.local("orders") as lease``.
    Streams are
    read and written in a thread, and so is ``store_api_key`` called; a task that is cancelled
    waits for the end of its stream.
    """

    _driven_by = AsyncDriver
    _leases = AsyncLease
    _index_leases = AsyncIndexLease
    _deterministic_leases = AsyncDeterministicLease

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        with anyio.CancelScope(shield=True):
            await self.aclose()

    async def aclose(self) -> None:
        """As :meth:`Client.close`."""
        try:
            await self._driver.run(self._sender.finish())
        finally:
            await self._driver.close()
