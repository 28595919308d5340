"""What the settings are looked at for in production: each state, and its absence."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from mycelium_fractal_net.config import Settings, configuration_file, load_settings
from mycelium_fractal_net.doctor.posture import posture_findings
from mycelium_fractal_net.doctor.rules import RULES, Severity

if TYPE_CHECKING:
    from pathlib import Path

    from mycelium_fractal_net.doctor import Finding

# What a reviewer of the settings has nothing to say of.
GOOD: dict[str, Any] = {
    "audit": {"export": "syslog", "uses": True},
    "security": {"key_management": {"provider": "vault", "vault_addr": "https://vault:8200"}},
    "server": {"requests_per_address": "100/second"},
}
NOTICE, WARNING, CRITICAL = Severity


def settings(home: Path, **sections: Any) -> Settings:
    """Good settings, but for those members of their sections."""
    document: dict[str, Any] = {"home": str(home), **json.loads(json.dumps(GOOD))}
    for section, members in sections.items():
        merged = document.setdefault(section, {})
        for name, value in members.items():
            merged[name] = merged.get(name, {}) | value if isinstance(value, dict) else value
    file = home.parent / "settings.json"
    file.write_text(json.dumps(document))
    return load_settings(file, environ={})


def found(chosen: Settings, file: Path | None = None) -> list[Finding]:
    """What is found, but for this machine."""
    checks = ("swap", "ptrace-scope", "core-dumps", "traceable", "root-process")
    return [each for each in posture_findings(chosen, file) if each.check not in checks]


def only(chosen: Settings, file: Path | None = None) -> Finding:
    """The one finding that there is, which has a requirement and is as severe as it may be."""
    (finding,) = found(chosen, file)
    assert finding.requirements
    assert finding.what
    order = list(Severity)
    assert order.index(finding.severity) <= order.index(RULES[finding.check].worst)
    return finding


def test_good_settings_have_no_finding(home: Path) -> None:
    """Of those that say nothing of TLS too: such a service does not start without it."""
    assert found(settings(home)) == []


@pytest.mark.parametrize(
    ("section", "members", "check", "severity"),
    [
        ("server", {"production": False}, "not-production", WARNING),
        ("log", {"level": "debug"}, "debug-log", WARNING),
        ("audit", {"export": "none"}, "audit-export", WARNING),
        ("audit", {"uses": False}, "audit-uses", NOTICE),
        ("security", {"key_management": {"provider": "local"}}, "local-custodian", WARNING),
        ("security", {"key_management": {"vault_token": "s.x"}}, "vault-token", WARNING),
        ("security", {"key_management": {"outage_seconds": 86_401}}, "long-outage", NOTICE),
        ("server", {"rate_limit_storage": "redis://cache:6379"}, "rate-storage-tls", WARNING),
        ("server", {"request_signing": "off"}, "unsigned-requests", WARNING),
        ("server", {"request_signing": "optional"}, "unsigned-requests", WARNING),
        ("server", {"unsigned_routes": ["GET /metrics", "GET /keys"]}, "unsigned-routes", NOTICE),
        ("server", {"body_only_signatures": True}, "body-only-signatures", WARNING),
        ("server", {"requests_per_address": None}, "no-rate-limit", NOTICE),
        ("security", {"tls": {"required": False}}, "plain-http", WARNING),
        (
            "server",
            {"host": "0.0.0.0", "trusted_proxies": ["10.0.0.7"]},
            "plain-behind-proxy",
            WARNING,
        ),
    ],
)
def test_each_setting_that_is_not_for_production_is_found(
    home: Path, section: str, members: dict[str, Any], check: str, severity: Severity
) -> None:
    """Alone, with the setting as its subject; nothing else changed."""
    finding = only(settings(home, **{section: members}))
    assert (finding.check, finding.severity) == (check, severity)


def test_plain_http_for_others_is_critical(home: Path) -> None:
    """On an address that others reach; behind a proxy on this machine there is nothing to say."""
    server = {"host": "192.0.2.1"}
    finding = only(settings(home, server=server, security={"tls": {"required": False}}))
    assert (finding.check, finding.severity) == ("plain-http", CRITICAL)
    assert found(settings(home, server={"trusted_proxies": ["127.0.0.1"]})) == []


@pytest.mark.parametrize(
    "url", ["rediss://cache:6379", "redis://127.0.0.1", "redis://", "redis://[x"]
)
def test_rates_are_counted_out_of_sight_of_others(home: Path, url: str) -> None:
    """By TLS, or on this machine; what is no URL keeps the service from starting."""
    assert found(settings(home, server={"rate_limit_storage": url})) == []


def test_a_master_key_of_this_machine_has_no_outage(home: Path) -> None:
    """However long one is borne."""
    managed = {"provider": "local", "outage_seconds": 600_000}
    assert only(settings(home, security={"key_management": managed})).check == "local-custodian"


def test_a_rate_limit_of_credentials_is_one(home: Path) -> None:
    """One of the two is enough."""
    server = {"requests_per_address": None, "requests_per_credential": "10/second"}
    assert found(settings(home, server=server)) == []


def test_an_access_key_of_aws_without_an_end_is_found(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And neither one of a session, nor one that nobody uses."""
    kms = settings(home, security={"key_management": {"provider": "aws-kms"}})
    monkeypatch.delenv("AWS_ACCESS_KEY_ID", raising=False)
    assert found(kms) == []
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "ASIA0123456789ABCDEF")
    assert found(kms) == []
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIA0123456789ABCDEF")
    assert only(kms).check == "aws-static-key"
    assert found(settings(home)) == []


