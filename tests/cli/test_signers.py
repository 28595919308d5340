"""``mfn signer`` from the outside."""

from __future__ import annotations

import hashlib
import json
import re
from typing import TYPE_CHECKING

import pytest

from mycelium_fractal_net import open_keyring
from mycelium_fractal_net.security.directories.signers import SignerDirectory
from mycelium_fractal_net.security.errors import ExitCode
from mycelium_fractal_net.security.signatures.signing_key import SigningKey
from tests.support.algorithms import SIGNING
from tests.support.cli import Mfn, one_line

if TYPE_CHECKING:
    from pathlib import Path

FIELDS = [
    "name", "algorithm", "credentials", "any_credential", "state", "created_at", "public_key",
    "thumbprint",
]  # fmt: skip
NOBODY = "a" * 16


@pytest.fixture
def credential(mfn: Mfn) -> str:
    """The id of a credential."""
    made = mfn.ok("credential", "create", "billing", "--scope", "*", "--json").json
    return str(made["id"])


def write(mfn: Mfn, content: bytes, name: str = "peer.pub") -> Path:
    path = mfn.folder / name
    path.write_bytes(content)
    return path


def forms(key: SigningKey) -> dict[str, bytes]:
    """A public key in each form that is taken."""
    public = key.public
    return {
        "PEM": public.pem(),
        "DER": public.der(),
        "JWK": json.dumps({**public.jwk(), "kid": "peer"}).encode(),
    }


@pytest.mark.parametrize("algorithm", ["Ed25519", "ECDSA-P256", "ECDSA-P384"])
@pytest.mark.parametrize("form", ["PEM", "DER", "JWK"])
def test_a_public_key_becomes_a_signer(
    mfn: Mfn, credential: str, algorithm: str, form: str
) -> None:
    """Whatever its form, with the shape that the documents show; a service finds it by its name."""
    key = SigningKey.generate(algorithm)
    path = write(mfn, forms(key)[form])
    added = mfn.ok(
        "signer", "add", "peer", "--public-key", path, "--credential", credential, "--json"
    ).json
    assert list(added) == FIELDS
    assert (added["name"], added["algorithm"], added["state"]) == ("peer", algorithm, "active")
    assert (added["credentials"], added["any_credential"]) == ([credential], False)
    assert added["public_key"].encode() == key.public.pem()
    assert added["thumbprint"] == hashlib.sha256(key.public.der()).hexdigest()
    with open_keyring(home=mfn.home) as keyring:
        directory = SignerDirectory(keyring.provider, keyring.freshness)
        assert directory.by_name("peer").verifying == key.public
        assert directory.is_bound(credential)


def test_a_public_key_comes_from_standard_input(mfn: Mfn) -> None:
    """``mfn key public`` of one store, piped into another; what it means for others is said."""
    key = SigningKey.generate(SIGNING)
    ran = mfn.process(
        "signer", "add", "peer", "--public-key", "-", "--any-credential", input=key.public.pem()
    )
    assert (ran.code, ran.err) == (0, "")
    assert ran.out == (
        f"registered signer peer ({SIGNING}) for any credential; thumbprint"
        f" {key.public.thumbprint().hex()}\n"
    )
    flood = mfn.process(
        "signer", "add", "two", "--public-key", "-", "--any-credential", input=bytes(100_000)
    )
    assert "too large" in one_line(flood, ExitCode.USAGE)


def test_a_key_of_a_keyring_signs_requests_elsewhere(mfn: Mfn, credential: str) -> None:
    """Its JWK, as it is printed and published, is what the peer registers."""
    mfn.ok("key", "create", "web", "--type", "signing", "--use", "request")
    path = write(mfn, mfn.ok("key", "public", "web", "--format", "jwk").raw, "web.jwk")
    said = mfn.ok("signer", "add", "web", "--public-key", path, "--credential", credential).out
    assert f"credential {credential} works only in signed requests now" in said
    shown = mfn.ok("signer", "show", "web", "--json").json
    assert shown["public_key"] == mfn.ok("key", "public", "web").out


def test_a_signer_names_credentials_or_any(mfn: Mfn, credential: str) -> None:
    """Exactly one kind; nothing is registered otherwise."""
    path = write(mfn, SigningKey.generate(SIGNING).public.pem())
    both = ("--credential", credential, "--any-credential")
    for more in ((), both):
        line = one_line(mfn("signer", "add", "peer", "--public-key", path, *more), ExitCode.USAGE)
        assert "either --credential ID" in line
    assert mfn.ok("signer", "list", "--json").json == []


@pytest.mark.parametrize(
    ("name", "content", "more", "code", "said"),
    [
        ("Peer", b"key", ("--any-credential",), ExitCode.USAGE, "name of a signer"),
        ("peer", b"key", ("--credential", "nobody"), ExitCode.USAGE, "16 characters"),
        ("peer", b"key", ("--credential", NOBODY), ExitCode.KEY_UNKNOWN, "mfn credential list"),
        ("peer", b"no key", ("--any-credential",), ExitCode.USAGE, "PUBLIC KEY"),
        ("peer", b"private", ("--any-credential",), ExitCode.USAGE, "PUBLIC KEY"),
        ("peer", b"ml-dsa", ("--any-credential",), ExitCode.FORBIDDEN, "ECDSA-P256"),
        ("peer", b"", ("--any-credential",), ExitCode.USAGE, "PUBLIC KEY"),
        ("peer", b"x" * 70_000, ("--any-credential",), ExitCode.USAGE, "too large"),
    ],
)  # fmt: skip
def test_what_cannot_be_a_signer_is_refused(
    mfn: Mfn, name: str, content: bytes, more: tuple[str, ...], code: ExitCode, said: str
) -> None:
    """By the table of exit codes, and nothing is registered."""
    made = {
        b"key": SigningKey.generate(SIGNING).public.pem(),
        b"private": SigningKey.generate(SIGNING).private_pem(),
        b"ml-dsa": SigningKey.generate("ML-DSA-65").public.pem(),
    }
    path = write(mfn, made.get(content, content))
    assert said in one_line(mfn("signer", "add", name, "--public-key", path, *more), code)
    assert mfn.ok("signer", "list", "--json").json == []


