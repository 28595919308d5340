"""The configuration: a JSON file, and the environment over it. The only reader of both.

Whatever is unknown or wrong refuses to start with a :class:`ConfigurationError` that names
the setting or variable and says why. It never shows the value: a URL can hold a password.
"""

from __future__ import annotations

import difflib
import json
import os
from collections.abc import Callable, Mapping
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import platformdirs
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mycelium_fractal_net.security.errors import ConfigurationError

__all__ = ["SHIPPED", "VARIABLES", "Settings", "load_settings"]

SHIPPED: Final = ("dev", "staging", "prod")
_MAX_FILE_BYTES: Final = 1 << 20

# PBKDF2 iterations: the plan's count is the floor, OWASP 2023 asks for 600,000. Above ten
# million one guess costs seconds, which only hurts the one who knows the passphrase.
_Iterations = Annotated[int, Field(ge=200_000, le=10_000_000)]
_Days = Annotated[int, Field(ge=1, le=36_500)]
_Text = Annotated[str, Field(min_length=1, max_length=4096)]


class _Section(BaseModel):
    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, hide_input_in_errors=True, allow_inf_nan=False
    )


class Encryption(_Section):
    """How data is encrypted, and how a passphrase becomes a key."""

    enabled: bool = True
    algorithm: Literal["AES-256-GCM"] = "AES-256-GCM"
    key_derivation: Literal["PBKDF2-SHA256"] = "PBKDF2-SHA256"
    key_derivation_iterations: _Iterations = 600_000


class KeyManagement(_Section):
    """Who holds the master key, and how keys are rotated."""

    provider: Literal["local", "vault", "aws-kms", "pkcs11"] = "local"
    rotation_enabled: bool = False
    rotation_interval_days: _Days = 90
    vault_addr: _Text | None = None
    aws_kms_key_id: _Text | None = None


class Tls(_Section):
    """TLS of the service."""

    min_version: Literal["1.2", "1.3"] = "1.2"
    required: bool = False


class Security(_Section):
    """The plan's section: encryption, keys, TLS, algorithms."""

    encryption: Encryption = Encryption()
    key_management: KeyManagement = KeyManagement()
    tls: Tls = Tls()
    fips_mode: bool = False
    allowed_algorithms: tuple[_Text, ...] | None = None
    allowed_macs_and_kdfs: tuple[_Text, ...] | None = None
    disallowed_algorithms: tuple[_Text, ...] = ()


class KeyStoreSettings(_Section):
    """Where keys are kept."""

    url: _Text | None = Field(default=None, repr=False)


class MasterKey(_Section):
    """Where the local master key is, and its passphrase."""

    file: _Text | None = None
    passphrase_file: _Text | None = None


class KeyringSettings(_Section):
    """How long, and how many, unwrapped keys are held in memory."""

    cache_seconds: Annotated[int, Field(ge=1, le=86_400)] = 300
    cache_keys: Annotated[int, Field(ge=1, le=1_000_000)] = 1000


class Settings(_Section):
    """Every setting. Frozen; ``repr`` shows no secret."""

    home_folder: _Text | None = Field(default=None, alias="home")
    security: Security = Security()
    key_store: KeyStoreSettings = KeyStoreSettings()
    master_key: MasterKey = MasterKey()
    keyring: KeyringSettings = KeyringSettings()

    @property
    def home(self) -> Path:
        """The folder of the embedded store and the master key; the platform's by default."""
        if self.home_folder is not None:
            return Path(self.home_folder).expanduser().absolute()
        return platformdirs.user_data_path("mycelium-fractal-net", appauthor=False)

    @property
    def store(self) -> str | Path:
        """The key store: a database URL, or by default the SQLite file in :attr:`home`."""
        return self.key_store.url or self.home / "keys.db"

    @property
    def master_key_file(self) -> Path:
        """The file of the local master key; in :attr:`home` by default."""
        named = self.master_key.file
        return self.home / "master.key" if named is None else Path(named).expanduser()

    @property
    def master_passphrase_file(self) -> Path | None:
        """The file whose first line is the passphrase of the master key, if one is named."""
        named = self.master_key.passphrase_file
        return None if named is None else Path(named).expanduser()


def _boolean(text: str) -> bool:
    found = {
        "true": True, "1": True, "yes": True, "on": True,
        "false": False, "0": False, "no": False, "off": False,
    }.get(text.strip().lower())  # fmt: skip
    if found is None:
        raise ValueError("is not one of true, false, 1, 0, yes, no, on, off")
    return found


