"""A column leaves the XOR cipher, and can go back until it is told not to."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import pytest

from mycelium_fractal_net.columns import Failure, MessageColumn
from mycelium_fractal_net.columns.coding import Habit, encode
from mycelium_fractal_net.legacy.columns import (
    commit_column,
    decode_old,
    migrate_column,
    old_text,
    roll_back_column,
)
from mycelium_fractal_net.legacy.key import import_xor_key
from mycelium_fractal_net.legacy.side_table import SideTable
from mycelium_fractal_net.security.errors import DecryptionError, InvalidInputError
from tests.support.columns import Application, rotate
from tests.support.legacy_xor import OLD_KEY, write_xor

if TYPE_CHECKING:
    from mycelium_fractal_net.security.keyring.keyring import Keyring

PLAIN = {1: "one", 2: "zwei ä", 3: "", 4: "four" * 30}


@pytest.fixture
def old(application: Application, keyring: Keyring) -> Application:
    """A database with a column of the old cipher, and its key taken over."""
    import_xor_key(keyring.provider, OLD_KEY)
    application.run("CREATE TABLE notes (id INTEGER PRIMARY KEY, body TEXT, who TEXT)")
    application.run(
        "INSERT INTO notes VALUES (:id, :body, :who)",
        *({"id": n, "body": write_xor(text), "who": f"user {n}"} for n, text in PLAIN.items()),
    )
    return application


def notes(application: Application, options: dict[str, Any]) -> MessageColumn:
    """The column notes.body, bound to the one that the options name, if any."""
    bound_to = options.pop("associated_data_column", None)
    return MessageColumn(application.url, "notes", "body", bound_to)


def migrate(keyring: Keyring, application: Application, **options: Any) -> Any:
    """Migrate notes.body in this process, unless the options say otherwise."""
    options.setdefault("workers", 1)
    return migrate_column(keyring, notes(application, options), "orders", **options)


def commit(keyring: Keyring, application: Application, **options: Any) -> Any:
    return commit_column(keyring, notes(application, options), workers=1, **options)


def roll_back(keyring: Keyring, application: Application, **options: Any) -> Any:
    return roll_back_column(keyring, notes(application, options), workers=1, **options)


def rows(application: Application) -> dict[int, Any]:
    return dict(application.all("SELECT id, body FROM notes"))


def opened(application: Application, keyring: Keyring, **bound: str) -> dict[int, str]:
    """What is in the notes, which are all sealed, as urlsafe text with padding."""
    found = {}
    for number, value in rows(application).items():
        message = base64.urlsafe_b64decode(value)
        assert base64.urlsafe_b64encode(message).decode() == value
        assert keyring.describe(message).key_id == "orders"
        found[number] = keyring.decrypt(message).decode()
    return found


@pytest.mark.parametrize("workers", [1, 2])
def test_what_the_old_cipher_wrote_is_sealed(
    old: Application, keyring: Keyring, workers: int
) -> None:
    """In its place and in the text form that it has; a second run has nothing to do."""
    seen: list[int] = []
    report = migrate(keyring, old, workers=workers, progress=seen.append)
    assert (report.done, report.skipped, report.failed, sum(seen)) == (4, 0, 0, 4)
    assert opened(old, keyring) == PLAIN
    again = migrate(keyring, old, workers=workers)
    assert (again.done, again.skipped, again.failed) == (0, 4, 0)


def test_a_dry_run_opens_everything_and_writes_nothing(old: Application, keyring: Keyring) -> None:
    """It counts what would be sealed and names what would not; there is no side table."""
    old.run("UPDATE notes SET body = 'rubbish' WHERE id = 2")
    before = rows(old)
    report = migrate(keyring, old, dry_run=True)
    assert report.done == 3
    assert report.failures == [Failure({"id": 2}, DecryptionError.TEXT)]
    assert rows(old) == before
    assert old.tables() == {"notes"}


def test_old_values_go_at_commit_where_the_new_ones_open(
    old: Application, keyring: Keyring
) -> None:
    """Where they do not, the old ones stay and are reported; the empty table goes."""
    migrate(keyring, old)
    assert old.tables() == {"notes", "notes_body_xor"}
    sealed = rows(old)
    old.run("UPDATE notes SET body = 'rubbish' WHERE id = 1")
    old.run("UPDATE notes SET body = :body WHERE id = 2", {"body": write_xor("again")})
    old.run("UPDATE notes SET body = NULL WHERE id = 3")
    old.run("DELETE FROM notes WHERE id = 4")
    report = commit(keyring, old)
    assert (report.done, [failure.key["id"] for failure in report.failures]) == (0, [1, 2, 3, 4])
    assert {failure.reason for failure in report.failures} == {
        DecryptionError.TEXT,
        "the row is gone, or has no value any more",
    }
    old.run("INSERT INTO notes (id) VALUES (4)")
    for number, value in sealed.items():
        old.run("UPDATE notes SET body = :v WHERE id = :n", {"v": value, "n": number})
    rotate(keyring)  # what an application wrote since is as good
    fresh = base64.urlsafe_b64encode(keyring.encrypt(b"new", key_id="orders")).decode()
    old.run("UPDATE notes SET body = :v WHERE id = 1", {"v": fresh})
    assert commit(keyring, old).done == 4
    assert old.tables() == {"notes"}
    with pytest.raises(InvalidInputError, match="there is no table notes_body_xor"):
        commit(keyring, old)


def test_old_values_come_back_where_nobody_changed_the_new_ones(
    old: Application, keyring: Keyring
) -> None:
    """What was written since is not lost, and the old value is kept beside it."""
    before = rows(old)
    migrate(keyring, old)
    old.run("UPDATE notes SET body = 'mine' WHERE id = 2")
    report = roll_back(keyring, old)
    assert report.done == 3
    assert [failure.key for failure in report.failures] == [{"id": 2}]
    assert rows(old) == {**before, 2: "mine"}
    assert old.all("SELECT id, mfn_old FROM notes_body_xor") == [(2, before[2])]


def test_what_is_rolled_back_whole_leaves_nothing(old: Application, keyring: Keyring) -> None:
    """And may be migrated again."""
    before = rows(old)
    for _ in range(2):
        migrate(keyring, old)
        assert roll_back(keyring, old).done == 4
        assert rows(old) == before
        assert old.tables() == {"notes"}


def test_a_value_of_the_old_cipher_that_was_written_since_is_migrated_too(
    old: Application, keyring: Keyring
) -> None:
    """The old value that is kept is then the later one."""
    migrate(keyring, old)
    later = write_xor("later")
    old.run("UPDATE notes SET body = :v WHERE id = 1", {"v": later})
    assert migrate(keyring, old).done == 1
    assert opened(old, keyring) == {**PLAIN, 1: "later"}
    assert old.one("SELECT mfn_old FROM notes_body_xor WHERE id = 1") == later


def test_new_messages_may_be_bound_to_what_stands_beside(
    old: Application, keyring: Keyring
) -> None:
    """The old ones were bound to nothing; committing needs the same."""
    report = migrate(keyring, old, associated_data_column="who", side_table="kept")
    assert report.done == 4
    assert commit(keyring, old, side_table="kept").failed == 4
    assert commit(keyring, old, side_table="kept", associated_data_column="who").done == 4
    for number, body, who in old.all("SELECT id, body, who FROM notes"):
        message = base64.urlsafe_b64decode(body)
        assert keyring.decrypt(message, associated_data=who.encode()).decode() == PLAIN[number]


def test_bytes_stay_bytes_and_text_in_bytes_stays_text(
    application: Application, keyring: Keyring
) -> None:
    """Some decoded what the old cipher wrote before they stored it."""
    import_xor_key(keyring.provider, OLD_KEY)
    kind = application.bytes_type
    application.run(
        f"CREATE TABLE notes (a VARCHAR(9), b INTEGER, body {kind}, PRIMARY KEY (a, b))"
    )
    text = write_xor("text").encode()
    raw = base64.urlsafe_b64decode(write_xor("raw"))
    values = [{"b": 1, "v": text}, {"b": 2, "v": raw}]
    application.run("INSERT INTO notes VALUES ('x', :b, :v)", *values)
    assert migrate(keyring, application).done == 2
    (first,), (second,) = application.all("SELECT body FROM notes ORDER BY b")
    assert keyring.decrypt(base64.urlsafe_b64decode(first)) == b"text"
    assert keyring.decrypt(second) == b"raw"
    assert roll_back(keyring, application).done == 2
    assert application.all("SELECT body FROM notes ORDER BY b") == [(text,), (raw,)]


def test_a_message_of_the_old_cipher_that_begins_like_a_sealed_one_is_migrated(
    application: Application, keyring: Keyring
) -> None:
    """Its first bytes are random."""
    import_xor_key(keyring.provider, OLD_KEY)
    application.run("CREATE TABLE notes (id INTEGER PRIMARY KEY, body TEXT)")
    value = write_xor("text", salt=b"MFN\x01" + bytes(12))
    application.run("INSERT INTO notes VALUES (1, :v)", {"v": value})
    assert migrate(keyring, application).done == 1


def test_a_value_that_grows_too_long_is_reported(
    application: Application, keyring: Keyring
) -> None:
    """A sealed message is 20 bytes longer; the column and the old value stay as they are."""
    import_xor_key(keyring.provider, OLD_KEY)
    application.run(
        "CREATE TABLE notes (id INTEGER PRIMARY KEY, body VARCHAR(120) CHECK (length(body) < 120))"
    )
    values = [{"id": 1, "v": write_xor("x" * 20)}, {"id": 2, "v": write_xor("x")}]
    application.run("INSERT INTO notes VALUES (:id, :v)", *values)
    report = migrate(keyring, application)
    assert report.done == 1
    (failure,) = report.failures
    assert "does not take the new value" in failure.reason
    assert application.all("SELECT id FROM notes_body_xor") == [(2,)]


def test_without_the_old_key_nothing_opens(application: Application, keyring: Keyring) -> None:
    """And nothing changes."""
    application.run("CREATE TABLE notes (id INTEGER PRIMARY KEY, body TEXT)")
    application.run("INSERT INTO notes VALUES (1, :v)", {"v": write_xor("x")})
    assert migrate(keyring, application).failures == [Failure({"id": 1}, DecryptionError.TEXT)]


# The side table -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["notes", "n" * 60])
def test_a_side_table_needs_a_name_of_its_own(
    old: Application, keyring: Keyring, name: str
) -> None:
    """One that PostgreSQL would cut off is refused as well."""
    with pytest.raises(InvalidInputError):
        migrate(keyring, old, side_table=name)


def test_a_table_that_is_something_else_is_never_taken_for_one(
    old: Application, keyring: Keyring
) -> None:
    """Its rows would be lost."""
    old.run("CREATE TABLE notes_body_xor (id INTEGER)")
    with pytest.raises(InvalidInputError, match="is not one for old values"):
        migrate(keyring, old)


def test_key_columns_with_the_names_of_ours_are_refused(
    application: Application, keyring: Keyring
) -> None:
    """Two columns of one name cannot stand in a table."""
    application.run("CREATE TABLE notes (mfn_old INTEGER PRIMARY KEY, body TEXT)")
    with pytest.raises(InvalidInputError, match="taken"):
        migrate(keyring, application)


def test_a_side_table_with_rows_is_not_dropped(old: Application, keyring: Keyring) -> None:
    """And one that is gone is no error."""
    migrate(keyring, old)
    side = SideTable(*MessageColumn(old.url, "notes", "body").located())
    assert not side.drop_if_empty()
    old.run("DELETE FROM notes_body_xor")
    assert side.drop_if_empty()
    assert side.drop_if_empty()
    side.create()
    side.create()
    assert side.exists()


def test_bytes_of_the_old_cipher_may_be_text_or_not() -> None:
    """All of one alphabet is text; a message of the cipher has 64 random bytes and is not."""
    raw = bytes(range(64))
    text = old_text(raw)
    assert text == base64.urlsafe_b64encode(raw)
    for value, base in ((raw, False), (text, True), (text.decode(), True)):
        message, coding = decode_old(value)
        assert message == raw
        assert coding.base64 is base
        assert encode(message, coding, Habit(urlsafe=True)) == value
