"""The name that a sealed file is bound to: what stands for it in the message, and what fits it.

A file that is renamed is as whole as it was: whoever may write a folder can so have one opened in
the place of another. A message of the named form brings a digest of the name that it had when it
was sealed, as authentic as all else in it, and opens under that name alone.
"""

from __future__ import annotations

import os
import unicodedata
from typing import Final, NamedTuple

from mycelium_fractal_net.security.algorithms.digests import SHA256_BYTES, sha256
from mycelium_fractal_net.security.errors import BoundNameError, DecryptionError

NAME_DIGEST_BYTES: Final = SHA256_BYTES
_LABEL: Final = b"mycelium-fractal-net/name/v1"


class FileName(NamedTuple):
    """What a file is called: to bind when it is sealed, to compare when it is opened.

    ``name`` is what is bound: the file's name, in a folder its path from there, parted by ``/``
    and without the ending of sealed files. ``above`` is the path of the folders over that, which
    are compared too as far as they were bound: so a part of a folder opens by itself. Where it is
    ``required``, messages that no name is bound into are refused.
    """

    name: str
    above: str = ""
    required: bool = False

    @property
    def digest(self) -> bytes:
        """The 32 bytes that stand for it in a message."""
        return _digest(self.name)

    def fits(self, digest: bytes) -> bool:
        """Whether a name that is bound, by its digest, is this one."""
        candidate = self.name
        for folder in reversed(["", *self.above.split("/")]):
            if _digest(candidate) == digest:
                return True
            candidate = f"{folder}/{candidate}"
        return False


def check_name(bound: bytes, name: FileName | None) -> None:
    """Raise unless what is bound into a message, or nothing, fits what it is called now.

    :class:`BoundNameError` compares what anybody can read, before any key is used. Where no name
    was given a message that has one is one that does not open: :class:`DecryptionError`.
    """
    if bound:
        if name is None:
            raise DecryptionError
        if not name.fits(bound):
            raise BoundNameError("it was sealed under another name, which is bound into it")
    elif name is not None and name.required:
        raise BoundNameError("no name is bound into it")


def _digest(name: str) -> bytes:
    # One name has several spellings in Unicode, between which file systems choose.
    normal = unicodedata.normalize("NFC", name)
    return sha256(_LABEL + os.fsencode(normal))
