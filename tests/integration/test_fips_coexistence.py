"""FIPS mode beside everything else that does cryptography in the same process, all of it for real.

One process makes and uses a store on each custodian, speaks TLS with Vault, AWS KMS, PostgreSQL and
Redis, and hashes; another is the service, with two workers, over Vault and PostgreSQL.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import ssl
import threading
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import create_engine, text

from tests.support.custodians import NAMES, harness
from tests.support.postgres import binaries, running
from tests.support.presence import need
from tests.support.redis import redis_server
from tests.support.service import b64, start
from tests.support.tls import Authority, configured

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.fips import FipsHome

pytestmark = pytest.mark.long

STORY = """
import hashlib, json, os, sys
asked = json.loads(ASKED)
from mycelium_fractal_net import initialise
from mycelium_fractal_net.config import load_settings
from mycelium_fractal_net.fips import proven
from mycelium_fractal_net.security.errors import AlgorithmNotAllowedError
os.environ.update(asked["environment"])
said = {"proven": proven() is not None}
for name, variables in asked["custodians"].items():
    settings = load_settings(environ={**variables, "MFN_FIPS_MODE": "true"})
    with initialise(settings=settings) as keyring:
        provider = keyring.provider
        key = provider.generate_key("encryption")
        message = keyring.encrypt(b"data", key_id=key, associated_data=b"row")
        provider.rotate_key(key)
        keyring.refresh()
        moved = keyring.rewrap(message, associated_data=b"row")
        for each in (message, moved):
            assert keyring.decrypt(each, associated_data=b"row") == b"data"
        if name != "local":
            create = provider.keys.create
            create("release", "signing", algorithm="ECDSA-P384", external=True)
            keyring.verify(b"data", keyring.sign(b"data", key_id="release"), key_id="release")
            try:
                create("other", "signing", algorithm="Ed25519", external=True)
            except AlgorithmNotAllowedError:
                said[name] = "refused"
        said.setdefault(name, provider.store.require_status().master_id.partition(":")[0])
import psycopg
with psycopg.connect(asked["postgresql"]) as connection:
    said["postgresql"] = connection.execute(
        "select version from pg_stat_ssl where pid = pg_backend_pid()"
    ).fetchone()[0]
import logging
from mycelium_fractal_net.api.rate_limits.rates import RateCounter
logging.disable()
for _ in range(5):  # it has a quarter of a second, which is short on a busy machine
    said["redis"] = []
    for url in asked["redis"]:
        counter = RateCounter(url)
        counter.take("a", "9/minute", 1, "b", 1)
        said["redis"].append(counter.state)
    if "ok" in said["redis"]:
        break
said["sha256"] = hashlib.sha256(b"abc").hexdigest()[:8]
try:
    hashlib.md5(b"abc")
except ValueError:
    said["md5"] = "refused"
