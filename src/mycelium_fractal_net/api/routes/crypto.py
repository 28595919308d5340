"""`/crypto/*`: the plan's four routes, rewrap, data keys and MACs, one thing at a time.

A batch does the same for many, by the same functions.
"""

from __future__ import annotations

import contextlib
import re
from typing import TYPE_CHECKING, Any, Final

from pybase64 import b64encode_as_string as to_base64

from mycelium_fractal_net.api.endpoints.context import Authenticated, Context
from mycelium_fractal_net.api.endpoints.spec import Routes
from mycelium_fractal_net.api.http.deprecation import XOR_CIPHER
from mycelium_fractal_net.api.http.problems import RequestError
from mycelium_fractal_net.api.parsing.base64_text import base64_bytes, optional_base64
from mycelium_fractal_net.api.parsing.faults import SchemaError
from mycelium_fractal_net.api.schemas.crypto import (
    DataKeyRequest,
    DataKeyResponse,
    DecryptRequest,
    DecryptResponse,
    EncryptRequest,
    EncryptResponse,
    IndexRequest,
    IndexResponse,
    MacRequest,
    MacResponse,
    MacVerifyRequest,
    RewrapRequest,
    SignRequest,
    SignResponse,
    VerifyRequest,
    VerifyResponse,
)
from mycelium_fractal_net.security.errors import DecryptionError, InvalidSignatureError
from mycelium_fractal_net.security.records.keys import (
    DEFAULT_KEY_ID,
    LEGACY_XOR_KEY_ID,
    KeyType,
    parse_key_id,
)
from mycelium_fractal_net.security.records.open_options import OpenOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mycelium_fractal_net.security.keyring.keyring import Format
    from mycelium_fractal_net.security.keyring.opening import Result

routes = Routes("crypto")

_ENCRYPTION: Final = DEFAULT_KEY_ID[KeyType.ENCRYPTION]
_SIGNING: Final = DEFAULT_KEY_ID[KeyType.SIGNING]
_MAC: Final = DEFAULT_KEY_ID[KeyType.MAC]
_USES: Final = ("not-found", "key-state", "key-usage", "algorithm")
_OPENS: Final = ("decryption-failed", "forbidden", *_USES)
_XOR_TEXT: Final = re.compile(rb"[A-Za-z0-9_-]{86,}={0,2}")  # 64 bytes and more in base64url
_NAMED_CHARACTERS: Final = 16  # base64 of the 12 bytes that name form and key version
_SEALED_BEGINNING: Final = "TUZO"  # base64 of "MFN"
_DETERMINISTIC: Final = re.compile("TUZOA[w-z0-9+/]")  # and of "MFN" 0x03


def permitted_key(context: Context, operation: str, key_id: str | None, default: str) -> str:
    """The key of a request, which is recorded, and with which the caller may do that.

    Raises :class:`InvalidInputError` for what is no key id, and :class:`KeyNotFoundError`.
    """
    if key_id is None:
        name = key_id = default
    else:
        name = parse_key_id(key_id)[0]
    context.key = key_id
    context.permit(operation, name)
    return key_id


def open_options(
    context: Context, operation: str, item: Any, associated_data: bytes, of_data_key: bytes
) -> OpenOptions:
    """How what ``item`` asks for is opened. Raises :class:`NotPermittedError`."""
    if item.allow_compromised:
        context.caller.check("allow_compromised")
    caller = context.caller
    return OpenOptions(
        associated_data,
        of_data_key,
        item.allow_compromised,
        lambda name: caller.may(operation, name),
    )


def _associated(item: EncryptRequest | DecryptRequest | RewrapRequest | DataKeyRequest) -> bytes:
    return optional_base64(item.associated_data, "/associated_data")


@routes.add("POST", "/crypto/encrypt", "encrypt", EncryptResponse, problems=(*_USES, "usage-limit"))
def encrypt(context: Authenticated, body: EncryptRequest) -> dict[str, Any]:
    """Encrypt data under the newest version of a key. Scope: `encrypt:KEY`."""
    key_id = permitted_key(context, "encrypt", body.key_id, _ENCRYPTION)
    return _encrypted(context, body, base64_bytes(body.data, "/data"), key_id, body.format)


def _encrypted(
    context: Context,
    body: EncryptRequest | RewrapRequest,
    data: bytes,
    key_id: str,
    format: Format,
) -> dict[str, Any]:
    made = context.keyring.encrypt_result(
        data, key_id=key_id, associated_data=_associated(body), format=format
    )
    context.key = made.key_id
    return {
        "ciphertext": to_base64(made.data),
        "algorithm": "AES-256-SIV" if format == "deterministic" else "AES-256-GCM",
        "key_id": made.key_id,
    }


