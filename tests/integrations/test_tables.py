"""Tables of pyarrow through ``mfn::``: whole, in partitions, and by row group."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy
import pyarrow
import pyarrow.dataset
import pytest
from fsspec.implementations.local import LocalFileSystem
from pyarrow import csv, parquet

from mycelium_fractal_net.integrations.fsspec import MfnFileSystem
from mycelium_fractal_net.security.sealed.reader import SealedReader

if TYPE_CHECKING:
    from pathlib import Path

    from mycelium_fractal_net.security.keyring.keyring import Keyring

ROWS = 200_000


@pytest.fixture
def fs(keyring: Keyring) -> MfnFileSystem:
    """Over the file system of this machine."""
    return MfnFileSystem(LocalFileSystem(), keyring=keyring, key_id="orders")


@pytest.fixture(scope="module")
def table() -> Any:
    """A number and a group for each row; nothing that compresses."""
    numbers = numpy.random.default_rng(1).random(ROWS)
    return pyarrow.table({"x": numbers, "group": numpy.arange(ROWS) % 3})


def test_a_parquet_file_is_written_and_read(
    fs: MfnFileSystem, keyring: Keyring, table: Any, tmp_path: Path
) -> None:
    """What lies there is sealed; columns are read by themselves."""
    parquet.write_table(table, f"{tmp_path}/a.parquet", filesystem=fs)
    assert keyring.decrypt((tmp_path / "a.parquet").read_bytes())[:4] == b"PAR1"
    assert parquet.read_table(f"{tmp_path}/a.parquet", filesystem=fs).equals(table)
    only = parquet.read_table(f"{tmp_path}/a.parquet", filesystem=fs, columns=["group"])
    assert only.equals(table.select(["group"]))


def test_one_row_group_reads_its_share(
    fs: MfnFileSystem, table: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of fifty: no more than twice its bytes are fetched, footer and first chunks included."""
    parquet.write_table(table, f"{tmp_path}/a", filesystem=fs, row_group_size=ROWS // 50)
    fetched = 0
    really = SealedReader._fetch

    def counting(self: SealedReader, offset: int, count: int) -> Any:
        nonlocal fetched
        fetched += count
        return really(self, offset, count)

    monkeypatch.setattr(SealedReader, "_fetch", counting)
    with fs.open(f"{tmp_path}/a", "rb") as file:
        opened = parquet.ParquetFile(file)
        begun = fetched
        assert opened.read_row_group(20).equals(table.slice(20 * ROWS // 50, ROWS // 50))
    share = (tmp_path / "a").stat().st_size / 50
    assert fetched - begun <= 2 * share + (1 << 16)


def test_partitions_are_written_and_found(fs: MfnFileSystem, table: Any, tmp_path: Path) -> None:
    """By pyarrow's datasets, with filters; nobody is told of a part that is half written."""
    dataset = pyarrow.dataset
    dataset.write_dataset(
        table, f"{tmp_path}/d", filesystem=fs, format="parquet", partitioning=["group"]
    )
    assert len(list((tmp_path / "d").rglob("*.parquet"))) == 3
    assert {path.read_bytes()[:3] for path in (tmp_path / "d").rglob("*.parquet")} == {b"MFN"}
    found = dataset.dataset(f"{tmp_path}/d", filesystem=fs, partitioning=["group"])
    assert found.count_rows() == ROWS
    some = found.to_table(filter=dataset.field("group") == 1)["x"]  # threads write in any order
    assert sorted(some.to_pylist()) == sorted(table["x"].to_numpy()[1::3].tolist())


def test_csv_is_streamed(fs: MfnFileSystem, tmp_path: Path) -> None:
    """By pyarrow's reader."""
    with fs.open(f"{tmp_path}/a.csv", "w") as file:
        file.write("x,y\n" + "1,2\n" * 100_000)
    with fs.open(f"{tmp_path}/a.csv", "rb") as file:
        assert csv.read_csv(file).num_rows == 100_000
