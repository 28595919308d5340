"""The same refusals over HTTP, as whoever sends the requests can time them."""

from __future__ import annotations

import itertools
import os
import time
from base64 import b64encode
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from campaigns.timing.cases import credentials, messages, proofs, reach
from campaigns.timing.group import Group, Pair, across, among, controls_of
from campaigns.timing.over_http import Request, request
from campaigns.timing.place import HIDDEN, ORDERS, RELEASE, RELEASE_P256, TAGS, Place, flipped
from mycelium_fractal_net.security.algorithms.digests import sha256
from mycelium_fractal_net.security.http_signatures.message_signature import (
    TAG,
    SignatureParameters,
    sign,
)
from mycelium_fractal_net.security.http_signatures.messages import RequestView
from mycelium_fractal_net.security.records.keys import HANDLE_BYTES

if TYPE_CHECKING:
    from collections.abc import Mapping

DELAYS: Final = (500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000)  # nanoseconds
_DATA: Final = {"data": "aGVsbG8="}
_COLD_KEYS: Final = 2000  # each is met again only when nothing of it is in memory any more
_QUICK_COLD_KEYS: Final = 400  # none is met twice
COLD: Final = {"keyring": {"cache_seconds": 1}}
"""The settings of a service that forgets what it has read after a second."""

Makers = dict[str, Callable[[], Request]]


_REFUSED: Final = tuple(each for each in credentials.KNOWN[:5] if each != credentials.BOUND)
_TOLD: Final = (
    "that a request came unsigned is told to the owner in the log. Only who has the whole secret of"
    " a bound credential sees the difference, and it serves nobody without the key that signs"
)


def text(data: bytes) -> str:
    return b64encode(data).decode()


def groups(place: Place, host: str) -> list[Group]:
    """What a service with its usual settings is asked."""
    return [
        _credentials(place),
        *_proofs(place),
        *_messages(place),
        _out_of_reach(place),
        *_names(place),
        _signed(place, host),
    ]


def _group(name: str, what: str, base: str, classes: Makers, pairs: list[Pair]) -> Group:
    return Group(name=name, what=what, base=base, classes=classes, pairs=pairs, delays=DELAYS)


def _credentials(place: Place) -> Group:
    classes, controls = credentials.api_keys(place, controls_of(DELAYS))

    def asked(make: Callable[[], bytes]) -> Callable[[], Request]:
        return lambda: request(make(), "/crypto/encrypt", _DATA, 401)

    return Group(
        name="API keys",
        what="`POST /crypto/encrypt` with an API key that is refused",
        base=credentials.WRONG,
        classes={name: asked(make) for name, make in classes.items()},
        pairs=[
            *among([credentials.UNKNOWN, *_REFUSED, credentials.MALFORMED]),
            *across([credentials.BOUND], [credentials.WRONG, credentials.MALFORMED], _TOLD),
            Pair(credentials.REVOKED, credentials.REVOKED_WRONG),
            Pair(credentials.EXPIRED, credentials.EXPIRED_WRONG),
        ],
        delays=DELAYS,
        controls={name: asked(make) for name, make in controls.items()},
    )


def _proofs(place: Place) -> list[Group]:
    made = proofs.proofs(place)

    def group(name: str, path: str, key: str, member: str) -> Group:
        def asked(make: Callable[[], tuple[bytes, bytes]]) -> Request:
            data, proof = make()
            body = {"data": text(data), member: text(proof), "key_id": key}
            return request(place.caller, path, body, 200)

        def maker(make: Callable[[], tuple[bytes, bytes]]) -> Callable[[], Request]:
            return lambda: asked(make)

        classes = {each: maker(make) for each, make in made[key].items()}
        pairs = [Pair(proofs.FIRST, proofs.LAST)]
        return _group(name, f"`POST {path}`, {name}", proofs.FIRST, classes, pairs)

    return [
        group("MACs", "/crypto/mac/verify", TAGS, "mac"),
        group("signatures, Ed25519", "/crypto/verify", RELEASE, "signature"),
        group("signatures, ECDSA-P256", "/crypto/verify", RELEASE_P256, "signature"),
    ]


def _messages(place: Place) -> list[Group]:
    def maker(
        make: Callable[[], tuple[bytes, bytes]], more: Mapping[str, str]
    ) -> Callable[[], Request]:
        def asked() -> Request:
            message, data = make()
            body = {"ciphertext": text(message), "associated_data": text(data), **more}
            return request(place.caller, "/crypto/decrypt", body, 400)

        return asked

    sealed = messages.messages(place, "sealed", messages.SEALED)
    raw = messages.messages(place, "raw", messages.RAW)
    of_raw = {"format": "raw", "key_id": ORDERS}
    return [
        _group(
            "messages, sealed",
            "`POST /crypto/decrypt` of a sealed message with 1 KiB of data",
            messages.TAG_LAST,
            {name: maker(make, {}) for name, make in sealed.items()},
            messages.sealed_pairs(),
        ),
        _group(
            "messages, raw",
            "`POST /crypto/decrypt` of a raw message with 1 KiB of data",
            messages.TAG_LAST,
            {name: maker(make, of_raw) for name, make in raw.items()},
            among([*raw]),
        ),
    ]


def _decrypt(place: Place, message: bytes) -> Request:
    return request(place.caller, "/crypto/decrypt", {"ciphertext": text(message)}, 400)


