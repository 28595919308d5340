"""docs/custody/aws-kms.md: its commands are run as they stand, and its policies are enough."""

from __future__ import annotations

import json
import os
import re
import secrets
import shlex
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mycelium_fractal_net.security.key_providers import Binding
from mycelium_fractal_net.security.key_providers.aws_kms.context import encryption_context
from tests.support.cli import PROGRAM, environment
from tests.support.custodians import new_harness
from tests.support.custodians.aws_kms import ALIAS, REGION, AWSKMSHarness

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.long

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "custody" / "aws-kms.md").read_text()
COMMANDS = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
POLICIES = [json.loads(text) for text in re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)]


@pytest.fixture
def kms() -> Iterator[AWSKMSHarness]:
    """A KMS without a key."""
    found = new_harness("aws-kms")
    assert isinstance(found, AWSKMSHarness)
    yield found
    found.close()


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """``mfn`` and ``aws``, on the path."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, words in (
        ("mfn", PROGRAM),
        ("aws", [sys.executable, str(ROOT / "tests" / "support" / "aws_command.py")]),
    ):
        program = folder / name
        program.write_text(f'#!/bin/sh\nexec {shlex.join(words)} "$@"\n')
        program.chmod(0o755)
    return folder


def run(block: int | str, kms: AWSKMSHarness, programs: Path, **variables: str) -> str:
    """What a block of the page, or a command, prints; every command of it succeeds."""
    script = block if isinstance(block, str) else COMMANDS[block]
    done = subprocess.run(
        ["bash", "-eu", "-o", "pipefail", "-c", script],
        cwd=programs.parent,
        env=environment(
            {
                "MFN_HOME": str(programs.parent / "home"),
                "PATH": f"{programs}:{os.environ['PATH']}",
                "AWS_ENDPOINT_URL": kms.url,
                **variables,
            }
        ),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done
    return done.stdout


@pytest.mark.parametrize("block", [0, 1])
def test_a_store_is_set_up(kms: AWSKMSHarness, programs: Path, block: int) -> None:
    """With the key made by ``mfn init``, and by hand; it rotates in both."""
    said = run(block, kms, programs)
    assert kms.client.get_key_rotation_status(KeyId=kms.arn)["KeyRotationEnabled"]
    assert f"MFN_STORE_ID={(programs.parent / 'home' / 'store-id').read_text().strip()}" in said
    if block == 0:
        assert "to be kept" in said
    assert f"alias/{ALIAS.partition('/')[2]}" in COMMANDS[block]
    assert REGION in COMMANDS[block]


def test_a_grant_is_given(kms: AWSKMSHarness, programs: Path) -> None:
    """It holds whoever has it to one store."""
    kms.make_key()
    store = secrets.token_hex(16)
    run(
        2,
        kms,
        programs,
        KEY=kms.arn,
        ROLE="arn:aws:iam::123456789012:role/app",
        MFN_STORE_ID=store,
        AWS_DEFAULT_REGION=REGION,
    )
    (grant,) = kms.client.list_grants(KeyId=kms.arn)["Grants"]
    assert set(grant["Operations"]) == {
        "Encrypt",
        "Decrypt",
        "ReEncryptFrom",
        "ReEncryptTo",
        "DescribeKey",
    }
    assert grant["Constraints"] == {"EncryptionContextSubset": {"mfn-store": store}}


def test_a_store_is_moved_to_another_key(kms: AWSKMSHarness, programs: Path) -> None:
    """It is under the new one then, and the former is as it was."""
    run(0, kms, programs)
    assert "every key is wrapped by aws-kms:" in run(3, kms, programs)
    kms.client.disable_key(KeyId=kms.arn.rpartition("/")[2])
    assert "to be kept" in run("mfn --config both.json decrypt note.mfn -o -", kms, programs)


LEAST = "AKIALEASTPOLICY"


def allow(kms: AWSKMSHarness, store: str, *policies: int) -> None:
    """Give the holder of :data:`LEAST` what the page has, with its own key and store."""
    text = json.dumps([POLICIES[each] for each in policies])
    account, key = kms.arn.split(":")[4], kms.arn.rpartition("/")[2]
    for word, value in (("111122223333", account), ("KEY-ID", key), ("STORE-ID", store)):
        text = text.replace(word, value)
    kms.allow(LEAST, json.loads(text))


def test_the_policies_are_enough_and_no_more(kms: AWSKMSHarness, programs: Path) -> None:
    """For all that a store does under the key, and doctor finds nothing too wide or too narrow."""
    kms.make_key()
    kms.client.enable_key_rotation(KeyId=kms.arn.rpartition("/")[2])
    store = secrets.token_hex(16)
    variables = kms.environment(programs.parent / "home")
    variables |= {"AWS_ACCESS_KEY_ID": LEAST, "MFN_STORE_ID": store}
    allow(kms, secrets.token_hex(16), 0)
    refused = run("mfn init 2>&1 || true", kms, programs, **variables)
    assert "no permission" in refused  # for another store's
    allow(kms, store, 0)
    story = (
        "mfn init; mfn key create orders; mfn key rotate orders; echo hi > f;"
        " mfn encrypt -k orders f; mfn decrypt f.mfn -o -; mfn master rewrap;"
    )
    assert "hi" in run(story, kms, programs, **variables)
    external = "mfn key create release --type signing --external"
    assert "no permission" in run(f"{external} 2>&1 || true", kms, programs, **variables)
    allow(kms, store, 0, 1)
    story = f"{external}; mfn sign -k release f; mfn verify -k release f f.sig"
    assert "signed by release:v1" in run(story, kms, programs, **variables)
    found = json.loads(run("mfn doctor --all --json", kms, programs, **variables))
    assert [each for each in found if each["check"] in ("custodian", "left-over-key")] == []


def test_what_is_advised_is_what_the_page_has(kms: AWSKMSHarness, programs: Path) -> None:
    """``mfn init`` prints the commands of the second block, for the alias of the settings."""
    refused = subprocess.run(
        [*PROGRAM, "--home", str(programs.parent / "home"), "init"],
        env=environment({**kms.environment(programs.parent / "home")}),
        capture_output=True,
        text=True,
        check=False,
    )
    for line in COMMANDS[1].splitlines()[:3]:
        assert line in refused.stderr
    assert kms.client.list_keys()["Keys"] == []


def test_every_pair_of_the_context_is_on_the_page() -> None:
    """Policies and people rely on their names."""
    bound = Binding(bytes(16), "orders", "encryption", "data", "AES-256-GCM", 1, bytes(8))
    table = re.findall(r"^\| `(mfn-[a-z]+)` \|", PAGE, re.MULTILINE)
    assert table == list(encryption_context(bound))


def test_the_policies_name_what_is_asked() -> None:
    """Every operation that the code asks for is allowed, and no other."""
    source = ROOT / "src/mycelium_fractal_net/security/key_providers/aws_kms"
    asked = {
        name
        for path in source.glob("*.py")
        for name in re.findall(r'(?:ask|_asked)\(\s*"([a-z_]+)"', path.read_text())
    }
    allowed = {
        action.removeprefix("kms:")
        for policy in POLICIES
        for statement in policy["Statement"]
        for action in statement["Action"]
    }
    once = {"CreateAlias", "EnableKeyRotation"}  # of mfn init --create-key
    needs = {"".join(part.capitalize() for part in name.split("_")) for name in asked} - once
    needs = needs - {"ReEncrypt"} | {"ReEncryptFrom", "ReEncryptTo"} | {"TagResource"}
    assert allowed == needs
