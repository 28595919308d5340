"""The configuration: what it takes, from where, and what it refuses without a word too much."""

from __future__ import annotations

import json
import pwd
import re
import secrets
import subprocess
import sys
import traceback
from pathlib import Path
from typing import Any

import msgspec
import platformdirs
import pytest
from hypothesis import given
from hypothesis import settings as settings_of_hypothesis
from hypothesis import strategies as st
from rich.pretty import pretty_repr

from mycelium_fractal_net.bootstrap import build_policy, open_keyring
from mycelium_fractal_net.bootstrap.custodians import scheme_of
from mycelium_fractal_net.bootstrap.custodians.remote import RemoteScheme
from mycelium_fractal_net.config import SHIPPED, VARIABLES, Settings, load_settings
from mycelium_fractal_net.config.document import MAX_FAULTS, MAX_FILE_BYTES
from mycelium_fractal_net.security.algorithms.names import CIPHERS_HASHES_SIGNATURES, MACS_AND_KDFS
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
SECRET = "s3cr3t-5f3c9a1be07d"
DOCUMENTATION = (Path(__file__).parents[2] / "docs" / "configuration.md").read_text()


def leaves(kind: Any, prefix: str = "") -> dict[str, object]:
    """The dotted path of every setting, with its default."""
    found: dict[str, object] = {}
    for field in msgspec.structs.fields(kind):
        if isinstance(field.type, type) and issubclass(field.type, msgspec.Struct):
            found |= leaves(field.type, f"{prefix}{field.encode_name}.")
        else:
            found[f"{prefix}{field.encode_name}"] = field.default
    return found


LEAVES = leaves(Settings)


def value_at(settings: object, path: str) -> object:
    """What a setting holds."""
    for name in path.split("."):
        settings = getattr(settings, {"home": "home_folder"}.get(name, name))
    return settings


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
    shipped = json.loads((Path(__file__).parents[2] / "configs" / "prod.json").read_text())
    assert shipped == json.loads(PLAN_6_1)
    settings = load_settings("prod", environ={})
    assert settings.security.encryption.key_derivation_iterations == 200_000
    assert settings.security.tls.required


