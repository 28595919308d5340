"""The master keys of a store on a token: AES-256 keys of one label, each with an id of its own.

The newest is the one whose CKA_ID is the greatest number, read big-endian. Those that are made here
count up in the bytes before the last four, which are random: two machines that make one at once
make two, and agree which is the newer. A label belongs to one store.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from mycelium_fractal_net.security.algorithms.digests import sha256
from mycelium_fractal_net.security.errors import MasterKeyError
from mycelium_fractal_net.security.key_providers.pkcs11 import cryptoki
from mycelium_fractal_net.security.key_providers.pkcs11.uri import MOST_ID_BYTES
from mycelium_fractal_net.security.key_providers.pkcs11.wrapping import only_wraps

if TYPE_CHECKING:
    from mycelium_fractal_net.security.key_providers.pkcs11.session import Attributes, Session
    from mycelium_fractal_net.security.key_providers.pkcs11.uri import Pkcs11Uri

KEY_BYTES: Final = 32  # AES-256
SCHEME: Final = "pkcs11"
_ID_BYTES: Final = 8
_RANDOM_BITS: Final = 32
_DIGEST_BYTES: Final = 8

# What a master key must not be, and what that allows; a key may be made so by other programs.
_TOO_WIDE: Final = (
    (cryptoki.CKA_EXTRACTABLE, 1, "may be taken out of the token (CKA_EXTRACTABLE)"),
    (cryptoki.CKA_SENSITIVE, 0, "may be read in the clear (no CKA_SENSITIVE)"),
    (cryptoki.CKA_PRIVATE, 0, "is used without a PIN (no CKA_PRIVATE)"),
)
_WIDE: Final = (
    (cryptoki.CKA_NEVER_EXTRACTABLE, 0, "could once be taken out (no CKA_NEVER_EXTRACTABLE)"),
    (cryptoki.CKA_ALWAYS_SENSITIVE, 0, "could once be read (no CKA_ALWAYS_SENSITIVE)"),
    (cryptoki.CKA_LOCAL, 0, "was not made on the token (no CKA_LOCAL)"),
    (cryptoki.CKA_DERIVE, 1, "also derives keys (CKA_DERIVE)"),
    (cryptoki.CKA_SIGN, 1, "also makes MACs (CKA_SIGN)"),
)
_WIDE_OF_ENCRYPTING: Final = (
    (cryptoki.CKA_WRAP, 1, "also wraps keys (CKA_WRAP), so other keys can be taken out under it"),
    (cryptoki.CKA_UNWRAP, 1, "also unwraps keys (CKA_UNWRAP)"),
)


@dataclass(frozen=True, slots=True)
class KeyOnToken:
    """A key that is there: its id for the store, its CKA_ID and its handle in this generation.

    ``mechanism`` is what it wraps by.
    """

    kek_id: str
    key_id: bytes
    handle: int
    mechanism: int = cryptoki.CKM_AES_GCM

    @property
    def age(self) -> int:
        """Greater for newer ones."""
        return int.from_bytes(self.key_id, "big")


class MasterKeys:
    """Finds, makes and destroys the keys that a URI names."""

    def __init__(self, uri: Pkcs11Uri) -> None:
        self._uri = uri
        label = b"" if uri.label is None else uri.label.encode()
        self._digest = sha256(label)[:_DIGEST_BYTES].hex()

    def kek_id(self, key_id: bytes) -> str:
        """What a store calls the key with that CKA_ID: ``pkcs11:ID:DIGEST`` of the label."""
        return f"{SCHEME}:{key_id.hex()}:{self._digest}"

    def may_be(self, kek_id: str) -> bool:
        """Whether it is the id of a key that the URI may name; by the URI alone."""
        scheme, _, rest = kek_id.partition(":")
        key_id, _, digest = rest.partition(":")
        pinned = self._uri.key_id
        return (
            scheme == SCHEME
            and digest == self._digest
            and (bool(key_id) if pinned is None else key_id == pinned.hex())
        )

    def on(self, session: Session) -> list[KeyOnToken]:
        """Those that are there, oldest first.

        Raises :class:`MasterKeyError` where two have the same id: which one wrapped is not known.
        """
        found = []
        for handle in session.find(self._template()):
            key_id = session.attribute(handle, cryptoki.CKA_ID)
            if key_id and len(key_id) <= MOST_ID_BYTES:
                found.append(KeyOnToken(self.kek_id(key_id), key_id, handle))
        found.sort(key=lambda key: (key.age, key.key_id))
        for older, newer in pairwise(found):
            if older.age == newer.age:
                raise MasterKeyError("two keys on the token have the same label and the same id")
        return found

    def absent(self) -> str:
        """What to say where there is none."""
        what = "that id" if self._uri.label is None else f"the label {self._uri.label!r}"
        return f"the token has no AES key of {what}"

    def without_id(self, session: Session) -> int:
        """How many keys of the label have no id, and are therefore none of the store's."""
        ids = [session.attribute(each, cryptoki.CKA_ID) for each in session.find(self._template())]
        return sum(not each for each in ids)

    def make(self, session: Session, mechanism: int) -> KeyOnToken:
        """A further key, newer than all that are there, that does what this mechanism needs."""
        if self._uri.label is None or self._uri.key_id is not None:
            raise MasterKeyError(
                "MFN_PKCS11_URI names one key by its id: write object=LABEL alone to have one made"
            )
        newest = max((key.age for key in self.on(session)), default=0)
        number = (((newest >> _RANDOM_BITS) + 1) << _RANDOM_BITS) + secrets.randbits(_RANDOM_BITS)
        key_id = number.to_bytes(max(_ID_BYTES, (number.bit_length() + 7) // 8), "big")
        encrypts = mechanism == cryptoki.CKM_AES_GCM
        handle = session.generate_key(
            cryptoki.CKM_AES_KEY_GEN,
            {
                cryptoki.CKA_CLASS: cryptoki.CKO_SECRET_KEY,
                cryptoki.CKA_KEY_TYPE: cryptoki.CKK_AES,
                cryptoki.CKA_VALUE_LEN: KEY_BYTES,
                cryptoki.CKA_LABEL: self._uri.label.encode(),
                cryptoki.CKA_ID: key_id,
                cryptoki.CKA_TOKEN: True,
                cryptoki.CKA_PRIVATE: True,
                cryptoki.CKA_SENSITIVE: True,
                cryptoki.CKA_EXTRACTABLE: False,
                cryptoki.CKA_ENCRYPT: encrypts,
                cryptoki.CKA_DECRYPT: encrypts,
                cryptoki.CKA_WRAP: not encrypts,
                cryptoki.CKA_UNWRAP: not encrypts,
                cryptoki.CKA_SIGN: False,
                cryptoki.CKA_VERIFY: False,
                cryptoki.CKA_DERIVE: False,
            },
        )
        return KeyOnToken(self.kek_id(key_id), key_id, handle)

    def check(self, session: Session, key: KeyOnToken) -> None:
        """Raise :class:`MasterKeyError` unless it is an AES-256 key.

        Whether it may encrypt and decrypt the token decides: that is a permission.
        """
        size = session.number(key.handle, cryptoki.CKA_VALUE_LEN)
        if (
            session.number(key.handle, cryptoki.CKA_KEY_TYPE) != cryptoki.CKK_AES
            or size not in (KEY_BYTES, None)  # some tokens do not show it
        ):
            raise MasterKeyError(f"the key {key.kek_id} on the token is no AES key of 32 bytes")

    def too_wide(self, session: Session, key: KeyOnToken) -> list[str]:
        """Why nobody should begin a store under it: it does not stay in the token."""
        return _allowed(session, key, _TOO_WIDE)

    def wide(self, session: Session, key: KeyOnToken) -> list[str]:
        """What else it allows that a master key does not need, or once allowed."""
        wraps = only_wraps(session, key.handle)
        return _allowed(session, key, _WIDE if wraps else (*_WIDE, *_WIDE_OF_ENCRYPTING))

    def _template(self) -> Attributes:
        template: Attributes = {
            cryptoki.CKA_CLASS: cryptoki.CKO_SECRET_KEY,
            cryptoki.CKA_TOKEN: True,
        }
        if self._uri.label is not None:
            template[cryptoki.CKA_LABEL] = self._uri.label.encode()
        if self._uri.key_id is not None:
            template[cryptoki.CKA_ID] = self._uri.key_id
        return template


def _allowed(
    session: Session, key: KeyOnToken, rules: tuple[tuple[int, int, str], ...]
) -> list[str]:
    return [says for kind, value, says in rules if session.number(key.handle, kind) == value]
