"""What AWS KMS answers, and what that is here: of outage, refusal and wrong row none is another.

No emulator gives most of these codes; botocore's own stub gives them as its parser does.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber

from mycelium_fractal_net.security.errors import (
    ConfigurationError,
    ConflictError,
    CustodianDeniedError,
    CustodianUnavailableError,
    MasterKeyError,
    MfnError,
    StoreIntegrityError,
)
from mycelium_fractal_net.security.key_providers.aws_kms import (
    AWSKMSCustodian,
    KmsClient,
    KmsPlace,
    client,
)
from mycelium_fractal_net.security.key_providers.aws_kms.answers import error_of
from tests.support.custodians.aws_kms import CREDENTIALS, REGION
from tests.support.scripted import read_request
from tests.support.tls import Authority

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.support.custodians.aws_kms import AWSKMSHarness

KEY = "1234abcd-12ab-34cd-56ef-1234567890ab"
SECRET = "of the server's own: hunter2"

CODES: dict[str, tuple[int, type[MfnError], str]] = {
    "AccessDeniedException": (400, CustodianDeniedError, "no permission"),
    "AccessDenied": (403, CustodianDeniedError, "no permission"),
    "DisabledException": (400, CustodianDeniedError, "disabled"),
    "KMSInvalidStateException": (400, CustodianDeniedError, "to be deleted"),
    "InvalidKeyUsageException": (400, CustodianDeniedError, "another use"),
    "UnsupportedOperationException": (400, CustodianDeniedError, "this region"),
    "ExpiredTokenException": (400, CustodianDeniedError, "expired"),
    "UnrecognizedClientException": (400, CustodianDeniedError, "does not know the credentials"),
    "InvalidSignatureException": (400, CustodianDeniedError, "clock"),
    "LimitExceededException": (400, CustodianDeniedError, "as many keys"),
    "ValidationException": (400, CustodianDeniedError, "HTTP 400"),
    "NotFoundException": (400, MasterKeyError, "no such key"),
    "AlreadyExistsException": (400, ConflictError, "already"),
    "InvalidCiphertextException": (400, StoreIntegrityError, "does not open"),
    "IncorrectKeyException": (400, StoreIntegrityError, "does not open"),
    "ThrottlingException": (400, CustodianUnavailableError, "too often"),
    "KMSInternalException": (500, CustodianUnavailableError, "does not serve now"),
    "DependencyTimeoutException": (503, CustodianUnavailableError, "does not serve now"),
    "KeyUnavailableException": (500, CustodianUnavailableError, "does not reach the key"),
    "Unheard-Of": (429, CustodianUnavailableError, "too often"),
    "502": (502, CustodianUnavailableError, "cannot be used"),
}


@pytest.fixture
def made(kms: AWSKMSHarness) -> Iterator[KmsClient]:
    """A client of the KMS on loopback."""
    client = KmsClient(KmsPlace(KEY, region=REGION, endpoint_url=kms.url))
    yield client
    client.close()


@pytest.mark.parametrize("code", CODES)
def test_each_code_is_one_of_our_errors(made: KmsClient, code: str) -> None:
    """With words of ours: the server's are not shown."""
    status, kind, words = CODES[code]
    with Stubber(made._client) as stub:
        stub.add_client_error("decrypt", code, SECRET, status)
        with pytest.raises(MfnError, match=words) as caught:
            made.ask("decrypt", CiphertextBlob=b"?")
    assert type(caught.value) is kind
    assert SECRET not in str(caught.value)
    assert caught.value.__suppress_context__
    assert caught.value.__cause__ is None


def test_an_answer_without_a_code_is_an_outage() -> None:
    """A proxy's page, or half an answer."""
    for code, status in ((None, 200), (7, 302), ({}, None)):
        assert type(error_of(code, status)) is CustodianUnavailableError


