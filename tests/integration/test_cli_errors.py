"""Every way to fail, in a real process: its code, its one line, and what it leaves behind.

Input and earlier output stay as they were, whatever happens.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mycelium_fractal_net import open_keyring
from mycelium_fractal_net.security.errors import ExitCode
from tests.support.cli import PROGRAM, Mfn, Ran, environment, one_line, snapshot
from tests.support.presence import need

if TYPE_CHECKING:
    from collections.abc import Callable

CONTENT = b"every byte of it\n" * 5000


@pytest.fixture
def big(mfn: Mfn) -> Path:
    """A file and its sealed form."""
    path = mfn.folder / "big.bin"
    path.write_bytes(CONTENT)
    mfn.ok("encrypt", "big.bin", "-k", "orders")
    return path


def unchanged(mfn: Mfn, run: Callable[[], Ran]) -> Ran:
    """Run, and insist that no file of the working folder came, went or changed."""
    before = snapshot(mfn.folder)
    ran = run()
    assert snapshot(mfn.folder) == before
    return ran


@pytest.mark.parametrize(
    ("arguments", "code", "advice"),
    [
        (("encrypt", "missing"), ExitCode.INPUT, "check the path"),
        (("decrypt", "missing.mfn"), ExitCode.INPUT, "check the path"),
        (("rewrap", "missing.mfn"), ExitCode.INPUT, "check the path"),
        (("sign", "missing", "-k", "release"), ExitCode.INPUT, "check the path"),
        (("verify", "missing", "big.bin", "-k", "release"), ExitCode.INPUT, "check the path"),
        (("verify", "big.bin", "missing", "-k", "release"), ExitCode.INPUT, "check the path"),
        (("inspect", "missing"), ExitCode.INPUT, "check the path"),
        (("verify", "big.bin", "large", "-k", "release"), ExitCode.NOT_AUTHENTIC, "check the path"),
        (("encrypt", "-r", "missing", "-o", "out"), ExitCode.INPUT, "check the path"),
        (("encrypt", "big.bin", "-k", "orders"), ExitCode.EXISTS, "--force"),
        (("decrypt", "big.bin.mfn"), ExitCode.EXISTS, "--force"),
        (("rewrap", "big.bin.mfn", "-o", "big.bin"), ExitCode.EXISTS, "--force"),
        (("sign", "big.bin", "-k", "release", "-o", "big.bin.mfn"), ExitCode.EXISTS, "--force"),
        (("encrypt", "-r", "folder", "-o", "big.bin"), ExitCode.EXISTS, "-o"),
        (("encrypt", "big.bin", "-o", "no/where"), ExitCode.WRITE, "make it"),
        (("encrypt", "big.bin", "-k", "nothing", "-o", "o"), ExitCode.KEY_UNKNOWN, "key list"),
        (("sign", "big.bin", "-k", "nothing"), ExitCode.KEY_UNKNOWN, "key list"),
        (("encrypt", "-r", "folder", "-o", "o", "-k", "nothing"), ExitCode.KEY_UNKNOWN, "key list"),
        (("encrypt", "big.bin", "-k", "release", "-o", "o"), ExitCode.FORBIDDEN, "of type encr"),
        (("sign", "big.bin", "-k", "orders"), ExitCode.FORBIDDEN, "of type signing"),
        (("decrypt", "big.bin", "-o", "o"), ExitCode.NOT_AUTHENTIC, "-a"),
        (("rewrap", "big.bin"), ExitCode.NOT_AUTHENTIC, "-a"),
        (("decrypt", "big.bin.mfn", "-a", "x", "-o", "o"), ExitCode.NOT_AUTHENTIC, "-a"),
        (("encrypt", "folder"), ExitCode.USAGE, "add -r"),
        (("encrypt", "-r", "big.bin", "-o", "o"), ExitCode.USAGE, "leave -r away"),
        (("encrypt", "-r", "folder"), ExitCode.USAGE, "-o"),
        (("encrypt", "-r", "-", "-o", "o"), ExitCode.USAGE, "leave -r away"),
        (("encrypt", "-r", "folder", "-o", "folder/in"), ExitCode.USAGE, "choose another"),
        (("rewrap", "-r", "folder", "-o", "o"), ExitCode.USAGE, "leave -o away"),
        (("decrypt", "big.bin"), ExitCode.USAGE, "-o"),
        (("decrypt", "-", "-o", "folder"), ExitCode.USAGE, "-o"),
        (("encrypt", "big.bin", "-o", "big.bin", "--force"), ExitCode.USAGE, "-o"),
        (("encrypt", "big.bin", "-o", "o", "--workers", "0"), ExitCode.USAGE, "--help"),
    ],
)  # fmt: skip
def test_a_failure_is_one_line_with_its_code_and_leaves_everything_as_it_was(
    mfn: Mfn, big: Path, arguments: tuple[str, ...], code: ExitCode, advice: str
) -> None:
    """What is wrong, then what to do; no output, no temporary file, no change."""
    folder = mfn.folder / "folder"
    folder.mkdir()
    (folder / "a").write_bytes(b"a")
    (mfn.folder / "large").write_bytes(bytes(70_000))
    line = one_line(unchanged(mfn, lambda: mfn(*arguments)), code)
    what, _, said = line.partition("; ")
    assert what
    assert advice in said


def test_a_changed_message_leaves_nothing_and_keeps_what_force_would_replace(
    mfn: Mfn, big: Path
) -> None:
    """The end did not verify, so the old file keeps its name and bytes."""
    sealed = mfn.folder / "big.bin.mfn"
    flipped = bytearray(sealed.read_bytes())
    flipped[-1] ^= 1
    sealed.write_bytes(flipped)
    ran = unchanged(mfn, lambda: mfn.process("decrypt", "big.bin.mfn", "--force"))
    one_line(ran, ExitCode.NOT_AUTHENTIC)


# A disk that is full, a folder that cannot be written --------------------------------------


def on_small_disk(mfn: Mfn, *arguments: str) -> tuple[Ran, list[str]]:
    """Run with a file system of 1 MiB at ``small``; also what is on it at the end."""
    if (
        shutil.which("unshare") is None
        or subprocess.run(["unshare", "-Urm", "true"], capture_output=True, check=False).returncode
    ):
        need("unshare -Urm, to mount a small file system")
    small = mfn.folder / "small"
    small.mkdir(exist_ok=True)
    command = shlex.join([*PROGRAM, "--home", str(mfn.home), *arguments])
    listing = mfn.home.parent / "listing"
    script = (
        f"mount -t tmpfs -o size=1m none small && echo kept > small/old && {command};"
        f" code=$?; cat small/old > {listing}; find small ! -type d >> {listing}; exit $code"
    )
    done = subprocess.run(
        ["unshare", "-Urm", "sh", "-c", script],
        cwd=mfn.folder,
        env=environment(),
        capture_output=True,
        check=False,
    )
    left = listing.read_text().splitlines()
    assert left[0] == "kept"
    return Ran(done.returncode, done.stdout.decode(), done.stderr.decode()), sorted(left[1:])


@pytest.mark.parametrize("force", [False, True])
def test_a_full_disk_leaves_no_output_and_keeps_the_old_one(mfn: Mfn, force: bool) -> None:
    """Exit code 6; the line names the file and says to make room."""
    (mfn.folder / "large").write_bytes(bytes(3 << 20))
    target = "small/old" if force else "small/new"
    ran, left = on_small_disk(mfn, "encrypt", "large", "-o", target, *["--force"][: int(force)])
    line = one_line(ran, ExitCode.WRITE)
    assert target in line
    assert "no space left" in line
    assert "make room" in line
    assert left == ["small/old"]


def test_a_disk_that_fills_under_a_folder_is_told_and_what_was_done_is_whole(mfn: Mfn) -> None:
    """Exit code 11 with a line for each file; every file that has its name opens."""
    for number in range(6):
        path = mfn.folder / "photos" / f"{number}.jpg"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(bytes(300_000))
    ran, left = on_small_disk(mfn, "encrypt", "-r", "photos", "-o", "small", "--workers", "1")
    assert ran.code == ExitCode.PARTIAL
    assert "Traceback" not in ran.err
    assert "no space left" in ran.err.lower()
    assert all(name == "small/old" or name.endswith(".jpg.mfn") for name in left)
    assert len(left) < 7


def test_standard_output_on_a_full_disk_is_exit_code_6(mfn: Mfn, big: Path) -> None:
    """Text and bytes alike, and the interpreter adds no complaint of its own."""
    for arguments in (("key", "list"), ("encrypt", "big.bin", "-o", "-")):
        with Path("/dev/full").open("wb") as full:
            done = subprocess.run(
                [*PROGRAM, "--home", str(mfn.home), *arguments],
                cwd=mfn.folder,
                env=environment(),
                stdout=full,
                stderr=subprocess.PIPE,
                check=False,
            )
        one_line(Ran(done.returncode, "", done.stderr.decode()), ExitCode.WRITE)


def unprivileged(mfn: Mfn, *arguments: str) -> Ran:
    """Run without root's power over permissions, where this process has it."""
    bare = []
    if os.geteuid() == 0:
        if shutil.which("setpriv") is None:
            need("setpriv, to be without root's power over permissions")
        bare = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]
    done = subprocess.run(
        [*bare, *PROGRAM, "--home", str(mfn.home), *arguments],
        cwd=mfn.folder,
        env=environment(),
        capture_output=True,
        check=False,
    )
    return Ran(done.returncode, done.stdout.decode(), done.stderr.decode())


