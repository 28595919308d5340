"""Signing keys in transit: one key of it for each version of a key of ours, which never leaves it.

Of a message for ECDSA its hash is sent, for Ed25519 the message. *Permissions*: ``update``,
``read`` and ``delete`` on ``keys/mfn-signing-*``, ``update`` on ``sign/mfn-signing-*``; and
``list`` on ``keys``, for whoever is to find those that are left over.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from mycelium_fractal_net.security.algorithms.digests import sha256, sha384
from mycelium_fractal_net.security.errors import (
    CustodianDeniedError,
    MasterKeyError,
)
from mycelium_fractal_net.security.key_providers.custodian import (
    SigningKeyReference,
    signing_key_name,
    signing_key_prefix,
)
from mycelium_fractal_net.security.key_providers.vault.key_state import read_key
from mycelium_fractal_net.security.key_providers.vault.transport import unusable

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    from mycelium_fractal_net.security.key_providers.custodian import Binding
    from mycelium_fractal_net.security.key_providers.vault.session import Session

_SERVES: Final = (200, 204)
_REFUSED: Final = 403
_NAME: Final = re.compile(r"mfn-signing-[0-9a-f]{8}-[0-9a-f]{16}")
_SIGNATURE: Final = re.compile(r"vault:v1:([A-Za-z0-9+/]{1,1024}={0,2})")
_PEM: Final = re.compile(
    r"-----BEGIN PUBLIC KEY-----\s([A-Za-z0-9+/=\s]{1,4096})-----END PUBLIC KEY-----\s*"
)


class _Kind(NamedTuple):
    """A type of transit's: how its SubjectPublicKeyInfo begins and how long it is, what hashes."""

    transit: str
    spki_prefix: bytes
    spki_bytes: int
    hash_name: str | None = None
    digest: Callable[[bytes], bytes] = bytes

    @property
    def asked(self) -> dict[str, Any]:
        """What is said of each request for signatures: by which version, and how."""
        if self.hash_name is None:
            return {"key_version": 1}
        return {
            "key_version": 1,
            "prehashed": True,
            "hash_algorithm": self.hash_name,
            "marshaling_algorithm": "asn1",
        }

    def input(self, message: bytes) -> dict[str, str]:
        """What is said of a message."""
        return {"input": _base64(self.digest(message))}


_KINDS: Final = {
    # RFC 8410 section 4; RFC 5480 section 2, with an uncompressed point
    "Ed25519": _Kind("ed25519", bytes.fromhex("302a300506032b6570032100"), 44),
    "ECDSA-P256": _Kind(
        "ecdsa-p256",
        bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d03010703420004"),
        91,
        "sha2-256",
        sha256,
    ),
    "ECDSA-P384": _Kind(
        "ecdsa-p384",
        bytes.fromhex("3076301006072a8648ce3d020106052b8104002203620004"),
        120,
        "sha2-384",
        sha384,
    ),
}
SIGNING_ALGORITHMS: Final = frozenset(_KINDS)


