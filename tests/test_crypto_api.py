"""The plan's `/crypto/*` endpoints, on a real service over a real socket."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

import pytest

from mycelium_fractal_net.security.aes_encryption import decrypt_aes_gcm
from tests.support.service import b64, credential, unb64

if TYPE_CHECKING:
    import httpx

    from tests.support.service import Running

HELLO = b64(b"hello")


def name(prefix: str = "k") -> str:
    return f"{prefix}-{secrets.token_hex(6)}"


def key(client: httpx.Client, kind: str = "encryption", **more: Any) -> str:
    """A new key of that type."""
    key_id = name(kind)
    made = client.post("/keys", json={"key_id": key_id, "type": kind, **more})
    assert made.status_code == 201, made.text
    return key_id


def ok(response: httpx.Response) -> Any:
    assert response.status_code == 200, response.text
    return response.json()


def problem(response: httpx.Response, status: int, slug: str) -> Any:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    body = response.json()
    assert (body["type"], body["status"]) == (f"/problems/{slug}", status)
    return body


# The plan's four ----------------------------------------------------------------------------


def test_what_was_encrypted_is_decrypted(client: httpx.Client) -> None:
    """The plan's request and response, with the default key that `mfn init` makes."""
    sealed = ok(client.post("/crypto/encrypt", json={"data": HELLO}))
    assert set(sealed) == {"ciphertext", "algorithm", "key_id"}
    assert (sealed["algorithm"], sealed["key_id"]) == ("AES-256-GCM", "default-encryption:v1")
    assert unb64(sealed["ciphertext"])[:4] == b"MFN\x01"
    opened = ok(client.post("/crypto/decrypt", json={"ciphertext": sealed["ciphertext"]}))
    assert opened == {"data": HELLO, "key_id": "default-encryption:v1"}


def test_an_answer_of_encrypt_is_a_request_of_decrypt(client: httpx.Client) -> None:
    """It is sent on as it is, also once the key has been rotated."""
    key_id = key(client)
    sealed = ok(client.post("/crypto/encrypt", json={"data": HELLO, "key_id": key_id}))
    ok(client.post(f"/keys/{key_id}/rotate"))
    assert ok(client.post("/crypto/decrypt", json=sealed))["data"] == HELLO
    newer = ok(client.post("/crypto/encrypt", json={"data": HELLO, "key_id": key_id}))
    assert newer["key_id"] == f"{key_id}:v2"


@pytest.mark.parametrize("data", [b"", b"x", bytes(range(256)) * 300], ids=["empty", "one", "75KB"])
@pytest.mark.parametrize("format", ["sealed", "raw"])
def test_data_of_any_length_comes_back(client: httpx.Client, data: bytes, format: str) -> None:
    """Both formats, with associated data."""
    asked = {"data": b64(data), "associated_data": b64(b"row 17"), "format": format}
    sealed = ok(client.post("/crypto/encrypt", json=asked))
    again = {**sealed, "associated_data": b64(b"row 17"), "format": format}
    assert unb64(ok(client.post("/crypto/decrypt", json=again))["data"]) == data
    other = {**again, "associated_data": b64(b"row 18")}
    problem(client.post("/crypto/decrypt", json=other), 400, "decryption-failed")


def test_encrypted_over_http_is_decrypted_locally(client: httpx.Client, service: Running) -> None:
    """The plan's end-to-end test: the raw form opens with the bytes of the key alone."""
    from mycelium_fractal_net import open_keyring

    key_id = key(client)
    raw = ok(
        client.post("/crypto/encrypt", json={"data": HELLO, "key_id": key_id, "format": "raw"})
    )
    sealed = ok(client.post("/crypto/encrypt", json={"data": HELLO, "key_id": key_id}))
    with open_keyring(home=service.home) as keyring:
        material = keyring.provider.get_key(key_id)
        assert decrypt_aes_gcm(unb64(raw["ciphertext"]), material) == b"hello"
        assert keyring.decrypt(unb64(sealed["ciphertext"])) == b"hello"


@pytest.mark.parametrize("algorithm", ["Ed25519", "ECDSA-P256", "ECDSA-P384", "ML-DSA-65"])
def test_a_signature_verifies(client: httpx.Client, algorithm: str) -> None:
    """A changed message does not, and both answers have status 200."""
    key_id = key(client, "signing", algorithm=algorithm)
    signed = ok(client.post("/crypto/sign", json={"data": HELLO, "key_id": key_id}))
    assert (signed["algorithm"], signed["key_id"]) == (algorithm, f"{key_id}:v1")
    asked = {"data": HELLO, "signature": signed["signature"], "key_id": key_id}
    assert ok(client.post("/crypto/verify", json=asked)) == {"valid": True}
    assert ok(client.post("/crypto/verify", json={**asked, "data": b64(b"hellp")})) == {
        "valid": False
    }
    for nonsense in ("", b64(b"x"), b64(bytes(64)), b64(bytes(5000))):
        answer = ok(client.post("/crypto/verify", json={**asked, "signature": nonsense}))
        assert answer == {"valid": False}


