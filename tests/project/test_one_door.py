"""No way to a primitive leads around the policy: not by the standard library, nor by a name.

:mod:`tests.project.test_rooms` has the rooms of the algorithms, and who uses hashes and chance.
"""

from __future__ import annotations

import ast
import functools
import sys

import pytest

from tests.project.test_rooms import FILES, PACKAGE, ROOT, imports, is_in

# What of the standard library could do or bring cryptography, and the kernel's chance: who imports
# each to work with, and for what. A file that is not here, or does not do so any more, fails.
USED_BY = {
    "ssl": {
        "api/transport/tls.py": "the service's handshakes",
        "client/connections.py": "the client's handshakes",
        "client/duplex.py": "the client's handshakes",
        "client/replies.py": "tells errors of a handshake",
        "inventory/providers.py": "which OpenSSL is Python's",
        "inventory/transport.py": "which suites a context offers",
        "security/fips/python_openssl.py": "gives Python's OpenSSL its module",
        "security/key_providers/vault/transport.py": "handshakes with Vault",
        "security/tls.py": "makes the contexts of all handshakes",
    },
    "_ssl": {"security/fips/python_openssl.py": "finds Python's OpenSSL"},
    "_hashlib": {"security/fips/python_openssl.py": "sees that MD5 is refused"},
    "ctypes": {
        "files/groups.py": "syncfs(2)",
        "files/replacing.py": "renameat2(2)",
        "security/fips/process.py": "getauxval(3)",
        "security/fips/python_openssl.py": "gives Python's OpenSSL its module",
        "security/hardening.py": "prctl(2)",
        "security/key_providers/pkcs11/cryptoki.py": "an HSM's library, which is a custodian",
        "security/key_providers/pkcs11/library.py": "as above",
        "security/key_providers/pkcs11/session.py": "as above",
        "security/key_providers/pkcs11/token.py": "as above",
        "security/key_providers/pkcs11/token_facts.py": "as above",
    },
    "uuid": {
        "columns/column_report.py": "a type of primary keys",
        "columns/located_column.py": "a type of primary keys",
        "columns/wire_arrays.py": "a type of primary keys",
        "integrations/codecs.py": "a type of values",
        "integrations/spelling.py": "a type of values",
        "integrations/sqlalchemy/row_values.py": "a type of primary keys",
        "security/signed_requests/refusals.py": "ids of refusals, by uuid4: chance, no hash",
    },
    "_sha2": {},
    "_sha512": {},
    "crypt": {},
    "subprocess": {},
    f"{ROOT}.security.fips.probes": {"security/fips/process.py": "the proof"},
    f"{ROOT}.security.fips.python_openssl": {"security/fips/process.py": "the proof"},
}
URANDOM = {
    "api/http/request_ids.py": "ids of requests",
    "security/aes_encryption.py": "nonces of 96 bits",
    "security/directories/credentials.py": "a digest that no API key has",
}
# A hash that protects nothing says so, and Python's OpenSSL then asks no FIPS provider for it.
FOR_NO_PROTECTION = {
    "security/fips/installed.py": "finds a changed module before there is a mode, whose own"
    " SHA-256 is then fetched anew, from the module",
}
# Of third parties: what each has of cryptography that this package makes it use.
PACKAGES = {
    "alembic": "none",
    "anyio": "none",
    "botocore": "signs requests to AWS with HMAC-SHA-256 of Python's OpenSSL; TLS by ssl",
    "click": "none",
    "cryptography": "all of it",
    "django": "signs and hashes by hashlib and hmac for its own; encrypted fields use none of it",
    "fastapi": "none",
    "fsspec": "none",
    "h11": "none",
    "httptools": "none",
    "httpx": "TLS by ssl",
    "limits": "none",
    "msgspec": "none",
    "numpy": "none",
    "platformdirs": "none",
    "prometheus_client": "none",
    "psycopg": "TLS and passwords to PostgreSQL, by an OpenSSL of its own",
    "pyarrow": "AES-GCM for Parquet, by an OpenSSL of its own: refused in FIPS mode",
    "pybase64": "none",
    "pydantic": "none",
    "redis": "TLS by ssl",
    "sqlalchemy": "none",
    "starlette": "none",
    "typing_extensions": "none",
    "uvicorn": "TLS by ssl",
}
# Modules that are imported by a name that a program makes up: our own, and a database's dialect.
BY_NAME = {
    "__init__.py": "f'{__name__}.{home}'",
    "cli/commands/serve.py": "name",
    "cli/parsing.py": "module",
    "client/__init__.py": "f'{__name__}.{home}'",
    "security/key_store/database.py": "f'sqlalchemy.dialects.{self.dialect}'",
}


