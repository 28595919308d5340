"""Fuzz what reads signatures of HTTP messages: structured fields, digests, components, the pair.

    python -m fuzz http_signatures -max_total_time=60 fuzz/corpus/http_signatures

The first byte of an input chooses the reader. A finding is an error that is not one of ours; a
field that http_sfv refuses or reads as something else; a component whose line is not one line; or
a message that verifies without having been signed.
"""

from __future__ import annotations

import base64
import contextlib

from http_sfv.dictionary import Dictionary
from http_sfv.item import Item as TheirItem
from http_sfv.types import Token as TheirToken

from fuzz.running import Reader, chosen
from mycelium_fractal_net.security.errors import InvalidSignatureError
from mycelium_fractal_net.security.http_signatures.components import covered, encoded
from mycelium_fractal_net.security.http_signatures.content_digest import (
    check_content_digest,
    content_digest,
)
from mycelium_fractal_net.security.http_signatures.coverage import check_coverage
from mycelium_fractal_net.security.http_signatures.message_signature import (
    TAG,
    MessageSignature,
    choose_by_tag,
    parse_signatures,
    signature_base,
    verify,
)
from mycelium_fractal_net.security.http_signatures.messages import RequestView
from mycelium_fractal_net.security.http_signatures.plan_profile import (
    parse_plan_signature,
    verify_plan,
)
from mycelium_fractal_net.security.http_signatures.structured_fields import (
    BareItem,
    Token,
    parse_byte_sequences,
    parse_inner_lists,
    parse_items,
    serialise_byte_sequences,
    serialise_inner_list,
)
from mycelium_fractal_net.security.signatures.signing_key import SigningKey

SIGNED = (
    f'("@method" "@target-uri");created=1;expires=2;keyid="k";nonce="n";alg="ed25519";tag="{TAG}"'
)
KEY = SigningKey.from_private_bytes("Ed25519", bytes([7]) * 32)  # fixed, as in every run


def _theirs(field: bytes) -> Dictionary:
    found = Dictionary()
    try:
        found.parse(field)
    except ValueError:
        raise AssertionError("a finding: taken, and http_sfv refuses it") from None
    return found


def _plain(value: object) -> object:
    """A bare item with its type, in which the two libraries agree."""
    if isinstance(value, TheirToken):
        return "token", str(value)
    return ("token", value.text) if isinstance(value, Token) else (type(value).__name__, value)


def _same_parameters(ours: dict[str, BareItem], theirs: dict[str, object]) -> bool:
    return [(key, _plain(value)) for key, value in ours.items()] == [
        (key, _plain(value)) for key, value in theirs.items()
    ]


def inner_lists(data: bytes) -> None:
    found = parse_inner_lists(data)
    theirs = _theirs(data)
    assert list(found) == list(theirs), "a finding: other members"
    for key, ours in found.items():
        items = parse_items(ours.items)
        assert str(theirs[key]) == ours.text, "a finding: another serialisation"
        assert serialise_inner_list(items, ours.parameters) == ours.text, "a finding: two spellings"
        assert _same_parameters(ours.parameters, theirs[key].params), "a finding: other parameters"
        assert len(items) == len(theirs[key])
        for one, other in zip(items, theirs[key], strict=True):
            assert (type(other.value), other.value) == (str, one.value), "a finding: another item"
            assert _same_parameters(one.parameters, other.params), "a finding: other parameters"


def byte_sequences(data: bytes) -> None:
    found = parse_byte_sequences(data)
    theirs = {key: item.value for key, item in _theirs(data).items()}
    assert list(found.items()) == list(theirs.items()), "a finding: another meaning"
    again = parse_byte_sequences(serialise_byte_sequences(found).encode())
    assert again == found, "a finding: it does not come back"


def digest(data: bytes) -> None:
    field, _, body = data.partition(b"\0")
    check_content_digest(field, body)
    known = [content_digest(body, name) for name in ("sha-256", "sha-512")]
    members = [str(TheirItem(item.value)) for item in _theirs(field).values()]
    assert any(line.partition("=")[2] in members for line in known), "a finding: another body"


HEADERS = [(b"content-type", b"text/plain"), (b"x", b"1"), (b"x", b"2")]


