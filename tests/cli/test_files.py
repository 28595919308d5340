"""``mfn encrypt``, ``decrypt``, ``rewrap``, ``sign``, ``verify`` and ``inspect`` on files."""

from __future__ import annotations

import json
import os
import re
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mycelium_fractal_net import open_keyring
from mycelium_fractal_net.security.errors import ExitCode
from tests.support.algorithms import WRAPPING
from tests.support.cli import Mfn, one_line, snapshot
from tests.support.key_transport import key_to_wrap_for

CONTENT = b"every byte of it\n" * 5000


@pytest.fixture
def big(folder: Path) -> Path:
    """A file of five chunks."""
    path = folder / "big.bin"
    path.write_bytes(CONTENT)
    return path


@pytest.fixture
def tree(folder: Path) -> dict[str, bytes]:
    """A folder ``photos`` of thirty files in three folders."""
    for number in range(30):
        path = folder / "photos" / f"{number % 3}" / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(os.urandom(number * 100))
    return snapshot(folder / "photos")


# One file ---------------------------------------------------------------------------------


def test_a_file_comes_back_under_its_name(mfn: Mfn, big: Path) -> None:
    """big.bin -> big.bin.mfn -> big.bin, byte for byte, and the outcome says so."""
    assert mfn.ok("encrypt", "big.bin", "-k", "orders").out == (
        "sealed big.bin -> big.bin.mfn (83.0 KiB)\n"
    )
    assert big.read_bytes() == CONTENT
    big.unlink()
    assert "big.bin.mfn -> big.bin" in mfn.ok("decrypt", "big.bin.mfn").out
    assert big.read_bytes() == CONTENT


def test_without_a_key_the_default_one_seals(mfn: Mfn, big: Path) -> None:
    """``mfn init`` made it."""
    mfn.ok("encrypt", "big.bin")
    assert mfn.ok("inspect", "big.bin.mfn", "--json").json["key_id"] == "default-encryption"


def test_the_output_has_the_permission_bits_of_the_input(mfn: Mfn, big: Path) -> None:
    """A private file stays private on both ways."""
    big.chmod(0o600)
    mfn.ok("encrypt", "big.bin")
    mfn.ok("decrypt", "big.bin.mfn", "-o", "back.bin")
    for name in ("big.bin.mfn", "back.bin"):
        assert stat.S_IMODE((mfn.folder / name).stat().st_mode) == 0o600


def test_an_output_that_names_a_folder_is_put_into_it(mfn: Mfn, big: Path) -> None:
    """As cp does."""
    (mfn.folder / "there").mkdir()
    mfn.ok("encrypt", "big.bin", "-o", "there")
    mfn.ok("decrypt", "there/big.bin.mfn", "-o", "there")
    assert set(snapshot(mfn.folder / "there")) == {"big.bin", "big.bin.mfn"}


def test_force_replaces_an_output(mfn: Mfn, big: Path) -> None:
    """The new content is there, under the same name."""
    (mfn.folder / "big.bin.mfn").write_bytes(b"old")
    mfn.ok("encrypt", "big.bin", "--force")
    mfn.ok("decrypt", "big.bin.mfn", "-o", "back.bin")
    assert (mfn.folder / "back.bin").read_bytes() == CONTENT


@pytest.mark.parametrize("option", ["-a", "--associated-data-file"])
def test_associated_data_must_be_given_again(mfn: Mfn, big: Path, option: str) -> None:
    """As text or from a file, the same bytes; without them the message does not open."""
    (mfn.folder / "row").write_bytes(b"row 17")
    value = "row 17" if option == "-a" else "row"
    mfn.ok("encrypt", "big.bin", option, value)
    one_line(mfn("decrypt", "big.bin.mfn", "-o", "back.bin"), ExitCode.NOT_AUTHENTIC)
    mfn.ok("decrypt", "big.bin.mfn", "-o", "back.bin", "-a", "row 17")
    assert (mfn.folder / "back.bin").read_bytes() == CONTENT


def test_associated_data_is_given_once(mfn: Mfn, big: Path) -> None:
    """Two sources are a mistake, not a concatenation."""
    (mfn.folder / "row").write_bytes(b"row 17")
    ran = mfn("encrypt", "big.bin", "-a", "x", "--associated-data-file", "row")
    one_line(ran, ExitCode.USAGE)


