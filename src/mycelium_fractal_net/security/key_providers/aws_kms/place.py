"""Which key of which account and region is meant, and under which name a store knows it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import urlsplit

from mycelium_fractal_net.security.addresses import is_loopback
from mycelium_fractal_net.security.errors import ConfigurationError, CustodianUnavailableError

if TYPE_CHECKING:
    from typing import Self

SCHEME: Final = "aws-kms"
STORE_PAIR: Final = "mfn-store"

# KMS API reference, "KeyId", "AliasName": ids are UUIDs or begin with mrk-; names of aliases have
# these characters, and at most 250 of them after "alias/".
_PREFIX: Final = (
    r"arn:(?P<partition>aws[a-z0-9-]*):kms:(?P<region>[a-z0-9-]+):(?P<account>[0-9]{12}):"
)
_KEY: Final = r"[A-Za-z0-9-]{1,128}"
_ALIAS: Final = r"alias/[A-Za-z0-9/_-]{1,250}"
_ARN: Final = re.compile(rf"{_PREFIX}key/(?P<key>{_KEY})", re.ASCII)
_CONFIGURED: Final = re.compile(rf"(?:{_PREFIX}(?:key/{_KEY}|{_ALIAS})|{_ALIAS}|{_KEY})", re.ASCII)
_MULTI_REGION: Final = "mrk-"  # "Multi-Region keys": the id is the same in each region


class KeyArn(NamedTuple):
    """The name of a key: ``arn:aws:kms:eu-central-1:111122223333:key/mrk-…``."""

    partition: str
    region: str
    account: str
    key: str

    @classmethod
    def of_answer(cls, text: object) -> Self:
        """What KMS calls a key. Raises :class:`CustodianUnavailableError` for what is no ARN."""
        found = _ARN.fullmatch(text) if isinstance(text, str) else None
        if found is None:
            raise CustodianUnavailableError("AWS KMS answers without the ARN of a key")
        return cls(*found.group("partition", "region", "account", "key"))

    def __str__(self) -> str:
        return f"arn:{self.partition}:kms:{self.region}:{self.account}:key/{self.key}"

    @property
    def kek_id(self) -> str:
        """How a store names it: without the region, so that a multi-region key is one key."""
        return f"{SCHEME}:arn:{self.partition}:kms::{self.account}:key/{self.key}"


@dataclass(frozen=True, slots=True)
class KmsPlace:
    """The settings: a key by id, ARN or alias, and where it is asked for. All are checked here.

    ``store_id`` is the store's, for trials, where it is known. Raises :class:`ConfigurationError`.
    """

    key_id: str
    region: str | None = None
    endpoint_url: str | None = None
    profile: str | None = None
    store_id: bytes | None = None

    def __post_init__(self) -> None:
        if not _CONFIGURED.fullmatch(self.key_id):
            raise ConfigurationError(
                "security.key_management.aws_kms_key_id (MFN_AWS_KMS_KEY_ID) is no id, ARN or alias"
                " of a key: an alias begins with alias/"
            )
        if self.endpoint_url is not None:
            check_address(
                self.endpoint_url,
                "security.key_management.aws_endpoint_url (MFN_AWS_ENDPOINT_URL)",
            )
        of_arn = self._region_of_arn()
        if None not in (of_arn, self.region) and of_arn != self.region and not self._moves():
            raise ConfigurationError(
                "security.key_management.aws_region (MFN_AWS_REGION) is not the region of the ARN;"
                " of a multi-region key alone there is one in each"
            )

    @property
    def alias(self) -> str | None:
        """Its name, where it is an alias and no ARN of one."""
        return self.key_id if self.key_id.startswith("alias/") else None

    @property
    def asked_region(self) -> str | None:
        """The region that is asked; None leaves it to AWS's own settings."""
        return self.region or self._region_of_arn()

    @property
    def asked_key(self) -> str:
        """The key as it is asked for, in that region."""
        found = _ARN.fullmatch(self.key_id)
        if found is None or self.region is None:
            return self.key_id
        return str(
            KeyArn(*found.group("partition", "region", "account", "key"))._replace(
                region=self.region
            )
        )

    @property
    def context(self) -> dict[str, str]:
        """The pair that is in every encryption context of the store; none where it is not known."""
        return {} if self.store_id is None else {STORE_PAIR: self.store_id.hex()}

    def _region_of_arn(self) -> str | None:
        found = _CONFIGURED.fullmatch(self.key_id)
        return None if found is None else found["region"]

    def _moves(self) -> bool:
        return f":key/{_MULTI_REGION}" in self.key_id


def check_address(url: str, named: str) -> None:
    """Refuse to send keys to be wrapped without TLS, but on this machine."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        usable = parts.username is None and parts.password is None and parts.port != 0
    except ValueError:
        host, usable = "", False
    if not usable or not host or parts.scheme not in ("http", "https"):
        raise ConfigurationError(f"{named} is no https:// address")
    if parts.scheme == "http" and not is_loopback(host):
        raise ConfigurationError(f"{named} begins with http://, and keys are sent there: https://")
