"""TLS in FIPS mode, by real handshakes with peers that are not in it: approved suites and curves.

The peers are Python's `ssl` in this process and the command `openssl`, which offer what they like.
"""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import subprocess
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from fuzz import fuzz_certificates
from mycelium_fractal_net.security.fips.process import proven
from tests.support.tls import Authority, configured

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.cli import Ran
    from tests.support.fips import FipsHome

pytestmark = pytest.mark.skipif(proven() is not None, reason="the peers are not in FIPS mode")

CORPUS = Path(__file__).parents[2] / "fuzz" / "corpus" / "certificates"
CLIENTS = ("vault", "aws-kms", "service")
_ASK = """
import json, sys, threading, time
from pathlib import Path
place = json.loads(PLACE)
from mycelium_fractal_net.client import Client, Retries
from mycelium_fractal_net.security.key_providers.aws_kms.client import KmsClient
from mycelium_fractal_net.security.key_providers.aws_kms.place import KmsPlace
from mycelium_fractal_net.security.key_providers.vault.transport import Address, Transport
import os
os.environ |= {"AWS_CA_BUNDLE": place["ca"], "SSL_CERT_FILE": place["ca"],
    "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
def vault(url):
    Transport(Address.parse(url, ca_file=Path(place["ca"]))).call("GET", "sys/health", {})
def kms(url):
    KmsClient(KmsPlace("alias/a", "eu-central-1", url)).ask("describe_key", KeyId="alias/a")
def service(url):
    with Client(url, "mfn_" + "a" * 16 + "_" + "A" * 43, retries=Retries(attempts=1)) as client:
        client.health()
for port in place["ports"]:
    for ask in (vault, kms, service):
        try:
            ask(f"https://127.0.0.1:{port}")
        except Exception:
            pass
"""
_SERVE = """
import json, socket, threading
from mycelium_fractal_net.api.transport.tls import load
from mycelium_fractal_net.config import load_settings
place = json.loads(PLACE)
context = load(load_settings(place["configuration"]).security.tls).context
with socket.create_server(("127.0.0.1", 0)) as listening:
    with socket.create_connection(("127.0.0.1", place["port"])) as told:
        told.sendall(str(listening.getsockname()[1]).encode())
    for _ in range(place["peers"]):
        plain, _ = listening.accept()
        with plain:
            plain.settimeout(10)
            try:
                context.wrap_socket(plain, server_side=True).close()
            except OSError:
                pass
"""


_LOAD = """
from mycelium_fractal_net.api.transport.tls import load
from mycelium_fractal_net.config import load_settings
from mycelium_fractal_net.security.errors import ConfigurationError
for path in PLACE:
    try:
        load(load_settings(path).security.tls)
        print("served")
    except ConfigurationError as error:
        print(error)
"""


@pytest.fixture
def place(tmp_path: Path) -> tuple[Path, Authority]:
    """A certificate for this machine, in a folder, and who signed it."""
    authority = Authority()
    authority.issue().write(tmp_path)
    (tmp_path / "ca.pem").write_bytes(authority.pem)
    return tmp_path, authority


def x25519(context: ssl.SSLContext) -> None:
    context.set_ecdh_curve("X25519")


def chacha(context: ssl.SSLContext) -> None:
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("ECDHE+CHACHA20")


def cbc(context: ssl.SSLContext) -> None:
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("ECDHE-ECDSA-AES256-SHA384")


def approved(context: ssl.SSLContext) -> None:
    context.set_ecdh_curve("prime256v1")


def approved_of_1_2(context: ssl.SSLContext) -> None:
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("ECDHE+AESGCM")


PEERS: list[Callable[[ssl.SSLContext], None]] = [x25519, chacha, cbc, approved, approved_of_1_2]
AGREED = [None, None, None, "TLS_AES_256_GCM_SHA384", "ECDHE-ECDSA-AES256-GCM-SHA384"]


