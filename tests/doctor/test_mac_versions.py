"""A MAC key whose older versions are still asked for is named."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mycelium_fractal_net import open_keyring

if TYPE_CHECKING:
    from tests.support.cli import Mfn


def findings(mfn: Mfn) -> list[str]:
    listed = mfn("doctor", "--json").json
    return [str(each) for each in listed if each["check"] == "mac-versions"]


def test_a_mac_key_whose_old_versions_are_asked_for_is_named(mfn: Mfn) -> None:
    """Once somebody verifies what an older one made, and not for a MAC that is of none."""
    said = mfn.ok("key", "create", "tags", "--type", "mac").out
    assert "rotates every 90 days, after which a value has another MAC" in said
    assert "another MAC" not in mfn.ok("key", "create", "letters").out
    with open_keyring(home=mfn.home) as keyring:
        old = keyring.mac(b"a@example.org", key_id="tags")
    assert findings(mfn) == []
    mfn.ok("key", "rotate", "tags")
    with open_keyring(home=mfn.home) as keyring:
        new = keyring.mac(b"a@example.org", key_id="tags")
        assert new != old
        keyring.verify_mac(b"a@example.org", new, key_id="tags")
    assert findings(mfn) == []
    with open_keyring(home=mfn.home) as keyring:
        assert keyring.verify_mac(b"a@example.org", old, key_id="tags") == "tags:v1"
    (finding,) = findings(mfn)
    assert "tags:v1" in finding
    assert "is still asked for" in finding
