"""Stores with a key of each kind, and the secrets that are in them."""

from __future__ import annotations

import base64
import json
from pathlib import Path

from campaigns.leakage.holder import KEYS, OTHERS
from campaigns.leakage.search import Marker
from mycelium_fractal_net import initialise, open_keyring

_MADE = {
    "orders": ("encryption", None),
    "release": ("signing", "Ed25519"),
    "curve": ("signing", "ECDSA-P256"),
    "codes": ("mac", None),
    "people": ("index", None),
    "countries": ("deterministic", None),
}


def made(home: Path, *, store: str | None = None) -> None:
    """A store in a new home folder, with what :mod:`.holder` uses."""
    with initialise(home=home, store=store) as keyring:
        keys = keyring.provider.keys
        for name in KEYS:
            kind, algorithm = _MADE[name]
            keys.create(name, kind, algorithm=algorithm, exportable=True)
        for name in OTHERS:
            keys.create(name)


def secrets_in(
    home: Path,
    names: tuple[str, ...] = KEYS,
    *,
    passphrase: bytes | None = None,
    store: str | None = None,
) -> list[Marker]:
    """The keys of those names, the store's own, and a master key that is in a file in the clear."""
    kinds = {
        "codes": "key, MAC",
        "release": "key, Ed25519",
        "curve": "key, ECDSA-P256",
        "people": "key, index",
        "countries": "key, AES-SIV",
    }
    with open_keyring(home=home, passphrase=passphrase, store=store) as keyring:
        provider = keyring.provider
        found = []
        for name in names:
            key = provider.keys.get(name)
            for version in key.versions:
                material = bytes(provider.keys.unwrap(key, version))
                found.append(Marker(kinds.get(name, "key, AES"), material))
        wrapping, master_id = provider.wrapping, provider.store.require_status().master_id
        wrapped = provider.store.record_mac_key(master_id)
        material = bytes(wrapping.unwrap(master_id, wrapped, provider.record_macs.binding))
        found.append(Marker("key, of records", material))
        audit_key = provider.store.audit_key()
        if audit_key is not None:
            material = bytes(provider.audit_keys.unwrapped(audit_key))
            found.append(Marker("key, of the audit log", material))
    file = home / "master.key"
    entries = json.loads(file.read_text())["keys"].values() if file.exists() else ()
    clear = [each["key"] for each in entries if each["protection"] == "file"]
    return [*found, *(Marker("master key", base64.b64decode(each)) for each in clear)]