def test_associated_data_of_over_a_mebibyte_is_refused(mfn: Mfn, big: Path) -> None:
    """It would be held in memory."""
    (mfn.folder / "row").write_bytes(bytes((1 << 20) + 1))
    ran = mfn("encrypt", "big.bin", "--associated-data-file", "row")
    assert "too large" in one_line(ran, ExitCode.USAGE)


# Rewrap -----------------------------------------------------------------------------------


def test_rewrap_moves_a_file_to_the_newest_version_in_place(mfn: Mfn, big: Path) -> None:
    """Before and after it opens; a second time there is nothing to do."""
    mfn.ok("encrypt", "big.bin", "-k", "orders")
    mfn.ok("key", "rotate", "orders")
    assert mfn.ok("inspect", "big.bin.mfn", "--json").json["newest"] is False
    assert "was moved to" in mfn.ok("rewrap", "big.bin.mfn").out
    assert mfn.ok("inspect", "big.bin.mfn", "--json").json["version_id"] == "orders:v2"
    assert "already under" in mfn.ok("rewrap", "big.bin.mfn").out
    mfn.ok("decrypt", "big.bin.mfn", "-o", "back.bin")
    assert (mfn.folder / "back.bin").read_bytes() == CONTENT


def test_rewrap_writes_elsewhere_if_told(mfn: Mfn, big: Path) -> None:
    """The sealed file stays what it was."""
    mfn.ok("encrypt", "big.bin", "-k", "orders")
    mfn.ok("key", "rotate", "orders")
    before = (mfn.folder / "big.bin.mfn").read_bytes()
    mfn.ok("rewrap", "big.bin.mfn", "-o", "moved.mfn")
    assert (mfn.folder / "big.bin.mfn").read_bytes() == before
    assert mfn.ok("inspect", "moved.mfn", "--json").json["version_id"] == "orders:v2"


def test_what_a_compromised_version_sealed_opens_only_if_allowed(mfn: Mfn, big: Path) -> None:
    """Exit code 9 without the option, for decrypt and for rewrap."""
    mfn.ok("encrypt", "big.bin", "-k", "orders")
    mfn.ok("key", "rotate", "orders")
    mfn.ok("key", "compromise", "orders:v1")
    one_line(mfn("decrypt", "big.bin.mfn", "-o", "back.bin"), ExitCode.FORBIDDEN)
    one_line(mfn("rewrap", "big.bin.mfn"), ExitCode.FORBIDDEN)
    mfn.ok("decrypt", "big.bin.mfn", "-o", "back.bin", "--allow-compromised")
    mfn.ok("rewrap", "big.bin.mfn", "--allow-compromised")
    assert (mfn.folder / "back.bin").read_bytes() == CONTENT


# Streams ----------------------------------------------------------------------------------


def test_standard_input_and_output_carry_a_message_there_and_back(mfn: Mfn) -> None:
    """Nothing but the bytes is on standard output."""
    sealed = mfn.process("encrypt", "-", "-k", "orders", input=CONTENT)
    assert (sealed.code, sealed.err) == (0, "")
    opened = mfn.process("decrypt", "-", input=sealed.raw)
    assert (opened.code, opened.err, opened.raw) == (0, "", CONTENT)


def test_a_file_goes_to_standard_output_and_standard_input_to_a_file(mfn: Mfn, big: Path) -> None:
    """The file that standard input becomes is its owner's alone."""
    sealed = mfn.ok("encrypt", "big.bin", "-o", "-").raw
    (mfn.folder / "s.mfn").write_bytes(sealed)
    assert mfn.ok("decrypt", "s.mfn", "-o", "-").raw == CONTENT
    assert mfn.fed("decrypt", "-", "-o", "back.bin", input=sealed).code == 0
    back = mfn.folder / "back.bin"
    assert back.read_bytes() == CONTENT
    assert stat.S_IMODE(back.stat().st_mode) == 0o600


def test_a_stream_is_rewrapped(mfn: Mfn, big: Path) -> None:
    """From a file to standard output, under the newest version."""
    mfn.ok("encrypt", "big.bin", "-k", "orders")
    mfn.ok("key", "rotate", "orders")
    moved = mfn.ok("rewrap", "big.bin.mfn", "-o", "-").raw
    with open_keyring(home=mfn.home) as keyring:
        assert keyring.describe(moved).version_id == "orders:v2"
        assert keyring.decrypt(moved) == CONTENT


