"""A master key in the transit engine of HashiCorp Vault or OpenBao.

The key is a derived one, ``aes256-gcm96``: what is wrapped is encrypted under a key that the server
derives from the context, which is the SHA-256 of the binding. So ``rewrap`` takes it too, and a
move to another version happens on the server.

*Settings*: ``MFN_VAULT_ADDR`` and the other ``MFN_VAULT_…``, see docs/custody/vault.md.
*Permissions*: ``update`` on ``encrypt``, ``decrypt`` and ``rewrap`` with the key, ``read`` of it.
*What leaves the machine*: each key of the store to be encrypted, in TLS, with the digest of its
binding; no name of a key, and no data that was encrypted with one.
*Errors*: :class:`CustodianUnavailableError` for a server that is sealed, a standby, slow or away;
:class:`CustodianDeniedError` for a token, a policy, or a version that is disabled;
:class:`MasterKeyError` for a key that is not there; :class:`StoreIntegrityError` for what does not
decrypt under a key that does.
"""

from __future__ import annotations

import base64
import binascii
import re
from time import monotonic
from typing import TYPE_CHECKING, Any, ClassVar, Final, NoReturn

from mycelium_fractal_net.security.algorithms.digests import sha256
from mycelium_fractal_net.security.errors import (
    CustodianDeniedError,
    CustodianUnavailableError,
    MasterKeyError,
)
from mycelium_fractal_net.security.key_providers.custodian import (
    Binding,
    Custodian,
    CustodianStatus,
)
from mycelium_fractal_net.security.key_providers.vault.inspection import warnings_of
from mycelium_fractal_net.security.key_providers.vault.key_state import (
    KEY_TYPE,
    TransitKey,
    absent,
    read_key,
)
from mycelium_fractal_net.security.key_providers.vault.signing import (
    SIGNING_ALGORITHMS,
    TransitSigning,
)
from mycelium_fractal_net.security.key_providers.vault.transport import unusable

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from mycelium_fractal_net.security.byte_io.buffers import Octets
    from mycelium_fractal_net.security.key_providers.custodian import SigningKeyReference
    from mycelium_fractal_net.security.key_providers.vault.session import Session

BATCH_ITEMS: Final = 190  # OpenBao takes 1,000 strings of JSON, of which an item has 5
FRESH_SECONDS: Final = 2.0  # for so long the latest version of the key is not asked for again
_SERVES: Final = 200
_REFUSED: Final = 403
_ABSENT: Final = 404
_CIPHERTEXT: Final = re.compile(r"vault:v([1-9][0-9]{0,8}):([A-Za-z0-9+/]{1,65536}={0,2})")

_TRIAL: Final = b"a trial, which is no key"
_TRIAL_BINDING: Final = Binding(bytes(16), "", "trial", "", "", 0, b"")

_Item = tuple[bytes, Binding]


