"""A binding as the encryption context of KMS: pairs that are readable in CloudTrail."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mycelium_fractal_net.security.errors import InvalidInputError
from mycelium_fractal_net.security.key_providers.aws_kms.place import STORE_PAIR

if TYPE_CHECKING:
    from mycelium_fractal_net.security.key_providers.custodian import Binding

CONTEXT_BYTES: Final = 8192  # KMS quotas, "Encryption context": all names and values together


def encryption_context(binding: Binding) -> dict[str, str]:
    """The pairs of that binding; a part that is empty has none.

    The names are part of the format: a policy's condition may name them, and what was wrapped with
    others does not unwrap. Raises :class:`InvalidInputError` for more than 8,192 bytes.
    """
    pairs = {
        STORE_PAIR: binding.store_id.hex(),
        "mfn-key": binding.key_id,
        "mfn-type": binding.key_type,
        "mfn-use": binding.use,
        "mfn-algorithm": binding.algorithm,
        "mfn-version": str(binding.version),
        "mfn-handle": binding.handle.hex(),
    }
    context = {name: value for name, value in pairs.items() if value}
    if sum(len(name) + len(value.encode()) for name, value in context.items()) > CONTEXT_BYTES:
        raise InvalidInputError(f"an encryption context of AWS KMS takes {CONTEXT_BYTES:,} bytes")
    return context
