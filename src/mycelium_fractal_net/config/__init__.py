"""The configuration: a JSON file, and the environment over it. The only reader of both.

Whatever is unknown or wrong refuses to start with a :class:`ConfigurationError` that names
the setting and variable and says why. It never shows a value: a URL can hold a password.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, get_args

import msgspec

from mycelium_fractal_net.config.document import (
    MAX_FAULTS,
    SHIPPED,
    UNREADABLE,
    read_document,
    shown,
)
from mycelium_fractal_net.config.settings import Settings
from mycelium_fractal_net.security.errors import ConfigurationError

__all__ = [
    "SHIPPED",
    "VARIABLES",
    "Settings",
    "configuration_file",
    "load_settings",
    "names_configuration",
    "user_variable",
]

_BOOLEANS: Final = {
    "true": True, "1": True, "yes": True, "on": True,
    "false": False, "0": False, "no": False, "off": False,
}  # fmt: skip


_WHOLE: Final = re.compile("-?[0-9]{1,18}")


def _boolean(text: str) -> bool:
    found = _BOOLEANS.get(text.lower())
    if found is None:
        raise ValueError(f"is not one of {', '.join(_BOOLEANS)}")
    return found


def _whole(text: str) -> int:
    if _WHOLE.fullmatch(text) is None:  # int() takes digits of every script, and "1_000"
        raise ValueError("is not a whole number")
    return int(text)


def _names(text: str) -> list[str]:
    return [each.strip() for each in text.split(",") if each.strip()]


VARIABLES: Final[dict[str, tuple[str, Callable[[str], object]]]] = {
    "MFN_CRYPTO_ENABLED": ("security.encryption.enabled", _boolean),
    "MFN_CRYPTO_ALGORITHM": ("security.encryption.algorithm", str),
    "MFN_KEY_PROVIDER": ("security.key_management.provider", str),
    "MFN_FORMER_KEY_PROVIDERS": ("security.key_management.former", _names),
    "MFN_OUTAGE_SECONDS": ("security.key_management.outage_seconds", _whole),
    "MFN_CUSTODIAN_DEADLINE_SECONDS": ("security.key_management.deadline_seconds", _whole),
    "MFN_VAULT_ADDR": ("security.key_management.vault_addr", str),
    "MFN_VAULT_TOKEN": ("security.key_management.vault_token", str),
    "MFN_VAULT_TOKEN_FILE": ("security.key_management.vault_token_file", str),
    "MFN_VAULT_MOUNT": ("security.key_management.vault_mount", str),
    "MFN_VAULT_KEY_NAME": ("security.key_management.vault_key_name", str),
    "MFN_VAULT_NAMESPACE": ("security.key_management.vault_namespace", str),
    "MFN_VAULT_CA_FILE": ("security.key_management.vault_ca_file", str),
    "MFN_VAULT_AUTH": ("security.key_management.vault_auth", str),
    "MFN_AWS_KMS_KEY_ID": ("security.key_management.aws_kms_key_id", str),
    "MFN_AWS_REGION": ("security.key_management.aws_region", str),
    "MFN_AWS_ENDPOINT_URL": ("security.key_management.aws_endpoint_url", str),
    "MFN_AWS_PROFILE": ("security.key_management.aws_profile", str),
    "MFN_PKCS11_URI": ("security.key_management.pkcs11_uri", str),
    "MFN_STORE_ID": ("security.key_management.store_id", str.lower),
    "MFN_FIPS_MODE": ("security.fips_mode", _boolean),
    "MFN_REQUEST_SIGNING": ("server.request_signing", str),
    "MFN_PUBLIC_AUTHORITY": ("server.public_authority", str),
    "MFN_LOG_LEVEL": ("log.level", str.lower),
    "MFN_LOG_FORMAT": ("log.format", str.lower),
    "MFN_HOME": ("home", str),
    "MFN_STORE": ("key_store.url", str),
    "MFN_MASTER_KEY_FILE": ("master_key.file", str),
    "MFN_MASTER_PASSPHRASE_FILE": ("master_key.passphrase_file", str),
}
"""Each variable with the setting that it overrides and what reads its text."""

_CONFIG_VARIABLE: Final = "MFN_CONFIG"
_IGNORED_PREFIX: Final = "MFN_TEST_"  # what the tests of this project take from outside
_LINK: Final = (  # https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables
    "(?:SERVICE_HOST|SERVICE_PORT(?:_[A-Z0-9_]+)?|PORT(?:_[0-9]+_(?:TCP|UDP|SCTP)(?:_(?:PROTO|PORT|ADDR))?)?)"
)
_LOG: Final = logging.getLogger(__name__)
_CALLER: Final = "the command line or call"


def load_settings(
    config: str | Path | None = None,
    *,
    store: str | None = None,
    home: str | Path | None = None,
    server: Mapping[str, object] | None = None,
    environ: Mapping[str, str] | None = None,
) -> Settings:
    """The settings in force: the file, the environment over it, the arguments over both.

    ``config`` names a file, or one of :data:`SHIPPED`; otherwise ``MFN_CONFIG`` does, otherwise
    it is ``dev``. ``store`` is a database URL, ``home`` a folder, ``server`` has settings of the
    section ``server``, where None is not given. A relative path starts at the working folder of
    this moment. Raises :class:`ConfigurationError`.
    """
    environment = os.environ if environ is None else environ
    _refuse_unknown_variables(environment)
    if config is not None:
        document = read_document(config, _CALLER)
    else:
        document = read_document(environment.get(_CONFIG_VARIABLE, "dev"), _CONFIG_VARIABLE)
    origins: dict[str, str] = {}

    def override(path: str, origin: str, parse: Callable[[str], object], text: str) -> None:
        origins[path] = origin
        _put(document, path, _parsed(f"{path} ({origin})", parse, text))

    for variable, (path, parse) in VARIABLES.items():
        if variable in environment:
            override(path, variable, parse, environment[variable])
    for path, value in (("key_store.url", store), ("home", home)):
        if value is not None:
            override(path, _CALLER, str, str(value))
    for name, given in (server or {}).items():
        if given is not None:
            origins[f"server.{name}"] = _CALLER
            _put(document, f"server.{name}", given)
    return _converted(document, origins)


def names_configuration(
    config: str | Path | None = None, environ: Mapping[str, str] | None = None
) -> bool:
    """Whether a configuration is named, by the caller or by ``MFN_CONFIG``."""
    return config is not None or _CONFIG_VARIABLE in (os.environ if environ is None else environ)


def configuration_file(
    config: str | Path | None = None, environ: Mapping[str, str] | None = None
) -> Path | None:
    """The file that :func:`load_settings` reads, None where it is one of :data:`SHIPPED`."""
    named = config
    if named is None:
        named = (os.environ if environ is None else environ).get(_CONFIG_VARIABLE, "dev")
    if isinstance(named, str) and named in SHIPPED:
        return None
    return Path(named).expanduser()


def user_variable(name: str) -> str | None:
    """The value of a variable that the user names, and that is none of ours; None without one."""
    return os.environ.get(name)


def _refuse_unknown_variables(environment: Mapping[str, str]) -> None:
    known = (*VARIABLES, _CONFIG_VARIABLE)
    ours = {each for each in environment if each.startswith("MFN_")}
    unknown = {each for each in ours.difference(known) if not each.startswith(_IGNORED_PREFIX)}
    if not unknown:
        return
    links = set(_service_links(unknown))
    if links:
        _LOG.info("passed over what Kubernetes sets for services: %s", ", ".join(sorted(links)))
    for variable in sorted(unknown - links):
        import difflib

        close = difflib.get_close_matches(variable, known, 1)
        hint = f"; did you mean {close[0]}?" if close else ""
        raise ConfigurationError(f"the environment variable {shown(variable)} is unknown{hint}")


def _service_links(variables: Collection[str]) -> Iterator[str]:
    """Those that Kubernetes sets in every pod for a service that is called ``mfn`` or ``mfn-…``."""
    ending = "_SERVICE_HOST"
    services = "|".join(
        re.escape(each.removesuffix(ending)) for each in variables if each.endswith(ending)
    )
    if services:
        link = re.compile(f"(?:{services})_{_LINK}")
        yield from filter(link.fullmatch, variables)


def _parsed(named: str, parse: Callable[[str], object], text: str) -> object:
    reason = "holds a control character, or is not UTF-8"
    if not UNREADABLE.search(text):
        try:
            return parse(text)
        except ValueError as error:
            reason = str(error)
    raise ConfigurationError(f"{named}: {reason}")


def _put(document: dict[str, Any], path: str, value: object) -> None:
    *sections, name = path.split(".")
    for section in sections:
        inner = document.setdefault(section, {})
        if not isinstance(inner, dict):
            raise ConfigurationError(f"{section}: expected object")
        document = inner
    document[name] = value


def _converted(document: dict[str, Any], origins: Mapping[str, str]) -> Settings:
    """The settings, or every fault at once: what is wrong is taken out until the rest is right."""
    faults: list[str] = []
    while len(faults) < MAX_FAULTS:
        try:
            settings = msgspec.convert(document, Settings, dec_hook=_path)
            break
        except msgspec.ValidationError as error:
            path, reason = _explained(str(error))
        whole = path.partition("[")[0]  # of a list, of which the fault is in one
        origin = f" ({origins[whole]})" if whole in origins else ""
        faults.append(f"{path}{origin}: {reason}")
        _take_out(document, whole)
    if faults:
        raise ConfigurationError("; ".join(faults))
    return settings


def _path(kind: type, value: object) -> object:
    """A path as the settings hold it, for msgspec, which knows none."""
    if kind is not Path or not isinstance(value, str) or not value:
        raise ValueError("Expected the path of a file or folder")
    try:
        return Path(value).expanduser().absolute()
    except (RuntimeError, OSError):  # ~nobody; a working folder that is gone
        raise ValueError("Expected a path that leads somewhere from here") from None


_AT: Final = re.compile(r"(.*) - at `\$\.?([\w.\[\]]+)`", re.DOTALL)
_UNKNOWN: Final = "Object contains unknown field "


def _explained(message: str) -> tuple[str, str]:
    """The dotted path and the reason in a message of msgspec, without the value it may show."""
    found = _AT.fullmatch(message)
    reason, path = found.groups() if found else (message, "")
    reason = reason.replace("`", "")
    if reason.startswith(_UNKNOWN):
        return f"{path}.{reason.removeprefix(_UNKNOWN)}".lstrip("."), "is not a setting"
    if reason.startswith("Expected "):  # types and bounds
        return path, f"e{reason[1:]}"
    return path, f"is not one of {', '.join(_choices(path))}"


def _choices(path: str) -> Iterator[str]:
    kinds: list[Any] = [Settings]
    for name in re.sub(r"\[\d+\]", "", path).split("."):
        records = [each for each in kinds if hasattr(each, "__struct_fields__")]
        fields = [field for each in records for field in msgspec.structs.fields(each)]
        kinds = list(_kinds(next(field.type for field in fields if field.encode_name == name)))
    return (each for each in kinds if isinstance(each, str))


def _kinds(kind: Any) -> Iterator[Any]:
    """The records and words that a value of that type may be, in however many places."""
    inner = get_args(kind)
    if not inner:
        yield kind
    for each in inner:
        yield from _kinds(each)


def _take_out(document: dict[str, Any], path: str) -> None:
    *sections, name = path.split(".")
    for section in sections:
        document = document[section]
    del document[name]
