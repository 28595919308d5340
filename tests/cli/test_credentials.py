"""``mfn credential`` from the outside, and what ``mfn doctor`` says of credentials."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from mycelium_fractal_net import open_keyring
from mycelium_fractal_net.security.directories.callers import Caller
from mycelium_fractal_net.security.directories.credentials import CredentialDirectory
from mycelium_fractal_net.security.errors import AuthenticationError, ExitCode
from tests.support.cli import Mfn, one_line

if TYPE_CHECKING:
    from mycelium_fractal_net.security.records.credentials import Credential

FIELDS = [
    "id", "name", "scopes", "state", "bound", "created_at", "expires_at", "rotated_at",
    "rotation_due", "previous_until",
]  # fmt: skip
API_KEY = re.compile(r"mfn_[a-z0-9]{16}_[A-Za-z0-9_-]{43}")


def caller(mfn: Mfn, api_key: str) -> Caller:
    """Who a service over the same store takes the holder of ``api_key`` for."""
    with open_keyring(home=mfn.home) as keyring:
        directory = CredentialDirectory(keyring.provider, keyring.freshness)
        return directory.authenticate(api_key.encode())


def create(mfn: Mfn, *arguments: str) -> dict[str, Any]:
    made = mfn.ok("credential", "create", "billing", "--scope", "encrypt:orders",
                  "--scope", "decrypt:*", "--json", *arguments)  # fmt: skip
    return made.json  # type: ignore[no-any-return]


def change(mfn: Mfn, credential_id: str, **values: object) -> None:
    """Give a record other values, authentic ones."""
    import dataclasses

    def changed(credential: Credential) -> Credential:
        return dataclasses.replace(credential, **values)  # type: ignore[arg-type]

    with open_keyring(home=mfn.home) as keyring:
        keyring.provider.credentials.update(credential_id, changed)


def test_a_new_credential_is_printed_with_its_key_which_works(mfn: Mfn) -> None:
    """All that a caller needs, in one JSON object of a fixed shape."""
    made = create(mfn)
    assert list(made) == ["id", "api_key", *FIELDS[1:]]
    assert API_KEY.fullmatch(made["api_key"])
    assert made["scopes"] == ["encrypt:orders", "decrypt:*"]
    assert (made["state"], made["expires_at"], made["rotated_at"]) == ("active", None, None)
    assert caller(mfn, made["api_key"]).credential_id == made["id"]


def test_a_key_is_printed_once_and_alone_where_asked(mfn: Mfn) -> None:
    """``--quiet`` leaves the key, for scripts; list and show never have it."""
    said = mfn.ok("credential", "create", "first", "--scope", "*").out
    assert "shown this once" in said
    key = mfn.ok("--quiet", "credential", "create", "second", "--scope", "*").out
    assert API_KEY.fullmatch(key.rstrip("\n"))
    listed = mfn.ok("credential", "list").out + mfn.ok("credential", "list", "--json").out
    shown = mfn.ok("credential", "show", key.split("_")[1]).out
    assert not API_KEY.search(listed + shown)
    assert "second" in shown
    assert re.search(r"^\w{16}  first   active  [\d-]{10}    never  \*$", listed, re.MULTILINE)


def test_an_end_is_given_in_days(mfn: Mfn) -> None:
    """And shown as a moment."""
    made = create(mfn, "--expires-days", "10")
    ends = datetime.fromisoformat(made["expires_at"])
    assert timedelta(days=9) < ends - datetime.now(UTC) <= timedelta(days=10)
    assert made["expires_at"][:10] in mfn.ok("credential", "list").out


def test_list_and_show_print_the_same_shape(mfn: Mfn) -> None:
    """One shape for one thing, in order of id."""
    made = [create(mfn)["id"] for _ in range(3)]
    listed = mfn.ok("credential", "list", "--json").json
    assert [each["id"] for each in listed] == sorted(made)
    assert all(list(each) == FIELDS for each in listed)
    assert mfn.ok("credential", "show", made[0], "--json").json in listed


@pytest.mark.parametrize("scope", ["encrypt", "encrypt:Orders", "keys:*", ""])
def test_a_scope_that_does_not_exist_is_a_wrong_command(mfn: Mfn, scope: str) -> None:
    """Exit code 2, and the scopes that there are."""
    line = one_line(mfn("credential", "create", "x", "--scope", scope), ExitCode.USAGE)
    assert "audit:read" in line
    assert not mfn.ok("credential", "list", "--json").json


def test_a_scope_for_a_key_that_is_not_there_is_warned_of(mfn: Mfn) -> None:
    """Each key by its name; the credential is made, since the key may come later."""
    scopes = ("encrypt:orders", "encrypt:nosuchkey", "decrypt:nosuchkey", "decrypt:*", "keys:read")
    options = [option for scope in scopes for option in ("--scope", scope)]
    result = mfn("--quiet", "credential", "create", "x", *options)
    assert result.code == 0
    assert API_KEY.fullmatch(result.out.strip())
    assert result.err == (
        "mfn: no key is named 'nosuchkey': until one is, the scopes for it permit nothing\n"
    )
    mfn.ok("credential", "create", "x", "--scope", "encrypt:orders")  # and says nothing


def test_a_rotation_gives_a_new_key_and_keeps_the_former_one_for_a_while(mfn: Mfn) -> None:
    """Its end is the configured overlap away; the id stays."""
    made = create(mfn)
    rotated = mfn.ok("credential", "rotate", made["id"], "--json").json
    assert rotated["id"] == made["id"]
    assert rotated["previous_until"] is not None
    former, newest = caller(mfn, made["api_key"]), caller(mfn, rotated["api_key"])
    assert (former.credential_id, former.former) == (newest.credential_id, True)
    assert not newest.former
    said = mfn.ok("credential", "rotate", made["id"]).out
    assert "former secret ends at" in said


def test_a_former_secret_can_be_ended_at_once(mfn: Mfn) -> None:
    """``--revoke-previous``, for a secret that was lost."""
    made = create(mfn)
    said = mfn.ok("credential", "rotate", made["id"], "--revoke-previous").out
    assert "former secret has ended" in said
    with pytest.raises(AuthenticationError):
        caller(mfn, made["api_key"])
    found = API_KEY.search(said)
    assert found is not None
    caller(mfn, found[0])


def test_a_revoked_credential_stays_in_the_list_and_is_over(mfn: Mfn) -> None:
    """It is refused, and cannot be rotated back to life."""
    made = create(mfn)
    assert f"revoked: {made['id']}" in mfn.ok("credential", "revoke", made["id"]).out
    assert mfn.ok("credential", "show", made["id"], "--json").json["state"] == "revoked"
    with pytest.raises(AuthenticationError):
        caller(mfn, made["api_key"])
    line = one_line(mfn("credential", "rotate", made["id"]), ExitCode.FORBIDDEN)
    assert "revoked; create another" in line


@pytest.mark.parametrize("verb", ["show", "rotate", "revoke"])
def test_an_unknown_credential_is_exit_code_7_and_says_where_to_look(mfn: Mfn, verb: str) -> None:
    """The advice is about credentials, not keys."""
    line = one_line(mfn("credential", verb, "nobody"), ExitCode.KEY_UNKNOWN)
    assert "mfn credential list" in line


def test_completion_knows_ids(mfn: Mfn) -> None:
    """Those that begin with what was typed; nothing where there is no store."""
    made = create(mfn)
    env = {
        "_MFN_COMPLETE": "complete_bash",
        "COMP_WORDS": f"mfn credential show {made['id'][:3]}",
        "COMP_CWORD": "3",
        "MFN_HOME": str(mfn.home),
    }
    assert mfn.process(env=env).out.split() == [made["id"]]
    nowhere = {**env, "MFN_HOME": str(mfn.home / "nowhere")}
    assert mfn.process(env=nowhere).out.split() == []


# doctor ---------------------------------------------------------------------------------------


def test_the_doctor_warns_of_a_secret_that_is_due(mfn: Mfn) -> None:
    """With its name and what its holder does; a rotation mends it."""
    made = create(mfn)
    change(mfn, made["id"], created_at=datetime.now(UTC) - timedelta(days=91))
    ran = mfn("doctor", "--json")
    (finding,) = [each for each in ran.json if each["check"] == "credential-due"]
    assert ran.code == ExitCode.DOCTOR_WARNING
    assert finding["subject"] == f"credential {made['id']}"
    assert "billing" in finding["advice"]
    mfn.ok("credential", "rotate", made["id"])
    assert "credential-due" not in mfn("doctor", "--json").out


def test_the_doctor_notices_a_credential_that_has_ended(mfn: Mfn) -> None:
    """Until it is revoked, which is said in its place."""
    made = create(mfn, "--expires-days", "1")
    past = datetime.now(UTC) - timedelta(days=100)
    change(mfn, made["id"], created_at=past, expires_at=past + timedelta(days=1))
    found = [each["check"] for each in mfn("doctor", "--json").json]
    assert "credential-expired" in found
    assert "credential-due" not in found
    mfn.ok("credential", "revoke", made["id"])
    assert "credential-" not in mfn("doctor", "--json").out
