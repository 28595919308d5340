"""The OpenAPI document is one that other people's tools take: a client is generated and used."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.cli import environment

if TYPE_CHECKING:
    from tests.support.service import Running

DOCUMENT = Path(__file__).parents[2] / "docs" / "openapi.json"
PROGRAM = """\
import base64, json, sys
from generated import AuthenticatedClient, models
from generated.api.crypto import encrypt, decrypt, sign, verify
from generated.api.keys import create_key, show_key, rotate_key, list_keys
from generated.api.audit import audit_records
from generated.api.health import ready

url, api_key = sys.argv[1:]
data = base64.b64encode(b"hello").decode()
with AuthenticatedClient(url, api_key, prefix="", auth_header_name="X-API-Key") as client:
    made = create_key.sync(client=client, body=models.CreateKeyRequest(key_id="made"))
    assert made.type_ == models.KeyAnswerType.ENCRYPTION, made
    assert made.publish is False
    sealed = encrypt.sync(client=client, body=models.EncryptRequest(data=data, key_id="made"))
    assert sealed.key_id == "made:v1", sealed
    rotated = rotate_key.sync("made", client=client)
    opened = decrypt.sync(client=client, body=models.DecryptRequest(sealed.ciphertext))
    assert base64.b64decode(opened.data) == b"hello", opened
    signed = sign.sync(client=client, body=models.SignRequest(data=data))
    verified = verify.sync(
        client=client,
        body=models.VerifyRequest(data=data, signature=signed.signature, key_id=signed.key_id),
    )
    assert verified.valid is True, verified
    refused = show_key.sync("nosuch", client=client)
    assert isinstance(refused, models.Problem) and refused.status == 404, refused
    found = [each.key_id for each in list_keys.sync(client=client).keys]
    events = [each.event for each in audit_records.sync(client=client, limit=3).records]
    print(json.dumps({"keys": found, "events": events, "ready": ready.sync(client=client).status}))
"""


@pytest.mark.long
def test_a_client_that_was_generated_works(service: Running, tmp_path: Path) -> None:
    """With no warning; it makes a key, seals, rotates, opens, signs and reads what was refused."""
    made = subprocess.run(
        [
            sys.executable, "-m", "openapi_python_client", "generate", "--meta", "none",
            "--path", str(DOCUMENT), "--output-path", str(tmp_path / "generated"),
            "--fail-on-warning",
        ],
        cwd=tmp_path,
        env=environment({"PATH": str(Path(sys.executable).parent)}),  # where ruff formats it
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip
    assert made.returncode == 0, made.stdout + made.stderr
    used = subprocess.run(
        [sys.executable, "-c", PROGRAM, service.url, service.api_key],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert used.returncode == 0, used.stderr
    said = json.loads(used.stdout)
    assert "made" in said["keys"]
    assert said["ready"] == "ready"