def test_the_default_signing_key_serves_where_none_is_named(client: httpx.Client) -> None:
    """As `mfn init` made it."""
    signed = ok(client.post("/crypto/sign", json={"data": HELLO, "reference": "a7"}))
    assert signed["reference"] == "a7"
    asked = {"data": HELLO, "signature": signed["signature"]}
    assert ok(client.post("/crypto/verify", json=asked)) == {"valid": True}


# What is not authentic, not there, or not of the right kind ------------------------------------


def test_everything_wrong_with_a_message_looks_the_same(client: httpx.Client) -> None:
    """A changed bit, a cut, another key, no message at all: one problem, but for its id."""
    key_id = key(client)
    sealed = unb64(ok(client.post("/crypto/encrypt", json={"data": HELLO}))["ciphertext"])
    wrong = [
        sealed[:-1],
        sealed[:-1] + bytes([sealed[-1] ^ 1]),
        sealed[:4] + bytes(8) + sealed[12:],
        sealed + b"\0",
        b"",
        b"MFN",
        b"no message",
    ]
    bodies = []
    for message in wrong:
        body = problem(
            client.post("/crypto/decrypt", json={"ciphertext": b64(message)}),
            400,
            "decryption-failed",
        )
        body.pop("request_id")
        bodies.append(body)
    other = client.post("/crypto/decrypt", json={"ciphertext": b64(sealed), "key_id": key_id})
    body = problem(other, 400, "decryption-failed")
    body.pop("request_id")
    assert all(each == body for each in bodies)


def test_a_key_that_may_not_be_used_looks_like_one_that_is_not_there(client: httpx.Client) -> None:
    """Same status, same body; and a message of it like one that nobody can open."""
    mine, others = key(client), key(client)
    sealed = ok(client.post("/crypto/encrypt", json={"data": HELLO, "key_id": others}))
    api_key = credential(client, f"encrypt:{mine}", f"decrypt:{mine}")
    headers = {"X-API-Key": api_key}

    def asked(path: str, body: Any) -> Any:
        answer = client.post(path, json=body, headers=headers).json()
        answer.pop("request_id")
        return answer

    assert asked("/crypto/encrypt", {"data": HELLO, "key_id": others}) == asked(
        "/crypto/encrypt", {"data": HELLO, "key_id": name("absent")}
    )
    unknown = b64(b"MFN\x01" + bytes(8) + unb64(sealed["ciphertext"])[12:])
    assert asked("/crypto/decrypt", {"ciphertext": sealed["ciphertext"]}) == asked(
        "/crypto/decrypt", {"ciphertext": unknown}
    )
    ok(client.post("/crypto/encrypt", json={"data": HELLO, "key_id": mine}, headers=headers))


@pytest.mark.parametrize("path", ["/crypto/encrypt", "/crypto/sign", "/crypto/mac"])
def test_a_key_of_another_type_does_not_serve(client: httpx.Client, path: str) -> None:
    """An encryption key signs nothing, a signing key encrypts nothing."""
    wrong = key(client, "mac" if path != "/crypto/mac" else "signing")
    problem(client.post(path, json={"data": HELLO, "key_id": wrong}), 400, "key-usage")


def test_a_request_signing_key_signs_no_data(client: httpx.Client) -> None:
    """Otherwise whoever may sign data could sign a request in the service's name."""
    key_id = key(client, "signing", use="request")
    problem(client.post("/crypto/sign", json={"data": HELLO, "key_id": key_id}), 400, "key-usage")