def test_the_plans_fips_configuration_parses_and_does_not_start(  # type: ignore[no-untyped-def]
    write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Section 4.3 is understood; a mode that this process has not is never pretended."""
    monkeypatch.setattr("mycelium_fractal_net.security.fips.process._proofs", [])
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
        ("MFN_HOME", "/srv/mfn", Path("/srv/mfn")),
        ("MFN_STORE", "postgresql://db/keys", "postgresql://db/keys"),
        ("MFN_MASTER_KEY_FILE", "/srv/m.key", Path("/srv/m.key")),
        ("MFN_MASTER_PASSPHRASE_FILE", "/run/p", Path("/run/p")),
    ],
)
def test_a_variable_sets_its_setting(variable: str, text: str, expected: object) -> None:
    """Each variable reaches the setting that it is listed with."""
    settings = load_settings(environ={variable: text})
    path = VARIABLES[variable][0]
    assert value_at(settings, path) == expected
    others = load_settings(environ={})
    assert {p for p in LEAVES if value_at(settings, p) != value_at(others, p)} <= {path}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        *((text, True) for text in ("true", "TRUE", "1", "yes", "Yes", "on")),
        *((text, False) for text in ("false", "False", "0", "no", "NO", "off")),
    ],
)
def test_a_boolean_variable_has_eight_spellings_in_any_case(text: str, expected: bool) -> None:
    """Four for yes and four for no."""
    settings = load_settings(environ={"MFN_CRYPTO_ENABLED": text})
    assert settings.security.encryption.enabled is expected


@pytest.mark.parametrize("text", ["", " ", "true ", "y", "2", "enabled", "\uff54rue", "tr\nue"])
def test_any_other_boolean_is_refused(text: str) -> None:
    """Nothing is guessed: neither that it means yes nor that it means no."""
    with pytest.raises(ConfigurationError, match="MFN_FIPS_MODE"):
        load_settings(environ={"MFN_FIPS_MODE": text})


def test_the_environment_is_over_the_file_and_the_call_over_both(write) -> None:  # type: ignore[no-untyped-def]
    """The nearer to the run, the stronger."""
    path = write('{"home": "/file", "key_store": {"url": "sqlite:////file.db"}}')
    assert load_settings(path, environ={}).home == Path("/file")
    environ = {"MFN_HOME": "/environ", "MFN_STORE": "sqlite:////environ.db"}
    assert load_settings(path, environ=environ).home == Path("/environ")
    nearest = load_settings(path, environ=environ, home="/call", store="sqlite:////call.db")
    assert (nearest.home, nearest.store) == (Path("/call"), "sqlite:////call.db")


def test_paths_are_where_they_are_said_to_be(monkeypatch: pytest.MonkeyPatch) -> None:
    """Defaults lie in the home folder; ~ is the user's."""
    monkeypatch.setenv("HOME", "/home/someone")
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    settings = load_settings(environ={"MFN_HOME": "~/mfn"})
    assert settings.store == Path("/home/someone/mfn/keys.db")
    assert settings.master_key_file == Path("/home/someone/mfn/master.key")
    assert settings.master_passphrase_file is None
    named = load_settings(
        environ={"MFN_MASTER_KEY_FILE": "~/m", "MFN_MASTER_PASSPHRASE_FILE": "~/p"}
    )
    assert named.master_key_file == Path("/home/someone/m")
    assert named.master_passphrase_file == Path("/home/someone/p")
    platform = load_settings(environ={}).home
    assert platform == Path("/home/someone/.local/share/mycelium-fractal-net")


def test_a_relative_path_does_not_move_with_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A daemon that changes its folder after the start still finds its keys."""
    monkeypatch.chdir(tmp_path)
    settings = load_settings(environ={"MFN_HOME": "a", "MFN_MASTER_KEY_FILE": "b"})
    monkeypatch.chdir("/")
    assert settings.home == tmp_path / "a"
    assert settings.master_key_file == tmp_path / "b"


def test_without_a_home_folder_nothing_is_put_beside_the_caller(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A user in a container whom its passwd does not know gets no folder named ~ there."""

    def nobody(uid: int) -> object:
        raise KeyError(uid)

    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr(pwd, "getpwuid", nobody)
    with pytest.raises(ConfigurationError, match="MFN_HOME"):
        _ = load_settings(environ={}).home
    # What platformdirs said before it learned to raise.
    monkeypatch.setattr(platformdirs, "user_data_path", lambda *_, **__: Path("~/.local/share/x"))
    with pytest.raises(ConfigurationError, match="MFN_HOME"):
        _ = load_settings(environ={}).home


def test_a_home_that_cannot_be_resolved_is_refused() -> None:
    """The folder of a user whom this machine does not know."""
    with pytest.raises(ConfigurationError, match=r"home \(MFN_HOME\): expected a path"):
        load_settings(environ={"MFN_HOME": "~no-such-user-here/mfn"})


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
    with pytest.raises(ConfigurationError, match="MFN_TEST is unknown"):
        load_settings(environ={"MFN_TEST": "x"})
    load_settings(environ={"MFN_TEST_VAULT_ADDR": "x", "OTHER": "y"})


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ('{"securty": {}}', "securty: is not a setting"),
        ('{"security": {"tls": {"minimum": "1.2"}}}', "security.tls.minimum: is not a setting"),
        ('{"home_folder": "x"}', "home_folder: is not a setting"),
        (
            '{"security": {"encryption": {"enabled": "true"}}}',
            "security.encryption.enabled: expected bool, got str",
        ),
        ('{"security": {"fips_mode": 1}}', "security.fips_mode: expected bool, got int"),
        (
            '{"security": {"encryption": {"key_derivation_iterations": 1e6}}}',
            "security.encryption.key_derivation_iterations: expected int, got float",
        ),
        (
            '{"security": {"encryption": {"key_derivation_iterations": 199999}}}',
            "security.encryption.key_derivation_iterations: expected int >= 200000",
        ),
        (
            '{"security": {"encryption": {"algorithm": "AES-128-GCM"}}}',
            "security.encryption.algorithm: is not one of AES-256-GCM",
        ),
        (
            '{"security": {"key_management": {"provider": "cloud"}}}',
            "security.key_management.provider: is not one of local, vault, aws-kms, pkcs11",
        ),
        (
            '{"security": {"key_management": {"rotation_interval_days": 0}}}',
            "security.key_management.rotation_interval_days: expected int >= 1",
        ),
        (
            '{"security": {"tls": {"min_version": "1.1"}}}',
            "security.tls.min_version: is not one of 1.2, 1.3",
        ),
        (
            '{"security": {"allowed_algorithms": ["AES-256-GCM", 5]}}',
            "security.allowed_algorithms[1]: expected str, got int",
        ),
        (
            '{"security": {"allowed_algorithms": "AES-256-GCM"}}',
            "security.allowed_algorithms: expected array | null, got str",
        ),
        ('{"keyring": {"cache_seconds": 0}}', "keyring.cache_seconds: expected int >= 1"),
        ('{"keyring": {"cache_keys": true}}', "keyring.cache_keys: expected int, got bool"),
        ('{"keyring": {"cache_keys": 1e999}}', "keyring.cache_keys: expected int, got float"),
        ('{"keyring": null}', "keyring: expected object, got null"),
        ('{"home": 5}', "home: expected the path of a file or folder"),
        ('{"home": ""}', "home: expected the path of a file or folder"),
        ('{"home": "a\\u0000b"}', "home: holds a control character, or is not Unicode"),
        ('{"home": "\\ud800"}', "home: holds a control character, or is not Unicode"),
        (
            '{"security": {"disallowed_algorithms": ["a\\nb"]}}',
            "security.disallowed_algorithms[0]: holds a control character, or is not Unicode",
        ),
        ('{"home": "a", "home": "a"}', "home: stands there twice"),
        (
            '{"security": {"tls": {"required": true, "required": false}}}',
            "security.tls.required: stands there twice",
        ),
        ('{"keyring": {}, "keyring": {"cache_keys": 1}}', "keyring: stands there twice"),
        (
            '{"keyring": {"cache_seconds": NaN}}',
            "keyring.cache_seconds: is NaN or Infinity, which is not JSON",
        ),
        ('{"a\\nb\\u001b[1m": 1}', "'a\\nb\\x1b[1m': is not a setting"),
        ('{"\\ud800": 1}', "'\\ud800': is not a setting"),
        ('{"x - at `$.home`": 1}', "'x - at `$.home`': is not a setting"),
    ],
)
def test_a_wrong_setting_is_refused_by_its_path(write, content: str, told: str) -> None:  # type: ignore[no-untyped-def]
    """Which setting and why, in one line, and nothing else."""
    with pytest.raises(ConfigurationError) as caught:
        load_settings(write(content), environ={})
    assert str(caught.value) == told


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("[]", "is not a JSON object"),
        ("null", "is not a JSON object"),
        ("NaN", "is not a JSON object"),
        ('{"home":\n a}', "is not JSON: line 2, column 2"),
        ("{} {}", "is not JSON: line 1, column 4"),
        (b"\xff\xfe", "is UTF-16; save it as UTF-8"),
        ("[" * 100_000, "without end"),
        ('{"home": ' + "[" * 960 + "]" * 960 + "}", ""),
        ('{"home": ' + "9" * 5_000 + "}", "without end"),
        (" " * MAX_FILE_BYTES + "{}", "larger than 1048576 bytes"),
    ],
)
def test_what_is_no_configuration_is_refused(write, content: str | bytes, told: str) -> None:  # type: ignore[no-untyped-def]
    """In one line that says what the file is instead, and who named it."""
    with pytest.raises(ConfigurationError) as caught:
        load_settings(environ={"MFN_CONFIG": str(write(content))})
    assert told in str(caught.value)
    assert "MFN_CONFIG" in str(caught.value) or not told
    assert "\n" not in str(caught.value)


