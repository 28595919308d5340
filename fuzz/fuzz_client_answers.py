"""Fuzz what the client reads of a service's answers: problems, records, when to ask again.

    python -m fuzz client_answers -max_total_time=60 fuzz/corpus/client_answers

The first byte of an input chooses the reader. A finding is an error that is not one of ours, or a
text of the answer that could move a terminal's cursor.
"""

from __future__ import annotations

from fuzz.running import Reader, chosen, seeds_of
from mycelium_fractal_net.client.keys import _key
from mycelium_fractal_net.client.operations import BytesReply, bytes_named
from mycelium_fractal_net.client.problems import error_of_reply
from mycelium_fractal_net.client.replies import Reply
from mycelium_fractal_net.client.retries import _retry_after
from mycelium_fractal_net.client.steps import decoded
from mycelium_fractal_net.security.errors import MfnError


def problem(data: bytes) -> None:
    """The first two bytes are the status."""
    headers = {"content-type": "application/problem+json", "x-request-id": "1"}
    error = error_of_reply(Reply(int.from_bytes(data[:2], "big") % 1000, headers, data[2:]))
    shown = "".join((str(error), *error.__notes__)) if hasattr(error, "__notes__") else str(error)
    assert shown.isprintable(), "a finding: what could move a cursor"


def key(data: bytes) -> None:
    _key(Reply(200, {}, data))


def encrypted(data: bytes) -> None:
    bytes_named("ciphertext", decoded(Reply(200, {}, data), BytesReply))


def again(data: bytes) -> None:
    seconds = _retry_after(Reply(503, {"retry-after": data.decode("latin-1")}, b""))
    assert 0 <= seconds < 1_000_000, "a finding: a pause of weeks"


READERS: tuple[Reader, ...] = (problem, key, encrypted, again)

one_input = chosen(READERS, MfnError)


def seeds() -> dict[str, bytes]:
    """A well-formed answer for each reader."""
    contents: dict[Reader, bytes] = {
        problem: (404).to_bytes(2, "big")
        + b'{"type":"/problems/key-not-found","title":"t","detail":"there is no key"}',
        key: b'{"key_id":"orders","type":"encryption","use":"data","algorithm":"AES-256-GCM",'
        b'"publish":false,"created_at":"2026-03-01T12:00:00Z","rotation_due":"2026-06-01T12:00:00Z",'
        b'"rotation":{"interval_days":90,"retain_count":3},"versions":[{"version":1,'
        b'"state":"active","compromised":false,"handle":"0123456789abcdef",'
        b'"created_at":"2026-03-01T12:00:00Z","activate_at":null,"destroy_at":null}]}',
        encrypted: b'{"key_id":"orders:v1","ciphertext":"TUZOAQ=="}',
        again: b"17",
    }
    return seeds_of(READERS, contents)
