"""Signs any request of httpx to any service: RFC 9421, or the plan's profile.

    httpx.post(url, json=order, auth=RequestSigner(key, key_id="billing"))
    Client(url, api_key, auth=RequestSigner.from_keyring(keyring, "service"))

Each time a request is sent it is signed anew: a nonce serves once. With a body the whole of it
is hashed first, so one that comes piece by piece is read into memory, unless the request has a
``Content-Digest`` already. :meth:`.Client.encrypt_stream` reads a file twice instead.
"""

from __future__ import annotations

import secrets
import time
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

import anyio.to_thread
import httpx

from mycelium_fractal_net.security.algorithms.digests import sha256
from mycelium_fractal_net.security.errors import InvalidInputError, InvalidKeyError
from mycelium_fractal_net.security.forking import OfOneProcess
from mycelium_fractal_net.security.http_signatures.content_digest import (
    content_digest,
    content_digest_of,
)
from mycelium_fractal_net.security.http_signatures.coverage import WHEN_SENT
from mycelium_fractal_net.security.http_signatures.message_signature import (
    ALGORITHMS,
    TAG,
    SignatureParameters,
    sign,
)
from mycelium_fractal_net.security.http_signatures.messages import RequestView
from mycelium_fractal_net.security.http_signatures.plan_profile import sign_plan
from mycelium_fractal_net.security.policy import Policy

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator, Iterable, Iterator
    from typing import Self

    from mycelium_fractal_net.security.byte_io.binary_io import BinaryReader
    from mycelium_fractal_net.security.keyring.keyring import Keyring
    from mycelium_fractal_net.security.signatures.signing_key import SigningKey

Profile = Literal["rfc9421", "plan"]

_LABEL: Final = "sig1"
_TARGET: Final = ("@method", "@authority", "@path", "@query")
_BODY: Final = ("content-digest", "content-type")
_WHEN_SENT: Final = (*WHEN_SENT, "authorization")  # whoever changed them would be believed
_LIFETIME_SECONDS: Final = 60
_LONGEST_SECONDS: Final = 300  # DESIGN: what our service takes
_NONCE_BYTES: Final = 16
_HASH_BYTES: Final = 262_144


class _SigningVersion(NamedTuple):
    """What signs one request, and the name under which its public key is known."""

    name: str
    sign: Callable[[bytes], bytes]
    public_der: Callable[[], bytes]


