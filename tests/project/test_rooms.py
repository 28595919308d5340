"""What import rules cannot say: they count imports for types, and these rules are about work."""

from __future__ import annotations

import ast
import functools
from pathlib import Path

import pytest

import mycelium_fractal_net
from scripts import house, made

PACKAGE = Path(mycelium_fractal_net.__file__).parent
ROOT = "mycelium_fractal_net"

ALGORITHMS = (
    "cryptography",
    f"{ROOT}.security.aes_encryption",
    f"{ROOT}.security.algorithms",
    f"{ROOT}.security.sealed",
    f"{ROOT}.security.signatures",
)
# Those who are the algorithms, and the door to them.
THEIR_ROOMS = (
    "security/aes_encryption.py",
    "security/algorithms/",
    "security/fips/",
    "security/policy.py",
    "security/sealed/",
    "security/signatures/",
)
# What is read and written by these uses no algorithm, and they import none.
FORMATS = {
    f"{ROOT}.security.sealed.layout": "security/sealed/layout.py",
    f"{ROOT}.security.sealed.addressed_layout": "security/sealed/addressed_layout.py",
    f"{ROOT}.security.signatures.signature_file": "security/signatures/signature_file.py",
}
# No algorithm: a type, what stands in a certificate, and names.
HARMLESS = {
    "cryptography.utils.Buffer": ("security/byte_io/", "legacy/cipher.py"),
    "cryptography.x509": ("security/tls.py",),
    "cryptography.exceptions.UnsupportedAlgorithm": ("security/tls.py",),
    "cryptography.hazmat.primitives.serialization.Encoding": ("inventory/certificates.py",),
    f"{ROOT}.security.algorithms.names.BUILT_ON": ("inventory/document.py",),
    f"{ROOT}.security.algorithms.names.SEALING": ("inventory/protocols.py",),
    f"{ROOT}.security.sealed.key_transport.METHODS": (
        "inventory/materials.py",
        "inventory/protocols.py",
    ),
    f"{ROOT}.security.sealed.key_transport.RSA_AES": ("inventory/protocols.py",),
}

# What the standard library has of cryptography and of chance, and the one home of hashes: who
# may use each, and for what. A file that is not here, or does not use it any more, fails.
DIGESTS = f"{ROOT}.security.algorithms.digests"
USED_BY = {
    "hashlib": {
        "security/algorithms/digests.py": "the one home of hashes",
        "security/fips/installed.py": "whether a FIPS module is the one that was given",
    },
    DIGESTS: {
        "client/signing.py": "the body in the plan's profile of a signed request",
        "columns/fernet.py": "the Fernet key that sqlalchemy-utils makes of a secret",
        "inventory/certificates.py": "the fingerprint of a certificate",
        "inventory/document.py": "the serial number of a CBOM",
        "legacy/cipher.py": "the key stream of the XOR cipher",
        "security/audit/checkpoints.py": "bytes of audit records that were verified",
        "security/http_signatures/content_digest.py": "RFC 9530",
        "security/key_providers/aws_kms/signing.py": "KMS signs a digest of ECDSA's",
        "security/key_providers/journal.py": "names a record's state without its MAC",
        "security/key_providers/pkcs11/master_keys.py": "the label in the id of a master key",
        "security/key_providers/pkcs11/signing.py": "what a token signs is hashed here",
        "security/key_providers/remote.py": "a key is wrapped with the digest of its binding",
        "security/key_providers/vault/custodian.py": "the context that a key is derived from",
        "security/key_providers/vault/signing.py": "what is signed elsewhere is hashed here",
        "security/records/api_keys.py": "an API key is stored as its digest",
        "security/records/file_names.py": "a name that is bound is written as its digest",
        "security/records/signers.py": "the thumbprint of a public key",
        "security/sealed/recipient_text.py": "the check in a line that is a key",
        "security/sealed/sealer.py": "a list of recipients is bound to the body by its digest",
        "security/signatures/verifying_key.py": "the thumbprint of a public key",
        "security/signed_requests/replay.py": "a nonce is stored as its digest",
        "security/signed_requests/verifier.py": "the body in the plan's profile",
    },
    "hmac": {  # compare_digest, in constant time, and nothing else
        "security/algorithms/mac.py": "MACs",
        "security/byte_io/secret_bytes.py": "keys",
        "security/fips/installed.py": "the MAC in a FIPS module's configuration",
        "security/directories/credentials.py": "digests of API keys",
        "security/http_signatures/content_digest.py": "digests of bodies",
        "security/key_providers/remote.py": "digests of bindings",
    },
    "secrets": {
        "bootstrap/custodians/remote.py": "the store's id",
        "client/lease_counts.py": "what the audit log calls a lease",
        "client/signing.py": "nonces of requests",
        "files/new_file.py": "the name of an unfinished file",
        "legacy/key.py": "the handle of the old key",
        "security/audit/checkpoints.py": "the name of an unfinished file",
        "security/audit/folders.py": "the id of a machine",
        "security/audit/locked_chain.py": "names of chains",
        "security/audit/tail.py": "the name of an unfinished file",
        "security/backup/making.py": "what a backup is called",
        "security/key_providers/imports.py": "names of imports",
        "security/key_providers/local.py": "the store's id, names of master keys",
        "security/key_providers/master_key_file.py": "the name of an unfinished file",
        "security/key_providers/keys.py": "handles of versions",
        "security/key_providers/pkcs11/wrapping.py": "nonces, which some tokens choose badly",
        "security/key_providers/pkcs11/master_keys.py": "ids of master keys",
        "security/key_providers/pkcs11/signing.py": "ids of signing keys",
        "security/key_providers/stored.py": "names of keys",
        "security/policy.py": "key material outside of FIPS mode",
        "security/records/api_keys.py": "API keys",
        "security/sealed/hybrid_keys.py": "seeds of hybrid keys, which FIPS mode does not have",
    },
    "random": {
        "client/sender.py": "when a call is tried again",
        "columns/column_database.py": "when a transaction is tried again",
        "doctor/diagnosis.py": "which versions are tried",
        "security/key_providers/bounded_calls.py": "when a custodian is asked again",
        "security/key_providers/authenticated_table.py": "when a lost race is tried again",
    },
}

