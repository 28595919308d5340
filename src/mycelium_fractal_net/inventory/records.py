"""What an inventory holds. Frozen, no I/O, and no secret: ids, names, states and times.

Each thing has a ``ref``, which is the same in every inventory that has it, and by which the others
name it. An algorithm is named as :data:`.catalogue.CATALOGUE` does.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime


@dataclass(frozen=True, slots=True)
class Material:
    """A key, or what was made of one. ``kind`` is a type of CycloneDX's related crypto material.

    ``state`` is one of SP 800-57, ``secured_by`` what keeps it from others, ``under`` the refs of
    what wraps or holds it.
    """

    ref: str
    name: str
    kind: str
    algorithm: str
    state: str | None = None
    bits: int | None = None
    created_at: datetime | None = None
    activate_at: datetime | None = None
    expires_at: datetime | None = None
    secured_by: str | None = None
    under: tuple[str, ...] = ()
    properties: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CipherSuite:
    """One of TLS, with its two bytes of the IANA registry, and the algorithms that it names."""

    name: str
    identifiers: tuple[str, str]
    algorithms: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Protocol:
    """A protocol or a format, and the algorithms that it may use. ``kind`` is CycloneDX's."""

    ref: str
    name: str
    kind: str
    version: str
    algorithms: tuple[str, ...]
    suites: tuple[CipherSuite, ...] = ()
    certificates: tuple[str, ...] = ()
    properties: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CertificateFacts:
    """One X.509 certificate: who, until when, with which key, and signed by what.

    ``signed_with`` names the public-key algorithm of the signature.
    """

    ref: str
    subject: str
    issuer: str
    not_before: datetime
    not_after: datetime
    key: Material
    signed_with: str
    sha256: str
    use: str


@dataclass(frozen=True, slots=True)
class Provider:
    """What does the cryptography, or holds keys. ``kind`` is a type of CycloneDX's components."""

    ref: str
    name: str
    kind: str
    version: str | None = None
    sha256: str | None = None
    provides: tuple[str, ...] = ()
    properties: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Inventory:
    """All of it, at one moment. ``refused`` says of each record that is not authentic, and is
    therefore not in it, why."""

    made_at: datetime
    store_id: str
    fips_mode: bool
    allowed: frozenset[str]
    materials: tuple[Material, ...]
    protocols: tuple[Protocol, ...]
    certificates: tuple[CertificateFacts, ...]
    providers: tuple[Provider, ...]
    refused: tuple[str, ...] = ()

    def users(self) -> dict[str, list[str]]:
        """For each algorithm that anything uses, or that is allowed, the refs of what uses it."""
        users: dict[str, list[str]] = {name: [] for name in sorted(self.allowed)}
        for material in self.materials:
            users.setdefault(material.algorithm, []).append(material.ref)
        for protocol in self.protocols:
            of_suites = (name for suite in protocol.suites for name in suite.algorithms)
            for name in dict.fromkeys((*protocol.algorithms, *of_suites)):
                users.setdefault(name, []).append(protocol.ref)
        for certificate in self.certificates:
            for name in dict.fromkeys((certificate.key.algorithm, certificate.signed_with)):
                users.setdefault(name, []).append(certificate.ref)
        return dict(sorted(users.items()))
