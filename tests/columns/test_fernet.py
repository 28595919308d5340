"""Fernet tokens, of two packages too, are opened by their keys, and nothing shows these."""

from __future__ import annotations

import copy
import datetime
import json
import pickle
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet as Writer

from mycelium_fractal_net.columns import (
    EncryptedField,
    Fernet,
    MessageColumn,
    django_fernet_keys,
    sqlalchemy_utils_key,
    take_over_column,
)
from mycelium_fractal_net.columns.fernet import looks_like_token
from mycelium_fractal_net.columns.plaintext import sealed_in
from mycelium_fractal_net.integrations.fields import EncryptedColumn
from mycelium_fractal_net.security.errors import (
    DecryptionError,
    InvalidInputError,
    InvalidKeyError,
)
from mycelium_fractal_net.security.keyring.keyring import Keyring
from tests.support.columns import Application, on_sqlite

MADE = json.loads((Path(__file__).parent / "fernet_tokens.json").read_text())
UTILS, DJANGO = MADE["sqlalchemy-utils"], MADE["django-fernet-encrypted-fields"]
UNTIL = "9999-12-31"
KEYS = [Writer.generate_key() for _ in range(2)]
FIELD = EncryptedField("customers", "email")


def token(value: str, key: bytes = KEYS[0]) -> str:
    """What an application has written."""
    return Writer(key).encrypt(value.encode()).decode()


# Of the packages, with what is in the tokens as they spell it.
SPELLED = {
    "text": "Ünïcode 1234",
    "former": "Ünïcode 1234",
    "empty": "",
    "integer": "-17",
    "date": "2026-02-28",
}


@pytest.mark.parametrize("name", sorted(set(UTILS["tokens"]) & set(SPELLED)))
def test_what_sqlalchemy_utils_wrote_is_opened(keyring: Keyring, name: str) -> None:
    """Numbers and dates too, which its FernetEngine spells as a field does."""
    source = Fernet([sqlalchemy_utils_key(UTILS["secret"])], until=UNTIL)
    opens = source.opener(keyring)
    for value in (UTILS["tokens"][name], UTILS["tokens"][name].encode()):
        assert opens(value).decode() == SPELLED[name]


@pytest.mark.parametrize("name", sorted(set(DJANGO["tokens"]) & set(SPELLED)))
def test_what_the_package_of_django_wrote_is_opened(keyring: Keyring, name: str) -> None:
    """By every pair of a secret and a salt, in its order."""
    keys = django_fernet_keys(DJANGO["secrets"], DJANGO["salts"])
    opens = Fernet(keys, until=UNTIL).opener(keyring)
    assert opens(DJANGO["tokens"][name]).decode() == SPELLED[name]
    one = django_fernet_keys(DJANGO["secrets"][:1], DJANGO["salts"][0])
    assert one == keys[:1]


def test_any_of_the_keys_opens_and_no_other(keyring: Keyring) -> None:
    """As with MultiFernet; a token that was changed opens by none."""
    opens = Fernet(KEYS, until=UNTIL).opener(keyring)
    assert opens(token("ada", KEYS[1])) == b"ada"
    for wrong in (token("ada", Writer.generate_key()), token("ada")[:-8], "ada", "", b"\xff", "Ü"):
        with pytest.raises(DecryptionError):
            opens(wrong)


def test_what_does_not_begin_as_a_token_may_be_plaintext(keyring: Keyring) -> None:
    """Where that is said; what does and opens by no key is never shown as it is."""
    opens = Fernet(KEYS, until=UNTIL, or_plaintext=True).opener(keyring)
    assert [opens(each) for each in (token("ada"), "bob", b"eve")] == [b"ada", b"bob", b"eve"]
    for value in (token("ada", Writer.generate_key()), "\udc80"):
        with pytest.raises(DecryptionError):
            opens(value)


@pytest.mark.parametrize("value", ["", "gAAAAA", b"gAAAAA", "hAAAAA" + "A" * 94, "ada" * 40])
def test_what_begins_otherwise_is_no_token(value: str | bytes) -> None:
    """Or is too short for one."""
    assert not looks_like_token(value)


