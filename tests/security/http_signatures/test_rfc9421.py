"""The examples of RFC 9421: every signature base that we can build, and the published signatures.

The published signatures prove the bases byte for byte, those of RSA and HMAC included, which are
checked here by the primitives themselves since we sign messages with neither.
"""

from __future__ import annotations

import base64
import hashlib
import hmac

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from mycelium_fractal_net.security.errors import InvalidSignatureError
from mycelium_fractal_net.security.http_signatures.content_digest import (
    check_content_digest,
    content_digest,
)
from mycelium_fractal_net.security.http_signatures.message_signature import (
    MessageSignature,
    SignatureParameters,
    parse_signatures,
    sign,
    signature_base,
    verify,
)
from mycelium_fractal_net.security.http_signatures.messages import RequestView, ResponseView
from mycelium_fractal_net.security.policy import Policy

POLICY = Policy()

# Appendix B.1.
RSA_PSS_KEY = load_pem_public_key(b"""-----BEGIN PUBLIC KEY-----
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAr4tmm3r20Wd/PbqvP1s2
+QEtvpuRaV8Yq40gjUR8y2Rjxa6dpG2GXHbPfvMs8ct+Lh1GH45x28Rw3Ry53mm+
oAXjyQ86OnDkZ5N8lYbggD4O3w6M6pAvLkhk95AndTrifbIFPNU8PPMO7OyrFAHq
gDsznjPFmTOtCEcN2Z1FpWgchwuYLPL+Wokqltd11nqqzi+bJ9cvSKADYdUAAN5W
Utzdpiy6LbTgSxP7ociU4Tn0g5I6aDZJ7A8Lzo0KSyZYoA485mqcO0GVAdVw9lq4
aOT9v6d+nb4bnNkQVklLQ3fVAvJm+xdDOp9LCNCN48V2pnDOkFV6+U9nV5oyc6XI
2wIDAQAB
-----END PUBLIC KEY-----""")
P256_KEY = POLICY.verifying_key_from_pem("""-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEqIVYZVLCrPZHGHjP17CTW0/+D9Lf
w0EkjqF7xB4FivAxzic30tMM4GF+hR6Dxh71Z50VGGdldkkDXZCnTNnoXQ==
-----END PUBLIC KEY-----""")
ED25519_PEM = """-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAJrQLj5P/89iXES9+vFgrIy29clF9CC/oPPsw3c5D0bs=
-----END PUBLIC KEY-----"""
ED25519_SEED = base64.b64decode("n4Ni+HpISpVObnQMW0wOhCKROaIKqKtW/2ZYb2p9KcU=")
SHARED_SECRET = base64.b64decode(
    "uzvJfB4u3N0Jy4T7NZ75MDVcr8zSTInedJtkgcu46YW4XByzNJjxBdtjUkdJPBtbmHhIDi6pcl8jsasjlTMtDQ=="
)

# Appendix B.2.
BODY = b'{"hello": "world"}'
BODY_DIGEST = (
    "sha-512=:WZDPaVn/7XgHaAy8pmojAkGWoRx2UFChF41A2svX+T"
    "aPm+AbwAgBWnrIiYllu7BNNyealdVLvRwEmTHWXvJwew==:"
)
RESPONSE_BODY = b'{"message": "good dog"}'
RESPONSE_DIGEST = (
    "sha-512=:mEWXIS7MaLRuGgxOBdODa3xqM1XdEvxoYhvlCFJ41Q"
    "JgJc4GTsPp29l5oGX69wWdXymyU0rjJuahq4l5aGgfLQ==:"
)
Headers = list[tuple[str, str]]
REQUEST_HEADERS: Headers = [
    ("host", "example.com"),
    ("date", "Tue, 20 Apr 2021 02:07:55 GMT"),
    ("content-type", "application/json"),
    ("content-digest", BODY_DIGEST),
    ("content-length", "18"),
]
RESPONSE_HEADERS: Headers = [
    ("date", "Tue, 20 Apr 2021 02:07:56 GMT"),
    ("content-type", "application/json"),
    ("content-digest", RESPONSE_DIGEST),
    ("content-length", "23"),
]


