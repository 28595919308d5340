"""``mfn recipient``, ``mfn encrypt --to`` and ``mfn decrypt --identity`` from the outside."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from mycelium_fractal_net.security.errors import ExitCode
from mycelium_fractal_net.security.policy import Policy
from mycelium_fractal_net.security.sealed.addressed_layout import KINDS
from tests.support.algorithms import HPKE
from tests.support.cli import PROGRAM, Mfn, descriptor, environment, one_line

PAGE = Path(__file__).parents[2] / "docs" / "recipients.md"
ALLOWED = [word for word, algorithm in KINDS.items() if Policy().allows(algorithm)]


@pytest.fixture
def people(empty: Mfn) -> Mfn:
    """A home without a store, in whose working folder Alice and Bob have keys."""
    for name in ("alice", "bob"):
        empty.ok("recipient", "new", name)
    Path("letter").write_bytes(bytes(range(256)) * 300)
    return empty


def test_a_file_goes_to_several_and_no_store_is_made(people: Mfn) -> None:
    """Each opens it with his file; the home folder stays as it was."""
    said = people.ok("encrypt", "letter", "--to", "alice.pub", "--to", "bob.pub").out
    assert said == "sealed letter -> letter.mfn (75.0 KiB)\n"
    for name in ("alice", "bob"):
        people.ok("decrypt", "letter.mfn", "-o", name, "--identity", f"{name}.key")
        assert Path(name).read_bytes() == Path("letter").read_bytes()
    assert not (people.home / "keys.db").exists()
    assert not (people.home / "master.key").exists()


@pytest.mark.parametrize("kind", ALLOWED)
def test_a_key_of_each_kind_is_made(empty: Mfn, kind: str) -> None:
    """Its file is its owner's alone, and says what the public one says."""
    made = empty.ok("recipient", "new", "me", "--kind", kind, "--comment", "Mine", "--json").json
    assert made["algorithm"] == KINDS[kind]
    assert Path("me.key").stat().st_mode & 0o777 == 0o600
    secret, public = Path("me.key").read_text(), Path("me.pub").read_text()
    assert public.splitlines()[1:] == ["# Mine", made["recipient"]]
    assert f"# {made['recipient']}\n" in secret
    assert empty.ok("recipient", "public", "me.key").out == made["recipient"] + "\n"
    assert empty.ok("recipient", "public", "me.key", "--json").json == [made["recipient"]]
    Path("letter").write_bytes(b"plain")
    empty.ok("encrypt", "letter", "--to", made["recipient"])
    empty.ok("decrypt", "letter.mfn", "-o", "opened", "-i", "me.key")
    assert Path("opened").read_bytes() == b"plain"


def test_a_key_that_is_there_is_never_replaced(people: Mfn) -> None:
    """Neither of its files, and none is left over."""
    before = Path("alice.key").read_bytes()
    assert people("recipient", "new", "alice").code == ExitCode.EXISTS
    assert Path("alice.key").read_bytes() == before
    Path("carol.pub").touch()
    assert people("recipient", "new", "carol").code == ExitCode.EXISTS
    assert not Path("carol.key").exists()
    assert people("recipient", "new", "nowhere/carol").code == ExitCode.WRITE
    assert people("recipient", "new", "dora", "--comment", "a\nmfn-").code == ExitCode.USAGE


def test_a_file_of_recipients_is_sealed_to_whole(people: Mfn) -> None:
    """With comments; and a line that is wrong seals to nobody."""
    team = Path("alice.pub").read_text() + "\n# and\n" + Path("bob.pub").read_text()
    Path("team").write_text(team)
    people.ok("encrypt", "letter", "--to", "team")
    assert people.ok("inspect", "letter.mfn", "--json").json["recipients"] == [HPKE, HPKE]
    Path("team").write_text(team + "mfn-recipient:p256:AAAA\n")
    ran = people("encrypt", "letter", "-o", "other.mfn", "--to", "team")
    assert ran.code != 0
    assert "team: line 7 was not copied as it was" in ran.err
    assert not Path("other.mfn").exists()


def test_a_stream_is_sealed_and_opened_in_a_pipe(people: Mfn) -> None:
    """As ``tar | mfn encrypt --to … | ssh`` is used, with a key from another program."""
    mfn = " ".join([*PROGRAM, "--home", str(people.home)])
    line = (
        f"tar -c letter | {mfn} encrypt - --to alice.pub"
        f" | {mfn} decrypt - --identity <(cat alice.key) | tar -xO"
    )
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", line], capture_output=True, env=environment(), check=False
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout == Path("letter").read_bytes()