libraries = {line.split()[-1] for line in open("/proc/self/maps") if "libcrypto" in line}
said["libcrypto"] = len(libraries)
print(json.dumps(said))
"""


@pytest.fixture(scope="module")
def authority() -> Authority:
    """Who signs the certificates of all that is asked here."""
    return Authority()


@pytest.fixture(scope="module")
def postgresql(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[Any]:
    """A server with TLS, and the file of its authority."""
    if binaries() is None:
        need("PostgreSQL")
    folder = tmp_path_factory.mktemp("postgresql")
    authority.issue().write(folder)
    (folder / "ca.pem").write_bytes(authority.pem)
    with running(durable=False) as server:
        data = server.base / "data"
        owner = data.stat()
        for name in ("server.pem", "server.key"):
            shutil.copy(folder / name, data / name)
            shutil.chown(data / name, owner.st_uid, owner.st_gid)
        engine = create_engine(server.url + "postgres", isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            for statement in (
                "alter system set ssl_cert_file = 'server.pem'",
                "alter system set ssl_key_file = 'server.key'",
                "alter system set ssl = on",
                "select pg_reload_conf()",
                "create database fips",
            ):
                connection.execute(text(statement))
        engine.dispose()
        yield f"{server.url}fips?sslmode=verify-full&sslrootcert={folder / 'ca.pem'}"


@contextlib.contextmanager
def behind_tls(port: int, folder: Path, authority: Authority) -> Iterator[int]:
    """A port that speaks TLS, and passes what is said in it on to another."""
    authority.issue().write(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem", folder / "server.key")

    def passed(source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65_536):
                target.sendall(data)
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_RDWR)

    def take(plain: socket.socket) -> None:
        with contextlib.suppress(OSError), plain:
            with (
                context.wrap_socket(plain, server_side=True) as secured,
                socket.create_connection(("127.0.0.1", port)) as other,
            ):
                back = threading.Thread(target=passed, args=(other, secured), daemon=True)
                back.start()
                passed(secured, other)
                back.join()

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=take, args=(listening.accept()[0],), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=serve, daemon=True).start()
        yield listening.getsockname()[1]
        listening.shutdown(socket.SHUT_RDWR)


def test_all_that_does_cryptography_works_in_one_process(
    fips_home: FipsHome, tmp_path: Path, postgresql: str, authority: Authority
) -> None:
    """A store on each custodian, external signing keys, TLS of four kinds, and hashes."""
    custodians = {name: harness(name).environment(tmp_path / name) for name in NAMES}
    (tmp_path / "ca.pem").write_bytes(authority.pem)
    kms = custodians["aws-kms"]
    port = int(kms["MFN_AWS_ENDPOINT_URL"].rpartition(":")[2])
    environment = {"AWS_CA_BUNDLE": str(tmp_path / "ca.pem")}
    environment["SOFTHSM2_CONF"] = custodians["pkcs11"].pop("SOFTHSM2_CONF")
    of_cbc = ["--tls-protocols", "TLSv1.2", "--tls-ciphers", "ECDHE-ECDSA-AES256-SHA384"]
    with (
        behind_tls(port, tmp_path, authority) as secured,
        redis_server(tmp_path, tls=()) as redis,
        redis_server(tmp_path, tls=of_cbc) as redis_of_cbc,
    ):
        kms["MFN_AWS_ENDPOINT_URL"] = f"https://127.0.0.1:{secured}"
        asked = {
            "custodians": custodians,
            "environment": environment,
            "redis": [
                f"rediss://127.0.0.1:{each}/0?ssl_ca_certs={tmp_path / 'ca.pem'}"
                for each in (redis, redis_of_cbc)
            ],
            "postgresql": postgresql.replace("postgresql+psycopg", "postgresql"),
        }
        ran = fips_home.python_within(STORY.replace("ASKED", repr(json.dumps(asked))))
    assert (ran.code, ran.err) == (0, "")
    said = ran.json
    assert said.pop("libcrypto") >= 2  # Python's, and that of psycopg's wheel
    assert said == {
        "proven": True,
        "local": "local",
        "vault": "refused",
        "aws-kms": "refused",
        "pkcs11": "refused",
        "postgresql": "TLSv1.3",
        "redis": ["ok", "in-memory"],
        "sha256": "ba7816bf",
        "md5": "refused",
    }


def test_the_service_works_with_workers_by_fork(
    fips: FipsHome, tmp_path: Path, postgresql: str, authority: Authority
) -> None:
    """Over Vault and PostgreSQL, with TLS to both and from both; health says on what it runs."""
    vault = harness("vault").environment(fips.home)
    variables = {**vault, "MFN_FIPS_MODE": "true", "MFN_STORE": postgresql}
    authority.issue().write(tmp_path)
    variables["MFN_CONFIG"] = str(configured(tmp_path))
    assert fips.start("init", **variables).code == 0
    context = authority.trusted()
    running = start(fips.home, "--workers", "2", env=variables, verify=context)
    try:
        assert len(running.workers()) == 2
        with running.client() as client:
            sealed = client.post("/crypto/encrypt", json={"data": b64(b"data")}).json()
            found = client.post("/crypto/decrypt", json={"ciphertext": sealed["ciphertext"]}).json()
            assert found["data"] == b64(b"data")
            health = client.get("/health/ready").json()
        assert health["fips"]["sha256"] == fips.start("fips", "status", "--json").json["sha256"]
        assert running.stop() == 0
    finally:
        running.kill()
