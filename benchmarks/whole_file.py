"""Peers that have no command of their own, as a process: whole_file.py TOOL seal|open IN OUT."""

from __future__ import annotations

import os
import sys
from pathlib import Path

_KEYSET = Path(__file__).with_name("tink_keyset.json")


def aesgcm(action: str, source: str, target: str) -> None:
    """What one writes without thinking: the whole file in memory."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    key, data = AESGCM(bytes(range(32))), Path(source).read_bytes()
    if action == "seal":
        nonce = os.urandom(12)
        Path(target).write_bytes(nonce + key.encrypt(nonce, data, None))  # below 2 GiB only
    else:
        Path(target).write_bytes(key.decrypt(data[:12], data[12:], None))


def tink(action: str, source: str, target: str) -> None:
    """Tink's streaming AEAD with segments of 1 MiB."""
    from tink import json_proto_keyset_format, secret_key_access, streaming_aead

    streaming_aead.register()
    handle = json_proto_keyset_format.parse(_KEYSET.read_text(), secret_key_access.TOKEN)
    primitive = handle.primitive(streaming_aead.StreamingAead)
    with open(source, "rb") as reader, open(target, "wb") as writer:
        if action == "seal":
            with primitive.new_encrypting_stream(writer, b"") as out:
                while block := reader.read(1 << 20):
                    out.write(block)
        else:
            with primitive.new_decrypting_stream(reader, b"") as data:
                while block := data.read(1 << 20):
                    writer.write(block)


if __name__ == "__main__":
    {"aesgcm": aesgcm, "tink": tink}[sys.argv[1]](*sys.argv[2:])
