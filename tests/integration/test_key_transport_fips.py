"""Keys brought along and taken along in FIPS mode, on a real provider."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support.key_transport import key_to_wrap_for

if TYPE_CHECKING:
    from tests.support.fips import FipsHome


def test_keys_come_and_go_by_rsa_in_fips_mode(fips_home: FipsHome) -> None:
    """The mode knows RSA-OAEP and AES key wrap; HPKE with X25519 it refuses, in both directions."""
    fips = fips_home
    assert fips.mfn("init").code == 0
    assert fips.mfn("key", "create", "card", "--exportable").code == 0
    public, wrapped = str(fips.home / "for.pem"), str(fips.home / "wrapped")
    pending = fips.mfn("key", "import", "begin", "copy", "-o", public, "--json").json
    assert fips.mfn("key", "export", "card", "--to", public, "-o", wrapped).code == 0
    finished = fips.mfn("key", "import", "finish", pending["import_id"], wrapped)
    assert finished.out == "imported copy:v1 (AES-256-GCM)\n"
    other = fips.home / "x25519.pem"
    other.write_bytes(key_to_wrap_for("hpke").public.pem())
    for refused in (
        fips.mfn("key", "import", "begin", "more", "--method", "hpke"),
        fips.mfn("key", "export", "card", "--to", str(other), "-o", wrapped, "--force"),
    ):
        assert refused.code != 0
        assert "X25519" in refused.err
