"""The configuration: what it takes, from where, and what it refuses without a word too much."""

from __future__ import annotations

import json
import secrets
from pathlib import Path

import pytest
from pydantic import BaseModel

from mycelium_fractal_net.bootstrap import build_policy, open_keyring
from mycelium_fractal_net.config import SHIPPED, VARIABLES, Settings, load_settings
from mycelium_fractal_net.security.errors import ConfigurationError

PLAN_6_1 = """
{"security": {
    "encryption": {"enabled": true, "algorithm": "AES-256-GCM",
        "key_derivation": "PBKDF2-SHA256", "key_derivation_iterations": 200000},
    "key_management": {"provider": "local", "rotation_enabled": false,
        "rotation_interval_days": 90},
    "tls": {"min_version": "1.2", "required": true},
    "fips_mode": false}}
"""
PLAN_4_3 = """
{"security": {"fips_mode": true,
    "allowed_algorithms":
        ["AES-256-GCM", "SHA-256", "SHA-384", "SHA-512", "ECDSA-P256", "ECDSA-P384"],
    "disallowed_algorithms": ["MD5", "SHA-1", "RC4", "DES", "3DES"]}}
"""
SECRET = "s3cr3t-" + secrets.token_hex(8)


@pytest.fixture
def write(tmp_path: Path):  # type: ignore[no-untyped-def]
    """Writes a configuration file and gives its path."""

    def written(content: str | bytes) -> Path:
        path = tmp_path / "config.json"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return written


def test_the_plans_production_configuration_is_the_shipped_one() -> None:
    """prod.json holds the plan's section 6.1, value for value."""
    shipped = json.loads((Path(__file__).parents[1] / "configs" / "prod.json").read_text())
    assert shipped == json.loads(PLAN_6_1)
    settings = load_settings("prod", environ={})
    assert settings.security.encryption.key_derivation_iterations == 200_000
    assert settings.security.tls.required


def test_the_plans_fips_configuration_parses_and_does_not_start(write) -> None:  # type: ignore[no-untyped-def]
    """Section 4.3 is understood; a mode that this release has not is never pretended."""
    settings = load_settings(write(PLAN_4_3), environ={})
    assert settings.security.allowed_algorithms is not None
    assert "ECDSA-P384" in settings.security.allowed_algorithms
    with pytest.raises(ConfigurationError, match="MFN_FIPS_MODE"):
        build_policy(settings)


@pytest.mark.parametrize("name", SHIPPED)
def test_every_shipped_configuration_loads(name: str) -> None:
    """By its bare name, as an argument and as MFN_CONFIG."""
    assert load_settings(name, environ={}) == load_settings(environ={"MFN_CONFIG": name})


def test_where_nothing_is_named_the_settings_of_dev_hold() -> None:
    """And the plan's table of defaults is what they say."""
    settings = load_settings(environ={})
    assert settings == load_settings("dev", environ={})
    assert settings.security.encryption.enabled is True
    assert settings.security.encryption.algorithm == "AES-256-GCM"
    assert settings.security.key_management.provider == "local"
    assert settings.security.key_management.vault_addr is None
    assert settings.security.key_management.aws_kms_key_id is None
    assert settings.security.fips_mode is False


@pytest.mark.parametrize(
    ("variable", "text", "expected"),
    [
        ("MFN_CRYPTO_ENABLED", "false", False),
        ("MFN_CRYPTO_ENABLED", "ON", True),
        ("MFN_CRYPTO_ALGORITHM", "AES-256-GCM", "AES-256-GCM"),
        ("MFN_KEY_PROVIDER", "aws-kms", "aws-kms"),
        ("MFN_VAULT_ADDR", "https://vault:8200", "https://vault:8200"),
        ("MFN_AWS_KMS_KEY_ID", "alias/mfn", "alias/mfn"),
        ("MFN_FIPS_MODE", "1", True),
        ("MFN_HOME", "/srv/mfn", "/srv/mfn"),
        ("MFN_STORE", "postgresql://db/keys", "postgresql://db/keys"),
        ("MFN_MASTER_KEY_FILE", "/srv/m.key", "/srv/m.key"),
        ("MFN_MASTER_PASSPHRASE_FILE", "/run/p", "/run/p"),
    ],
)
def test_a_variable_sets_its_setting(variable: str, text: str, expected: object) -> None:
    """Each variable reaches the setting that it is listed with."""
    document = load_settings(environ={variable: text}).model_dump(by_alias=True)
    for part in VARIABLES[variable][0].split("."):
        document = document[part]
    assert document == expected