class VaultCustodian(Custodian):
    """The transit key ``name`` of the engine at ``mount``, as ``session`` may use it."""

    scheme: ClassVar[str] = "vault"
    takes_many: ClassVar[bool] = True

    def __init__(self, session: Session, *, name: str, mount: str = "transit") -> None:
        self._session = session
        self._name = name
        self._mount = mount
        self._kek_id = re.compile(rf"vault:{re.escape(name)}:v([1-9][0-9]{{0,8}})")
        self._signing = TransitSigning(session, mount)
        self._latest: tuple[int, float] | None = None  # the version, and when it was learnt
        self._highest = 0  # of the versions that any node ever had

    # Master keys --------------------------------------------------------------------------

    def newest_id(self) -> str:
        """The latest version of the key; asked for where the answer is older than 2 seconds."""
        latest = self._latest
        if latest is None or monotonic() - latest[1] >= FRESH_SECONDS:
            return self._id(self._master().latest)
        return self._id(latest[0])

    def holds(self, kek_id: str) -> bool:
        """Whether it is a version of the configured key, there or not."""
        return self._kek_id.fullmatch(kek_id) is not None

    def _id(self, version: int) -> str:
        return f"vault:{self._name}:v{version}"

    def _version(self, kek_id: str) -> int:
        found = self._kek_id.fullmatch(kek_id)
        if found is None:
            raise MasterKeyError("the master key is not a version of the transit key")
        return int(found[1])

    def _master(self) -> TransitKey:
        key = read_key(self._session, self._mount, self._name)
        key.check_master()
        self._latest = key.latest, monotonic()
        self._highest = max(self._highest, key.latest)
        return key

    def make_key(self) -> None:
        """Make the transit key; where it is there nothing changes.

        Raises :class:`MasterKeyError` where no engine is mounted, or the key is another kind.
        """
        path = f"{self._mount}/keys/{self._name}"
        try:
            self._master()
        except MasterKeyError:
            answer = self._session.ask("POST", path, {"type": KEY_TYPE, "derived": True})
            if answer.status == _REFUSED:
                raise self._session.denied(path, "update") from None
            if answer.status == _ABSENT:
                raise absent(self._mount, self._name, mounted=False) from None
            self._master()

    # Wrapping -----------------------------------------------------------------------------

    def wrap_many(self, kek_id: str, items: Sequence[tuple[Octets, Binding]]) -> list[bytes]:
        """Each encrypted under that version, whatever the latest is by now."""
        version = self._version(kek_id)
        bodies = [
            {"plaintext": _base64(material), "context": _context(binding), "key_version": version}
            for material, binding in items
        ]
        return self._each("encrypt", version, bodies, items, _ciphertext)

    def unwrap_many(self, kek_id: str, items: Sequence[_Item]) -> Sequence[Octets]:
        """Each decrypted; one that is wrapped under another version is refused unasked."""
        version = self._version(kek_id)
        bodies = [_wrapped(version, each, binding) for each, binding in items]
        return self._each("decrypt", version, bodies, items, _plaintext)

    def rewrap_many(self, from_id: str, to_id: str, items: Sequence[_Item]) -> list[bytes]:
        """Each moved to another version, on the server: the materials do not come over."""
        before, version = self._version(from_id), self._version(to_id)
        bodies = [
            {**_wrapped(before, each, binding), "key_version": version} for each, binding in items
        ]
        return self._each("rewrap", version, bodies, items, _ciphertext, before)

    def _each(
        self,
        verb: str,
        version: int,
        bodies: list[dict[str, Any]],
        items: Sequence[tuple[Octets, Binding]],
        read: Callable[[Any, int], bytes],
        before: int | None = None,
    ) -> list[bytes]:
        found: list[bytes] = []
        path = f"{self._mount}/{verb}/{self._name}"
        for start in range(0, len(bodies), BATCH_ITEMS):
            batch = bodies[start : start + BATCH_ITEMS]
            answer = self._session.ask("POST", path, {"batch_input": batch})
            results = _results(answer.document)
            if results is None or answer.status not in (_SERVES, 400) or len(results) != len(batch):
                self._refuse_call(verb, path, answer.status, version, before)
            for result, (_, binding) in zip(results, items[start:], strict=False):
                if not isinstance(result, dict) or result.get("error"):
                    self._refuse_item(verb, version, before, binding)
                found.append(read(result, version))
        return found

    def _refuse_call(
        self, verb: str, path: str, status: int, version: int, before: int | None
    ) -> NoReturn:
        """Raise what it means that the server did not do it at all: the key's state says it."""
        try:
            self._check_state(verb, version, before)
        except CustodianDeniedError:
            if status != _REFUSED:
                raise
        if status == _REFUSED:
            raise self._session.denied(path, "update")
        raise unusable(status)

    def _refuse_item(
        self, verb: str, version: int, before: int | None, binding: Binding
    ) -> NoReturn:
        """Raise what it means that the server did not do it for that item."""
        self._check_state(verb, version, before)
        if verb == "encrypt":
            raise CustodianUnavailableError("Vault does not encrypt, and does not say why")
        raise binding.refusal()

    def _check_state(self, verb: str, version: int, before: int | None) -> None:
        key = self._master()
        if key.latest < max(version, before or 0) <= self._highest:
            raise CustodianUnavailableError(  # a standby that serves, as those of OpenBao do
                "Vault is behind the node that was asked before, which had a newer version of the"
                " key; or the key was made anew since"
            )
        if before is not None:
            key.check_decrypts(before)
        if verb == "decrypt":
            key.check_decrypts(version)
        else:
            key.check_encrypts(version)

    # Signing keys -------------------------------------------------------------------------

    @property
    def signing_algorithms(self) -> frozenset[str]:
        """All three."""
        return SIGNING_ALGORITHMS

    def create_signing_key(self, algorithm: str, binding: Binding) -> SigningKeyReference:
        """See :class:`.SigningCustodian`."""
        return self._signing.create(algorithm, binding)

    def sign(self, reference: str, algorithm: str, message: bytes) -> bytes:
        """See :class:`.SigningCustodian`."""
        return self._signing.sign(reference, algorithm, message)

    def sign_many(self, reference: str, algorithm: str, messages: Sequence[bytes]) -> list[bytes]:
        """See :class:`.SignsTogether`."""
        return self._signing.sign_many(reference, algorithm, messages)

    def signing_public_key(self, reference: str) -> bytes:
        """See :class:`.SigningCustodian`."""
        return self._signing.public_key(reference)

    def destroy_signing_key(self, reference: str) -> None:
        """See :class:`.SigningCustodian`; it cannot be restored."""
        self._signing.destroy(reference)

    def list_signing_keys(
        self,
        store_id: bytes,
        known: Collection[str],
        *,
        thorough: bool,  # noqa: ARG002 - one request has them all
    ) -> frozenset[str]:
        """See :class:`.SigningCustodian`; takes ``list`` on ``keys``."""
        return self._signing.names(store_id, known)

    # Looking ------------------------------------------------------------------------------

    def ping(self) -> None:
        """Read the key."""
        self._master()

    def inspect(self) -> CustodianStatus:
        """The key, a key wrapped, unwrapped and rewrapped for trial, and what should be mended."""
        key = self._master()
        newest = self._id(key.latest)
        trial = self.wrap_many(newest, [(_TRIAL, _TRIAL_BINDING)])
        trial = self.rewrap_many(newest, newest, [(trial[0], _TRIAL_BINDING)])
        if self.unwrap_many(newest, [(trial[0], _TRIAL_BINDING)]) != [_TRIAL]:
            raise CustodianUnavailableError("Vault does not give back what it was given")
        ids = tuple(self._id(each) for each in sorted(key.versions))
        place = f"{self._session.transport.address}, {self._mount}/keys/{self._name}"
        warnings = warnings_of(self._session, self._mount, key)
        return CustodianStatus(place, ids, "remote", warnings=warnings)

    def close(self) -> None:
        """Close the connections."""
        self._session.close()


