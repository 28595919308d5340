"""What carries requests to AWS in FIPS mode: botocore's HTTP, over TLS contexts of this package.

Those that botocore makes have whatever suites this Python has, AES-CBC and DHE among them, and it
has no setting for them. Before it sends a request, it asks whoever listens to ``before-send`` for
an answer. A session's listener is that of each of its clients, so also of those that it makes by
itself, as for credentials that STS gives.
"""

from __future__ import annotations

import functools
import os
import threading
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from mycelium_fractal_net.security.errors import FipsModeError
from mycelium_fractal_net.security.tls import client_context

if TYPE_CHECKING:
    import ssl


class Carrier:
    """Sends what ``session``'s clients ask, those that are made after it.

    ``settings`` are those of an ``URLLib3Session``: its timeouts in seconds, its connections.
    Whom it trusts and which proxies it asks is read as botocore does. Raises
    :class:`FipsModeError` where this botocore does not take a context from us.
    """

    def __init__(self, session: Any, **settings: object) -> None:
        # AWS_CA_BUNDLE, or what the profile says; the second is of the package requests.
        trusted = session.get_config_variable("ca_bundle") or os.environ.get("REQUESTS_CA_BUNDLE")
        self._settings = {"verify": trusted or True, **settings}
        self._lock = threading.Lock()
        self._by_place: dict[tuple[str, str], Any] = {}
        if not _http()().asked:
            raise FipsModeError("botocore would speak TLS with AWS with suites that it chooses")
        session.register("before-send", self._send)

    def close(self) -> None:
        """Close the connections."""
        with self._lock:
            for each in self._by_place.values():
                each.close()

    def _send(self, request: Any, **_: object) -> Any:
        """The answer to a request. Raises what botocore's own raises."""
        return self._to(request.url).send(request)

    def _to(self, url: str) -> Any:
        from botocore.utils import get_environ_proxies

        parts = urlsplit(url)
        place = parts.scheme, parts.netloc
        with self._lock:
            if place not in self._by_place:
                made = _http()(proxies=get_environ_proxies(url), **self._settings)
                self._by_place[place] = made
            return self._by_place[place]


@functools.cache
def _http() -> type[Any]:
    from botocore.httpsession import URLLib3Session

    class Http(URLLib3Session):  # type: ignore[misc]  # botocore has no types
        """With other contexts, those for proxies with settings of their own included."""

        asked = False

        def _get_ssl_context(self) -> ssl.SSLContext:
            self.asked = True
            return client_context()

    return Http
