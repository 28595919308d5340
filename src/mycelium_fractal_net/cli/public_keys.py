"""Public keys as the command line takes them: PEM, DER or JWK, in a small file."""

from __future__ import annotations

from typing import Final

from mycelium_fractal_net.cli.streams import read_small_input

__all__ = ["public_key_input"]

_PUBLIC_KEY_BYTES: Final = 65_536  # an ML-DSA-65 key as PEM has under 3 KiB


def public_key_input(name: str) -> bytes:
    """What is in the file ``name``, or comes from standard input for ``-``.

    Raises :class:`CommandError`. Whether it is a public key is the policy's to say.
    """
    return read_small_input(name, _PUBLIC_KEY_BYTES, "a public key")
