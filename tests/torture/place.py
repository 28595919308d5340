"""A store with everything in it that operations work on: keys, messages, files, a column."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
import time
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from mycelium_fractal_net import initialise, open_keyring
from mycelium_fractal_net.columns import EncryptedField
from mycelium_fractal_net.config import load_settings
from mycelium_fractal_net.legacy.key import import_xor_key
from mycelium_fractal_net.security.rotation import KeyRotationScheduler
from tests.support.legacy_xor import OLD_KEY, write_xor
from tests.torture.ledger import Ledger, VersionLedger

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mycelium_fractal_net.config import Settings
    from mycelium_fractal_net.security.keyring.keyring import Keyring

__all__ = [
    "FIELD",
    "INDEX",
    "KEYS",
    "ROWS",
    "SIDE_TABLE",
    "Place",
    "file_contents",
    "new_place",
    "old_values",
    "put_old_files",
    "put_old_letters",
]

KEYS: Final = {
    "orders": "encryption", "release": "signing", "tags": "mac", "files": "encryption",
    "rows": "encryption", "accounts": "encryption", "logs": "encryption", "due": "encryption",
}  # fmt: skip
"""What is under ``logs`` nobody keeps: its old versions are destroyed and erased."""
SIDE_TABLE: Final = "letters_value_xor"
_FILES: Final = 24
INDEX: Final = "accounts-index"
FIELD: Final = EncryptedField("accounts", "value", INDEX)
ROWS: Final = 1200  # more than a process takes at once
_OLD_VALUES: Final = 4  # of the XOR cipher, each 23 ms of PBKDF2
_QUIET_SECONDS: Final = 15.0


@dataclass(slots=True)
class Place:
    """One store on SQLite or PostgreSQL in a folder of its own, and its ledger."""

    folder: Path
    url: str
    ledger: Ledger = field(default_factory=Ledger)
    _monitor: Any = None
    _left: Any = None
    _known: set[int] = field(default_factory=set)

    @property
    def home(self) -> Path:
        """The folder of the store."""
        return self.folder / "home"

    @property
    def files(self) -> Path:
        """The folder of sealed files."""
        return self.folder / "files"

    @property
    def old_files(self) -> Path:
        """The folder of files that the XOR cipher wrote."""
        return self.folder / "old"

    @property
    def backups(self) -> Path:
        """The folder of backups, each with the master key file of its time."""
        return self.folder / "backups"

    @property
    def on_sqlite(self) -> bool:
        """Whether the store is a SQLite file."""
        return self.url.startswith("sqlite")

    @property
    def rows_url(self) -> str:
        """The database of the application."""
        return f"sqlite:///{self.folder / 'rows.db'}" if self.on_sqlite else self.url

    @property
    def settings(self) -> Settings:
        """The settings of every process that works here."""
        return load_settings(home=self.home, store=self.url, environ={})

    def open(self) -> Keyring:
        """The keyring of one more process."""
        return open_keyring(settings=self.settings)

    # The application's database -----------------------------------------------------------

    def rows(self, table: str) -> dict[int, bytes]:
        """The values of one table, read by a driver and not by what is tested."""
        found = self.query(f"SELECT * FROM {table}")
        return {row[0]: row[1].encode() if isinstance(row[1], str) else row[1] for row in found}

    def write_rows(self, table: str, rows: list[tuple[Any, ...]]) -> None:
        """Put rows of two columns into a table, in the place of those that are there."""
        statement = (
            f"INSERT INTO {table} VALUES (?, ?)"
            " ON CONFLICT (id) DO UPDATE SET value = excluded.value"
        )
        if self.on_sqlite:
            with closing(sqlite3.connect(self.folder / "rows.db", timeout=30)) as connection:
                with connection:
                    connection.executemany(statement, rows)
        else:
            with self._pg().cursor() as cursor:
                cursor.executemany(statement.replace("?", "%s"), rows)

    def query(self, statement: str) -> list[tuple[Any, ...]]:
        """Run one statement in the application's database, and commit."""
        if self.on_sqlite:
            with closing(sqlite3.connect(self.folder / "rows.db", timeout=30)) as connection:
                with connection:
                    return connection.execute(statement).fetchall()
        done = self._pg().execute(statement)
        return list(done.fetchall()) if done.description else []

    def tables(self) -> set[str]:
        """The names of the application's tables."""
        if self.on_sqlite:
            return {str(name) for (name,) in self.query("SELECT name FROM sqlite_master")}
        found = self.query("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        return {str(name) for (name,) in found}

    def _pg(self) -> Any:
        if self._monitor is None:
            import psycopg

            plain = self.url.replace("+psycopg", "")
            self._monitor = psycopg.connect(plain, autocommit=True)
        return self._monitor

    # Before and after a child --------------------------------------------------------------

    def about_to_fork(self) -> None:
        """Remember which of the database's sessions are of this process."""
        if not self.on_sqlite:
            self._known = {pid for (pid,) in self.query(_SESSIONS)}

    def leave_to_parent(self) -> None:
        """In a child: have a session of its own. The parent's must not be ended by being forgot."""
        self._left, self._monitor = self._monitor, None

    def quiet(self) -> None:
        """Wait until PostgreSQL has ended what it was doing for a process that is gone."""
        deadline = time.monotonic() + _QUIET_SECONDS
        while not self.on_sqlite:
            left = {pid for (pid,) in self.query(_SESSIONS)} - self._known
            if not left:
                return
            if time.monotonic() > deadline:
                raise TimeoutError(f"sessions of processes that are gone: {sorted(left)}")
            time.sleep(0.002)

    def end_sessions(self) -> None:
        """Have PostgreSQL end every session but that of this process."""
        self.query(
            f"SELECT pg_terminate_backend(pid) FROM ({_SESSIONS}) AS s"
            " WHERE pid <> pg_backend_pid()"
        )

    def disconnect(self) -> None:
        """Let go of the database; the next question connects anew."""
        if self._monitor is not None:
            self._monitor.close()
            self._monitor = None

    def close(self, *, keep: bool = False) -> None:
        """Let go of the database, and of the folder unless it is kept."""
        self.disconnect()
        if not keep:
            shutil.rmtree(self.folder)


_SESSIONS: Final = (
    "SELECT pid FROM pg_stat_activity"
    " WHERE datname = current_database() AND backend_type = 'client backend'"
)


@cache
def old_values() -> tuple[str, ...]:
    """What the XOR cipher wrote for ``old 0``, ``old 1`` and so on; made once."""
    return tuple(write_xor(f"old {number}") for number in range(_OLD_VALUES))


def new_place(url: str | None, parent: Path | None = None) -> Place:
    """A store with keys, files and rows; ``url`` is that of a PostgreSQL database, if any."""
    folder = Path(tempfile.mkdtemp(prefix="mfn-torture-", dir=parent))
    place = Place(folder, url or f"sqlite:///{folder / 'home' / 'keys.db'}")
    with initialise(settings=place.settings) as keyring:
        provider = keyring.provider
        for name, key_type in KEYS.items():
            provider.keys.create(name, key_type)
            place.ledger.keys[name] = VersionLedger()
        import_xor_key(provider, OLD_KEY)
        # The first look of a store holds erasures for a day, which is over this way.
        before = datetime.now(UTC) - timedelta(hours=36)
        KeyRotationScheduler(provider, clock=lambda: before).run_once()
        place.backups.mkdir()
        place.files.mkdir()
        for path, plain in file_contents(place.files):
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(keyring.encrypt(plain, key_id="files"))
        kind = "BLOB" if place.on_sqlite else "BYTEA"
        place.query(f"CREATE TABLE people (id INTEGER PRIMARY KEY, value {kind})")
        place.query(f"CREATE TABLE accounts (id INTEGER PRIMARY KEY, value {kind})")
        provider.keys.create(INDEX, "index")
        accounts = [(n, _account(keyring, b"account %d" % n)) for n in range(ROWS)]
        place.write_rows("accounts", accounts)
        place.query("CREATE TABLE letters (id INTEGER PRIMARY KEY, value TEXT)")
        rows = [(n, keyring.encrypt(b"row %d" % n, key_id="rows")) for n in range(ROWS)]
        place.write_rows("people", rows)
        put_old_letters(place)
        place.old_files.mkdir()
        put_old_files(place)
    return place


def _account(keyring: Keyring, plain: bytes) -> bytes:
    tag = keyring.index_tag(plain, key_id=INDEX, context=FIELD.binding)
    sealed = keyring.encrypt(plain, key_id="accounts", associated_data=FIELD.binding)
    return bytes(tag) + sealed


def put_plain_accounts(place: Place) -> None:
    """Have the column hold what an application wrote before it was encrypted."""
    place.write_rows("accounts", [(n, b"account %d" % n) for n in range(ROWS)])


def put_old_letters(place: Place) -> None:
    """Have the column hold what the XOR cipher wrote."""
    place.write_rows("letters", list(enumerate(old_values())))


def put_old_files(place: Place) -> None:
    """Have the files hold what the XOR cipher wrote, each at once."""
    for number, old in enumerate(old_values()):
        new = place.folder / "new"
        new.write_text(old)
        new.replace(place.old_files / str(number))


def file_contents(folder: Path) -> Iterator[tuple[Path, bytes]]:
    """The sealed files, and what is in each."""
    for number in range(_FILES):
        size = 40_000 if number % 8 == 7 else 200 + number
        content = (b"file %d " % number * (size // 7 + 1))[:size]
        yield folder / str(number % 3) / f"{number}.mfn", content