def test_the_environment_is_over_the_file_and_the_call_over_both(write) -> None:  # type: ignore[no-untyped-def]
    """The nearer to the run, the stronger."""
    path = write('{"home": "/file", "key_store": {"url": "sqlite:////file.db"}}')
    assert load_settings(path, environ={}).home == Path("/file")
    environ = {"MFN_HOME": "/environ", "MFN_STORE": "sqlite:////environ.db"}
    assert load_settings(path, environ=environ).home == Path("/environ")
    nearest = load_settings(path, environ=environ, home="/call", store="sqlite:////call.db")
    assert (nearest.home, nearest.store) == (Path("/call"), "sqlite:////call.db")


def test_paths_are_where_they_are_said_to_be(monkeypatch: pytest.MonkeyPatch) -> None:
    """Defaults lie in the home folder; ~ is the user's; a relative home is made absolute."""
    monkeypatch.setenv("HOME", "/home/someone")
    settings = load_settings(environ={"MFN_HOME": "~/mfn"})
    assert settings.store == Path("/home/someone/mfn/keys.db")
    assert settings.master_key_file == Path("/home/someone/mfn/master.key")
    assert settings.master_passphrase_file is None
    named = load_settings(
        environ={"MFN_MASTER_KEY_FILE": "~/m", "MFN_MASTER_PASSPHRASE_FILE": "~/p"}
    )
    assert named.master_key_file == Path("/home/someone/m")
    assert named.master_passphrase_file == Path("/home/someone/p")
    assert load_settings(environ={"MFN_HOME": "x"}).home == Path.cwd() / "x"
    assert load_settings(environ={}).home.name == "mycelium-fractal-net"


@pytest.mark.parametrize(
    ("variable", "hint"),
    [("MFN_CRYPTO_ENABLE", "MFN_CRYPTO_ENABLED"), ("MFN_VAULT_ADDRESS", "MFN_VAULT_ADDR")],
)
def test_a_misspelt_variable_is_refused_with_the_nearest_name(variable: str, hint: str) -> None:
    """It never silently does nothing."""
    with pytest.raises(ConfigurationError, match=f"{variable} is unknown; did you mean {hint}"):
        load_settings(environ={variable: "x"})


def test_unlike_any_name_there_is_no_guess_and_test_variables_pass() -> None:
    """MFN_TEST_* belongs to the tests; other programs' variables are none of ours."""
    with pytest.raises(ConfigurationError, match=r"MFN_QQQQQQQQQQQQ is unknown$"):
        load_settings(environ={"MFN_QQQQQQQQQQQQ": "x"})
    load_settings(environ={"MFN_TEST_VAULT_ADDR": "x", "OTHER": "y"})


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ('{"securty": {}}', "securty: is not a setting"),
        ('{"security": {"tls": {"minimum": "1.2"}}}', "security.tls.minimum: is not a setting"),
        ('{"security": {"encryption": {"enabled": "true"}}}', "security.encryption.enabled"),
        ('{"security": {"fips_mode": 1}}', "security.fips_mode"),
        ('{"security": {"encryption": {"key_derivation_iterations": 1e6}}}', "iterations"),
        ('{"security": {"encryption": {"key_derivation_iterations": 199999}}}', "200000"),
        ('{"security": {"encryption": {"algorithm": "AES-128-GCM"}}}', "algorithm"),
        ('{"security": {"key_management": {"rotation_interval_days": 0}}}', "interval_days"),
        ('{"security": {"tls": {"min_version": "1.1"}}}', "min_version"),
        ('{"keyring": {"cache_seconds": 0}}', "keyring.cache_seconds"),
        ('{"keyring": null}', "keyring"),
        ('{"home": "a", "home": "b"}', "'home' twice"),
        ('{"keyring": {"cache_seconds": NaN}}', "NaN"),
        ("[]", "not a JSON object"),
        ("{", "not JSON"),
        (b"\xff\xfe", "not JSON in UTF-8"),
        ("[" * 100_000, "not JSON"),
        ('{"home": "\\ud800"}', ""),
    ],
)
def test_a_wrong_file_is_refused_by_the_name_of_the_setting(  # type: ignore[no-untyped-def]
    write, content: str | bytes, named: str
) -> None:
    """Which setting and why, in one line."""
    with pytest.raises(ConfigurationError) as caught:
        load_settings(write(content), environ={})
    assert named in str(caught.value)
    assert "\n" not in str(caught.value)


