"""Forms under a signature or a MAC: files, requests, public keys, audit records."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Final

from campaigns.tampering.forms import Form
from fuzz.fuzz_audit import KEY as AUDIT_KEY
from fuzz.fuzz_audit import WRITTEN
from mycelium_fractal_net.security.audit.chain import Line
from mycelium_fractal_net.security.audit.segments import forwards
from mycelium_fractal_net.security.errors import (
    AlgorithmNotAllowedError,
    InvalidKeyError,
    InvalidSignatureError,
)
from mycelium_fractal_net.security.http_signatures.coverage import check_coverage
from mycelium_fractal_net.security.http_signatures.message_signature import (
    TAG,
    SignatureParameters,
    choose_by_tag,
    parse_signatures,
    sign,
    verify,
)
from mycelium_fractal_net.security.http_signatures.messages import RequestView
from mycelium_fractal_net.security.http_signatures.plan_profile import (
    parse_plan_signature,
    sign_plan,
    verify_plan,
)
from mycelium_fractal_net.security.signatures.signature_file import (
    SignatureMode,
    encode_signature_file,
    parse_signature_file,
)
from mycelium_fractal_net.security.signatures.signing_key import ALGORITHMS, SigningKey
from mycelium_fractal_net.security.signatures.verifying_key import VerifyingKey

HANDLE: Final = bytes.fromhex("0123456789abcdef")
DATA: Final = b"one two three"
_REFUSED: Final = (InvalidSignatureError,)
_OF_KEYS: Final = (InvalidSignatureError, InvalidKeyError, AlgorithmNotAllowedError)


def _keys() -> list[SigningKey]:
    return [
        SigningKey.from_private_bytes(name, bytes([7]) * (48 if name == "ECDSA-P384" else 32))
        for name in ALGORITHMS
    ]


def signature_files() -> list[Form]:
    """One of each algorithm. Under a public key the handle says nothing: docs/format.md."""

    def handle(changed: bytes, _: object) -> str | None:
        same = parse_signature_file(changed).signature == changed[13:]
        return "the handle, where a public key is given" if same and len(changed) > 13 else None

    forms = []
    for key in _keys():
        signature = key.sign_stream(io.BytesIO(DATA))
        file = encode_signature_file(HANDLE, SignatureMode.PREHASH, signature)
        forms.append(
            Form(f"signature file, {key.algorithm}", file, _verifying(key.public), _REFUSED, handle)
        )
    return forms


def _verifying(public: VerifyingKey) -> Callable[[bytes], object]:
    return lambda file: public.verify_file(io.BytesIO(DATA), parse_signature_file(file))


def public_keys() -> list[Form]:
    """PEM and JWK: what reads is the same key, or one under which nothing verifies."""

    def around(_changed: bytes, _: object) -> str | None:
        return "text around the key, or members that say nothing of it"

    forms = []
    for key in _keys():
        signature = key.sign(DATA)

        def pem(data: bytes, signature: bytes = signature) -> None:
            VerifyingKey.from_pem(data).verify(DATA, signature)

        def jwk(data: bytes, signature: bytes = signature) -> None:
            VerifyingKey.from_jwk_text(data).verify(DATA, signature)

        text = json.dumps(key.public.jwk()).encode()
        name = key.algorithm
        forms.append(Form(f"PEM, {name}", key.public.pem(), pem, _OF_KEYS, around, False))
        forms.append(Form(f"JWK, {name}", text, jwk, _OF_KEYS, around, False))
    return forms


def requests() -> list[Form]:
    """The headers of a signed request, in both profiles, one form for each header."""
    key = SigningKey.from_private_bytes("Ed25519", bytes([7]) * 32)
    headers = [(b"content-type", b"application/json"), (b"x-api-key", b"mfn_0123456789abcdef_s")]
    head = ("POST", "https", "api.example.com", b"/crypto/encrypt", b"a=1")
    parameters = SignatureParameters(created=1, expires=2, keyid="k:v1", nonce="n" * 22, tag=TAG)
    components = ["@method", "@authority", "@path", "@query", "content-type", "x-api-key"]
    made, signature = sign(
        RequestView(*head, headers), label="sig", components=components, parameters=parameters,
        signer=key.sign,
    )  # fmt: skip
    standard = [*headers, (b"signature-input", made.encode()), (b"signature", signature.encode())]
    plan = [
        *headers,
        *(
            (name.lower().encode(), value.encode())
            for name, value in sign_plan(
                RequestView(*head, headers), api_key_id="0123456789abcdef", timestamp=1,
                nonce="n" * 22, body_sha256="0" * 64, public_key=key.public.der(), signer=key.sign,
            )
        ),
    ]  # fmt: skip

    def by_standard(view: RequestView) -> None:
        found = choose_by_tag(parse_signatures(view))
        check_coverage(found, view, has_body=False)
        verify(found, view, key.public)

    def by_plan(view: RequestView) -> None:
        _, _, rest = dict(view.headers)[b"x-api-key"].partition(b"_")
        credential = rest.partition(b"_")[0].decode("latin-1")
        verify_plan(
            parse_plan_signature(view), view, key.public, api_key_id=credential,
            body_sha256="0" * 64,
        )  # fmt: skip

    return [
        *_of_headers("RFC 9421", head, standard, by_standard),
        *_of_headers("the plan's profile", head, plan, by_plan),
    ]


def _of_headers(
    profile: str,
    head: tuple[str, str, str, bytes, bytes],
    headers: list[tuple[bytes, bytes]],
    check: Callable[[RequestView], None],
) -> list[Form]:
    def with_header(name: bytes) -> Callable[[bytes], None]:
        def read(value: bytes) -> None:
            changed = [(each, value if each == name else kept) for each, kept in headers]
            check(RequestView(*head, changed))

        return read

    def with_target(value: bytes) -> None:
        method, scheme, authority, _, query = head
        check(RequestView(method, scheme, authority, value, query, headers))

    def outside(changed: bytes, _: object) -> str | None:
        if changed.strip(b" \t") != changed:
            return "blanks around a value (RFC 9110 section 5.5)"
        return None

    def of_the_secret(changed: bytes, _: object) -> str | None:
        if changed.split(b"_")[:2] == [b"mfn", b"0123456789abcdef"] or profile != "RFC 9421":
            return "the secret of an API key, which is authenticated elsewhere"
        return outside(changed, _)

    forms = [Form(f"path, {profile}", head[3], with_target, _REFUSED, ciphertext=False)]
    for name, value in headers:
        harmless = outside
        if name == b"x-api-key" and profile != "RFC 9421":
            harmless = of_the_secret
        title = f"{name.decode()}, {profile}"
        forms.append(Form(title, value, with_header(name), _REFUSED, harmless, ciphertext=False))
    return forms


def audit_records(folder: Path) -> list[Form]:
    """A segment of three records, read up to the anchor: sequence and MAC of the last one."""
    path = folder / f"{1:020d}-0000.jsonl"
    last = _lines(path, b"".join(WRITTEN))[-1]

    def read(data: bytes) -> None:
        previous, expected = AUDIT_KEY.beginning("0" * 32), 1
        for line in _lines(path, data):
            if line.sequence != expected or not line.hangs_on(previous, AUDIT_KEY.mac):
                raise InvalidSignatureError
            previous, expected = line.mac, expected + 1
        if (expected - 1, previous) != (last.sequence, last.mac):
            raise InvalidSignatureError

    return [Form("segment of audit records", b"".join(WRITTEN), read, _REFUSED)]


def _lines(path: Path, content: bytes) -> list[Line]:
    path.write_bytes(content)
    found = []
    for line in forwards(path):
        if not isinstance(line, Line):
            raise InvalidSignatureError
        found.append(line)
    return found