def test_who_may_only_mac_or_sign_opens_no_sealed_message(client: httpx.Client) -> None:
    """The MAC or signature of a sealed message's head is no key to it, and no other route is."""
    key_id = key(client)
    sealed = ok(client.post("/crypto/encrypt", json={"data": HELLO, "key_id": key_id}))
    headers = {"X-API-Key": credential(client, "mac:*", "sign:*", "verify:*")}
    for path, body in (
        ("/crypto/decrypt", sealed),
        ("/crypto/rewrap", sealed),
        ("/crypto/mac", {"data": sealed["ciphertext"], "key_id": key_id}),
        ("/crypto/sign", {"data": sealed["ciphertext"], "key_id": key_id}),
        ("/crypto/datakey", {"key_id": key_id}),
    ):
        assert client.post(path, json=body, headers=headers).status_code in (400, 404), path


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"data": HELLO, "extra": 1},
        {"data": 7},
        {"data": None},
        {"data": HELLO, "format": "other"},
        {"data": HELLO, "key_id": "Not a key"},
        {"data": HELLO, "key_id": "orders:v0"},
        {"data": "aGVsbG8"},
        {"data": "aGVsbG9="},
        {"data": "aGVs\nbG8="},
        {"data": "aGVsbG8=", "associated_data": "-_-_"},
        {"data": HELLO, "reference": "x" * 201},
        [],
    ],
    ids=str,
)
def test_what_does_not_fit_is_refused_without_an_echo(client: httpx.Client, body: Any) -> None:
    """A 4xx whose text repeats nothing of the request."""
    answer = client.post("/crypto/encrypt", json=body)
    assert answer.status_code in (400, 422), answer.text
    for secret in ("aGVs", "Not a key", "other", "extra", "xxxx"):
        assert secret not in answer.text


@pytest.mark.parametrize(
    "content",
    [
        b'{"data": "aGVsbG8=", "data": "aGVsbG8="}',
        b'{"data": NaN}',
        b'{"data": "\\ud800"}',
        b'\xff{"data": ""}',
        b"\xef\xbb\xbf{}",
        b'{"data": "aGVsbG8="} x',
        b"[" * 100_000,
        b"",
        b"nonsense",
    ],
    ids=["twice", "nan", "surrogate", "not-utf8", "bom", "trailing", "nesting", "empty", "no-json"],
)
def test_json_is_read_strictly(client: httpx.Client, content: bytes) -> None:
    """What two parsers could read differently is refused with a 4xx."""
    headers = {"Content-Type": "application/json"}
    answer = client.post("/crypto/encrypt", content=content, headers=headers)
    assert answer.status_code in (400, 422), answer.text


# Rewrap, data keys, MACs ----------------------------------------------------------------------


def test_rewrap_moves_a_message_to_the_newest_version(client: httpx.Client) -> None:
    """With its associated data, and without showing the plaintext."""
    key_id = key(client)
    bound = {"associated_data": b64(b"row 17")}
    sealed = ok(client.post("/crypto/encrypt", json={"data": HELLO, "key_id": key_id, **bound}))
    ok(client.post(f"/keys/{key_id}/rotate"))
    headers = {"X-API-Key": credential(client, f"rewrap:{key_id}")}
    moved = ok(client.post("/crypto/rewrap", json={**sealed, **bound}, headers=headers))
    assert moved["key_id"] == f"{key_id}:v2"
    assert "data" not in moved
    problem(
        client.post("/crypto/decrypt", json={**moved, **bound}, headers=headers), 404, "not-found"
    )
    assert ok(client.post("/crypto/decrypt", json={**moved, **bound}))["data"] == HELLO


def test_a_data_key_seals_elsewhere_what_the_service_opens(
    client: httpx.Client, service: Running
) -> None:
    """The second form: 116 bytes with the wrapped data key in front of the message."""
    from mycelium_fractal_net.security.sealed.sealer import Sealer

    key_id = key(client)
    asked = {"key_id": key_id, "associated_data": b64(b"lease")}
    made = ok(client.post("/crypto/datakey", json=asked))
    head, plain = unb64(made["wrapped"]), unb64(made["plaintext"])
    assert (len(head), len(plain)) == (116, 32)
    message = Sealer.envelope(plain, head[4:12], head[12:]).seal(b"local", b"row 17")
    opened = client.post(
        "/crypto/decrypt",
        json={
            "ciphertext": b64(message),
            "associated_data": b64(b"row 17"),
            "data_key_associated_data": b64(b"lease"),
        },
    )
    assert unb64(ok(opened)["data"]) == b"local"
    assert "plaintext" not in ok(client.post("/crypto/datakey", json={"wrapped_only": True}))


def test_a_mac_verifies(client: httpx.Client) -> None:
    """Under keys of type `mac` alone."""
    key_id = key(client, "mac")
    made = ok(client.post("/crypto/mac", json={"data": HELLO, "key_id": key_id}))
    assert (made["algorithm"], len(unb64(made["mac"]))) == ("HMAC-SHA-256", 32)
    asked = {"data": HELLO, "mac": made["mac"], "key_id": key_id}
    assert ok(client.post("/crypto/mac/verify", json=asked)) == {"valid": True}
    changed = {**asked, "mac": b64(bytes(32))}
    assert ok(client.post("/crypto/mac/verify", json=changed)) == {"valid": False}