def test_a_folder_that_cannot_be_written_is_exit_code_6(mfn: Mfn, big: Path) -> None:
    """The line names the place, and the option that chooses another."""
    locked = mfn.folder / "locked"
    locked.mkdir(mode=0o555)
    ran = unchanged(mfn, lambda: unprivileged(mfn, "encrypt", "big.bin", "-o", "locked/out"))
    line = one_line(ran, ExitCode.WRITE)
    assert "locked" in line
    assert "permission denied" in line
    assert "name another with -o" in line


def test_an_input_that_cannot_be_read_is_exit_code_4(mfn: Mfn, big: Path) -> None:
    """It is not confused with an output that cannot be written."""
    big.chmod(0o000)
    line = one_line(unprivileged(mfn, "encrypt", "big.bin", "-o", "out"), ExitCode.INPUT)
    assert "permission denied" in line
    assert not (mfn.folder / "out").exists()


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("encrypt - -o out <&-", ExitCode.INPUT),
        ("encrypt big.bin -o - >&-", ExitCode.WRITE),
        ("key list >&-", ExitCode.OK),
        ("key show nothing 2>&-", ExitCode.KEY_UNKNOWN),
    ],
)
def test_a_standard_stream_that_the_shell_closed_is_no_accident(
    mfn: Mfn, big: Path, command: str, code: ExitCode
) -> None:
    """The code is right, and there is at most the one line."""
    program = shlex.join([*PROGRAM, "--home", str(mfn.home)])
    done = subprocess.run(
        ["sh", "-c", f"{program} {command}"],
        cwd=mfn.folder,
        env=environment(),
        capture_output=True,
        check=False,
    )
    assert done.returncode == code
    assert done.stderr.count(b"\n") <= 1
    assert not (mfn.folder / "out").exists()