def components(data: bytes) -> None:
    """The items of a list, over a request of which one value is the fuzzer's."""
    items, _, value = data.partition(b"\0")
    found = parse_inner_lists(b"x=(" + items + b")")["x"]
    if found.items.encode() != items:
        return  # the brackets closed before the end
    wanted = covered(found.items)
    value, _, query = value.partition(b"\0")
    request = RequestView("GET", "https", "h", b"/" + value, query, [*HEADERS, (b"y", value)])
    base = signature_base(request, wanted, found.text)
    lines = base.split(b"\n")
    assert len(lines) == len(wanted.components) + 1, "a finding: a value has a line break"
    for line, component in zip(lines, wanted.components, strict=False):
        assert line.startswith(component.line), "a finding: a line of another component"
    assert base.isascii()


def query(data: bytes) -> None:
    text = encoded(data)
    assert encoded(text.encode()) == text, "a finding: two spellings"


def _request(data: bytes, names: tuple[bytes, ...]) -> RequestView:
    values = data.split(b"\0")
    return RequestView("POST", "https", "h", b"/", b"", list(zip(names, values, strict=False)))


def message(data: bytes) -> None:
    request = _request(data, (b"signature-input", b"signature", b"content-type"))
    for candidate in parse_signatures(request):
        with contextlib.suppress(InvalidSignatureError):
            MessageSignature.of(candidate)
    signature = choose_by_tag(parse_signatures(request))
    check_coverage(signature, request, has_body=False)
    verify(signature, request, KEY.public)
    assert signature.text == SIGNED, "a finding: nobody signed this"


PLAN_NAMES = (b"x-signature", b"x-public-key", b"x-signature-timestamp", b"x-signature-nonce")


def plan(data: bytes) -> None:
    request = _request(data, PLAN_NAMES)
    signature = parse_plan_signature(request)
    values = [value.strip(b" \t") for value in data.split(b"\0")]
    assert base64.b64encode(signature.signature) == values[0], "a finding: two spellings"
    assert str(signature.timestamp).encode() == values[2], "a finding: two spellings"
    verify_plan(signature, request, KEY.public, api_key_id=None, body_sha256="0" * 64)


READERS: tuple[Reader, ...] = (
    inner_lists,
    byte_sequences,
    digest,
    components,
    query,
    message,
    plan,
)


one_input = chosen(READERS, InvalidSignatureError)


def _signed_message() -> bytes:
    base = f'"@method": POST\n"@target-uri": https://h/\n"@signature-params": {SIGNED}'
    signature = base64.b64encode(KEY.sign(base.encode())).decode()
    return f"a={SIGNED}\0a=:{signature}:".encode()


def _signed_plan() -> bytes:
    lines = ("mycelium-fractal-net/request/v1", "POST", "h", "/", "", "-", "-", "1", "n" * 22)
    signature = KEY.sign("\n".join((*lines, "0" * 64)).encode())
    parts = (base64.b64encode(signature), base64.b64encode(KEY.public.der()), b"1", b"n" * 22)
    return b"\0".join(parts)


def seeds() -> dict[str, bytes]:
    """Well-formed inputs for each reader: the corpus that mutations begin from."""
    contents: dict[str, tuple[Reader, bytes]] = {
        "inner_lists": (
            inner_lists,
            b'sig1=("@method" "content-digest";req "@query-param";name="a\\"b");created=1618884473'
            b';keyid="test-key";nonce=:AQID:;t=*tok/en;n=-15;f=?0;flag, b=()',
        ),
        "byte_sequences": (byte_sequences, b"sig1=:AQIDBA==:,  sig2=::"),
        "digest": (digest, f"md5=:AA==:, {content_digest(b'body')}".encode() + b"\0body"),
        "components": (
            components,
            b'"@method" "@target-uri" "@query-param";name="a" "@request-target" "y" "x"'
            b"\0path\0a=1&b=%20",
        ),
        "query": (query, b"a+b%20%C3%A9~*-._"),
        "message": (message, _signed_message()),
        "plan": (plan, _signed_plan()),
    }
    return {
        name: bytes([READERS.index(reader)]) + content
        for name, (reader, content) in contents.items()
    }
