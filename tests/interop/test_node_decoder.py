"""The vectors, through a decoder in JavaScript that was written from docs/format.md alone."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mycelium_fractal_net.security.records.file_names import FileName
from mycelium_fractal_net.security.sealed.key_transport import UnwrappingKey
from mycelium_fractal_net.security.sealed.rsa_recipients import RsaRecipientKey
from mycelium_fractal_net.security.sealed.sealer import Sealer
from tests.interop.node import NodeDecoder
from tests.support.presence import need

FOLDER = Path(__file__).parents[1] / "vectors"
SEALED, FORMATS, BACKUPS = (
    json.loads((FOLDER / f"{name}_vectors.json").read_text())
    for name in ("sealed", "format", "backup")
)
CURVES = ("recipients", "recipients_p256", "recipients_p384")


@pytest.fixture(scope="module")
def decoder() -> Iterator[NodeDecoder]:
    """One process for all tests here."""
    path = shutil.which("node")
    if path is None:
        need("Node (Debian: nodejs)")
    with contextlib.closing(NodeDecoder(path)) as found:
        yield found


def message(vector: dict[str, Any]) -> dict[str, Any]:
    names = ("message", "associated_data", "data_key_associated_data")
    asked = {name: vector[name] for name in names}
    return {"op": "message", "key": SEALED["key"], "handle": SEALED["handle"], **asked}


def test_sealed_messages(decoder: NodeDecoder) -> None:
    """Each valid vector has the plaintext that is written down, each other one none."""
    found = decoder.ask(map(message, SEALED["valid"]))
    assert [None if each is None else hashlib.sha256(each).hexdigest() for each in found] == [
        vector["plaintext_sha256"] for vector in SEALED["valid"]
    ]
    assert set(decoder.ask(map(message, SEALED["invalid"]))) == {None}


def test_a_message_that_is_bound_to_a_name(decoder: NodeDecoder) -> None:
    """It opens under that name alone, in whichever form of Unicode a file system has it."""
    key, handle = bytes.fromhex(SEALED["key"]), bytes.fromhex(SEALED["handle"])
    sealed = Sealer.named(key, handle, FileName("caf\u00e9.txt").digest).seal(b"plain", b"row 17")
    asked = {"message": sealed.hex(), "associated_data": b"row 17".hex()}
    asked = {**asked, "data_key_associated_data": ""}
    named = [{**message(asked), "name": name} for name in ("cafe\u0301.txt", "tea.txt", None)]
    assert decoder.ask(named) == [b"plain", None, None]


def test_the_raw_form(decoder: NodeDecoder) -> None:
    """Plain AES-256-GCM."""
    section = FORMATS["raw"]
    asked = {"op": "raw", "key": section["key"], "associated_data": section["associated_data"]}
    assert decoder.ask([{**asked, "message": section["message"]}]) == [
        bytes.fromhex(section["plaintext"])
    ]
    wrong = [{**asked, "message": each} for each in section["invalid"].values()]
    assert set(decoder.ask(wrong)) == {None}


def test_signature_files(decoder: NodeDecoder) -> None:
    """Of Ed25519 and ECDSA in both modes; ML-DSA is not in Node 20."""
    section = FORMATS["signature_files"]
    valid = [each for each in section["valid"] if each["algorithm"] != "ML-DSA-65"]
    assert len(valid) == len(section["valid"]) - 2

    def asked(file: str, public_key: str) -> dict[str, Any]:
        return {
            "op": "signature_file", "file": file, "public_key": public_key, "data": section["data"]
        }  # fmt: skip

    found = decoder.ask(asked(each["file"], each["public_key"]) for each in valid)
    assert set(found) == {bytes.fromhex(section["handle"])}
    first = section["valid"][0]["public_key"]
    assert set(decoder.ask(asked(each, first) for each in section["invalid"].values())) == {None}


@pytest.mark.parametrize("name", CURVES)
def test_sealed_to_a_recipient(decoder: NodeDecoder, name: str) -> None:
    """HPKE in each suite, and what is wrong with a blob."""
    section = FORMATS[name]
    asked = {each: section[each] for each in ("private_key", "info", "associated_data")}
    blobs = [section["blob"], *section["invalid"].values()]
    found = decoder.ask({"op": "hpke", **asked, "blob": blob} for blob in blobs)
    assert found[0] == bytes.fromhex(section["plaintext"])
    assert set(found[1:]) == {None}


def _asked(key: dict[str, Any], message: str) -> dict[str, Any]:
    section = FORMATS["addressed"]
    known = {name: section[name] for name in ("associated_data", "name")}
    return {"op": "addressed", **known, "message": message} | {
        name: key[name] for name in ("algorithm", "private_key")
    }


def test_messages_for_recipients(decoder: NodeDecoder) -> None:
    """Each of them opens what is for him and nothing else; ML-KEM is not in Node 20."""
    section = FORMATS["addressed"]
    keys = [key for key in section["keys"] if key["algorithm"] != "HPKE-MLKEM768-X25519"]
    assert len(keys) == len(section["keys"]) - 1
    for vector in section["valid"]:
        found = decoder.ask(_asked(key, vector["message"]) for key in keys)
        wanted = vector["plaintext_sha256"]
        digests = [None if each is None else hashlib.sha256(each).hexdigest() for each in found]
        assert digests == [wanted if key["algorithm"] in vector["for"] else None for key in keys]
    wrong = [_asked(key, each) for key in keys for each in section["invalid"].values()]
    assert set(decoder.ask(wrong)) == {None}
    forged = [_asked(key, section["refused_by_the_second_alone"]) for key in keys[:2]]
    assert [each is None for each in decoder.ask(forged)] == [False, True]


def test_keys_of_recipients_as_text(decoder: NodeDecoder) -> None:
    """A line gives its bytes, and none with a slip in it."""
    for key in FORMATS["addressed"]["keys"]:
        line = key["identity"]
        slipped = [line[:-1], line + "=", line.replace("-identity", "-recipient"), line[:-1] + "!"]
        found = decoder.ask({"op": "key_line", "line": each} for each in (line, *slipped))
        assert found == [bytes.fromhex(key["private_key"]), None, None, None, None]


def test_private_keys_under_a_passphrase(decoder: NodeDecoder) -> None:
    """Each opens by its passphrase, and none that has a fault."""
    section = FORMATS["identities"]
    lines = [key["line"] for key in section["valid"]] + [*section["invalid"].values()]
    found = decoder.ask(
        {"op": "identity", "passphrase": section["passphrase"], "line": line} for line in lines
    )
    wanted = [bytes.fromhex(key["private_key"]) for key in section["valid"]]
    assert found == wanted + [None] * len(section["invalid"])


def test_keys_on_their_way(decoder: NodeDecoder) -> None:
    """By RSA and AES key wrap with padding, and by HPKE with the info of keys."""
    rsa = RsaRecipientKey.generate()
    pkcs8 = rsa.private_bytes().hex()
    wrapped = rsa.public.wrap(b"a key of 32 bytes, as it may be.")
    hpke = UnwrappingKey.from_private_bytes("hpke-p256", bytes([7]) * 32)
    blob = hpke.public.wrap(b"k" * 32)
    info = b"mycelium-fractal-net/key/v1".hex()
    assert decoder.ask(
        [
            {"op": "rsa_aes", "private_key": pkcs8, "wrapped": wrapped.hex()},
            {"op": "rsa_aes", "private_key": pkcs8, "wrapped": wrapped[:-8].hex()},
            {
                "op": "hpke",
                "private_key": (bytes([7]) * 32).hex(),
                "blob": blob.hex(),
                "info": info,
            },
            {"op": "hpke", "private_key": (bytes([7]) * 32).hex(), "blob": blob.hex()},
        ]
    ) == [b"a key of 32 bytes, as it may be.", None, b"k" * 32, None]


@pytest.mark.parametrize("vector", BACKUPS["backups"], ids=["in the clear", "under a passphrase"])
def test_backups(decoder: NodeDecoder, vector: dict[str, Any]) -> None:
    """With the file of the master key, whose passphrase may be needed; and not when cut."""
    content = base64.b64decode(vector["backup"])
    asked = {name: vector[name] for name in ("master_key_file", "passphrase")}
    found = decoder.ask(
        {"op": "backup", **asked, "file": each.hex()} for each in (content, content[:-1])
    )
    assert found[0] is not None
    assert json.loads(found[0]) == vector["rows"]
    assert found[1] is None