@settings_of_hypothesis(max_examples=50, deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(
                st.sampled_from(sorted({p for path in LEAVES for p in path.split(".")}))
                | st.text(),
                inner,
                max_size=4,
            )
        ),
        max_leaves=12,
    )
)
def test_any_json_gives_settings_or_one_line(tmp_path_factory, document: object) -> None:  # type: ignore[no-untyped-def]
    """No other error, whatever the file holds, and nothing that breaks a terminal."""
    path = tmp_path_factory.getbasetemp() / f"any-{secrets.token_hex(8)}.json"
    path.write_text(json.dumps(document))
    told = ""
    try:
        load_settings(path, environ={})
    except ConfigurationError as error:
        told = str(error)
    finally:
        path.unlink()
    assert re.search("[\x00-\x1f\x7f-\x9f\ud800-\udfff]", told) is None


def test_a_number_in_a_variable_is_a_whole_one() -> None:
    """Read as it is in a file, and refused with the variable's name."""
    settings = load_settings(environ={"MFN_OUTAGE_SECONDS": "60"})
    assert settings.security.key_management.outage_seconds == 60
    with pytest.raises(ConfigurationError, match=r"MFN_OUTAGE_SECONDS.*is not a whole number"):
        load_settings(environ={"MFN_OUTAGE_SECONDS": "an hour"})
    with pytest.raises(ConfigurationError, match="outage_seconds"):
        load_settings(environ={"MFN_OUTAGE_SECONDS": "-1"})


