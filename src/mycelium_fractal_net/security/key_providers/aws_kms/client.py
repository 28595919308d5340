"""KMS through botocore: one attempt, within seconds, and with errors of this package alone.

This file and :mod:`.carrier` alone import botocore, once a client is made.
"""

from __future__ import annotations

import logging
import threading
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from mycelium_fractal_net.security.errors import (
    ConfigurationError,
    CustodianUnavailableError,
    MfnError,
    unusable_extra,
)
from mycelium_fractal_net.security.fips.process import proven
from mycelium_fractal_net.security.key_providers.aws_kms.answers import (
    OF_CREDENTIALS,
    OF_WHO_MAY,
    error_of,
)
from mycelium_fractal_net.security.key_providers.aws_kms.place import check_address

if TYPE_CHECKING:
    from botocore.session import Session

    from mycelium_fractal_net.security.key_providers.aws_kms.carrier import Carrier
    from mycelium_fractal_net.security.key_providers.aws_kms.place import KmsPlace

CONNECT_SECONDS: Final = 3.0  # both together end before a call's deadline of 10 s does
READ_SECONDS: Final = 5.0
_CONNECTIONS: Final = 128  # 16 calls at once, each of 8 requests: none is opened and thrown away
_NEW_CREDENTIALS_SECONDS: Final = 1.0  # between two looks for others, which take 0.1 s of CPU

_OUTAGES: Final = {  # by the class of botocore's error, or one above it
    "ConnectTimeoutError": "AWS KMS cannot be reached in time",
    "ReadTimeoutError": "AWS KMS does not answer in time",
    "SSLError": "AWS KMS cannot be reached: its TLS certificate does not verify",
    "ProxyConnectionError": "AWS KMS cannot be reached: the proxy does not answer",
    "ConnectionError": "AWS KMS cannot be reached",
    "HTTPClientError": "AWS KMS breaks off its answer",
    "CredentialRetrievalError": "the AWS credentials cannot be renewed",
}


class KmsClient:
    """KMS in the region of ``place``.

    Raises :class:`ConfigurationError` for a region, a profile or an address that is not usable, and
    where botocore is missing.
    """

    def __init__(self, place: KmsPlace) -> None:
        self._place = place
        self._lock = threading.Lock()
        self._client, self._carrier = _client_of(place)
        self._opened = monotonic()

    @property
    def region(self) -> str:
        """The region that is asked."""
        return str(self._client.meta.region_name)

    @property
    def address(self) -> str:
        """The address that is asked."""
        return str(self._client.meta.endpoint_url)

    def ask(self, operation: str, **parameters: object) -> dict[str, Any]:
        """The answer to one request, such as ``ask("describe_key", KeyId="alias/orders")``.

        One that was cut off, or is no JSON, comes without any members: botocore does not tell.
        Where AWS refuses the credentials, the next request is made with those that there are then.
        """
        try:
            return _asked(self._client, operation, parameters)
        except _RefusedError as error:
            if error.code in OF_CREDENTIALS:
                self._look_for_credentials()
            raise error_of(error.code, error.status) from None

    def permits(self, operation: str, **parameters: object) -> bool:
        """Whether the credentials have the permission for a request, which is made to learn it.

        Where that is not to be learnt, as in an outage, they are taken not to have it.
        """
        try:
            _asked(self._client, operation, parameters)
        except _RefusedError as error:
            return error.code in OF_WHO_MAY
        except MfnError:
            return False
        return True

    def close(self) -> None:
        """Close the connections."""
        _close(self._client, self._carrier)

    def _look_for_credentials(self) -> None:
        with self._lock:
            if monotonic() - self._opened < _NEW_CREDENTIALS_SECONDS:
                return
            former = self._client, self._carrier
            self._client, self._carrier = _client_of(self._place)
            self._opened = monotonic()
        _close(*former)


