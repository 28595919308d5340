"""How a message is opened: one record that goes from whoever asks to what opens."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from mycelium_fractal_net.security.records.file_names import FileName

if TYPE_CHECKING:
    from mycelium_fractal_net.security.byte_io.buffers import Buffer

Permit = Callable[[str], bool]
"""Whether a key of that name may be used. A message of one that may not be is like a message
whose key is not there."""


class OpenOptions(Struct, frozen=True, gc=False):  # one for each message: made in 0.1 us
    """What has to be given to open a message, beside the message and its key.

    ``associated_data`` is what the message was sealed with, ``data_key_associated_data`` what
    the data key was wrapped with that a message of the second form carries.
    ``allow_compromised`` lets a version open that is marked so. ``name`` is what the sealed file
    is called, without which none opens that is bound to its name.
    """

    associated_data: Buffer = b""
    data_key_associated_data: Buffer = b""
    allow_compromised: bool = False
    permit: Permit | None = None
    name: FileName | None = None


PLAIN: Final = OpenOptions()
"""Without associated data, and by no version that is compromised."""