def test_the_deadline_of_a_custodian_is_that_of_its_calls() -> None:
    """Shorter than what the service waits for in all."""
    settings = load_settings(
        environ={"MFN_CUSTODIAN_DEADLINE_SECONDS": "4", "MFN_KEY_PROVIDER": "vault"}
    )
    scheme = scheme_of(settings)
    assert isinstance(scheme, RemoteScheme)
    assert scheme.limits(settings).deadline_seconds == 4
    for seconds in ("0", "26"):
        with pytest.raises(ConfigurationError, match="deadline_seconds"):
            load_settings(environ={"MFN_CUSTODIAN_DEADLINE_SECONDS": seconds})


def test_every_fault_is_told_at_once(write) -> None:  # type: ignore[no-untyped-def]
    """Nobody mends a configuration one refusal at a time."""
    path = write('{"a": 1, "keyring": {"cache_keys": 0, "b": 2}, "security": {"fips_mode": 0}}')
    environ = {"MFN_KEY_PROVIDER": "none"}
    with pytest.raises(ConfigurationError) as caught:
        load_settings(path, environ=environ)
    assert set(str(caught.value).split("; ")) == {
        "a: is not a setting",
        "keyring.b: is not a setting",
        "keyring.cache_keys: expected int >= 1",
        "security.fips_mode: expected bool, got int",
        "security.key_management.provider (MFN_KEY_PROVIDER): is not one of"
        " local, vault, aws-kms, pkcs11",
    }
    for many in ({f"a{n}": 1 for n in range(500)}, {f"a {n}": 1 for n in range(500)}):
        with pytest.raises(ConfigurationError) as caught:
            load_settings(write(json.dumps(many)), environ={})
        assert len(str(caught.value).split("; ")) == MAX_FAULTS