def test_clients_of_custodians_and_of_the_service_take_no_other_suite_or_curve(
    fips_home: FipsHome, place: tuple[Path, Authority]
) -> None:
    """Servers that have X25519, ChaCha20 or AES-CBC alone are refused by each, others are not."""
    folder, _ = place
    agreed: list[list[str | None]] = [[] for _ in PEERS]
    with contextlib.ExitStack() as stack:
        ports = []
        for peer, seen in zip(PEERS, agreed, strict=True):
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(folder / "server.pem", folder / "server.key")
            peer(context)
            listening = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            ports.append(listening.getsockname()[1])
            threading.Thread(target=_take, args=(listening, context, seen), daemon=True).start()
        asked = json.dumps({"ca": str(folder / "ca.pem"), "ports": ports})
        ran = fips_home.python_within(_ASK.replace("PLACE", repr(asked)))
        assert (ran.code, ran.err) == (0, "")
    assert agreed == [[suite] * len(CLIENTS) for suite in AGREED]


def _take(listening: socket.socket, context: ssl.SSLContext, seen: list[str | None]) -> None:
    for _ in CLIENTS:
        plain, _ = listening.accept()
        plain.settimeout(10)
        try:
            with context.wrap_socket(plain, server_side=True) as secured:
                cipher = secured.cipher()
                assert cipher is not None
                seen.append(cipher[0])
        except OSError:
            seen.append(None)


def test_the_service_agrees_on_no_other_suite_or_curve(
    fips_home: FipsHome, place: tuple[Path, Authority]
) -> None:
    """Whatever its client offers; `openssl` can offer one suite of TLS 1.3 alone."""
    folder, authority = place
    ended: list[Ran] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:
        asked = {
            "configuration": str(configured(folder)),
            "port": listening.getsockname()[1],
            "peers": len(PEERS) + 2,
        }
        code = _SERVE.replace("PLACE", repr(json.dumps(asked)))
        listening.settimeout(20)
        serving = threading.Thread(
            target=lambda: ended.append(fips_home.python_within(code)), daemon=True
        )
        serving.start()
        try:
            told, _ = listening.accept()
        except TimeoutError:
            raise AssertionError(ended) from None
        with told:
            port = int(told.recv(10))
    agreed: list[str | None] = []
    for peer in PEERS:
        context = authority.trusted()
        peer(context)
        with socket.create_connection(("127.0.0.1", port), timeout=10) as plain:
            try:
                with context.wrap_socket(plain, server_hostname="127.0.0.1") as secured:
                    cipher = secured.cipher()
                    assert cipher is not None
                    agreed.append(cipher[0])
            except OSError:
                agreed.append(None)
    assert agreed == AGREED
    for suite, spoken in (
        ("TLS_CHACHA20_POLY1305_SHA256", "(NONE)"),
        ("TLS_AES_128_GCM_SHA256", "TLS_AES_128_GCM_SHA256"),
    ):
        ran = subprocess.run(
            [*f"openssl s_client -connect 127.0.0.1:{port} -tls1_3 -ciphersuites".split(), suite],
            stdin=subprocess.DEVNULL, capture_output=True, timeout=10, check=False,
        )  # fmt: skip
        assert f", Cipher is {spoken}\n" in ran.stdout.decode()
    serving.join(10)
    assert [(ran.code, ran.err) for ran in ended] == [(0, "")]


def test_a_certificate_with_another_key_is_refused(fips_home: FipsHome, tmp_path: Path) -> None:
    """Nobody could shake hands with it; where it is read, that is said."""
    authority = Authority()
    paths = []
    keys = {
        "ed25519": ed25519.Ed25519PrivateKey.generate(),
        "p-521": ec.generate_private_key(ec.SECP521R1()),
        "p-384": ec.generate_private_key(ec.SECP384R1()),
        "rsa": rsa.generate_private_key(65537, 2048),
    }
    for name, key in keys.items():
        folder = tmp_path / name
        folder.mkdir()
        authority.issue(key=key).write(folder)
        paths.append(str(configured(folder)))
    for name in ("curve", "point"):  # of no curve that anybody knows, and on none
        folder = tmp_path / name
        folder.mkdir()
        authority.issue().write(folder)
        changed = (CORPUS / f"finding-{name}").read_bytes()[1:]
        (folder / "server.pem").write_bytes(fuzz_certificates._pem(changed))
        paths.append(str(configured(folder)))
    ran = fips_home.python_within(_LOAD.replace("PLACE", repr(paths)))
    refused = (
        "security.tls.certificate: FIPS mode does not serve with a key of its kind; take ECDSA"
        " with P-256 or P-384, or RSA of 2,048 bits or more"
    )
    unreadable = "security.tls.certificate: cannot be read: damaged, or not PEM"
    assert ran.out.splitlines() == [refused, refused, "served", "served", refused, unreadable]
