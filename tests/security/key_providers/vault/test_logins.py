"""How a token is had, kept and had anew, at a real OpenBao."""

from __future__ import annotations

import base64
import gc
import http.server
import json
import logging
import os
import threading
import time
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from mycelium_fractal_net.security.errors import (
    ConfigurationError,
    CustodianDeniedError,
    CustodianUnavailableError,
)
from mycelium_fractal_net.security.key_providers.vault.logins import (
    AppRole,
    Certificate,
    GivenToken,
    Jwt,
    TokenFile,
)
from mycelium_fractal_net.security.key_providers.vault.session import Session
from mycelium_fractal_net.security.key_providers.vault.transport import Address, Transport
from tests.support.scripted import answer, scripted
from tests.support.tls import Authority

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mycelium_fractal_net.security.key_providers.vault.logins import Login
    from tests.support.custodians.vault import Bao


def session_of(bao: Bao, login: Login) -> Session:
    return Session(Transport(Address.parse(bao.address, ca_file=bao.ca_file)), login)


def who(session: Session) -> str:
    """The accessor of the token in use: another one for each login."""
    answered = session.ask("GET", "auth/token/lookup-self")
    assert answered.status == 200, answered
    return str(answered.document["data"]["accessor"])


def written(path: Path, text: str) -> Path:
    path.write_text(text)
    path.chmod(0o600)
    return path


@pytest.fixture
def approle(bao: Bao, name: str, tmp_path: Path) -> AppRole:
    """A login whose tokens last 3 seconds, and at most 5."""
    bao.enable("approle")
    bao.write_policy(name, "")
    bao.asked("POST", f"auth/approle/role/{name}", {
        "token_policies": [name], "token_ttl": "3s", "token_max_ttl": "5s",
    })  # fmt: skip
    role_id = bao.asked("GET", f"auth/approle/role/{name}/role-id")["data"]["role_id"]
    secret_id = bao.asked("POST", f"auth/approle/role/{name}/secret-id")["data"]["secret_id"]
    return AppRole("approle", role_id, written(tmp_path / "secret-id", f"{secret_id}\n"))


def test_a_token_in_a_file_is_read_anew_when_it_changes(
    bao: Bao, name: str, tmp_path: Path
) -> None:
    """Also where it is away for a moment, and where the old one was revoked before."""
    bao.write_policy(name, "")
    first, second = bao.token(name), bao.token(name)
    file = written(tmp_path / "token", f"{first}\n# ignored\n")
    session = session_of(bao, TokenFile(file))
    before = who(session)
    file.unlink()
    assert who(session) == before
    written(tmp_path / "new", second).rename(file)
    assert who(session) != before
    bao.asked("POST", "auth/token/revoke", {"token": second})
    third = bao.token(name)
    status = file.stat()
    file.write_text(third)
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))  # it looks as it did
    assert who(session) != before
    bao.asked("POST", "auth/token/revoke", {"token": third})
    assert session.ask("GET", "auth/token/lookup-self").status == 403
    session.close()


@pytest.mark.parametrize("content", ["", "two words", "caf\u00e9"])
def test_a_file_without_a_token_is_named(tmp_path: Path, content: str) -> None:
    """What is in it is not shown."""
    for file in (written(tmp_path / "token", content), tmp_path / "absent"):
        session = Session(Transport(Address("127.0.0.1", 1)), TokenFile(file))
        with pytest.raises(ConfigurationError, match="vault_token_file"):
            session.ask("GET", "x")
    with pytest.raises(ConfigurationError, match="MFN_VAULT_TOKEN"):
        GivenToken("two words")


def test_a_login_by_approle_outlives_its_tokens(bao: Bao, approle: AppRole) -> None:
    """They are renewed while they can be, and had anew at the end of their longest life."""
    session = session_of(bao, approle)
    seen = {who(session)}
    end = time.monotonic() + 5.5
    while time.monotonic() < end:
        seen.add(who(session))
        time.sleep(0.2)
    assert 2 <= len(seen) <= 4
    session.close()


