"""`/crypto/*`: the plan's four routes, rewrap, data keys and MACs, one thing at a time.

The work on one item stands apart from the route, in ``*_item``: a batch does the same for many.
"""

from __future__ import annotations

import contextlib
import re
from typing import TYPE_CHECKING, Any, Final

from pybase64 import b64encode_as_string

from mycelium_fractal_net.api.endpoints.context import Authenticated, Context
from mycelium_fractal_net.api.endpoints.spec import Routes
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
    from collections.abc import Callable

    from mycelium_fractal_net.security.keyring.opening import Result

routes = Routes("crypto")

_ENCRYPTION: Final = DEFAULT_KEY_ID[KeyType.ENCRYPTION]
_SIGNING: Final = DEFAULT_KEY_ID[KeyType.SIGNING]
_MAC: Final = DEFAULT_KEY_ID[KeyType.MAC]
_USES: Final = ("not-found", "key-state", "key-usage", "algorithm")
_OPENS: Final = ("decryption-failed", "forbidden", *_USES)
_XOR_TEXT: Final = re.compile(rb"[A-Za-z0-9_-]{86,}={0,2}")  # 64 bytes and more in base64url
_SEALED_BEGINNING: Final = "TUZO"  # base64 of "MFN"


def name_of(key_id: str) -> str:
    """The name in a key id or version id, which scopes are for."""
    return key_id.partition(":")[0]


def named_key(context: Context, key_id: str | None, default: str) -> str:
    """The key of a request, which is recorded. Raises :class:`InvalidInputError` for none."""
    if key_id is None:
        key_id = default
    else:
        parse_key_id(key_id)
    context.key = key_id
    return key_id


def _echoed(answer: dict[str, Any], reference: str | None) -> dict[str, Any]:
    if reference is not None:
        answer["reference"] = reference
    return answer


def _associated(
    item: EncryptRequest | DecryptRequest | RewrapRequest | DataKeyRequest,
) -> bytes:
    return optional_base64(item.associated_data, "/associated_data")


# Items ------------------------------------------------------------------------------------


def encrypt_item(context: Context, item: EncryptRequest) -> dict[str, Any]:
    """The answer for one thing to encrypt."""
    key_id = named_key(context, item.key_id, _ENCRYPTION)
    context.permit("encrypt", name_of(key_id))
    made = context.service.keyring.encrypt_result(
        base64_bytes(item.data, "/data"),
        key_id=key_id,
        associated_data=_associated(item),
        format=item.format,
    )
    return _encrypted(context, made, item.reference)


def _encrypted(context: Context, made: Result, reference: str | None) -> dict[str, Any]:
    context.key = made.key_id
    answer = {
        "ciphertext": b64encode_as_string(made.data),
        "algorithm": "AES-256-GCM",
        "key_id": made.key_id,
    }
    return _echoed(answer, reference)


def decrypt_item(context: Context, item: DecryptRequest) -> dict[str, Any]:
    """The answer for one message to open."""
    opened = (
        _opened_xor(context, item) if is_xor(context, item) else _opened(context, item, "decrypt")
    )
    answer: dict[str, Any] = {"data": b64encode_as_string(opened.data), "key_id": opened.key_id}
    if opened.legacy:
        answer["legacy"] = True
        context.service.metrics.count("xor")
    return _echoed(answer, item.reference)


def rewrap_item(context: Context, item: RewrapRequest) -> dict[str, Any]:
    """The answer for one message to move to the newest version of its key."""
    if is_xor(context, item):  # the key that opens it has no newer version
        raise DecryptionError
    opened = _opened(context, item, "rewrap")
    made = context.service.keyring.encrypt_result(
        opened.data,
        key_id=name_of(opened.key_id),
        associated_data=_associated(item),
        format=item.format,
    )
    return _encrypted(context, made, item.reference)


def is_xor(context: Context, item: DecryptRequest | RewrapRequest) -> bool:
    """Whether an item is opened as a message of the XOR cipher: it says so, or, while those are
    opened here, does not begin as a sealed one. Raises :class:`RequestError` while they are not.
    """
    if context.service.keyring.old_format is not None:
        text = item.ciphertext
        sealed = item.format == "raw" or text.startswith(_SEALED_BEGINNING)
        return item.format == "xor" or not sealed
    if item.format == "xor":
        raise RequestError(
            "bad-request", "messages of the XOR cipher are not opened here: legacy.read_xor is off"
        )
    return False