# Batches --------------------------------------------------------------------------------------


def test_one_bad_item_fails_alone(client: httpx.Client) -> None:
    """The answers stand in the order of the items, each with its reference."""
    items = [
        {"data": b64(b"0"), "reference": "a"},
        {"data": "not base64", "reference": "b"},
        {"data": HELLO, "key_id": "No Key", "reference": "b2"},
        {"data": b64(b"2"), "key_id": name("absent"), "reference": "c"},
        {"data": b64(b"3")},
    ]
    answers = ok(client.post("/crypto/encrypt/batch", json={"items": items}))["items"]
    assert [each.get("reference") for each in answers] == ["a", "b", "b2", "c", None]
    assert [each["error"]["status"] if "error" in each else 200 for each in answers] == [
        200, 422, 422, 404, 200,
    ]  # fmt: skip
    sealed = [{"ciphertext": answers[place]["ciphertext"]} for place in (0, 4)]
    opened = ok(client.post("/crypto/decrypt/batch", json={"items": sealed}))["items"]
    assert [unb64(each["data"]) for each in opened] == [b"0", b"3"]


def test_every_kind_of_batch_does_what_its_route_does(client: httpx.Client) -> None:
    """Sign and verify, and rewrap to the newest version."""
    key_id, signing = key(client), key(client, "signing")
    sealed = ok(client.post("/crypto/encrypt", json={"data": HELLO, "key_id": key_id}))
    ok(client.post(f"/keys/{key_id}/rotate"))
    moved = ok(client.post("/crypto/rewrap/batch", json={"items": [sealed, sealed]}))["items"]
    assert [each["key_id"] for each in moved] == [f"{key_id}:v2"] * 2
    asked = {"items": [{"data": HELLO, "key_id": signing}] * 3}
    signed = ok(client.post("/crypto/sign/batch", json=asked))["items"]
    items = [{"data": HELLO, "signature": s["signature"], "key_id": signing} for s in signed]
    items[1] = {**items[1], "data": b64(b"other")}
    valid = ok(client.post("/crypto/verify/batch", json={"items": items}))["items"]
    assert [each["valid"] for each in valid] == [True, False, True]


@pytest.mark.parametrize("count", [0, 1001])
def test_a_batch_has_bounds(client: httpx.Client, count: int) -> None:
    """None and more than a thousand are refused as a whole."""
    asked = {"items": [{"data": HELLO}] * count}
    assert client.post("/crypto/encrypt/batch", json=asked).status_code in (413, 422)


def test_a_thousand_items_are_taken(client: httpx.Client) -> None:
    """The bound itself."""
    asked = {"items": [{"data": HELLO}] * 1000}
    assert len(ok(client.post("/crypto/encrypt/batch", json=asked))["items"]) == 1000


# Headers --------------------------------------------------------------------------------------


def test_no_answer_is_kept_by_a_cache(client: httpx.Client) -> None:
    """Security headers stand on results and problems alike."""
    for answer in (
        client.post("/crypto/encrypt", json={"data": HELLO}),
        client.post("/crypto/encrypt", json={}),
        client.get("/nowhere"),
    ):
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["x-request-id"]
        assert "server" not in answer.headers


def test_a_body_must_say_that_it_is_json(client: httpx.Client) -> None:
    """A form, as a page of another origin could send it, is refused, and so is a packed body."""
    content = b'{"data": "aGVsbG8="}'
    for headers in (
        {"Content-Type": "text/plain"},
        {},
        {"Content-Type": "application/json", "Content-Encoding": "gzip"},
    ):
        answer = client.post("/crypto/encrypt", content=content, headers=headers)
        problem(answer, 415, "unsupported-media-type")


def test_a_second_spelling_of_a_path_is_refused(service: Running) -> None:
    """Encoded unreserved characters and slashes, dot segments and empty segments."""
    import http.client

    host = service.url.removeprefix("http://")
    for path in (
        "/%63rypto/encrypt", "//crypto/encrypt", "/keys/../crypto/encrypt", "/x/./y",
        "/crypto%2Fencrypt", "/keys/orders%2frotate",
    ):  # fmt: skip
        connection = http.client.HTTPConnection(host)
        connection.request("POST", path, headers={"X-API-Key": service.api_key})
        assert connection.getresponse().status == 400, path
        connection.close()
