"""Mixed traffic at a steady rate: which stories, how often, from several clients at once."""

from __future__ import annotations

import random
import threading
import time
from typing import TYPE_CHECKING, Final

from campaigns.load import change_stories, data_stories
from campaigns.load.caller import Caller, Ledger, UnexpectedAnswerError, calling
from campaigns.load.data_stories import Keys

if TYPE_CHECKING:
    from collections.abc import Callable

CLIENTS: Final = 4
ROTATION_SECONDS: Final = 10.0
RETAINED: Final = 12  # versions, two minutes of them
_RECONNECTS: Final = 0.25  # of the stories begin with a connection of their own
STORIES: Final[dict[Callable[[Caller, Keys], None], int]] = {
    data_stories.seal_and_open: 300,
    data_stories.raw: 100,
    data_stories.rewrap: 60,
    data_stories.sign_and_verify: 60,
    data_stories.tag_and_verify: 60,
    data_stories.blind_index: 30,
    data_stories.lent_fields: 10,
    data_stories.batches: 20,
    data_stories.streams: 20,
    data_stories.data_keys: 30,
    data_stories.refusals: 40,
    data_stories.looks: 30,
    change_stories.signed_requests: 6,
    change_stories.credential_life: 4,
    change_stories.key_life: 2,
    change_stories.transport: 1,
}
"""How often each is told, beside the others."""


class Traffic:
    """Clients in threads, ``rate`` requests a second together, and one that rotates keys.

    Every story is told once at first, so that a run of any length asks every route.
    """

    def __init__(self, url: str, api_key: str, rate: float) -> None:
        self.ledger = Ledger()
        self.keys = Keys()
        self.rotations = 0
        self._url, self._api_key, self._rate = url, api_key, rate
        self._first = list(STORIES)
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._threads = [
            *(threading.Thread(target=self._tell, name=f"client-{n}") for n in range(CLIENTS)),
            threading.Thread(target=self._rotate, name="rotates"),
        ]

    def prepare(self) -> None:
        """Make the keys that all use. Raises :class:`UnexpectedAnswerError`."""
        made: dict[str, dict[str, object]] = {
            self.keys.sealing: {},
            self.keys.signing: {"type": "signing", "publish": True},
            self.keys.tagging: {"type": "mac"},
            self.keys.indexing: {"type": "index"},
            self.keys.same: {"type": "deterministic"},
        }
        with calling(self._url, self._api_key, self.ledger) as caller:
            for name, more in made.items():
                caller.ask("POST /keys", 201, json={"key_id": name, **more})
            caller.ask("GET /health/ready")

    def start(self) -> None:
        """Begin."""
        for thread in self._threads:
            thread.start()

    def end(self) -> None:
        """End, once the stories that are under way are told."""
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def _next(self) -> Callable[[Caller, Keys], None]:
        with self._lock:
            if self._first:
                return self._first.pop()
        return random.choices([*STORIES], [*STORIES.values()])[0]

    def _tell(self) -> None:
        """Tell stories, and pause for as long as their requests may take."""
        ledger = Ledger()
        due = time.monotonic()
        with calling(self._url, self._api_key, ledger) as caller:
            while not self._ended.wait(max(0.0, due - time.monotonic())):
                if random.random() < _RECONNECTS:
                    caller.reconnect()
                before = sum(ledger.answers.values())
                story = self._next()
                try:
                    story(caller, self.keys)
                except UnexpectedAnswerError:  # the ledger has it
                    pass
                except Exception as error:
                    ledger.complain(story.__name__, type(error).__name__, str(error))
                made = sum(ledger.answers.values()) - before
                due = max(due + made * CLIENTS / self._rate, time.monotonic() - 1)
        with self._lock:
            self.ledger.add(ledger)

    def _rotate(self) -> None:
        """Rotate every ten seconds, the key that seals; another one each minute; retire."""
        ledger = Ledger()
        with calling(self._url, self._api_key, ledger) as caller:
            while not self._ended.is_set():
                caller.reconnect()
                try:
                    change_stories.rotate(caller, self.keys.sealing)
                    self.rotations += 1
                    if self.rotations % 6 == 0:
                        other = (self.keys.signing, self.keys.tagging)[self.rotations // 6 % 2]
                        change_stories.rotate(caller, other)
                    if self.rotations % 3 == 0 or self.rotations == 1:
                        change_stories.retire(caller, self.keys.sealing, RETAINED)
                except UnexpectedAnswerError:  # the ledger has it
                    pass
                self._ended.wait(ROTATION_SECONDS)
        with self._lock:
            self.ledger.add(ledger)