def _out_of_reach(place: Place) -> Group:
    def maker(make: Callable[[], bytes]) -> Callable[[], Request]:
        return lambda: _decrypt(place, make())

    return _group(
        "keys out of reach",
        "`POST /crypto/decrypt` of a message whose key the caller may not use, or that nobody has",
        reach.UNKNOWN,
        {name: maker(make) for name, make in reach.messages(place).items()},
        [Pair(reach.OUT_OF_REACH, reach.UNKNOWN)],
    )


def _names(place: Place) -> list[Group]:
    def group(path: str, of: Callable[[str], dict[str, Any]], status: int) -> Group:
        def maker(key: str) -> Callable[[], Request]:
            return lambda: request(place.caller, path, of(key), status)

        return _group(
            f"names of keys, {path}",
            f"`POST {path}` with the name of a key out of reach, or of none",
            "no such key",
            {"out of reach": maker(HIDDEN), "no such key": maker("absent")},
            [Pair("out of reach", "no such key")],
        )

    return [
        group("/crypto/encrypt", lambda key: {**_DATA, "key_id": key}, 404),
        group("/crypto/sign/batch", lambda key: {"items": [{**_DATA, "key_id": key}]}, 200),
    ]


def cold_groups(place: Place, *, quick: bool) -> list[Group]:
    """What a service is asked that has nothing of it in memory, so that the store is read."""
    handles = []
    for number in range(_QUICK_COLD_KEYS if quick else _COLD_KEYS):
        key = place.keyring.provider.keys.create(f"cold-{number}")
        handles.append(key.versions[0].handle)
    turn = itertools.cycle(handles)
    rest = reach.beginnings(place)[reach.UNKNOWN]

    def of(handle: bytes) -> bytes:
        return rest[:4] + handle + os.urandom(1108)

    def batch(handle: Callable[[], bytes]) -> Request:
        items = [{"ciphertext": text(of(handle()))} for _ in range(2)]
        return request(place.caller, "/crypto/decrypt/batch", {"items": items}, 200)

    def absent() -> bytes:
        return os.urandom(HANDLE_BYTES)

    def hidden() -> bytes:
        return next(turn)

    pairs = [Pair(reach.OUT_OF_REACH, reach.UNKNOWN)]
    return [
        _group(
            "keys out of reach, met first",
            "the same while neither is in the memory of the service, so that the store is read",
            reach.UNKNOWN,
            {
                reach.OUT_OF_REACH: lambda: _decrypt(place, of(hidden())),
                reach.UNKNOWN: lambda: _decrypt(place, of(absent())),
            },
            pairs,
        ),
        _group(
            "keys out of reach, met first, in a batch",
            "`POST /crypto/decrypt/batch` of two such messages",
            reach.UNKNOWN,
            {
                reach.OUT_OF_REACH: lambda: batch(hidden),
                reach.UNKNOWN: lambda: batch(absent),
            },
            pairs,
        ),
    ]


_COVERED: Final = (
    "@method", "@authority", "@path", "@query", "content-digest", "content-type", "x-api-key",
)  # fmt: skip
_SIGNER: Final = "partner"
_SIGNED = "signature, first byte", "signature, last byte"
_DIGEST = "digest, first byte", "digest, last byte"
_NOBODY: Final = "unknown signer"
_ORDERED: Final = (
    "the signature is over the head and is verified before the body is hashed; who sent the"
    " request knows which of the two is wrong"
)
_PUBLIC: Final = (
    "nothing is verified for a signer that nobody registered; a signer's name and public key are"
    " sent in the clear with each of its requests and permit nothing"
)


def _signed(place: Place, host: str) -> Group:
    key = place.keyring.policy.generate_signing_key("Ed25519")
    place.keyring.provider.signers.add(_SIGNER, key.public.der(), any_credential=True)
    path = "/crypto/encrypt"

    def make(signer: str, digest_at: int | None, signature_at: int | None) -> Request:
        body = b'{"data": "%b"}' % b64encode(os.urandom(32))
        digest = sha256(body)
        if digest_at is not None:
            digest = flipped(digest, digest_at)
        headers = [
            ("host", host.encode()),
            ("content-type", b"application/json"),
            ("content-length", b"%d" % len(body)),
            ("x-api-key", place.caller),
            ("content-digest", b"sha-256=:%b:" % b64encode(digest)),
        ]

        def signature(base: bytes) -> bytes:
            made = key.sign_fixed_size(base)
            return made if signature_at is None else flipped(made, signature_at)

        view = RequestView(
            "POST", "http", host, path.encode(), b"", [(n.encode(), v) for n, v in headers]
        )
        now = int(time.time())
        parameters = SignatureParameters(
            created=now, expires=now + 250, keyid=signer, nonce=os.urandom(16).hex(), tag=TAG
        )
        given, made = sign(
            view, label="sig1", components=_COVERED, parameters=parameters, signer=signature
        )
        more = [("signature-input", given.encode()), ("signature", made.encode())]
        return Request(path, [*headers[3:], *more], body, 401)

    classes: Makers = {
        _SIGNED[0]: lambda: make(_SIGNER, None, 0),
        _SIGNED[1]: lambda: make(_SIGNER, None, -1),
        _DIGEST[0]: lambda: make(_SIGNER, 0, None),
        _DIGEST[1]: lambda: make(_SIGNER, -1, None),
        _NOBODY: lambda: make("stranger", None, 0),
    }
    return _group(
        "signed requests",
        "`POST /crypto/encrypt`, signed by Ed25519 (RFC 9421), by the place of what is wrong",
        _SIGNED[0],
        classes,
        [
            *among(_SIGNED),
            *among(_DIGEST),
            *across(_SIGNED[:1], _DIGEST[:1], _ORDERED),
            *across([_NOBODY], _SIGNED[:1], _PUBLIC),
        ],
    )
