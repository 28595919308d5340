"""A tour of what works: the command line and the library on real files, in a temporary folder.

    python scripts/tour.py
    python scripts/tour.py --size 1GiB --files 10000
    MFN_KEY_PROVIDER=vault MFN_VAULT_ADDR=https://… python scripts/tour.py --settings

Each step prints the command as a user types it and what came of it; results are compared byte
for byte, and the tour stops at the first that is not what it should be. Nothing is left behind.
"""

from __future__ import annotations

import argparse
import filecmp
import os
import random
import re
import resource
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn

if TYPE_CHECKING:
    from collections.abc import Callable

SOURCE: Final = Path(__file__).resolve().parent.parent / "src"
MIB: Final = 1 << 20
SMALL_FILE_BYTES: Final = 4096
UNITS: Final = {"": 1, "KiB": 1 << 10, "MiB": MIB, "GiB": 1 << 30}

SNIPPET: Final = """\
import io
from mycelium_fractal_net import open_keyring

with open_keyring() as keyring:
    sealed = keyring.encrypt(b"10 EUR", key_id="orders", associated_data=b"row 17")
    print(len(sealed), "bytes, sealed by", keyring.describe(sealed).version_id)
    assert keyring.decrypt(sealed, associated_data=b"row 17") == b"10 EUR"
    moved = keyring.rewrap(sealed, associated_data=b"row 17")
    assert keyring.decrypt(moved, associated_data=b"row 17") == b"10 EUR"

    signature = keyring.sign(b"10 EUR", key_id="release")
    keyring.verify(b"10 EUR", signature, key_id="release")  # None, or raises
    print(len(signature), "bytes of signature by", signature.key_id)

    key = keyring.provider.generate_key("encryption")  # the plan's KeyProvider
    assert keyring.provider.rotate_key(key) == f"{key}:v2"
    assert len(keyring.provider.get_key(key)) == 32

    pipe, back = io.BytesIO(), io.BytesIO()
    keyring.encrypt_stream(io.BytesIO(b"x" * 100_000), pipe, key_id="orders")
    pipe.seek(0)
    keyring.decrypt_stream(pipe, back)
    assert back.getvalue() == b"x" * 100_000
    print("streams: there and back")
"""


