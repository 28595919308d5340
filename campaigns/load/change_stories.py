"""What operators do: keys, credentials and signers that come and go; each function is one story.

What such a story makes stays in the key store: keys and credentials are kept, ended, for good.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Final

from mycelium_fractal_net.security.policy import Policy
from tests.support.key_transport import key_to_wrap_for
from tests.support.service import b64, unb64
from tests.support.signing import Peer

if TYPE_CHECKING:
    from campaigns.load.caller import Caller
    from campaigns.load.data_stories import Keys

_POLICY: Final = Policy()
_METHOD: Final = "hpke"


def _name(kind: str) -> str:
    return f"{kind}-{secrets.token_hex(6)}"


def key_life(caller: Caller, keys: Keys) -> None:  # noqa: ARG001
    """A key from its making to its destruction, which is cancelled and comes again."""
    name = _name("key")
    caller.ask("POST /keys", 201, json={"key_id": name})
    caller.ask("POST /keys", 409, "exists", json={"key_id": name})
    caller.ask(
        "PATCH /keys/{key_id}", path={"key_id": name}, json={"rotation": {"interval_days": 9}}
    )
    first = {"key_id": f"{name}:v1"}
    caller.ask("POST /keys/{key_id}/suspend", path=first)
    sealing = {"data": b64(b"x"), "key_id": name}
    caller.ask("POST /crypto/encrypt", 409, "key-state", json=sealing)
    caller.ask("POST /keys/{key_id}/activate", path=first)
    sealed = caller.ask("POST /crypto/encrypt", json=sealing)
    caller.ask("POST /keys/{key_id}/rotate", path={"key_id": name})
    caller.ask("POST /keys/{key_id}/compromise", path=first)
    body = {"ciphertext": sealed["ciphertext"]}
    caller.ask("POST /crypto/decrypt", 409, "key-state", json=body)
    caller.ask("POST /crypto/decrypt", json=body | {"allow_compromised": True})
    caller.ask("POST /keys/{key_id}/destroy", path=first)
    caller.ask("POST /keys/{key_id}/cancel-destruction", path=first)
    caller.ask("POST /keys/{key_id}/destroy", path=first, json={"window_days": 7, "reason": "soak"})
    second = {"key_id": f"{name}:v2"}
    caller.ask("POST /keys/{key_id}/deactivate", path=second)
    caller.ask("GET /keys/{key_id}", 404, "not-found", path={"key_id": _name("none")})


def transport(caller: Caller, keys: Keys) -> None:  # noqa: ARG001
    """A key that is brought along and taken along, and an import that is not finished."""
    asked = {"key_id": _name("brought"), "method": _METHOD, "exportable": True}
    pending = caller.ask("POST /imports", 201, json=asked)
    which = {"import_id": pending["import_id"]}
    caller.ask("GET /imports/{import_id}", path=which)
    caller.ask("GET /imports")
    material = secrets.token_bytes(32)
    wrapped = _POLICY.wrapping_key(pending["public_key"].encode()).wrap(material)
    done = "POST /imports/{import_id}/finish"
    made = caller.ask(done, 201, path=which, json={"wrapped": b64(wrapped)})
    caller.ask(done, 404, "not-found", path=which, json={"wrapped": b64(wrapped)})
    own = key_to_wrap_for(_METHOD)
    out = caller.ask(
        "POST /keys/{key_id}/export",
        path={"key_id": made["key_id"]}, json={"public_key": own.public.pem().decode()},
    )  # fmt: skip
    right = own.unwrap(unb64(out["wrapped"])) == material
    caller.expect(right, "POST /keys/{key_id}/export", "another key")
    other = caller.ask("POST /imports", 201, json=asked | {"key_id": _name("never")})
    caller.ask("POST /imports/{import_id}/cancel", path={"import_id": other["import_id"]})


def credential_life(caller: Caller, keys: Keys) -> None:
    """One that may little: it is refused what it may not, rotated twice, confirmed and revoked."""
    scopes = [f"encrypt:{keys.sealing}", "verify:*"]
    made = caller.ask("POST /credentials", 201, json={"name": "a service", "scopes": scopes})
    which, own = {"credential_id": made["id"]}, made["api_key"]
    caller.ask("GET /credentials/{credential_id}", path=which)
    caller.ask("GET /credentials", params={"limit": 20})
    sealing = {"data": b64(b"x"), "key_id": keys.sealing}
    sealed = caller.ask("POST /crypto/encrypt", api_key=own, json=sealing)
    body = {"ciphertext": sealed["ciphertext"]}
    caller.ask("POST /crypto/decrypt", 400, "decryption-failed", api_key=own, json=body)
    caller.ask("GET /keys", 403, "forbidden", api_key=own)
    again = caller.ask("POST /credentials/self/rotate", api_key=own)
    caller.ask("POST /crypto/encrypt", api_key=own, json=sealing)  # in its overlap
    caller.ask("POST /crypto/encrypt", api_key=again["api_key"], json=sealing)
    last = caller.ask(
        "POST /credentials/{credential_id}/rotate", path=which, json={"revoke_previous": True}
    )
    # Without a body: a refusal that comes before the body ends the connection, and the next one
    # may be another worker's, which follows within seconds.
    caller.ask("GET /credentials/self", 401, "unauthenticated", api_key=own)
    caller.ask("POST /crypto/encrypt", api_key=last["api_key"], json=sealing)
    caller.ask("POST /credentials/{credential_id}/confirm", path=which)
    caller.ask("POST /credentials/{credential_id}/revoke", path=which)
    caller.ask("GET /credentials/self", 401, "unauthenticated", api_key=last["api_key"])


def signed_requests(caller: Caller, keys: Keys) -> None:
    """A signer, both profiles, a request that is sent again, and the signer's end."""
    scopes = [f"encrypt:{keys.sealing}"]
    made = caller.ask("POST /credentials", 201, json={"name": "signs", "scopes": scopes})
    api_key, peer = made["api_key"], Peer(_name("peer"), authority=caller.url.partition("://")[2])
    asked = {
        "name": peer.name,
        "public_key": peer.key.public.pem().decode(),
        "credentials": [made["id"]],
    }
    which = {"name": peer.name}
    caller.ask("POST /signers", 201, json=asked)
    caller.ask("GET /signers/{name}", path=which)
    caller.ask("GET /signers", params={"limit": 20})
    encrypt, body = "POST /crypto/encrypt", {"data": b64(b"x"), "key_id": keys.sealing}
    for signs in (peer.sign, peer.sign_plan):
        caller.ask(encrypt, api_key=api_key, signs=signs, json=body)
    once = secrets.token_urlsafe(16)
    caller.ask(encrypt, api_key=api_key, signs=lambda r: peer.sign(r, nonce=once), json=body)
    caller.ask(
        encrypt, 401, "request-signature",
        api_key=api_key, signs=lambda r: peer.sign(r, nonce=once), json=body,
    )  # fmt: skip
    caller.ask(encrypt, 401, "unauthenticated", api_key=api_key, json=body)
    caller.ask("POST /signers/{name}/revoke", path=which)
    caller.ask("POST /credentials/{credential_id}/revoke", path={"credential_id": made["id"]})


def rotate(caller: Caller, key_id: str) -> str:
    """One more version."""
    made = caller.ask("POST /keys/{key_id}/rotate", path={"key_id": key_id})
    return str(made["key_id"])


def retire(caller: Caller, key_id: str, keep: int) -> None:
    """Move what is older than the newest ``keep`` versions to pending destruction."""
    body = {"retain_count": keep, "reason": "the soak has moved on", "window_days": 7}
    caller.ask("POST /keys/{key_id}/cleanup", path={"key_id": key_id}, json=body)