def raw(headers: Headers) -> list[tuple[bytes, bytes]]:
    return [(name.encode(), value.encode()) for name, value in headers]


def request(
    *more: tuple[str, str],
    method: str = "POST",
    authority: str = "example.com",
    path: str = "/foo",
    query: str = "param=Value&Pet=dog",
    headers: Headers = REQUEST_HEADERS,
) -> RequestView:
    return RequestView(
        method, "https", authority, path.encode(), query.encode(), raw([*headers, *more])
    )


def signed(label: str, signed_input: str, signature: str) -> Headers:
    return [
        ("signature-input", f"{label}={signed_input}"),
        ("signature", f"{label}=:{signature}:"),
    ]


def only_signature(message: RequestView | ResponseView) -> MessageSignature:
    (candidate,) = parse_signatures(message)
    return MessageSignature.of(candidate)


def base_of(message: RequestView | ResponseView) -> str:
    found = only_signature(message)
    return signature_base(message, found.covered, found.text).decode()


def expected_base(*lines: str) -> str:
    return "\n".join(lines)


B21 = '();created=1618884473;keyid="test-key-rsa-pss";nonce="b3k2pp5k7z-50gnwp.yemd"'
B22 = (
    '("@authority" "content-digest" "@query-param";name="Pet")'
    ';created=1618884473;keyid="test-key-rsa-pss";tag="header-example"'
)
B23 = (
    '("date" "@method" "@path" "@query" "@authority" "content-type" "content-digest"'
    ' "content-length");created=1618884473;keyid="test-key-rsa-pss"'
)
S25 = (
    '("@method" "@authority" "@path" "content-digest" "content-length" "content-type")'
    ';created=1618884473;keyid="test-key-rsa-pss"'
)
RSA_PSS_EXAMPLES = [
    pytest.param(
        B21,
        "d2pmTvmbncD3xQm8E9ZV2828BjQWGgiwAaw5bAkgibUopemLJcWDy/lkbbHAve4cRAtx31Iq786U7it++wgGxbtR"
        "xf8Udx7zFZsckzXaJMkA7ChG52eSkFxykJeNqsrWH5S+oxNFlD4dzVuwe8DhTSja8xxbR/Z2cOGdCbzR72rgFWhz"
        "x2VjBqJzsPLMIQKhO4DGezXehhWwE56YCE+O6c0mKZsfxVrogUvA4HELjVKWmAvtl6UnCh8jYzuVG5WSb/QEVPnP"
        "5TmcAnLH1g+s++v6d4s8m0gCw1fV5/SITLq9mhho8K3+7EPYTU8IU1bLhdxO5Nyt8C8ssinQ98Xw9Q==",
        (f'"@signature-params": {B21}',),
        id="B.2.1",
    ),
    pytest.param(
        B22,
        "LjbtqUbfmvjj5C5kr1Ugj4PmLYvx9wVjZvD9GsTT4F7GrcQEdJzgI9qHxICagShLRiLMlAJjtq6N4CDfKtjvuJyE"
        "5qH7KT8UCMkSowOB4+ECxCmT8rtAmj/0PIXxi0A0nxKyB09RNrCQibbUjsLS/2YyFYXEu4TRJQzRw1rLEuEfY17S"
        "ARYhpTlaqwZVtR8NV7+4UKkjqpcAoFqWFQh62s7Cl+H2fjBSpqfZUJcsIk4N6wiKYd4je2U/lankenQ99PZfB4jY"
        "3I5rSV2DSBVkSFsURIjYErOs0tFTQosMTAoxk//0RoKUqiYY8Bh0aaUEb0rQl3/XaVe4bXTugEjHSw==",
        (
            '"@authority": example.com',
            f'"content-digest": {BODY_DIGEST}',
            '"@query-param";name="Pet": dog',
            f'"@signature-params": {B22}',
        ),
        id="B.2.2",
    ),
    pytest.param(
        B23,
        "bbN8oArOxYoyylQQUU6QYwrTuaxLwjAC9fbY2F6SVWvh0yBiMIRGOnMYwZ/5MR6fb0Kh1rIRASVxFkeGt683+qRp"
        "RRU5p2voTp768ZrCUb38K0fUxN0O0iC59DzYx8DFll5GmydPxSmme9v6ULbMFkl+V5B1TP/yPViV7KsLNmvKiLJH"
        "1pFkh/aYA2HXXZzNBXmIkoQoLd7YfW91kE9o/CCoC1xMy7JA1ipwvKvfrs65ldmlu9bpG6A9BmzhuzF8Eim5f8ui"
        "9eH8LZH896+QIF61ka39VBrohr9iyMUJpvRX2Zbhl5ZJzSRxpJyoEZAFL2FUo5fTIztsDZKEgM4cUA==",
        (
            '"date": Tue, 20 Apr 2021 02:07:55 GMT',
            '"@method": POST',
            '"@path": /foo',
            '"@query": ?param=Value&Pet=dog',
            '"@authority": example.com',
            '"content-type": application/json',
            f'"content-digest": {BODY_DIGEST}',
            '"content-length": 18',
            f'"@signature-params": {B23}',
        ),
        id="B.2.3",
    ),
    pytest.param(
        S25,
        "HIbjHC5rS0BYaa9v4QfD4193TORw7u9edguPh0AW3dMq9WImrlFrCGUDih47vAxi4L2YRZ3XMJc1uOKk/J0ZmZ+w"
        "cta4nKIgBkKq0rM9hs3CQyxXGxHLMCy8uqK488o+9jrptQ+xFPHK7a9sRL1IXNaagCNN3ZxJsYapFj+JXbmaI5rt"
        "AdSfSvzPuBCh+ARHBmWuNo1UzVVdHXrl8ePL4cccqlazIJdC4QEjrF+Sn4IxBQzTZsL9y9TP5FsZYzHvDqbInkTN"
        "igBcE9cKOYNFCn4D/WM7F6TNuZO9EgtzepLWcjTymlHzK7aXq6Am6sfOrpIC49yXjj3ae6HRalVc/g==",
        (
            '"@method": POST',
            '"@authority": example.com',
            '"@path": /foo',
            f'"content-digest": {BODY_DIGEST}',
            '"content-length": 18',
            '"content-type": application/json',
            f'"@signature-params": {S25}',
        ),
        id="2.5 and 3.2",
    ),
]