def test_a_variable_below_what_is_no_section_is_refused(write) -> None:  # type: ignore[no-untyped-def]
    """A file whose section is a number does not become one by an override."""
    with pytest.raises(ConfigurationError, match="key_store: expected object"):
        load_settings(write('{"key_store": 5}'), environ={"MFN_STORE": "x"})


def test_a_variable_heals_a_wrong_value_of_the_file_but_not_a_double_one(write) -> None:  # type: ignore[no-untyped-def]
    """What is overridden is not in force; a file that says two things is no configuration."""
    environ = {"MFN_HOME": "/srv/mfn"}
    assert load_settings(write('{"home": 5}'), environ=environ).home == Path("/srv/mfn")
    with pytest.raises(ConfigurationError, match="home: stands there twice"):
        load_settings(write('{"home": "a", "home": "b"}'), environ=environ)


@pytest.mark.parametrize(
    "named", ["/nowhere/at/all.json", "production", "", ".", "~no-such-user-here/x", "a\0b"]
)
def test_a_configuration_that_is_not_there_is_refused(named: str) -> None:
    """The error says what may be named."""
    with pytest.raises(ConfigurationError, match="dev, staging, prod"):
        load_settings(named, environ={})


@pytest.mark.parametrize("text", ["", "a\nb", "\udcff"])
@pytest.mark.parametrize("variable", [v for v, (_, parse) in VARIABLES.items() if parse is str])
def test_text_that_is_none_is_refused_by_the_name_of_its_variable(variable: str, text: str) -> None:
    """Empty, in two lines, or bytes that are not UTF-8: an unset variable was meant, or another."""
    with pytest.raises(ConfigurationError, match=rf"^{VARIABLES[variable][0]} \({variable}\): "):
        load_settings(environ={variable: text})


def test_a_strange_name_of_a_variable_does_not_reach_the_terminal() -> None:
    """Whoever sets the environment does not write to the operator's screen."""
    with pytest.raises(ConfigurationError, match=r"'MFN_A\\n\\x1b\[1m' is unknown$"):
        load_settings(environ={"MFN_A\n\x1b[1m": "x"})


def shown_by(error: BaseException) -> str:
    """Whatever an error may put before somebody's eyes, its chain and their attributes too."""
    told = "".join(traceback.format_exception(error))
    while error is not None:
        told += f"{error} {error!r} {vars(error)} {getattr(error, 'doc', '')}"
        told += f"{getattr(error, 'object', '')!r}"
        error = error.__context__  # type: ignore[assignment]
    return told


@pytest.mark.parametrize(
    "value", [SECRET, [SECRET], {SECRET: 1}, f"{SECRET}\n", f"x' - at `$.home` {SECRET}"]
)
def test_no_error_and_no_repr_shows_a_value_of_the_file(write, value: object) -> None:  # type: ignore[no-untyped-def]
    """A secret put into the wrong place stays unseen; an unknown name is no value and is shown."""
    for path in LEAVES:
        document = value
        for part in reversed(path.split(".")):
            document = {part: document}
        try:
            settings = load_settings(write(json.dumps(document)), environ={})
        except ConfigurationError as error:
            told = shown_by(error)
            assert SECRET not in told or isinstance(value, dict), path
            assert path.split(".")[-1] in told
        else:
            assert SECRET not in repr(settings.key_store), path


@pytest.mark.parametrize("content", ['{"home": "%s",}', '{"home": "%s\xff"}', '{"a": ["%s", %s]}'])
def test_a_file_that_does_not_parse_leaves_nothing_in_the_error(write, content: str) -> None:  # type: ignore[no-untyped-def]
    """The decoder's own exception holds the whole file, and is gone."""
    broken = content.replace("%s", SECRET).encode("latin-1")
    with pytest.raises(ConfigurationError) as caught:
        load_settings(write(broken), environ={})
    assert SECRET not in shown_by(caught.value)
    assert caught.value.__context__ is None