def _base64(content: Octets) -> str:
    return base64.b64encode(content).decode()


def _context(binding: Binding) -> str:
    return _base64(sha256(binding.encode()))


def _wrapped(version: int, wrapped: bytes, binding: Binding) -> dict[str, Any]:
    """What is sent of one that is wrapped under ``version``."""
    text = wrapped.decode("ascii", "replace")
    found = _CIPHERTEXT.fullmatch(text)
    if found is None or int(found[1]) != version:
        raise binding.refusal()
    return {"ciphertext": text, "context": _context(binding)}


def _results(document: dict[str, Any]) -> list[Any] | None:
    data = document.get("data")
    found = data.get("batch_results") if isinstance(data, dict) else None
    return found if isinstance(found, list) else None


def _ciphertext(result: dict[str, Any], version: int) -> bytes:
    text = result.get("ciphertext")
    found = _CIPHERTEXT.fullmatch(text) if isinstance(text, str) else None
    if found is None or int(found[1]) != version:
        raise CustodianUnavailableError("Vault answers with what is not under the version named")
    return found[0].encode()


def _plaintext(result: dict[str, Any], _version: int) -> bytes:
    try:
        return base64.b64decode(result["plaintext"], validate=True)
    except (KeyError, TypeError, ValueError, binascii.Error):
        raise unusable(_SERVES) from None
