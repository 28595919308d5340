"""The plan's integration test "FIPS compliance": proven in the process, or there is no mode.

A real provider does the work, in processes forked for it: not in one that runs tests.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mycelium_fractal_net.security.algorithms.names import (
    FORBIDDEN,
    IN_FIPS_MODE,
    NOT_IN_FIPS_MODE,
)
from mycelium_fractal_net.security.fips.installed import install
from tests.support.fips import fips_module, sha256_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.fips import FipsHome

CONFIGURATION = 3  # the exit code
PLAN = {
    "security": {
        "fips_mode": True,
        "allowed_algorithms": [
            "AES-256-GCM",
            "SHA-256",
            "SHA-384",
            "SHA-512",
            "ECDSA-P256",
            "ECDSA-P384",
        ],
        "disallowed_algorithms": ["MD5", "SHA-1", "RC4", "DES", "3DES"],
    }
}


def test_the_plans_lists_are_enforced(fips_home: FipsHome) -> None:
    """Value for value as the plan has them; all that the mode allows works."""
    fips = fips_home
    fips.home.mkdir(mode=0o700)
    path = fips.home / "fips.json"
    path.write_text(json.dumps(PLAN))
    path.chmod(0o600)
    settings = {"MFN_CONFIG": str(path)}
    assert fips.mfn("init", **settings).code == 0
    listed = fips.mfn("key", "list", "--json", **settings).json
    assert [each["algorithm"] for each in listed] == ["AES-256-GCM", "HMAC-SHA-256", "ECDSA-P256"]
    made = fips.mfn("key", "create", "s", "--type", "signing", **settings)
    assert "ECDSA-P256" in made.out
    for refused in ("Ed25519", "ML-DSA-65"):
        ran = fips.mfn(
            "key", "create", "n", "--type", "signing", "--algorithm", refused, **settings
        )
        assert ran.code != 0
        assert "is not on the list of algorithms of FIPS mode; take ECDSA-P256" in ran.err


def test_the_document_says_who_refuses_what(fips: FipsHome) -> None:
    """Of each algorithm: its standard, what the policy says, and what the real module does."""
    page = (Path(__file__).parents[2] / "docs" / "fips.md").read_text()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in page.splitlines()]
    table = {row[0]: tuple(row[1:]) for row in rows if len(row) == 5 and "-" not in row[0][:1]}
    del table["algorithm"]
    assert {name for name, row in table.items() if row[2] == "allows"} == IN_FIPS_MODE.keys()
    assert {name for name, row in table.items() if row[2] == "refuses"} == (
        NOT_IN_FIPS_MODE.keys() | FORBIDDEN
    )
    for name, approval in IN_FIPS_MODE.items():
        assert table[name][:2] == approval
    code = "from tests.support.fips_algorithms import main; main()"
    answers = json.loads(fips.python(code, PYTHONPATH=os.pathsep.join(sys.path)).out)
    said = {name: row[3] for name, row in table.items() if not row[3].startswith("not asked")}
    if fips.installed_version() == "3.1.2":
        assert "3.1.2 has neither Ed25519 nor ML-DSA nor ML-KEM" in page
        said |= dict.fromkeys(("Ed25519", "ML-DSA-65", "ML-KEM-768"), "refuses")
    assert said == {name: "does it" if did else "refuses" for name, did in answers.items()}


def test_the_library_works_in_it(fips: FipsHome) -> None:
    """Every operation, by the module: the process says which."""
    ran = fips.python(
        "from mycelium_fractal_net.fips import proven, start\n"
        "start()\n"
        "from mycelium_fractal_net import initialise\n"
        "with initialise() as keyring:\n"
        "    sealed = keyring.encrypt(b'a', associated_data=b'b')\n"
        "    assert keyring.decrypt(sealed, associated_data=b'b') == b'a'\n"
        "    raw = keyring.encrypt(b'a', format='raw')\n"
        "    signature = keyring.sign(b'a')\n"
        "    keyring.verify(b'a', signature)\n"
        "    keyring.provider.rotate_key('default-encryption')\n"
        "    keyring.refresh()\n"
        "    assert keyring.decrypt(keyring.rewrap(sealed, associated_data=b'b'),"
        " associated_data=b'b') == b'a'\n"
        "print(proven().module.sha256)\n"
    )
    assert (ran.out, ran.err) == (f"{sha256_of(fips_module())}\n", "")


def test_it_is_installed_by_one_command(fips_home: FipsHome) -> None:
    """Which proves it at once, says whether the mode is on, and takes no other file."""
    module = fips_module()
    install = ("fips", "install", str(module), "--sha256")
    ran = fips_home.start(*install, "00" * 32)
    assert (ran.code, ran.out) == (CONFIGURATION, "")
    assert "has another SHA-256 than the one that was given" in ran.err
    ran = fips_home.start(*install, sha256_of(module), MFN_FIPS_MODE="false")
    assert (ran.code, ran.err) == (0, "")
    assert "proved it\nFIPS mode is off; MFN_FIPS_MODE=true switches it on\n" in ran.out


def test_status_says_what_was_proven(fips: FipsHome) -> None:
    """The module with its version and hash; never that it is validated."""
    status = fips.start("fips", "status", "--json").json
    assert status["fips_mode"] is True
    assert status["module"] == str(fips.home / "fips" / "fips.so")
    assert status["sha256"] == sha256_of(fips_module())
    assert {"known answer of AES-256-GCM", "MD5 is refused"} <= set(status["proven"])
    told = fips.mfn("fips", "status").out
    assert "valid" not in told
    off = fips.mfn("fips", "status", "--json", MFN_FIPS_MODE="false").json
    assert off["fips_mode"] is False


def _missing(home: FipsHome) -> dict[str, str]:
    shutil.rmtree(home.home / "fips")
    return {}


def _changed(home: FipsHome) -> dict[str, str]:
    with (home.home / "fips" / "fips.so").open("ab") as file:
        file.write(b"\0")
    return {}


def _elsewhere(home: FipsHome) -> dict[str, str]:
    return {"OPENSSL_CONF": str(home.home / "fips" / "openssl.cnf")}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (_missing, "no FIPS module is installed"),
        (_changed, "was changed since it was installed"),
        (_elsewhere, "OPENSSL_CONF is set"),
    ],
    ids=["missing", "changed", "OPENSSL_CONF"],
)
def test_nothing_starts_without_the_proof(
    fips: FipsHome, made_home: Path, change: Callable[[FipsHome], dict[str, str]], told: str
) -> None:
    """It ends before a port is opened or a key unwrapped, and says why; the service too."""
    shutil.copytree(made_home, fips.home, dirs_exist_ok=True)
    variables = change(fips)
    for command in (("key", "list"), ("serve", "--port", "0")):
        ran = fips.start(*command, **variables)
        assert (ran.code, ran.out) == (CONFIGURATION, "")
        assert told in ran.err


def _patched(code: str) -> str:
    """A program that starts FIPS mode after ``code`` changed the room that does it."""
    return (
        "from mycelium_fractal_net.security.fips import installed, process, python_openssl\n"
        f"{code}\n"
        "import mycelium_fractal_net.fips as fips\n"
        "try:\n"
        "    fips.start()\n"
        "except Exception as error:\n"
        "    print(type(error).__name__, error)\n"
        "assert fips.proven() is None\n"
    )


@pytest.mark.parametrize(
    ("configuration", "told"),
    [
        (
            ("module-mac = ", "module-mac = 00:"),
            "its integrity check failed: the file is not what its MAC says",
        ),
        (("module-mac = ", "# "), "its configuration has no MAC"),
        (("fips.so", "nothing.so"), "the file cannot be loaded as a provider"),
    ],
    ids=["wrong MAC", "no MAC", "no file"],
)
def test_a_module_that_openssl_refuses_is_told_with_its_reason(
    fips: FipsHome, configuration: tuple[str, str], told: str
) -> None:
    """In our words; what OpenSSL says is for its developers."""
    path = fips.home / "fips" / "openssl.cnf"
    path.write_text(path.read_text().replace(*configuration))
    ran = fips.python(
        _patched(
            "real = installed._files\n"
            f"path = process.Path({str(path)!r})\n"
            "installed._files = lambda *given: real(*given) | {path: path.read_bytes()}\n"
        )
    )
    assert ran.out == f"FipsModeError the FIPS module does not load: {told}\n"


def test_the_default_provider_beneath_is_found_out(fips: FipsHome) -> None:
    """Where nothing was loaded at all, the refusals do not come."""
    ran = fips.python(_patched("process._load = lambda module: None"))
    assert ran.out.startswith("FipsModeError MD5 works: the default provider of OpenSSL answers")


def test_another_file_than_the_installed_one_is_found_out(fips: FipsHome) -> None:
    """By what the process has in memory."""
    ran = fips.python(_patched("process._mapped = lambda: {'/somewhere/fips.so'}"))
    assert ran.out == "FipsModeError another file than the installed FIPS module was loaded\n"


def test_another_module_that_was_activated_before_is_found_out(
    fips: FipsHome, tmp_path: Path
) -> None:
    """As by a configuration of the machine: a second one of that name is not loaded."""
    module = fips_module()
    elsewhere = install(module, sha256_of(module), tmp_path / "elsewhere" / "fips")
    ran = fips.python(
        "from pathlib import Path\n"
        + _patched(f"python_openssl.load(Path({str(elsewhere.for_python)!r}))")
    )
    assert ran.out == "FipsModeError another file than the installed FIPS module was loaded\n"


def test_a_module_that_answers_wrongly_is_found_out(fips: FipsHome) -> None:
    """Or not at all."""
    for answer, told in (
        ("1", "gives a wrong answer of SHA-256"),
        ("1 / 0", "does not do SHA-256"),
    ):
        ran = fips.python(
            _patched(
                "def prove(module):\n"
                "    from mycelium_fractal_net.security.fips import probes\n"
                f"    probes._KNOWN['SHA-256'] = (lambda: {answer}, 2)\n"
                "    return real(module)\n"
                "real, process._prove = process._prove, prove\n"
            )
        )
        assert told in ran.out


def test_a_python_with_privileges_is_refused(fips: FipsHome) -> None:
    """Its OpenSSL passes over the configuration in silence; so the C library is asked for them."""
    ran = fips.python(
        _patched(
            "import ctypes\n"
            "class Library:\n"
            "    def __init__(self, name):\n"
            "        self.getauxval = type('', (), {'__call__': lambda self, kind: kind == 23})()\n"
            "ctypes.CDLL = Library\n"
        )
    )
    assert "file capabilities" in ran.out


def test_without_the_kernels_word_there_is_no_proof(fips: FipsHome) -> None:
    """As in a container without /proc."""
    ran = fips.python(
        _patched(
            "real = process.Path.read_bytes\n"
            "def read(path):\n"
            "    if path.name == 'maps':\n"
            "        raise PermissionError\n"
            "    return real(path)\n"
            "process.Path.read_bytes = read\n"
        )
    )
    assert "/proc/self/maps cannot be read" in ran.out


_WITHOUT = {
    "is built into the interpreter": (
        "python_openssl._ssl = type('', (), {'__file__': '/nowhere.so'})\n"
    ),
    "and goes on without it": (
        "python_openssl._hashlib = type('', (), {'openssl_md5': lambda *_, **__: None})\n"
    ),
    "does not load into the OpenSSL of this Python": (
        "real = installed._files\n"
        "path = process.Path(WHERE, 'python.cnf')\n"
        "path.write_bytes(path.read_bytes().replace(b'module-mac = ', b'module-mac = 00:'))\n"
        "installed._files = lambda *given: real(*given) | {path: path.read_bytes()}\n"
    ),
}


@pytest.mark.parametrize("told", _WITHOUT)
def test_a_python_whose_openssl_takes_no_module_is_refused(fips: FipsHome, told: str) -> None:
    """Its TLS would stand outside of the mode, and nobody would know."""
    where = f"WHERE = {str(fips.home / 'fips')!r}\n"
    assert told in fips.python(_patched(where + _WITHOUT[told])).out


def test_tls_that_offers_more_than_it_should_is_found_out(fips: FipsHome) -> None:
    """As by an OpenSSL that passes over what its configuration says of TLS."""
    ran = fips.python(_patched("python_openssl._GROUPS = b'none of these'"))
    assert "has a FIPS module, and goes on without it" in ran.out


def test_one_that_used_cryptography_before_is_refused(fips: FipsHome) -> None:
    """What was made before would go on outside of the module."""
    ran = fips.python(
        "import cryptography.hazmat.primitives.hashes\n"
        "from mycelium_fractal_net import open_keyring\n"
    )
    assert ran.code != 0
    assert "something imported the package cryptography before" in ran.err
    ran = fips.python("from mycelium_fractal_net.bootstrap import open_keyring\nopen_keyring()\n")
    assert ran.code != 0
    assert "call mycelium_fractal_net.fips.start() first" in ran.err


def test_one_that_used_tls_before_is_refused(fips: FipsHome) -> None:
    """Its context, and the random numbers of all later ones, would be outside of the module."""
    ran = fips.python("import ssl\nssl.create_default_context()\n" + _patched(""))
    assert ran.out.startswith("FipsModeError something used TLS, or took random bytes")


def test_whoever_starts_it_first_may_import_anything(fips: FipsHome, made_home: Path) -> None:
    """A second start is the same proof, and a child by fork has it."""
    shutil.copytree(made_home, fips.home, dirs_exist_ok=True)
    ran = fips.python(
        "import os\n"
        "from mycelium_fractal_net import fips\n"
        "assert fips.proven() is None\n"
        "assert fips.start() is fips.start() is fips.proven()\n"
        "from mycelium_fractal_net.bootstrap import open_keyring\n"
        "child = os.fork()\n"
        "open_keyring().close()\n"
        "if child:\n"
        "    assert os.waitpid(child, 0)[1] == 0\n"
    )
    assert (ran.code, ran.err) == (0, "")


def test_tls_and_databases_go_on_beside_it(fips: FipsHome) -> None:
    """Python's OpenSSL has a module of its own; MD5 is for who says that it protects nothing."""
    ran = fips.python(
        "from mycelium_fractal_net import fips\n"
        "fips.start()\n"
        "import hashlib, os, ssl\n"
        "context = ssl.create_default_context()\n"
        "assert len(context.get_ciphers()) > 5\n"
        "assert not [c for c in context.get_ciphers() if 'CHACHA' in c['name']]\n"
        "hashlib.md5(usedforsecurity=False)\n"
        "try:\n"
        "    hashlib.md5(b'')\n"
        "except ValueError:\n"
        "    print('refused')\n"
        "assert 'OPENSSL_CONF' not in os.environ\n"
    )
    assert (ran.out, ran.err) == ("refused\n", "")