def test_the_first_api_key_in_its_file_is_found(home: Path) -> None:
    """Until the file is gone."""
    chosen = settings(home)
    home.mkdir(exist_ok=True)
    (home / "first-api-key").write_text("x")
    finding = only(chosen)
    assert (finding.check, finding.subject) == ("first-api-key", str(home / "first-api-key"))
    (home / "first-api-key").unlink()
    assert found(chosen) == []


# The file ------------------------------------------------------------------------------------


def test_a_configuration_that_others_may_write_is_critical(home: Path) -> None:
    """One that they may read is none, without a secret in it; nor is one that has gone."""
    chosen, file = settings(home), home.parent / "settings.json"
    file.chmod(0o664)
    finding = only(chosen, file)
    assert (finding.check, finding.severity) == ("configuration-file", CRITICAL)
    file.chmod(0o644)
    assert found(chosen, file) == []
    file.unlink()
    assert found(chosen, file) == []


@pytest.mark.parametrize(
    ("section", "members", "named"),
    [
        ("key_store", {"url": "postgresql://mfn:secret@db/mfn"}, "key_store.url"),
        ("key_store", {"url": "postgresql://db/mfn?user=m&password=secret"}, "key_store.url"),
        ("server", {"rate_limit_storage": "rediss://:secret@db"}, "server.rate_limit_storage"),
        ("key_store", {"url": "postgresql://mfn@db/mfn"}, None),
        ("key_store", {"url": "postgresql://[mfn"}, None),
    ],
)
def test_a_secret_in_the_configuration_is_found(
    home: Path, section: str, members: dict[str, Any], named: str | None
) -> None:
    """By the setting that holds it, and without its value."""
    chosen, file = settings(home, **{section: members}), home.parent / "settings.json"
    findings = found(chosen, file)
    assert [each.check for each in findings] == ["secret-in-configuration"] * (named is not None)
    for each in findings:
        assert named is not None
        assert named in each.advice
        assert "secret@" not in each.advice


def test_a_token_of_vault_in_the_configuration_is_found_in_both(home: Path) -> None:
    """In the settings as such, and in the file that holds it."""
    chosen = settings(home, security={"key_management": {"vault_token": "s.x"}})
    checks = {each.check for each in found(chosen, home.parent / "settings.json")}
    assert checks == {"vault-token", "secret-in-configuration"}


def test_the_file_of_the_settings_is_the_one_that_is_read(tmp_path: Path) -> None:
    """Named by the caller, by the environment, or none of the operator's."""
    file = tmp_path / "mine.json"
    assert configuration_file(file, environ={}) == file
    assert configuration_file(environ={"MFN_CONFIG": str(file)}) == file
    assert configuration_file(environ={"MFN_CONFIG": "prod"}) is None
    assert configuration_file("dev") is None
    assert configuration_file(environ={}) is None


# The certificate -----------------------------------------------------------------------------


def served(home: Path, key: Any, days: float) -> Settings:
    """Settings of a service with a certificate for ``key`` that ends in so many days."""
    now = datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    signer = ec.generate_private_key(ec.SECP256R1())
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=90))
        .not_valid_after(now + timedelta(days=days))
        .sign(signer, hashes.SHA256())
    )
    file = home.parent / "server.pem"
    file.write_bytes(made.public_bytes(Encoding.PEM))
    tls = {"certificate": str(file), "private_key": str(home.parent / "server.key")}
    return settings(home, security={"tls": tls})


P256 = ec.generate_private_key(ec.SECP256R1())


@pytest.mark.parametrize(("days", "severity"), [(30, None), (10, WARNING), (-1, CRITICAL)], ids=str)
def test_a_certificate_that_ends_is_found(
    home: Path, days: float, severity: Severity | None
) -> None:
    """Two weeks before it does, and once it has."""
    findings = found(served(home, P256, days))
    assert [each.severity for each in findings] == ([] if severity is None else [severity])
    assert {each.check for each in findings} <= {"certificate-ends"}


def test_a_weak_key_of_a_certificate_is_found(home: Path) -> None:
    """RSA of 2048 bits is one of 112; a curve of 256 bits and Ed25519 are of 128."""
    weak = rsa.generate_private_key(65537, 2048)
    assert only(served(home, weak, 60)).check == "certificate-strength"
    assert only(served(home, ec.generate_private_key(ec.SECP224R1()), 60)).check == (
        "certificate-strength"
    )
    assert found(served(home, ed25519.Ed25519PrivateKey.generate(), 60)) == []


def test_a_certificate_that_does_not_load_is_for_the_service_to_tell(home: Path) -> None:
    """It does not start with it."""
    chosen = served(home, P256, 60)
    chosen.security.tls.certificate.write_text("none")  # type: ignore[union-attr]
    assert found(chosen) == []
    gone = msgspec.structs.replace(chosen.security.tls, certificate=home / "gone.pem")
    security = msgspec.structs.replace(chosen.security, tls=gone)
    assert found(msgspec.structs.replace(chosen, security=security)) == []
