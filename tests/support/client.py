"""Our own client in tests: of the real service, of invented answers, and through TLS."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import threading
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from mycelium_fractal_net.client import Client, Retries

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.support.service import Running

API_KEY = "mfn_aaaaaaaaaaaaaaaa_" + "s" * 43
QUICK = Retries(attempts=4, seconds=5.0, base=0.001, longest=0.002)


class Counting(httpx.HTTPTransport):
    """httpx's own transport, which counts what goes through it."""

    def __init__(self) -> None:
        super().__init__()
        self.paths: list[str] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.paths.append(request.url.path)
        return super().handle_request(request)


class Clock:
    """Time that passes when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def remote(service: Running) -> Iterator[Client]:
    """Our client of the real service, with the first API key."""
    with Client(service.url, service.api_key, retries=QUICK) as client:
        yield client


def answering(
    *answers: httpx.Response | Exception | Callable[[httpx.Request], httpx.Response],
    **options: Any,
) -> tuple[Client, list[httpx.Request]]:
    """A client that gets those answers, one for each request, the last one for ever."""
    requests: list[httpx.Request] = []

    def handle(request: httpx.Request) -> httpx.Response:
        answer = answers[min(len(requests), len(answers) - 1)]
        requests.append(request)
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, httpx.Response):
            return httpx.Response(
                answer.status_code, headers=answer.headers, content=answer.content
            )
        return answer(request)

    transport = httpx.MockTransport(handle)
    given = {"retries": QUICK, **options}
    return Client("https://keys.example", API_KEY, transport=transport, **given), requests


def problem(slug: str, status: int, detail: str = "it is so", **headers: str) -> httpx.Response:
    """A problem as the service answers it."""
    body = {"type": f"/problems/{slug}", "title": "T", "status": status, "detail": detail}
    given = {"content-type": "application/problem+json", "x-request-id": "52e5", **headers}
    return httpx.Response(status, json=body, headers=given)


# TLS ------------------------------------------------------------------------------------------


def certificate(folder: Path, host: str = "127.0.0.1") -> tuple[Path, Path]:
    """A self-signed certificate for that address and its key, as PEM files."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address(host))]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    pem, private = folder / "cert.pem", folder / "key.pem"
    pem.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return pem, private


@contextlib.contextmanager
def tls_front(running: Running, cert: Path, key: Path) -> Iterator[str]:
    """What ends TLS in front of a service, as an address."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(cert, key)
    loop = asyncio.new_event_loop()
    ready: list[int] = []
    stop = asyncio.Event()

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while part := await reader.read(65_536):
                writer.write(part)
                await writer.drain()
        with contextlib.suppress(OSError):
            writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        behind = await asyncio.open_connection(*running.address())
        await asyncio.gather(pump(reader, behind[1]), pump(behind[0], writer))

    async def main(started: threading.Event) -> None:
        server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
        ready.append(server.sockets[0].getsockname()[1])
        started.set()
        await stop.wait()
        server.close()

    started = threading.Event()
    thread = threading.Thread(target=lambda: loop.run_until_complete(main(started)))
    thread.start()
    started.wait(10)
    try:
        yield f"https://127.0.0.1:{ready[0]}"
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0.05))
        loop.close()
