"""What stands between a store and every custodian on another machine.

The file of such a custodian makes the calls. Here is what is the same for all of them:

- Each material is wrapped together with the SHA-256 of its binding, which is compared when it is
  unwrapped. Some servers ignore the context that they are given, and none ties its answer to the
  question: an answer that was for somebody else is refused.
- What was wrapped is unwrapped before it is given: whoever keeps another's wrapping in the place of
  his own has lost his key.
- A signing key is asked for once, since a second one would be left over.
- What is wanted at once, signatures by one key or keys under one master key, is asked for together
  where the other side takes many in a request.
- Calls end in time, are tried again, and spare a server that is out (:mod:`.bounded_calls`).
- A process that was forked opens connections of its own: two that share one get each other's
  answers.
"""

from __future__ import annotations

import os
import threading
from hmac import compare_digest
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from mycelium_fractal_net.security.algorithms.digests import sha256
from mycelium_fractal_net.security.blocking import about_to_ask, about_to_block
from mycelium_fractal_net.security.byte_io.secret_bytes import SecretBytes
from mycelium_fractal_net.security.errors import CustodianUnavailableError, StoreIntegrityError
from mycelium_fractal_net.security.forking import in_child
from mycelium_fractal_net.security.key_providers.bounded_calls import BoundedCalls
from mycelium_fractal_net.security.key_providers.call_limits import CallLimits
from mycelium_fractal_net.security.key_providers.custodian import (
    REFERENCE_CHARACTERS,
    Custodian,
    SigningCustodian,
    SigningKeyReference,
    SignsTogether,
)
from mycelium_fractal_net.security.key_providers.together import Together

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Hashable, Sequence

    from mycelium_fractal_net.security.byte_io.buffers import Octets
    from mycelium_fractal_net.security.key_providers.call_statistics import CustodianStatistics
    from mycelium_fractal_net.security.key_providers.custodian import (
        Binding,
        CustodianStatus,
        ManagesMasterKeys,
    )

    _Item = tuple[bytes, Binding]
    _Items = Sequence[_Item]

_T = TypeVar("_T")
_DIGEST_BYTES: Final = 32  # SHA-256


