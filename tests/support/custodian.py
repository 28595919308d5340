"""A custodian on another machine, which does what a test says: it is slow, silent, refuses, answers
nonsense, and comes back.

It is reached as a real one is: by an entry in the registry, under a name that settings may have.
Run as a module it is ``mfn`` with that entry::

    python -m tests.support.custodian --home HOME serve
"""

from __future__ import annotations

import contextlib
import secrets
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)

from mycelium_fractal_net.bootstrap.custodians import SCHEMES
from mycelium_fractal_net.bootstrap.custodians.remote import RemoteScheme
from mycelium_fractal_net.security.algorithms.names import ED25519_MESSAGE_BYTES
from mycelium_fractal_net.security.errors import (
    CustodianDeniedError,
    DecryptionError,
    MasterKeyError,
    StoreIntegrityError,
)
from mycelium_fractal_net.security.key_providers import (
    Binding,
    Custodian,
    CustodianStatus,
    SigningKeyReference,
    signing_key_name,
    signing_key_prefix,
)
from mycelium_fractal_net.security.key_providers.call_limits import CallLimits
from mycelium_fractal_net.security.policy import Policy
from mycelium_fractal_net.security.signatures.signing_key import SigningKey

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from mycelium_fractal_net.config import Settings
    from mycelium_fractal_net.security.byte_io.buffers import Octets

NAME = "vault"  # one of the names that settings may have and that no release serves yet
KEK_ID = "elsewhere:1"
NEXT_ID = "elsewhere:next"  # after a rotation
_DIGESTS: Final = {"ECDSA-P256": hashes.SHA256(), "ECDSA-P384": hashes.SHA384()}
QUICK = CallLimits(
    deadline_seconds=1.0,
    attempts=2,
    first_pause_seconds=0.01,
    threads=4,
    outages_in_a_row=3,
    rest_seconds=0.5,
)