@pytest.mark.parametrize("variable", [*VARIABLES, "MFN_CONFIG", "MFN_UNKNOWN"])
@pytest.mark.parametrize("value", [SECRET, f"{SECRET}\n", f"x' - at `$.home` {SECRET}"])
def test_no_error_shows_a_value_of_the_environment(variable: str, value: str) -> None:
    """A secret pasted into the wrong variable stays unseen."""
    try:
        told = repr(load_settings(environ={variable: value}).key_store)
    except ConfigurationError as error:
        told = shown_by(error)
        assert variable in told
    assert SECRET not in told


def test_a_password_in_a_url_is_shown_by_no_repr() -> None:
    """Neither Python's nor that of rich, whose tracebacks print local variables."""
    url = f"postgresql+psycopg://u:{SECRET}@db/keys"
    vault = f"https://u:{SECRET}@vault:8200"
    settings = load_settings(environ={"MFN_STORE": url, "MFN_VAULT_ADDR": vault})
    assert settings.store == url
    assert settings.security.key_management.vault_addr == vault
    for told in (repr(settings), str(settings), pretty_repr(settings)):
        assert SECRET not in told
        assert "url='...'" in told
    assert "url=None" in repr(load_settings(environ={}))


def test_settings_do_not_change() -> None:
    """What was checked at the start is what runs."""
    settings = load_settings(environ={})
    for path in LEAVES:
        *sections, name = path.replace("home", "home_folder").split(".")
        with pytest.raises(AttributeError):
            setattr(value_at(settings, ".".join(sections)) if sections else settings, name, None)


def test_switched_off_means_that_nothing_is_opened(tmp_path: Path) -> None:
    """MFN_CRYPTO_ENABLED=false never lets data through unencrypted: there is no keyring."""
    settings = load_settings(environ={"MFN_CRYPTO_ENABLED": "false", "MFN_HOME": str(tmp_path)})
    with pytest.raises(ConfigurationError, match="MFN_CRYPTO_ENABLED"):
        open_keyring(settings=settings)


def test_reading_the_configuration_loads_nothing_heavy() -> None:
    """Every command pays for it: pydantic alone would be a third more."""
    code = (
        "import sys; from mycelium_fractal_net.config import load_settings; load_settings();"
        "print(sorted({m.split('.')[0] for m in sys.modules} &"
        " {'pydantic', 'cryptography', 'sqlalchemy', 'click', 'difflib'}))"
    )
    environ = {"PYTHONPATH": str(Path(__file__).parents[2] / "src")}
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True, text=True, check=True, timeout=60, env=environ,
    )  # fmt: skip
    assert done.stdout.strip() == "[]"


# The documentation --------------------------------------------------------------------------


def rows(heading: str) -> dict[str, list[str]]:
    """The cells of a table in the documentation, by the name in the first column."""
    section = DOCUMENTATION.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    found = {}
    for line in section.splitlines():
        if line.startswith("| `"):
            name, *cells = (cell.strip() for cell in line.strip("|").split(" | "))
            found[name.strip("`")] = cells
    return found


def test_the_documentation_names_every_setting_and_no_other() -> None:
    """With the default that holds where a file is silent."""
    documented = rows("Settings")
    assert set(documented) == set(LEAVES)
    for path, (_, default, *_) in documented.items():
        real = LEAVES[path]
        assert (None if default == "none" else json.loads(default.strip("`"))) == (
            list(real) if isinstance(real, tuple) else real
        ), path


def test_the_documentation_says_what_each_shipped_file_sets_otherwise() -> None:
    """The column of a shipped file's differences is what the file says."""
    documented = rows("What the shipped files say")
    for name in SHIPPED:
        settings = load_settings(name, environ={})
        differing = {p for p in LEAVES if value_at(settings, p) != LEAVES[p]}
        assert differing <= set(documented)
        for path, cells in documented.items():
            said = json.loads(cells[SHIPPED.index(name)].strip("`"))
            assert said == value_at(settings, path), (name, path)