# Pipes, traces -----------------------------------------------------------------------------


def test_a_reader_that_goes_away_ends_it_quietly(mfn: Mfn, big: Path) -> None:
    """As ``| head`` does: exit code 141 and not a word."""
    for arguments in (("key", "list"), ("decrypt", "big.bin.mfn", "-o", "-")):
        reading, writing = os.pipe()
        os.close(reading)
        done = subprocess.run(
            [*PROGRAM, "--home", str(mfn.home), *arguments],
            cwd=mfn.folder,
            env=environment(),
            stdout=writing,
            stderr=subprocess.PIPE,
            check=False,
        )
        os.close(writing)
        assert (done.returncode, done.stderr) == (ExitCode.BROKEN_PIPE, b"")


def test_a_trace_comes_only_with_debug_and_holds_no_secret(empty: Mfn, tmp_path: Path) -> None:
    """Neither passphrase nor master key, and still the one line at the end."""
    secret = tmp_path / "secret"
    secret.write_text("correct-horse")
    with secret.open() as file:
        empty.ok("init", "--passphrase-fd", str(file.fileno()))
    wrong = tmp_path / "wrong"
    wrong.write_text("battery-staple")
    for flag in ((), ("--debug",)):
        with wrong.open() as file:
            number = str(file.fileno())
            ran = empty.process(
                *flag, "--passphrase-fd", number, "key", "list", pass_fds=[file.fileno()]
            )
        assert ran.code == ExitCode.STORE
        assert ("Traceback" in ran.err) == bool(flag)
        assert ran.err.splitlines()[-1].startswith("mfn: ")
        assert "battery-staple" not in ran.err


def test_an_unexpected_error_names_its_class_and_shows_no_values(
    mfn: Mfn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its text could quote a secret; ``--debug`` shows source lines."""
    from mycelium_fractal_net.security.key_providers.keys import Keys

    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("hunter2")

    monkeypatch.setattr(Keys, "each", broken)
    line = one_line(mfn("key", "list"), ExitCode.UNEXPECTED)
    assert line == "unexpected error: RuntimeError; run it again with --debug and report it"
    assert "Traceback" in mfn("--debug", "key", "list").err


def test_key_list_loads_neither_migrations_nor_tables_nor_signatures(mfn: Mfn) -> None:
    """What it does not use would double the time it takes to start."""
    code = (
        "import sys; from mycelium_fractal_net.cli import main; code = main(sys.argv[1:]);"
        "heavy = {'alembic', 'pydantic', 'psycopg', 'mycelium_fractal_net.security.signatures'};"
        "sys.exit(code or ', '.join(heavy & set(sys.modules)) or 0)"
    )
    done = subprocess.run(
        [PROGRAM[0], "-c", code, "--home", str(mfn.home), "key", "list"],
        env=environment(),
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")


def test_the_store_is_named_by_its_url_too(mfn: Mfn) -> None:
    """``--store`` takes the place of the file in the home folder."""
    with open_keyring(home=mfn.home) as keyring:
        keyring.provider.keys.create("elsewhere")
    url = f"sqlite:///{mfn.home / 'keys.db'}"
    assert "elsewhere" in mfn.ok("--store", url, "key", "list").out
