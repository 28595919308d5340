"""The two clients: one that blocks, and one that is awaited. Each operation is written once."""

from __future__ import annotations

import functools
import inspect
import random
import time
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

import anyio

from mycelium_fractal_net.client import (
    batches,
    credentials,
    data_keys,
    key_operations,
    operations,
    transfers,
)
from mycelium_fractal_net.client.batches import BatchLimits
from mycelium_fractal_net.client.lease import AsyncLease, Lease
from mycelium_fractal_net.client.lease_core import Bounds, LeaseCore, lease_clock
from mycelium_fractal_net.client.retries import Retries
from mycelium_fractal_net.client.running import AsyncRunner, Options, Runner
from mycelium_fractal_net.client.session import Session, checked_url
from mycelium_fractal_net.security.byte_io.buffers import as_bytes
from mycelium_fractal_net.security.policy import Policy

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Coroutine
    from types import TracebackType
    from typing import Self

    import httpx
    from cryptography.utils import Buffer

    from mycelium_fractal_net.client.steps import Steps
    from mycelium_fractal_net.security.sealed.sealer import DataKey

__all__ = ["DATA_KEY_ASSOCIATED_DATA", "AsyncClient", "Client"]

P = ParamSpec("P")
T = TypeVar("T")

_SECONDS = 300.0  # of a lease: DESIGN's five minutes
_MESSAGES = 1_000_000
_BYTES = 1 << 36  # 64 GiB

DATA_KEY_ASSOCIATED_DATA = b""
"""Of the data keys of :meth:`Client.local`. Empty, so that nothing but the key is needed to open
their messages: by the service, by ``mfn decrypt``, by a keyring."""


def _described(method: Callable[..., Any], operation: Callable[..., Any], given: int) -> None:
    """Give a method the name, the text and the signature of its operation.

    Of the operation's parameters the first ``given`` are the client's own business.
    """
    functools.update_wrapper(method, operation)
    del method.__dict__["__wrapped__"]  # it would be taken for the signature
    method.__qualname__ = method.__name__
    signature = inspect.signature(operation)
    own = inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)
    parameters = [own, *list(signature.parameters.values())[given:]]
    result = str(signature.return_annotation).removeprefix("Steps[").removesuffix("]")
    method.__signature__ = signature.replace(  # type: ignore[attr-defined]
        parameters=parameters, return_annotation=result
    )


