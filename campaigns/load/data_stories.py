"""What callers do with data all day: each function is one story of a few requests.

All use the keys of :class:`Keys`. The messages that they leave are opened by others later, after
rotations; whoever opens one that is too old must be told so.
"""

from __future__ import annotations

import hmac
import os
import random
import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from campaigns.load.caller import NONE
from tests.support.service import b64, unb64

if TYPE_CHECKING:
    from campaigns.load.caller import Caller

OPENS_SECONDS: Final = 60.0
"""How long a message surely opens, though its key is rotated and old versions are retired."""
_KEPT: Final = 400
_LARGE: Final = 300_000


@dataclass
class Keys:
    """The keys of a run, and the messages that wait to be opened: when, plaintext, ciphertext."""

    sealing: str = "orders"
    signing: str = "release"
    tagging: str = "tags"
    indexing: str = "customers"
    same: str = "countries"
    messages: deque[tuple[float, bytes, str]] = field(default_factory=lambda: deque(maxlen=_KEPT))

    def one_of(self) -> tuple[bytes, str] | None:
        """One that every worker can open."""
        now = time.monotonic()
        found = [each for each in self.messages.copy() if now - each[0] < OPENS_SECONDS]
        return random.choice(found)[1:] if found else None


def seal_and_open(caller: Caller, keys: Keys) -> None:
    """Seal something, open it and something older."""
    data = os.urandom(random.choice([16, 300, 1024, 20_000]))
    asked = {"data": b64(data), "key_id": keys.sealing, "associated_data": b64(b"row 17")}
    made = caller.ask("POST /crypto/encrypt", json=asked)
    body = {"ciphertext": made["ciphertext"], "associated_data": b64(b"row 17")}
    opened = caller.ask("POST /crypto/decrypt", json=body)
    caller.expect(unb64(opened["data"]) == data, "POST /crypto/decrypt", "another plaintext")
    caller.ask(
        "POST /crypto/decrypt", 400, "decryption-failed", json={"ciphertext": made["ciphertext"]}
    )
    bare = caller.ask("POST /crypto/encrypt", json={"data": b64(data), "key_id": keys.sealing})
    keys.messages.append((time.monotonic(), data, bare["ciphertext"]))
    if found := keys.one_of():
        older = caller.ask("POST /crypto/decrypt", json={"ciphertext": found[1]})
        caller.expect(unb64(older["data"]) == found[0], "POST /crypto/decrypt", "of an older one")


def raw(caller: Caller, keys: Keys) -> None:
    """Plain AES-256-GCM, there and back."""
    data = os.urandom(100)
    asked = {"data": b64(data), "key_id": keys.sealing, "format": "raw"}
    made = caller.ask("POST /crypto/encrypt", json=asked)
    body = {"ciphertext": made["ciphertext"], "key_id": made["key_id"], "format": "raw"}
    opened = caller.ask("POST /crypto/decrypt", json=body)
    caller.expect(unb64(opened["data"]) == data, "POST /crypto/decrypt", "another raw plaintext")


def rewrap(caller: Caller, keys: Keys) -> None:
    """Move an older message to the newest version; it opens."""
    if found := keys.one_of():
        moved = caller.ask("POST /crypto/rewrap", json={"ciphertext": found[1]})
        opened = caller.ask("POST /crypto/decrypt", json={"ciphertext": moved["ciphertext"]})
        caller.expect(unb64(opened["data"]) == found[0], "POST /crypto/rewrap", "another plaintext")
        keys.messages.append((time.monotonic(), found[0], moved["ciphertext"]))


def sign_and_verify(caller: Caller, keys: Keys) -> None:
    """A signature that verifies, and the same one under other data."""
    asked = {"data": b64(b"a release"), "key_id": keys.signing}
    made = caller.ask("POST /crypto/sign", json=asked)
    body = asked | {"signature": made["signature"]}
    caller.ask("POST /crypto/verify", json=body)
    wrong = body | {"data": b64(b"another")}
    found = caller.ask("POST /crypto/verify", json=wrong)
    caller.expect(found == {"valid": False}, "POST /crypto/verify", "valid")


def tag_and_verify(caller: Caller, keys: Keys) -> None:
    """The same with a MAC."""
    asked = {"data": b64(b"a row"), "key_id": keys.tagging}
    made = caller.ask("POST /crypto/mac", json=asked)
    found = caller.ask("POST /crypto/mac/verify", json=asked | {"mac": made["mac"]})
    caller.expect(found == {"valid": True}, "POST /crypto/mac/verify", "not valid")


def blind_index(caller: Caller, keys: Keys) -> None:
    """The tag of a value, which a search for it finds."""
    asked = {"data": b64(b"a@example.com"), "key_id": keys.indexing, "context": b64(b"users.email")}
    made = caller.ask("POST /crypto/index", json=asked)
    found = caller.ask("POST /crypto/index", json=asked | {"search_only": True})
    tags = [each["tag"] for each in found["tags"]]
    caller.expect(made["tag"] in tags, "POST /crypto/index", "another tag")
    (item,) = caller.ask("POST /crypto/index/batch", json={"items": [asked]})["items"]
    caller.expect(item["tag"] in tags, "POST /crypto/index/batch", "another tag")


