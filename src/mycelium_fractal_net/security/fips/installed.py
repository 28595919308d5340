"""The FIPS module in the home folder: the provider's file, and what tells OpenSSL about it.

    fips/fips.so        the module, mode 0600, a copy of what was given
    fips/openssl.cnf    for the OpenSSL of the package cryptography: it describes the module and
                        does not activate it, since one that fails to load is passed over in silence
    fips/python.so      the same file again, for Python's own OpenSSL: a module that is mapped
                        twice in a process keeps two states only as two files
    fips/python.cnf     activates it there, and beside it what is asked for expressly
                        (``hashlib.md5(usedforsecurity=False)``); and it holds every TLS context
                        of the process to approved curves and signature algorithms
    fips/module.json    {"format": "mfn-fips-module/1", "sha256": hex, "version": "3.5.9" or null,
                         "installed_at": RFC 3339, UTC}

OpenSSL holds the file against ``module-mac``, an HMAC-SHA-256 under a key that is public in its
sources (``fips_mac_key`` of util/mk-fipsmodule-cnf.pl); that finds accidents and gives no trust.
The SHA-256 that an operator gave when it was installed does, and is looked at first.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from datetime import UTC, datetime
from hmac import compare_digest
from hmac import digest as hmac_digest
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from mycelium_fractal_net.security.byte_io.durable import create_private, sync_folder
from mycelium_fractal_net.security.byte_io.private import check_private
from mycelium_fractal_net.security.errors import FipsModeError

if TYPE_CHECKING:
    from pathlib import Path

_FORMAT: Final = "mfn-fips-module/1"
_NAMES: Final = ("fips.so", "openssl.cnf", "python.so", "python.cnf")
_MOST_BYTES: Final = 64 << 20  # the modules of OpenSSL 3 have about 3 MiB
_ELF: Final = b"\x7fELF"
_BUILD_KEY: Final = bytes.fromhex(
    "f4556650ac31d35461610bac4ed81b1a181b2d8a43ea2854cbae22ca74560813"
)
_VERSION: Final = re.compile(
    rb"OpenSSL FIPS Provider\x00(?:[a-z-]*\x00)*?([0-9]+\.[0-9]+\.[0-9]+[0-9A-Za-z.+~-]*)\x00"
)
_HEX: Final = re.compile("[0-9a-f]{64}")
_FOR_CRYPTOGRAPHY: Final = """\
config_diagnostics = 1
openssl_conf = init
[init]
providers = providers
[providers]
fips = fips
"""
# SP 800-52r2 sections 3.1 and 3.4.2.2; suites that are not approved the module does not have.
_FOR_PYTHON: Final = """\
config_diagnostics = 1
openssl_conf = init
[init]
providers = providers
ssl_conf = tls
[tls]
system_default = approved
[approved]
MinProtocol = TLSv1.2
Groups = P-256:P-384
SignatureAlgorithms = ECDSA+SHA256:ECDSA+SHA384:ECDSA+SHA512:\\
RSA-PSS+SHA256:RSA-PSS+SHA384:RSA-PSS+SHA512:RSA+SHA256:RSA+SHA384:RSA+SHA512
[providers]
fips = fips
base = base
default = base
[base]
activate = 1
"""
_MODULE: Final = """\
[fips]
module = {module}
module-mac = {mac}
conditional-errors = 1
security-checks = 1
tdes-encrypt-disabled = 1
"""


class InstalledModule(NamedTuple):
    """The module of a home folder. ``sha256`` is that of its file, in hexadecimal digits."""

    file: Path
    configuration: Path
    for_python: Path
    sha256: str
    version: str | None
    installed_at: str


def install(source: Path, sha256_hex: str, folder: Path) -> InstalledModule:
    """Copy a provider's file into ``folder``, made where it is absent, and describe it.

    ``sha256_hex`` is what the file's SHA-256 has to be, as whoever gave it published it. What was
    installed before is replaced once all of the new is on the disk.
    Raises :class:`FipsModeError` for another file, and one that is no provider.
    """
    wanted = sha256_hex.strip().lower()
    if _HEX.fullmatch(wanted) is None:
        raise FipsModeError("a SHA-256 has 64 hexadecimal digits")
    content = _read(source)
    if not compare_digest(_sha256(content), wanted):
        raise FipsModeError(f"{source} has another SHA-256 than the one that was given")
    if not content.startswith(_ELF) or b"OpenSSL FIPS Provider" not in content:
        raise FipsModeError(f"{source} is no FIPS provider of OpenSSL")
    for each in (folder.parent, folder):  # the home folder may not be there yet
        each.mkdir(mode=0o700, parents=True, exist_ok=True)
        check_private(each)
    found = _VERSION.search(content)
    module = InstalledModule(
        file=folder.absolute() / "fips.so",
        configuration=folder.absolute() / "openssl.cnf",
        for_python=folder.absolute() / "python.cnf",
        sha256=wanted,
        version=None if found is None else found[1].decode(),
        installed_at=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    )
    described = {
        "format": _FORMAT,
        "sha256": module.sha256,
        "version": module.version,
        "installed_at": module.installed_at,
    }
    files = _files(folder.absolute(), content)
    for path, data in files.items():
        _put(path, data)
    _put(folder / "module.json", json.dumps(described, indent=2).encode() + b"\n")
    sync_folder(folder)
    return module


def read(folder: Path) -> InstalledModule:
    """The module that is installed, whose file and configuration are as they were written.

    Raises :class:`FipsModeError` where one is absent or was changed, and
    :class:`StorePermissionsError` where others may change it.
    """
    path = folder / "module.json"
    if not path.exists():
        raise FipsModeError(
            f"no FIPS module is installed in {folder}; run: mfn fips install FILE --sha256 HEX"
        )
    folder = folder.absolute()
    for each in (folder, path, *(folder / name for name in _NAMES)):
        if not each.exists():
            raise FipsModeError(f"the FIPS module is not whole: {each} is missing")
        check_private(each)
    described = _described(path)
    content = _read(folder / "fips.so")
    if not compare_digest(_sha256(content), described["sha256"]):
        raise FipsModeError(f"the FIPS module {folder}/fips.so was changed since it was installed")
    for each, written in _files(folder, content).items():
        if _read(each) != written:
            raise FipsModeError(
                f"{each} was changed, or its folder was moved, since the FIPS module was"
                " installed; install it again: mfn fips install FILE --sha256 HEX"
            )
    return InstalledModule(
        folder / "fips.so",
        folder / "openssl.cnf",
        folder / "python.cnf",
        described["sha256"],
        described["version"],
        described["installed_at"],
    )


def _described(path: Path) -> dict[str, Any]:
    damaged = FipsModeError(f"{path} is damaged")
    try:
        found = json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        raise damaged from None
    members = {"format": str, "sha256": str, "version": str | None, "installed_at": str}
    if (
        not isinstance(found, dict)
        or set(found) != set(members)
        or not all(isinstance(found[name], kind) for name, kind in members.items())
        or found["format"] != _FORMAT
        or not found["sha256"].isascii()
    ):
        raise damaged
    return found


def _files(folder: Path, content: bytes) -> dict[Path, bytes]:
    """What stands in the folder for a module of that content."""
    mac = hmac_digest(_BUILD_KEY, content, _hash).hex(":").upper()
    made = {}
    for name, configuration in (("openssl", _FOR_CRYPTOGRAPHY), ("python", _FOR_PYTHON)):
        file = folder / ("fips.so" if name == "openssl" else "python.so")
        activated = "activate = 1\n" if name == "python" else ""
        made[file] = content
        text = configuration + _MODULE.format(module=_nameable(file), mac=mac) + activated
        made[folder / f"{name}.cnf"] = text.encode()
    return made


def _nameable(file: Path) -> str:
    name = str(file)
    if not name.isprintable() or set(name) & set("\\$#\"'`=,; \t"):
        raise FipsModeError(
            "OpenSSL's configuration cannot name a module in this folder: its path has a blank or"
            " one of \\ $ # \" ' ` = , ;"
        )
    return name


def _hash(content: bytes = b"") -> hashlib._Hash:
    # Python keeps the SHA-256 that it fetched first, and this is asked before there is a module: so
    # another is fetched here than the one of digests, which then comes from the module.
    return hashlib.sha256(content, usedforsecurity=False)


def _sha256(content: bytes) -> str:
    return _hash(content).hexdigest()


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise FipsModeError(f"{path} cannot be read: {error.strerror}") from None
    if len(content) > _MOST_BYTES:
        raise FipsModeError(f"{path} is too large for a FIPS module")
    return content


def _put(path: Path, data: bytes) -> None:
    """Have ``path`` hold that: the former file, or this one, and nothing between."""
    unfinished = path.with_name(path.name + ".new")
    unfinished.unlink(missing_ok=True)
    descriptor = create_private(unfinished)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)
