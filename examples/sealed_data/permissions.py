"""A Parquet file of which two callers of the service read different columns.

    export KEYS_URL=https://keys.example WRITER_KEY=… ANALYST_KEY=…
    python examples/sealed_data/permissions.py

The two API keys have the scopes that docs/tutorials/data_science.md names.
"""

# %% Two callers
import os

from mycelium_fractal_net.client import Client

url = os.environ["KEYS_URL"]
writer = Client(url, os.environ["WRITER_KEY"])
analyst = Client(url, os.environ["ANALYST_KEY"])

# %% Written
import pyarrow
from pyarrow import parquet

from mycelium_fractal_net.integrations.pyarrow import ParquetEncryption

people = pyarrow.table({"shop": [1, 2], "price": [1.5, 2.5], "name": ["Ada", "Grace"]})
sealed = ParquetEncryption(writer).encryption(
    "footers", {"prices": ["price"], "people": ["name"]}, path="people.parquet"
)
parquet.write_table(people, "people.parquet", encryption_properties=sealed)

# %% Read by who may read a part
from mycelium_fractal_net.security.errors import MfnError

keys = ParquetEncryption(analyst).decryption("people.parquet")
prices = parquet.read_table("people.parquet", columns=["shop", "price"], decryption_properties=keys)
try:
    parquet.read_table("people.parquet", decryption_properties=keys)
except MfnError as error:
    print("the analyst reads no names:", error)
else:
    raise AssertionError

# %% Rotated without the file
writer.rotate_key("people")
ParquetEncryption(writer).rotate("people.parquet")  # writes _KEY_MATERIAL_FOR_people.parquet.json

keys = ParquetEncryption(writer).decryption("people.parquet")
assert parquet.read_table("people.parquet", decryption_properties=keys).equals(people)

# %% The end
for client in (writer, analyst):
    client.close()
