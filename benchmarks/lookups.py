"""Tags of blind indexes, and deterministic messages; writes docs/benchmarks/lookups.*.

python -m benchmarks.lookups [--quick] [--out FOLDER]

A tag is measured beside ``hmac.digest`` of the same value, which nobody can do with less; a
deterministic message beside the library's AES-SIV under a key that is set up already.
"""

from __future__ import annotations

import argparse
import hmac
import json
import os
import sys
import tempfile
from base64 import b64encode
from dataclasses import asdict
from pathlib import Path
from typing import Final

import httpx
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from benchmarks.harness import Figure, Work, compare
from benchmarks.report import Goal, goals_table, machine
from mycelium_fractal_net import initialise
from mycelium_fractal_net.client import Client
from mycelium_fractal_net.security.keyring.keyring import Keyring

CONTEXT: Final = b"users.email"
ADDRESS, ACCENTED = "alice.wonder@example.com", "Zoë Müller-Straße"
SIZES: Final = (32, 1024)
ALONE, OURS = "hmac.digest", "keyring.index, tag"
SIV, SEALED, OPENED = "AESSIV, kept", "keyring, encrypt", "keyring, decrypt"
_MOST_BESIDE = 1.5  # of a tag beside hmac.digest


def prepare(keyring: Keyring) -> None:
    """Make the keys that are measured with."""
    keyring.provider.keys.create("index", "index")
    keyring.provider.keys.create("same", "deterministic")


def tags(keyring: Keyring) -> dict[str, dict[str, Work]]:
    """Every comparison of tags; the first contender of each is its reference."""
    key, value, accented = os.urandom(32), ADDRESS.encode(), ACCENTED.encode()
    exact = keyring.index(key_id="index", context=CONTEXT)
    cut = keyring.index(key_id="index", context=CONTEXT, bits=16)
    caseless = keyring.index(key_id="index", context=CONTEXT, normalisation="caseless")
    return {
        "an address": {
            ALONE: lambda: hmac.digest(key, value, "sha256"),
            OURS: lambda: exact.tag(ADDRESS),
            "the same, searched": lambda: exact.tags(ADDRESS),
            "the same, cut to 16 bits": lambda: cut.tag(ADDRESS),
            "the same, caseless": lambda: caseless.tag(ADDRESS),
            "keyring.index_tag": lambda: keyring.index_tag(
                ADDRESS, key_id="index", context=CONTEXT
            ),
            "lease, tag": _lent(keyring),
        },
        "a name with accents": {
            ALONE: lambda: hmac.digest(key, accented, "sha256"),
            OURS: lambda: exact.tag(ACCENTED),
            "the same, caseless": lambda: caseless.tag(ACCENTED),
        },
    }


def _lent(keyring: Keyring) -> Work:
    """What a client does that has the key of the field, and asks for it every five seconds."""

    def answer(_: httpx.Request) -> httpx.Response:
        lent = keyring.index_field_keys(key_id="index", context=CONTEXT)
        keys = [
            {"key": b64encode(each.key).decode(), "key_id": each.version_id} for each in lent.keys
        ]
        shown = {"keys": keys, "key_id": lent.stored, "seconds": lent.seconds}
        return httpx.Response(200, json=shown)

    client = Client("https://keys.example", "key", transport=httpx.MockTransport(answer))
    lease = client.local_index("index", context=CONTEXT)
    return lambda: lease.tag(ADDRESS)


def messages(keyring: Keyring, size: int) -> dict[str, dict[str, Work]]:
    """Deterministic messages of one size."""
    kept, data = AESSIV(os.urandom(64)), os.urandom(size)
    made = kept.encrypt(data, [CONTEXT])
    message = keyring.encrypt(data, key_id="same", associated_data=CONTEXT, format="deterministic")
    return {
        f"sealing {size:,} B": {
            SIV: lambda: kept.encrypt(data, [CONTEXT]),
            SEALED: lambda: keyring.encrypt(
                data, key_id="same", associated_data=CONTEXT, format="deterministic"
            ),
        },
        f"opening {size:,} B": {
            SIV: lambda: kept.decrypt(made, [CONTEXT]),
            OPENED: lambda: keyring.decrypt(message, associated_data=CONTEXT),
        },
    }


def measure(rounds: int, budget: float) -> dict[str, list[Figure]]:
    """All comparisons."""
    with (
        tempfile.TemporaryDirectory(prefix="mfn-lookups-") as folder,
        initialise(home=folder) as keyring,
    ):
        prepare(keyring)
        groups = tags(keyring)
        for size in SIZES:
            groups |= messages(keyring, size)
        return {
            name: compare(group, rounds=rounds, budget=budget) for name, group in groups.items()
        }


def goals(found: dict[str, list[Figure]]) -> list[Goal]:
    """What was to be reached, and what was seen."""
    ratio = next(each.ratio for each in found["an address"] if each.name == OURS)
    reach = f"<= {_MOST_BESIDE:g} x"
    return [Goal("a tag beside hmac.digest", reach, f"{ratio:.2f} x", ratio <= _MOST_BESIDE)]


def markdown(found: dict[str, list[Figure]]) -> str:
    """The page docs/benchmarks/lookups.md."""
    lines = [
        "# Lookups",
        "",
        f"`make bench-lookups`: {machine()}.",
        "",
        *goals_table(goals(found)),
    ]
    lines += [
        "",
        "A ratio is the median of rounds that took turns, with the least and the greatest.",
    ]
    for name, figures in found.items():
        lines += ["", f"| {name} | us | beside the first |", "| --- | --- | --- |"]
        lines += [
            f"| {each.name} | {each.seconds * 1e6:.2f} | {each.ratio:.2f} x ({each.least:.2f} to"
            f" {each.greatest:.2f}) |"
            for each in figures
        ]
    return "\n".join(lines) + "\n"


def as_json(found: dict[str, list[Figure]]) -> str:
    """The same, for machines."""
    shown = {name: [asdict(each) for each in figures] for name, figures in found.items()}
    return json.dumps({"machine": machine(), "lookups": shown}, indent=1) + "\n"


def main() -> int:
    """Parse the options, measure, write."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.lookups",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds")
    parser.add_argument("--out", type=Path, default=Path("docs/benchmarks"))
    options = parser.parse_args()
    found = measure(*((3, 0.02) if options.quick else (15, 0.2)))
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "lookups.md").write_text(markdown(found))
    (options.out / "lookups.json").write_text(as_json(found))
    print(markdown(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