def _blocking(operation: Callable[P, Steps[T]]) -> Callable[Concatenate[Client, P], T]:
    def method(self: Client, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self._runner.run(operation(*args, **kwargs))

    _described(method, operation, 0)
    return method


def _blocking_batch(
    operation: Callable[Concatenate[BatchLimits, P], Steps[T]],
) -> Callable[Concatenate[Client, P], T]:
    def method(self: Client, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self._runner.run(operation(self._limits, *args, **kwargs))

    _described(method, operation, 1)
    return method


def _awaited(
    operation: Callable[P, Steps[T]],
) -> Callable[Concatenate[AsyncClient, P], Coroutine[Any, Any, T]]:
    async def method(self: AsyncClient, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._runner.run(operation(*args, **kwargs))

    _described(method, operation, 0)
    return method


def _awaited_batch(
    operation: Callable[Concatenate[BatchLimits, P], Steps[T]],
) -> Callable[Concatenate[AsyncClient, P], Coroutine[Any, Any, T]]:
    async def method(self: AsyncClient, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._runner.run(operation(self._limits, *args, **kwargs))

    _described(method, operation, 1)
    return method


class _Client:
    """What both clients are made from."""

    def __init__(
        self,
        base_url: str,
        api_key: str,
        *,
        timeout: float,
        retries: Retries | None,
        batch_limits: BatchLimits | None,
        store_api_key: Callable[[str], None] | None,
        auth: httpx.Auth | None,
        ssl_context: ssl.SSLContext | None,
        allow_plain_http: bool,
        policy: Policy | None,
    ) -> None:
        url = checked_url(base_url, allow_plain_http=allow_plain_http)
        self._options = Options(url, timeout, auth, ssl_context)
        self._limits = batch_limits or BatchLimits()
        self._policy = policy or Policy()
        self._session = Session(
            url,
            api_key,
            retries=retries or Retries(),
            store_api_key=store_api_key,
            clock=time.monotonic,
            random=random.SystemRandom().random,
        )

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self._options.url)!r})"

    def _lease_core(
        self,
        key_id: str | None,
        seconds: float,
        messages: int,
        bytes_: int,
        data_key_associated_data: Buffer,
    ) -> LeaseCore:
        bound = bytes(as_bytes(data_key_associated_data))
        bounds = Bounds(seconds, messages, bytes_)
        return LeaseCore(key_id, bounds, bound, self._policy, lease_clock)


class Client(_Client):
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
    algorithms :meth:`local` may use. ``transport`` replaces httpx's own for all but the streams.

    Every method may raise :class:`AuthenticationError`, :class:`NotPermittedError`,
    :class:`KeyNotFoundError` (also for a key that this credential may not use),
    :class:`KeyStateError`, :class:`KeyUsageError`, :class:`InvalidInputError`,
    :class:`AuditUnavailableError`, :class:`StoreError`, :class:`MasterKeyError`,
    :class:`ServiceUnavailableError` and :class:`ServiceError`. None of them, and no ``repr``,
    holds the API key, a plaintext or a message.
    """

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
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        super().__init__(
            base_url, api_key, timeout=timeout, retries=retries, batch_limits=batch_limits,
            store_api_key=store_api_key, auth=auth, ssl_context=ssl_context,
            allow_plain_http=allow_plain_http, policy=policy,
        )  # fmt: skip
        self._runner = Runner(self._session, self._options, transport)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections; have a new API key kept that could not be kept before."""
        try:
            self._runner.follow(self._session.settled())
        finally:
            self._runner.close()

    encrypt = _blocking(operations.encrypt)
    decrypt = _blocking(operations.decrypt)
    rewrap = _blocking(operations.rewrap)
    sign = _blocking(operations.sign)
    verify = _blocking(operations.verify)
    mac = _blocking(operations.mac)
    verify_mac = _blocking(operations.verify_mac)
    wrapped_data_key = _blocking(operations.wrapped_data_key)

    encrypt_batch = _blocking_batch(batches.encrypt_batch)
    decrypt_batch = _blocking_batch(batches.decrypt_batch)
    rewrap_batch = _blocking_batch(batches.rewrap_batch)
    sign_batch = _blocking_batch(batches.sign_batch)
    verify_batch = _blocking_batch(batches.verify_batch)

    encrypt_stream = _blocking(transfers.encrypt_stream)
    decrypt_stream = _blocking(transfers.decrypt_stream)

    create_key = _blocking(key_operations.create_key)
    show_key = _blocking(key_operations.show_key)
    list_keys = _blocking(key_operations.list_keys)
    change_key = _blocking(key_operations.change_key)
    rotate_key = _blocking(key_operations.rotate_key)
    change_key_state = _blocking(key_operations.change_key_state)
    key_usage = _blocking(key_operations.key_usage)
    cleanup_key = _blocking(key_operations.cleanup_key)
    public_key = _blocking(key_operations.public_key)
    published_keys = _blocking(key_operations.published_keys)

    own_credential = _blocking(credentials.own_credential)
    health = _blocking(credentials.health)

    def data_key(
        self,
        *,
        key_id: str | None = None,
        associated_data: Buffer = b"",
        reference: str | None = None,
    ) -> DataKey:
        """A fresh data key, plain and wrapped by ``key_id``. Scope: ``datakey:KEY``.

        Its ``sealer`` makes messages of the second form, which :meth:`decrypt` opens with the
        same ``data_key_associated_data``. It has no bounds and reports nothing: for those there
        is :meth:`local`.
        """
        return self._runner.run(
            data_keys.data_key(self._policy, key_id, associated_data, reference)
        )[0]

    def rotate_own_credential(self, *, revoke_previous: bool = False) -> str:
        """A new API key, which this client sends from then on. It is shown this once.

        The former one ends one overlap later, or at once with ``revoke_previous``. The new one
        goes to ``store_api_key`` too.
        """
        return self._runner.follow(self._session.rotated(revoke_previous=revoke_previous))

    def local(
        self,
        key_id: str | None = None,
        *,
        seconds: float = _SECONDS,
        messages: int = _MESSAGES,
        bytes: int = _BYTES,
        data_key_associated_data: Buffer = DATA_KEY_ASSOCIATED_DATA,
    ) -> Lease:
        """Local mode: encrypt and decrypt on this machine, under a data key of ``key_id``.

        One data key is used for so many ``seconds`` and ``messages``, and for so many ``bytes``
        of plaintext, sealed and opened; then another is asked for. Scope: ``datakey:KEY``, and
        ``decrypt:KEY`` for messages of others. Each data key has an audit record, and what was
        done under it another one, by :meth:`.Lease.close`.

        Messages open wherever the key's messages open; ``data_key_associated_data`` has to be
        given there again, where it is not empty.
        """
        core = self._lease_core(key_id, seconds, messages, bytes, data_key_associated_data)
        return Lease(core, self._limits, self._runner)


class AsyncClient(_Client):
    """:class:`Client` for asyncio and trio: the same, and each method is awaited.

    :meth:`local` is none of them: ``async with client.local("orders") as lease``. Streams are
    read and written in a thread, and so is ``store_api_key`` called; a task that is cancelled
    waits for the end of its stream.
    """

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
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        super().__init__(
            base_url, api_key, timeout=timeout, retries=retries, batch_limits=batch_limits,
            store_api_key=store_api_key, auth=auth, ssl_context=ssl_context,
            allow_plain_http=allow_plain_http, policy=policy,
        )  # fmt: skip
        self._runner = AsyncRunner(self._session, self._options, transport)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with anyio.CancelScope(shield=True):
            await self.aclose()

    async def aclose(self) -> None:
        """As :meth:`Client.close`."""
        try:
            await self._runner.follow(self._session.settled())
        finally:
            await self._runner.close()

    encrypt = _awaited(operations.encrypt)
    decrypt = _awaited(operations.decrypt)
    rewrap = _awaited(operations.rewrap)
    sign = _awaited(operations.sign)
    verify = _awaited(operations.verify)
    mac = _awaited(operations.mac)
    verify_mac = _awaited(operations.verify_mac)
    wrapped_data_key = _awaited(operations.wrapped_data_key)

    encrypt_batch = _awaited_batch(batches.encrypt_batch)
    decrypt_batch = _awaited_batch(batches.decrypt_batch)
    rewrap_batch = _awaited_batch(batches.rewrap_batch)
    sign_batch = _awaited_batch(batches.sign_batch)
    verify_batch = _awaited_batch(batches.verify_batch)

    encrypt_stream = _awaited(transfers.encrypt_stream)
    decrypt_stream = _awaited(transfers.decrypt_stream)

    create_key = _awaited(key_operations.create_key)
    show_key = _awaited(key_operations.show_key)
    list_keys = _awaited(key_operations.list_keys)
    change_key = _awaited(key_operations.change_key)
    rotate_key = _awaited(key_operations.rotate_key)
    change_key_state = _awaited(key_operations.change_key_state)
    key_usage = _awaited(key_operations.key_usage)
    cleanup_key = _awaited(key_operations.cleanup_key)
    public_key = _awaited(key_operations.public_key)
    published_keys = _awaited(key_operations.published_keys)

    own_credential = _awaited(credentials.own_credential)
    health = _awaited(credentials.health)

    async def data_key(
        self,
        *,
        key_id: str | None = None,
        associated_data: Buffer = b"",
        reference: str | None = None,
    ) -> DataKey:
        """As :meth:`Client.data_key`."""
        steps = data_keys.data_key(self._policy, key_id, associated_data, reference)
        return (await self._runner.run(steps))[0]

    async def rotate_own_credential(self, *, revoke_previous: bool = False) -> str:
        """As :meth:`Client.rotate_own_credential`."""
        return await self._runner.follow(self._session.rotated(revoke_previous=revoke_previous))

    def local(
        self,
        key_id: str | None = None,
        *,
        seconds: float = _SECONDS,
        messages: int = _MESSAGES,
        bytes: int = _BYTES,
        data_key_associated_data: Buffer = DATA_KEY_ASSOCIATED_DATA,
    ) -> AsyncLease:
        """As :meth:`Client.local`."""
        core = self._lease_core(key_id, seconds, messages, bytes, data_key_associated_data)
        return AsyncLease(core, self._limits, self._runner)