VARIABLES: Final[dict[str, tuple[str, Callable[[str], object]]]] = {
    "MFN_CRYPTO_ENABLED": ("security.encryption.enabled", _boolean),
    "MFN_CRYPTO_ALGORITHM": ("security.encryption.algorithm", str),
    "MFN_KEY_PROVIDER": ("security.key_management.provider", str),
    "MFN_VAULT_ADDR": ("security.key_management.vault_addr", str),
    "MFN_AWS_KMS_KEY_ID": ("security.key_management.aws_kms_key_id", str),
    "MFN_FIPS_MODE": ("security.fips_mode", _boolean),
    "MFN_HOME": ("home", str),
    "MFN_STORE": ("key_store.url", str),
    "MFN_MASTER_KEY_FILE": ("master_key.file", str),
    "MFN_MASTER_PASSPHRASE_FILE": ("master_key.passphrase_file", str),
}
_CONFIG_VARIABLE: Final = "MFN_CONFIG"
_IGNORED_PREFIX: Final = "MFN_TEST_"  # what the tests of this project take from outside


def load_settings(
    config: str | Path | None = None,
    *,
    store: str | None = None,
    home: str | Path | None = None,
    environ: Mapping[str, str] | None = None,
) -> Settings:
    """The settings in force: the file, the environment over it, the arguments over both.

    ``config`` names a file, or one of :data:`SHIPPED`; otherwise ``MFN_CONFIG`` does, otherwise
    it is ``dev``. ``store`` is a database URL, ``home`` a folder. Raises
    :class:`ConfigurationError`.
    """
    environment = os.environ if environ is None else environ
    _refuse_unknown_variables(environment)
    named = config if config is not None else environment.get(_CONFIG_VARIABLE, "dev")
    document = _read(named)
    origins: dict[str, str] = {}
    for variable, (path, parse) in VARIABLES.items():
        if variable in environment:
            _put(document, path, _parsed(variable, parse, environment[variable]))
            origins[path] = variable
    for path, value in (("key_store.url", store), ("home", home)):
        if value is not None:
            _put(document, path, str(value))
            origins[path] = "the command line or call"
    try:
        # As JSON, where strict mode takes a list for a tuple and nothing else for anything.
        return Settings.model_validate_json(json.dumps(document))
    except ValidationError as error:
        raise ConfigurationError(_explained(error, origins)) from None


def _refuse_unknown_variables(environment: Mapping[str, str]) -> None:
    known = (*VARIABLES, _CONFIG_VARIABLE)
    for variable in sorted(environment):
        if not variable.startswith("MFN_") or variable.startswith(_IGNORED_PREFIX):
            continue
        if variable not in known:
            close = difflib.get_close_matches(variable, known, 1)
            hint = f"; did you mean {close[0]}?" if close else ""
            raise ConfigurationError(f"the environment variable {variable} is unknown{hint}")


def _read(named: str | Path) -> dict[str, Any]:
    try:
        content = _content(named)
    except OSError as error:
        raise ConfigurationError(
            f"the configuration file cannot be read: {error.strerror}; it is a path, or one of"
            f" {', '.join(SHIPPED)}"
        ) from None
    try:
        document = json.loads(
            content.decode(), object_pairs_hook=_unique, parse_constant=_no_constant
        )
    except ConfigurationError:
        raise
    except (ValueError, RecursionError):
        raise ConfigurationError("the configuration file is not JSON in UTF-8") from None
    if not isinstance(document, dict):
        raise ConfigurationError("the configuration file is not a JSON object")
    return document


def _content(named: str | Path) -> bytes:
    if isinstance(named, str) and named in SHIPPED:
        packaged = resources.files("mycelium_fractal_net").joinpath("configs", f"{named}.json")
        if packaged.is_file():
            return packaged.read_bytes()
        return Path(__file__).parents[2].joinpath("configs", f"{named}.json").read_bytes()
    with Path(named).expanduser().open("rb") as file:
        return file.read(_MAX_FILE_BYTES)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise ConfigurationError(f"the configuration names {name!r} twice in one object")
        found[name] = value
    return found


def _no_constant(name: str) -> float:
    raise ConfigurationError(f"the configuration holds {name}, which is not JSON")


def _parsed(variable: str, parse: Callable[[str], object], text: str) -> object:
    try:
        return parse(text)
    except ValueError as error:
        raise ConfigurationError(f"the environment variable {variable} {error}") from None


def _put(document: dict[str, Any], path: str, value: object) -> None:
    *sections, name = path.split(".")
    for section in sections:
        inner = document.setdefault(section, {})
        if not isinstance(inner, dict):
            raise ConfigurationError(f"the setting {section} is not a JSON object")
        document = inner
    document[name] = value


def _explained(error: ValidationError, origins: Mapping[str, str]) -> str:
    """Every fault in one line: setting, where it came from, and why; never a value."""
    faults = []
    for fault in error.errors(include_url=False, include_input=False, include_context=False):
        path = ".".join(str(part) for part in fault["loc"])
        origin = f" ({origins[path]})" if path in origins else ""
        reason = fault["msg"]
        if fault["type"] == "extra_forbidden":
            reason = "is not a setting"
        faults.append(f"{path}{origin}: {reason[:1].lower()}{reason[1:]}")
    return "; ".join(faults)