def test_a_key_comes_on_standard_input(people: Mfn) -> None:
    """So that it is in no file at all; of one stream there is one use."""
    people.ok("encrypt", "letter", "--to", "alice.pub")
    ran = people.fed(
        "decrypt", "letter.mfn", "-o", "-", "-i", "-", input=Path("alice.key").read_bytes()
    )
    assert ran.raw == Path("letter").read_bytes()
    ran = people("decrypt", "-", "--identity", "-")
    assert (ran.code, ran.out) == (ExitCode.USAGE, "")
    assert "named twice" in ran.err


def test_a_private_key_that_others_may_read_is_refused(people: Mfn) -> None:
    """With what to do about it; and one that is not there is told as such."""
    people.ok("encrypt", "letter", "--to", "alice.pub")
    Path("alice.key").chmod(0o640)
    ran = people("decrypt", "letter.mfn", "-o", "opened", "-i", "alice.key")
    assert ran.code == ExitCode.INPUT
    assert "chmod 0600 alice.key" in ran.err
    os.symlink("bob.key", "link")
    assert "symbolic link" in people("decrypt", "letter.mfn", "-o", "opened", "-i", "link").err
    assert people("decrypt", "letter.mfn", "-o", "o", "-i", "none").code == ExitCode.INPUT
    assert not Path("opened").exists()


def test_whoever_has_another_key_is_told_one_thing(people: Mfn) -> None:
    """Wrong key, other associated data, a changed bit and a cut are one error."""
    people.ok("encrypt", "letter", "--to", "alice.pub", "-a", "row 17")
    whole = Path("letter.mfn").read_bytes()
    Path("cut.mfn").write_bytes(whole[:-1])
    Path("changed.mfn").write_bytes(whole[:60] + bytes([whole[60] ^ 1]) + whole[61:])
    said = {
        one_line(people("decrypt", *words, "-o", "opened"), ExitCode.NOT_AUTHENTIC)
        for words in (
            ["letter.mfn", "-i", "bob.key", "-a", "row 17"],
            ["letter.mfn", "-i", "alice.key"],
            ["letter.mfn", "-i", "alice.key", "-a", "row 18"],
            ["cut.mfn", "-i", "alice.key", "-a", "row 17"],
            ["changed.mfn", "-i", "alice.key", "-a", "row 17"],
        )
    }
    assert len(said) == 1
    assert "the key of one of its recipients" in said.pop()
    assert not Path("opened").exists()
    people.ok("decrypt", "letter.mfn", "-o", "opened", "-i", "bob.key", "-i", "alice.key",
              "-a", "row 17")  # fmt: skip


def test_a_bound_name_is_compared(people: Mfn) -> None:
    """As of a message under a key of the store."""
    people.ok("encrypt", "letter", "--to", "alice.pub", "--bind-name")
    Path("letter.mfn").rename("other.mfn")
    ran = people("decrypt", "other.mfn", "-i", "alice.key")
    assert ran.code == ExitCode.NOT_AUTHENTIC
    assert "--bound-name" in ran.err
    people.ok("decrypt", "other.mfn", "-i", "alice.key", "--bound-name", "letter")
    assert Path("other").read_bytes() == Path("letter").read_bytes()
    ran = people("encrypt", "letter", "-o", "-", "--to", "alice.pub", "--bind-name")
    assert ran.code == ExitCode.USAGE


def test_the_two_ways_to_seal_are_not_mistaken_for_each_other(mfn: Mfn) -> None:
    """Each says which option opens it, since anybody sees what a file is."""
    mfn.ok("recipient", "new", "alice")
    Path("letter").write_bytes(b"plain")
    mfn.ok("encrypt", "letter", "-k", "orders")
    ran = mfn("decrypt", "letter.mfn", "-o", "opened", "-i", "alice.key")
    assert (ran.code, "leave --identity away" in ran.err) == (ExitCode.NOT_AUTHENTIC, True)
    mfn.ok("encrypt", "letter", "--force", "--to", "alice.pub")
    ran = mfn("decrypt", "letter.mfn", "-o", "opened")
    assert (ran.code, "with --identity" in ran.err) == (ExitCode.NOT_AUTHENTIC, True)
    sealed = Path("letter.mfn").read_bytes()
    ran = mfn.fed("decrypt", "-", input=sealed)
    assert (ran.code, "with --identity" in ran.err) == (ExitCode.NOT_AUTHENTIC, True)
    ran = mfn("rewrap", "letter.mfn")
    assert (ran.code, "to recipients" in ran.err) == (ExitCode.NOT_AUTHENTIC, True)
    mfn.ok("encrypt", "letter", "-o", "other.mfn", "-k", "orders")
    mfn.ok("key", "rotate", "orders")
    mfn.ok("rewrap", ".")
    assert Path("letter.mfn").read_bytes() == sealed
    for words in (
        ["encrypt", "letter", "-k", "orders", "--to", "alice.pub"],
        ["encrypt", "-r", ".", "-o", "out", "--to", "alice.pub"],
        ["decrypt", "-r", ".", "-o", "out", "-i", "alice.key"],
    ):
        assert mfn(*words).code == ExitCode.USAGE