def test_a_cut_message_to_standard_output_gives_whole_chunks_and_exit_code_8(
    mfn: Mfn, big: Path
) -> None:
    """What came out is authentic and incomplete; the code says so."""
    sealed = mfn.ok("encrypt", "big.bin", "-o", "-").raw
    ran = mfn.fed("decrypt", "-", input=sealed[:-20])
    one_line(ran, ExitCode.NOT_AUTHENTIC)
    assert CONTENT.startswith(ran.raw)
    assert len(ran.raw) % 16384 == 0


# Folders ----------------------------------------------------------------------------------


def test_a_folder_is_sealed_and_comes_back(mfn: Mfn, tree: dict[str, bytes]) -> None:
    """photos/a/b.jpg -> sealed/a/b.jpg.mfn -> back/a/b.jpg, all of them."""
    said = mfn.ok("encrypt", "-r", "photos/", "-o", "sealed/", "-k", "orders").out
    assert said.startswith("sealed 30 files (42.5 KiB) in sealed\n")
    assert set(snapshot(mfn.folder / "sealed")) == {f"{name}.mfn" for name in tree}
    mfn.ok("decrypt", "-r", "sealed/", "-o", "back/", "--workers", "2")
    assert snapshot(mfn.folder / "back") == tree


def test_a_folder_again_does_only_what_is_left(mfn: Mfn, tree: dict[str, bytes]) -> None:
    """What was done before is counted and not done again."""
    mfn.ok("encrypt", "-r", "photos", "-o", "sealed")
    (mfn.folder / "sealed" / "0" / "3.jpg.mfn").unlink()
    said = mfn.ok("encrypt", "-r", "photos", "-o", "sealed").out
    assert "sealed 1 file (300 B) in sealed, 29 done before" in said


def test_a_folder_is_rewrapped_in_place(mfn: Mfn, tree: dict[str, bytes]) -> None:
    """Every file of it."""
    mfn.ok("encrypt", "-r", "photos", "-o", "sealed", "-k", "orders")
    mfn.ok("key", "rotate", "orders")
    assert "rewrapped 30 files" in mfn.ok("rewrap", "-r", "sealed").out
    assert mfn.ok("inspect", "sealed/0/3.jpg.mfn", "--json").json["version_id"] == "orders:v2"


def test_one_bad_file_does_not_stop_the_others(mfn: Mfn, tree: dict[str, bytes]) -> None:
    """Exit code 11, a line that names it, and everything else is there."""
    mfn.ok("encrypt", "-r", "photos", "-o", "sealed")
    bad = mfn.folder / "sealed" / "0" / "3.jpg.mfn"
    bad.write_bytes(bad.read_bytes()[:-1])
    ran = mfn("decrypt", "-r", "sealed", "-o", "back")
    assert ran.code == ExitCode.PARTIAL
    named, summary = ran.err.splitlines()
    assert named.startswith("mfn: sealed/0/3.jpg.mfn: ")
    assert summary.startswith("mfn: 1 file failed")
    assert snapshot(mfn.folder / "back") == {n: b for n, b in tree.items() if n != "0/3.jpg"}


def test_links_are_passed_over_and_named(mfn: Mfn, tree: dict[str, bytes]) -> None:
    """A link may lead anywhere; it is not followed, and not lost in silence."""
    (mfn.folder / "photos" / "link").symlink_to("/etc/hostname")
    said = mfn.ok("encrypt", "-r", "photos", "-o", "sealed").out
    assert "passed over photos/link" in said
    assert not (mfn.folder / "sealed" / "link.mfn").exists()


# Signatures -------------------------------------------------------------------------------


def test_a_signature_verifies_under_its_key_and_no_other(mfn: Mfn, big: Path) -> None:
    """The outcome names the version; another key or another file is exit code 8."""
    assert mfn.ok("sign", "big.bin", "-k", "release").out == "signed big.bin -> big.bin.sig\n"
    said = mfn.ok("verify", "big.bin", "big.bin.sig", "-k", "release").out
    assert said == "big.bin was signed by release:v1\n"
    mfn.ok("key", "create", "other", "--type", "signing")
    one_line(mfn("verify", "big.bin", "big.bin.sig", "-k", "other"), ExitCode.NOT_AUTHENTIC)
    big.write_bytes(CONTENT + b".")
    one_line(mfn("verify", "big.bin", "big.bin.sig", "-k", "release"), ExitCode.NOT_AUTHENTIC)