@pytest.mark.parametrize(("signed_input", "signature", "lines"), RSA_PSS_EXAMPLES)
def test_the_bases_under_rsa_pss_are_those_that_the_rfc_signed(
    signed_input: str, signature: str, lines: tuple[str, ...]
) -> None:
    """The base is the printed one, and the printed RSA-PSS signature is one of it."""
    message = request(*signed("sig", signed_input, signature))
    assert base_of(message) == expected_base(*lines)
    assert isinstance(RSA_PSS_KEY, rsa.RSAPublicKey)
    RSA_PSS_KEY.verify(
        only_signature(message).signature,
        base_of(message).encode(),
        padding.PSS(padding.MGF1(hashes.SHA512()), salt_length=64),
        hashes.SHA512(),
    )


def test_b_2_4_an_answer_under_ecdsa_p256() -> None:
    """Its base is the printed one, and its printed signature ``r || s`` verifies."""
    text = (
        '("@status" "content-type" "content-digest" "content-length")'
        ';created=1618884473;keyid="test-key-ecc-p256"'
    )
    signature = (
        "wNmSUAhwb5LxtOtOpNa6W5xj067m5hFrj0XQ4fvpaCLx0NKocgPquLgyahnzDnDAUy5eCdlYUEkLIj+32oiasw=="
    )
    headers = [*RESPONSE_HEADERS, *signed("sig-b24", text, signature)]
    response = ResponseView(200, raw(headers), request())
    assert base_of(response) == expected_base(
        '"@status": 200',
        '"content-type": application/json',
        f'"content-digest": {RESPONSE_DIGEST}',
        '"content-length": 23',
        f'"@signature-params": {text}',
    )
    assert verify(only_signature(response), response, P256_KEY) is None  # type: ignore[func-returns-value]
    check_content_digest(RESPONSE_DIGEST.encode(), RESPONSE_BODY)


