"""Keys brought along and taken along in FIPS mode, on a real provider."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.key_transport import key_to_wrap_for

if TYPE_CHECKING:
    from tests.support.fips import FipsHome

# One process that takes a key out and in by each method, and says what is refused.
pytestmark = pytest.mark.long

STORY = """
from mycelium_fractal_net import open_keyring

with open_keyring() as keyring:
    provider = keyring.provider
    for method in (None, "hpke-p256", "hpke-p384"):
        pending = provider.imports.begin(f"by-{method}".lower(), method=method)
        exported = provider.exports.wrap_for(pending.pem().encode(), "card")
        made = provider.imports.finish(pending.import_id, exported.wrapped)
        same = provider.get_key(made.key_id) == provider.get_key("card")
        print(pending.method, exported.method, same)
    policy = provider.policy
    for refused in (
        lambda: provider.imports.begin("more", method="hpke"),
        lambda: provider.exports.wrap_for(X25519, "card"),
    ):
        try:
            refused()
        except Exception as error:
            print(type(error).__name__, error)
"""


def test_keys_come_and_go_in_fips_mode(fips: FipsHome) -> None:
    """By RSA and by HPKE on NIST's curves; X25519 is refused, and it is said what to take."""
    assert fips.mfn("init").code == 0
    assert fips.mfn("key", "create", "card", "--exportable").code == 0
    pem = key_to_wrap_for("hpke").public.pem()
    ran = fips.python(f"X25519 = {pem!r}\n{STORY}")
    refused = (
        "AlgorithmNotAllowedError X25519 is not approved by SP 800-56A, and FIPS mode has no HPKE"
        " with it; take HPKE-P256 or HPKE-P384"
    )
    assert ran.out.splitlines() == [
        "rsa-aes rsa-aes True",
        "hpke-p256 hpke-p256 True",
        "hpke-p384 hpke-p384 True",
        refused,
        refused,
    ], ran.err