def _opened_xor(context: Context, item: DecryptRequest) -> Result:
    caller = context.caller
    if item.key_id is not None or item.format == "xor":
        key_id = named_key(context, item.key_id, LEGACY_XOR_KEY_ID)
        context.permit("decrypt", name_of(key_id))
    if item.allow_compromised:
        context.require("allow_compromised")
    options = OpenOptions(
        (item.associated_data or "").encode(),  # any is refused
        (item.data_key_associated_data or "").encode(),
        item.allow_compromised,
        lambda name: caller.may("decrypt", name),
    )
    opened = context.service.keyring.decrypt_result(
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


def _opened(context: Context, item: DecryptRequest | RewrapRequest, operation: str) -> Result:
    key_id = item.key_id
    caller = context.caller
    if key_id is not None or item.format == "raw":
        key_id = named_key(context, key_id, _ENCRYPTION)
        context.permit(operation, name_of(key_id))
    if item.allow_compromised:
        context.require("allow_compromised")
    message = base64_bytes(item.ciphertext, "/ciphertext")
    options = OpenOptions(
        _associated(item),
        optional_base64(item.data_key_associated_data, "/data_key_associated_data"),
        item.allow_compromised,
        lambda name: caller.may(operation, name),
    )
    opened = context.service.keyring.decrypt_result(
        message, options, key_id=key_id, format=item.format
    )
    context.key = opened.key_id
    return opened


def _made(
    context: Context, name: str, made: bytes, version: str, reference: str | None
) -> dict[str, Any]:
    """The answer that has a signature or a MAC, by its name there."""
    context.key = version
    answer = {
        name: b64encode_as_string(made),
        "algorithm": context.service.keyring.algorithm_of(version),
        "key_id": version,
    }
    return _echoed(answer, reference)


def _verified(
    context: Context,
    verify: Callable[..., str],
    data: bytes,
    proof: bytes,
    key_id: str,
    reference: str | None,
) -> dict[str, Any]:
    """The answer to whether a signature or a MAC is one of ``data``."""
    try:
        context.key = verify(data, proof, key_id=key_id)
    except InvalidSignatureError:
        return _echoed({"valid": False}, reference)
    return _echoed({"valid": True}, reference)


def sign_item(context: Context, item: SignRequest) -> dict[str, Any]:
    """The answer for one thing to sign."""
    key_id = named_key(context, item.key_id, _SIGNING)
    context.permit("sign", name_of(key_id))
    signature = context.service.keyring.sign(base64_bytes(item.data, "/data"), key_id=key_id)
    return _made(context, "signature", signature, signature.key_id, item.reference)


def verify_item(context: Context, item: VerifyRequest) -> dict[str, Any]:
    """Whether one signature is valid."""
    key_id = named_key(context, item.key_id, _SIGNING)
    context.permit("verify", name_of(key_id))
    data = base64_bytes(item.data, "/data")
    signature = base64_bytes(item.signature, "/signature")
    return _verified(
        context, context.service.keyring.verify, data, signature, key_id, item.reference
    )


# Routes -----------------------------------------------------------------------------------


@routes.add("POST", "/crypto/encrypt", "encrypt", EncryptResponse, problems=(*_USES, "usage-limit"))
def encrypt(context: Authenticated, body: EncryptRequest) -> dict[str, Any]:
    """Encrypt data under the newest version of a key. Scope: `encrypt:KEY`."""
    context.reference = body.reference
    return encrypt_item(context, body)


@routes.add("POST", "/crypto/decrypt", "decrypt", DecryptResponse, problems=(*_OPENS, "overloaded"))
def decrypt(context: Authenticated, body: DecryptRequest) -> dict[str, Any]:
    """Open a message. Scope: `decrypt:KEY`.

    Everything that can be wrong with a message gives one answer.
    """
    context.reference = body.reference
    return decrypt_item(context, body)


@routes.add("POST", "/crypto/rewrap", "rewrap", EncryptResponse, problems=(*_OPENS, "usage-limit"))
def rewrap(context: Authenticated, body: RewrapRequest) -> dict[str, Any]:
    """Move a message to the newest version of its key, unseen. Scope: `rewrap:KEY`."""
    context.reference = body.reference
    return rewrap_item(context, body)


@routes.add("POST", "/crypto/sign", "sign", SignResponse, problems=_USES)
def sign(context: Authenticated, body: SignRequest) -> dict[str, Any]:
    """Sign a message with a signing key for data. Scope: `sign:KEY`."""
    context.reference = body.reference
    return sign_item(context, body)


@routes.add("POST", "/crypto/verify", "verify", VerifyResponse, problems=_USES)
def verify(context: Authenticated, body: VerifyRequest) -> dict[str, Any]:
    """Whether a signature is one of a message under a key. Scope: `verify:KEY`."""
    context.reference = body.reference
    return verify_item(context, body)


@routes.add("POST", "/crypto/datakey", "datakey", DataKeyResponse, problems=_USES)
def datakey(context: Authenticated, body: DataKeyRequest) -> dict[str, Any]:
    """Make a data key for messages that are sealed elsewhere. Scope: `datakey:KEY`."""
    context.reference = body.reference
    key_id = named_key(context, body.key_id, _ENCRYPTION)
    context.permit("datakey", name_of(key_id))
    made, context.key = context.service.keyring.data_key_result(
        key_id=key_id, associated_data=_associated(body)
    )
    answer = {
        "wrapped": b64encode_as_string(made.header),
        "algorithm": "AES-256-GCM",
        "key_id": context.key,
    }
    if not body.wrapped_only:
        answer["plaintext"] = b64encode_as_string(made.plaintext)
    return _echoed(answer, body.reference)


@routes.add("POST", "/crypto/mac", "mac", MacResponse, problems=_USES)
def mac(context: Authenticated, body: MacRequest) -> dict[str, Any]:
    """Make a MAC with a key of type `mac`. Scope: `mac:KEY`."""
    context.reference = body.reference
    key_id = named_key(context, body.key_id, _MAC)
    context.permit("mac", name_of(key_id))
    made = context.service.keyring.mac(base64_bytes(body.data, "/data"), key_id=key_id)
    return _made(context, "mac", made, made.key_id, body.reference)


@routes.add("POST", "/crypto/mac/verify", "mac.verify", VerifyResponse, problems=_USES)
def verify_mac(context: Authenticated, body: MacVerifyRequest) -> dict[str, Any]:
    """Whether a MAC is one of a message under a key. Scope: `mac:KEY`."""
    context.reference = body.reference
    key_id = named_key(context, body.key_id, _MAC)
    context.permit("mac", name_of(key_id))
    data, tag = base64_bytes(body.data, "/data"), base64_bytes(body.mac, "/mac")
    return _verified(context, context.service.keyring.verify_mac, data, tag, key_id, body.reference)