class _RefusedError(Exception):
    """KMS answered with an error."""

    def __init__(self, code: object, status: object = None) -> None:
        super().__init__(code, status)
        self.code = code
        self.status = status


def _asked(client: Any, operation: str, parameters: dict[str, object]) -> dict[str, Any]:
    from botocore import exceptions

    try:
        with _Quiet():
            answer: dict[str, Any] = getattr(client, operation)(**parameters)
    except exceptions.ClientError as error:
        told = error.response
        status = told.get("ResponseMetadata", {}).get("HTTPStatusCode")
        raise _RefusedError(told.get("Error", {}).get("Code"), status) from None
    except (exceptions.NoCredentialsError, exceptions.PartialCredentialsError):
        raise ConfigurationError(
            "there are no AWS credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or"
            " MFN_AWS_PROFILE, or give the machine a role"
        ) from None
    except Exception as error:
        raise _outage(error) from None
    return answer


def _outage(error: Exception) -> MfnError:
    for kind in type(error).__mro__:
        if kind.__name__ in _OUTAGES:
            return CustodianUnavailableError(_OUTAGES[kind.__name__])
    return CustodianUnavailableError(f"AWS KMS cannot be asked ({type(error).__name__})")


def _close(client: Any, carrier: Carrier | None) -> None:
    client.close()
    if carrier is not None:
        carrier.close()


def _client_of(place: KmsPlace) -> tuple[Any, Carrier | None]:
    """A client, and in FIPS mode what carries its requests."""
    try:
        from botocore import exceptions
        from botocore.config import Config
        from botocore.session import Session
    except ImportError as error:
        raise unusable_extra("the master key in AWS KMS", "aws-kms", error) from error
    config = Config(
        connect_timeout=CONNECT_SECONDS,
        read_timeout=READ_SECONDS,
        retries={"total_max_attempts": 1, "mode": "standard"},
        max_pool_connections=_CONNECTIONS,
    )
    try:
        session = Session(profile=place.profile)
        carrier = _carrier_of(session)
        client = session.create_client(
            "kms",
            region_name=place.asked_region,
            endpoint_url=place.endpoint_url,
            config=config,
        )
    except exceptions.ProfileNotFound:
        raise ConfigurationError(
            "security.key_management.aws_profile (MFN_AWS_PROFILE), or AWS_PROFILE: there is no"
            " such profile"
        ) from None
    except exceptions.NoRegionError:
        raise ConfigurationError(
            "no region is named: set security.key_management.aws_region (MFN_AWS_REGION)"
        ) from None
    except exceptions.PartialCredentialsError:
        raise ConfigurationError("of the AWS credentials a part is missing") from None
    except (exceptions.BotoCoreError, ValueError) as error:
        raise ConfigurationError(
            f"the AWS settings cannot be used ({type(error).__name__})"
        ) from None
    check_address(client.meta.endpoint_url, "the endpoint URL of AWS's own settings")
    return client, carrier


def _carrier_of(session: Session) -> Carrier | None:
    if proven() is None:
        return None
    from mycelium_fractal_net.security.key_providers.aws_kms.carrier import Carrier

    return Carrier(
        session, timeout=(CONNECT_SECONDS, READ_SECONDS), max_pool_connections=_CONNECTIONS
    )


class _QuietInThread(threading.local):
    quiet = False


_thread: Final = _QuietInThread()
_filtered: Final[set[str]] = set()


class _Quiet:
    """Within it this thread's botocore logs no DEBUG: that has the bodies, with keys in them."""

    def __enter__(self) -> None:
        for name in list(logging.root.manager.loggerDict):
            if name.startswith("botocore.") and name not in _filtered:
                _filtered.add(name)
                logging.getLogger(name).addFilter(_is_shown)
        _thread.quiet = True

    def __exit__(self, *_: object) -> None:
        _thread.quiet = False


def _is_shown(record: logging.LogRecord) -> bool:
    return not (_thread.quiet and record.levelno < logging.INFO)
