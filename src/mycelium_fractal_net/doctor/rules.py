"""What doctor looks for: each check with the worst that comes of it and what it is about.

A finding names its check, and has the requirements from here. Those under :data:`POSTURE` are for
``mfn doctor --profile prod``. docs/posture.md lists them all.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Severity(StrEnum):
    """How soon to act: critical now, warning soon, notice when there is time."""

    NOTICE = "notice"
    WARNING = "warning"
    CRITICAL = "critical"


@dataclass(frozen=True, slots=True)
class Rule:
    """A check: what it finds, the worst that it says, and requirements of OWASP ASVS 5.0.0."""

    what: str
    worst: Severity
    requirements: tuple[str, ...] = ()


_N, _W, _C = Severity.NOTICE, Severity.WARNING, Severity.CRITICAL

HEALTH: Final[dict[str, Rule]] = {
    "activation-due": Rule("A version should be active and waits", _W, ("11.1.1",)),
    "algorithm": Rule("An algorithm that is not allowed", _W, ("11.3.2", "11.6.1")),
    "audit-acknowledged": Rule("Known faults of audit records", _N, ("16.4.2",)),
    "audit-folder": Rule("Audit records cannot be read or written", _C, ("16.3.3",)),
    "audit-tampering": Rule("Audit records were tampered with", _C, ("16.4.2",)),
    "authentication": Rule("A row of the store that nobody authentic wrote", _C, ("11.3.3",)),
    "compromised-data": Rule("Data under a compromised version", _W, ("11.1.1",)),
    "credential-due": Rule("An API key was to be rotated", _W, ("13.3.4",)),
    "credential-expired": Rule("An API key has ended", _N, ("13.3.4",)),
    "credential-signer": Rule("An API key for which nobody signs", _N),
    "credential-unbound": Rule("An API key that its signer alone binds", _C, ("6.3.4",)),
    "custodian": Rule("The custodian of the master key is not as it should be", _C, ("13.3.2",)),
    "default-key": Rule("A default key is missing", _N),
    "destruction": Rule("A version is to be erased", _W, ("11.1.1",)),
    "due-time": Rule("A due time is too late", _W, ("13.3.4",)),
    "exportable": Rule("A key may be exported", _N, ("13.3.2",)),
    "external-key": Rule("A private key with the custodian is gone or left", _C, ("11.1.1",)),
    "file-modes": Rule("Files that others may use", _C, ("13.3.2",)),
    "import": Rule("An import of a key is under way", _N),
    "former-custodian": Rule("A former custodian is not needed any more", _N, ("11.1.1",)),
    "iterations": Rule("Few PBKDF2 iterations", _W, ("11.4.4",)),
    "left-over-key": Rule("A private key that no record names", _W, ("11.1.1",)),
    "mac-versions": Rule("Old versions of a MAC key are asked for", _N, ("11.1.1",)),
    "master-key": Rule("The master key lies in its file unencrypted", _W, ("13.3.1",)),
    "master-move": Rule("A move between master keys is not finished", _W, ("11.1.1",)),
    "master-version": Rule("Not under the newest master key", _N, ("11.1.1",)),
    "no-active-version": Rule("A key protects nothing", _W, ("11.1.1",)),
    "no-backup": Rule("No backup holds a version", _W),
    "old-backup": Rule("The last backup is old", _W),
    "open": Rule("The key store does not open", _C),
    "pending-use": Rule("A version that is to be erased is used", _C, ("11.1.1",)),
    "put-back": Rule("An old row was put back", _C, ("16.4.2",)),
    "raw-limit": Rule("Half of the raw messages of a version are used", _W, ("11.3.4",)),
    "retention": Rule("More versions than are to be kept", _N, ("11.1.1",)),
    "rotation-due": Rule("A key was to be rotated", _W, ("11.1.1", "13.3.4")),
    "rotation-failing": Rule("A key cannot be rotated", _W, ("13.3.4",)),
    "store-id": Rule("The id of the store stands in one file", _N),
    "store-write": Rule("The key store cannot be written", _C),
    "takeover-open": Rule("A column may have values that are not sealed", _W, ("11.3.3",)),
    "takeover-over": Rule("A takeover of a column can end", _W, ("11.3.3",)),
    "tls-key": Rule("The private key of TLS is everybody's", _C, ("13.3.2",)),
    "unconfirmed": Rule("API keys of a restored store wait", _W, ("8.2.1",)),
    "unknown-master-key": Rule("Rows under a master key that is not here", _C, ("11.1.1",)),
    "xor-kept": Rule("Messages of the XOR cipher are kept", _N, ("11.3.2", "11.3.3")),
    "xor-key": Rule("The key of the XOR cipher is missing", _W),
    "xor-met": Rule("The XOR cipher is still opened", _W, ("11.3.2", "11.3.3")),
    "xor-over": Rule("The XOR cipher is not needed any more", _W, ("11.3.2", "11.3.3")),
}
"""What is found of every store, whatever the profile."""

POSTURE: Final[dict[str, Rule]] = {
    "all-scopes": Rule("An API key that may do all", _W, ("8.2.1", "13.2.2")),
    "audit-export": Rule("Audit records stay on this machine", _W, ("16.4.3",)),
    "audit-uses": Rule("Uses of keys through the library are not recorded", _N, ("16.3.2",)),
    "aws-static-key": Rule("An access key of AWS that never ends", _W, ("13.2.1",)),
    "body-only-signatures": Rule("Signatures over bodies alone are taken", _W, ("6.7.2",)),
    "certificate-ends": Rule("The certificate ends", _C, ("12.3.4",)),
    "certificate-strength": Rule("A weak key of the certificate", _W, ("11.2.3",)),
    "configuration-file": Rule("Others may write the configuration", _C, ("13.3.2",)),
    "core-dumps": Rule("A process leaves its keys in core dumps", _W, ("11.7.1", "13.3.2")),
    "cryptoperiod": Rule("A key protects for longer than SP 800-57 has", _W, ("11.1.1", "13.3.4")),
    "debug-log": Rule("The log is that of debugging", _W, ("13.4.2",)),
    "endless-credentials": Rule("API keys without an end", _N, ("13.3.4",)),
    "every-key": Rule("An API key that may use every key", _N, ("8.2.2",)),
    "first-api-key": Rule("The first API key is still in its file", _W, ("6.4.1", "13.3.1")),
    "local-custodian": Rule("The master key is on this machine", _W, ("13.3.1", "13.3.3")),
    "long-outage": Rule("Keys serve for days without the custodian", _N, ("8.3.2",)),
    "no-rate-limit": Rule("No limit on attempts", _N, ("6.3.1",)),
    "no-scheduler": Rule("Nobody rotates keys", _W, ("11.1.1", "13.3.4")),
    "not-production": Rule("The service is not in production mode", _W, ("13.4.2", "13.4.5")),
    "plain-behind-proxy": Rule("No TLS between the proxy and the service", _W, ("12.3.3",)),
    "plain-http": Rule("The service is served without TLS", _C, ("12.2.1",)),
    "ptrace-scope": Rule("The kernel lets neighbours read memory", _N, ("11.7.1",)),
    "rate-storage-tls": Rule("The way to the store of rates is not safe", _W, ("12.3.1",)),
    "root-process": Rule("A process runs as root", _W, ("13.2.2",)),
    "secret-in-configuration": Rule("The configuration holds a secret", _W, ("13.3.1",)),
    "store-superuser": Rule("The store's user is a superuser", _W, ("13.2.2",)),
    "store-tls": Rule("The way to the database is not safe", _C, ("12.3.1", "12.3.2")),
    "swap": Rule("Memory goes to a disk unencrypted", _W, ("11.7.1",)),
    "traceable": Rule("Neighbours may read the memory of a process", _W, ("11.7.1", "13.3.2")),
    "unsigned-requests": Rule("An API key alone is enough", _W, ("6.3.3", "13.2.1")),
    "unsigned-routes": Rule("Routes that take unsigned requests", _N, ("6.3.4",)),
    "vault-token": Rule("A token of Vault stands in the settings", _W, ("13.2.1",)),
}
"""What is found with ``--profile prod`` beside that."""

RULES: Final = HEALTH | POSTURE

RAISED: Final = dict.fromkeys(
    ("iterations", "master-key", "takeover-open", "takeover-over", "xor-met", "xor-over"), _W
)
"""What is a notice elsewhere, and more in production."""