def test_digests_come_from_the_module(fips: FipsHome) -> None:
    """The SHA-256 that looked at the module's file before it was loaded is another."""
    ran = fips.python(
        "from mycelium_fractal_net import fips\n"
        "fips.start()\n"
        "import ctypes, hashlib, _ssl\n"
        "from mycelium_fractal_net.security.algorithms import digests\n"
        "library = ctypes.CDLL(_ssl.__file__)\n"
        "def call(name, argument, result=ctypes.c_void_p):\n"
        "    function = getattr(library, name)\n"
        "    function.restype, function.argtypes = result, (ctypes.c_void_p,)\n"
        "    return function(argument)\n"
        "for made in (digests.running_sha256(), hashlib.sha384(), digests.running_sha512()):\n"
        "    context = ctypes.c_void_p.from_address(id(made) + 16).value  # PyObject_HEAD\n"
        "    algorithm = call('EVP_MD_CTX_get0_md', context)\n"
        "    provider = call('EVP_MD_get0_provider', algorithm)\n"
        "    print(call('OSSL_PROVIDER_get0_name', provider, ctypes.c_char_p).decode())\n"
    )
    assert (ran.out, ran.err) == ("fips\nfips\nfips\n", "")


def test_uvicorn_runs_in_it(fips: FipsHome) -> None:
    """The same door: the application sets the process up before it imports what encrypts."""
    ran = fips.python(
        "from mycelium_fractal_net.api import app\n"
        "from mycelium_fractal_net.fips import proven\n"
        "print(proven().module.version is not None, type(app).__name__)\n"
    )
    assert ran.out == "True Application\n"


