"""HTTP to one Vault or OpenBao, over sockets and TLS of the standard library.

It goes to the configured address and to nobody else: no proxy and no variable of the environment
is looked at, and no redirect is followed, so that the token is sent nowhere. A call has a deadline
over all that it does, connecting and the TLS handshake included, and a server that sends a byte
now and then does not outlast it. An answer is bounded. Connections are kept and used by one call
at a time. Of what the server says nothing is put into an error.
"""

from __future__ import annotations

import contextlib
import json
import select
import socket
import ssl
import threading
import weakref
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import urlsplit

from mycelium_fractal_net.security.addresses import is_loopback
from mycelium_fractal_net.security.errors import ConfigurationError, CustodianUnavailableError
from mycelium_fractal_net.security.key_providers.vault.messages import (
    AnswerRead,
    Incoming,
    read_answer,
    request_bytes,
)
from mycelium_fractal_net.security.tls import client_context

if TYPE_CHECKING:
    from collections.abc import Mapping

CALL_SECONDS: Final = 5.0  # a whole call; a batch of 190 keys takes 0.02 s
ANSWER_BYTES: Final = 1 << 20  # a batch of 190 keys is 0.1 MiB
_KEPT_CONNECTIONS: Final = 16  # as many as RemoteCustodian has threads
KEPT_SECONDS: Final = 45.0  # shorter than what load balancers leave idle (60 s)
FAILS: Final = 500  # also how OpenBao refuses to sign with a key that is deleted
_PORTS: Final = {"http": 80, "https": 443}
_RECEIVED_BYTES: Final = 65_536  # at once


