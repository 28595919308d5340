"""How often one credential, or one address, may ask: fixed windows, counted by `limits`.

A process takes permits in blocks of a hundredth of the limit and hands them out by itself, so
that a request costs a look into a dictionary. In memory each process has its share of the limit;
in Redis all of them, on all machines, count together.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from typing import TYPE_CHECKING, Any, Final, TypeVar

from limits import parse
from limits.errors import StorageError
from limits.storage import RedisStorage, Storage
from limits.strategies import FixedWindowRateLimiter

from mycelium_fractal_net.api.http.problems import RequestError
from mycelium_fractal_net.security.blocking import about_to_block
from mycelium_fractal_net.security.errors import ConfigurationError, unusable_extra
from mycelium_fractal_net.security.tls import suites_of_others

if TYPE_CHECKING:
    from collections.abc import Callable

    from mycelium_fractal_net.config.settings import Server

_Number = TypeVar("_Number", int, float)

_LOG: Final = logging.getLogger(__name__)
_BLOCKS: Final = 100
_MOST_WINDOWS: Final = 100_000  # identities that are counted in memory at a time
_MOST_HELD: Final = 100_000  # identities with permits of which some are left
_SCHEMES: Final = ("redis://", "rediss://", "redis+unix://")
_REDIS_SECONDS: Final = 0.25  # for one answer
_AGAIN_SECONDS: Final = 5.0  # after a failure Redis is asked again


class RateExceededError(RequestError):
    """There were too many requests, or items, in too short a time."""

    def __init__(self, detail: str, retry_after: int) -> None:
        super().__init__("too-many-requests", detail)
        self.retry_after = retry_after


class Windows:
    """Counts in memory by key, each until its window ends; how many there are is bounded.

    The library's own storage of this kind starts a thread every few milliseconds, and looks
    through every count each time.
    """

    def __init__(self) -> None:
        self._counts: dict[str, tuple[int, float]] = {}
        self._lock = threading.Lock()

    def take(self, key: str, most: int, seconds: int, count: int) -> float:
        """Count, of at most ``most`` in a window of ``seconds``; returns 0.

        Where there are no more, for how many seconds; what was asked for is counted all the same.
        """
        now = time.monotonic()
        with self._lock:
            taken, until = self._counts.get(key, (0, 0.0))
            if now >= until:
                taken, until = 0, now + seconds
                if len(self._counts) >= _MOST_WINDOWS:
                    self._make_room(now)
            self._counts[key] = taken + count, until
        return 0.0 if taken + count <= most else max(1.0, until - now)

    def _make_room(self, now: float) -> None:
        self._counts = {key: each for key, each in self._counts.items() if each[1] > now}
        if len(self._counts) >= _MOST_WINDOWS:  # they all run: the oldest half is counted anew
            for key in list(self._counts)[: _MOST_WINDOWS // 2]:
                del self._counts[key]


class RateCounter:
    """Where windows are counted: in Redis while it answers, otherwise in memory.

    Neither is there ever no limit, nor is the service down because counting is.
    """

    def __init__(self, url: str | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._memory = Windows()
        self._remote = None if url is None else FixedWindowRateLimiter(_redis(url))
        self._remote_from = 0.0

    @property
    def is_remote(self) -> bool:
        """Whether the next window is counted in Redis, which has to be waited for."""
        return self._remote is not None and self._clock() >= self._remote_from

    @property
    def state(self) -> str:
        """``ok``, or ``in-memory`` while Redis does not answer."""
        return "in-memory" if self._remote is not None and self._remote_from else "ok"

    def take(self, of: str, limit: str, share: int, who: str, count: int) -> float:
        """Take that many permits; returns 0, or for how long there are no more."""
        if self._remote is not None and self.is_remote:
            try:
                item = parse(limit)
                waits = 0.0
                if not self._remote.hit(item, of, who, cost=count):
                    ends = self._remote.get_window_stats(item, of, who).reset_time
                    waits = max(1.0, ends - time.time())
            except StorageError as error:
                cause = type(error.storage_error).__name__
                if not self._remote_from:
                    _LOG.error("rates are counted in memory: %s", cause)
                self._remote_from = self._clock() + _AGAIN_SECONDS
            else:
                if self._remote_from:
                    _LOG.warning("rates are counted in Redis again")
                self._remote_from = 0.0
                return waits
        item = parse(limit)
        most = max(1, item.amount // share)
        return self._memory.take(f"{of} {who}", most, item.get_expiry(), count)


def _redis(url: str) -> Storage:
    """Redis at that URL; no connection is made yet."""
    if not url.startswith(_SCHEMES):
        raise ConfigurationError(
            "server.rate_limit_storage: expected a URL such as redis://host:6379/0"
        )
    try:
        import redis  # noqa: F401 - of whatever fails in it `limits` says that it is not there

        return RedisStorage(
            url,
            wrap_exceptions=True,
            socket_timeout=_REDIS_SECONDS,
            socket_connect_timeout=_REDIS_SECONDS,
            **_tls(url),
        )
    except ImportError as error:
        raise unusable_extra("server.rate_limit_storage", "redis", error) from None
    except ValueError:
        raise ConfigurationError("server.rate_limit_storage: is not a URL of Redis") from None


def _tls(url: str) -> dict[str, Any]:
    suites = suites_of_others()
    return {"ssl_ciphers": suites} if suites and url.startswith("rediss://") else {}


class RateLimit:
    """One limit, such as ``600/minute``, of each who is counted under it."""

    def __init__(self, of: str, limit: str, workers: int, counting: RateCounter) -> None:
        self._of = of
        self._limit = limit
        self._workers = workers
        self._counting = counting
        self._block = max(1, parse(limit).amount // workers // _BLOCKS)
        self._held: dict[str, int] = {}
        self._refused: dict[str, float] = {}
        self._lock = threading.Lock()

    def has(self, who: str, count: int) -> bool:
        """Whether that many permits are at hand."""
        return self._held.get(who, 0) >= count

    def take(self, who: str, count: int = 1) -> None:
        """Use permits. Raises :class:`RateExceededError`.

        Raises :class:`WouldBlockError` where Redis has to be asked and this thread does not wait.
        """
        held = self._held.get(who, 0)
        if held >= count:
            self._held[who] = held - count
            return
        self._fetch(who, count)

    def _fetch(self, who: str, count: int) -> None:
        refused_until = self._refused.get(who, 0.0)
        now = time.monotonic()
        if now < refused_until:
            raise self._exceeded(refused_until - now)
        if self._counting.is_remote:
            about_to_block()
        with self._lock:
            held = self._held.get(who, 0)
            wanted = max(self._block, count - held)
            waits = self._counting.take(self._of, self._limit, self._workers, who, wanted)
            if waits:
                self._refused = _bounded(self._refused)
                self._refused[who] = now + waits
                raise self._exceeded(waits)
            self._held = _bounded(self._held)
            self._held[who] = self._held.get(who, 0) + wanted - count
            self._refused.pop(who, None)

    def _exceeded(self, waits: float) -> RateExceededError:
        return RateExceededError(
            f"there are at most {self._limit.replace('/', ' in a ')}", math.ceil(waits)
        )


def _bounded(held: dict[str, _Number]) -> dict[str, _Number]:
    return held if len(held) < _MOST_HELD else {}


class RateLimits:
    """Every limit of the settings; None where there is none."""

    def __init__(self, server: Server) -> None:
        self.counting = RateCounter(server.rate_limit_storage)

        def rate(of: str, limit: str | None) -> RateLimit | None:
            return None if limit is None else RateLimit(of, limit, server.workers, self.counting)

        self.requests_per_credential = rate("requests-credential", server.requests_per_credential)
        self.requests_per_address = rate("requests-address", server.requests_per_address)
        self.items_per_credential = rate("items-credential", server.items_per_credential)
        self.items_per_address = rate("items-address", server.items_per_address)

    @classmethod
    def of(cls, server: Server) -> RateLimits | None:
        """The limits that the settings name; None where they name none."""
        made = cls(server)
        limits = (
            made.requests_per_credential,
            made.requests_per_address,
            made.items_per_credential,
            made.items_per_address,
        )
        return made if any(limits) else None

    def take_items(self, credential: str, address: str, count: int) -> None:
        """Use permits for the items of a batch. Raises as :meth:`RateLimit.take` does."""
        pairs = ((self.items_per_credential, credential), (self.items_per_address, address))
        if self.counting.is_remote and any(
            rate is not None and not rate.has(who, count) for rate, who in pairs
        ):
            about_to_block()  # before anything is counted
        for rate, who in pairs:
            if rate is not None:
                rate.take(who, count)
