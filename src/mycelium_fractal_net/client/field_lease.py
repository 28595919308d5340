"""Local mode of lookups: tags and deterministic messages that are made on the own machine."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec, TypeVar

import msgspec

from mycelium_fractal_net.client import operations
from mycelium_fractal_net.client.field_state import FieldState, Grant, Lent
from mycelium_fractal_net.client.lease_base import AnyLease, AwaitedLease, BlockingLease
from mycelium_fractal_net.client.methods import Method
from mycelium_fractal_net.client.steps import UNREADABLE, Acquire, Effects, decoded, json_request
from mycelium_fractal_net.client.values import Versioned
from mycelium_fractal_net.security.byte_io.buffers import as_bytes
from mycelium_fractal_net.security.errors import DecryptionError, InvalidKeyError, ServiceError
from mycelium_fractal_net.security.records.keys import parse_key_id
from mycelium_fractal_net.security.sealed.layout import DETERMINISTIC, NAMED_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable

    from mycelium_fractal_net.client.drivers import AsyncDriver, Driver
    from mycelium_fractal_net.client.sender import Sender
    from mycelium_fractal_net.client.steps import Steps
    from mycelium_fractal_net.security.byte_io.buffers import Buffer
    from mycelium_fractal_net.security.policy import Policy
    from mycelium_fractal_net.security.records.index_fields import IndexField
    from mycelium_fractal_net.security.sealed.blind_index import FieldKey
    from mycelium_fractal_net.security.sealed.deterministic import DeterministicCipher

T = TypeVar("T")
P = ParamSpec("P")
R = TypeVar("R")


class _Key(msgspec.Struct, frozen=True):
    key: bytes
    key_id: str
    header: bytes = b""
    opens: bool = True

    def __repr__(self) -> str:
        return f"<the key of a field under {self.key_id}>"


class _Reply(msgspec.Struct, frozen=True):
    keys: list[_Key]
    seconds: float
    key_id: str | None = None


def index_grant(
    policy: Policy, key_id: str, field: IndexField, reference: str
) -> Steps[Grant[FieldKey]]:
    """The keys of one field of an index."""
    asked = {
        "key_id": key_id,
        "context": field.context,
        "bits": field.bits,
        "normalisation": field.normalisation,
        "reference": reference,
    }
    return (yield from _asked("index", asked, lambda each: policy.field_key(each.key, field)))


def deterministic_grant(
    policy: Policy, key_id: str, associated_data: bytes, reference: str
) -> Steps[Grant[DeterministicCipher]]:
    """The keys of the deterministic messages of one associated data."""

    def at_work(each: _Key) -> DeterministicCipher:
        if len(each.header) != NAMED_BYTES or not each.header.startswith(DETERMINISTIC):
            raise ServiceError(UNREADABLE)
        handle = each.header[len(DETERMINISTIC) :]
        return policy.deterministic_cipher(each.key, handle, associated_data)

    asked = {
        "key_id": key_id,
        "associated_data": associated_data or None,
        "reference": reference,
    }
    return (yield from _asked("deterministic", asked, at_work))


def _asked(kind: str, asked: dict[str, Any], at_work: Callable[[_Key], T]) -> Steps[Grant[T]]:
    reply = decoded((yield json_request("POST", f"/crypto/{kind}/fieldkeys", asked)), _Reply)
    with contextlib.suppress(InvalidKeyError):
        lent = tuple(
            Lent(each.key_id, at_work(each), each.header, each.opens) for each in reply.keys
        )
        return Grant(reply.key_id, lent, reply.seconds)
    raise ServiceError("the service sent what is no key of a field")


class _FieldLease(AnyLease, Generic[T]):
    """What the leases of fields have."""

    def __init__(self, state: FieldState[T], sender: Sender, driver: Driver | AsyncDriver) -> None:
        super().__init__(state, sender, driver)
        self._state = state

    def _by(
        self,
        make: Callable[Concatenate[Grant[T], P], R],
        /,
        *arguments: P.args,
        **named: P.kwargs,
    ) -> R | Effects[R]:
        """What ``make`` makes of what is lent: at once, or once it was asked for again."""
        grant = self._state.grant()
        if grant is None:
            return self._anew(make, *arguments, **named)
        return make(grant, *arguments, **named)

    def _anew(
        self,
        make: Callable[Concatenate[Grant[T], P], R],
        /,
        *arguments: P.args,
        **named: P.kwargs,
    ) -> Effects[R]:
        """Ask, or have what another thread or task asked for meanwhile."""
        lock = self._renewing()
        try:
            yield Acquire(lock.acquire)
            grant = self._state.grant()
            if grant is None:
                grant = yield from self._sender.perform(self._state.renew())
        finally:
            with contextlib.suppress(RuntimeError):  # not its own where the wait was cut short
                lock.release()
        return make(grant, *arguments, **named)


def _size(value: Buffer | str) -> int:
    if isinstance(value, str):
        return len(value if value.isascii() else value.encode())
    return len(as_bytes(value))


class _IndexLease(_FieldLease["FieldKey"]):
    """What both kinds of lease of an index have."""

    @Method.at_once
    def tag(self, value: Buffer | str) -> Versioned | Effects[Versioned]:
        """The tag to store with ``value``, as :meth:`Client.index_tag` makes it.

        Raises :class:`KeyStateError` where the key protects nothing.
        """
        return self._by(self._tag, value)

    @Method.at_once
    def tags(self, value: Buffer | str) -> list[Versioned] | Effects[list[Versioned]]:
        """The tags by which to search for ``value``: of every version, newest first."""
        return self._by(self._tags, value)

    def _tag(self, grant: Grant[FieldKey], value: Buffer | str) -> Versioned:
        found = grant.in_use(self._state.key_id)
        tag = found.work.tag(value)
        self._state.count("encrypted", _size(value), found.version_id)
        return Versioned.of(tag, found.version_id)

    def _tags(self, grant: Grant[FieldKey], value: Buffer | str) -> list[Versioned]:
        made = [Versioned.of(each.work.tag(value), each.version_id) for each in grant.lent]
        self._state.count("decrypted", _size(value), *(each.key_id for each in made))
        return made


class _DeterministicLease(_FieldLease["DeterministicCipher"]):
    """What both kinds of lease of deterministic messages have."""

    def __init__(
        self,
        state: FieldState[DeterministicCipher],
        associated_data: bytes,
        sender: Sender,
        driver: Driver | AsyncDriver,
    ) -> None:
        super().__init__(state, sender, driver)
        self._associated_data = associated_data

    @Method.at_once
    def encrypt(self, data: Buffer) -> Versioned | Effects[Versioned]:
        """The message to store, as :meth:`Client.encrypt` makes it with that format.

        Raises :class:`KeyStateError` where the key protects nothing.
        """
        return self._by(self._encrypt, as_bytes(data))

    @Method.at_once
    def messages(self, data: Buffer) -> list[Versioned] | Effects[list[Versioned]]:
        """The messages by which to search for ``data``: of every version, newest first."""
        return self._by(self._messages, as_bytes(data))

    @Method
    def decrypt(self, message: Buffer) -> Effects[bytes]:
        """The data of a message of the field; any other of the key the service opens.

        Raises :class:`DecryptionError`.
        """
        message = as_bytes(message)
        grant = self._state.grant()
        if grant is None:
            grant = yield from self._anew(lambda grant: grant)
        header = bytes(message[:NAMED_BYTES])
        for each in grant.lent:
            if each.opens and each.header == header:
                return self._opened(each, message)
        return (
            yield from self._sender.perform(
                operations.decrypt(
                    message,
                    key_id=self._state.key_id,
                    associated_data=self._associated_data,
                    reference=self._state.reference,
                )
            )
        )

    def _opened(
        self, lent: Lent[DeterministicCipher], message: bytes | bytearray | memoryview
    ) -> bytes:
        try:
            data = lent.work.open(message)
        except DecryptionError:
            self._state.count("failed", 0, lent.version_id)
            raise
        self._state.count("decrypted", len(data), lent.version_id)
        return data

    def _encrypt(
        self, grant: Grant[DeterministicCipher], data: bytes | bytearray | memoryview
    ) -> Versioned:
        found = grant.in_use(self._state.key_id)
        message = found.work.seal(data)
        self._state.count("encrypted", len(data), found.version_id)
        return Versioned.of(message, found.version_id)

    def _messages(
        self, grant: Grant[DeterministicCipher], data: bytes | bytearray | memoryview
    ) -> list[Versioned]:
        made = [Versioned.of(each.work.seal(data), each.version_id) for each in grant.lent]
        self._state.count("decrypted", len(data), *(each.key_id for each in made))
        return made


class IndexLease(_IndexLease, BlockingLease):
    """Makes the tags of one field on this machine; made by :meth:`.Client.local_index`.

    Use it as a context manager, or call :meth:`close` at the end. Threads may share it; a process
    that forks asks for keys of its own. A revocation and a new version are known within five
    seconds.
    """


class AsyncIndexLease(_IndexLease, AwaitedLease):
    """An :class:`IndexLease` whose service is awaited; made by :meth:`.AsyncClient.local_index`."""


class DeterministicLease(_DeterministicLease, BlockingLease):
    """Seals and opens the deterministic messages of one associated data on this machine.

    Made by :meth:`.Client.local_deterministic`; otherwise as :class:`IndexLease`.
    """


class AsyncDeterministicLease(_DeterministicLease, AwaitedLease):
    """A :class:`DeterministicLease` whose service is awaited."""


def index_state(
    key_id: str,
    field: IndexField,
    policy: Policy,
    clock: Callable[[], float],
) -> FieldState[FieldKey]:
    """The state of a lease of that field. Raises :class:`InvalidInputError` for no key id."""
    name = parse_key_id(key_id)[0]
    return FieldState(name, lambda reference: index_grant(policy, key_id, field, reference), clock)


def deterministic_state(
    key_id: str, associated_data: bytes, policy: Policy, clock: Callable[[], float]
) -> FieldState[DeterministicCipher]:
    """The same of deterministic messages."""
    name = parse_key_id(key_id)[0]
    return FieldState(
        name,
        lambda reference: deterministic_grant(policy, key_id, associated_data, reference),
        clock,
    )
