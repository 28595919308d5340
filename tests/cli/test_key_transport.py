"""``mfn key import`` and ``mfn key export`` from the outside."""

from __future__ import annotations

import base64
import re
import shlex
import subprocess
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from mycelium_fractal_net import open_keyring
from mycelium_fractal_net.security.errors import ExitCode
from mycelium_fractal_net.security.policy import Policy
from tests.support.algorithms import WRAPPING
from tests.support.cli import PROGRAM, Mfn, environment, one_line
from tests.support.key_transport import key_to_wrap_for, openssl_unwrap, openssl_wrap

PAGE = Path(__file__).parents[2] / "docs" / "custody.md"
POLICY = Policy()
KEY = bytes(range(32))


def begun(mfn: Mfn, *more: str) -> Any:
    """An import by HPKE, as JSON shows it."""
    return mfn.ok("key", "import", "begin", "--method", WRAPPING, "--json", *more).json


def wrapped(public_key: str, material: bytes = KEY) -> Path:
    """A file with a key wrapped for that public key."""
    Path("wrapped").write_bytes(POLICY.wrapping_key(public_key.encode()).wrap(material))
    return Path("wrapped")


def test_a_key_is_brought_along_with_openssl(mfn: Mfn, folder: Path) -> None:
    """From the public key that is printed to the key at work."""
    said = mfn.ok("key", "import", "begin", "card").out
    name = re.findall(r"mfn key import finish ([0-9a-f]{32}) FILE", said)[0]
    pem = said[said.index("-----BEGIN") :].encode()
    Path("wrapped").write_bytes(openssl_wrap(folder, pem, KEY))
    assert mfn.ok("key", "import", "finish", name, "wrapped").out == (
        "imported card:v1 (AES-256-GCM)\n"
    )
    assert "imported" in mfn.ok("key", "show", "card").out
    with open_keyring(home=mfn.home) as keyring:
        assert keyring.provider.get_key("card") == KEY