class RemoteCustodian(Custodian):
    """A custodian on another machine, which ``connect`` opens, within ``limits``."""

    def __init__(self, connect: Callable[[], Custodian], limits: CallLimits | None = None) -> None:
        self._connect = connect
        self._limits = limits or CallLimits()
        self._left: list[Custodian] = []  # the parent's; nobody must close what it still uses
        self._start_anew()
        self._other = self._opened()
        self._process = os.getpid()
        in_child(self, RemoteCustodian._start_anew)

    def _start_anew(self) -> None:
        self._lock = threading.Lock()  # a thread of the parent may hold the former one
        self._calls = BoundedCalls(self._limits)
        self._signing: Together[bytes, bytes] = Together(self._signatures)
        self._unwraps: Together[_Item, SecretBytes | StoreIntegrityError] = Together(
            self._unwrapped_each
        )

    def _opened(self) -> Custodian:
        other = self._calls.run("connect", self._connect, self._calls.end())
        self.scheme = self._calls.told.name = other.scheme  # type: ignore[misc]
        self._takes_many = other.takes_many
        self._signs_together = isinstance(other, SignsTogether)
        self.is_one_key_everywhere = other.is_one_key_everywhere  # type: ignore[misc]
        return other

    def _side(self) -> Custodian:
        """The other side, as this process reaches it."""
        with self._lock:
            if self._process != os.getpid():
                about_to_block()
                opened = self._opened()
                self._left.append(self._other)
                self._other, self._process = opened, os.getpid()
            return self._other

    def statistics(self) -> CustodianStatistics:
        """What this process has asked, and how that ended."""
        return self._calls.statistics()

    # The custodian ------------------------------------------------------------------------

    def newest_id(self) -> str:
        """See :class:`Custodian`; the other side may have made another since."""
        return self.ask("newest", lambda other: other.newest_id())

    def holds(self, kek_id: str) -> bool:
        """See :class:`Custodian`; by configuration, without a call."""
        return self._side().holds(kek_id)

    def wrap_many(self, kek_id: str, items: Sequence[tuple[Octets, Binding]]) -> list[bytes]:
        """See :class:`Custodian`."""
        if not items:
            return []
        bound = [(b"".join((material, _digest(binding))), binding) for material, binding in items]

        def wrap(other: Custodian) -> list[bytes]:
            found = _usable(other.wrap_many(kek_id, bound), len(bound))
            for (material, _), again in zip(
                bound, _unwrapped(other, kek_id, found, items), strict=True
            ):
                if not compare_digest(material, again):
                    raise _mixed_up()
            return found

        return self.ask("wrap", wrap)

    def unwrap_many(self, kek_id: str, items: _Items) -> Sequence[Octets]:
        """See :class:`Custodian`."""
        if len(items) == 1 and self._takes_many:
            about_to_block()
            found = self._unwraps.call(kek_id, items[0], self._calls.end())
            if isinstance(found, StoreIntegrityError):
                raise found
            return [found]
        return self._named("unwrap", _unwrap(kek_id), items)

    def _unwrapped_each(
        self, kek_id: Hashable, items: list[tuple[bytes, Binding]], end: float
    ) -> list[SecretBytes | StoreIntegrityError]:
        """Keys that several have asked for, in one call; of one that was edited its refusal."""
        unwrap = _unwrap(cast("str", kek_id))
        try:
            return [*self.ask("unwrap", lambda other: unwrap(other, items), end)]
        except StoreIntegrityError:
            if len(items) == 1:
                return [items[0][1].refusal()]
            return [self._unwrapped_each(kek_id, [each], end)[0] for each in items]

    def rewrap_many(self, from_id: str, to_id: str, items: _Items) -> list[bytes]:
        """See :class:`Custodian`. What is wrapped holds the digest of its binding already."""

        def rewrap(other: Custodian, some: _Items) -> list[bytes]:
            found = _usable(other.rewrap_many(from_id, to_id, some), len(some))
            for (_, binding), again in zip(
                some, _unwrapped(other, to_id, found, some), strict=True
            ):
                if not compare_digest(again[-_DIGEST_BYTES:], _digest(binding)):
                    raise _mixed_up()
            return found

        return self._named("rewrap", rewrap, items)

    def _named(
        self,
        name: str,
        many: Callable[[Custodian, _Items], list[_T]],
        items: _Items,
        end: float | None = None,
    ) -> list[_T]:
        """Do that with all at once, or each alone where one was edited, so that it is named."""
        if not items:
            return []
        end = self._calls.end() if end is None else end
        try:
            return self.ask(name, lambda other: many(other, items), end)
        except StoreIntegrityError:
            if len(items) == 1:
                raise items[0][1].refusal() from None
            return [self._named(name, many, [each], end)[0] for each in items]

    def ping(self) -> None:
        """See :class:`Custodian`."""
        self.ask("ping", lambda other: other.ping())

    def inspect(self) -> CustodianStatus:
        """See :class:`Custodian`."""
        return self.ask("inspect", lambda other: other.inspect())

    def managing(self) -> ManagesMasterKeys | None:
        """See :class:`Custodian`."""
        return None if self._side().managing() is None else _Managing(self)

    def close(self) -> None:
        """Close what this process opened."""
        if self._process == os.getpid():
            self._calls.told.silence()
            self._other.close()

    # Signing ------------------------------------------------------------------------------

    @property
    def signing_algorithms(self) -> frozenset[str]:
        """See :class:`SigningCustodian`; empty where the other side does not sign."""
        other = self._side()
        return other.signing_algorithms if isinstance(other, SigningCustodian) else frozenset()

    def create_signing_key(self, algorithm: str, binding: Binding) -> SigningKeyReference:
        """See :class:`SigningCustodian`."""

        def create(other: SigningCustodian) -> SigningKeyReference:
            return _usable_reference(other.create_signing_key(algorithm, binding))

        return self._ask_to_sign("create-signing-key", create, attempts=1)

    def sign(self, reference: str, algorithm: str, message: bytes) -> bytes:
        """See :class:`SigningCustodian`."""
        if self._signs_together:
            about_to_ask()
            return self._signing.call((reference, algorithm), message, self._calls.end())
        return self._ask_to_sign(
            "sign", lambda other: _some_bytes(other.sign(reference, algorithm, message))
        )

    def _signatures(self, name: Hashable, messages: list[bytes], end: float) -> list[bytes]:
        """The signatures of several messages by one key, in one call."""
        reference, algorithm = cast("tuple[str, str]", name)

        def sign(other: SigningCustodian) -> list[bytes]:
            many = cast("SignsTogether", other).sign_many(reference, algorithm, messages)
            return [_some_bytes(each) for each in _usable(many, len(messages))]

        return self._ask_to_sign("sign", sign, end=end)

    def signing_public_key(self, reference: str) -> bytes:
        """See :class:`SigningCustodian`."""
        return self._ask_to_sign(
            "signing-public-key", lambda other: _some_bytes(other.signing_public_key(reference))
        )

    def destroy_signing_key(self, reference: str) -> None:
        """See :class:`SigningCustodian`."""
        self._ask_to_sign("destroy-signing-key", lambda other: other.destroy_signing_key(reference))

    def list_signing_keys(
        self, store_id: bytes, known: Collection[str], *, thorough: bool
    ) -> frozenset[str] | None:
        """See :class:`SigningCustodian`."""
        return self._ask_to_sign(
            "list-signing-keys",
            lambda other: other.list_signing_keys(store_id, known, thorough=thorough),
        )

    # Calls --------------------------------------------------------------------------------

    def ask(self, name: str, call: Callable[[Custodian], _T], end: float | None = None) -> _T:
        """What ``call`` returns of the other side, within the limits, counted as ``name``."""
        about_to_block()
        other, end = self._side(), self._calls.end() if end is None else end
        return self._calls.run(name, lambda: call(other), end)

    def _ask_to_sign(
        self,
        name: str,
        call: Callable[[SigningCustodian], _T],
        *,
        attempts: int | None = None,
        end: float | None = None,
    ) -> _T:
        about_to_ask()
        other = cast("SigningCustodian", self._side())
        end = self._calls.end() if end is None else end
        return self._calls.run(name, lambda: call(other), end, signs=True, attempts=attempts)


