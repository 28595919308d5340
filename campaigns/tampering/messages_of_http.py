"""The part that holds our HTTP signatures against http-message-signatures and http_sfv.

What we take, they take and read alike. That they take what we refuse is counted: we are stricter,
on purpose, where a value has several spellings.
"""

from __future__ import annotations

import contextlib
import datetime
import random
import time
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import urlsplit

import http_message_signatures as theirs
from http_sfv.dictionary import Dictionary

from campaigns.frame.campaign import Figures
from campaigns.frame.run import Run
from campaigns.tampering.decoders import unfinished
from campaigns.tampering.mutations import any_change
from fuzz.fuzz_http_signatures import byte_sequences, inner_lists
from mycelium_fractal_net.security.errors import InvalidSignatureError
from mycelium_fractal_net.security.http_signatures.message_signature import (
    TAG,
    SignatureParameters,
    choose_by_tag,
    parse_signatures,
    sign,
    verify,
)
from mycelium_fractal_net.security.http_signatures.messages import RequestView
from mycelium_fractal_net.security.signatures.signing_key import SigningKey

SIGNED: Final = 100_000
FIELDS: Final = 500_000
_QUICK: Final = 600
_BATCH: Final = 200
_KEY: Final = SigningKey.from_private_bytes("Ed25519", bytes([7]) * 32)
_NONCE: Final = "b3k2pp5k7z50gnwpyemd00"
_FIELDS: Final = (
    b'sig1=("@method" "content-digest";req "x";name="a\\"b");created=1618884473;keyid="k"',
    b'a=("x");t=*tok/en;n=-15;f=?0;flag;b=:AQID:, b=()',
    b"sig1=:AQIDBA==:,  sig2=::",
)


class Message:
    """A request as the other package wants it."""

    def __init__(self, method: str, url: str, headers: dict[str, str]) -> None:
        self.method, self.url, self.headers = method, url, headers


def _view(message: Message) -> RequestView:
    parts = urlsplit(message.url)
    raw = [
        (name.lower().encode(), value.encode("latin-1")) for name, value in message.headers.items()
    ]
    path, query = parts.path.encode(), parts.query.encode()
    return RequestView(message.method, parts.scheme, parts.netloc, path, query, raw)


_RESOLVER: Final = theirs.MappingKeyResolver(
    private_keys={"billing": _KEY.private_pem()}, public_keys={"billing": _KEY.public.pem()}
)


def _made(chance: random.Random, now: int) -> Message:
    """A request that one of the two signed, over some of its parts."""
    query = chance.choice(("", "?a=1", "?a=1&b=%20x&b", "?%E2%82%AC"))
    url = f"https://api.example.com/{chance.choice(('', 'keys/orders', 'a%2Fb'))}{query}"
    headers = {"Content-Type": "application/json", "X-API-Key": "mfn_0123456789abcdef_secret"}
    message = Message(chance.choice(("GET", "POST", "DELETE")), url, headers)
    parts = ("@method", "@authority", "@path", "@query", "@target-uri", "content-type", "x-api-key")
    components = chance.sample(parts, chance.randrange(1, len(parts) + 1))
    if chance.randrange(2):
        parameters = SignatureParameters(
            created=now, expires=now + 300, keyid="billing", nonce=_NONCE, tag=TAG
        )
        made, signature = sign(
            _view(message), label="sig1", components=components, parameters=parameters,
            signer=_KEY.sign,
        )  # fmt: skip
        message.headers |= {"Signature-Input": made, "Signature": signature}
    else:
        created = datetime.datetime.fromtimestamp(now, datetime.UTC)
        theirs.HTTPMessageSigner(
            signature_algorithm=theirs.algorithms.ED25519, key_resolver=_RESOLVER
        ).sign(
            message, key_id="billing", created=created, label="sig1", nonce=_NONCE, tag=TAG,
            expires=created + datetime.timedelta(seconds=300), covered_component_ids=components,
        )  # fmt: skip
    return message


def _change(message: Message, chance: random.Random) -> None:
    if chance.randrange(8) == 0:
        return
    what = chance.choice(("method", "url", *message.headers))
    if what == "method":
        message.method = chance.choice(("GET", "PUT", "PATCH"))
    elif what == "url":
        message.url += chance.choice(("x", "&c", "%20", "//"))
    else:
        value = any_change(message.headers[what].encode("latin-1"), chance).decode("latin-1")
        message.headers[what] = "".join(each for each in value if " " <= each <= "~")


def _ours(message: Message) -> bool:
    view = _view(message)
    try:
        verify(choose_by_tag(parse_signatures(view)), view, _KEY.public)
    except InvalidSignatureError:
        return False
    return True


def _theirs(message: Message) -> bool:
    try:
        theirs.HTTPMessageVerifier(
            signature_algorithm=theirs.algorithms.ED25519, key_resolver=_RESOLVER
        ).verify(message, expect_tag=TAG)
    except Exception:  # what it raises for the same fault is of many kinds
        return False
    return True


def signatures(run: Run) -> Figures:
    """Requests that either package signed, changed: whatever we take, they take."""

    def one(chance: random.Random, state: dict[str, Any]) -> None:
        message = _made(chance, int(time.time()))
        _change(message, chance)
        ours, other = _ours(message), _theirs(message)
        _note(state, ours, other, f"{message.method} {message.url} {message.headers}")

    return _many(run, one, SIGNED)


def fields(run: Run) -> Figures:
    """Structured fields, changed: whatever we take, http_sfv reads and writes alike."""

    def one(chance: random.Random, state: dict[str, Any]) -> None:
        field = any_change(chance.choice(_FIELDS), chance) if chance.randrange(8) else _FIELDS[0]
        wrong = ""
        ours = False
        for read in (inner_lists, byte_sequences):
            with contextlib.suppress(InvalidSignatureError):
                try:
                    read(field)
                    ours = True
                except AssertionError as finding:
                    wrong = str(finding)
        if wrong:
            state["failures"].append(f"{wrong}: {field!r}")
        _note(state, ours, _by_sfv(field), repr(field))

    return _many(run, one, FIELDS)


def _by_sfv(field: bytes) -> bool:
    try:
        Dictionary().parse(field)
    except ValueError:
        return False
    return True


def _note(state: dict[str, Any], ours: bool, other: bool, what: str) -> None:
    counts = state["counts"]
    name = {(True, True): "both take", (False, False): "both refuse", (False, True): "we refuse"}
    key = name.get((ours, other), "they refuse")
    counts[key] = counts.get(key, 0) + 1
    if key == "they refuse":
        state["failures"].append(f"taken here alone: {what}")


def _many(run: Run, one: Callable[[random.Random, dict[str, Any]], None], most: int) -> Figures:
    total = _QUICK if run.quick else most
    state = run.kept() or {"done": 0, "counts": {}, "failures": []}
    while state["done"] < total:
        for number in range(state["done"], state["done"] + _BATCH):
            one(random.Random(number), state)
        state["done"] += _BATCH
        run.keep(state)
        run.progress(state["done"], total, "inputs")
        if state["done"] < total and (short := unfinished(run, state["done"], total)):
            return {**_figures(state), "unfinished": short}
    return _figures(state)


def _figures(state: dict[str, Any]) -> Figures:
    failures = state["failures"][:20]
    failures += [
        f"{each}: no input" for each in ("both take", "both refuse") if each not in state["counts"]
    ]
    return {"inputs": state["done"], "counts": state["counts"], "failures": failures}