@pytest.mark.parametrize("algorithm", ["Ed25519", "ECDSA-P256", "ECDSA-P384", "ML-DSA-65"])
def test_a_public_key_verifies_without_a_store(
    mfn: Mfn, empty: Mfn, big: Path, algorithm: str, tmp_path: Path
) -> None:
    """Whoever has the public key needs nothing else."""
    mfn.ok("key", "create", "web", "--type", "signing", "--algorithm", algorithm)
    mfn.ok("sign", "big.bin", "-k", "web")
    (mfn.folder / "web.pem").write_text(mfn.ok("key", "public", "web").out)
    mfn.home = tmp_path / "nothing"
    assert "web.pem" in mfn.ok("verify", "big.bin", "big.bin.sig", "--public-key", "web.pem").out
    big.write_bytes(CONTENT + b".")
    ran = mfn("verify", "big.bin", "big.bin.sig", "--public-key", "web.pem")
    one_line(ran, ExitCode.NOT_AUTHENTIC)


@pytest.mark.parametrize("algorithm", ["Ed25519", "ECDSA-P256", "ML-DSA-65"])
def test_a_jwk_verifies_too(mfn: Mfn, big: Path, algorithm: str) -> None:
    """As ``mfn key public --format jwk`` prints it and the service publishes it; a set does not."""
    mfn.ok("key", "create", "web", "--type", "signing", "--algorithm", algorithm)
    mfn.ok("sign", "big.bin", "-k", "web")
    jwk = mfn.ok("key", "public", "web", "--format", "jwk").out
    (mfn.folder / "web.jwk").write_text(jwk)
    mfn.ok("verify", "big.bin", "big.bin.sig", "--public-key", "web.jwk")
    (mfn.folder / "web.jwk").write_text(f'{{"keys": [{jwk}]}}')
    one_line(mfn("verify", "big.bin", "big.bin.sig", "--public-key", "web.jwk"), ExitCode.USAGE)
    ran = mfn.fed("verify", "big.bin", "big.bin.sig", "--public-key", "-", input=jwk.encode())
    assert ran.out == "big.bin was signed by the key of -\n"
    one_line(mfn("verify", "-", "big.bin.sig", "--public-key", "-"), ExitCode.USAGE)


def test_standard_input_is_signed_and_verified(mfn: Mfn) -> None:
    """The signature goes to standard output, the same as for a file."""
    ran = mfn.fed("sign", "-", "-k", "release", input=CONTENT)
    (mfn.folder / "s.sig").write_bytes(ran.raw)
    said = mfn.fed("verify", "-", "s.sig", "-k", "release", input=CONTENT)
    assert said.out == "- was signed by release:v1\n"


@pytest.mark.parametrize("more", [(), ("-k", "release", "--public-key", "big.bin")])
def test_a_signature_is_verified_under_exactly_one_named_key(
    mfn: Mfn, big: Path, more: tuple[str, ...]
) -> None:
    """Neither none nor two."""
    mfn.ok("sign", "big.bin", "-k", "release")
    one_line(mfn("verify", "big.bin", "big.bin.sig", *more), ExitCode.USAGE)


def test_what_is_no_public_key_and_no_signature_is_refused(mfn: Mfn, big: Path) -> None:
    """Exit code 2 for the key, 8 for the signature."""
    mfn.ok("sign", "big.bin", "-k", "release")
    (mfn.folder / "no.pem").write_text("-----BEGIN PUBLIC KEY-----\nAAAA\n")
    for name in ("no.pem", "big.bin.sig"):
        one_line(mfn("verify", "big.bin", "big.bin.sig", "--public-key", name), ExitCode.USAGE)
    (mfn.folder / "no.sig").write_bytes(b"MFS")
    one_line(mfn("verify", "big.bin", "no.sig", "-k", "release"), ExitCode.NOT_AUTHENTIC)


def test_a_key_for_requests_signs_no_file(mfn: Mfn, big: Path) -> None:
    """Exit code 9, and no signature is written."""
    mfn.ok("key", "create", "web", "--type", "signing", "--use", "request")
    one_line(mfn("sign", "big.bin", "-k", "web"), ExitCode.FORBIDDEN)
    assert set(snapshot(mfn.folder)) == {"big.bin"}


