"""Tables, arrays and tensors that lie sealed on the disk and are read in part.

    mfn init && mfn key create sales && mfn key create models
    python examples/sealed_data/notebook.py

Cell by cell, as docs/tutorials/data_science.md shows it; files are made in the working folder.
"""

# %% The keyring
from pathlib import Path

from mycelium_fractal_net import open_keyring
from mycelium_fractal_net.integrations.application import configure

keyring = open_keyring()  # where MFN_HOME says
configure(keyring)  # and libraries reach it that cannot be handed one
here = f"mfn::{Path.cwd().as_uri()}"  # mfn::s3://bucket for one far away

# %% CSV
import fsspec
from pyarrow import csv

with fsspec.open(f"{here}/sales.csv", "wt", key_id="sales") as text:
    text.write("shop,price\n")
    text.writelines(f"{number % 7},{number / 4}\n" for number in range(10_000))

with fsspec.open(f"{here}/sales.csv", "rb") as plain:
    sales = csv.read_csv(plain)

print(sales.num_rows, "rows;", "on the disk:", Path("sales.csv").read_bytes()[:3])

# %% Parquet, by row group
from pyarrow import parquet

with fsspec.open(f"{here}/sales.parquet", "wb", key_id="sales") as file:
    parquet.write_table(sales, file, row_group_size=1_000)

with fsspec.open(f"{here}/sales.parquet", "rb") as file:
    table = parquet.ParquetFile(file)
    group = table.read_row_group(3, columns=["price"])

assert group["price"][0].as_py() == 750.0

# %% Nothing half-written appears
try:
    with fsspec.open(f"{here}/half.parquet", "wb", key_id="sales") as file:
        parquet.write_table(sales, file)
        raise KeyboardInterrupt  # the kernel is interrupted
except KeyboardInterrupt:
    pass

assert not Path("half.parquet").exists()

# %% Arrays
import numpy

from mycelium_fractal_net.integrations.numpy import SealedArray, save_array

prices = sales["price"].to_numpy().reshape(100, 100)
with Path("prices.npy.mfn").open("wb") as file:
    save_array(keyring, file, prices, key_id="models")

with Path("prices.npy.mfn").open("rb") as file:
    rows = SealedArray(keyring, file)[40:42]  # decrypts the chunks that these lie in

assert numpy.array_equal(rows, prices[40:42])

# %% Tensors
from mycelium_fractal_net.integrations.safetensors import SealedTensors, save_tensors

weights = {"encoder": prices.astype("f4"), "bias": numpy.zeros(100, "f4")}
with Path("model.safetensors.mfn").open("wb") as file:
    save_tensors(keyring, file, weights, key_id="models")

with Path("model.safetensors.mfn").open("rb") as file:
    tensors = SealedTensors(keyring, file)
    bias = tensors["bias"]  # and not the encoder

assert bias.shape == (100,)

# %% The end
keyring.close()