class TransitSigning:
    """What :class:`.custodian.VaultCustodian` has of a :class:`.SigningCustodian`."""

    def __init__(self, session: Session, mount: str) -> None:
        self._session = session
        self._mount = mount

    def create(self, algorithm: str, binding: Binding) -> SigningKeyReference:
        """Make it, and see that it is what was asked for."""
        name = signing_key_name(binding)
        with _gone_is_refused():
            self._ask("POST", f"keys/{name}", "update", {"type": _KINDS[algorithm].transit})
        return SigningKeyReference(name, self.public_key(name, algorithm))

    def sign(self, name: str, algorithm: str, message: bytes) -> bytes:
        """The signature, by the first and only version of that transit key."""
        kind = _KINDS[algorithm]
        return _signature(self._signed(name, {**kind.asked, **kind.input(message)}))

    def sign_many(self, name: str, algorithm: str, messages: Sequence[bytes]) -> list[bytes]:
        """The same of each message, in one request."""
        if len(messages) == 1:
            return [self.sign(name, algorithm, messages[0])]
        kind = _KINDS[algorithm]
        items = [kind.input(message) for message in messages]
        results = self._signed(name, {**kind.asked, "batch_input": items}).get("batch_results")
        if not isinstance(results, list) or len(results) != len(messages):
            raise unusable(_SERVES[0])
        return [_signature(each) for each in results]

    def _signed(self, name: str, body: dict[str, Any]) -> dict[str, Any]:
        with _gone_is_refused():
            document = self._ask("POST", f"sign/{_checked(name)}", "update", body)
        data = document.get("data")
        return data if isinstance(data, dict) else {}

    def public_key(self, name: str, algorithm: str | None = None) -> bytes:
        """Its SubjectPublicKeyInfo; of ``algorithm``, where one is named."""
        with _gone_is_refused():
            key = read_key(self._session, self._mount, _checked(name))
        kinds = {kind.transit: kind for kind in _KINDS.values()}
        kind = kinds.get(key.kind)
        wanted = kind if algorithm is None else _KINDS[algorithm]
        if kind is None or kind is not wanted or key.exportable:
            raise CustodianDeniedError(
                "the signing key in Vault is of another type, or may leave it: it is not used"
            )
        version = key.versions.get(1)
        text = version.get("public_key") if isinstance(version, dict) else None
        if not isinstance(text, str):
            raise unusable(_SERVES[0])
        pem = _PEM.fullmatch(text)
        spki = _decoded("".join(pem[1].split())) if pem else kind.spki_prefix + _decoded(text)
        if not spki.startswith(kind.spki_prefix) or len(spki) != kind.spki_bytes:
            raise unusable(_SERVES[0])
        return spki

    def destroy(self, name: str) -> None:
        """Allow its deletion, and delete it."""
        path = f"keys/{_checked(name)}"
        with contextlib.suppress(MasterKeyError):  # it is gone
            self._ask("POST", f"{path}/config", "update", {"deletion_allowed": True})
            self._ask("DELETE", path, "delete")

    def names(self, store_id: bytes, known: Collection[str]) -> frozenset[str]:
        """Of all keys of the engine the ``known`` ones, and those that are named for that store."""
        path = f"{self._mount}/keys"
        answer = self._session.ask("LIST", path)
        if answer.status == _REFUSED:
            raise self._session.denied(path, "list")
        data = answer.document.get("data")
        names = data.get("keys") if isinstance(data, dict) else None
        if answer.status != _SERVES[0] or not isinstance(names, list):
            raise unusable(answer.status)
        prefix = signing_key_prefix(store_id)
        return frozenset(each for each in names if each in known or str(each).startswith(prefix))

    def _ask(self, method: str, path: str, capability: str, body: object = None) -> dict[str, Any]:
        """One request; where it is not done the key's state says which error that is."""
        full = f"{self._mount}/{path}"
        answer = self._session.ask(method, full, body)
        if answer.status in _SERVES:
            return answer.document
        if answer.status == _REFUSED:
            raise self._session.denied(full, capability)
        read_key(self._session, self._mount, path.split("/")[1]).check_signs()
        raise unusable(answer.status)


@contextlib.contextmanager
def _gone_is_refused() -> Iterator[None]:
    """A signing key that is not there is a refusal: the master key may well be."""
    try:
        yield
    except MasterKeyError:
        raise CustodianDeniedError(
            "the signing key is not in Vault any more, or its engine is not"
        ) from None


def _checked(name: str) -> str:
    """No part of a row enters a path, unless it is a name that this application gives."""
    if not _NAME.fullmatch(name):
        raise CustodianDeniedError("the reference of the signing key is none of Vault's")
    return name


def _signature(said: Any) -> bytes:
    text = said.get("signature") if isinstance(said, dict) else None
    found = _SIGNATURE.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        raise unusable(_SERVES[0])
    return _decoded(found[1])


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error):
        raise unusable(_SERVES[0]) from None