def assert_fits(shown: object, printed: object) -> None:
    """The same members in the same order; of a list the first; null stands for anything."""
    if isinstance(printed, dict) and isinstance(shown, dict):
        assert list(shown) == list(printed)
        for name, inner in printed.items():
            assert_fits(shown[name], inner)
    elif isinstance(printed, list) and isinstance(shown, list):
        for one, other in list(zip(shown, printed, strict=False))[:1]:
            assert_fits(one, other)
    elif printed is not None and shown is not None:
        assert not isinstance(printed, (dict, list))
        assert not isinstance(shown, (dict, list))


def test_the_json_of_every_command_is_as_the_document_shows(mfn: Mfn, big: Path) -> None:
    """Each example of docs/cli.md has the fields, in the order, that the command prints."""
    mfn.ok("encrypt", "big.bin", "-k", "orders")
    mfn.ok("recipient", "new", "alice")
    mfn.ok("encrypt", "big.bin", "-o", "report.mfn", "--to", "alice.pub")
    made = mfn.ok("credential", "create", "billing", "--scope", "encrypt:orders", "--json").json
    credential_id = made["id"]
    mfn.ok("key", "create", "requests", "--type", "signing", "--use", "request")
    mfn.ok("key", "create", "travels", "--exportable")
    (mfn.folder / "wrapping.pem").write_bytes(key_to_wrap_for(WRAPPING).public.pem())
    (mfn.folder / "peer.pem").write_text(mfn.ok("key", "public", "requests").out)
    mfn.ok("signer", "add", "peer", "--public-key", "peer.pem", "--credential", credential_id)
    (records,) = (mfn.home / "audit").glob("*/*.jsonl")
    records.write_bytes(records.read_bytes().replace(b"key.create", b"key.rotate", 1))
    until = f"{datetime.now(UTC) + timedelta(days=9):%Y-%m-%d}"
    mfn.ok("doctor", "acknowledge", "swap", "--until", until, "--reason", "encrypted beneath")
    page = (Path(__file__).parents[2] / "docs" / "cli.md").read_text()
    shown = [json.loads(block) for block in re.findall(r"```json\n(.*?)```", page, re.DOTALL)]
    printed = [
        mfn("key", "show", "orders", "--json").json,
        mfn("key", "import", "begin", "card", "--method", WRAPPING, "--json").json,
        mfn("key", "export", "travels", "--to", "wrapping.pem", "--json").json,
        mfn("key", "policy", "orders", "--json").json,
        mfn("rotation", "list", "--json").json[0],
        mfn("rotation", "run", "--once", "--json").json,
        mfn("usage", "orders", "--json").json,
        mfn("rotation", "cleanup", "orders", "--json").json,
        mfn("inspect", "big.bin.mfn", "--json").json,
        mfn("inspect", "report.mfn", "--json").json,
        mfn("recipient", "new", "me", "--json").json,
        mfn("credential", "show", credential_id, "--json").json,
        mfn("signer", "show", "peer", "--json").json,
        mfn("audit", "verify", "--json").json,
        mfn("backup", "store.mfb", "--json").json,
        mfn("audit", "show", "--event", "encrypt", "--json").json,
        mfn("doctor", "--json").json,
        mfn("doctor", "acknowledged", "--json").json,
        mfn("inventory", "--quantum", "--json").json,
    ]
    assert len(shown) == len(printed)
    for example, output in zip(shown, printed, strict=True):
        assert_fits(example, output)
    assert [list(each) for each in shown[:5]] == [list(each) for each in printed[:5]]


# inspect ----------------------------------------------------------------------------------


def test_inspect_says_what_made_a_sealed_file(mfn: Mfn, big: Path) -> None:
    """For people in lines, for programs in one object."""
    mfn.ok("encrypt", "big.bin", "-k", "orders")
    assert mfn.ok("inspect", "big.bin.mfn", "--json").json == {
        "file": "big.bin.mfn",
        "form": "sealed",
        "version_id": "orders:v1",
        "key_id": "orders",
        "version": 1,
        "state": "active",
        "newest": True,
        "bound_to_name": None,
        "plaintext_bytes": len(CONTENT),
    }
    said = mfn.ok("inspect", "big.bin.mfn").out
    assert "orders:v1 (newest)" in said
    assert "holds    83.0 KiB" in said