def test_a_token_that_nobody_kept_is_had_anew(bao: Bao, approle: AppRole) -> None:
    """It ended while the thread that keeps it slept, or was revoked."""
    session = session_of(bao, approle)
    first = who(session)
    session.stop_keeping()
    time.sleep(3.2)
    second = who(session)
    assert second != first
    time.sleep(1.1)
    bao.asked("POST", "auth/token/revoke-accessor", {"accessor": second})
    assert who(session) not in {first, second}
    session.close()


def test_threads_that_need_a_token_at_once_log_in_once(
    bao: Bao, name: str, tmp_path: Path, approle: AppRole
) -> None:
    """The secret id serves once: a second login would be refused."""
    body = {"num_uses": 1}
    made = bao.asked("POST", f"auth/approle/role/{name}/secret-id", body)
    written(tmp_path / "secret-id", made["data"]["secret_id"])
    session = session_of(bao, approle)
    found: list[str] = []
    threads = [threading.Thread(target=lambda: found.append(who(session))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(found)) == 1
    session._obtain(None)  # who saw that there was none, and comes after another had one
    session.close()
    with pytest.raises(CustodianDeniedError, match="refuses the login by approle at auth/approle"):
        who(session_of(bao, approle))


def test_a_refusal_by_a_policy_is_no_reason_to_log_in_again(bao: Bao, approle: AppRole) -> None:
    """The token is as good as another would be."""
    session = session_of(bao, approle)
    before = who(session)
    time.sleep(1.1)
    assert session.ask("GET", "transit/keys/none").status == 403
    assert "policy of the token lacks" in str(session.denied("transit/keys/none", "read"))
    assert who(session) == before
    session.close()


def jwt_of(key: ec.EllipticCurvePrivateKey, **claims: object) -> str:
    """A JWT by ES256 (RFC 7518 section 3.4)."""

    def encoded(content: bytes) -> bytes:
        return base64.urlsafe_b64encode(content).rstrip(b"=")

    now = int(time.time())
    times = {"iat": now, "nbf": now - 5, "exp": now + 600}
    parts = ({"alg": "ES256", "typ": "JWT"}, {**times, **claims})
    signed = b".".join(encoded(json.dumps(each).encode()) for each in parts)
    r, s = decode_dss_signature(key.sign(signed, ec.ECDSA(hashes.SHA256())))
    return (signed + b"." + encoded(r.to_bytes(32, "big") + s.to_bytes(32, "big"))).decode()


def test_a_workload_logs_in_with_its_jwt(bao: Bao, name: str, tmp_path: Path) -> None:
    """Which is read from its file each time; one for another audience is refused."""
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    bao.enable("jwt")
    bao.asked("POST", "auth/jwt/config", {"jwt_validation_pubkeys": [pem.decode()]})
    bao.asked("POST", f"auth/jwt/role/{name}", {
        "role_type": "jwt", "user_claim": "sub", "bound_audiences": ["vault"], "token_ttl": "1h",
    })  # fmt: skip
    file = written(tmp_path / "jwt", jwt_of(key, sub="orders", aud="vault"))
    session = session_of(bao, Jwt("jwt", "jwt", name, file))
    assert who(session)
    session.close()
    written(file, jwt_of(key, sub="orders", aud="others"))
    with pytest.raises(CustodianDeniedError, match="login by jwt"):
        who(session_of(bao, Jwt("jwt", "jwt", name, file)))


class _Reviews(http.server.BaseHTTPRequestHandler):
    """The one endpoint of a cluster's API that is asked: it knows every token."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        user = {
            "username": "system:serviceaccount:shop:orders", "uid": "1", "groups": [],
        }  # fmt: skip
        asked["status"] = {"authenticated": True, "user": user}
        body = json.dumps(asked).encode()
        self.send_response(201)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def cluster() -> Iterator[str]:
    """What stands for the API of a cluster."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Reviews)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_a_pod_logs_in_with_its_service_account(
    bao: Bao, name: str, tmp_path: Path, cluster: str
) -> None:
    """The auth method is real, and asks what stands for the cluster whether it knows the token."""
    bao.enable("kubernetes")
    bao.asked("POST", "auth/kubernetes/config", {
        "kubernetes_host": cluster,
        "kubernetes_ca_cert": bao.authority.pem.decode(),
        "disable_local_ca_jwt": True,
    })  # fmt: skip
    bao.asked("POST", f"auth/kubernetes/role/{name}", {
        "bound_service_account_names": ["orders"],
        "bound_service_account_namespaces": ["shop"],
        "token_ttl": "1h",
    })  # fmt: skip
    account = {
        "iss": "kubernetes/serviceaccount", "sub": "system:serviceaccount:shop:orders",
        "kubernetes.io": {
            "namespace": "shop", "serviceaccount": {"name": "orders", "uid": "1"},
        },
    }  # fmt: skip
    file = written(tmp_path / "jwt", jwt_of(ec.generate_private_key(ec.SECP256R1()), **account))
    session = session_of(bao, Jwt("kubernetes", "kubernetes", name, file))
    assert who(session)
    session.close()


