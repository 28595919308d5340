"""What stands between a store and every custodian on another machine.

The file of such a custodian makes the calls. Here is what is the same for all of them:

- Each material is wrapped together with the SHA-256 of its binding, which is compared when it is
  unwrapped. Some servers ignore the context that they are given, and none ties its answer to the
  question: an answer that was for somebody else is refused.
- A call has a deadline over all that it takes, attempts included, however long the other side
  leaves a connection open. It is made in a thread that is left to itself when time is up; of
  such threads there are few, so that a silent server takes no more than those.
- Signatures have slots of their own: who asks for many of them does not keep a key from being
  unwrapped. A signing key is asked for once, since a second one would be left over.
- An outage is tried again after a random pause, a few times. A refusal is not. After several
  outages in a row nobody is asked for a while, then one is let through to see.
- A process that was forked opens connections of its own: two that share one get each other's
  answers.
- An error that is not one of this package's is an outage, and of its text nothing is shown: some
  hold the plaintext keys of a batch.
"""

from __future__ import annotations

import os
import random
import threading
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass
from hmac import compare_digest
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from mycelium_fractal_net.security.algorithms.digests import sha256
from mycelium_fractal_net.security.blocking import about_to_ask, about_to_block
from mycelium_fractal_net.security.errors import (
    CustodianUnavailableError,
    MfnError,
    StoreIntegrityError,
)
from mycelium_fractal_net.security.forking import in_child
from mycelium_fractal_net.security.key_providers.custodian import (
    REFERENCE_CHARACTERS,
    Custodian,
    SigningCustodian,
    SigningKeyReference,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mycelium_fractal_net.security.key_providers.custodian import Binding, CustodianStatus

_T = TypeVar("_T")
_DIGEST_BYTES: Final = 32  # SHA-256
_LONGEST_PAUSE: Final = 1.0  # seconds between two attempts


@dataclass(frozen=True, slots=True)
class CallLimits:
    """How long, and how often, a custodian on another machine is asked. Seconds, and counts."""

    deadline_seconds: float = 10.0
    attempts: int = 3
    first_pause_seconds: float = 0.1
    threads: int = 16
    signing_threads: int = 16
    outages_in_a_row: int = 5
    rest_seconds: float = 5.0


class RemoteCustodian(Custodian):
    """A custodian on another machine, which ``connect`` opens, within ``limits``."""

    def __init__(self, connect: Callable[[], Custodian], limits: CallLimits | None = None) -> None:
        self._connect = connect
        self._limits = limits or CallLimits()
        self._left: list[Custodian] = []  # the parent's; nobody must close what it still uses
        self._lock = threading.Lock()
        self._begin()
        in_child(self, RemoteCustodian._unlock)

    def _begin(self) -> None:
        self._slots = threading.BoundedSemaphore(self._limits.threads)
        self._signing_slots = threading.BoundedSemaphore(self._limits.signing_threads)
        self._outages = 0
        self._resting_until = 0.0
        self._other = self._connect()
        self.scheme = self._other.scheme  # type: ignore[misc]
        self._process = os.getpid()

    def _unlock(self) -> None:
        self._lock = threading.Lock()  # a thread of the parent may hold the former one

    def _side(self) -> Custodian:
        """The other side, as this process reaches it."""
        with self._lock:
            if self._process != os.getpid():
                self._left.append(self._other)
                self._begin()
            return self._other

    # The custodian ------------------------------------------------------------------------

    def newest_id(self) -> str:
        """See :class:`Custodian`; it was learnt when it was opened."""
        return self._side().newest_id()

    def holds(self, kek_id: str) -> bool:
        """See :class:`Custodian`; by configuration, without a call."""
        return self._side().holds(kek_id)

    def wrap_many(self, kek_id: str, items: Sequence[tuple[bytes, Binding]]) -> list[bytes]:
        """See :class:`Custodian`."""
        bound = [(material + _digest(binding), binding) for material, binding in items]
        return self._batch(len(items), lambda other: other.wrap_many(kek_id, bound))

    def unwrap_many(self, kek_id: str, items: Sequence[tuple[bytes, Binding]]) -> list[bytes]:
        """See :class:`Custodian`."""
        try:
            found = self._batch(len(items), lambda other: other.unwrap_many(kek_id, items))
        except StoreIntegrityError:
            if len(items) == 1:
                raise items[0][1].refusal() from None
            # One of them was edited: asked for alone it is named.
            return [self.unwrap_many(kek_id, [each])[0] for each in items]
        return [_material(each, binding) for each, (_, binding) in zip(found, items, strict=True)]

    def rewrap_many(
        self, from_id: str, to_id: str, items: Sequence[tuple[bytes, Binding]]
    ) -> list[bytes]:
        """See :class:`Custodian`. What is wrapped holds the digest of its binding already."""
        return self._batch(len(items), lambda other: other.rewrap_many(from_id, to_id, items))

    def ping(self) -> None:
        """See :class:`Custodian`."""
        self._call(lambda other: other.ping())

    def inspect(self) -> CustodianStatus:
        """See :class:`Custodian`."""
        return self._call(lambda other: other.inspect())

    def close(self) -> None:
        """Close what this process opened."""
        if self._process == os.getpid():
            self._other.close()

    # Signing ------------------------------------------------------------------------------

    @property
    def signing_algorithms(self) -> frozenset[str]:
        """See :class:`SigningCustodian`; empty where the other side does not sign."""
        other = self._side()
        return other.signing_algorithms if isinstance(other, SigningCustodian) else frozenset()

    def create_signing_key(self, algorithm: str, binding: Binding) -> SigningKeyReference:
        """See :class:`SigningCustodian`."""
        found: Any = self._signing(
            lambda other: other.create_signing_key(algorithm, binding), attempts=1
        )
        if not isinstance(found, SigningKeyReference) or not _is_usable(found):
            raise _unusable()
        return found

    def sign(self, reference: str, algorithm: str, message: bytes) -> bytes:
        """See :class:`SigningCustodian`."""
        return _some_bytes(self._signing(lambda other: other.sign(reference, algorithm, message)))

    def signing_public_key(self, reference: str) -> bytes:
        """See :class:`SigningCustodian`."""
        return _some_bytes(self._signing(lambda other: other.signing_public_key(reference)))

    def destroy_signing_key(self, reference: str) -> None:
        """See :class:`SigningCustodian`."""
        self._signing(lambda other: other.destroy_signing_key(reference))

    def _signing(
        self, call: Callable[[SigningCustodian], _T], *, attempts: int | None = None
    ) -> _T:
        about_to_ask()
        return self._call(
            lambda other: call(cast("SigningCustodian", other)), signs=True, attempts=attempts
        )

    # Calls --------------------------------------------------------------------------------

    def _batch(self, count: int, call: Callable[[Custodian], list[bytes]]) -> list[bytes]:
        if not count:
            return []
        found: Any = self._call(call)
        usable = isinstance(found, list) and len(found) == count
        if not usable or not all(isinstance(each, bytes) for each in found):
            raise _unusable()
        return list(found)

    def _call(
        self,
        call: Callable[[Custodian], _T],
        *,
        signs: bool = False,
        attempts: int | None = None,
    ) -> _T:
        about_to_block()
        other = self._side()
        slots = self._signing_slots if signs else self._slots
        end = monotonic() + self._limits.deadline_seconds
        self._see_whether_it_rests()
        pause = self._limits.first_pause_seconds
        for left in reversed(range(attempts or self._limits.attempts)):
            try:
                found = self._attempt(other, call, end, slots)
            except CustodianUnavailableError:
                self._note_outage()
                waits = random.uniform(0, pause)  # noqa: S311 - it hides nothing
                if not left or monotonic() + waits >= end or self._is_resting():
                    raise
                sleep(waits)
                pause = min(2 * pause, _LONGEST_PAUSE)
            except MfnError:
                self._note_answer()  # a refusal is an answer
                raise
            else:
                self._note_answer()
                return found
        raise AssertionError("the last attempt returns or raises")  # pragma: no cover

    def _attempt(
        self,
        other: Custodian,
        call: Callable[[Custodian], _T],
        end: float,
        slots: threading.BoundedSemaphore,
    ) -> _T:
        if not slots.acquire(timeout=max(0.0, end - monotonic())):
            raise CustodianUnavailableError(
                "the custodian does not answer, and as many wait for it as may"
            )
        answer: Future[_T] = Future()

        def ask() -> None:
            try:
                answer.set_result(call(other))
            except BaseException as error:
                answer.set_exception(error)
            finally:
                slots.release()

        threading.Thread(target=ask, name="mfn-custodian", daemon=True).start()
        try:
            return answer.result(timeout=max(0.0, end - monotonic()))
        except MfnError:
            raise
        except FutureTimeoutError:
            raise CustodianUnavailableError(
                f"the custodian does not answer within {self._limits.deadline_seconds:g} seconds"
            ) from None
        except Exception as error:
            raise CustodianUnavailableError(
                f"the custodian does not answer ({type(error).__name__})"
            ) from None

    # The breaker --------------------------------------------------------------------------

    def _see_whether_it_rests(self) -> None:
        with self._lock:
            if self._outages < self._limits.outages_in_a_row:
                return
            if monotonic() < self._resting_until:
                raise CustodianUnavailableError(
                    "the custodian did not answer a moment ago; it is asked again in a few seconds"
                )
            # One is let through; those who come meanwhile are told the same as before.
            self._resting_until = monotonic() + self._limits.rest_seconds

    def _is_resting(self) -> bool:
        return self._outages >= self._limits.outages_in_a_row

    def _note_outage(self) -> None:
        with self._lock:
            self._outages += 1
            if self._is_resting():
                self._resting_until = monotonic() + self._limits.rest_seconds

    def _note_answer(self) -> None:
        with self._lock:
            self._outages = 0


def _digest(binding: Binding) -> bytes:
    return sha256(binding.encode())


def _material(unwrapped: bytes, binding: Binding) -> bytes:
    material, digest = unwrapped[:-_DIGEST_BYTES], unwrapped[-_DIGEST_BYTES:]
    if not material or not compare_digest(digest, _digest(binding)):
        raise binding.refusal()
    return material


def _is_usable(made: SigningKeyReference) -> bool:
    reference: Any = made.reference
    text = isinstance(reference, str) and reference.isascii() and reference.isprintable()
    return text and 0 < len(reference) <= REFERENCE_CHARACTERS and _is_some_bytes(made.public_key)


def _is_some_bytes(found: object) -> bool:
    return isinstance(found, bytes) and bool(found)


def _some_bytes(found: bytes) -> bytes:
    if not _is_some_bytes(found):
        raise _unusable()
    return found


def _unusable() -> CustodianUnavailableError:
    return CustodianUnavailableError("the custodian answers what cannot be used")