@pytest.mark.long  # a dozen processes
def test_the_page_on_custody_is_followed_as_it_stands(mfn: Mfn) -> None:
    """Every command of its section, in a shell, in order; what came in is what was wrapped."""
    section = PAGE.read_text().partition("## Bring your own key")[2].partition("\n## ")[0]
    begin, wrap, finish, export = re.findall(
        r"^```sh\n(.*?)^```", section, re.DOTALL | re.MULTILINE
    )
    Path("peer.pem").write_bytes(key_to_wrap_for(WRAPPING).public.pem())

    def shell(commands: str) -> str:
        done = subprocess.run(
            ["bash", "-euc", f'mfn() {{ {shlex.join(PROGRAM)} "$@"; }}\n{commands}'],
            env=environment({"MFN_HOME": str(mfn.home)}),
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    name = re.findall(r"mfn key import finish ([0-9a-f]{32}) FILE", shell(begin))[0]
    shell(wrap.replace("shred -u once.key card.key", "mv card.key kept && shred -u once.key"))
    assert "imported card:v1" in shell(finish.replace("IMPORT", name))
    assert "travels:v1" in shell(export)
    with open_keyring(home=mfn.home) as keyring:
        assert keyring.provider.get_key("card") == Path("kept").read_bytes()
        material = keyring.provider.get_key("travels")
    assert key_to_wrap_for(WRAPPING).unwrap(Path("travels.wrapped").read_bytes()) == material


def test_an_import_is_shown_in_json(mfn: Mfn) -> None:
    """With all that the key is to be."""
    shown = begun(mfn, "tags", "--type", "mac", "--exportable")
    assert list(shown) == [
        "import_id", "key_id", "existing", "type", "use", "algorithm", "exportable", "method",
        "public_key", "created_at", "expires_at", "state",
    ]  # fmt: skip
    assert (shown["type"], shown["algorithm"]) == ("mac", "HMAC-SHA-256")
    made = mfn.ok(
        "key", "import", "finish", shown["import_id"], wrapped(shown["public_key"]), "--json"
    ).json
    assert (made["exportable"], made["versions"][0]["origin"]) == (True, "imported")


def test_a_version_is_imported_into_a_key_that_is_there(mfn: Mfn) -> None:
    """The public key goes to a file, which is kept unless it may be replaced."""
    begin = ("key", "import", "begin", "--into", "orders", "--method", WRAPPING, "-o", "for.pem")
    said = mfn.ok(*begin).out
    assert f"wrap the key for for.pem ({WRAPPING})" in said
    name = said.split()[1].rstrip(":")
    wrapped(Path("for.pem").read_text())
    assert "imported orders:v2" in mfn.ok("key", "import", "finish", name, "wrapped").out
    assert mfn(*begin).code == ExitCode.EXISTS
    with open_keyring(home=mfn.home) as keyring:
        assert keyring.provider.store.imports.count() == 0
    mfn.ok(*begin, "--force")


def test_imports_are_listed_shown_and_cancelled(mfn: Mfn) -> None:
    """One that is over says so, until it is swept; the public key is shown again."""
    assert mfn.ok("key", "import", "list", "--json").json == []
    shown = begun(mfn, "card", "-t", "mac")
    with open_keyring(home=mfn.home) as keyring:
        imports = keyring.provider.imports
        hour_ago = imports.clock() - timedelta(hours=1)
        imports.clock = lambda: hour_ago
        late = imports.begin("late", method="hpke-p256")
    lines = mfn.ok("key", "import", "list").out.splitlines()
    rows = {line.split()[0]: line.split()[1:5] for line in lines}
    assert rows[shown["import_id"]] == ["card", "HMAC-SHA-256", WRAPPING, "waiting"]
    assert rows[late.import_id] == ["late", "AES-256-GCM", "hpke-p256", "expired"]
    listed = mfn.ok("key", "import", "list", "--json").json
    assert shown in listed
    said = mfn.ok("key", "import", "show", shown["import_id"]).out
    assert said.endswith(shown["public_key"])
    assert mfn.ok("key", "import", "show", late.import_id, "--json").json["state"] == "expired"
    said = mfn.ok("key", "import", "cancel", shown["import_id"]).out
    assert said == f"cancelled: import {shown['import_id']}\n"
    for verb in ("show", "cancel"):
        ran = mfn("key", "import", verb, shown["import_id"])
        assert "there is no such import" in one_line(ran, ExitCode.KEY_UNKNOWN)
    begun(mfn, "other")
    assert late.import_id not in mfn.ok("key", "import", "list").out


@pytest.mark.parametrize("given", [(), ("card", "--into", "orders")])
def test_an_import_has_one_name(mfn: Mfn, given: tuple[str, ...]) -> None:
    """Of a new key, or of one that is there."""
    said = one_line(mfn("key", "import", "begin", *given), ExitCode.USAGE)
    assert "give either KEY or --into KEY" in said


def test_what_a_key_that_is_there_has_is_not_said_anew(mfn: Mfn) -> None:
    """Its type is its own."""
    ran = mfn("key", "import", "begin", "--into", "orders", "--type", "mac")
    assert "only its name is given" in one_line(ran, ExitCode.USAGE)


def test_a_file_that_is_too_large_is_refused(mfn: Mfn) -> None:
    """Nothing is used up."""
    shown = begun(mfn, "card")
    Path("wrapped").write_bytes(bytes(16_385))
    ran = mfn("key", "import", "finish", shown["import_id"], "wrapped")
    assert "too large for a wrapped key" in one_line(ran, ExitCode.USAGE)
    mfn.ok("key", "import", "finish", shown["import_id"], wrapped(shown["public_key"]))


def test_a_key_is_taken_along_with_openssl(mfn: Mfn) -> None:
    """Made exportable, wrapped for a key of somebody, and out again."""
    made = mfn.ok("key", "create", "card", "--exportable").out
    assert "made encryption key card" in made
    assert "exportable" in mfn.ok("key", "show", "card").out
    generate = ("openssl", "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:3072")
    subprocess.run([*generate, "-out", "own.pem"], check=True, capture_output=True)
    subprocess.run(
        ["openssl", "pkey", "-pubout", "-in", "own.pem", "-out", "public.pem"], check=True
    )
    said = mfn.ok("key", "export", "card", "--to", "public.pem", "-o", "out").out
    assert said == "out: card:v1 (AES-256-GCM), wrapped by rsa-aes\n"
    with open_keyring(home=mfn.home) as keyring:
        material = keyring.provider.get_key("card")
    assert openssl_unwrap(Path("own.pem"), Path("out").read_bytes()) == material


def test_what_one_store_exports_another_imports(mfn: Mfn) -> None:
    """A signing key, through two files."""
    mfn.ok("key", "create", "sign", "-t", "signing", "--algorithm", "ECDSA-P384", "--exportable")
    shown = begun(mfn, "copy", "-t", "signing", "--algorithm", "ECDSA-P384")
    Path("for.pem").write_text(shown["public_key"])
    raw = mfn.process("key", "export", "sign", "--to", "for.pem").raw
    Path("out").write_bytes(raw)
    mfn.ok("key", "import", "finish", shown["import_id"], "out")
    pem = [mfn.ok("key", "public", name).out for name in ("sign", "copy")]
    assert pem[0] == pem[1]


def test_an_export_is_shown_in_json(mfn: Mfn) -> None:
    """With the wrapped key in base64, also where it goes to a file."""
    mfn.ok("key", "create", "card", "--exportable")
    own = key_to_wrap_for(WRAPPING)
    Path("for.pem").write_bytes(own.public.pem())
    export = ("key", "export", "card", "--to", "for.pem", "--json")
    shown = mfn.ok(*export).json
    assert list(shown) == ["key_id", "type", "algorithm", "method", "wrapped"]
    both = mfn.ok(*export, "-o", "out", "--method", WRAPPING).json
    assert base64.b64decode(both["wrapped"]) == Path("out").read_bytes()
    assert own.unwrap(base64.b64decode(shown["wrapped"])) == own.unwrap(Path("out").read_bytes())


def test_a_key_that_may_not_leave_is_refused(mfn: Mfn) -> None:
    """And no file is made."""
    Path("for.pem").write_bytes(key_to_wrap_for(WRAPPING).public.pem())
    ran = mfn("key", "export", "orders", "--to", "for.pem", "-o", "out")
    assert "not made exportable" in one_line(ran, ExitCode.FORBIDDEN)
    assert not Path("out").exists()


def test_a_key_is_not_exported_where_its_file_cannot_be_written(mfn: Mfn) -> None:
    """Nothing leaves, and nothing is recorded."""
    mfn.ok("key", "create", "card", "--exportable")
    Path("for.pem").write_bytes(key_to_wrap_for(WRAPPING).public.pem())
    Path("out").write_bytes(b"kept")
    assert mfn("key", "export", "card", "--to", "for.pem", "-o", "out").code == ExitCode.EXISTS
    assert Path("out").read_bytes() == b"kept"
    assert "card" not in mfn.ok("audit", "show", "--event", "key.export").out
