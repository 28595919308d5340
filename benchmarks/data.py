"""What reading sealed tables and arrays costs beside plain ones; writes docs/benchmarks/data.*.

python -m benchmarks.data [--quick] [--out FOLDER]

The same Parquet files lie plain and sealed in memory's folder, and are read by pyarrow: by its own
file system, by fsspec, and through `mfn::`. Rounds take turns; speed is plain seconds by sealed.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy
import pyarrow
from fsspec.implementations.local import LocalFileSystem
from pyarrow import parquet

from benchmarks.harness import Figure, compare
from benchmarks.report import machine
from mycelium_fractal_net import initialise
from mycelium_fractal_net.integrations.fsspec import MfnFileSystem
from mycelium_fractal_net.integrations.numpy import load_array, save_array
from mycelium_fractal_net.security.keyring.keyring import Keyring

ARROW, FSSPEC, SEALED, GROUP = "Arrow's own", "plain, by fsspec", "`mfn::`", "one row group"
PLAIN_LOAD, LOADED, FILLED = "numpy.load, plain", "numpy.load(open_reader)", "load_array (readinto)"
GROUPS: Final = 50
COMPRESSIONS: Final = {"compressed": "zstd", "uncompressed": "none"}
REACH: Final = {"compressed": 0.6, "uncompressed": 0.4}
GROUP_REACH: Final = 1.5
_IN_MEMORY: Final = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


@dataclass(frozen=True)
class Results:
    """Seconds and ratios; sizes in bytes."""

    scans: dict[str, list[Figure]]
    sizes: dict[str, int]
    arrays: list[Figure]
    array_bytes: int

    def speed(self, name: str) -> float:
        """Of a scan through `mfn::`, as a part of Arrow's own."""
        return 1 / self._ratio(name, SEALED)

    def share(self, name: str) -> float:
        """One row group's seconds as a multiple of its share of the sealed scan."""
        return self._ratio(name, GROUP) / self._ratio(name, SEALED) * GROUPS

    def _ratio(self, name: str, contender: str) -> float:
        return next(figure.ratio for figure in self.scans[name] if figure.name == contender)


def main() -> int:
    """Parse the options, measure, write."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.data",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="fewer rounds and smaller files")
    parser.add_argument("--out", type=Path, default=Path("docs/benchmarks"))
    options = parser.parse_args()
    results = measure(1 << 20, 3, 0.05) if options.quick else measure(5 << 20, 9, 0.3)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "data.md").write_text(markdown(results))
    (options.out / "data.json").write_text(as_json(results))
    print(markdown(results))
    return 0


def measure(rows: int, rounds: int, budget: float) -> Results:
    """A table of so many rows, 16 bytes each, and an array of 8 bytes for each of them."""
    scans, sizes = {}, {}
    with (
        tempfile.TemporaryDirectory(prefix="mfn-data-", dir=_IN_MEMORY) as name,
        initialise(home=Path(name) / "home") as keyring,
    ):
        folder = Path(name)
        keyring.provider.keys.create("data")
        for kind, compression in COMPRESSIONS.items():
            contenders = _scans(keyring, folder, rows, compression)
            scans[kind] = compare(contenders, rounds=rounds, budget=budget)
            sizes[kind] = (folder / "plain").stat().st_size
        arrays = compare(_loads(keyring, folder, rows), rounds=rounds, budget=budget)
    return Results(scans, sizes, arrays, rows * 8)


def _scans(
    keyring: Keyring, folder: Path, rows: int, compression: str
) -> dict[str, Callable[[], object]]:
    chance = numpy.random.default_rng(1)
    # As figures of a business are: some digits, and few of many names.
    table = pyarrow.table({
        "price": numpy.round(chance.random(rows) * 1000, 2), "shop": chance.integers(0, 500, rows),
    })  # fmt: skip
    local = LocalFileSystem()
    sealing = MfnFileSystem(local, keyring=keyring, key_id="data")
    plain, sealed = str(folder / "plain"), str(folder / "sealed")
    for path, fs in ((plain, local), (sealed, sealing)):
        parquet.write_table(
            table, path, filesystem=fs, compression=compression, use_dictionary=False,
            row_group_size=-(-rows // GROUPS),
        )  # fmt: skip

    def arrow() -> Any:
        return parquet.ParquetFile(plain).read()

    def by(fs: Any, path: str) -> Any:
        with fs.open(path, "rb") as file:
            return parquet.ParquetFile(file).read()

    def group() -> Any:
        with sealing.open(sealed, "rb") as file:
            return parquet.ParquetFile(file).read_row_group(GROUPS // 2)

    if not by(sealing, sealed).equals(arrow()):
        raise RuntimeError("what was read is not what was written")
    return {
        ARROW: arrow,
        FSSPEC: lambda: by(local, plain),
        SEALED: lambda: by(sealing, sealed),
        GROUP: group,
    }


def _loads(keyring: Keyring, folder: Path, count: int) -> dict[str, Callable[[], object]]:
    array = numpy.random.default_rng(1).random(count)
    plain, sealed = folder / "a.npy", folder / "a.npy.mfn"
    numpy.save(plain, array)
    with sealed.open("wb") as file:
        save_array(keyring, file, array, key_id="data")

    def loaded() -> Any:
        with sealed.open("rb", buffering=0) as file, keyring.open_reader(file) as reader:
            return numpy.load(reader)

    def filled() -> Any:
        with sealed.open("rb", buffering=0) as file:
            return load_array(keyring, file)

    if not (numpy.array_equal(loaded(), array) and numpy.array_equal(filled(), array)):
        raise RuntimeError("what was read is not what was written")
    return {PLAIN_LOAD: lambda: numpy.load(plain), LOADED: loaded, FILLED: filled}


def markdown(results: Results) -> str:
    """The page docs/benchmarks/data.md."""
    lines = [
        "# Tables and arrays that are read in part",
        "",
        f"`make bench-data`: {machine()}.",
        "",
        "Files in memory's folder, read in rounds that took turns; speed is a part of Arrow's own"
        " file system's, with the least and the greatest. A row group is read from a file that is"
        f" opened for it, and stands beside a {GROUPS}th of the sealed scan.",
        "",
        "| Parquet | MiB | by fsspec | through `mfn::` | to reach |"
        f" one row group of {GROUPS} | to reach |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for kind, found in results.scans.items():
        figures = {figure.name: figure for figure in found}
        lines.append(
            f"| {kind} | {results.sizes[kind] / 2**20:.0f} | {_speed(figures[FSSPEC])}"
            f" | {_speed(figures[SEALED])} | {REACH[kind]} | {results.share(kind):.2f} x its share"
            f" | {GROUP_REACH} |"
        )
    lines += [
        "",
        f"| array of {results.array_bytes / 2**20:.0f} MiB | beside plain |",
        "| --- | --- |",
    ]
    lines += [
        f"| {f.name} | {f.ratio:.2f} x ({f.least:.2f} to {f.greatest:.2f}) |"
        for f in results.arrays[1:]
    ]
    return "\n".join(lines) + "\n"


def _speed(figure: Figure) -> str:
    return f"{1 / figure.ratio:.2f} x ({1 / figure.greatest:.2f} to {1 / figure.least:.2f})"


def as_json(results: Results) -> str:
    """The same, for machines."""
    return json.dumps({"machine": machine(), **asdict(results)}, indent=1) + "\n"


if __name__ == "__main__":
    sys.exit(main())
