"""Where an output goes: links, pipes and devices; and who may read it, whole or in part."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import threading
from pathlib import Path

import pytest

from mycelium_fractal_net.files.new_file import NewFile, leads_into_proc, new_file
from mycelium_fractal_net.security.errors import ExitCode
from tests.support.cli import PROGRAM, Mfn, environment, one_line

SECRET = b"what nobody else may read\n" * 2000


@pytest.fixture
def sealed(mfn: Mfn, folder: Path) -> Path:
    """``secret.mfn``, which everybody may read, as ciphertext may."""
    (folder / "secret").write_bytes(SECRET)
    mfn.ok("encrypt", "secret")
    (folder / "secret").unlink()
    path = folder / "secret.mfn"
    path.chmod(0o666)
    return path


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


# Links, pipes and devices -------------------------------------------------------------------


@pytest.mark.parametrize("force", [(), ("--force",)])
@pytest.mark.parametrize("name", ["/dev/stdout", "link", "/dev/fd/1"])
def test_standard_output_by_another_name_is_standard_output(
    mfn: Mfn, sealed: Path, name: str, force: tuple[str, ...]
) -> None:
    """The link to ``/dev/stdout`` stays one, and no file of plaintext takes its place."""
    (mfn.folder / "link").symlink_to("/dev/stdout")
    ran = mfn.process("decrypt", sealed.name, "-o", name, *force)
    assert (ran.code, ran.raw, ran.err) == (0, SECRET, "")
    assert (mfn.folder / "link").readlink() == Path("/dev/stdout")
    assert Path("/dev/stdout").is_symlink()


def test_standard_output_that_is_a_file_is_written_on(mfn: Mfn, sealed: Path) -> None:
    """With ``>> FILE`` and ``-o /dev/stdout`` what was in FILE stays, and its inode too."""
    log = mfn.folder / "log"
    log.write_bytes(b"before\n")
    before = log.stat().st_ino
    command = [*PROGRAM, "--home", str(mfn.home), "decrypt", sealed.name, "-o", "/dev/stdout"]
    with log.open("ab") as file:
        subprocess.run(
            [*command, "--force"], stdout=file, cwd=mfn.folder, env=environment(), check=True
        )
    assert log.read_bytes() == b"before\n" + SECRET
    assert log.stat().st_ino == before


@pytest.mark.parametrize("force", [(), ("--force",)])
def test_a_device_is_written_into(mfn: Mfn, sealed: Path, force: tuple[str, ...]) -> None:
    """``-o /dev/null`` is how one tries whether a file opens; a link to it stays a link."""
    (mfn.folder / "null").symlink_to("/dev/null")
    for name in ("/dev/null", "null"):
        assert mfn(*("decrypt", sealed.name, "-o", name), *force).code == 0
        assert mfn(*("encrypt", sealed.name, "-o", name), *force).code == 0
        assert mfn(*("rewrap", sealed.name, "-o", name), *force).code == 0
        assert mfn(*("sign", sealed.name, "-k", "release", "-o", name), *force).code == 0
    assert (mfn.folder / "null").readlink() == Path("/dev/null")
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)


def test_a_full_stream_has_a_part_in_it_and_is_said_to(mfn: Mfn, sealed: Path) -> None:
    """That nothing was left there is true of files, which have no name until they are whole."""
    part = "no space left on device; make room; what was written there is a part"
    said = one_line(mfn("decrypt", sealed.name, "-o", "/dev/full"), ExitCode.WRITE)
    assert said == f"/dev/full: {part}"
    with Path("/dev/full").open("wb") as full:
        ran = subprocess.run(
            [*PROGRAM, "--home", str(mfn.home), "cat", *[sealed.name] * 40],
            stdout=full, stderr=subprocess.PIPE, cwd=mfn.folder, env=environment(), check=False,
        )  # fmt: skip
    assert (ran.returncode, ran.stderr.decode()) == (
        ExitCode.WRITE, f"mfn: standard output: {part}\n",
    )  # fmt: skip


def test_a_pipe_is_written_into(mfn: Mfn, sealed: Path) -> None:
    """A named one, or that of a shell's ``>(…)``."""
    pipe = mfn.folder / "pipe"
    os.mkfifo(pipe)
    taken: list[bytes] = []
    reader = threading.Thread(target=lambda: taken.append(pipe.read_bytes()))
    reader.start()
    assert mfn("decrypt", sealed.name, "-o", pipe).code == 0
    reader.join()
    assert taken == [SECRET]
    assert stat.S_ISFIFO(pipe.lstat().st_mode)
    assert mfn.process("decrypt", sealed.name, "-o", "/dev/fd/2").err == SECRET.decode()


def test_an_open_file_by_its_number_is_no_name(mfn: Mfn, sealed: Path) -> None:
    """To replace what ``/dev/fd/3`` is would leave who holds it with another file."""
    with (mfn.folder / "three").open("wb") as file:
        name = f"/dev/fd/{file.fileno()}"
        ran = mfn.process("decrypt", sealed.name, "-o", name, "--force", pass_fds=[file.fileno()])
    assert "no file that can be replaced; use -o -" in one_line(ran, ExitCode.EXISTS)
    assert (mfn.folder / "three").read_bytes() == b""


def test_a_terminal_gets_no_bytes(mfn: Mfn, sealed: Path) -> None:
    """By whatever name it is called."""
    _, terminal = os.openpty()
    ran = mfn("decrypt", sealed.name, "-o", os.ttyname(terminal))
    assert "the output is a terminal" in one_line(ran, ExitCode.USAGE)
    os.close(terminal)