@pytest.mark.parametrize(
    ("code", "permitted"),
    [
        ("DryRunOperationException", True),
        ("NotFoundException", True),
        ("AccessDeniedException", False),
        ("ThrottlingException", False),
    ],
)
def test_a_trial_tells_what_is_permitted(made: KmsClient, code: str, permitted: bool) -> None:
    """Where it does not tell, nothing is claimed."""
    with Stubber(made._client) as stub:
        stub.add_client_error("revoke_grant", code, SECRET, 400)
        assert made.permits("revoke_grant", KeyId=KEY, GrantId="0") is permitted


def test_a_trial_in_an_outage_tells_nothing(made: KmsClient, kms: AWSKMSHarness) -> None:
    """Nobody answered."""
    kms.stop()
    try:
        assert not made.permits("list_keys")
    finally:
        kms.start()
    assert made.permits("list_keys")


# Credentials ----------------------------------------------------------------------------------


def credentials_of(path: Path, key: str) -> None:
    """AWS's own file of credentials, with one profile."""
    path.write_text(f"[live]\naws_access_key_id = {key}\naws_secret_access_key = secret\n")


def test_credentials_that_are_refused_are_looked_for_again(
    kms: AWSKMSHarness, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever writes new ones into the file, as a login does, restarts nothing."""
    file = tmp_path / "credentials"
    credentials_of(file, "AKIAFORMER")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    monkeypatch.setattr(client, "_NEW_CREDENTIALS_SECONDS", 0.0)
    made = KmsClient(KmsPlace(KEY, region=REGION, endpoint_url=kms.url, profile="live"))
    credentials_of(file, "AKIANEWER")

    def used() -> str:
        found: str = made._client._request_signer._credentials.access_key
        return found

    with Stubber(made._client) as stub:
        stub.add_client_error("list_keys", "AccessDeniedException")
        stub.add_client_error("list_keys", "ExpiredTokenException")
        with pytest.raises(CustodianDeniedError):
            made.ask("list_keys")
        assert used() == "AKIAFORMER"  # others would not mend that
        with pytest.raises(CustodianDeniedError):
            made.ask("list_keys")
    assert used() == "AKIANEWER"
    made.ask("list_keys")
    made.close()


def test_they_are_looked_for_once_a_second(made: KmsClient) -> None:
    """It takes a tenth of a second of CPU, and every call is refused meanwhile."""
    before = made._client
    with Stubber(before) as stub:
        stub.add_client_error("list_keys", "UnrecognizedClientException")
        with pytest.raises(CustodianDeniedError):
            made.ask("list_keys")
    assert made._client is before


def test_without_credentials_it_is_said_how_to_give_some(
    kms: AWSKMSHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The machine's own are switched off here."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    made = KmsClient(KmsPlace(KEY, region=REGION, endpoint_url=kms.url))
    with pytest.raises(ConfigurationError, match="MFN_AWS_PROFILE"):
        made.ask("list_keys")
    made.close()


def test_half_of_the_credentials_is_said(
    kms: AWSKMSHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before anything is asked."""
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(ConfigurationError, match="a part is missing"):
        KmsClient(KmsPlace(KEY, region=REGION, endpoint_url=kms.url))


def test_a_profile_that_is_not_there_is_named_by_its_setting(kms: AWSKMSHarness) -> None:
    """And not by its name."""
    with pytest.raises(ConfigurationError, match="MFN_AWS_PROFILE") as caught:
        KmsClient(KmsPlace(KEY, region=REGION, endpoint_url=kms.url, profile="nobody"))
    assert "nobody" not in str(caught.value)


def test_without_a_region_nothing_is_asked(kms: AWSKMSHarness) -> None:
    """Neither a setting nor an ARN nor AWS's own names one."""
    with pytest.raises(ConfigurationError, match="MFN_AWS_REGION"):
        KmsClient(KmsPlace(KEY))


def test_the_region_may_come_from_the_settings_of_aws(
    kms: AWSKMSHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And so may FIPS endpoints."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-west-2")
    monkeypatch.setenv("AWS_USE_FIPS_ENDPOINT", "true")
    made = KmsClient(KmsPlace("alias/orders"))
    assert made.region == "us-west-2"
    assert made.address == "https://kms-fips.us-west-2.amazonaws.com"
    made.close()


def test_what_aws_settings_say_is_checked_too(
    kms: AWSKMSHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An address of theirs without TLS; a region that is none."""
    with pytest.raises(ConfigurationError, match="cannot be used"):
        KmsClient(KmsPlace(KEY, region="no region"))
    monkeypatch.setenv("AWS_ENDPOINT_URL_KMS", "http://10.0.0.1:4566")
    with pytest.raises(ConfigurationError, match="AWS's own"):
        KmsClient(KmsPlace(KEY, region=REGION))


# The network ----------------------------------------------------------------------------------


@contextlib.contextmanager
def listening(serve: Callable[[socket.socket], None]) -> Iterator[str]:
    """A listener on loopback that does as the test says with each connection; its host and port."""
    listener = socket.create_server(("127.0.0.1", 0))
    kept: list[socket.socket] = []

    def run() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            kept.append(connection)
            with contextlib.suppress(OSError):
                serve(connection)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield f"127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()
        for each in kept:
            each.close()


def cut(connection: socket.socket) -> None:
    """Read the request and break off in the answer."""
    read_request(connection)
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{")
    connection.close()


def closed(connection: socket.socket) -> None:
    """Hang up without an answer."""
    read_request(connection)
    connection.shutdown(socket.SHUT_RDWR)


def nonsense(connection: socket.socket) -> None:
    """Answer with what is no JSON."""
    read_request(connection)
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>")


def redirect(connection: socket.socket) -> None:
    """Send them somewhere else, where nobody is."""
    read_request(connection)
    connection.sendall(
        b"HTTP/1.1 307 T\r\nLocation: http://127.0.0.1:9/\r\nContent-Length: 0\r\n\r\n"
    )


def silent(connection: socket.socket) -> None:
    """Say nothing."""


@pytest.mark.parametrize(
    ("serve", "words"),
    [
        (cut, "answers without what was asked"),
        (nonsense, "answers without what was asked"),
        (closed, "breaks off its answer"),
        (redirect, "answers what cannot be used"),
        (silent, "does not answer in time"),
    ],
)
def test_what_the_network_does_is_an_outage(
    kms: AWSKMSHarness,
    monkeypatch: pytest.MonkeyPatch,
    serve: Callable[[socket.socket], None],
    words: str,
) -> None:
    """Asked once: botocore's own attempts are switched off."""
    monkeypatch.setattr(client, "READ_SECONDS", 0.3)
    asked = 0

    def counted(connection: socket.socket) -> None:
        nonlocal asked
        asked += 1
        serve(connection)

    with listening(counted) as address:
        with pytest.raises(CustodianUnavailableError, match=words):
            AWSKMSCustodian(KmsPlace(KEY, region=REGION, endpoint_url=f"http://{address}"))
    assert asked == 1


def test_a_certificate_of_somebody_else_is_an_outage_with_its_cause(
    kms: AWSKMSHarness, tmp_path: Path
) -> None:
    """No request is sent over such a connection."""
    Authority().issue().write(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "server.pem", tmp_path / "server.key")

    def serve(connection: socket.socket) -> None:
        context.wrap_socket(connection, server_side=True)

    with listening(serve) as address:
        made = KmsClient(KmsPlace(KEY, region=REGION, endpoint_url=f"https://{address}"))
        with pytest.raises(CustodianUnavailableError, match="certificate"):
            made.ask("list_keys")
        made.close()


def test_an_error_that_nobody_foresaw_is_an_outage(made: KmsClient) -> None:
    """And its text stays where it is."""

    def broken(**_: Any) -> None:
        raise ZeroDivisionError(SECRET)

    made._client.list_keys = broken
    with pytest.raises(CustodianUnavailableError, match=r"\(ZeroDivisionError\)") as caught:
        made.ask("list_keys")
    assert SECRET not in str(caught.value)
    assert CREDENTIALS["AWS_SECRET_ACCESS_KEY"] not in str(caught.value)
    assert not isinstance(caught.value.__cause__, ClientError)
