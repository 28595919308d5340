"""AWS KMS as ministack has it: it signs with Ed25519, and refuses keys that are not enabled.

It is no harness for the stories of all custodians: it has no ReEncrypt, and opens a ciphertext
whichever key is asked, and one that was changed.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from typing import TYPE_CHECKING

import pytest

from tests.support.custodians.aws_kms import CREDENTIALS, client_of

if TYPE_CHECKING:
    from collections.abc import Iterator

START_SECONDS = 30.0
_PROGRAM = (  # it ends with whoever started it, however that ends: prctl(PR_SET_PDEATHSIG, …)
    "import ctypes, runpy, signal; ctypes.CDLL(None).prctl(1, signal.SIGTERM);"
    " runpy.run_module('ministack', run_name='__main__')"
)


class Ministack:
    """A process of its own on a free port of loopback."""

    def __init__(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        self._folder = tempfile.mkdtemp(prefix="mfn-ministack-")
        self._process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", _PROGRAM],
            env={
                **os.environ,
                "BIND_HOST": "127.0.0.1",
                "GATEWAY_PORT": str(port),
                "SERVICES": "kms",
                "IOT_MTLS_ENABLED": "0",  # it listens on all addresses whatever BIND_HOST says
                "SFTP_ENABLED": "0",
                "TMPDIR": self._folder,
                "HOME": self._folder,
                "COVERAGE_PROCESS_CONFIG": "",
            },
            cwd=self._folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self.url = f"http://127.0.0.1:{port}"
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except OSError:
                assert self._process.poll() is None, "ministack ended"
                assert time.monotonic() < deadline
                time.sleep(0.05)
        self.client = client_of(self.url)

    def close(self) -> None:
        """End it."""
        self.client.close()
        self._process.terminate()
        self._process.wait(START_SECONDS)
        shutil.rmtree(self._folder)


@pytest.fixture(scope="session")
def _ministack() -> Iterator[Ministack]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in CREDENTIALS.items():
            patch.setenv(name, value)
        made = Ministack()
    yield made
    made.close()


@pytest.fixture
def ministack(_ministack: Ministack, monkeypatch: pytest.MonkeyPatch) -> Ministack:
    """The one of this test process; AWS's own example of credentials stands in the environment."""
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    return _ministack
