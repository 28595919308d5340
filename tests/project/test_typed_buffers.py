"""What has the buffer protocol passes for a type checker too, on every Python that is promised.

mypy reads this file with all the others: `make types` fails where a signature takes less than the
documents say, or where it takes text.
"""

from __future__ import annotations

from array import array
from io import BytesIO
from mmap import mmap
from typing import TYPE_CHECKING

import numpy
import pytest

from mycelium_fractal_net.security.aes_encryption import decrypt_aes_gcm, encrypt_aes_gcm
from mycelium_fractal_net.security.errors import InvalidInputError
from mycelium_fractal_net.security.signatures.signing_key import SigningKey
from tests.support.stores import keyring_over

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mycelium_fractal_net.security.key_providers import LocalKeyProvider

KEY = bytes(range(32))


def test_an_array_is_sealed_signed_and_counted_as_its_bytes(
    local_provider: LocalKeyProvider,
) -> None:
    """numpy's, the standard library's and mapped memory: plaintext, key and associated data."""
    numbers: NDArray[numpy.float64] = numpy.arange(6, dtype=numpy.float64).reshape(2, 3)
    content = numbers.tobytes()
    local_provider.keys.create("orders")
    with keyring_over(local_provider) as keyring:
        sealed = keyring.encrypt(numbers, key_id="orders", associated_data=numbers)
        as_array = numpy.frombuffer(sealed, dtype=numpy.uint8)
        assert keyring.decrypt(as_array, associated_data=content) == content
        assert keyring.rewrap(as_array, associated_data=numbers)
        out = BytesIO()
        keyring.encrypt_stream(BytesIO(content), out, key_id="orders", associated_data=numbers)
        with pytest.raises(InvalidInputError):
            keyring.encrypt("text", key_id="orders")  # type: ignore[arg-type]
    raw = encrypt_aes_gcm(numbers, numpy.frombuffer(KEY, dtype=numpy.uint8), array("B", b"row"))
    assert decrypt_aes_gcm(array("B", raw), KEY, b"row") == content
    signing = SigningKey.generate("Ed25519")
    signing.public.verify(numbers, array("B", signing.sign(numbers)))
    with mmap(-1, 16) as mapped:
        signing.public.verify(mapped, signing.sign(mapped))
