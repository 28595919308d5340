"""A strict reader of PKCS #11 URIs (RFC 7512), for those that name a token and a key on it.

What is not understood is refused, never passed over: an attribute that is ignored would name more
than its writer meant. A PIN in a URI (``pin-value``, section 2.4) is refused: URIs stand in
settings, process lists and logs. Texts of errors name attributes and hold no value.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote_from_bytes

from mycelium_fractal_net.security.errors import ConfigurationError

_SCHEME: Final = "pkcs11:"
_AVAILABLE: Final = r"A-Za-z0-9\-._~:\[\]@!$'()*+,="  # unreserved and pk11-res-avail
_PATH_VALUE: Final = re.compile(rf"(?:[{_AVAILABLE}&]|%[0-9A-Fa-f]{{2}})+")
_QUERY_VALUE: Final = re.compile(rf"(?:[{_AVAILABLE}/?|]|%[0-9A-Fa-f]{{2}})+")
_SLOT_ID: Final = re.compile(r"0|[1-9][0-9]{0,18}")
_MOST_CHARACTERS: Final = 4096
MOST_ID_BYTES: Final = 32  # so that the id of a master key stays short

# What fits a CK_TOKEN_INFO, in bytes (PKCS #11 v2.40 section 3.2).
_TOKEN_TEXTS: Final = {"token": 32, "manufacturer": 32, "model": 16, "serial": 16}
_PATH: Final = (*_TOKEN_TEXTS, "slot-id", "object", "id", "type")
_QUERY: Final = ("module-path", "pin-source")


@dataclass(frozen=True, slots=True)
class Pkcs11Uri:
    """A token, a key on it, the library that reaches it, and where its PIN is.

    ``label`` is the URI's ``object`` (CKA_LABEL), ``key_id`` its ``id`` (CKA_ID, at most 32 bytes);
    one of them is there. ``module_path`` is absolute.
    """

    module_path: str
    label: str | None = None
    key_id: bytes | None = None
    token: str | None = None
    manufacturer: str | None = None
    model: str | None = None
    serial: str | None = None
    slot_id: int | None = None
    pin_source: str | None = None

    def path(self) -> str:
        """The URI without its query: the token and the key, in one writing."""
        parts = [
            (name, None if text is None else text.encode())
            for name, text in (
                ("token", self.token),
                ("manufacturer", self.manufacturer),
                ("model", self.model),
                ("serial", self.serial),
                ("slot-id", None if self.slot_id is None else str(self.slot_id)),
                ("object", self.label),
            )
        ]
        parts.append(("id", self.key_id))
        return _SCHEME + ";".join(
            f"{name}={_id(value) if name == 'id' else quote_from_bytes(value, safe='')}"
            for name, value in parts
            if value is not None
        )

    def text(self) -> str:
        """The whole URI; it holds no secret."""
        query = [("module-path", self.module_path), ("pin-source", self.pin_source)]
        return f"{self.path()}?" + "&".join(
            f"{name}={quote_from_bytes(value.encode(), safe='/:$')}"
            for name, value in query
            if value is not None
        )


def parse_uri(text: str) -> Pkcs11Uri:
    """Read a URI. Raises :class:`ConfigurationError`."""
    if len(text) > _MOST_CHARACTERS:
        raise _wrong(f"is longer than {_MOST_CHARACTERS} characters")
    if not text.startswith(_SCHEME):
        raise _wrong("does not begin with pkcs11:")
    path, _, query = text.removeprefix(_SCHEME).partition("?")
    found = _attributes(path, ";", _PATH, _PATH_VALUE)
    asked = _attributes(query, "&", _QUERY, _QUERY_VALUE)
    if found.get("type", b"secret-key") != b"secret-key":
        raise _wrong("type: a master key is a secret-key")
    module_path = _text(asked, "module-path")
    if module_path is None:
        raise _wrong("module-path is missing: the library of the HSM, such as"
                     " ?module-path=/usr/lib/softhsm/libsofthsm2.so")  # fmt: skip
    if not module_path.startswith("/"):
        raise _wrong("module-path is not absolute")
    label, key_id = _text(found, "object"), found.get("id")
    if label is None and key_id is None:
        raise _wrong("object is missing: the label of the store's master keys")
    if key_id is not None and len(key_id) > MOST_ID_BYTES:
        raise _wrong(f"id is longer than {MOST_ID_BYTES} bytes")
    for name, most in _TOKEN_TEXTS.items():
        if len(found.get(name, b"")) > most:
            raise _wrong(f"{name} is longer than {most} bytes, which no token's is")
    return Pkcs11Uri(
        module_path=module_path,
        label=label,
        key_id=key_id,
        token=_text(found, "token"),
        manufacturer=_text(found, "manufacturer"),
        model=_text(found, "model"),
        serial=_text(found, "serial"),
        slot_id=_slot_id(found),
        pin_source=_text(asked, "pin-source"),
    )


def _attributes(
    part: str, separator: str, known: tuple[str, ...], value: re.Pattern[str]
) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for each in part.split(separator) if part else ():
        name, equals, encoded = each.partition("=")
        if name == "pin-value":
            raise _wrong("pin-value puts the PIN in a URI: name a file with pin-source")
        if name not in known:
            raise _wrong(f"has an attribute that is not one of {', '.join(known)}")
        if not equals or not value.fullmatch(encoded):
            raise _wrong(f"{name} is empty, or holds a character that is written %XX")
        if name in found:
            raise _wrong(f"{name} stands there twice")
        found[name] = _decoded(encoded)
    return found


def _decoded(encoded: str) -> bytes:
    """The bytes of what was matched: ASCII with %XX."""
    first, *rest = encoded.encode("ascii").split(b"%")
    return first + b"".join(bytes.fromhex(part[:2].decode()) + part[2:] for part in rest)


def _text(found: dict[str, bytes], name: str) -> str | None:
    value = found.get(name)
    if value is None:
        return None
    try:
        text = value.decode()
    except UnicodeDecodeError:
        raise _wrong(f"{name} is no UTF-8") from None
    if not text.isprintable():
        raise _wrong(f"{name} holds a character that cannot be shown")
    return text


def _slot_id(found: dict[str, bytes]) -> int | None:
    text = _text(found, "slot-id")
    if text is not None and not _SLOT_ID.fullmatch(text):
        raise _wrong("slot-id is not a decimal number")
    return None if text is None else int(text)


def _id(value: bytes) -> str:
    return "".join(f"%{byte:02X}" for byte in value)


def _wrong(what: str) -> ConfigurationError:
    return ConfigurationError(f"security.key_management.pkcs11_uri (MFN_PKCS11_URI): {what}")