def test_a_machine_logs_in_with_its_certificate(bao: Bao, name: str, tmp_path: Path) -> None:
    """By a role, or by whichever accepts it; one of a stranger is refused."""
    authority = Authority()
    bao.enable("cert")
    bao.write_policy(name, "")
    bao.asked("POST", f"auth/cert/certs/{name}", {
        "certificate": authority.pem.decode(), "token_policies": [name], "token_ttl": "1h",
    })  # fmt: skip
    for issuer in (authority, Authority()):
        issuer.issue("client").write(tmp_path)
        address = Address.parse(
            bao.address,
            ca_file=bao.ca_file,
            certificate=tmp_path / "server.pem",
            private_key=tmp_path / "server.key",
        )
        for role in (name, None):
            session = Session(Transport(address), Certificate("cert", role))
            if issuer is authority:
                assert who(session)
            else:
                with pytest.raises(CustodianDeniedError, match="login by cert"):
                    who(session)
            session.close()


# Keeping ------------------------------------------------------------------------------------


def test_a_token_that_was_given_is_renewed(bao: Bao, name: str) -> None:
    """A periodic one, for as long as the process lives; a token without an end is left alone."""
    bao.write_policy(name, "")
    session = session_of(bao, GivenToken(bao.token(name, period="4s")))
    who(session)
    session.stop_keeping()
    assert 1 <= session.keep_token() <= 4  # it was looked at, and is due after two thirds
    time.sleep(2.8)
    assert 1 <= session.keep_token() <= 4
    time.sleep(1.4)
    assert who(session)
    session.close()
    endless = session_of(bao, GivenToken(bao.root_token))
    who(endless)
    assert endless.keep_token() == 60
    endless.close()


