"""The inventory of real stores: what is in it, held against the schema that others read it by."""

from __future__ import annotations

import base64
import json
import shutil
import ssl
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa

from mycelium_fractal_net import initialise, open_keyring
from mycelium_fractal_net.config import load_settings
from mycelium_fractal_net.inventory import cbom, quantum_view, take_inventory
from mycelium_fractal_net.inventory.catalogue import CATALOGUE, Quantum
from mycelium_fractal_net.inventory.certificates import certificates
from mycelium_fractal_net.inventory.transport import groups
from mycelium_fractal_net.legacy.key import import_xor_key
from mycelium_fractal_net.security.algorithms.names import KNOWN
from mycelium_fractal_net.security.errors import (
    ConfigurationError,
    CustodianUnavailableError,
    ExitCode,
)
from mycelium_fractal_net.security.key_providers import LocalCustodian
from mycelium_fractal_net.security.policy import Policy
from mycelium_fractal_net.security.records.keys import (
    ALGORITHMS,
    LEGACY_XOR,
    KeyType,
    Verb,
    version_id,
)
from mycelium_fractal_net.security.sealed.key_transport import METHODS
from mycelium_fractal_net.security.signatures.signing_key import SigningKey
from tests.support import custodian
from tests.support.algorithms import SIGNING
from tests.support.custodian import KEK_ID, NAME, registered
from tests.support.legacy_xor import OLD_KEY
from tests.support.tls import Authority, configured

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cyclonedx.validation.json import JsonStrictValidator

    from mycelium_fractal_net.security.keyring.keyring import Keyring
    from tests.support.cli import Mfn
    from tests.support.fips import FipsHome

STORE_ID = "ab" * 16
POLICY = Policy()
HEADS = ["ALGORITHM", "QUANTUM", "CATEGORY", "WHICH", "MEANS", "USED", "BY", "INSTEAD"]


def every_kind(keyring: Keyring) -> None:
    """Give a store one of everything that a store can hold."""
    provider = keyring.provider
    for algorithm in filter(POLICY.allows, ALGORITHMS[KeyType.SIGNING]):
        provider.keys.create(f"sign-{algorithm.lower()}", "signing", algorithm=algorithm)
    provider.keys.create("macs", "mac", exportable=True)
    for verb in (Verb.SUSPEND, Verb.DEACTIVATE, Verb.COMPROMISE, Verb.DESTROY):
        provider.keys.create(f"to-{verb}")
        provider.rotate_key(f"to-{verb}")
        provider.states.apply(verb, f"to-{verb}:v1")
    if not POLICY.fips_mode:
        import_xor_key(provider, OLD_KEY)
    public = SigningKey.generate(SIGNING).public.der()
    provider.signers.add("gateway", public, any_credential=True)
    provider.credentials.create("billing", ("*",))
    for number, (method, used) in enumerate(METHODS.items()):
        if all(map(POLICY.allows, used)):
            provider.imports.begin(f"brought-{number}", method=method)