def test_a_public_file_does_not_stand_for_a_private_one(people: Mfn) -> None:
    """Nor the reverse: who is sealed to by his private file has sent that on."""
    people.ok("encrypt", "letter", "--to", "alice.pub")
    ran = people("encrypt", "letter", "-o", "x", "--to", "alice.key")
    assert "alice.key: line 4 should begin with mfn-recipient: and is a private key" in ran.err
    ran = people("decrypt", "letter.mfn", "-o", "x", "-i", "alice.pub")  # with mode 0644
    assert "alice.pub: line 2 should begin with mfn-identity: and is a public key" in ran.err
    assert not Path("x").exists()


def test_a_private_key_on_the_command_line_is_shown_to_nobody(people: Mfn) -> None:
    """It was told as a path that cannot be read, and so stood in logs."""
    secret = Path("alice.key").read_text()
    line = secret.splitlines()[-1]
    for words in (
        ["encrypt", "letter", "--to", line],
        ["encrypt", "letter", "--to", secret],
        ["encrypt", "letter", "--to", secret.replace("mfn-identity:", "mfn-identity-sealed:")],
        ["decrypt", "letter", "-o", "x", "-i", line],
        ["decrypt", "letter", "-o", "x", "-i", "-----BEGIN PRIVATE KEY-----\nMC4C"],
        ["recipient", "public", line],
    ):
        said = one_line(people(*words), ExitCode.USAGE)
        assert said.startswith("a private key stands on the command line")
        assert line not in said


def test_a_whole_public_file_is_taken_as_text(people: Mfn) -> None:
    """As the shell's ``--to "$(cat alice.pub)"`` gives it, with its comments."""
    people.ok("encrypt", "letter", "--to", Path("alice.pub").read_text())
    people.ok("decrypt", "letter.mfn", "-o", "x", "-i", "alice.key")


@pytest.mark.parametrize("name", ["", ".", "..", "folder/", "folder/.."])
def test_a_key_has_a_name(empty: Mfn, name: str) -> None:
    """Else its files would be hidden ones, such as ``.key``."""
    Path("folder").mkdir()
    assert "has no name" in one_line(empty("recipient", "new", name), ExitCode.USAGE)
    assert [path.name for path in Path().rglob("*")] == ["folder"]
    said = one_line(empty("recipient", "new", "l" * 252), ExitCode.WRITE)
    assert said.endswith("would have more than 255 bytes; name a shorter one")


def test_nothing_is_written_over_a_key_that_is_used(people: Mfn) -> None:
    """Not with ``--force`` either: of a private key there is no copy."""
    people.ok("encrypt", "letter", "--to", "alice.pub")
    os.link("alice.key", "the-same")
    before = Path("alice.key").read_bytes()
    for words in (
        ["decrypt", "letter.mfn", "-o", "alice.key", "-i", "alice.key"],
        ["decrypt", "letter.mfn", "-o", "the-same", "-i", "bob.key", "-i", "alice.key"],
        ["decrypt", "letter.mfn", "-o", "alice.key", "-i", "alice.key", "--range", "0:1"],
        ["encrypt", "letter", "-o", "alice.pub", "--to", "alice.pub"],
    ):
        assert "is the output and a key" in one_line(people(*words, "--force"), ExitCode.USAGE)
    assert Path("alice.key").read_bytes() == before


def test_what_a_folder_is_to_be_instead_is_said(people: Mfn) -> None:
    """``-r`` goes with neither keys nor recipients."""
    Path("folder").mkdir()
    for words, advice in (
        (["encrypt", "folder", "--to", "alice.pub"], "seal what tar -c makes of it, as a stream"),
        (["encrypt", "letter", "--to", "folder"], "name a file that is in it"),
        (["decrypt", "letter", "-o", "x", "-i", "folder"], "name a file that is in it"),
    ):
        said = one_line(people(*words), ExitCode.USAGE)
        assert said == f"folder is a folder; {advice}"