def test_b_2_5_a_request_under_hmac() -> None:
    """Its base is the printed one: the printed HMAC is that of it."""
    text = '("date" "@authority" "content-type");created=1618884473;keyid="test-shared-secret"'
    message = request(*signed("sig-b25", text, "pxcQw6G3AjtMBQjwo8XzkZf/bws5LelbaMk5rGIGtE8="))
    mac = hmac.digest(SHARED_SECRET, base_of(message).encode(), hashlib.sha256)
    assert only_signature(message).signature == mac


def test_b_2_6_a_request_under_ed25519_is_signed_to_the_same_bytes() -> None:
    """Ed25519 is deterministic: both header fields come out as printed, and verify."""
    key = POLICY.signing_key("Ed25519", ED25519_SEED)
    made = sign(
        request(),
        label="sig-b26",
        components=["date", "@method", "@path", "@authority", "content-type", "content-length"],
        parameters=SignatureParameters(created=1618884473, keyid="test-key-ed25519"),
        signer=key.sign_fixed_size,
    )
    assert made == (
        'sig-b26=("date" "@method" "@path" "@authority" "content-type" "content-length")'
        ';created=1618884473;keyid="test-key-ed25519"',
        "sig-b26=:wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1"
        "u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw==:",
    )
    message = request(("signature-input", made[0]), ("signature", made[1]))
    assert base_of(message) == expected_base(
        '"date": Tue, 20 Apr 2021 02:07:55 GMT',
        '"@method": POST',
        '"@path": /foo',
        '"@authority": example.com',
        '"content-type": application/json',
        '"content-length": 18',
        '"@signature-params": ("date" "@method" "@path" "@authority" "content-type"'
        ' "content-length");created=1618884473;keyid="test-key-ed25519"',
    )
    verify(only_signature(message), message, POLICY.verifying_key_from_pem(ED25519_PEM))


def test_b_3_a_proxy_signs_the_certificate_of_its_client() -> None:
    """A field of 500 characters on one line, under ECDSA."""
    certificate = (
        ":MIIBqDCCAU6gAwIBAgIBBzAKBggqhkjOPQQDAjA6MRswGQYDVQQKDBJMZXQncyBBdXRoZW50aWNhdGUxGzAZBgNV"
        "BAMMEkxBIEludGVybWVkaWF0ZSBDQTAeFw0yMDAxMTQyMjU1MzNaFw0yMTAxMjMyMjU1MzNaMA0xCzAJBgNVBAMM"
        "AkJDMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE8YnXXfaUgmnMtOXU/IncWalRhebrXmckC8vdgJ1p5Be5F/3Y"
        "C8OthxM4+k1M6aEAEFcGzkJiNy6J84y7uzo9M6NyMHAwCQYDVR0TBAIwADAfBgNVHSMEGDAWgBRm3WjLa38lbEYC"
        "uiCPct0ZaSED2DAOBgNVHQ8BAf8EBAMCBsAwEwYDVR0lBAwwCgYIKwYBBQUHAwIwHQYDVR0RAQH/BBMwEYEPYmRj"
        "QGV4YW1wbGUuY29tMAoGCCqGSM49BAMCA0gAMEUCIBHda/r1vaL6G3VliL4/Di6YK0Q6bMjeSkC3dFCOOB8TAiEA"
        "x/kHSB4urmiZ0NX5r5XarmPk0wmuydBVoU4hBVZ1yhk=:"
    )
    text = (
        '("@path" "@query" "@method" "@authority" "client-cert")'
        ';created=1618884473;keyid="test-key-ecc-p256"'
    )
    signature = (
        "xVMHVpawaAC/0SbHrKRs9i8I3eOs5RtTMGCWXm/9nvZzoHsIg6Mce9315T6xoklyy0yzhD9ah4JHRwMLOgmizw=="
    )
    message = request(
        ("client-cert", certificate),
        *signed("ttrp", text, signature),
        authority="service.internal.example",
    )
    verify(only_signature(message), message, P256_KEY)


