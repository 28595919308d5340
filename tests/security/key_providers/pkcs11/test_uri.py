"""URIs of PKCS #11 (RFC 7512), read strictly."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mycelium_fractal_net.security.errors import ConfigurationError
from mycelium_fractal_net.security.key_providers.pkcs11.uri import Pkcs11Uri, parse_uri

MODULE = "module-path=/usr/lib/p11.so"


def test_a_uri_names_token_key_library_and_where_the_pin_is() -> None:
    """Values are percent-encoded UTF-8; an id is bytes."""
    found = parse_uri(
        "pkcs11:token=My%20Token%20%C3%A9;serial=42&7;manufacturer=M;model=A+B;slot-id=17;"
        "object=orders;id=%01%aB;type=secret-key"
        "?module-path=/usr/lib/p11.so&pin-source=file:/run/pin%3F"
    )
    assert found == Pkcs11Uri(
        module_path="/usr/lib/p11.so",
        label="orders",
        key_id=b"\x01\xab",
        token="My Token é",
        manufacturer="M",
        model="A+B",
        serial="42&7",
        slot_id=17,
        pin_source="file:/run/pin?",
    )
    assert parse_uri(found.text()) == found
    assert found.path() == (
        "pkcs11:token=My%20Token%20%C3%A9;manufacturer=M;model=A%2BB;serial=42%267;slot-id=17;"
        "object=orders;id=%01%AB"
    )


def test_a_key_is_named_by_its_label_or_its_id() -> None:
    """One of them is enough."""
    assert parse_uri(f"pkcs11:object=o?{MODULE}").key_id is None
    assert parse_uri(f"pkcs11:id=%00?{MODULE}").label is None


REFUSED = {
    "": "does not begin with pkcs11:",
    "PKCS11:object=o?" + MODULE: "does not begin",
    "pkcs11:": "module-path is missing",
    "pkcs11:object=o": "module-path is missing",
    "pkcs11:?" + MODULE: "object is missing",
    "pkcs11:token=t?" + MODULE: "object is missing",
    "pkcs11:object=o?module-path=p11.so": "module-path is not absolute",
    f"pkcs11:object=o?{MODULE}&pin-value=1234": "pin-value puts the PIN in a URI",
    "pkcs11:object=o;pin-value=1234?" + MODULE: "pin-value puts the PIN in a URI",
    f"pkcs11:object=o?{MODULE}&module-name=p11": "an attribute that is not one of module-path",
    "pkcs11:object=o;x-vendor=1?" + MODULE: "an attribute that is not one of token",
    "pkcs11:object=o;library-version=2.4?" + MODULE: "an attribute that is not one of",
    "pkcs11:object=o;?" + MODULE: "an attribute that is not one of",
    "pkcs11:object=o;object=o?" + MODULE: "object stands there twice",
    f"pkcs11:object=o?{MODULE}&{MODULE}": "module-path stands there twice",
    "pkcs11:object=?" + MODULE: "object is empty",
    "pkcs11:object?" + MODULE: "object is empty",
    "pkcs11:object=a b?" + MODULE: "holds a character that is written %XX",
    "pkcs11:object=a/b?" + MODULE: "holds a character that is written %XX",
    "pkcs11:object=%4?" + MODULE: "holds a character that is written %XX",
    "pkcs11:object=%4G?" + MODULE: "holds a character that is written %XX",
    "pkcs11:object=é?" + MODULE: "holds a character that is written %XX",
    "pkcs11:object=o\n?" + MODULE: "holds a character that is written %XX",
    "pkcs11:object=o#?" + MODULE: "holds a character that is written %XX",
    "pkcs11:object=%FF?" + MODULE: "object is no UTF-8",
    "pkcs11:object=%00?" + MODULE: "object holds a character that cannot be shown",
    "pkcs11:object=o;type=private?" + MODULE: "type: a master key is a secret-key",
    "pkcs11:object=o;slot-id=-1?" + MODULE: "slot-id is not a decimal number",
    "pkcs11:object=o;slot-id=01?" + MODULE: "slot-id is not a decimal number",
    f"pkcs11:id={'%01' * 33}?" + MODULE: "id is longer than 32 bytes",
    f"pkcs11:object=o;token={'t' * 33}?" + MODULE: "token is longer than 32 bytes",
    f"pkcs11:object=o;serial={'s' * 17}?" + MODULE: "serial is longer than 16 bytes",
    f"pkcs11:object={'o' * 4096}?" + MODULE: "is longer than 4096 characters",
}


@pytest.mark.parametrize(("text", "says"), REFUSED.items(), ids=range(len(REFUSED)))
def test_what_is_not_understood_is_refused(text: str, says: str) -> None:
    """By the name of the setting, and without a value of the URI's."""
    with pytest.raises(ConfigurationError) as caught:
        parse_uri(text)
    said = str(caught.value)
    assert said.startswith("security.key_management.pkcs11_uri (MFN_PKCS11_URI): ")
    assert says in said
    assert "1234" not in said


TEXT = st.text(st.characters(codec="utf-8"), min_size=1, max_size=8).filter(str.isprintable)


@given(token=st.none() | TEXT, label=TEXT, key_id=st.none() | st.binary(min_size=1, max_size=32))
def test_what_is_written_is_read_as_it_was(
    token: str | None, label: str, key_id: bytes | None
) -> None:
    """Whatever is in it."""
    uri = Pkcs11Uri("/lib/p11.so", label=label, token=token, key_id=key_id, pin_source="/pin")
    assert parse_uri(uri.text()) == uri