def test_a_token_that_was_given_ends_where_nothing_renews_it(
    bao: Bao, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It is tried to the end, and then no more."""
    bao.write_policy(name, "")
    session = session_of(bao, GivenToken(bao.token(name, ttl="2s", explicit_max_ttl="2s")))
    who(session)
    session.stop_keeping()
    with caplog.at_level(logging.WARNING):
        session.keep_token()
        time.sleep(1.5)
        session.keep_token()
        time.sleep(1.0)
        assert session.keep_token() == 60
    assert "does not accept the token" in str(session.denied("x", "read"))
    session.close()


def lease(seconds: object, token: object = "t", **more: object) -> bytes:
    return answer(200, {"auth": {"client_token": token, "lease_duration": seconds, **more}})


def scripted_session(address: str, tmp_path: Path) -> Session:
    login = AppRole("approle", "role", written(tmp_path / "secret", "secret"))
    return Session(Transport(Address.parse(address)), login)


@pytest.mark.parametrize("said", [lease(1, token=None), lease(1, token="a b"), answer(200, {})])
def test_a_login_that_gives_no_token_is_an_outage(said: bytes, tmp_path: Path) -> None:
    """Nothing is sent with it."""
    with scripted(said) as server:
        with pytest.raises(CustodianUnavailableError, match="with no token"):
            scripted_session(server.address, tmp_path).ask("GET", "x")
        assert len(server.requests) == 1


def test_a_login_where_the_server_fails_is_an_outage(tmp_path: Path) -> None:
    """And no refusal."""
    with scripted(answer(500, {})) as server:
        with pytest.raises(CustodianUnavailableError, match="status 500"):
            scripted_session(server.address, tmp_path).ask("GET", "x")


@pytest.mark.parametrize(
    "refusal", [answer(500), answer(403), lease(0), lease("soon"), lease(10**400)]
)
def test_where_a_renewal_fails_a_login_follows(refusal: bytes, tmp_path: Path) -> None:
    """Past the longest life a renewal answers 500, and later everything 403."""
    said = (lease(1, renewable=True), answer(200, {}), refusal, lease(3600, token="u"))
    with scripted(*said) as server:
        session = scripted_session(server.address, tmp_path)
        session.ask("GET", "x")
        session.stop_keeping()
        time.sleep(0.8)
        assert session.keep_token() == 60
        assert [each.split()[1] for each in server.requests] == [
            b"/v1/auth/approle/login", b"/v1/x", b"/v1/auth/token/renew-self",
            b"/v1/auth/approle/login",
        ]  # fmt: skip
        session.close()


def test_what_keeps_a_token_waits_while_the_server_is_away(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It says so, and tries again in 5 seconds; a token that was given too."""
    with scripted(lease(1), answer(200, {}), answer(503)) as server:
        session = scripted_session(server.address, tmp_path)
        session.ask("GET", "x")
        session.stop_keeping()
        time.sleep(0.8)
        assert session.keep_token() == 5
    told = answer(200, {"data": {"ttl": 2, "renewable": True}})
    with scripted(answer(200, {}), told, answer(503)) as server:
        given = Session(Transport(Address.parse(server.address)), GivenToken("t"))
        given.ask("GET", "x")
        given.stop_keeping()
        given.keep_token()
        time.sleep(1.5)
        assert given.keep_token() == 5
    assert caplog.text.count("the token of Vault is not renewed") == 2
    assert session.keep_token() == 5  # nobody listens


def test_a_token_that_was_given_serves_where_it_is_not_renewed(tmp_path: Path) -> None:
    """Until it ends."""
    told = answer(200, {"data": {"ttl": 2, "renewable": True}})
    with scripted(answer(200, {}), told, answer(500, {}), answer(200, {})) as server:
        session = Session(Transport(Address.parse(server.address)), GivenToken("t"))
        session.ask("GET", "x")
        session.stop_keeping()
        session.keep_token()
        time.sleep(1.5)
        assert session.keep_token() == 1
        assert session.ask("GET", "x").status == 200
        session.close()


def test_a_token_that_was_replaced_while_the_old_one_was_looked_at_stays(tmp_path: Path) -> None:
    """What is said of the old one is forgotten."""
    told = answer(200, {"data": {"ttl": 100}})
    file = written(tmp_path / "token", "first")
    with scripted(answer(200, {}), (0.01, told), answer(200, {})) as server:
        session = Session(Transport(Address.parse(server.address)), TokenFile(file))
        session.ask("GET", "x")
        session.stop_keeping()
        looking = threading.Thread(target=session.keep_token)
        looking.start()
        while len(server.requests) < 2:
            time.sleep(0.01)
        written(tmp_path / "token", "second")
        session.ask("GET", "y")
        looking.join()
        session.ask("GET", "z")
        assert [b"second" in each for each in server.requests] == [False, False, True, True]
        session.close()


def test_the_thread_ends_with_its_session(bao: Bao, approle: AppRole) -> None:
    """Closed, or forgotten; before it asked for anything there is none."""
    before = threading.active_count()
    session = session_of(bao, approle)
    assert session.keep_token() == 60
    who(session)
    assert threading.active_count() == before + 1
    del session
    gc.collect()
    deadline = time.monotonic() + 5
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.02)
    assert threading.active_count() == before