DATABASES = ("sqlalchemy", "alembic", "psycopg")
KNOW_DATABASES = (
    "security/key_store/",
    "columns/",
    "integrations/sqlalchemy/",
    "legacy/",
    "security/backup/restoring.py",
)


class Imports(ast.NodeVisitor):
    """Every name that a file imports to work with; for types alone does not count."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def visit_If(self, node: ast.If) -> None:
        if isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            for statement in node.orelse:
                self.visit(statement)
        else:
            self.generic_visit(node)

    def visit_Import(self, node: ast.Import) -> None:
        self.names += [alias.name for alias in node.names]

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        self.names += [f"{node.module}.{alias.name}" for alias in node.names]


@functools.cache
def imports(path: Path) -> list[str]:
    visitor = Imports()
    visitor.visit(ast.parse(path.read_text()))
    return visitor.names


def is_in(name: str, packages: tuple[str, ...]) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in packages)


FILES = sorted(str(path.relative_to(PACKAGE)) for path in PACKAGE.rglob("*.py"))


def test_an_algorithm_is_reached_only_through_the_policy() -> None:
    """No file outside of the algorithms' rooms imports one, wherever in the file."""
    found = {
        file: [
            name
            for name in imports(PACKAGE / file)
            if is_in(name, ALGORITHMS)
            and not is_in(name, (DIGESTS, *FORMATS))
            and not file.startswith(HARMLESS.get(name, ("/",)))
        ]
        for file in FILES
        if not file.startswith(THEIR_ROOMS)
    }
    assert not {file: names for file, names in found.items() if names}


@pytest.mark.parametrize("module", USED_BY)
def test_hashes_and_chance_are_used_where_it_is_said_what_for(module: str) -> None:
    """So that no algorithm is reached, and no key made, by accident."""
    using = {file for file in FILES if any(is_in(n, (module,)) for n in imports(PACKAGE / file))}
    assert using == set(USED_BY[module])


@pytest.mark.parametrize("file", FORMATS.values())
def test_what_reads_a_format_uses_no_algorithm(file: str) -> None:
    """So it asks no policy, and may be imported from everywhere."""
    found = [name for name in imports(PACKAGE / file) if is_in(name, ALGORITHMS)]
    assert set(found) <= {"cryptography.utils.Buffer"}


def test_the_database_is_known_to_the_key_store_alone() -> None:
    """Only what handles rows imports the database's library."""
    know = {file for file in FILES if any(is_in(n, DATABASES) for n in imports(PACKAGE / file))}
    assert not {file for file in know if not file.startswith(KNOW_DATABASES)}


def test_the_picture_shows_the_import_rules() -> None:
    """docs/house.svg is drawn from the layers that the linter enforces."""
    assert (made.DOCS / "house.svg").read_text() == house.page(), "run: make pages"


def test_few_files_lie_flat_in_security() -> None:
    """At most twelve: what is there is found by its room."""
    assert len([f for f in FILES if f.startswith("security/") and f.count("/") == 1]) <= 12