def test_inspect_knows_the_second_form(mfn: Mfn) -> None:
    """A message that carries its own data key is called an envelope."""
    with open_keyring(home=mfn.home) as keyring:
        message = keyring.data_key(key_id="orders").sealer.seal(b"x")
    (mfn.folder / "e.mfn").write_bytes(message)
    assert mfn.ok("inspect", "e.mfn", "--json").json["form"] == "envelope"
    mfn.ok("decrypt", "e.mfn")
    assert (mfn.folder / "e").read_bytes() == b"x"


def test_inspect_says_what_made_a_signature(mfn: Mfn, big: Path) -> None:
    """The version that a .sig file names."""
    mfn.ok("sign", "big.bin", "-k", "release")
    shown = mfn.ok("inspect", "big.bin.sig", "--json").json
    assert (shown["form"], shown["version_id"]) == ("signature", "release:v1")


def test_inspect_of_anything_else_is_exit_code_8(mfn: Mfn, big: Path) -> None:
    """It is no message."""
    one_line(mfn("inspect", "big.bin"), ExitCode.NOT_AUTHENTIC)


def test_inspect_reads_standard_input_too(mfn: Mfn, big: Path) -> None:
    """The size of what it holds is not known then."""
    sealed = mfn.ok("encrypt", "big.bin", "-k", "orders", "-o", "-").raw
    shown = mfn.fed("inspect", "-", "--json", input=sealed).json
    assert (shown["version_id"], shown["plaintext_bytes"]) == ("orders:v1", None)


def test_inspect_of_a_message_whose_key_is_not_here_is_exit_code_7(
    mfn: Mfn, big: Path, tmp_path: Path
) -> None:
    """The message names a key version that this store does not have."""
    mfn.ok("encrypt", "big.bin")
    mfn.home = tmp_path / "other"
    mfn.ok("init")
    one_line(mfn("inspect", "big.bin.mfn"), ExitCode.KEY_UNKNOWN)


@pytest.mark.parametrize("verb", ["suspend", "compromise", "deactivate"])
def test_inspect_shows_the_state_whatever_it_permits(mfn: Mfn, big: Path, verb: str) -> None:
    """Who wonders why a file does not open finds it here."""
    mfn.ok("encrypt", "big.bin", "-k", "orders")
    mfn.ok("key", verb, "orders")
    state = mfn.ok("key", "show", "orders", "--json").json["versions"][0]["state"]
    assert mfn.ok("inspect", "big.bin.mfn", "--json").json["state"] == state


# Names and files that cannot be -----------------------------------------------------------------


def test_a_name_that_would_be_too_long_is_told_before_the_work(mfn: Mfn) -> None:
    """255 bytes are the most: of one file as the only line, of a folder's before it is done."""
    long = "n" * 252
    Path(long).write_bytes(b"x")
    line = one_line(mfn("encrypt", long, "-k", "orders"), ExitCode.WRITE)
    assert "more than 255 bytes; name a shorter one with -o" in line
    mfn.ok("encrypt", long, "-k", "orders", "-o", "short.mfn")
    Path("folder").mkdir()
    for name in (long, "fine"):
        Path("folder", name).write_bytes(b"x")
    ran = mfn("encrypt", "-r", "folder", "-o", "sealed", "-k", "orders")
    assert ran.code == ExitCode.PARTIAL
    assert "longer than 255 bytes; the others are sealed" in ran.err.splitlines()[0]
    assert [path.name for path in Path("sealed").iterdir() if path.suffix == ".mfn"] == ["fine.mfn"]


def test_a_socket_is_no_input(mfn: Mfn) -> None:
    """Its own words, and the code of an input."""
    import socket

    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("socket")
        assert "is a socket" in one_line(mfn("encrypt", "socket"), ExitCode.INPUT)


def test_a_folder_that_another_run_fills_is_an_output_that_cannot_be_written(mfn: Mfn) -> None:
    """Not a store that is out of reach."""
    from mycelium_fractal_net.files.file_run import only_run

    Path("folder").mkdir()
    Path("sealed").mkdir()
    with only_run(Path("sealed")):
        ran = mfn("encrypt", "-r", "folder", "-o", "sealed")
        line = one_line(ran, ExitCode.WRITE)
    assert "another run is at work in sealed; let it end" in line


