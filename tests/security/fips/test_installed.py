"""The FIPS module in the home folder: written whole, and held against what was given."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from mycelium_fractal_net.security.errors import FipsModeError, StorePermissionsError
from mycelium_fractal_net.security.fips.installed import install, read
from tests.support.fips import sha256_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_CONTENT = b"\x7fELF rest OpenSSL FIPS Provider\0buildinfo\x003.5.9\0status\0"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A file that looks like a provider; that it is one only loading it shows."""
    path = tmp_path / "given.so"
    path.write_bytes(_CONTENT)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "home" / "fips"


def test_what_is_installed_is_read_again(source: Path, folder: Path) -> None:
    """All of it private, and the configuration describes the copy without activating it."""
    made = install(source, sha256_of(source).upper(), folder)
    assert read(folder) == made
    assert (made.version, made.file.read_bytes()) == ("3.5.9", _CONTENT)
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
    assert folder.stat().st_mode & 0o777 == folder.parent.stat().st_mode & 0o777 == 0o700
    configuration = made.configuration.read_text()
    assert f"module = {made.file}\n" in configuration
    assert "activate" not in configuration
    assert f"module = {made.for_python.with_suffix('.so')}\n" in made.for_python.read_text()
    assert made.for_python.read_text().count("activate = 1\n") == 2


def test_the_mac_is_what_openssl_writes(source: Path, folder: Path) -> None:
    """HMAC-SHA-256 under the key of OpenSSL's build; the value was made by `openssl mac`."""
    made = install(source, sha256_of(source), folder)
    mac = (
        "28:A1:C0:9B:85:AF:79:24:9C:E3:45:B6:7D:52:AF:44:"
        "20:97:84:9E:F6:8B:BD:50:65:67:96:A5:8D:FE:FB:77"
    )
    assert f"\nmodule-mac = {mac}\n" in made.configuration.read_text()


def test_another_takes_its_place(source: Path, folder: Path) -> None:
    """An upgrade is one more installation, and one of no known version is taken."""
    install(source, sha256_of(source), folder)
    source.write_bytes(_CONTENT.replace(b"3.5.9", b"three"))
    assert install(source, sha256_of(source), folder).version is None
    assert read(folder).sha256 == sha256_of(source)


@pytest.mark.parametrize(
    ("content", "digest", "told"),
    [
        (_CONTENT, "00" * 32, "another SHA-256"),
        (_CONTENT, "00", "64 hexadecimal digits"),
        (_CONTENT[1:], None, "no FIPS provider"),
        (b"\x7fELF", None, "no FIPS provider"),
    ],
)
def test_what_is_not_the_module_that_was_named_is_refused(
    source: Path, folder: Path, content: bytes, digest: str | None, told: str
) -> None:
    """And nothing is written."""
    source.write_bytes(content)
    with pytest.raises(FipsModeError, match=told):
        install(source, digest or sha256_of(source), folder)
    assert not folder.exists()


def test_a_file_that_cannot_be_read_is_named(
    tmp_path: Path, source: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And one that is too large is not read to its end."""
    with pytest.raises(FipsModeError, match="cannot be read: No such file"):
        install(tmp_path / "nothing", "00" * 32, folder)
    monkeypatch.setattr("mycelium_fractal_net.security.fips.installed._MOST_BYTES", 10)
    with pytest.raises(FipsModeError, match="too large"):
        install(source, sha256_of(source), folder)


def test_a_folder_that_openssl_cannot_name_is_refused(source: Path, tmp_path: Path) -> None:
    """Its configuration knows no quotes that hold."""
    with pytest.raises(FipsModeError, match="has a blank or"):
        install(source, sha256_of(source), tmp_path / "a $home" / "fips")


def test_without_one_it_is_said_how_to_install_it(folder: Path) -> None:
    """By the command that does it."""
    with pytest.raises(FipsModeError, match="mfn fips install FILE --sha256 HEX"):
        read(folder)


def _cut(folder: Path) -> None:
    (folder / "fips.so").write_bytes(_CONTENT[:-1])


def _reconfigure(folder: Path) -> None:
    (folder / "openssl.cnf").write_text("")


def _remove(folder: Path) -> None:
    (folder / "fips.so").unlink()


def _describe(text: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        (folder / "module.json").write_text(text)

    return change


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (_cut, "was changed since it was installed"),
        (_reconfigure, "openssl.cnf was changed"),
        (_remove, r"is not whole: .*fips\.so is missing"),
        (_describe("{"), "module.json is damaged"),
        (_describe("[]"), "module.json is damaged"),
        (_describe("{}"), "module.json is damaged"),
        (
            _describe(
                json.dumps({"format": "?", "sha256": "", "version": None, "installed_at": ""})
            ),
            "module.json is damaged",
        ),
    ],
)
def test_what_was_changed_since_is_refused(
    source: Path, folder: Path, change: Callable[[Path], None], told: str
) -> None:
    """Before OpenSSL sees it."""
    install(source, sha256_of(source), folder)
    change(folder)
    with pytest.raises(FipsModeError, match=told):
        read(folder)


def test_what_others_may_change_is_refused(source: Path, folder: Path) -> None:
    """A module is code, which runs as this user."""
    made = install(source, sha256_of(source), folder)
    made.file.chmod(0o666)
    with pytest.raises(StorePermissionsError, match="chmod 0600"):
        read(folder)