def test_the_documentation_names_every_variable_and_no_other() -> None:
    """With the setting that it overrides, its type and its default."""
    documented = rows("Environment")
    assert set(documented) == {*VARIABLES, "MFN_CONFIG"}
    for variable, (path, parse) in VARIABLES.items():
        setting, kind, default = documented[variable][:3]
        assert setting == f"`{path}`"
        readers = {"boolean": "_boolean", "integer": "_whole", "names, comma between": "_names"}
        named = (readers[kind],) if kind in readers else ("str", "lower")
        assert parse.__name__ in named
        assert default == rows("Settings")[path][1]
    assert set(re.findall(r"MFN_[A-Z0-9_]+", DOCUMENTATION)) - {"MFN_TEST_"} <= set(documented) | {
        "MFN_"
    }


def test_the_documentation_names_every_algorithm() -> None:
    """In the row of the list that it may stand on."""
    documented = rows("Settings")
    for setting, names in (
        ("allowed_algorithms", CIPHERS_HASHES_SIGNATURES),
        ("allowed_macs_and_kdfs", MACS_AND_KDFS),
    ):
        row = " ".join(documented[f"security.{setting}"])
        assert set(re.findall(r"`([A-Z][\w-]+)`", row)) == names


# What others put there ---------------------------------------------------------------------------


def test_a_byte_order_mark_is_passed_over_and_utf_16_is_named(tmp_path: Path) -> None:
    """As editors of Windows save a file (RFC 8259 section 8.1)."""
    file = tmp_path / "config.json"
    file.write_bytes(b'\xef\xbb\xbf{"keyring": {"cache_seconds": 60}}')
    assert load_settings(config=file, environ={}).keyring.cache_seconds == 60
    file.write_bytes('\ufeff{"keyring": {}}'.encode("utf-16-le"))
    with pytest.raises(ConfigurationError, match="is UTF-16; save it as UTF-8"):
        load_settings(config=file, environ={})


SERVICE_LINKS = {
    "MFN_SERVICE_HOST": "10.96.0.12",
    "MFN_SERVICE_PORT": "8000",
    "MFN_SERVICE_PORT_HTTP": "8000",
    "MFN_PORT": "tcp://10.96.0.12:8000",
    "MFN_PORT_8000_TCP": "tcp://10.96.0.12:8000",
    "MFN_PORT_8000_TCP_PROTO": "tcp",
    "MFN_PORT_8000_TCP_PORT": "8000",
    "MFN_PORT_8000_TCP_ADDR": "10.96.0.12",
}


@pytest.mark.parametrize("service", ["MFN", "MFN_API", "MFN_TEST_HOST"])
def test_what_kubernetes_sets_for_a_service_is_passed_over(
    service: str, caplog: pytest.LogCaptureFixture
) -> None:
    """For services called mfn, or mfn-api; one line of the log names them."""
    links = {f"{service}{name.removeprefix('MFN')}": text for name, text in SERVICE_LINKS.items()}
    caplog.set_level("INFO", logger="mycelium_fractal_net.config")
    load_settings(environ={**links, "MFN_HOME": "/srv/mfn"})
    if service != "MFN_TEST_HOST":  # which the tests' own prefix covers
        (record,) = caplog.records
        assert all(name in record.getMessage() for name in links)


@pytest.mark.parametrize("name", ["MFN_PORT", "MFN_PORT_8000_TCP", "MFN_SERVICE_PORT", "MFN_HOST"])
def test_a_variable_that_only_looks_like_one_of_kubernetes_is_unknown(name: str) -> None:
    """Without the address of a service of that name somebody meant a setting."""
    with pytest.raises(ConfigurationError, match=f"{name} is unknown"):
        load_settings(environ={name: "8000"})
    with pytest.raises(ConfigurationError, match="MFN_HOST is unknown"):
        load_settings(environ={**SERVICE_LINKS, "MFN_HOST": "0.0.0.0"})
