"""`/crypto/*`: the plan's four routes, rewrap, data keys and MACs, one thing at a time.

The work on one item stands apart from the route, in ``*_item``: a batch does the same for many.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pybase64 import b64encode_as_string

from mycelium_fractal_net.api.base64_text import base64_bytes
from mycelium_fractal_net.api.call import Authenticated, Call
from mycelium_fractal_net.api.routes.registry import Routes
from mycelium_fractal_net.api.schemas import (
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
from mycelium_fractal_net.security.errors import InvalidSignatureError
from mycelium_fractal_net.security.keys import DEFAULT_KEY_ID, KeyType, parse_key_id

if TYPE_CHECKING:
    from mycelium_fractal_net.security.keyring import Result

__all__ = [
    "decrypt_item",
    "encrypt_item",
    "rewrap_item",
    "routes",
    "sign_item",
    "verify_item",
]

routes = Routes("crypto")

_ENCRYPTION: Final = DEFAULT_KEY_ID[KeyType.ENCRYPTION]
_SIGNING: Final = DEFAULT_KEY_ID[KeyType.SIGNING]
_MAC: Final = DEFAULT_KEY_ID[KeyType.MAC]
_USES: Final = ("not-found", "key-state", "key-usage", "algorithm")
_OPENS: Final = ("decryption-failed", "forbidden", *_USES)


def name_of(key_id: str) -> str:
    """The name in a key id or version id, which scopes are for."""
    return key_id.partition(":")[0]


def named_key(call: Call, key_id: str | None, default: str) -> str:
    """The key of a request, which is recorded. Raises :class:`InvalidInputError` for none."""
    if key_id is None:
        key_id = default
    else:
        parse_key_id(key_id)
    call.key = key_id
    return key_id


def _echoed(answer: dict[str, Any], reference: str | None) -> dict[str, Any]:
    if reference is not None:
        answer["reference"] = reference
    return answer


# Items ------------------------------------------------------------------------------------


def encrypt_item(call: Call, item: EncryptRequest) -> dict[str, Any]:
    """The answer for one thing to encrypt."""
    key_id = named_key(call, item.key_id, _ENCRYPTION)
    call.permit("encrypt", name_of(key_id))
    associated = item.associated_data
    made = call.keyring.encrypt_result(
        base64_bytes(item.data, "/data"),
        key_id=key_id,
        associated_data=b"" if associated is None else base64_bytes(associated, "/associated_data"),
        format=item.format,
    )
    return _encrypted(call, made, item.reference)


def _encrypted(call: Call, made: Result, reference: str | None) -> dict[str, Any]:
    call.key = made.key_id
    answer = {
        "ciphertext": b64encode_as_string(made.data),
        "algorithm": "AES-256-GCM",
        "key_id": made.key_id,
    }
    return _echoed(answer, reference)


def decrypt_item(call: Call, item: DecryptRequest) -> dict[str, Any]:
    """The answer for one message to open."""
    opened = _opened(call, item, "decrypt")
    answer = {"data": b64encode_as_string(opened.data), "key_id": opened.key_id}
    return _echoed(answer, item.reference)


def rewrap_item(call: Call, item: RewrapRequest) -> dict[str, Any]:
    """The answer for one message to move to the newest version of its key."""
    opened = _opened(call, item, "rewrap")
    associated = item.associated_data
    made = call.keyring.encrypt_result(
        opened.data,
        key_id=name_of(opened.key_id),
        associated_data=b"" if associated is None else base64_bytes(associated, "/associated_data"),
        format=item.format,
    )
    return _encrypted(call, made, item.reference)


def _opened(call: Call, item: DecryptRequest | RewrapRequest, operation: str) -> Result:
    key_id = item.key_id
    caller = call.caller
    if key_id is not None or item.format == "raw":
        key_id = named_key(call, key_id, _ENCRYPTION)
        call.permit(operation, name_of(key_id))
    if item.allow_compromised:
        call.require("allow_compromised")
    associated, of_data_key = item.associated_data, item.data_key_associated_data
    opened = call.keyring.decrypt_result(
        base64_bytes(item.ciphertext, "/ciphertext"),
        key_id=key_id,
        associated_data=b"" if associated is None else base64_bytes(associated, "/associated_data"),
        data_key_associated_data=b""
        if of_data_key is None
        else base64_bytes(of_data_key, "/data_key_associated_data"),
        format=item.format,
        allow_compromised=item.allow_compromised,
        permit=lambda name: caller.may(operation, name),
    )
    call.key = opened.key_id
    return opened


def sign_item(call: Call, item: SignRequest) -> dict[str, Any]:
    """The answer for one thing to sign."""
    key_id = named_key(call, item.key_id, _SIGNING)
    call.permit("sign", name_of(key_id))
    keyring = call.keyring
    signature = keyring.sign(base64_bytes(item.data, "/data"), key_id=key_id)
    call.key = signature.key_id
    answer = {
        "signature": b64encode_as_string(signature),
        "algorithm": keyring.algorithm_of(signature.key_id),
        "key_id": signature.key_id,
    }
    return _echoed(answer, item.reference)


def verify_item(call: Call, item: VerifyRequest) -> dict[str, Any]:
    """Whether one signature is valid."""
    key_id = named_key(call, item.key_id, _SIGNING)
    call.permit("verify", name_of(key_id))
    data = base64_bytes(item.data, "/data")
    signature = base64_bytes(item.signature, "/signature")
    try:
        call.key = call.keyring.verify(data, signature, key_id=key_id)
    except InvalidSignatureError:
        return _echoed({"valid": False}, item.reference)
    return _echoed({"valid": True}, item.reference)


# Routes -----------------------------------------------------------------------------------


@routes.add("POST", "/crypto/encrypt", "encrypt", EncryptResponse, problems=(*_USES, "usage-limit"))
def encrypt(call: Authenticated, body: EncryptRequest) -> dict[str, Any]:
    """Encrypt data under the newest version of a key. Scope: `encrypt:KEY`."""
    call.reference = body.reference
    return encrypt_item(call, body)


@routes.add("POST", "/crypto/decrypt", "decrypt", DecryptResponse, problems=_OPENS)
def decrypt(call: Authenticated, body: DecryptRequest) -> dict[str, Any]:
    """Open a message. Scope: `decrypt:KEY`.

    Everything that can be wrong with a message gives one answer.
    """
    call.reference = body.reference
    return decrypt_item(call, body)


@routes.add("POST", "/crypto/rewrap", "rewrap", EncryptResponse, problems=(*_OPENS, "usage-limit"))
def rewrap(call: Authenticated, body: RewrapRequest) -> dict[str, Any]:
    """Move a message to the newest version of its key, unseen. Scope: `rewrap:KEY`."""
    call.reference = body.reference
    return rewrap_item(call, body)


@routes.add("POST", "/crypto/sign", "sign", SignResponse, problems=_USES)
def sign(call: Authenticated, body: SignRequest) -> dict[str, Any]:
    """Sign a message with a signing key for data. Scope: `sign:KEY`."""
    call.reference = body.reference
    return sign_item(call, body)


@routes.add("POST", "/crypto/verify", "verify", VerifyResponse, problems=_USES)
def verify(call: Authenticated, body: VerifyRequest) -> dict[str, Any]:
    """Whether a signature is one of a message under a key. Scope: `verify:KEY`."""
    call.reference = body.reference
    return verify_item(call, body)


@routes.add("POST", "/crypto/datakey", "datakey", DataKeyResponse, problems=_USES)
def datakey(call: Authenticated, body: DataKeyRequest) -> dict[str, Any]:
    """Make a data key for messages that are sealed elsewhere. Scope: `datakey:KEY`."""
    call.reference = body.reference
    key_id = named_key(call, body.key_id, _ENCRYPTION)
    call.permit("datakey", name_of(key_id))
    associated = body.associated_data
    made, call.key = call.keyring.data_key_result(
        key_id=key_id,
        associated_data=b"" if associated is None else base64_bytes(associated, "/associated_data"),
    )
    answer = {
        "wrapped": b64encode_as_string(made.header),
        "algorithm": "AES-256-GCM",
        "key_id": call.key,
    }
    if not body.wrapped_only:
        answer["plaintext"] = b64encode_as_string(made.plaintext)
    return _echoed(answer, body.reference)


@routes.add("POST", "/crypto/mac", "mac", MacResponse, problems=_USES)
def mac(call: Authenticated, body: MacRequest) -> dict[str, Any]:
    """Make a MAC with a key of type `mac`. Scope: `mac:KEY`."""
    call.reference = body.reference
    key_id = named_key(call, body.key_id, _MAC)
    call.permit("mac", name_of(key_id))
    keyring = call.keyring
    made = keyring.mac(base64_bytes(body.data, "/data"), key_id=key_id)
    call.key = made.key_id
    answer = {
        "mac": b64encode_as_string(made),
        "algorithm": keyring.algorithm_of(made.key_id),
        "key_id": made.key_id,
    }
    return _echoed(answer, body.reference)


@routes.add("POST", "/crypto/mac/verify", "mac.verify", VerifyResponse, problems=_USES)
def verify_mac(call: Authenticated, body: MacVerifyRequest) -> dict[str, Any]:
    """Whether a MAC is one of a message under a key. Scope: `mac:KEY`."""
    call.reference = body.reference
    key_id = named_key(call, body.key_id, _MAC)
    call.permit("mac", name_of(key_id))
    data, tag = base64_bytes(body.data, "/data"), base64_bytes(body.mac, "/mac")
    try:
        call.key = call.keyring.verify_mac(data, tag, key_id=key_id)
    except InvalidSignatureError:
        return _echoed({"valid": False}, body.reference)
    return _echoed({"valid": True}, body.reference)