def test_every_fault_is_told_at_once(write) -> None:  # type: ignore[no-untyped-def]
    """Nobody mends a configuration one refusal at a time."""
    path = write('{"a": 1, "keyring": {"cache_keys": 0}}')
    with pytest.raises(ConfigurationError, match=r"(?s)cache_keys.*; a: is not a setting"):
        load_settings(path, environ={})


def test_a_variable_below_what_is_no_section_is_refused(write) -> None:  # type: ignore[no-untyped-def]
    """A file whose section is a number does not become one by an override."""
    with pytest.raises(ConfigurationError, match="key_store is not a JSON object"):
        load_settings(write('{"key_store": 5}'), environ={"MFN_STORE": "x"})


@pytest.mark.parametrize("named", ["/nowhere/at/all.json", "production"])
def test_a_configuration_that_is_not_there_is_refused(named: str) -> None:
    """The error says what may be named."""
    with pytest.raises(ConfigurationError, match="dev, staging, prod"):
        load_settings(named, environ={})


def settings_of(model: type[BaseModel], prefix: str = "") -> list[str]:
    """The dotted path of every leaf of the settings."""
    found = []
    for name, field in model.model_fields.items():
        path = f"{prefix}{field.alias or name}"
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            found += settings_of(inner, f"{path}.")
        else:
            found.append(path)
    return found


@pytest.mark.parametrize("path", settings_of(Settings))
def test_no_error_and_no_repr_shows_a_value_of_the_file(write, path: str) -> None:  # type: ignore[no-untyped-def]
    """A secret put into the wrong place stays unseen."""
    document: object = SECRET
    for part in reversed(path.split(".")):
        document = {part: document}
    try:
        shown = repr(load_settings(write(json.dumps(document)), environ={}).key_store)
    except ConfigurationError as error:
        shown = f"{error} {error!r} {error.__cause__} {error.__context__}"
    assert SECRET not in shown


@pytest.mark.parametrize("variable", [*VARIABLES, "MFN_CONFIG", "MFN_UNKNOWN"])
def test_no_error_shows_a_value_of_the_environment(variable: str) -> None:
    """A secret pasted into the wrong variable stays unseen."""
    try:
        shown = repr(load_settings(environ={variable: SECRET}).key_store)
    except ConfigurationError as error:
        shown = f"{error} {error!r} {error.__cause__}"
    assert SECRET not in shown


def test_switched_off_means_that_nothing_is_opened(tmp_path: Path) -> None:
    """MFN_CRYPTO_ENABLED=false never lets data through unencrypted: there is no keyring."""
    settings = load_settings(environ={"MFN_CRYPTO_ENABLED": "false", "MFN_HOME": str(tmp_path)})
    with pytest.raises(ConfigurationError, match="MFN_CRYPTO_ENABLED"):
        open_keyring(settings=settings)


def test_the_documentation_names_every_setting_and_variable_and_no_other() -> None:
    """docs/configuration.md is complete, and nothing in it is made up."""
    import re

    text = (Path(__file__).parents[1] / "docs" / "configuration.md").read_text()
    documented = set(re.findall(r"`([a-z_]+(?:\.[a-z_]+)*)`", text))
    paths = set(settings_of(Settings))
    assert paths <= documented
    sections = {path.split(".")[0] for path in paths}
    assert {name for name in documented if name.split(".")[0] in sections} <= paths
    variables = set(re.findall(r"`(MFN_[A-Z_]+)`", text))
    assert variables == {*VARIABLES, "MFN_CONFIG"}
