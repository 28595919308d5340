"""A token of SoftHSM2 (Debian: ``softhsm2``), in a folder of this test process.

A process has the library once, with one configuration: all tokens of this process lie in one
folder, each under a label of its own. What an operator does with a tool of his own is done in
another process by PyKCS11, as somebody else who has the PIN::

    python -m tests.support.custodians.pkcs11 FOLDER TOKEN make|rotate|disable|enable
"""

from __future__ import annotations

import atexit
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

import pytest

MODULE: Final = Path("/usr/lib/softhsm/libsofthsm2.so")
ROOT: Final = Path(__file__).parents[3]
PIN: Final = "4711-0815"
SO_PIN: Final = "3141-5926"
KEY_LABEL: Final = "master keys of a store"

_CONFIGURATION: Final = """\
directories.tokendir = {tokens}
objectstore.backend = file
log.level = ERROR
slots.removable = false
"""


def require_softhsm() -> None:
    """Skip the test where SoftHSM2 is not installed; with ``CI`` set, fail it."""
    if MODULE.exists() and shutil.which("softhsm2-util"):
        return
    said = f"SoftHSM2 is not installed ({MODULE}); Debian: apt-get install softhsm2"
    if os.environ.get("CI"):
        pytest.fail(said)
    pytest.skip(said)


class _Folder:
    """The folder of this process's tokens; made when the first is."""

    made: Path | None = None

    @classmethod
    def get(cls) -> Path:
        if cls.made is None:
            cls.made = Path(tempfile.mkdtemp(prefix="mfn-softhsm-"))
            atexit.register(shutil.rmtree, cls.made, ignore_errors=True)
            (cls.made / "tokens").mkdir(mode=0o700)
            configuration = cls.made / "softhsm2.conf"
            configuration.write_text(_CONFIGURATION.format(tokens=cls.made / "tokens"))
            os.environ["SOFTHSM2_CONF"] = str(configuration)
        return cls.made


class PKCS11Harness:
    """A token with a user PIN; its master keys have the label :data:`KEY_LABEL`."""

    name = "pkcs11"

    def __init__(self) -> None:
        require_softhsm()
        self.base = _Folder.get()
        self.token = f"mfn-{secrets.token_hex(4)}"
        self.pin_file = self.base / f"{self.token}.pin"
        self.pin_file.touch(mode=0o600)
        self.pin_file.write_text(f"{PIN}\n")
        self.folder = self.initialise()
        self._away = self.base / f"{self.token}.away"

    def initialise(self) -> Path:
        """Make the token; returns the folder that it is."""
        before = set((self.base / "tokens").iterdir())
        softhsm2_util("--init-token", "--free", "--label", self.token)
        (made,) = set((self.base / "tokens").iterdir()) - before
        return made

    @property
    def uri(self) -> str:
        """What names the master keys."""
        label = KEY_LABEL.replace(" ", "%20")
        query = f"module-path={MODULE}&pin-source={self.pin_file}"
        return f"pkcs11:token={self.token};object={label}?{query}"

    def environment(self, home: Path) -> dict[str, str]:
        """The URI, and where SoftHSM's tokens are."""
        return {
            "MFN_KEY_PROVIDER": "pkcs11",
            "MFN_HOME": str(home),
            "MFN_PKCS11_URI": self.uri,
            "SOFTHSM2_CONF": str(self.base / "softhsm2.conf"),
        }

    def make_key(self) -> None:
        """The first master key, where there is none."""
        self.act("make")

    def rotate(self) -> None:
        """A further one, with a greater CKA_ID."""
        self.act("rotate")

    def disable(self) -> None:
        """The keys neither encrypt nor decrypt."""
        self.act("disable")

    def enable(self) -> None:
        """They do."""
        self.act("enable")

    def stop(self) -> None:
        """The token is taken out."""
        self.folder.rename(self._away)

    def start(self) -> None:
        """It is put back."""
        self._away.rename(self.folder)

    def close(self) -> None:
        """Destroy the token."""
        shutil.rmtree(self._away, ignore_errors=True)
        shutil.rmtree(self.folder, ignore_errors=True)
        self.pin_file.unlink(missing_ok=True)

    def act(self, what: str, *more: str) -> str:
        """Have another process do that on the token; returns what it prints."""
        command = [sys.executable, "-m", __name__, self.token, what, *more]
        done = subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


def softhsm2_util(*arguments: str) -> str:
    """Run SoftHSM's own tool, with both PINs."""
    pins = ("--pin", PIN, "--so-pin", SO_PIN)
    done = subprocess.run(
        ["softhsm2-util", *arguments, *pins],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return done.stdout


# The other process ------------------------------------------------------------------------------


def _act(token: str, what: str, *more: str) -> None:
    import PyKCS11 as P

    library: Any = P.PyKCS11Lib()
    library.load(str(MODULE))
    (slot,) = [
        each
        for each in library.getSlotList(tokenPresent=True)
        if library.getTokenInfo(each).label.strip() == token
    ]
    session = library.openSession(slot, P.CKF_RW_SESSION)
    if what == "set-pin":
        officer, pin = more
        session.login(officer, P.CKU_SO)
        session.initPin(pin)
        return
    session.login(PIN)
    named = [(P.CKA_CLASS, P.CKO_SECRET_KEY), (P.CKA_LABEL, KEY_LABEL)]
    keys = session.findObjects(named)
    if what in {"disable", "enable"}:
        may = P.CK_TRUE if what == "enable" else P.CK_FALSE
        for key in keys:
            session.setAttributeValue(key, [(P.CKA_ENCRYPT, may), (P.CKA_DECRYPT, may)])
    elif what != "make" or not keys:
        ids = [bytes(session.getAttributeValue(key, [P.CKA_ID])[0]) for key in keys]
        newest = max((int.from_bytes(each, "big") for each in ids), default=0)
        number = newest + 1
        yes = (P.CKA_TOKEN, P.CKA_PRIVATE, P.CKA_SENSITIVE, P.CKA_ENCRYPT, P.CKA_DECRYPT)
        no = (P.CKA_UNWRAP, P.CKA_SIGN, P.CKA_VERIFY, P.CKA_DERIVE)
        session.generateKey(
            [
                *named,
                (P.CKA_KEY_TYPE, P.CKK_AES),
                (P.CKA_VALUE_LEN, 32),
                (P.CKA_ID, number.to_bytes((number.bit_length() + 7) // 8, "big")),
                *((each, P.CK_TRUE) for each in yes),
                *((each, P.CK_FALSE) for each in no),
                (P.CKA_WRAP, P.CK_TRUE if what == "make-wrapping" else P.CK_FALSE),
                (P.CKA_EXTRACTABLE, P.CK_TRUE if what == "make-extractable" else P.CK_FALSE),
            ]
        )
    session.logout()
    session.closeSession()


if __name__ == "__main__":
    _act(*sys.argv[1:])