def test_uvicorn_ends_without_the_proof(fips_home: FipsHome) -> None:
    """Before it opens its port."""
    code = "import uvicorn\nuvicorn.run('mycelium_fractal_net.api:app', port=0)\n"
    ran = fips_home.python(code)
    assert ran.code != 0
    assert "no FIPS module is installed" in ran.err
    assert "running on" not in ran.err


def test_a_parameter_that_the_module_refuses_is_told(fips_home: FipsHome) -> None:
    """Of PBKDF2, which has floors of its own in every other place; the limits are SP 800-132's."""
    ran = fips_home.python_within(
        "from mycelium_fractal_net.security.policy import Policy\n"
        "policy = Policy()\n"
        "for salt, count in ((bytes(15), 1000), (bytes(16), 999), (bytes(16), 1000)):\n"
        "    try:\n"
        "        print(len(policy.pbkdf2(b'secret', salt, count)))\n"
        "    except Exception as error:\n"
        "        print(type(error).__name__, error)\n"
    )
    refused = (
        "InvalidInputError the FIPS module refuses PBKDF2 with a salt under 16 bytes or under"
        " 1,000 iterations"
    )
    assert ran.out.splitlines() == [refused, refused, "32"], ran.err


def test_a_program_that_is_a_client_alone_runs_in_it(fips: FipsHome) -> None:
    """By its environment, as one that opens a keyring."""
    ran = fips.python(
        "from mycelium_fractal_net.client import Client\n"
        "from mycelium_fractal_net.fips import proven\n"
        "print(proven() is not None)\n"
    )
    assert ran.out == "True\n"