@routes.add("POST", "/crypto/decrypt", "decrypt", DecryptResponse, problems=_OPENS, deprecates=True)
def decrypt(context: Authenticated, body: DecryptRequest) -> dict[str, Any]:
    """Open a message. Scope: `decrypt:KEY`.

    Everything that can be wrong with a message gives one answer.
    """
    opened = (
        _opened_xor(context, body) if is_xor(context, body) else _opened(context, body, "decrypt")
    )
    answer: dict[str, Any] = {"data": to_base64(opened.data), "key_id": opened.key_id}
    if opened.legacy:
        answer["legacy"] = True
        context.deprecated = XOR_CIPHER
        context.service.metrics.count("xor")
    return answer


@routes.add("POST", "/crypto/rewrap", "rewrap", EncryptResponse, problems=(*_OPENS, "usage-limit"))
def rewrap(context: Authenticated, body: RewrapRequest) -> dict[str, Any]:
    """Move a message to the newest version of its key, unseen. Scope: `rewrap:KEY`."""
    if is_xor(context, body):  # the key that opens it has no newer version
        raise DecryptionError
    opened = _opened(context, body, "rewrap")
    same = "deterministic" if _DETERMINISTIC.match(body.ciphertext) else body.format
    return _encrypted(context, body, opened.data, opened.key_id.partition(":")[0], same)


def is_xor(context: Context, item: DecryptRequest | RewrapRequest) -> bool:
    """Whether an item is opened as a message of the XOR cipher: it says so, or, while those are
    opened here, does not begin as a sealed one. Raises :class:`RequestError` while they are not.
    """
    if context.keyring.old_format is not None:
        text = item.ciphertext
        sealed = item.format == "raw" or text.startswith(_SEALED_BEGINNING)
        return item.format == "xor" or not sealed
    if item.format == "xor":
        raise RequestError(
            "bad-request", "messages of the XOR cipher are not opened here: legacy.read_xor is off"
        )
    return False


def _opened_xor(context: Context, item: DecryptRequest) -> Result:
    if item.key_id is not None or item.format == "xor":
        permitted_key(context, "decrypt", item.key_id, LEGACY_XOR_KEY_ID)
    associated_data = (item.associated_data or "").encode()  # any is refused
    of_data_key = (item.data_key_associated_data or "").encode()
    options = open_options(context, "decrypt", item, associated_data, of_data_key)
    opened = context.keyring.decrypt_result(
        _xor_text(item.ciphertext), options, key_id=item.key_id, format="xor"
    )
    context.key = opened.key_id
    return opened


def _xor_text(ciphertext: str) -> bytes:
    """The text that the XOR cipher wrote: base64 of it, as of every message, or it itself.

    The two cannot be taken for each other: what the text itself decodes to are random bytes.
    """
    with contextlib.suppress(SchemaError):
        decoded = base64_bytes(ciphertext)
        if _XOR_TEXT.fullmatch(decoded):
            return decoded
    return ciphertext.encode()


def look_up(
    context: Context, operation: str, items: Sequence[DecryptRequest] | Sequence[RewrapRequest]
) -> None:
    """Have what the messages of a batch name looked up together."""
    beginnings = {each.ciphertext[:_NAMED_CHARACTERS] for each in items}
    if len(beginnings) > 1:
        found = []
        for each in beginnings:
            with contextlib.suppress(SchemaError):
                found.append(base64_bytes(each))
        caller = context.caller
        options = OpenOptions(permit=lambda name: caller.may(operation, name))
        context.keyring.look_up(found, options)


def _opened(context: Context, item: DecryptRequest | RewrapRequest, operation: str) -> Result:
    key_id = item.key_id
    if key_id is not None or item.format == "raw":
        key_id = permitted_key(context, operation, key_id, _ENCRYPTION)
    message = base64_bytes(item.ciphertext, "/ciphertext")
    of_data_key = optional_base64(item.data_key_associated_data, "/data_key_associated_data")
    options = open_options(context, operation, item, _associated(item), of_data_key)
    opened = context.keyring.decrypt_result(message, options, key_id=key_id, format=item.format)
    context.key = opened.key_id
    return opened