def by_ref(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The components, each by its ref."""
    return {each["bom-ref"]: each for each in document["components"]}


def facts(component: dict[str, Any]) -> dict[str, str]:
    """Our own words on a component."""
    return {each["name"].removeprefix("mfn:"): each["value"] for each in component["properties"]}


def material(component: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = component["cryptoProperties"]["relatedCryptoMaterialProperties"]
    return found


def refs(value: Any) -> set[str]:
    """Every ref that something in a document names."""
    if isinstance(value, list):
        return set().union(*map(refs, value)) if value else set()
    if not isinstance(value, dict):
        return set()
    named = {"algorithmRef", "signatureAlgorithmRef", "subjectPublicKeyRef", "ref"}
    lists = {"dependsOn", "provides", "cryptoRefArray", "algorithms"}
    found = {text for name, text in value.items() if name in named}
    found.update(*(texts for name, texts in value.items() if name in lists))
    return found.union(*map(refs, value.values()))


@pytest.fixture(scope="session")
def full_home(made_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with one of everything, and TLS; made once and copied."""
    home = tmp_path_factory.mktemp("full") / "home"
    shutil.copytree(made_home, home)
    with open_keyring(home=home) as keyring:
        every_kind(keyring)
    authority = Authority()
    authority.issue("served").write(home)
    with (home / "server.pem").open("ab") as chain:
        chain.write(authority.pem)
    return home


@pytest.fixture
def full(empty: Mfn, full_home: Path) -> Mfn:
    """``mfn`` over it."""
    shutil.copytree(full_home, empty.home)
    return empty


def test_the_inventory_is_a_cbom_of_cyclonedx_1_6_without_a_secret(
    full: Mfn, cyclonedx: JsonStrictValidator
) -> None:
    """Valid by the strict schema; each ref is there once; no key, however written, is in it."""
    text = full.ok("--config", configured(full.home), "inventory").out
    assert cyclonedx.validate_str(text) is None
    document = json.loads(text)
    found = [each["bom-ref"] for each in document["components"]]
    assert len(found) == len(set(found))
    assert refs(document) <= {*found, "mycelium-fractal-net"}
    with open_keyring(home=full.home) as keyring:
        provider, secrets = keyring.provider, [OLD_KEY]
        for key in provider.keys.all():
            for version in key.versions:
                assert f"key:{version_id(key.key_id, version.version)}" in found
                secrets.append(version.wrapped)
                if version.has_key and not key.is_legacy:
                    secrets.append(bytes(provider.keys.unwrap(key, version)))
        secrets += [each.wrapped for each in provider.imports.all()]
        secrets += [each.digest for each in provider.credentials.all()]
    secrets.append(
        base64.b64decode(
            json.loads((full.home / "master.key").read_text())["keys"].popitem()[1]["key"]
        )
    )
    for secret in filter(None, secrets):
        for written in (secret.hex(), base64.b64encode(secret[:24]).decode()):
            assert written not in text


def test_every_state_is_one_of_sp_800_57(full: Mfn) -> None:
    """What we call otherwise stands beside it in our word."""
    components = by_ref(full.ok("inventory").json)
    states = {
        name: (
            material(components[f"key:to-{name}:v1"])["state"],
            facts(components[f"key:to-{name}:v1"])["state"],
        )
        for name in ("suspend", "deactivate", "compromise", "destroy")
    }
    assert states == {
        "suspend": ("suspended", "suspended"),
        "deactivate": ("deactivated", "deactivated"),
        "compromise": ("compromised", "compromised"),
        "destroy": ("deactivated", "pending-destruction"),
    }
    assert material(components["key:to-suspend:v2"])["state"] == "active"
    orders = components["key:orders:v1"]
    assert material(orders)["algorithmRef"] == "algorithm:AES-256-GCM"
    assert material(orders)["securedBy"] == {"mechanism": "Software"}
    assert (material(orders)["size"], facts(orders)["protects"]) == (256, "true")


def test_it_is_the_same_while_nothing_changes(mfn: Mfn, monkeypatch: pytest.MonkeyPatch) -> None:
    """Byte for byte at one SOURCE_DATE_EPOCH; a key more gives another serial number."""
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    first = mfn.ok("inventory").out
    assert mfn.ok("inventory", "-o", "cbom.json").out.startswith("wrote cbom.json: 8 keys, ")
    assert (mfn.folder / "cbom.json").read_text() == first
    assert json.loads(first)["metadata"]["timestamp"] == "2023-11-14T22:13:20Z"
    mfn.ok("key", "create", "another")
    second = mfn.ok("inventory").json
    assert second["serialNumber"] != json.loads(first)["serialNumber"]
    assert mfn("inventory", "-o", "cbom.json").code == ExitCode.EXISTS
    assert mfn.ok("inventory", "-o", "cbom.json", "--force", "--json").json == {"file": "cbom.json"}


@pytest.mark.parametrize("given", ["yesterday", "9" * 30])
def test_a_time_that_is_none_is_refused(
    given: str, mfn: Mfn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not passed over: what was to be the same would differ."""
    monkeypatch.setenv("SOURCE_DATE_EPOCH", given)
    assert mfn("inventory").code == ExitCode.CONFIGURATION


def test_a_record_that_is_not_authentic_is_left_out_and_told(mfn: Mfn) -> None:
    """The rest is written, and the exit code is that of a damaged store."""
    with open_keyring(home=mfn.home) as keyring, keyring.provider.store.database.write() as open_:
        open_.exec_driver_sql("UPDATE mfn_keys SET publish = 1 WHERE key_id = 'orders'")
    ran = mfn("inventory")
    assert ran.code == ExitCode.STORE
    assert "'orders'" in ran.err
    assert "'mfn doctor' says more" in ran.err
    assert {"key:orders:v1", "key:release:v1"} & by_ref(ran.json).keys() == {"key:release:v1"}


def test_tls_is_what_this_python_offers(full: Mfn) -> None:
    """Its suites by their numbers, its groups from a ClientHello, its certificates."""
    settings = load_settings(configured(full.home, min_version="1.3"), home=full.home)
    taken = take_inventory(settings)
    components = by_ref(cbom(taken))
    assert "protocol:tls-1.2" not in components
    spoken = components["protocol:tls-1.3"]["cryptoProperties"]["protocolProperties"]
    suites = {each["name"]: each["identifiers"] for each in spoken["cipherSuites"]}
    assert suites["TLS_AES_256_GCM_SHA384"] == ["0x13", "0x02"]  # RFC 8446 appendix B.4
    assert ("algorithm:ECDH-X25519" in spoken["cryptoRefArray"]) is not POLICY.fips_mode
    assert "algorithm:ECDH-P256" in spoken["cryptoRefArray"]
    served, authority = taken.certificates
    assert {served.ref, authority.ref} <= set(spoken["cryptoRefArray"])
    assert (served.subject, served.issuer) == ("CN=served", "CN=test authority")
    assert (served.key.algorithm, served.signed_with, served.key.bits) == (*["ECDSA-P256"] * 2, 256)
    assert components[served.ref]["hashes"][0]["content"].startswith(served.ref.partition(":")[2])
    assert ("X25519MLKEM768" in groups()) == (ssl.OPENSSL_VERSION_INFO >= (3, 5))


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: rsa.generate_private_key(65537, 2048), ("RSA-2048", 2048)),
        (lambda: rsa.generate_private_key(65537, 1024), ("RSA", 1024)),
        (lambda: ec.generate_private_key(ec.SECP521R1()), ("ECDSA-P521", 521)),
        (lambda: ec.generate_private_key(ec.SECP256K1()), ("OTHER", 256)),
        (ed25519.Ed25519PrivateKey.generate, ("Ed25519", 256)),
        (ed448.Ed448PrivateKey.generate, ("OTHER", None)),
    ],
    ids=["rsa-2048", "rsa-1024", "p-521", "secp256k1", "ed25519", "ed448"],
)
def test_the_key_of_a_certificate_is_named(
    make: Callable[[], Any], named: tuple[str, int | None], tmp_path: Path
) -> None:
    """Each kind that is served, and what is none of them."""
    Authority().issue(key=make()).write(tmp_path)
    (found,) = certificates(load_settings(configured(tmp_path), environ={}).security.tls)
    assert (found.key.algorithm, found.key.bits) == named
    assert found.key.algorithm in CATALOGUE


def test_a_certificate_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    """By its setting; nothing of the file is shown."""
    (tmp_path / "server.pem").write_text("none")
    with pytest.raises(ConfigurationError, match=r"tls\.certificate: .*no certificate in PEM"):
        certificates(load_settings(configured(tmp_path), environ={}).security.tls)


def test_what_falls_to_a_quantum_computer_comes_first(full: Mfn) -> None:
    """Every curve and RSA to Shor's algorithm, AES-128 weakened by Grover's; sealed data holds."""
    rows = {each["algorithm"]: each for each in full.ok("inventory", "--quantum", "--json").json}
    assert {name for name, row in rows.items() if row["quantum"] == "falls"} == set(
        filter(POLICY.allows, (
            "Ed25519", "ECDSA-P256", "ECDSA-P384", "HPKE-X25519", "HPKE-P256", "HPKE-P384",
            "RSA-OAEP-256",
        ))
    )  # fmt: skip
    assert {row["by"] for row in rows.values() if row["quantum"] == "falls"} == {"Shor"}
    assert all(
        row["instead"] and row["category"] == 0
        for row in rows.values()
        if row["quantum"] == "falls"
    )
    holding = filter(POLICY.allows, ("AES-256-GCM", "ML-DSA-65"))
    assert {rows[name]["quantum"] for name in holding} == {"holds"}
    assert "key:orders:v1" in rows["AES-256-GCM"]["used_by"]
    heads, *lines = full.ok(
        "--config", configured(full.home), "inventory", "--quantum"
    ).out.splitlines()
    assert heads.split() == HEADS
    if not POLICY.fips_mode:
        assert lines.pop(0).startswith("LEGACY-XOR")
    first = lines[0]
    assert first.startswith("ECDH-P256")
    assert "recorded today, read later" in first


def test_aes_128_is_weakened_and_not_broken(full: Mfn) -> None:
    """It is of category 1 by definition; TLS alone has it here."""
    ran = full.ok("--config", configured(full.home), "inventory", "--quantum", "--json")
    (row,) = (each for each in ran.json if each["quantum"] == "weakened")
    assert (row["algorithm"], row["by"], row["category"]) == ("AES-128-GCM", "Grover", 1)
    assert row["used_by"] == ["protocol:tls-1.2", "protocol:tls-1.3"]


def test_the_quantum_view_goes_to_the_screen(mfn: Mfn) -> None:
    """It is no CBOM, and -o would say that it is."""
    assert mfn("inventory", "--quantum", "-o", "x").code == ExitCode.USAGE


def test_every_algorithm_is_in_the_catalogue() -> None:
    """Those of the policy and the old cipher; what does not hold says what instead."""
    assert KNOWN | {LEGACY_XOR} <= CATALOGUE.keys()
    for name, known in CATALOGUE.items():
        if known.quantum is not Quantum.HOLDS:
            assert known.instead, name
            assert known.consequence, name


def test_a_passphrase_is_named_by_what_makes_a_key_of_it(home: Path) -> None:
    """With its iterations, which are what slows a guess, and not its text."""
    initialise(home=home, passphrase=b"correct horse").close()
    taken = take_inventory(load_settings(environ={"MFN_HOME": str(home)}), b"correct horse")
    document = cbom(taken)
    assert "correct horse" not in json.dumps(document)
    components = by_ref(document)
    assert material(components["passphrase:local"])["algorithmRef"] == "algorithm:PBKDF2-SHA256"
    assert facts(components["passphrase:local"])["iterations"] == "600000"
    (row,) = (each for each in quantum_view(taken) if each.algorithm == "PBKDF2-SHA256")
    assert row.users() == "1 passphrase"
    depends = {each["ref"]: each.get("dependsOn") for each in document["dependencies"]}
    assert depends["algorithm:PBKDF2-SHA256"] == ["algorithm:SHA-256"]


def test_a_custodian_elsewhere_is_a_provider(home: Path) -> None:
    """With its master key, which secures what it wraps, and the external keys that it keeps."""
    environ = {"MFN_HOME": str(home), "MFN_KEY_PROVIDER": NAME, "MFN_STORE_ID": STORE_ID,
               "MFN_VAULT_ADDR": "https://vault.example"}  # fmt: skip
    settings = load_settings(environ=environ)
    with registered():
        with initialise(settings=settings, create_key=True) as keyring:
            keyring.provider.keys.create("kept", "signing", algorithm="ECDSA-P256", external=True)
        components = by_ref(cbom(take_inventory(settings)))
    assert facts(components[f"master-key:{KEK_ID}"])["guard"] == "remote"
    kept = components["key:kept:v1"]
    assert material(kept)["securedBy"]["mechanism"] == facts(kept)["external"].partition(":")[0]
    assert facts(components["custodian:elsewhere"])["answers"] == "true"
    assert "protocol:tls-to-vault" in components


def test_a_former_custodian_may_be_silent_and_the_present_one_not(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store serves without the one, and not without the other."""
    environ = {
        "MFN_HOME": str(home),
        "MFN_FORMER_KEY_PROVIDERS": NAME,
        "MFN_VAULT_ADDR": "http://127.0.0.1:1",
    }

    def silent(_self: object) -> None:
        raise CustodianUnavailableError

    with registered():
        initialise(home=home).close()
        custodian.Elsewhere.create(home)
        monkeypatch.setattr(custodian.Elsewhere, "inspect", silent)
        taken = take_inventory(load_settings(environ=environ))
        monkeypatch.setattr(LocalCustodian, "inspect", silent)
        with pytest.raises(CustodianUnavailableError):
            take_inventory(load_settings(environ=environ))
    assert not [each for each in taken.protocols if each.kind == "tls"]  # it is on this machine
    custodians = [each.properties for each in taken.providers if "scheme" in each.properties]
    assert [each["answers"] for each in custodians] == ["true", "false"]


def test_in_fips_mode_the_module_provides_it_all(fips: FipsHome, full_home: Path) -> None:
    """By its SHA-256; nothing is claimed of its validation. What is refused in use is in it too."""
    shutil.copytree(full_home, fips.home, dirs_exist_ok=True)
    document = fips.mfn("--config", str(configured(fips.home)), "inventory").json
    components = by_ref(document)
    assert components["provider:fips-module"]["hashes"][0]["alg"] == "SHA-256"
    gcm = components["algorithm:AES-256-GCM"]["cryptoProperties"]["algorithmProperties"]
    assert gcm["certificationLevel"] == ["unknown"]
    provides = {each["ref"]: each.get("provides") for each in document["dependencies"]}
    assert "algorithm:ECDSA-P256" in provides["provider:fips-module"]
    assert "provider:openssl" not in provides
    if not POLICY.fips_mode:  # such a store was made outside of the mode
        assert facts(components["algorithm:Ed25519"])["allowed"] == "false"
    assert "key:release:v1" in components
    spoken = components["protocol:tls-1.3"]["cryptoProperties"]["protocolProperties"]
    agreed = {ref for ref in spoken["cryptoRefArray"] if "ECDH" in ref}
    assert agreed <= {"algorithm:ECDH-P256", "algorithm:ECDH-P384", "algorithm:ECDH-P521"}
    assert {each["name"] for each in spoken["cipherSuites"]} <= {
        "TLS_AES_256_GCM_SHA384", "TLS_AES_128_GCM_SHA256",
    }  # fmt: skip
