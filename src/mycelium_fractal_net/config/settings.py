"""The records of the settings. Frozen, no I/O; what a file is silent about is here.

They are msgspec's, not pydantic's: every command reads them, and pydantic's import and models
take a third of the time that cryptography and SQLAlchemy take together.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec
import platformdirs
from msgspec import Meta

from mycelium_fractal_net.security.errors import ConfigurationError

# PBKDF2 iterations: the plan's count is the floor, OWASP 2023 asks for 600,000. Above ten
# million one guess costs seconds, which only hurts the one who knows the passphrase.
OWASP_ITERATIONS: Final = 600_000  # OWASP Password Storage Cheat Sheet, 2023, PBKDF2-HMAC-SHA256
_Iterations = Annotated[int, Meta(ge=200_000, le=10_000_000)]
_Days = Annotated[int, Meta(ge=1, le=36_500)]
_Seconds = Annotated[int, Meta(ge=1, le=3600)]
_Text = Annotated[str, Meta(min_length=1, max_length=4096)]
_Rate = Annotated[str, Meta(pattern="^[1-9][0-9]{0,8}/(second|minute|hour|day)$")]

_HIDDEN: Final = frozenset(
    {"url", "vault_addr", "vault_token", "aws_endpoint_url", "pkcs11_uri", "rate_limit_storage"}
)  # URLs, which take a password


class _Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    def __rich_repr__(self) -> list[tuple[str, object]]:  # msgspec's own would show all
        values = ((name, getattr(self, name)) for name in self.__struct_fields__)
        return [(name, "..." if value and name in _HIDDEN else value) for name, value in values]

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={value!r}" for name, value in self.__rich_repr__())
        return f"{type(self).__name__}({shown})"


class Encryption(_Section, frozen=True):
    """How data is encrypted, and how a passphrase becomes a key."""

    enabled: bool = True
    algorithm: Literal["AES-256-GCM"] = "AES-256-GCM"
    key_derivation: Literal["PBKDF2-SHA256"] = "PBKDF2-SHA256"
    key_derivation_iterations: _Iterations = OWASP_ITERATIONS


ProviderName = Literal["local", "vault", "aws-kms", "pkcs11"]


class CustodianSettings(_Section, frozen=True):
    """How the master key is reached, whoever holds it."""

    provider: ProviderName = "local"
    vault_addr: _Text | None = None
    vault_token: _Text | None = None
    vault_token_file: Path | None = None
    vault_mount: _Text = "transit"
    vault_key_name: Annotated[str, Meta(pattern="^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$")] = (
        "mycelium-fractal-net"
    )
    vault_namespace: _Text | None = None
    vault_ca_file: Path | None = None
    vault_auth: Literal["token", "approle", "jwt", "kubernetes", "cert"] = "token"
    vault_auth_mount: _Text | None = None
    vault_role: _Text | None = None
    vault_secret_id_file: Path | None = None
    vault_jwt_file: Path | None = None
    vault_client_certificate: Path | None = None
    vault_client_key: Path | None = None
    aws_kms_key_id: _Text | None = None
    aws_region: _Text | None = None
    aws_endpoint_url: _Text | None = None
    aws_profile: _Text | None = None
    pkcs11_uri: _Text | None = None


class KeyManagement(CustodianSettings, frozen=True):
    """Who holds the master key, and how keys are rotated.

    ``former`` are other custodians, for what is not yet under the master key of ``provider``: a
    name has its settings beside it here, an object has its own.
    """

    former: tuple[ProviderName | CustodianSettings, ...] = ()
    rotation_enabled: bool = False
    rotation_interval_days: _Days = 90
    outage_seconds: Annotated[int, Meta(ge=0, le=604_800)] = 3600
    deadline_seconds: Annotated[int, Meta(ge=1, le=25)] = 10  # the service waits for 30 in all
    store_id: Annotated[str, Meta(pattern="^[0-9a-f]{32}$")] | None = None


class Tls(_Section, frozen=True):
    """TLS of the service: required unless a file says otherwise, as that of ``dev`` does."""

    min_version: Literal["1.2", "1.3"] = "1.2"
    required: bool = True
    certificate: Path | None = None
    private_key: Path | None = None
    client_ca: Path | None = None
    client_certificates: Literal["none", "optional", "required"] = "none"


class Security(_Section, frozen=True):
    """The plan's section: encryption, keys, TLS, algorithms."""

    encryption: Encryption = Encryption()
    key_management: KeyManagement = KeyManagement()
    tls: Tls = Tls()
    fips_mode: bool = False
    allowed_algorithms: tuple[_Text, ...] | None = None
    allowed_macs_and_kdfs: tuple[_Text, ...] | None = None
    disallowed_algorithms: tuple[_Text, ...] = ()


class KeyStoreSettings(_Section, frozen=True):
    """Where keys are kept."""

    url: _Text | None = None


class MasterKey(_Section, frozen=True):
    """Where the local master key is, and its passphrase."""

    file: Path | None = None
    passphrase_file: Path | None = None


