"""What a file to a recipient costs beside one under a key; writes docs/benchmarks/recipients.*.

python -m benchmarks.recipients [--quick] [--out FOLDER]

The same file is sealed and opened under a key of a key store, and for one holder of a key of each
kind, in memory's folder: by the library in one process, and by the command line, start-up and
key store included. Rounds take turns; the key is the reference.
"""

from __future__ import annotations

import argparse
import filecmp
import json
import os
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Final

from benchmarks.files import MFN, environment
from benchmarks.harness import Figure, Work, compare, figures, run, turns
from benchmarks.report import Goal, goals_table, machine
from mycelium_fractal_net import (
    RecipientKey,
    initialise,
    open_file_with,
    open_keyring,
    seal_file_to,
)
from mycelium_fractal_net.files.single import open_file, seal_file
from mycelium_fractal_net.security.keyring.keyring import Keyring

KEY: Final = "a key"
KINDS: Final = {"X25519": "HPKE-X25519", "X-Wing": "HPKE-MLKEM768-X25519"}
SIZES: Final = {"64 MiB": 64 << 20, "1 KiB": 1 << 10}
_LARGE: Final = next(iter(SIZES))
_MOST_BESIDE: Final = 1.1  # of a file to a recipient beside one under a key

Found = dict[str, dict[str, list[Figure]]]  # by what is done, then by size

_SEALING, _OPENING = "sealing, in one process", "opening, in one process"
_ENCRYPT, _DECRYPT = "mfn encrypt", "mfn decrypt"


def prepare(home: Path) -> dict[str, RecipientKey]:
    """The key that is measured beside, and a recipient of each kind, with files for commands."""
    with initialise(home=home) as keyring:
        keyring.provider.keys.create("bench")
    keys = {name: RecipientKey.generate(algorithm) for name, algorithm in KINDS.items()}
    for name, key in keys.items():
        (home / f"{name}.pub").write_text(key.public.line() + "\n")
        (home / f"{name}.key").touch(mode=0o600)
        (home / f"{name}.key").write_text(key.line() + "\n")
    return keys


def in_one_process(
    keyring: Keyring, keys: dict[str, RecipientKey], source: Path
) -> tuple[dict[str, Work], dict[str, Work]]:
    """Sealing and opening ``source`` by each contender; what is opened was looked at once."""
    folder = source.parent
    sealing: dict[str, Work] = {
        KEY: lambda: seal_file(keyring, source, folder / KEY, key_id="bench", force=True)
    }
    opening: dict[str, Work] = {
        KEY: lambda: open_file(keyring, folder / KEY, folder / "back", force=True)
    }
    for name, key in keys.items():
        sealed = folder / name
        sealing[name] = partial(seal_file_to, [key.public], source, sealed, force=True)
        opening[name] = partial(open_file_with, [key], sealed, folder / "back", force=True)
    for name, seal in sealing.items():
        seal()
        opening[name]()
        _same(source, folder / "back")
    return sealing, opening


def as_commands(home: Path, source: Path, rounds: int) -> tuple[list[Figure], list[Figure]]:
    """The same by ``mfn encrypt`` and ``mfn decrypt``: whole processes."""
    folder, env = source.parent, environment(home)
    back = folder / "back again"
    to = {KEY: ["-k", "bench"]} | {name: ["--to", f"{home}/{name}.pub"] for name in KINDS}
    by: dict[str, list[str]] = {KEY: []} | {
        name: ["--identity", f"{home}/{name}.key"] for name in KINDS
    }
    sealing: dict[str, list[float]] = {name: [] for name in to}
    opening: dict[str, list[float]] = {name: [] for name in to}
    for names in turns(list(to), rounds):
        for name in names:
            sealed = folder / f"{name}.mfn"
            encrypt = [*MFN, "encrypt", str(source), "-o", str(sealed), *to[name]]
            decrypt = [*MFN, "decrypt", str(sealed), "-o", str(back), *by[name]]
            sealing[name].append(run(encrypt, env=env).seconds)
            opening[name].append(run(decrypt, env=env).seconds)
            _same(source, back)
            sealed.unlink()
            back.unlink()
    return figures(sealing), figures(opening)


def measure(sizes: dict[str, int], rounds: int, budget: float) -> Found:
    """All comparisons."""
    found: Found = {}
    with ExitStack() as stack:
        place = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory("-to", "mfn-", place)))
        home = folder / "home"
        keys = prepare(home)
        keyring = stack.enter_context(open_keyring(home=home))
        for size, count in sizes.items():
            source = folder / "in"
            source.write_bytes(os.urandom(count))
            sealing, opening = in_one_process(keyring, keys, source)
            for what, works in ((_SEALING, sealing), (_OPENING, opening)):
                found.setdefault(what, {})[size] = compare(works, rounds=rounds, budget=budget)
            for what, seen in zip(
                (_ENCRYPT, _DECRYPT), as_commands(home, source, rounds), strict=True
            ):
                found.setdefault(what, {})[size] = seen
    return found


def _same(source: Path, back: Path) -> None:
    if not filecmp.cmp(source, back, shallow=False):
        raise RuntimeError("what was opened is not what was sealed")


def goals(found: Found) -> list[Goal]:
    """What was to be reached, and what was seen: of the large file, and of whole commands."""
    reach = f"<= {_MOST_BESIDE:g} x"
    return [
        Goal(
            f"{what}, {size}, {each.name} beside a key",
            reach,
            _ratio(each),
            each.ratio <= _MOST_BESIDE,
        )
        for what, sizes in found.items()
        for size, seen in sizes.items()
        for each in seen[1:]
        if size == _LARGE or what in (_ENCRYPT, _DECRYPT)
    ]


def markdown(found: Found) -> str:
    """The page docs/benchmarks/recipients.md."""
    lines = [
        "# Files to a recipient",
        "",
        f"`make bench-recipients`: {machine()}.",
        "",
        *goals_table(goals(found)),
        "",
        "Beside a file under a key of a key store, in memory's folder. A ratio is the median of"
        " rounds that took turns, with the least and the greatest. A message under a key needs no"
        " arithmetic on curves, and one to a recipient a fixed amount of it: that is what a small"
        " file shows, in one process; a command starts longer than that.",
    ]
    for what, sizes in found.items():
        names = [each.name for each in next(iter(sizes.values()))]
        lines += ["", f"| {what} | {' | '.join(sizes)} |", "| --- |" + " --- |" * len(sizes)]
        for at, name in enumerate(names):
            cells = [f"{_time(seen[at])}; {_ratio(seen[at])}" for seen in sizes.values()]
            lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _ratio(figure: Figure) -> str:
    return f"{figure.ratio:.2f} x ({figure.least:.2f} to {figure.greatest:.2f})"


def _time(figure: Figure) -> str:
    return f"{figure.seconds * 1e3:,.2f} ms"


def as_json(found: Found) -> str:
    """The same, for machines."""
    shown = {
        what: {size: [asdict(each) for each in seen] for size, seen in sizes.items()}
        for what, sizes in found.items()
    }
    return json.dumps({"machine": machine(), "recipients": shown}, indent=1) + "\n"


def main() -> int:
    """Parse the options, measure, write."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.recipients",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds")
    parser.add_argument("--out", type=Path, default=Path("docs/benchmarks"))
    options = parser.parse_args()
    found = measure(SIZES, *((3, 0.02) if options.quick else (15, 0.2)))
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "recipients.md").write_text(markdown(found))
    (options.out / "recipients.json").write_text(as_json(found))
    print(markdown(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