def test_a_private_key_is_under_a_passphrase(people: Mfn) -> None:
    """The file alone opens nothing; its public key is shown without one."""
    people.ok("recipient", "new", "carol", "--passphrase-fd", str(descriptor("a passphrase")))
    people.ok("encrypt", "letter", "--to", "carol.pub")
    assert Path("carol.key").read_text().splitlines()[-1].startswith("mfn-identity-sealed:")
    assert people.ok("recipient", "public", "carol.key").out in Path("carol.pub").read_text()
    opening = ("decrypt", "letter.mfn", "-i", "carol.key")
    given = str(descriptor("a passphrase\n"))  # once, for both
    people.ok(*opening, "-i", "carol.key", "-o", "x", "--passphrase-fd", given)
    assert Path("x").read_bytes() == Path("letter").read_bytes()
    ran = people(*opening, "-o", "y", "--passphrase-fd", str(descriptor("another")))
    assert one_line(ran, ExitCode.USAGE) == (
        "carol.key: line 4 does not open with that passphrase; give the one it has"
    )
    ran = people.process(*opening, "-o", "y", start_new_session=True)
    assert one_line(ran, ExitCode.STORE) == (
        "carol.key needs its passphrase and there is no terminal to ask on; give --passphrase-fd N"
    )
    assert not Path("y").exists()


@pytest.mark.long  # two processes, each on a terminal
def test_a_passphrase_is_asked_for(people: Mfn) -> None:
    """Twice where it is set, once where it opens, each time for that file."""
    new = b"Passphrase of carol.key"
    typed(people, ["recipient", "new", "carol", "--passphrase"], [new, new + b", again"])
    people.ok("encrypt", "letter", "--to", "carol.pub")
    typed(people, ["decrypt", "letter.mfn", "-o", "x", "-i", "bob.key", "-i", "carol.key"], [new])
    assert Path("x").read_bytes() == Path("letter").read_bytes()


def typed(mfn: Mfn, words: list[str], prompts: list[bytes]) -> None:
    """Run it on a terminal, where ``a passphrase`` is typed at each of the prompts."""
    terminal, its = os.openpty()
    command = [*PROGRAM, "--home", str(mfn.home), *words]
    with subprocess.Popen(
        command, stdin=its, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0,
        env=environment(), start_new_session=True,
    ) as running:  # fmt: skip
        assert running.stderr is not None
        for prompt in prompts:
            shown = b""
            while not shown.endswith(b": "):
                shown += running.stderr.read(1)
            assert shown.strip() == prompt + b":"
            os.write(terminal, b"a passphrase\n")
        assert running.wait() == 0
    os.close(its)
    os.close(terminal)


def test_inspect_says_for_how_many_a_file_is(people: Mfn) -> None:
    """Not for whom, which it does not have; no key store is asked."""
    people.ok("encrypt", "letter", "--to", "alice.pub", "--to", "bob.pub", "--bind-name")
    said = people.ok("inspect", "letter.mfn").out
    assert re.search(rf"^for +2 recipients \({HPKE}\)$", said, re.MULTILINE)
    assert re.search(r"^name +bound, and it has that name$", said, re.MULTILINE)
    assert re.search(r"^holds +75\.0 KiB$", said, re.MULTILINE)
    shown = people.ok("inspect", "letter.mfn", "--json").json
    assert shown["form"] == "recipients"
    assert shown["plaintext_bytes"] == 76_800


@pytest.mark.long  # a dozen processes
@pytest.mark.skipif(Policy().fips_mode, reason="the page is about keys of X25519")
def test_the_page_is_followed_as_it_stands(empty: Mfn) -> None:
    """Every command of it, in a shell, in order."""
    Path("report.pdf").write_bytes(b"plain")
    Path("accounts").mkdir()
    Path("accounts", "march").write_bytes(b"sum")
    program = Path("bin")
    program.mkdir()
    script = program / "mfn"
    script.write_text(f'#!/bin/sh\nexec {" ".join(PROGRAM)} --home {empty.home} "$@"\n')
    script.chmod(0o700)
    blocks = re.findall(r"^```sh\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    assert blocks
    env = environment({"PATH": f"{program.absolute()}:{os.environ['PATH']}"})
    for block in blocks:
        done = subprocess.run(
            ["bash", "-eo", "pipefail", "-c", block], capture_output=True, env=env, check=False
        )
        assert done.returncode == 0, (block, done.stderr)


def test_the_python_of_the_page_runs() -> None:
    """As it stands."""
    (code,) = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    exec(compile(code, str(PAGE), "exec"), {})
