"""The part that holds the product against the decoder in JavaScript: both read, or both refuse."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import random
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from campaigns.frame.campaign import Figures
from campaigns.frame.run import Paused, Run
from campaigns.tampering.ciphertexts import DATA, HANDLE, KEY, NAME, VECTORS, messages, whole
from campaigns.tampering.crafted import crafted
from campaigns.tampering.mutations import any_change
from mycelium_fractal_net.files.recipients import open_stream_with
from mycelium_fractal_net.security.aes_encryption import decrypt_aes_gcm
from mycelium_fractal_net.security.backup.opened import open_backup
from mycelium_fractal_net.security.errors import MfnError
from mycelium_fractal_net.security.key_providers.local import LocalCustodian
from mycelium_fractal_net.security.key_providers.wrapping import Wrapping
from mycelium_fractal_net.security.policy import Policy
from mycelium_fractal_net.security.records.file_names import FileName
from mycelium_fractal_net.security.records.open_options import OpenOptions
from mycelium_fractal_net.security.sealed.recipients import RecipientKey, open_as_recipient
from mycelium_fractal_net.security.signatures.signature_file import parse_signature_file
from mycelium_fractal_net.security.signatures.verifying_key import VerifyingKey
from tests.interop.node import NodeDecoder

INPUTS: Final = 2_000_000
_QUICK: Final = 1_500
_BATCH: Final = 500
_FORMATS: Final = json.loads((VECTORS / "format_vectors.json").read_text())
_BACKUP: Final = json.loads((VECTORS / "backup_vectors.json").read_text())["backups"][0]


@dataclass(frozen=True)
class Reader:
    """One form: how inputs of it are made, how the product reads them, how the other is asked."""

    name: str
    share: int  # of a thousand inputs
    make: Callable[[random.Random], bytes]
    read: Callable[[bytes], bytes]
    ask: Callable[[bytes], dict[str, Any]]


def readers(folder: Path) -> list[Reader]:
    """Those of messages have most of the inputs: the others take a hundred times as long."""
    of_messages = [form.data for form in messages()[:6] if len(form.data) < 1000]
    raw = messages()[7].data

    def ask_message(data: bytes) -> dict[str, Any]:
        return {
            "op": "message", "key": KEY.hex(), "handle": HANDLE.hex(), "message": data.hex(),
            "associated_data": DATA.hex(), "data_key_associated_data": b"lease 1".hex(),
            "name": NAME.name,
        }  # fmt: skip

    def ask_raw(data: bytes) -> dict[str, Any]:
        asked = {"op": "raw", "key": KEY.hex(), "associated_data": DATA.hex()}
        return {**asked, "message": data.hex()}

    return [
        Reader("message, changed", 600, _changed(of_messages), whole, ask_message),
        Reader("message, crafted", 250, lambda chance: crafted(chance)[1], whole, ask_message),
        Reader("raw form", 80, _changed([raw]), lambda m: decrypt_aes_gcm(m, KEY, DATA), ask_raw),
        _signature_files(),
        *(_blobs(name) for name in ("recipients", "recipients_p256", "recipients_p384")),
        _addressed(),
        _backups(folder),
    ]


def _changed(examples: list[bytes]) -> Callable[[random.Random], bytes]:
    """One in ten as it was written."""

    def make(chance: random.Random) -> bytes:
        data = chance.choice(examples)
        return data if chance.randrange(10) == 0 else any_change(data, chance)

    return make


def _signature_files() -> Reader:
    section = _FORMATS["signature_files"]
    files = [each for each in section["valid"] if each["algorithm"] != "ML-DSA-65"]
    keys = [bytes.fromhex(each["public_key"]) for each in files]
    data = bytes.fromhex(section["data"])
    examples = [bytes.fromhex(each["file"]) for each in files]

    # The first byte of an input says which key the file behind it is held against.
    def make(chance: random.Random) -> bytes:
        number = chance.randrange(len(keys))
        return bytes([number]) + _changed([examples[number]])(chance)

    def read(given: bytes) -> bytes:
        parsed = parse_signature_file(given[1:])
        VerifyingKey.from_der(keys[given[0]]).verify_file(io.BytesIO(data), parsed)
        return parsed.handle

    def ask(given: bytes) -> dict[str, Any]:
        asked = {"op": "signature_file", "file": given[1:].hex(), "data": data.hex()}
        return {**asked, "public_key": keys[given[0]].hex()}

    return Reader("signature file", 30, make, read, ask)


def _blobs(name: str) -> Reader:
    section = _FORMATS[name]
    algorithm = section.get("algorithm", "HPKE-X25519")
    key = RecipientKey.from_private_bytes(algorithm, bytes.fromhex(section["private_key"]))
    info, data = bytes.fromhex(section["info"]), bytes.fromhex(section["associated_data"])
    asked = {each: section[each] for each in ("private_key", "info", "associated_data")}
    examples = [*[section["blob"]] * 12, *section["invalid"].values()]
    return Reader(
        f"blob, {algorithm}",
        10,
        _changed([bytes.fromhex(each) for each in examples]),
        lambda blob: open_as_recipient(key, blob, info=info, associated_data=data),
        lambda blob: {"op": "hpke", **asked, "blob": blob.hex()},
    )


def _addressed() -> Reader:
    section = _FORMATS["addressed"]
    named = {name: section[name] for name in ("associated_data", "name")}
    keys = [each for each in section["keys"] if each["algorithm"] != "HPKE-MLKEM768-X25519"]
    options = OpenOptions(bytes.fromhex(section["associated_data"]), name=FileName(section["name"]))
    valid = [each["message"] for each in section["valid"] if len(each["message"]) < 4000]
    examples = [bytes.fromhex(each) for each in (*valid * 6, *section["invalid"].values())]

    # The first byte of an input says whose key is to open what is behind it.
    def make(chance: random.Random) -> bytes:
        return bytes([chance.randrange(len(keys))]) + _changed(examples)(chance)

    def read(given: bytes) -> bytes:
        plain = io.BytesIO()
        key = RecipientKey.from_private_bytes(
            keys[given[0]]["algorithm"], bytes.fromhex(keys[given[0]]["private_key"])
        )
        open_stream_with([key], io.BytesIO(given[1:]), plain, options)
        return plain.getvalue()

    def ask(given: bytes) -> dict[str, Any]:
        key = {name: keys[given[0]][name] for name in ("algorithm", "private_key")}
        return {"op": "addressed", **named, **key, "message": given[1:].hex()}

    return Reader("message for recipients", 10, make, read, ask)


def _backups(folder: Path) -> Reader:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)
    file = folder / "master.key"
    file.unlink(missing_ok=True)
    file.touch(mode=0o600)
    file.write_text(json.dumps(_BACKUP["master_key_file"]))
    policy = Policy()
    custodian = LocalCustodian(file, policy)
    wrapping = Wrapping(custodian, custodian.store_id)

    def read(data: bytes) -> bytes:
        rows = open_backup(wrapping, policy, io.BytesIO(data)).read().rows
        return json.dumps(dict(sorted(rows.items())), separators=(",", ":")).encode()

    def ask(data: bytes) -> dict[str, Any]:
        return {"op": "backup", "file": data.hex(), "master_key_file": _BACKUP["master_key_file"]}

    return Reader("backup", 10, _changed([base64.b64decode(_BACKUP["backup"])]), read, ask)


def both(run: Run) -> Figures:
    """Ask both for every input; what they answer must be the same."""
    if shutil.which("node") is None:
        return {"inputs": 0, "counts": {}, "failures": ["Node is missing (Debian: nodejs)"]}
    there = readers(run.folder / "files")
    total = _QUICK if run.quick else INPUTS
    state = run.kept() or {"done": 0, "counts": {}, "failures": []}
    with contextlib.closing(NodeDecoder()) as decoder:
        while state["done"] < total:
            _one_batch(there, decoder, state)
            run.keep(state)
            run.progress(state["done"], total, "inputs")
            if state["done"] < total and (short := unfinished(run, state["done"], total)):
                return {**_figures(there, state), "unfinished": short}
    return _figures(there, state)


def _figures(there: list[Reader], state: dict[str, Any]) -> Figures:
    failures = [*state["failures"][:20], *_controls(there, state["counts"])]
    return {"inputs": state["done"], "counts": state["counts"], "failures": failures}


def unfinished(run: Run, done: int, total: int) -> str:
    """How much of it was run, where it is time to pause; nothing where it is not."""
    try:
        run.pause_if_due()
    except Paused:
        return f"{done:,} of {total:,} inputs were run so far"
    return ""


def _one_batch(there: list[Reader], decoder: NodeDecoder, state: dict[str, Any]) -> None:
    chance = random.Random(state["done"])
    shares = [reader.share for reader in there]
    asked = [(reader, reader.make(chance)) for reader in chance.choices(there, shares, k=_BATCH)]
    answers = decoder.ask(reader.ask(data) for reader, data in asked)
    for (reader, data), theirs, ours in zip(asked, answers, _ours(asked), strict=True):
        counts = state["counts"].setdefault(reader.name, {"read": 0, "refused": 0})
        counts["refused" if ours is None else "read"] += 1
        if ours != theirs:
            words = ["refuses" if each is None else "reads" for each in (ours, theirs)]
            state["failures"].append(
                f"{reader.name}: the product {words[0]}, the other {words[1]}: {data.hex()}"
            )
    state["done"] += _BATCH


def _ours(asked: list[tuple[Reader, bytes]]) -> Iterator[bytes | None]:
    for reader, data in asked:
        try:
            yield reader.read(data)
        except MfnError:
            yield None


def _controls(there: list[Reader], counts: dict[str, dict[str, int]]) -> list[str]:
    """Inputs that are all refused would agree as well: of every form some are read."""
    return [
        f"{reader.name}: {word} no input"
        for reader in there
        for word in ("read", "refused")
        if not counts.get(reader.name, {}).get(word) and reader.share > 10
    ]