class KeyringSettings(_Section, frozen=True):
    """How long, and how many, unwrapped keys are held in memory."""

    cache_seconds: Annotated[int, Meta(ge=1, le=86_400)] = 300
    cache_keys: Annotated[int, Meta(ge=1, le=1_000_000)] = 1000


class AuditSettings(_Section, frozen=True):
    """Where uses and changes of keys are recorded, and which."""

    folder: Path | None = None
    uses: bool = False
    segment_bytes: Annotated[int, Meta(ge=65_536, le=1 << 40)] = 67_108_864
    export: Literal["none", "stdout", "syslog"] = "none"


class RotationSettings(_Section, frozen=True):
    """How schedulers of rotation work, and whether new versions wait for a backup."""

    look_seconds: Annotated[int, Meta(ge=1, le=86_400)] = 60
    require_backup: bool = False


class Legacy(_Section, frozen=True):
    """Whether messages of the XOR cipher are still opened."""

    read_xor: bool = False


class CredentialSettings(_Section, frozen=True):
    """API keys: how long one lives before it is due, and how long the former secret serves."""

    rotation_days: _Days = 90
    overlap_days: _Days = 90


class LogSettings(_Section, frozen=True):
    """What ``mfn serve`` and ``mfn rotation run`` say on their standard error."""

    level: Literal["debug", "info", "warning", "error"] = "warning"
    format: Literal["text", "json"] = "text"
    access: bool = False


class Server(_Section, frozen=True):
    """The HTTP service. ``production`` hides the documentation pages and asks for more."""

    host: _Text = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65_535)] = 8000
    workers: Annotated[int, Meta(ge=1, le=256)] = 1
    production: bool = True
    trusted_proxies: tuple[_Text, ...] = ()
    max_body_bytes: Annotated[int, Meta(ge=1024, le=1 << 30)] = 8_388_608
    max_buffered_bytes: Annotated[int, Meta(ge=1 << 20, le=1 << 40)] = 268_435_456
    request_signing: Literal["required", "optional", "off"] = "required"
    unsigned_routes: tuple[_Text, ...] = ("GET /metrics",)
    body_only_signatures: bool = False
    sign_answers_with: _Text | None = None
    public_authority: _Text | None = None
    max_batch_items: Annotated[int, Meta(ge=1, le=1000)] = 1000
    shutdown_seconds: Annotated[int, Meta(ge=1, le=3600)] = 30
    max_connections: Annotated[int, Meta(ge=1, le=1_000_000)] = 1000
    max_queue_milliseconds: Annotated[int, Meta(ge=1, le=60_000)] | None = 50
    max_connections_per_address: Annotated[int, Meta(ge=1, le=1_000_000)] | None = None
    handshake_seconds: _Seconds = 5
    header_seconds: _Seconds = 10
    gap_seconds: _Seconds = 10
    idle_seconds: _Seconds = 75
    min_bytes_per_second: Annotated[int, Meta(ge=0, le=1 << 30)] = 1024
    requests_per_credential: _Rate | None = None
    requests_per_address: _Rate | None = None
    items_per_credential: _Rate | None = None
    items_per_address: _Rate | None = None
    rate_limit_storage: _Text | None = None


class Settings(_Section, frozen=True):
    """Every setting. Paths are absolute; ``repr`` shows no secret."""

    home_folder: Path | None = msgspec.field(default=None, name="home")
    security: Security = Security()
    key_store: KeyStoreSettings = KeyStoreSettings()
    master_key: MasterKey = MasterKey()
    keyring: KeyringSettings = KeyringSettings()
    rotation: RotationSettings = RotationSettings()
    legacy: Legacy = Legacy()
    credentials: CredentialSettings = CredentialSettings()
    audit: AuditSettings = AuditSettings()
    log: LogSettings = LogSettings()
    server: Server = Server()

    @property
    def home(self) -> Path:
        """The folder of the embedded store and the master key; the platform's by default.

        Raises :class:`ConfigurationError` where none is named and the platform knows none.
        """
        if self.home_folder is not None:
            return self.home_folder
        found = None
        with suppress(RuntimeError):
            found = platformdirs.user_data_path("mycelium-fractal-net", appauthor=False)
        # Older platformdirs do not raise: theirs is a folder "~" in whatever folder this is.
        if found is None or not found.is_absolute():
            raise ConfigurationError("this user has no home folder: name a folder in MFN_HOME")
        return found

    @property
    def store(self) -> str | Path:
        """The key store: a database URL, or by default the SQLite file in :attr:`home`."""
        return self.key_store.url or self.home / "keys.db"

    @property
    def master_key_file(self) -> Path:
        """The file of the local master key; in :attr:`home` by default."""
        return self.master_key.file or self.home / "master.key"

    @property
    def master_passphrase_file(self) -> Path | None:
        """The file whose first line is the passphrase of the master key, if one is named."""
        return self.master_key.passphrase_file

    @property
    def audit_folder(self) -> Path:
        """The folder of the audit records; ``audit`` in :attr:`home` by default."""
        return self.audit.folder or self.home / "audit"