@functools.cache
def nodes(file: str) -> list[ast.AST]:
    return list(ast.walk(ast.parse((PACKAGE / file).read_text())))


def calls(file: str, *names: str) -> list[ast.Call]:
    """The calls of what has one of these names, of whatever object."""
    return [
        node
        for node in nodes(file)
        if isinstance(node, ast.Call)
        and ast.unparse(node.func).rpartition(".")[2] in names
        and ast.unparse(node.func) != "re.compile"
    ]


@pytest.mark.parametrize("module", USED_BY)
def test_what_could_bring_cryptography_is_used_where_it_is_said_what_for(module: str) -> None:
    """TLS, libraries of C, other programs; the probes of FIPS mode, which use what is refused."""
    using = {file for file in FILES if any(is_in(n, (module,)) for n in imports(PACKAGE / file))}
    assert using == set(USED_BY[module])


def test_the_kernels_chance_makes_no_key() -> None:
    """Keys are made by the policy."""
    names = {"urandom", "getrandom"}
    using = {
        file
        for file in FILES
        for node in nodes(file)
        if (isinstance(node, ast.Attribute) and node.attr in names)
        or (isinstance(node, ast.ImportFrom) and names & {each.name for each in node.names})
    }
    assert using == set(URANDOM)


def test_of_hmac_only_the_comparison_is_taken() -> None:
    """MACs are made by the policy; a module's own is written down when it is installed."""
    taken = {(file, n) for file in FILES for n in imports(PACKAGE / file) if is_in(n, ("hmac",))}
    assert {name for _, name in taken} == {"hmac.compare_digest", "hmac.digest"}
    assert [file for file, name in taken if name == "hmac.digest"] == ["security/fips/installed.py"]


def test_of_uuid_no_hash_is_taken() -> None:
    """``uuid3`` is MD5, and ``uuid5`` SHA-1."""
    assert not [file for file in FILES if calls(file, "uuid1", "uuid3", "uuid5")]


def test_a_hash_that_protects_nothing_says_so() -> None:
    """And no other does: it would be outside of the module in FIPS mode."""
    saying = {
        file
        for file in FILES
        for node in nodes(file)
        if isinstance(node, ast.keyword)
        and node.arg == "usedforsecurity"
        and ast.unparse(node.value) == "False"
    }
    assert saying == set(FOR_NO_PROTECTION)


def test_every_package_of_others_is_known_with_what_it_has_of_cryptography() -> None:
    """A new one has to be looked at."""
    imported = {name.partition(".")[0] for file in FILES for name in imports(PACKAGE / file)}
    assert imported - sys.stdlib_module_names - {ROOT} == set(PACKAGES)


def test_nothing_is_imported_or_run_that_cannot_be_read_here() -> None:
    """No relative import, no module by a name but those listed, no code in a text."""
    assert not [
        (file, node.lineno)
        for file in FILES
        for node in nodes(file)
        if isinstance(node, ast.ImportFrom) and node.level
    ]
    found = {
        file: ast.unparse(call.args[0])
        for file in FILES
        for call in calls(file, "import_module", "__import__", "exec_module", "find_spec")
    }
    assert found == BY_NAME
    assert not [file for file in FILES if calls(file, "exec", "eval")]


def test_the_policy_hands_out_itself_alone() -> None:
    """What it has imported is not taken from it, so nothing is reached by a second name."""
    door, rooms = f"{ROOT}.security.policy", f"{ROOT}.security.algorithms.digests"
    for file in FILES:
        for name in imports(PACKAGE / file):
            assert not name.startswith(f"{door}.") or name == f"{door}.Policy", file
            if name.startswith(f"{rooms}."):
                assert name.rpartition(".")[2] in (
                    "Running",
                    "SHA256_BYTES",
                    "running_sha256",
                    "running_sha512",
                    "sha256",
                    "sha384",
                    "sha512",
                ), file