def test_of_a_link_the_file_that_it_leads_to_is_replaced(mfn: Mfn, sealed: Path) -> None:
    """As a rewrap does; one that leads nowhere gets its file there. Without --force both stay."""
    there, link = mfn.folder / "there", mfn.folder / "link"
    link.symlink_to("there")
    one_line(mfn("decrypt", sealed.name, "-o", "link"), ExitCode.EXISTS)
    for _ in range(2):
        mfn.ok("decrypt", sealed.name, "-o", "link", "--force")
        assert (there.read_bytes(), link.readlink()) == (SECRET, Path("there"))
        there.write_bytes(b"older")


@pytest.mark.skipif(os.geteuid() != 0, reason="another owner needs root")
def test_somebody_elses_link_in_a_shared_folder_is_not_followed(tmp_path: Path) -> None:
    """As the kernel does with ``fs.protected_symlinks``: it may be a trap."""
    shared, victim = tmp_path / "shared", tmp_path / "victim"
    shared.mkdir()
    shared.chmod(0o1777)
    victim.write_bytes(b"precious")
    link = shared / "out"
    link.symlink_to(victim)
    os.lchown(link, 1234, 1234)
    with pytest.raises(FileExistsError, match="somebody else's"):
        with new_file(link, victim.stat(), force=True):
            pass
    assert victim.read_bytes() == b"precious"


def test_a_ring_of_links_leads_nowhere_good(tmp_path: Path) -> None:
    """It is not gone round for ever."""
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    assert leads_into_proc(tmp_path / "a")


# Who may read it ----------------------------------------------------------------------------


@pytest.mark.parametrize(("umask", "mode"), [(0o077, 0o600), (0o027, 0o640), (0, 0o666)])
def test_what_is_decrypted_honours_the_umask(mfn: Mfn, sealed: Path, umask: int, mode: int) -> None:
    """Ciphertext may be everybody's; what was in it is its owner's to share."""
    mfn.process("decrypt", sealed.name, umask=umask)
    assert mode_of(mfn.folder / "secret") == mode


def test_what_is_decrypted_is_shared_no_further_than_its_ciphertext(mfn: Mfn, sealed: Path) -> None:
    """A private file stays private in every umask, with --force too."""
    sealed.chmod(0o600)
    (mfn.folder / "secret").touch(mode=0o666)
    mfn.process("decrypt", sealed.name, "--force", umask=0)
    assert mode_of(mfn.folder / "secret") == 0o600


def test_a_folder_that_is_decrypted_honours_the_umask(mfn: Mfn, folder: Path) -> None:
    """Its files, and the folders in it."""
    inner = folder / "in" / "inner"
    inner.mkdir(parents=True)
    (inner / "note").write_bytes(SECRET)
    inner.chmod(0o777)
    (inner / "note").chmod(0o666)
    mfn.ok("encrypt", "-r", "in", "-o", "sealed")
    assert (mode_of(folder / "sealed" / "inner"), mode_of(folder / "sealed/inner/note.mfn")) == (
        0o777,
        0o666,
    )
    mfn.process("decrypt", "-r", "sealed", "-o", "out", umask=0o077)
    assert mode_of(folder / "out" / "inner") == 0o700
    assert mode_of(folder / "out" / "inner" / "note") == 0o600


def test_a_file_in_work_is_its_owners_alone(tmp_path: Path) -> None:
    """Where it has a hidden name for a moment, as where it replaces another, too."""
    like = tmp_path / "like"
    like.touch()
    like.chmod(0o666)
    target = tmp_path / "out"
    target.write_bytes(b"older")
    output = NewFile(target)
    output.file.write(SECRET)
    output.finish(like.stat())
    seen: list[int] = []
    replace = Path.replace

    def watched(hidden: Path, name: Path) -> Path:
        seen.append(mode_of(hidden))
        return replace(hidden, name)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "replace", watched)
        output.publish(force=True)
    assert (seen, mode_of(target)) == ([0o600], 0o666)


# What a kill leaves -------------------------------------------------------------------------

_KILLED = """
import os, signal, sys
from pathlib import Path
from mycelium_fractal_net.cli import main
from mycelium_fractal_net.files import replacing

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

Path.replace = die
replacing._exchange = die
main(sys.argv[1:])
"""


def killed(mfn: Mfn, *arguments: str) -> Path:
    """Run it and kill it where the new file has a hidden name; returns that."""
    command = [PROGRAM[0], "-c", _KILLED, "--home", str(mfn.home), *arguments]
    done = subprocess.run(command, cwd=mfn.folder, env=environment(), check=False)
    assert done.returncode == -signal.SIGKILL
    (left,) = mfn.folder.glob(".*.mfn-partial")
    return left


def test_what_a_killed_decrypt_left_is_private_and_goes_with_the_next(
    mfn: Mfn, sealed: Path
) -> None:
    """It is plaintext."""
    (mfn.folder / "secret").write_bytes(b"older")
    left = killed(mfn, "decrypt", sealed.name, "--force")
    assert (left.read_bytes(), mode_of(left)) == (SECRET, 0o600)
    mfn.ok("decrypt", sealed.name, "--force")
    assert not left.exists()
    assert (mfn.folder / "secret").read_bytes() == SECRET


def test_what_a_killed_rewrap_of_one_file_left_goes_with_the_next(mfn: Mfn, sealed: Path) -> None:
    """As a rewrap of a folder has swept it."""
    mfn.ok("key", "rotate", "default-encryption")
    left = killed(mfn, "rewrap", sealed.name)
    assert sealed.is_file()
    mfn.ok("rewrap", sealed.name)
    assert not left.exists()
    assert mfn.ok("inspect", sealed.name, "--json").json["newest"]