def test_where_the_store_is_is_said_where_no_home_is_set(mfn: Mfn) -> None:
    """As under a service manager: one line on standard error, none where a home is named."""
    import pwd
    import subprocess
    import sys

    bare = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(Path(__file__).parents[2] / "src")}
    program = [sys.executable, "-m", "mycelium_fractal_net"]
    done = subprocess.run(
        [*program, "doctor"], env=bare, capture_output=True, text=True, check=False
    )
    first = done.stderr.splitlines()[0]
    assert "HOME is not set: key store and master key are in" in first
    assert pwd.getpwuid(os.getuid()).pw_dir in first
    named = [*program, "--home", str(mfn.home), "key", "list"]
    assert subprocess.run(named, env=bare, capture_output=True, check=True).stderr == b""


# Names that are bound -----------------------------------------------------------------------


def test_a_file_that_is_bound_to_its_name_does_not_open_under_another(mfn: Mfn, big: Path) -> None:
    """The line says why, and inspect shows it; --bound-name says what it was called."""
    mfn.ok("encrypt", "big.bin", "-k", "orders", "--bind-name")
    assert "name     bound, and it has that name\n" in mfn.ok("inspect", "big.bin.mfn").out
    (mfn.folder / "big.bin.mfn").rename(mfn.folder / "small.bin.mfn")
    said = one_line(mfn("decrypt", "small.bin.mfn"), ExitCode.NOT_AUTHENTIC)
    assert said == (
        "it was sealed under another name, which is bound into it;"
        " give it that name back, or name it with --bound-name"
    )
    assert "renamed or swapped" in mfn.ok("inspect", "small.bin.mfn").out
    assert mfn.ok("inspect", "small.bin.mfn", "--json").json["bound_to_name"] == "another"
    assert mfn("decrypt", "small.bin.mfn", "--bound-name", "small.bin").code == 8
    mfn.ok("decrypt", "small.bin.mfn", "--bound-name", "big.bin")
    assert (mfn.folder / "small.bin").read_bytes() == CONTENT


def test_a_stream_has_no_name(mfn: Mfn, big: Path) -> None:
    """None is bound into one, and one that comes in needs its name said."""
    for more in (["-o", "-"], ["-o", "/dev/null"]):
        said = one_line(mfn("encrypt", "big.bin", "--bind-name", *more), ExitCode.USAGE)
        assert said == "a stream has no name to bind; name a file with -o"
    sealed = mfn.fed("encrypt", "-", "-o", "in.mfn", "--bind-name", input=b"data")
    assert sealed.code == 0
    message = (mfn.folder / "in.mfn").read_bytes()
    assert b"--bound-name" in mfn.fed("decrypt", "-", input=message).err.encode()
    assert mfn.fed("decrypt", "-", "--bound-name", "in", input=message).out == "data"
    assert mfn.fed("inspect", "-", input=message).out.count("name     bound\n") == 1


def test_a_folder_is_bound_by_its_paths(mfn: Mfn, tree: dict[str, bytes]) -> None:
    """Renamed within it does not open, and the rest does; the unbound are refused when asked."""
    mfn.ok("encrypt", "-r", "photos", "-o", "sealed", "-k", "orders", "--bind-name")
    (mfn.folder / "sealed/0/3.jpg.mfn").rename(mfn.folder / "sealed/1/3.jpg.mfn")
    ran = mfn("decrypt", "-r", "sealed", "-o", "back", "--bind-name")
    assert (ran.code, len(snapshot(mfn.folder / "back"))) == (ExitCode.PARTIAL, len(tree) - 1)
    assert "sealed/1/3.jpg.mfn: it was sealed under another name" in ran.err
    wrong = mfn("decrypt", "-r", "sealed", "-o", "back", "--bound-name", "x")
    assert "--bound-name is for one file" in one_line(wrong, ExitCode.USAGE)


def test_a_file_that_is_not_bound_is_refused_on_demand(mfn: Mfn, big: Path) -> None:
    """``decrypt --bind-name`` takes only what is bound."""
    mfn.ok("encrypt", "big.bin")
    said = one_line(mfn("decrypt", "big.bin.mfn", "--bind-name", "--force"), 8)
    assert said.startswith("no name is bound into it")
