"""One encrypted column: what is stored and searched for, and the keyring that it uses."""

from __future__ import annotations

from typing import Any

import pytest

from mycelium_fractal_net import initialise
from mycelium_fractal_net.columns import EncryptedField
from mycelium_fractal_net.integrations import application
from mycelium_fractal_net.integrations.fields import EncryptedColumn, RefusedQueryError
from mycelium_fractal_net.security.errors import (
    ConfigurationError,
    DecryptionError,
    KeyNotFoundError,
    KeyUsageError,
)
from mycelium_fractal_net.security.keyring.keyring import Keyring
from mycelium_fractal_net.security.records.field_binding import field_binding


def column(keyring: Keyring, name: str = "email", **options: Any) -> EncryptedColumn:
    given = {"key_id": "customers", "index": "customers-index", **options}
    return EncryptedColumn(keyring, "customers", name, **given)


def test_the_tag_stands_in_front_of_the_message(keys: Keyring) -> None:
    """Its length is known from the options, and there is none without an index."""
    for options, length in (({}, 32), ({"bits": 12}, 2), ({"index": None}, 0)):
        found = column(keys, **options)
        stored = found.store(b"ada")
        assert found.tag_bytes == length
        assert stored[length:].startswith(b"MFN\x01")
        assert len(stored) == length + 84 + 3
        assert found.open(stored) == b"ada"
        if length:
            assert found.tags(b"ada") == [stored[:length]]


def test_names_are_bound_with_their_lengths() -> None:
    """No two columns have one binding, whatever they are called."""
    assert field_binding("ab", "cdé") == (b"\0\0\0\0\0\0\0\x02ab\0\0\0\0\0\0\0\x04cd\xc3\xa9")
    assert field_binding("a", "bc") != field_binding("ab", "c")


def test_who_moves_a_column_needs_its_names_alone(keys: Keyring) -> None:
    """What ``mfn rewrap --field`` takes a value for is what the column stored."""
    stored = column(keys).store(b"ada")
    field = EncryptedField("customers", "email", index="customers-index")
    assert field.tag_bytes == column(keys).tag_bytes
    assert keys.decrypt(stored[field.tag_bytes :], associated_data=field.binding) == b"ada"
    tag = keys.index_tag(b"ada", key_id="customers-index", context=field.binding)
    assert stored.startswith(bytes(tag))


def test_another_column_neither_opens_nor_finds(keys: Keyring) -> None:
    """What was stored for one is nothing in another."""
    one, other = column(keys), column(keys, "name")
    assert one.tags(b"ada") != other.tags(b"ada")
    with pytest.raises(DecryptionError, match=r"^customers\.name: the message does not open"):
        other.open(one.store(b"ada"))


def test_a_key_of_another_name_does_not_open(keys: Keyring) -> None:
    """A database writer cannot have a column opened by a key that is not its own."""
    keys.provider.keys.create("others")
    stored = column(keys, key_id="others").store(b"ada")
    with pytest.raises(DecryptionError, match=r"^customers\.email: "):
        column(keys).open(stored)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"key_id": "absent"}, KeyNotFoundError),
        ({"index": "absent"}, KeyNotFoundError),
        ({"key_id": "customers-index"}, KeyUsageError),
        ({"index": "customers"}, KeyUsageError),
    ],
)
def test_a_key_that_does_not_serve_is_named_with_the_column(
    keys: Keyring, options: dict[str, Any], error: type[Exception]
) -> None:
    """Where the mistake stands is seen from the text alone."""
    with pytest.raises(error, match=r"^customers\.email: "):
        column(keys, **options).store(b"ada")


def test_a_column_without_an_index_is_not_searched(keys: Keyring) -> None:
    """It says so, instead of finding nothing."""
    with pytest.raises(RefusedQueryError, match=r"^customers\.email: has no index"):
        column(keys, index=None).tags(b"ada")


@pytest.mark.parametrize(
    "options",
    [{"index": None, "unique": True}, {"bits": 8, "unique": True}, {"bits": 300}],
)
def test_options_that_do_not_go_together_are_refused(keys: Keyring, options: Any) -> None:
    """As the column is declared, before anything is stored."""
    with pytest.raises(ConfigurationError, match=r"^customers\.email: "):
        column(keys, **options)


def test_the_keyring_is_opened_when_it_is_needed(keys: Keyring) -> None:
    """Once, by what the application said; a model is imported without."""
    opened = []

    def opens() -> Keyring:
        opened.append(keys)
        return keys

    application.configure(opens)
    assert opened == []
    assert application.application_keyring() is keys
    assert application.application_keyring() is keys
    assert opened == [keys]


def test_without_a_word_it_is_that_of_the_configuration(
    home: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As ``open_keyring()`` opens it, unless a framework has said something else by then."""
    monkeypatch.setattr(application.APPLICATION, "default", application._by_configuration)
    monkeypatch.setenv("MFN_HOME", str(home))
    initialise().close()
    application.configure(None)
    with application.application_keyring() as found:
        assert found.decrypt(found.encrypt(b"ada")) == b"ada"
    application.configure(None)