class _Managing:
    """Makes and forgets master keys on the other side."""

    def __init__(self, custodian: RemoteCustodian) -> None:
        self._custodian = custodian

    def add(self) -> str:
        """See :class:`ManagesMasterKeys`."""
        return self._custodian.ask("add", lambda other: _managing(other).add())

    def forget_all_but(self, kek_id: str) -> None:
        """See :class:`ManagesMasterKeys`."""
        self._custodian.ask("forget", lambda other: _managing(other).forget_all_but(kek_id))


def _managing(other: Custodian) -> ManagesMasterKeys:
    return cast("ManagesMasterKeys", other.managing())


def _usable(found: Any, count: int) -> list[bytes]:
    usable = isinstance(found, list) and len(found) == count
    if not usable or not all(isinstance(each, bytes) for each in found):
        raise _unusable()
    return list(found)


def _usable_keys(found: Any, count: int) -> list[Octets]:
    usable = isinstance(found, list) and len(found) == count
    if not usable or not all(isinstance(each, bytes | SecretBytes) for each in found):
        raise _unusable()
    return list(found)


def _usable_reference(made: Any) -> SigningKeyReference:
    if not isinstance(made, SigningKeyReference):
        raise _unusable()
    reference: Any = made.reference
    if not isinstance(reference, str) or not reference.isascii() or not reference.isprintable():
        raise _unusable()
    if not 0 < len(reference) <= REFERENCE_CHARACTERS:
        raise _unusable()
    _some_bytes(made.public_key)
    return made


def _some_bytes(found: Any) -> bytes:
    if not isinstance(found, bytes) or not found:
        raise _unusable()
    return found


def _unusable() -> CustodianUnavailableError:
    return CustodianUnavailableError("the custodian answers what cannot be used")


def _unwrap(kek_id: str) -> Callable[[Custodian, _Items], list[SecretBytes]]:
    def unwrap(other: Custodian, some: _Items) -> list[SecretBytes]:
        found = _usable_keys(other.unwrap_many(kek_id, some), len(some))
        return [_material(each, bound) for each, (_, bound) in zip(found, some, strict=True)]

    return unwrap


def _unwrapped(
    other: Custodian, kek_id: str, wrapped: list[bytes], items: Sequence[tuple[Octets, Binding]]
) -> list[Octets]:
    """What those unwrap to, which were wrapped a moment ago."""
    again = [(each, binding) for each, (_, binding) in zip(wrapped, items, strict=True)]
    try:
        return _usable_keys(other.unwrap_many(kek_id, again), len(again))
    except StoreIntegrityError:
        raise _mixed_up() from None


def _mixed_up() -> CustodianUnavailableError:
    return CustodianUnavailableError("the custodian answers what it was not asked")


def _digest(binding: Binding) -> bytes:
    return sha256(binding.encode())


def _material(unwrapped: Octets, binding: Binding) -> SecretBytes:
    view = memoryview(unwrapped)
    if len(view) <= _DIGEST_BYTES or not compare_digest(view[-_DIGEST_BYTES:], _digest(binding)):
        raise binding.refusal()
    return SecretBytes(view[:-_DIGEST_BYTES])