class Elsewhere(Custodian):
    """The other machine: a folder with its keys, and the file ``mode`` that says how it is.

    ``up``, ``down``, ``denied``, ``gone`` (its key), ``nonsense``, ``swapped`` (it answers what was
    asked before), ``swapped-once``, or a number of seconds by which it is late. ``calls`` counts
    what it was asked. A signing key is a file ``NAME.pem``, which a test may delete or replace.
    """

    scheme: ClassVar[str] = "elsewhere"
    signing_algorithms: ClassVar[frozenset[str]] = frozenset(
        ("Ed25519", "ECDSA-P256", "ECDSA-P384")
    )

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._newest = (folder / "newest").read_text() if (folder / "newest").exists() else KEK_ID
        self.calls: list[str] = []
        self._former: list[bytes] = []
        self._policy = Policy()

    @staticmethod
    def create(folder: Path) -> None:
        """Set such a machine up."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        (folder / "kek").write_bytes(secrets.token_bytes(32))
        (folder / "mode").write_text("up")

    @staticmethod
    def rotate(folder: Path) -> str:
        """Make a new version of the master key; those who open it from now on use it."""
        (folder / f"kek-{NEXT_ID}").write_bytes(secrets.token_bytes(32))
        (folder / "newest").write_text(NEXT_ID)
        return NEXT_ID

    def newest_id(self) -> str:
        return self._newest

    def holds(self, kek_id: str) -> bool:
        return kek_id in (KEK_ID, NEXT_ID)

    def wrap_many(self, kek_id: str, items: Sequence[tuple[Octets, Binding]]) -> list[bytes]:
        sealed = [
            self._policy.bare_sealer(self._key(kek_id), bound.encode()).seal(material)
            for material, bound in items
        ]
        return self._answer("wrap", sealed)

    def unwrap_many(self, kek_id: str, items: Sequence[tuple[bytes, Binding]]) -> list[bytes]:
        with contextlib.suppress(DecryptionError):
            opened = [
                self._policy.bare_sealer(self._key(kek_id), bound.encode()).open(wrapped)
                for wrapped, bound in items
            ]
            return self._answer("unwrap", opened)
        self._answer("unwrap", [])
        raise StoreIntegrityError("what was sent does not open")

    def create_signing_key(self, algorithm: str, binding: Binding) -> SigningKeyReference:
        name = signing_key_name(binding)
        private = SigningKey.generate(algorithm)
        self._pem(name).write_bytes(private.private_pem())
        return SigningKeyReference(name, self._answer("create", [private.public.der()])[0])

    def sign(self, reference: str, algorithm: str, message: bytes) -> bytes:
        if algorithm == "Ed25519" and len(message) > ED25519_MESSAGE_BYTES:
            raise CustodianDeniedError("the message is too long")
        private: Any = self._signing_key(reference)
        digest = () if algorithm == "Ed25519" else (ec.ECDSA(_DIGESTS[algorithm]),)
        return self._answer("sign", [private.sign(message, *digest)])[0]

    def signing_public_key(self, reference: str) -> bytes:
        public = self._signing_key(reference).public_key()
        der = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return self._answer("public", [der])[0]

    def destroy_signing_key(self, reference: str) -> None:
        self._answer("destroy", [])
        self._pem(reference).unlink(missing_ok=True)

    def list_signing_keys(
        self, store_id: bytes, known: Collection[str], *, thorough: bool
    ) -> frozenset[str]:
        self._answer("list", [])
        names = {each.stem for each in self.folder.glob("*.pem")}
        prefix = signing_key_prefix(store_id)
        return frozenset(each for each in names if each in known or each.startswith(prefix))

    def _signing_key(self, reference: str) -> Any:
        try:
            return load_pem_private_key(self._pem(reference).read_bytes(), password=None)
        except FileNotFoundError:
            raise CustodianDeniedError("there is no such key, or it may not be used") from None

    def _pem(self, reference: str) -> Path:
        return self.folder / f"{Path(reference).name}.pem"

    def ping(self) -> None:
        self._answer("ping", [])

    def inspect(self) -> CustodianStatus:
        self._answer("inspect", [])
        return CustodianStatus(str(self.folder), (KEK_ID,), "remote")

    def _key(self, kek_id: str) -> bytes:
        return (self.folder / ("kek" if kek_id == KEK_ID else f"kek-{kek_id}")).read_bytes()

    def _answer(self, call: str, answer: list[bytes]) -> list[bytes]:
        self.calls.append(call)
        mode = (self.folder / "mode").read_text()
        if mode == "down":
            raise ConnectionRefusedError(f"the secret is {answer!r}")  # as SDKs do
        if mode == "denied":
            raise CustodianDeniedError("the key is disabled")
        if mode == "gone":
            raise MasterKeyError("the key is not there any more")
        if mode == "nonsense":
            return [b"?"] * (len(answer) + 1)
        if mode.startswith("swapped"):
            answer = self._former or answer
            (self.folder / "mode").write_text("up" if mode == "swapped-once" else mode)
        elif mode != "up":
            time.sleep(float(mode))
        self._former = answer
        return answer


class ElsewhereOfMany(Elsewhere):
    """The same machine, where many signatures, or keys to unwrap, are one request.

    ``calls`` has how many were in each: ``sign 3``, ``unwrap 3``.
    """

    takes_many: ClassVar[bool] = True

    def unwrap_many(self, kek_id: str, items: Sequence[tuple[bytes, Binding]]) -> list[bytes]:
        self.calls.append(f"unwrap {len(items)}")
        return super().unwrap_many(kek_id, items)

    def sign_many(self, reference: str, algorithm: str, messages: Sequence[bytes]) -> list[bytes]:
        self.calls.append(f"sign {len(messages)}")
        signed = [self.sign(reference, algorithm, each) for each in messages]
        return self._answer("", signed)


class _Scheme(RemoteScheme):
    """Where the settings have their home, in the folder ``elsewhere``."""

    def limits(self, settings: Settings) -> CallLimits:
        return QUICK

    def connect(self, settings: Settings, policy: Policy) -> Custodian:
        return Elsewhere(settings.home / "elsewhere")

    def make_key(self, settings: Settings, policy: Policy) -> None:
        if not (settings.home / "elsewhere").exists():
            Elsewhere.create(settings.home / "elsewhere")


def register() -> None:
    """Add it to the custodians that there are."""
    SCHEMES[NAME] = _Scheme


@contextlib.contextmanager
def registered() -> Iterator[None]:
    """It is one of the custodians within the block."""
    before = SCHEMES.get(NAME)
    register()
    try:
        yield
    finally:
        del SCHEMES[NAME]
        if before is not None:
            SCHEMES[NAME] = before


if __name__ == "__main__":
    from mycelium_fractal_net.cli import main

    register()
    sys.exit(main())