def test_a_file_that_is_not_there_is_an_input_that_is_missing(mfn: Mfn) -> None:
    """Exit code 4, before any key store is opened."""
    ran = mfn("signer", "add", "peer", "--public-key", "nothing.pem", "--any-credential")
    one_line(ran, ExitCode.INPUT)


def test_a_name_and_a_key_are_registered_once(mfn: Mfn) -> None:
    """Exit code 5, also once the signer is revoked; the advice is about signers."""
    first = write(mfn, SigningKey.generate(SIGNING).public.pem(), "first")
    second = write(mfn, SigningKey.generate(SIGNING).public.pem(), "second")
    mfn.ok("signer", "add", "peer", "--public-key", first, "--any-credential")
    for _ in range(2):
        ran = mfn("signer", "add", "peer", "--public-key", second, "--any-credential")
        assert "choose another name" in one_line(ran, ExitCode.EXISTS)
        ran = mfn("signer", "add", "other", "--public-key", first, "--any-credential")
        assert "one of signer 'peer'" in one_line(ran, ExitCode.EXISTS)
        mfn.ok("signer", "revoke", "peer")


def test_list_and_show_print_the_same_shape(mfn: Mfn, credential: str) -> None:
    """In order of name, for people and for programs."""
    keys = {name: SigningKey.generate(SIGNING) for name in ("b", "a")}
    for name, key in keys.items():
        more = ["--credential", credential] if name == "a" else ["--any-credential"]
        mfn.ok("signer", "add", name, "--public-key", write(mfn, key.public.pem()), *more)
    listed = mfn.ok("signer", "list", "--json").json
    assert [each["name"] for each in listed] == ["a", "b"]
    assert all(list(each) == FIELDS for each in listed)
    assert mfn.ok("signer", "show", "b", "--json").json == listed[1]
    rows = mfn.ok("signer", "list").out
    assert re.search(rf"^a +{SIGNING} +active +{credential}$", rows, re.MULTILINE)
    assert re.search(rf"^b +{SIGNING} +active +any credential$", rows, re.MULTILINE)
    shown = mfn.ok("signer", "show", "a").out
    assert shown.endswith(keys["a"].public.pem().decode())
    assert re.search(rf"^credentials +{credential}$", shown, re.MULTILINE)
    assert re.search(r"^any_credential +no$", shown, re.MULTILINE)
    assert re.search(r"^any_credential +yes$", mfn.ok("signer", "show", "b").out, re.MULTILINE)


def test_a_revoked_signer_stays_in_the_list(mfn: Mfn, credential: str) -> None:
    """It signs no more, and what it named stays bound: who took a key frees no credential."""
    path = write(mfn, SigningKey.generate(SIGNING).public.pem())
    mfn.ok("signer", "add", "peer", "--public-key", path, "--credential", credential)
    assert mfn.ok("signer", "revoke", "peer").out == f"revoked: signer peer ({credential})\n"
    assert mfn.ok("signer", "revoke", "peer", "--json").json["state"] == "revoked"
    assert mfn.ok("signer", "show", "peer", "--json").json["state"] == "revoked"
    with open_keyring(home=mfn.home) as keyring:
        assert SignerDirectory(keyring.provider, keyring.freshness).is_bound(credential)


@pytest.mark.parametrize("verb", ["show", "revoke"])
def test_an_unknown_signer_is_exit_code_7_and_says_where_to_look(mfn: Mfn, verb: str) -> None:
    """The advice is about signers, not keys."""
    assert "mfn signer list" in one_line(mfn("signer", verb, "nobody"), ExitCode.KEY_UNKNOWN)


def test_a_change_is_recorded_with_its_user(mfn: Mfn) -> None:
    """Intent and outcome, by the name of the signer."""
    path = write(mfn, SigningKey.generate(SIGNING).public.pem())
    mfn.ok("signer", "add", "peer", "--public-key", path, "--any-credential")
    mfn.ok("signer", "revoke", "peer")
    records = mfn.ok("audit", "show", "--json").json
    changes = [each for each in records if each["event"].startswith("signer.")]
    assert [(each["event"], each["outcome"]) for each in reversed(changes)] == [
        ("signer.add", "intent"), ("signer.add", "ok"),
        ("signer.revoke", "intent"), ("signer.revoke", "ok"),
    ]  # fmt: skip
    assert all(each["actor"].startswith("cli:") for each in changes)
    assert {each.get("subject") for each in changes if each["outcome"] == "intent"} == {"peer"}


def test_completion_knows_names(mfn: Mfn) -> None:
    """Those that begin with what was typed; nothing where there is no store."""
    for name in ("peer", "other"):
        path = write(mfn, SigningKey.generate(SIGNING).public.pem())
        mfn.ok("signer", "add", name, "--public-key", path, "--any-credential")
    env = {
        "_MFN_COMPLETE": "complete_bash",
        "COMP_WORDS": "mfn signer show p",
        "COMP_CWORD": "3",
        "MFN_HOME": str(mfn.home),
    }
    assert mfn.process(env=env).out.split() == ["peer"]
    nowhere = {**env, "MFN_HOME": str(mfn.home / "nowhere")}
    assert mfn.process(env=nowhere).out.split() == []
