"""Where the service is, and how connections to it are made."""

from __future__ import annotations

import ssl
import threading
from typing import TYPE_CHECKING, Any, Final

import httpx

from mycelium_fractal_net.client.duplex import DuplexTransport
from mycelium_fractal_net.client.signing import RequestSigner
from mycelium_fractal_net.security.addresses import is_loopback
from mycelium_fractal_net.security.errors import InvalidInputError
from mycelium_fractal_net.security.tls import client_context

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from mycelium_fractal_net.client.replies import AttemptResult
    from mycelium_fractal_net.client.steps import Request

# The service does not compress; and a body that is expanded here could be made to fill the memory.
_HEADERS: Final = {"Accept-Encoding": "identity", "Accept": "*/*"}
_CONNECT_SECONDS: Final = 5.0


class ServiceConnections:
    """How connections are made. No environment variable is looked at: a proxy that one names
    would get the API key of a service on this machine.
    """

    def __init__(
        self,
        url: httpx.URL,
        timeout: float,
        auth: httpx.Auth | None,
        context: ssl.SSLContext | None,
    ) -> None:
        if not timeout > 0:
            raise InvalidInputError("a timeout is some seconds")
        if context is not None and (
            context.verify_mode is not ssl.CERT_REQUIRED or not context.check_hostname
        ):
            raise InvalidInputError("a TLS context must verify certificates and their names")
        self.url = url
        self._auth = auth
        self._timeout = httpx.Timeout(timeout, connect=min(timeout, _CONNECT_SECONDS))
        self._context = context
        self._lock = threading.Lock()

    def options(self) -> dict[str, Any]:
        """What a client of httpx is told here."""
        return {
            "base_url": self.url,
            "headers": _HEADERS,
            "timeout": self._timeout,
            "auth": self._auth,
            "trust_env": False,
            "follow_redirects": False,
            # Certificates are not read where there is no TLS.
            "verify": self._tls() if self.url.scheme == "https" else True,
        }

    def transfer(self, request: Request) -> AttemptResult:
        """One attempt at a request with a transfer, on a connection of its own."""
        assert request.transfer is not None  # noqa: S101 - the caller looked
        with httpx.Client(**self.options(), transport=DuplexTransport(self._tls)) as http:

            def send(
                content: Iterator[bytes], headers: dict[str, str]
            ) -> AbstractContextManager[httpx.Response]:
                return http.stream(
                    request.method,
                    request.path,
                    params=request.query,
                    content=content,
                    headers=[*request.headers, *headers.items()],
                )

            auth = self._auth
            digest = auth.stream_digest if isinstance(auth, RequestSigner) else None
            return request.transfer.run(send, digest)

    def _tls(self) -> ssl.SSLContext:
        """By default with the authorities that this machine trusts."""
        with self._lock:
            if self._context is None:
                context = client_context()
                context.load_default_certs()
                self._context = context
            return self._context


def checked_url(base_url: str, *, allow_plain_http: bool) -> httpx.URL:
    """The address of a service. Raises :class:`InvalidInputError`, which does not quote it.

    Without TLS whoever is on the way reads the API key and the plaintexts: only a loopback
    address may be reached so, unless that is allowed.
    """
    try:
        url = httpx.URL(base_url)
    except (httpx.InvalidURL, TypeError, ValueError):
        url = httpx.URL()
    if url.scheme not in ("https", "http") or not url.host:
        raise InvalidInputError("the address of a service begins with https:// and names a host")
    if url.userinfo or url.query or url.fragment:
        raise InvalidInputError("the address of a service has no user, query or fragment")
    if url.scheme == "http" and not allow_plain_http and not is_loopback(url.host):
        raise InvalidInputError(
            "http:// sends the API key in the clear: use https://, or allow_plain_http=True"
            " where the way to the service is safe"
        )
    return url