def test_what_is_never_allowed_stays_so(fips: FipsHome) -> None:
    """And what is outside of the mode is refused by name where a file allows it."""
    for name, told in (("MD5", "MD5 is broken and never allowed"), ("Ed25519", "take ECDSA-P256")):
        document = json.loads(json.dumps(PLAN))
        document["security"]["allowed_algorithms"].append(name)
        path = fips.home / "other.json"
        path.write_text(json.dumps(document))
        path.chmod(0o600)
        ran = fips.mfn("init", MFN_CONFIG=str(path))
        assert ran.code == CONFIGURATION
        assert told in ran.err


def test_an_interpreter_that_is_started_anew_proves_itself(fips: FipsHome) -> None:
    """A subprocess has nothing of its parent's module, and neither has one by `spawn`."""
    ran = fips.python_within(
        "import multiprocessing, subprocess, sys\n"
        "from mycelium_fractal_net.fips import proven, start\n"
        "fresh = 'from mycelium_fractal_net.fips import proven, start\\nprint(proven())\\n'\n"
        "fresh += 'print(start().module.file)'\n"
        "subprocess.run([sys.executable, '-c', fresh], check=True)\n"
        "with multiprocessing.get_context('spawn').Pool(1) as pool:\n"
        "    print(pool.apply(proven), pool.apply(start).module.file, flush=True)\n"
    )
    file = fips.home / "fips" / "fips.so"
    assert ran.out == f"None\n{file}\nNone {file}\n", ran.err


def test_doctor_lists_what_the_mode_refuses(fips_home: FipsHome, tmp_path: Path) -> None:
    """Keys that were there before it, which stay, and signers."""

    def before(*arguments: str) -> str:
        ran = fips_home.mfn(*arguments, MFN_FIPS_MODE="false")
        assert ran.code == 0, ran.err
        return ran.out

    before("init")
    before("key", "create", "web", "--type", "signing", "--use", "request")
    key = tmp_path / "public.pem"
    key.write_text(before("key", "public", "web"))
    before("signer", "add", "web", "--public-key", str(key), "--any-credential")
    assert '"algorithm"' not in fips_home.mfn("doctor", "--json", MFN_FIPS_MODE="false").out
    found = {
        each["subject"]: each["advice"]
        for each in fips_home.mfn("doctor", "--json").json
        if each["check"] == "algorithm"
    }
    assert set(found) == {"key default-signing", "key web", "signer web"}
    assert all("take ECDSA-P256 or ECDSA-P384" in advice for advice in found.values())
    refused = fips_home.mfn("sign", str(key), "-k", "default-signing")
    assert refused.code != 0
    assert "take ECDSA-P256" in refused.err