def lent_fields(caller: Caller, keys: Keys) -> None:
    """The keys of a field make what the service makes."""
    asked = {"key_id": keys.indexing, "context": b64(b"users.email")}
    lent = caller.ask("POST /crypto/index/fieldkeys", json=asked)
    own = hmac.digest(unb64(lent["keys"][0]["key"]), b"a@example.com", "sha256")
    made = caller.ask("POST /crypto/index", json=asked | {"data": b64(b"a@example.com")})
    caller.expect(b64(own) == made["tag"], "POST /crypto/index/fieldkeys", "another key")
    field = {"key_id": keys.same, "associated_data": b64(b"users.country")}
    lent = caller.ask("POST /crypto/deterministic/fieldkeys", json=field)
    sealed = field | {"data": b64(b"FI"), "format": "deterministic"}
    message = unb64(caller.ask("POST /crypto/encrypt", json=sealed)["ciphertext"])
    caller.expect(
        message.startswith(unb64(lent["keys"][0]["header"])),
        "POST /crypto/deterministic/fieldkeys",
        "another header",
    )


def batches(caller: Caller, keys: Keys) -> None:
    """Thirty at once, all five kinds; one item is wrong and the others do not mind."""
    data = [os.urandom(200) for _ in range(30)]
    items: list[dict[str, Any]] = [{"data": b64(each), "key_id": keys.sealing} for each in data]
    made = caller.ask("POST /crypto/encrypt/batch", json={"items": items})["items"]
    sealed = [{"ciphertext": each["ciphertext"]} for each in made]
    moved = caller.ask("POST /crypto/rewrap/batch", json={"items": sealed})["items"]
    asked = [{"ciphertext": each["ciphertext"]} for each in moved]
    asked.append({"ciphertext": b64(bytes(200))})
    opened = caller.ask("POST /crypto/decrypt/batch", json={"items": asked})["items"]
    right = [unb64(each["data"]) for each in opened[:-1]] == data and "error" in opened[-1]
    caller.expect(right, "POST /crypto/decrypt/batch", "another plaintext")
    signs = [{"data": b64(each), "key_id": keys.signing} for each in data[:5]]
    signed = caller.ask("POST /crypto/sign/batch", json={"items": signs})["items"]
    verifies = [
        each | {"signature": made["signature"]} for each, made in zip(signs, signed, strict=True)
    ]
    valid = caller.ask("POST /crypto/verify/batch", json={"items": verifies})["items"]
    right = valid == [{"valid": True}] * 5
    caller.expect(right, "POST /crypto/verify/batch", "not valid")


def streams(caller: Caller, keys: Keys) -> None:
    """Some hundred kilobytes each way."""
    data = os.urandom(_LARGE)
    octets = {"Content-Type": "application/octet-stream"}
    sealed = caller.ask(
        "POST /crypto/encrypt/stream",
        content=data, headers=octets, params={"key_id": keys.sealing},
    )  # fmt: skip
    opened = caller.ask("POST /crypto/decrypt/stream", content=sealed, headers=octets)
    caller.expect(opened == data, "POST /crypto/decrypt/stream", "another plaintext")
    cut = sealed[:60]
    caller.ask("POST /crypto/decrypt/stream", 400, content=cut, headers=octets)


def data_keys(caller: Caller, keys: Keys) -> None:
    """A data key to work with elsewhere, and what was done with it."""
    made = caller.ask("POST /crypto/datakey", json={"key_id": keys.sealing})
    uses = [{"key_id": made["key_id"], "encrypted": 3, "bytes": 300}]
    caller.ask("POST /crypto/datakey/report", json={"uses": uses})


def refusals(caller: Caller, keys: Keys) -> None:
    """What must be refused: no credential, an unknown one, a wrong body, no such key."""
    asked = {"data": b64(b"x"), "key_id": keys.sealing}
    encrypt = "POST /crypto/encrypt"
    caller.ask(encrypt, 401, "unauthenticated", api_key=NONE, json=asked)
    unknown = f"mfn_{'a' * 16}_{'b' * 43}"
    caller.ask(encrypt, 401, "unauthenticated", api_key=unknown, json=asked)
    caller.ask(encrypt, 404, "not-found", json=asked | {"key_id": "none"})
    caller.ask(encrypt, 422, "invalid", json={"data": "no base64!"})
    caller.ask(
        encrypt, 400, "malformed", content=b"{", headers={"Content-Type": "application/json"}
    )
    caller.ask(encrypt, 415, "unsupported-media-type", content=b"x")
    caller.ask("POST /crypto/sign", 400, "key-usage", json=asked)


def looks(caller: Caller, keys: Keys) -> None:
    """What is asked all day to see how things are."""
    caller.ask("GET /health/live", api_key=NONE)
    caller.ask("GET /health/ready", api_key=NONE)
    caller.ask("GET /metrics")
    caller.ask("GET /.well-known/jwks.json", api_key=NONE)
    caller.ask("GET /keys", params={"limit": 50})
    caller.ask("GET /keys/{key_id}", path={"key_id": keys.sealing})
    caller.ask("GET /keys/{key_id}/usage", path={"key_id": keys.sealing})
    caller.ask("GET /keys/{key_id}/public", path={"key_id": keys.signing})
    caller.ask("GET /credentials/self")
    caller.ask("GET /audit", params={"limit": 20})
    caller.ask("GET /audit", params={"limit": 5, "event": "key", "key": keys.sealing})
