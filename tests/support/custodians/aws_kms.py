"""AWS KMS, on loopback: moto's server, see :mod:`.moto_kms`."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from botocore.config import Config
from botocore.exceptions import ClientError
from botocore.session import Session

if TYPE_CHECKING:
    from collections.abc import Mapping

REGION: Final = "eu-central-1"
ALIAS: Final = "alias/mycelium-fractal-net"
_ROOT: Final = Path(__file__).parents[3]

CREDENTIALS: Final[Mapping[str, str]] = {
    "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
}
"""AWS's own example: nobody's. What a machine has otherwise is not asked."""


class AWSKMSHarness:
    """A KMS with a key under an alias.

    The credentials are AWS's ordinary ones, which a store of this process and those that it starts
    find in their environment: :data:`CREDENTIALS` stand there while there is one of these.
    """

    name = "aws-kms"

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "tests.support.custodians.moto_kms"],
            cwd=_ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
            env={**os.environ, "PYTHONPATH": str(_ROOT), "COVERAGE_PROCESS_CONFIG": ""},
        )
        port = self._answer()
        self.url = f"http://127.0.0.1:{int(port)}"
        self._before = {name: os.environ.get(name) for name in CREDENTIALS}
        os.environ.update(CREDENTIALS)
        self.client = client_of(self.url)

    def environment(self, home: Path) -> dict[str, str]:
        """The alias, the region and the address; credentials are in the environment."""
        return {
            "MFN_KEY_PROVIDER": "aws-kms",
            "MFN_HOME": str(home),
            "MFN_AWS_KMS_KEY_ID": ALIAS,
            "MFN_AWS_REGION": REGION,
            "MFN_AWS_ENDPOINT_URL": self.url,
        }

    def make_key(self) -> None:
        """A key for encryption, and the alias."""
        with contextlib.suppress(ClientError):
            self.client.describe_key(KeyId=ALIAS)
            return
        made = self.client.create_key()["KeyMetadata"]["KeyId"]
        self.client.create_alias(AliasName=ALIAS, TargetKeyId=made)

    @property
    def pid(self) -> int:
        """The id of the server's process."""
        return self._process.pid

    @property
    def arn(self) -> str:
        """The ARN of the key."""
        return str(self._key()["Arn"])

    def _key(self) -> dict[str, Any]:
        found: dict[str, Any] = self.client.describe_key(KeyId=ALIAS)["KeyMetadata"]
        return found

    def rotate(self) -> None:
        """New key material, on demand; the key is the same to whoever uses it."""
        self.client.rotate_key_on_demand(KeyId=self._key()["KeyId"])

    def disable(self) -> None:
        """Disable the key."""
        self.client.disable_key(KeyId=self._key()["KeyId"])

    def enable(self) -> None:
        """Enable it."""
        self.client.enable_key(KeyId=self._key()["KeyId"])

    def stop(self) -> None:
        """Nobody listens, and every connection is cut."""
        assert self._told("stop") == "done"

    def start(self) -> None:
        """Listen on the same port."""
        assert self._told("start") == "done"

    def requests(self) -> dict[str, int]:
        """How many requests there were of each operation since this was last asked."""
        found: dict[str, int] = json.loads(self._told("count"))
        return found

    def allow(self, access_key: str, policies: list[dict[str, Any]]) -> None:
        """Whoever has that access key may do what the policies allow, and no more."""
        assert self._told(f"allow {access_key} {json.dumps(policies)}") == "done"

    def close(self) -> None:
        """End the server, and take the credentials back."""
        self.client.close()
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(10)
        self._process.stdout.close()
        for name, value in self._before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value

    def _told(self, line: str) -> str:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n")
        return self._answer()

    def _answer(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "moto's server ended"
        return line.rstrip("\n")


def client_of(url: str) -> Any:
    """A user's own client of KMS there."""
    return Session().create_client(
        "kms",
        region_name=REGION,
        endpoint_url=url,
        config=Config(retries={"total_max_attempts": 1}),
    )