ACCEPT: Headers = [("accept", "application/json"), ("accept", "*/*")]
TRANSFORM = signed(
    "transform",
    '("@method" "@path" "@authority" "accept");created=1618884473;keyid="test-key-ed25519"',
    "ZT1kooQsEHpZ0I1IjCqtQppOmIqlJPeo7DHR3SoMn0s5JZ1eRGS0A+vyYP9t/LXlh5QMFFQ6cpLt2m0pmj3NDA==",
)
QUERY = "name1=Value1&Name2=value2"


def transformed(
    headers: Headers, method: str = "GET", authority: str = "example.org", query: str = QUERY
) -> RequestView:
    return request(
        *TRANSFORM, method=method, authority=authority, path="/demo", query=query, headers=headers
    )


@pytest.mark.parametrize(
    "message",
    [
        transformed([("host", "example.org"), *ACCEPT]),
        transformed([*ACCEPT, ("accept-language", "en-US,en;q=0.5")], query=f"{QUERY}&param=added"),
        transformed([("accept", "application/json, */*"), ("referer", "https://example.org/")]),
        transformed([*ACCEPT, ("host", "example.org")]),
    ],
)
def test_b_4_what_intermediaries_may_do_keeps_the_signature(message: RequestView) -> None:
    """What is not covered changes, and lines of a field are joined: all the same to it."""
    verify(only_signature(message), message, POLICY.verifying_key_from_pem(ED25519_PEM))


@pytest.mark.parametrize(
    "message",
    [
        transformed(ACCEPT, method="POST", authority="example.com"),
        transformed(ACCEPT[::-1]),
    ],
)
def test_b_4_what_changes_the_meaning_breaks_the_signature(message: RequestView) -> None:
    """Another method and authority, or the lines of a field in another order."""
    with pytest.raises(InvalidSignatureError):
        verify(only_signature(message), message, POLICY.verifying_key_from_pem(ED25519_PEM))


def test_2_4_an_answer_that_is_bound_to_its_request() -> None:
    """``req`` takes the value from the request; another request breaks the printed signature."""
    body = b'{"busy": true, "message": "Your call is very important to us"}'
    digest = content_digest(body, "sha-512")
    text = (
        '("@status" "content-digest" "content-type" "@authority";req "@method";req "@path";req'
        ' "content-digest";req);created=1618884479;keyid="test-key-ecc-p256"'
    )
    signature = (
        "dMT/A/76ehrdBTD/2Xx8QuKV6FoyzEP/I9hdzKN8LQJLNgzU4W767HK05rx1i8meNQQgQPgQp8wq2ive3tV5Ag=="
    )
    headers = raw(
        [
            ("content-type", "application/json"),
            ("content-digest", digest),
            *signed("reqres", text, signature),
        ]
    )
    response = ResponseView(503, headers, request())
    assert base_of(response) == expected_base(
        '"@status": 503',
        f'"content-digest": {digest}',
        '"content-type": application/json',
        '"@authority";req: example.com',
        '"@method";req: POST',
        '"@path";req: /foo',
        f'"content-digest";req: {BODY_DIGEST}',
        f'"@signature-params": {text}',
    )
    verify(only_signature(response), response, P256_KEY)
    for other in (request(method="PUT"), request(path="/bar"), request(authority="example.org")):
        moved = ResponseView(503, headers, other)
        with pytest.raises(InvalidSignatureError):
            verify(only_signature(moved), moved, P256_KEY)


def test_the_digest_of_the_request_is_the_one_printed() -> None:
    """RFC 9530's field over the body of the examples."""
    assert content_digest(BODY, "sha-512") == BODY_DIGEST
    check_content_digest(BODY_DIGEST.encode(), BODY)
