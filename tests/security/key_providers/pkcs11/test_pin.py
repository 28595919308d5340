"""Where the PIN of a token comes from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mycelium_fractal_net.security.errors import (
    ConfigurationError,
    MasterKeyError,
    StorePermissionsError,
)
from mycelium_fractal_net.security.key_providers.pkcs11.pin import CREDENTIAL, PinSource

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A private file with a PIN in its first line."""
    path = tmp_path / "pin"
    path.touch(mode=0o600)
    path.write_bytes(b"4711\r\nignored")
    return path


def test_a_pin_is_the_first_line_of_a_file(file: Path) -> None:
    """Which is named by its path, or by a URI of it."""
    for source in (str(file), f"file:{file}", f"file://{file}"):
        found = PinSource(source)
        assert found.is_there()
        assert found.read().pin == b"4711"


def test_a_pin_comes_from_the_credentials_of_systemd(file: Path) -> None:
    """By name, or by the one that we look for."""
    named = PinSource("$CREDENTIALS_DIRECTORY/pin", credentials=file.parent)
    assert named.read().pin == b"4711"
    assert not PinSource(None, credentials=file.parent).is_there()
    file.rename(file.with_name(CREDENTIAL))
    assert PinSource(None, credentials=file.parent).read().pin == b"4711"
    with pytest.raises(ConfigurationError, match="CREDENTIALS_DIRECTORY, which is not set"):
        PinSource("$CREDENTIALS_DIRECTORY/pin")


def test_a_pin_is_asked_for_where_no_file_gives_it() -> None:
    """The same answer is the same PIN, another is another."""
    answers = iter([b"1", b"1", b"2"])
    source = PinSource(None, ask=lambda: next(answers))
    assert not source.is_there()
    first, second, third = source.read(), source.read(), source.read()
    assert first == second
    assert first.identity != third.identity
    with pytest.raises(MasterKeyError, match="is not given"):
        PinSource(None).read()


def test_a_file_that_others_may_read_gives_no_pin(file: Path) -> None:
    """Nor does one that is absent, is empty, or holds what no PIN is."""
    source = PinSource(str(file))
    file.chmod(0o640)
    with pytest.raises(StorePermissionsError):
        source.read()
    file.chmod(0o600)
    for content in (b"", b"\n1234", b"x" * 257):
        file.write_bytes(content)
        with pytest.raises(MasterKeyError, match="is empty, or longer than 256 bytes"):
            source.read()
    file.unlink()
    with pytest.raises(MasterKeyError, match="No such file"):
        source.read()


@pytest.mark.parametrize("source", ["pin", "file:pin", "//host/pin", "|cat pin", "file://h/pin"])
def test_no_command_and_no_other_place_gives_a_pin(source: str) -> None:
    """RFC 7512 lets a source be whatever one likes."""
    with pytest.raises(ConfigurationError, match="pin-source of MFN_PKCS11_URI is no absolute"):
        PinSource(source)


def test_nothing_shows_a_pin(file: Path) -> None:
    """In a log or a traceback."""
    source = PinSource(str(file))
    assert "4711" not in repr(source) + repr(source.read())
    assert "4711" not in repr(PinSource(None, ask=lambda: b"4711").read())