@routes.add("POST", "/crypto/sign", "sign", SignResponse, problems=_USES)
def sign(context: Authenticated, body: SignRequest) -> dict[str, Any]:
    """Sign a message with a signing key for data. Scope: `sign:KEY`."""
    key_id = permitted_key(context, "sign", body.key_id, _SIGNING)
    made = context.keyring.sign(base64_bytes(body.data, "/data"), key_id=key_id)
    return _made(context, "signature", made, made.key_id)


@routes.add("POST", "/crypto/mac", "mac", MacResponse, problems=_USES)
def mac(context: Authenticated, body: MacRequest) -> dict[str, Any]:
    """Make a MAC with a key of type `mac`. Scope: `mac:KEY`."""
    key_id = permitted_key(context, "mac", body.key_id, _MAC)
    made = context.keyring.mac(base64_bytes(body.data, "/data"), key_id=key_id)
    return _made(context, "mac", made, made.key_id)


def _made(context: Context, name: str, made: bytes, version: str) -> dict[str, Any]:
    """The answer that has a signature or a MAC, by its name there."""
    context.key = version
    return {
        name: to_base64(made),
        "algorithm": context.keyring.algorithm_of(version),
        "key_id": version,
    }


@routes.add("POST", "/crypto/verify", "verify", VerifyResponse, problems=_USES)
def verify(context: Authenticated, body: VerifyRequest) -> dict[str, Any]:
    """Whether a signature is one of a message under a key. Scope: `verify:KEY`."""
    key_id = permitted_key(context, "verify", body.key_id, _SIGNING)
    data = base64_bytes(body.data, "/data")
    signature = base64_bytes(body.signature, "/signature")
    return _verified(context, context.keyring.verify, data, signature, key_id)


@routes.add("POST", "/crypto/mac/verify", "mac.verify", VerifyResponse, problems=_USES)
def verify_mac(context: Authenticated, body: MacVerifyRequest) -> dict[str, Any]:
    """Whether a MAC is one of a message under a key. Scope: `mac:KEY`."""
    key_id = permitted_key(context, "mac", body.key_id, _MAC)
    data, tag = base64_bytes(body.data, "/data"), base64_bytes(body.mac, "/mac")
    return _verified(context, context.keyring.verify_mac, data, tag, key_id)


def _verified(
    context: Context, verify: Callable[..., str], data: bytes, proof: bytes, key_id: str
) -> dict[str, Any]:
    """The answer to whether a signature or a MAC is one of ``data``."""
    try:
        context.key = verify(data, proof, key_id=key_id)
    except InvalidSignatureError:
        return {"valid": False}
    return {"valid": True}


@routes.add("POST", "/crypto/index", "index", IndexResponse, problems=_USES)
def index(context: Authenticated, body: IndexRequest) -> dict[str, Any]:
    """Make the tags of a value in a blind index. Scope: `index:KEY`.

    `tag` is to be stored with the value, and `tags` are to be searched for: of every version of
    the key, newest first, so that a search goes on while a new version is swept in.
    """
    key_id = permitted_key(context, "index", body.key_id, body.key_id)
    if body.allow_compromised:
        context.caller.check("allow_compromised")
    field = context.keyring.index(
        key_id=key_id,
        context=base64_bytes(body.context, "/context"),
        bits=body.bits,
        normalisation=body.normalisation,
    )
    value = base64_bytes(body.data, "/data")
    tags = field.tags(value, allow_compromised=body.allow_compromised)
    answer: dict[str, Any] = {
        "tags": [{"tag": to_base64(each), "key_id": each.key_id} for each in tags],
        "algorithm": "HMAC-SHA-256",
    }
    if not body.search_only:
        stored = field.tag(value)
        context.key = stored.key_id
        answer = {"tag": to_base64(stored), "key_id": stored.key_id, **answer}
    return answer


@routes.add("POST", "/crypto/datakey", "datakey", DataKeyResponse, problems=_USES)
def datakey(context: Authenticated, body: DataKeyRequest) -> dict[str, Any]:
    """Make a data key for messages that are sealed elsewhere. Scope: `datakey:KEY`."""
    key_id = permitted_key(context, "datakey", body.key_id, _ENCRYPTION)
    made, context.key = context.keyring.data_key_result(
        key_id=key_id, associated_data=_associated(body)
    )
    answer = {"wrapped": to_base64(made.header), "algorithm": "AES-256-GCM", "key_id": context.key}
    if not body.wrapped_only:
        answer["plaintext"] = to_base64(made.plaintext)
    return answer
