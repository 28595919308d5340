"""What carries requests to AWS in FIPS mode, by real handshakes, here outside of that mode.

That it takes no suite that is not approved: tests/integration/test_fips_tls.py.
"""

from __future__ import annotations

import contextlib
import ssl
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING, Any

import pytest
from botocore.session import Session

from mycelium_fractal_net.security.errors import CustodianUnavailableError, FipsModeError
from mycelium_fractal_net.security.key_providers.aws_kms import KmsClient, KmsPlace, client
from mycelium_fractal_net.security.key_providers.aws_kms import carrier as carriers
from mycelium_fractal_net.security.key_providers.aws_kms.carrier import Carrier
from mycelium_fractal_net.security.tls import client_context
from tests.support.tls import Authority

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

REGION = "eu-central-1"


class Answers(BaseHTTPRequestHandler):
    """Whatever is asked, an empty object; of STS, who asked."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        body = b"{}" if "X-Amz-Target" in self.headers else b"<a><GetCallerIdentityResult /></a>"
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def aws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a server that answers over TLS, whose authority AWS_CA_BUNDLE names."""
    authority = Authority()
    authority.issue().write(tmp_path)
    (tmp_path / "ca.pem").write_bytes(authority.pem)
    monkeypatch.setenv("AWS_CA_BUNDLE", str(tmp_path / "ca.pem"))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "server.pem", tmp_path / "server.key")
    with HTTPServer(("127.0.0.1", 0), Answers) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"https://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def contexts(monkeypatch: pytest.MonkeyPatch) -> list[ssl.SSLContext]:
    """Those that this package made for it."""
    made: list[ssl.SSLContext] = []

    def noted() -> ssl.SSLContext:
        made.append(client_context())
        return made[-1]

    monkeypatch.setattr(carriers, "client_context", noted)
    return made


def test_kms_is_asked_over_a_context_of_this_package_in_fips_mode(
    aws: str, contexts: list[ssl.SSLContext], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And outside of it over botocore's own."""
    place = KmsPlace("alias/a", REGION, aws)
    for mode, is_ours in ((None, False), (object(), True)):
        monkeypatch.setattr(client, "proven", lambda mode=mode: mode)
        with contextlib.closing(KmsClient(place)) as made:
            made.ask("list_keys")
        assert any(each.session_stats()["connect_good"] for each in contexts) is is_ours


def test_other_clients_of_the_session_are_carried_too(
    aws: str, contexts: list[ssl.SSLContext]
) -> None:
    """As that of STS, whom botocore asks by itself for the credentials of a role."""
    session = Session()
    with contextlib.closing(Carrier(session, timeout=5)):
        asked: Any = session.create_client("sts", region_name=REGION, endpoint_url=aws)
        asked.get_caller_identity()
    assert sum(each.session_stats()["connect_good"] for each in contexts) == 1


def test_a_place_that_is_asked_again_keeps_its_connections(aws: str) -> None:
    """A context is made once for each."""
    session = Session()
    with contextlib.closing(Carrier(session, timeout=5)) as carrier:
        asked: Any = session.create_client("sts", region_name=REGION, endpoint_url=aws)
        asked.get_caller_identity()
        before = dict(carrier._by_place)
        asked.get_caller_identity()
        assert carrier._by_place == before


def test_a_server_that_nobody_vouches_for_is_refused(
    aws: str, contexts: list[ssl.SSLContext], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is an outage, and says why; the certificates of AWS are those of botocore then."""
    monkeypatch.delenv("AWS_CA_BUNDLE")
    monkeypatch.setattr(client, "proven", object)
    with contextlib.closing(KmsClient(KmsPlace("alias/a", REGION, aws))) as made:
        with pytest.raises(CustodianUnavailableError, match="certificate does not verify"):
            made.ask("list_keys")
    assert not any(each.session_stats()["connect_good"] for each in contexts)


def test_a_botocore_that_takes_no_context_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it makes them in another way one day, nothing is sent."""

    class Other:
        asked = False

    monkeypatch.setattr(carriers, "_http", lambda: Other)
    with pytest.raises(FipsModeError, match="suites that it chooses"):
        Carrier(Session())
