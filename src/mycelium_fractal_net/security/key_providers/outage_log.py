"""One line in the log for each outage of a custodian, which names its cause, and one when it ends.

Not one for each request: in an outage there are thousands of those.
"""

from __future__ import annotations

import logging
import threading
from time import monotonic
from typing import Final

_LOG: Final = logging.getLogger(__name__)
_LOG.addHandler(logging.NullHandler())  # a terminal without a log shows the error itself
_SOONEST_SECONDS: Final = 10.0  # after an end, of one that answers every other call
_SAME_REFUSAL_SECONDS: Final = 60.0  # an old master key may be refused while the newest serves

WORDS: Final = {
    "connect": "let us in",
    "newest": "name the newest master key",
    "wrap": "wrap keys",
    "unwrap": "unwrap keys",
    "rewrap": "rewrap keys",
    "ping": "show the master key",
    "inspect": "show the master key",
    "add": "make a master key",
    "forget": "destroy former master keys",
    "create-signing-key": "make a signing key",
    "sign": "sign",
    "signing-public-key": "show the public key of a signing key",
    "destroy-signing-key": "destroy a signing key",
    "list-signing-keys": "list signing keys",
}
"""What is refused, by the name of the call, which metrics and logs of machines have."""


class OutageLog:
    """Says once that the custodian of that name is out, or refuses, and once that it does not.

    While it has no name, and at the end, it says nothing: who opens the custodian is told by an
    error.
    """

    def __init__(self, name: str = "") -> None:
        self.name = name
        self._lock = threading.Lock()
        self._out_since: float | None = None
        self._outage_told = False
        self._told_at = float("-inf")
        self._refused: set[str] = set()  # names of calls
        self._said: tuple[str, float] = ("", float("-inf"))
        self._end_is_news = False

    def silence(self) -> None:
        """Say nothing any more: that connections are closed at the end is no outage."""
        self.name = ""

    @property
    def outage_seconds(self) -> float:
        """How long it has not answered; zero where it does."""
        since = self._out_since
        return 0.0 if since is None else monotonic() - since

    @property
    def refuses(self) -> bool:
        """Whether the last call of some name was refused."""
        return bool(self._refused)

    def note_outage(self, cause: str) -> None:
        """A call had no answer, for all its attempts."""
        now = monotonic()
        with self._lock:
            if self._out_since is None:
                self._out_since = now
            is_late = now - self._told_at >= _SOONEST_SECONDS
            is_news = bool(self.name) and not self._outage_told and is_late
            if is_news:
                self._outage_told, self._told_at = True, now
        if is_news:
            _LOG.error("custodian %s: %s; what is in memory serves on", self.name, cause)

    def note_refusal(self, call: str, cause: str) -> None:
        """A call was refused."""
        self._note_answer()
        with self._lock:
            text, at = self._said
            is_late = monotonic() - at >= _SAME_REFUSAL_SECONDS
            is_news = bool(self.name) and call not in self._refused and (text != cause or is_late)
            self._refused.add(call)
            if is_news:
                self._said = (cause, monotonic())
                self._end_is_news = True
        if is_news:
            what = WORDS.get(call, call)
            _LOG.error("custodian %s refuses to %s: %s", self.name, what, cause)

    def note_success(self, call: str) -> None:
        """A call was answered as it should be."""
        if self._out_since is None and not self._refused:
            return
        self._note_answer()
        with self._lock:
            self._refused.discard(call)
            is_news = self._end_is_news and not self._refused and bool(self.name)
            self._end_is_news &= not is_news
        if is_news:
            _LOG.warning("custodian %s refuses no more", self.name)

    def _note_answer(self) -> None:
        with self._lock:
            since, self._out_since = self._out_since, None
            is_news, self._outage_told = bool(self.name) and self._outage_told, False
            if is_news:
                self._told_at = monotonic()
        if is_news and since is not None:
            _LOG.warning("custodian %s answers again, after %.0f s", self.name, monotonic() - since)