class Tour:
    """The steps, in a folder that is empty when it begins and gone when it ends."""

    def __init__(self, folder: Path, size: int, files: int, *, settings: bool) -> None:
        """With ``settings`` those of the environment hold, whoever has the master key."""
        self.folder = folder
        self.size = size
        self.files = files
        self.environment = {
            name: value
            for name, value in os.environ.items()
            if settings or not name.startswith("MFN_")
        } | {"MFN_HOME": str(folder / "home")}
        self.program = _program(self.environment)
        self._holder = self.environment.get("MFN_KEY_PROVIDER", "local")

    def run(self) -> None:
        """Walk through all of it."""
        steps: tuple[tuple[str, Callable[[], None]], ...] = (
            ("A key store, a master key and a key", self._begin),
            ("A file", self._file),
            ("A folder", self._folder),
            ("A kill in the middle, and going on", self._kill),
            ("A new version of the key; what the old one sealed stays readable", self._rotate),
            ("A signature", self._sign),
            ("What there is", self._show),
            ("What is refused", self._refuse),
            ("The same from Python", self._python),
        )
        for number, (title, step) in enumerate(steps, 1):
            print(f"\n{number}. {title}\n")
            step()

    # Steps ----------------------------------------------------------------------------------

    def _begin(self) -> None:
        self._mfn("init")
        self._mfn("key create orders")

    def _file(self) -> None:
        self._make_file("big.bin")
        self._mfn("encrypt big.bin -k orders")
        self._shell("mv big.bin original.bin")

    def _folder(self) -> None:
        self._make_folder("photos")
        self._mfn("encrypt -r photos/ -o sealed/ -k orders")
        self._check(
            _names(self.folder / "sealed") == [n + ".mfn" for n in _names(self.folder / "photos")],
            "photos/a/b.jpg -> sealed/a/b.jpg.mfn for every file",
        )
        self._mfn("decrypt -r sealed/ -o back/")
        self._same_folder("photos", "back")

    def _kill(self) -> None:
        command = "encrypt -r photos/ -o again/ -k orders"
        print(f"  $ mfn {command}    # killed with SIGKILL on the way")
        process = subprocess.Popen(
            [*self.program, *shlex.split(command)],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )
        while process.poll() is None and len(_names(self.folder / "again")) < self.files // 4:
            time.sleep(0.005)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        print(f"    {len(_names(self.folder / 'again'))} of {self.files} files were there")
        self._mfn(command)
        self._mfn("decrypt -r again/ -o twice/")
        self._same_folder("photos", "twice")
        for name in ("again", "twice", "back", "sealed", "photos"):
            shutil.rmtree(self.folder / name)

    def _rotate(self) -> None:
        self._mfn("key rotate orders")
        self._mfn("decrypt big.bin.mfn")
        self._same_file("original.bin", "big.bin")
        self._shell("rm original.bin")
        self._mfn("rewrap big.bin.mfn")
        self._mfn("inspect big.bin.mfn", expect=r"orders:v2 \(newest\)")
        self._mfn("decrypt big.bin.mfn -o again.bin")
        self._same_file("big.bin", "again.bin")
        self._shell("rm again.bin")

    def _sign(self) -> None:
        self._mfn("key create release --type signing")
        self._mfn("sign big.bin -k release")
        self._mfn("verify big.bin big.bin.sig -k release")

    def _show(self) -> None:
        self._mfn("master status", expect="all of it is under")
        self._mfn("key list", expect=r"(?m)^orders .* v2 .*active")
        self._mfn("key show orders")
        self._mfn("inspect big.bin.mfn")
        # Notices; on AWS KMS, warnings where the credentials may do more than they must.
        self._mfn("doctor", code=21 if self._holder == "aws-kms" else 20)

    def _refuse(self) -> None:
        with (self.folder / "big.bin.mfn").open("r+b") as file:
            file.seek(-1, os.SEEK_END)
            last = file.read(1)[0]
            file.seek(-1, os.SEEK_END)
            file.write(bytes([last ^ 1]))
        print("  (one bit of the last byte of big.bin.mfn was flipped)")
        before = _names(self.folder)
        self._mfn("decrypt big.bin.mfn -o changed.bin", code=8)
        self._mfn("encrypt big.bin -k orders", code=5)
        self._mfn("encrypt missing.bin -k orders", code=4)
        self._mfn("encrypt big.bin -k nothing -o other.mfn", code=7)
        self._check(_names(self.folder) == before, "no file was left by any of these")

    def _python(self) -> None:
        print(textwrap.indent(SNIPPET, "    "))
        self._run([sys.executable, "-c", SNIPPET], 0, None)

    # What a step does -----------------------------------------------------------------------

    def _mfn(self, arguments: str, *, code: int = 0, expect: str | None = None) -> None:
        print(f"  $ mfn {arguments}")
        self._run([*self.program, *shlex.split(arguments)], code, expect)

    def _run(self, command: list[str], code: int, expect: str | None) -> None:
        begun = time.monotonic()
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        seconds = time.monotonic() - begun
        shown = (done.stdout + done.stderr).replace(str(self.folder), "…").rstrip()
        ended = f"[{seconds:.1f} s]" if done.returncode == 0 else f"[exit {done.returncode}]"
        between = "\n" if "\n" in shown else " "
        print(textwrap.indent(f"{shown}{between}{ended}", "    "))
        if done.returncode != code:
            self._fail(f"exit code {code} was to be expected")
        if expect is not None and re.search(expect, shown) is None:
            self._fail(f"this was to be expected: {expect}")

    def _shell(self, command: str) -> None:
        print(f"  $ {command}")
        subprocess.run(shlex.split(command), cwd=self.folder, check=True)

    def _make_file(self, name: str) -> None:
        print(f"  $ head -c {self.size} /dev/urandom > {name}")
        with (self.folder / name).open("wb") as file:
            for start in range(0, self.size, MIB):
                file.write(os.urandom(min(MIB, self.size - start)))

    def _make_folder(self, name: str) -> None:
        print(f"  ({self.files} files in {name}/, around {SMALL_FILE_BYTES} bytes each)")
        sizes = random.Random(17)  # noqa: S311
        for number in range(self.files):
            path = self.folder / name / f"{number % 97:02}" / f"{number}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(os.urandom(sizes.randrange(2 * SMALL_FILE_BYTES)))

    def _same_file(self, one: str, other: str) -> None:
        same = filecmp.cmp(self.folder / one, self.folder / other, shallow=False)
        self._check(same, f"{other} is {one}, byte for byte")

    def _same_folder(self, one: str, other: str) -> None:
        names = _names(self.folder / one)
        same = names == _names(self.folder / other) and not any(
            filecmp.cmpfiles(self.folder / one, self.folder / other, names, shallow=False)[1:]
        )
        self._check(same, f"{other}/ is {one}/, all {len(names)} files byte for byte")

    def _check(self, holds: bool, claim: str) -> None:
        print(f"    {'ok' if holds else 'WRONG'}: {claim}")
        if not holds:
            self._fail("the tour ends here")

    def _fail(self, text: str) -> NoReturn:
        sys.stdout.flush()
        sys.exit(f"tour: {text}")


def _names(folder: Path) -> list[str]:
    """Every file below ``folder``, without hidden ones, which are temporary."""
    found = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return sorted(str(path) for path in found if not path.name.startswith("."))


def _program(environment: dict[str, str]) -> list[str]:
    """The installed ``mfn`` of this interpreter, or the package of this checkout."""
    installed = Path(sys.executable).with_name("mfn")
    if installed.exists():
        return [str(installed)]
    environment["PYTHONPATH"] = str(SOURCE)
    return [sys.executable, "-m", "mycelium_fractal_net"]


def _size(text: str) -> int:
    match = re.fullmatch(r"(\d+)\s*(|KiB|MiB|GiB)", text)
    if match is None:
        raise argparse.ArgumentTypeError("a size is such as 64MiB or 1GiB")
    return int(match[1]) * UNITS[match[2]]


def main() -> int:
    """Run the tour; returns the exit code."""
    parser = argparse.ArgumentParser(description="A tour of mfn on real files.")
    parser.add_argument("--size", type=_size, default=64 * MIB, help="of the file [64MiB]")
    parser.add_argument("--files", type=int, default=500, help="in the folder [500]")
    parser.add_argument(
        "--settings", action="store_true", help="take the MFN_ variables of the environment"
    )
    parser.add_argument("--folder", type=Path, help="where to make the temporary folder")
    options = parser.parse_args()
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="mfn-tour-", dir=options.folder) as name:
        Tour(Path(name), options.size, options.files, settings=options.settings).run()
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(
        f"\nDone in {time.monotonic() - begun:.0f} s. The largest process took {peak:.0f} MiB of"
        " memory. Nothing was left behind."
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