class RequestSigner(OfOneProcess, httpx.Auth):
    """Signs requests with a key. Threads and clients may share it.

    ``key`` is an Ed25519 or ECDSA key, or its PEM (PKCS #8, not encrypted); ``key_id`` is the
    name under which the service knows the public one. ``cover`` are further header fields that
    are signed where they are sent. ``lifetime`` is how many seconds the signature holds, 300 at
    most. ``tag`` tells our services which of several signatures is meant for them. ``policy``
    says which algorithms may sign; without one every algorithm of this release may.

    By RFC 9421 are covered: method, authority, path and query; with a body its digest and type,
    without which signing raises :class:`InvalidInputError`; where they are sent an API key, an
    ``Authorization`` and an ``X-Associated-Data``. ``profile="plan"`` writes the plan's four
    headers instead.

    :raises InvalidKeyError: the key is none, or of a kind that signs no requests.
    :raises AlgorithmNotAllowedError: the policy does not allow its algorithm.
    """

    def __init__(
        self,
        key: SigningKey | str | bytes,
        key_id: str,
        *,
        profile: Profile = "rfc9421",
        cover: Iterable[str] = (),
        lifetime: int = _LIFETIME_SECONDS,
        tag: str = TAG,
        clock: Callable[[], float] = time.time,
        policy: Policy | None = None,
    ) -> None:
        signing = (policy or Policy()).usable_signing_key(key)
        if signing.algorithm not in ALGORITHMS:
            raise InvalidKeyError(f"requests are signed with {', '.join(ALGORITHMS)}")
        public = signing.public.der()
        version = _SigningVersion(key_id, signing.sign_fixed_size, lambda: public)
        self._set(lambda: version, profile, cover, lifetime, tag, clock)
        self._blocks = False

    @classmethod
    def from_keyring(
        cls,
        keyring: Keyring,
        key: str,
        *,
        key_id: str | None = None,
        profile: Profile = "rfc9421",
        cover: Iterable[str] = (),
        lifetime: int = _LIFETIME_SECONDS,
        tag: str = TAG,
        clock: Callable[[], float] = time.time,
    ) -> Self:
        """With the newest version of a keyring's key of use ``request``, also once it is rotated.

        Without a ``key_id`` the version id is named, as ``/.well-known/jwks.json`` has it.
        Signing raises :class:`KeyUsageError` for a key for data, and what a keyring raises.
        """

        def newest() -> _SigningVersion:
            version = keyring.request_key(key)
            return _SigningVersion(
                version if key_id is None else key_id,
                lambda base: keyring.sign_request(base, key_id=version),
                lambda: keyring.policy.verifying_key_from_pem(
                    keyring.public_key(version).pem
                ).der(),
            )

        made = cls.__new__(cls)
        made._set(newest, profile, cover, lifetime, tag, clock)
        made._blocks = True
        return made

    def _set(
        self,
        version: Callable[[], _SigningVersion],
        profile: Profile,
        cover: Iterable[str],
        lifetime: int,
        tag: str,
        clock: Callable[[], float],
    ) -> None:
        if profile not in ("rfc9421", "plan"):
            raise InvalidInputError("a profile is rfc9421 or plan")
        if not 1 <= lifetime <= _LONGEST_SECONDS:
            raise InvalidInputError("a signature holds for 1 to 300 seconds")
        self._version = version
        self._profile = profile
        self._cover = (*_WHEN_SENT, *(name.lower() for name in cover))
        self._lifetime = lifetime
        self._tag = tag
        self._clock = clock

    def __repr__(self) -> str:
        return f"<RequestSigner {self._profile}>"

    # httpx.Auth -------------------------------------------------------------------------------

    def sync_auth_flow(
        self, request: httpx.Request
    ) -> Generator[httpx.Request, httpx.Response, None]:
        """What httpx calls for each request that it sends."""
        if self._reads_body(request):
            request.read()
        self._sign(request)
        yield request

    async def async_auth_flow(
        self, request: httpx.Request
    ) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """What httpx calls for each request that it sends."""
        if self._reads_body(request):
            await request.aread()
        if self._blocks:
            await anyio.to_thread.run_sync(self._sign, request)
        else:
            self._sign(request)
        yield request

    def stream_digest(self, reader: BinaryReader) -> str | None:
        """The ``Content-Digest`` of all that is read; None where the profile has none."""
        if self._profile == "plan":
            return None
        return content_digest_of(_pieces(reader))

    # Signing ----------------------------------------------------------------------------------

    def _reads_body(self, request: httpx.Request) -> bool:
        return self._profile == "plan" or "content-digest" not in request.headers

    def _sign(self, request: httpx.Request) -> None:
        if self._profile == "plan":
            self._sign_plan(request)
            return
        headers = request.headers
        for name in ("Signature", "Signature-Input"):
            headers.pop(name, None)
        if "content-digest" not in headers and (request.content or "transfer-encoding" in headers):
            headers["Content-Digest"] = content_digest(request.content)
        components = [*_TARGET]
        if "content-digest" in headers:
            if "content-type" not in headers:
                raise InvalidInputError("a body is signed with its Content-Type: send one")
            components += _BODY
        components += [name for name in self._cover if name in headers and name not in components]
        version = self._version()
        now = int(self._clock())
        made, signature = sign(
            _view(request),
            label=_LABEL,
            components=components,
            parameters=SignatureParameters(
                created=now,
                expires=now + self._lifetime,
                keyid=version.name,
                nonce=secrets.token_urlsafe(_NONCE_BYTES),
                tag=self._tag,
            ),
            signer=version.sign,
        )
        headers["Signature-Input"], headers["Signature"] = made, signature

    def _sign_plan(self, request: httpx.Request) -> None:
        version = self._version()
        api_key = request.headers.get("x-api-key")
        signed = sign_plan(
            _view(request),
            api_key_id=None if api_key is None else _credential_id(api_key),
            timestamp=int(self._clock()),
            nonce=secrets.token_urlsafe(_NONCE_BYTES),
            body_sha256=sha256(request.content).hex(),
            public_key=version.public_der(),
            signer=version.sign,
        )
        for name, value in signed:
            request.headers[name] = value


def _pieces(reader: BinaryReader) -> Iterator[bytes]:
    while piece := reader.read(_HASH_BYTES):
        yield piece


def _credential_id(api_key: str) -> str:
    """``mfn_<id>_<secret>``: the id. Raises :class:`InvalidInputError`, which shows nothing."""
    parts = api_key.split("_", 2)
    if len(parts) != 3:
        raise InvalidInputError("the API key has no id that could be signed")
    return parts[1]


def _view(request: httpx.Request) -> RequestView:
    url = request.url
    path, _, query = url.raw_path.partition(b"?")
    headers = [(name.lower(), value) for name, value in request.headers.raw]
    return RequestView(request.method, url.scheme, request.headers["host"], path, query, headers)