@dataclass(frozen=True, slots=True)
class Address:
    """Where the server is, and how it is known to be the one."""

    host: str
    port: int
    tls: bool = True
    ca_file: Path | None = None
    certificate: Path | None = None
    private_key: Path | None = None

    @classmethod
    def parse(
        cls,
        url: str,
        *,
        ca_file: Path | None = None,
        certificate: Path | None = None,
        private_key: Path | None = None,
    ) -> Address:
        """The address in ``https://HOST:PORT``.

        ``http`` is for loopback alone: keys and the token are in what is sent. Raises
        :class:`ConfigurationError`, which does not show it.
        """
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            raise ConfigurationError(_NO_ADDRESS) from None
        host = parts.hostname
        beyond = parts.path.strip("/") or parts.query or parts.fragment or "@" in parts.netloc
        if parts.scheme not in _PORTS or not host or not host.isascii() or beyond:
            raise ConfigurationError(_NO_ADDRESS)
        tls = parts.scheme == "https"
        if not tls and not is_loopback(host):
            raise ConfigurationError(
                "the address of Vault (MFN_VAULT_ADDR) is http: keys and the token would be read"
                " on the way; https is needed, or a host that is this machine itself"
            )
        chosen = _PORTS[parts.scheme] if port is None else port
        return cls(host, chosen, tls, ca_file, certificate, private_key)

    def __str__(self) -> str:
        return f"{'https' if self.tls else 'http'}://{self.named_host}"

    @property
    def named_host(self) -> str:
        """The host and the port, as a request names them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    def context(self) -> ssl.SSLContext | None:
        """What TLS is spoken with: 1.2 or newer, the named authorities or those of the system."""
        if not self.tls:
            return None
        context = client_context()
        try:
            if self.ca_file is None:
                context.load_default_certs()
            else:
                context.load_verify_locations(self.ca_file)
        except (OSError, ssl.SSLError):
            raise ConfigurationError(
                f"no certificate of an authority can be read from {self.ca_file}"
                " (MFN_VAULT_CA_FILE)"
            ) from None
        if self.certificate is not None:
            try:
                context.load_cert_chain(self.certificate, self.private_key, password=_no_password)
            except (OSError, ssl.SSLError, ValueError):
                raise ConfigurationError(
                    f"no certificate with its private key, unencrypted, can be read from"
                    f" {self.certificate} (vault_client_certificate, vault_client_key)"
                ) from None
        return context


_NO_ADDRESS: Final = (
    "the address of Vault (MFN_VAULT_ADDR) must be https://HOST:PORT, without a path and a user"
)


def _no_password() -> str:
    raise ValueError("a terminal would be asked")


class Answer(NamedTuple):
    """The status, and the JSON object in the body: empty where there is none."""

    status: int
    document: dict[str, Any]


class Transport:
    """Calls to one address, from any thread."""

    def __init__(
        self,
        address: Address,
        *,
        call_seconds: float = CALL_SECONDS,
        kept_seconds: float = KEPT_SECONDS,
    ) -> None:
        self.address = address
        self._call_seconds = call_seconds
        self._kept_seconds = kept_seconds
        self._context = address.context()
        self._lock = threading.Lock()
        self._idle: list[tuple[float, _Connection]] = []  # since when; the latest last
        self._closed = False
        weakref.finalize(self, _close_all, self._idle)

    def call(
        self, method: str, path: str, headers: Mapping[str, str], body: object = None
    ) -> Answer:
        """One request to ``/v1/PATH``. Raises :class:`CustodianUnavailableError`.

        ``path`` holds no character that must be quoted. A status that says that the server does
        not serve now is raised, and so is a redirect: any other is the caller's to judge, 500 too,
        which servers also answer where they refuse.
        """
        deadline = monotonic() + self._call_seconds
        content = None if body is None else json.dumps(body, separators=(",", ":")).encode()
        sent = {"Content-Type": "application/json"} if content is not None else {}
        connection: _Connection | None = None
        try:
            connection = self._connection(deadline)
            status, text, stays = connection.exchange(
                deadline, method, f"/v1/{path}", content, {**sent, **headers}
            )
        except _BREAKS as error:
            if connection is not None:
                connection.close()
            raise _outage(error) from None
        if stays:
            self._keep(connection)
        else:
            connection.close()
        _refuse_outage(status)
        return Answer(status, _document(text))

    def _connection(self, deadline: float) -> _Connection:
        with self._lock:
            while self._idle:
                since, connection = self._idle.pop()
                if monotonic() - since < self._kept_seconds and connection.is_quiet():
                    return connection
                connection.close()
        return _Connection(self.address, self._context, deadline)

    def _keep(self, connection: _Connection) -> None:
        with self._lock:
            if not self._closed and len(self._idle) < _KEPT_CONNECTIONS:
                self._idle.append((monotonic(), connection))
                return
        connection.close()

    def close(self) -> None:
        """Close what is kept, and keep nothing from now on."""
        with self._lock:
            self._closed = True
            _close_all(self._idle)


def _close_all(idle: list[tuple[float, _Connection]]) -> None:
    while idle:
        idle.pop()[1].close()


class _Connection:
    """A connection; of its calls each has a deadline, over all that it does."""

    def __init__(self, address: Address, context: ssl.SSLContext | None, deadline: float) -> None:
        self._host = address.named_host
        self._deadline = deadline
        self._incoming = Incoming(self._receive)
        place = (address.host, address.port)
        self._socket = socket.create_connection(place, _left(deadline))
        try:
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if context is not None:
                self._socket.settimeout(_left(deadline))  # over the whole handshake
                self._socket = context.wrap_socket(self._socket, server_hostname=address.host)
        except BaseException:
            self.close()
            raise

    def exchange(
        self,
        deadline: float,
        method: str,
        target: str,
        content: bytes | None,
        fields: Mapping[str, str],
    ) -> AnswerRead:
        """Ask, and read the answer; whether another call can follow is said with it."""
        self._deadline = deadline
        sent = request_bytes(method, target, self._host, fields, content)
        self._socket.settimeout(_left(deadline))
        self._socket.sendall(sent)
        return read_answer(self._incoming, ANSWER_BYTES)

    def _receive(self) -> bytes:
        self._socket.settimeout(_left(self._deadline))
        return self._socket.recv(_RECEIVED_BYTES)

    def is_quiet(self) -> bool:
        """Whether nothing came since its last answer: neither bytes nor the end."""
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        return self._incoming.is_empty and not poll.poll(0)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.close()


def _left(deadline: float) -> float:
    left = deadline - monotonic()
    if left <= 0:
        raise TimeoutError
    return left


# What went wrong ----------------------------------------------------------------------------

_STATUS_TEXTS: Final = {
    412: "Vault is behind the node that was asked before",
    429: "Vault is a standby, or limits how often it is asked",
    472: "Vault is a standby for disaster recovery",
    473: "Vault is a standby",
    501: "Vault is not initialised: bao operator init",
    503: "Vault is sealed or in maintenance: bao operator unseal",
}


def _refuse_outage(status: int) -> None:
    known = _STATUS_TEXTS.get(status)
    if known is not None:
        raise CustodianUnavailableError(known)
    if 300 <= status < 400:
        raise CustodianUnavailableError(
            "Vault is a standby that sends elsewhere, which is not followed: set MFN_VAULT_ADDR to"
            " an address that leads to the active node"
        )
    if status > FAILS:
        raise unusable(status)


def unusable(status: int) -> CustodianUnavailableError:
    """The error for an answer with that status from which nothing can be taken."""
    if status >= FAILS:
        return CustodianUnavailableError(f"Vault fails, with status {status}")
    return CustodianUnavailableError("Vault answers what cannot be used")


_BREAKS: Final = (
    OSError,
    UnicodeError,  # a name that no host can have
    CustodianUnavailableError,
)


def _outage(error: Exception) -> CustodianUnavailableError:
    """What to raise for what a connection raised; nothing of the text is shown."""
    if isinstance(error, CustodianUnavailableError):
        return error
    if isinstance(error, TimeoutError):
        return CustodianUnavailableError("Vault does not answer in time")
    if isinstance(error, ssl.SSLCertVerificationError):
        return CustodianUnavailableError(
            "the certificate of Vault is not accepted: it has expired, is for another name, or"
            " comes from an authority that is not in MFN_VAULT_CA_FILE"
        )
    if isinstance(error, ssl.SSLError):
        return CustodianUnavailableError("TLS with Vault fails")
    if isinstance(error, ConnectionRefusedError):
        return CustodianUnavailableError("Vault does not listen: the connection is refused")
    if isinstance(error, socket.gaierror):
        return CustodianUnavailableError("the name of Vault's host is not known")
    return CustodianUnavailableError(f"the connection to Vault broke ({type(error).__name__})")


def _document(text: bytes) -> dict[str, Any]:
    if not text:
        return {}
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise CustodianUnavailableError("Vault answers what is no JSON object")
    return found