def test_keys_are_shown_by_nothing() -> None:
    """No repr, no error, no pickle; a copy is the thing itself."""
    given = KEYS[0].decode()
    source = Fernet([given], until=datetime.date(2027, 3, 1), or_plaintext=True)
    assert repr(source) == "Fernet(…, until='2027-03-01', or_plaintext=True)"
    assert copy.copy(source) is copy.deepcopy(source) is source
    with pytest.raises(TypeError, match="on purpose"):
        pickle.dumps(source)
    for keys in ([given[:-3]], [], [b"\xff"], [None]):
        with pytest.raises(InvalidKeyError) as caught:
            Fernet(keys, until=UNTIL)  # type: ignore[arg-type]
        assert given[:8] not in str(caught.value)
    with pytest.raises(InvalidInputError, match="a list"):
        Fernet(given, until=UNTIL)
    with pytest.raises(InvalidInputError, match="last day"):
        Fernet([given], until="soon")


def test_keys_may_come_when_they_are_needed(keyring: Keyring) -> None:
    """From a store of secrets, which importing a model must not ask."""
    asked: list[int] = []

    def keys() -> list[bytes]:
        asked.append(1)
        return KEYS

    source = Fernet(keys, until=UNTIL)
    assert not asked
    assert source.opener(keyring)(token("ada")) == b"ada"
    assert asked == [1]


def filled(application: Application, kind: str, values: dict[int, Any]) -> None:
    """A table of customers with these values."""
    application.run(f"CREATE TABLE customers (id INTEGER PRIMARY KEY, email {kind})")
    rows = [{"id": number, "v": value} for number, value in values.items()]
    application.run("INSERT INTO customers VALUES (:id, :v)", *rows)


def take_over(keyring: Keyring, application: Application, source: Fernet, **how: Any) -> Any:
    column = MessageColumn(application.url, "customers", "email", field=how.pop("field", FIELD))
    return take_over_column(keyring, column, "orders", source, workers=1, **how)


@pytest.mark.parametrize("kind", ["TEXT", "bytes"])
def test_tokens_of_a_column_are_sealed_and_the_rest_stays(
    application: Application, keyring: Keyring, kind: str
) -> None:
    """What no key opens is reported, and is as it was; a second run has only that to do."""
    written = {1: token("ada"), 2: token("bob", KEYS[1]), 3: token("eve", Writer.generate_key())}
    as_bytes = kind == "bytes"
    kind = application.bytes_type if as_bytes else kind
    filled(application, kind, {n: v.encode() if as_bytes else v for n, v in written.items()})
    source = Fernet(KEYS, until="2020-01-01")  # whether it is read still is the application's
    tried = take_over(keyring, application, source, dry_run=True)
    assert (tried.done, tried.failed) == (2, 1)
    found = take_over(keyring, application, source)
    assert (found.done, found.failed) == (2, 1)
    assert found.failures[0].key == {"id": 3}
    again = take_over(keyring, application, source)
    assert (again.done, again.skipped, again.failed) == (0, 2, 1)
    stored = dict(application.all("SELECT id, email FROM customers"))
    assert stored[3] == (written[3].encode() if as_bytes else written[3])
    column = MessageColumn(application.url, "customers", "email", field=FIELD)
    opens = take_over_column(keyring, column, "orders", workers=1)  # the token, as plaintext
    assert (opens.done, opens.failed) == (1, 0)


def looks_sealed(value: str, key: bytes) -> str:
    """A token in whose random bytes the beginning of a message stands, behind 16 of a tag."""
    iv = bytes(7) + b"MFN\x01" + bytes(5)
    made = Writer(key)._encrypt_from_parts(value.encode(), 1_800_000_000, iv)
    assert sealed_in(made.decode(), 16) is not None
    return made.decode()


def test_a_token_that_looks_sealed_behind_a_tag_is_a_token(
    tmp_path: Path, keyring: Keyring
) -> None:
    """One in 2^32 does; where no key opens it, it is taken for what it looks like."""
    keyring.provider.keys.create("customers-index", "index")
    field = EncryptedField("customers", "email", "customers-index", bits=128)
    application = on_sqlite(tmp_path)
    source = Fernet(KEYS, until=UNTIL)
    value = "ada@example.com" * 8
    mine, other = (looks_sealed(value, key) for key in (KEYS[0], Writer.generate_key()))
    filled(application, "TEXT", {1: mine, 2: other})
    column = EncryptedColumn(
        keyring, "customers", "email", key_id="orders", index="customers-index", bits=128,
        takes_over=source,
    )  # fmt: skip
    assert column.open_either(mine) == value.encode()
    with pytest.raises(DecryptionError):
        column.open_either(other)
    found = take_over(keyring, application, source, field=field)
    assert (found.done, found.skipped, found.failed) == (1, 1, 0)
    stored = application.one("SELECT email FROM customers WHERE id = 1")
    assert column.open_either(stored) == value.encode()
