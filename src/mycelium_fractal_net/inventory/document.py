"""An inventory as a CycloneDX 1.6 CBOM (ECMA-424), written from its schema with nothing but dicts.

One inventory gives one document, byte for byte: its serial number is made of what is in it.
"""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING, Any, Final

from msgspec.json import encode

from mycelium_fractal_net import __version__
from mycelium_fractal_net.inventory.catalogue import CATALOGUE
from mycelium_fractal_net.security.algorithms.digests import sha256
from mycelium_fractal_net.security.algorithms.names import BUILT_ON
from mycelium_fractal_net.shapes import time_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mycelium_fractal_net.inventory.records import (
        CertificateFacts,
        Inventory,
        Material,
        Protocol,
        Provider,
    )

_ROOT: Final = "mycelium-fractal-net"
_PLATFORMS: Final = {
    "x86_64": "x86_64",
    "aarch64": "armv8-a",
    "s390x": "s390x",
    "ppc64le": "ppc64le",
}


def cbom(inventory: Inventory) -> dict[str, Any]:
    """The document, as JSON has it."""
    components = [
        *_algorithms(inventory),
        *map(_certificate, inventory.certificates),
        *map(_protocol, inventory.protocols),
        *map(_material, (each.key for each in inventory.certificates)),
        *map(_material, inventory.materials),
        *map(_provider, inventory.providers),
    ]
    document = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": "",
        "version": 1,
        "metadata": _metadata(inventory),
        "components": components,
        "dependencies": list(_dependencies(inventory)),
    }
    document["serialNumber"] = _serial_number(encode(document))
    return document


def _serial_number(content: bytes) -> str:
    """A UUID of version 8 from a SHA-256, as in RFC 9562 appendix B.2."""
    digest = bytearray(sha256(content)[:16])
    digest[6] = digest[6] & 0x0F | 0x80
    digest[8] = digest[8] & 0x3F | 0x80
    text = digest.hex()
    return "urn:uuid:" + "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))


def _metadata(inventory: Inventory) -> dict[str, Any]:
    settings = {"store-id": inventory.store_id, "fips-mode": str(inventory.fips_mode).lower()}
    return {
        "timestamp": time_text(inventory.made_at),
        "lifecycles": [{"phase": "operations"}],
        "tools": {"components": [{"type": "application", "name": "mfn", "version": __version__}]},
        "component": {
            "type": "application",
            "bom-ref": _ROOT,
            "name": _ROOT,
            "version": __version__,
            "properties": _properties(settings),
        },
    }


def _properties(values: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"name": f"mfn:{name}", "value": text} for name, text in values.items()]


def _without_none(**members: Any) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value not in (None, [], ())}


def algorithm_ref(name: str) -> str:
    """The ref of an algorithm."""
    return f"algorithm:{name}"


def _asset(ref: str, name: str, kind: str, oid: str | None = None, **facts: Any) -> dict[str, Any]:
    """A component of type ``cryptographic-asset`` whose properties are those of ``kind``."""
    members = {
        "algorithm": "algorithmProperties",
        "certificate": "certificateProperties",
        "protocol": "protocolProperties",
        "related-crypto-material": "relatedCryptoMaterialProperties",
    }
    crypto = {"assetType": kind, members[kind]: _without_none(**facts)}
    return {
        "type": "cryptographic-asset",
        "bom-ref": ref,
        "name": name,
        "cryptoProperties": crypto if oid is None else {**crypto, "oid": oid},
    }


def _algorithms(inventory: Inventory) -> Iterator[dict[str, Any]]:
    """Those that are used, and those that may be.

    Whether the module of FIPS mode is validated is for its user to find out.
    """
    for name, users in inventory.users().items():
        known = CATALOGUE[name]
        asset = _asset(
            algorithm_ref(name),
            name,
            "algorithm",
            known.oid,
            primitive=known.primitive,
            parameterSetIdentifier=known.parameter,
            curve=known.curve,
            executionEnvironment="software-plain-ram",
            implementationPlatform=_PLATFORMS.get(platform.machine(), "other"),
            certificationLevel=["unknown" if inventory.fips_mode else "none"],
            mode=known.mode,
            padding=known.padding,
            cryptoFunctions=list(known.functions),
            classicalSecurityLevel=known.bits,
            nistQuantumSecurityLevel=known.level,
        )
        facts = {
            "allowed": str(name in inventory.allowed).lower(),
            "used-by": str(len(users)),
            "quantum": known.quantum.value,
        }
        yield {**asset, "properties": _properties(facts)}


def _certificate(found: CertificateFacts) -> dict[str, Any]:
    asset = _asset(
        found.ref,
        found.subject,
        "certificate",
        subjectName=found.subject,
        issuerName=found.issuer,
        notValidBefore=time_text(found.not_before),
        notValidAfter=time_text(found.not_after),
        signatureAlgorithmRef=algorithm_ref(found.signed_with),
        subjectPublicKeyRef=found.key.ref,
        certificateFormat="X.509",
        certificateExtension="pem",
    )
    asset["hashes"] = [{"alg": "SHA-256", "content": found.sha256}]
    return {**asset, "properties": _properties({"setting": found.use})}


def _protocol(found: Protocol) -> dict[str, Any]:
    suites = [
        {
            "name": suite.name,
            "algorithms": [*map(algorithm_ref, suite.algorithms)],
            "identifiers": [*suite.identifiers],
        }
        for suite in found.suites
    ]
    asset = _asset(
        found.ref,
        found.name,
        "protocol",
        type=found.kind,
        version=found.version,
        cipherSuites=suites,
        cryptoRefArray=[*map(algorithm_ref, found.algorithms), *found.certificates],
    )
    return {**asset, **_without_none(properties=_properties(found.properties))}


def _material(found: Material) -> dict[str, Any]:
    secured = None if found.secured_by is None else {"mechanism": found.secured_by}
    asset = _asset(
        found.ref,
        found.name,
        "related-crypto-material",
        type=found.kind,
        id=found.ref.partition(":")[2],
        state=found.state,
        algorithmRef=algorithm_ref(found.algorithm),
        creationDate=time_text(found.created_at),
        activationDate=time_text(found.activate_at),
        expirationDate=time_text(found.expires_at),
        size=found.bits,
        securedBy=secured,
    )
    return {**asset, **_without_none(properties=_properties(found.properties))}


def _provider(found: Provider) -> dict[str, Any]:
    hashes = None if found.sha256 is None else [{"alg": "SHA-256", "content": found.sha256}]
    return {
        "type": found.kind,
        "bom-ref": found.ref,
        "name": found.name,
        **_without_none(
            version=found.version, hashes=hashes, properties=_properties(found.properties)
        ),
    }


def _dependencies(inventory: Inventory) -> Iterator[dict[str, Any]]:
    """What hangs on what: this on all its parts, a key on what wraps it, an algorithm on those that
    it is built on; and who provides which."""
    parts = [each.ref for each in inventory.providers]
    parts += [each.ref for each in inventory.protocols]
    yield {"ref": _ROOT, "dependsOn": parts}
    for provider in inventory.providers:
        if provider.provides:
            yield {"ref": provider.ref, "provides": [*map(algorithm_ref, provider.provides)]}
    there = inventory.users()
    for name in there:
        if built_on := [algorithm_ref(each) for each in BUILT_ON.get(name, ()) if each in there]:
            yield {"ref": algorithm_ref(name), "dependsOn": built_on}
    for material in inventory.materials:
        if material.under:
            yield {"ref": material.ref, "dependsOn": [*material.under]}
