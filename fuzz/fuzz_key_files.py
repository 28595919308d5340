"""Fuzz what reads files of a home: local master keys, the XOR cipher's key, a FIPS module's note.

    python -m fuzz key_files -max_total_time=60 fuzz/corpus/key_files

The first byte of an input chooses the reader. A finding is an error that is not one of ours, or a
master key that unwraps what it did not wrap.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json

from fuzz.running import Reader, Scratch, chosen, seeds_of
from mycelium_fractal_net.legacy.key import read_xor_key
from mycelium_fractal_net.security.errors import MfnError
from mycelium_fractal_net.security.fips.installed import _described
from mycelium_fractal_net.security.key_providers.custodian import Binding
from mycelium_fractal_net.security.key_providers.local import LocalCustodian
from mycelium_fractal_net.security.policy import Policy

KEY = hashlib.sha256(b"mycelium-fractal-net test key").digest()
FILE = Scratch("master.key")
POLICY = Policy()
BOUND = Binding(bytes(16), "orders", "encryption", "data", "AES-256-GCM", 1, bytes(8))
WRAPPED = POLICY.bare_sealer(KEY, BOUND.encode()).seal(b"material")


def master(data: bytes) -> None:
    """The file of the local custodian: what opens with a key in it was wrapped under that."""
    custodian = LocalCustodian(FILE.holding(data), POLICY)
    custodian.inspect()
    for each in custodian.inspect().kek_ids:
        with contextlib.suppress(MfnError):
            found = custodian.unwrap_many(each, [(WRAPPED, BOUND)])
            assert found == [b"material"], "a finding: other material"
            spelled = base64.b64encode(KEY)
            assert spelled in data.replace(b"\\/", b"/"), "a finding: a key with two spellings"


def xor(data: bytes) -> None:
    """The file of the old cipher's key, in one of three spellings."""
    key = read_xor_key(FILE.holding(data))
    written = (key, key.hex().encode(), base64.urlsafe_b64encode(key))
    bare = data if len(data) == len(key) else data.strip().rstrip(b"=")
    assert bare.lower() in [each.rstrip(b"=").lower() for each in written] or bare == key


def fips_module(data: bytes) -> None:
    """What is kept of an installed FIPS module."""
    found = _described(FILE.holding(data))
    assert found == json.loads(data), "a finding: another description"


READERS: tuple[Reader, ...] = (master, xor, fips_module)

one_input = chosen(READERS, MfnError)


def seeds() -> dict[str, bytes]:
    """A well-formed file for each reader."""
    entry = {"protection": "file", "key": base64.b64encode(KEY).decode()}
    passphrase = {
        "protection": "passphrase", "kdf": "PBKDF2-SHA256", "iterations": 200_000,
        "salt": base64.b64encode(bytes(32)).decode(), "sealed": base64.b64encode(KEY).decode(),
    }  # fmt: skip
    document = {
        "format": "mfn-master-key/1",
        "store_id": bytes(16).hex(),
        "keys": {"local:00000000": passphrase, "local:00000001": entry},
    }
    described = (
        b'{"format":"mfn-fips-module/1","sha256":"00","version":null,"installed_at":"2026-03-01"}'
    )
    contents = {
        master: json.dumps(document).encode(),
        xor: KEY.hex().encode(),
        fips_module: described,
    }
    return seeds_of(READERS, contents)
