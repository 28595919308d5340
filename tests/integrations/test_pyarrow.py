"""Parquet files whose columns are encrypted under named keys, written and read by pyarrow."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import pyarrow
import pyarrow.dataset
import pytest
from pyarrow import fs, parquet
from pyarrow.parquet import encryption as arrow_encryption

from mycelium_fractal_net.client import Client
from mycelium_fractal_net.integrations.application import configure
from mycelium_fractal_net.integrations.pyarrow import KeyringKmsClient, ParquetEncryption
from mycelium_fractal_net.security.errors import (
    AlgorithmNotAllowedError,
    DecryptionError,
    InvalidInputError,
    KeyNotFoundError,
    KeyStateError,
    MfnError,
)
from mycelium_fractal_net.security.records.keys import Verb
from tests.support.service import credential

if TYPE_CHECKING:
    from pathlib import Path

    import httpx

    from mycelium_fractal_net.security.keyring.keyring import Keyring
    from tests.support.service import Running

TABLE = pyarrow.table({"id": [1, 2, 3], "price": [1.5, 2.5, 3.5], "name": ["a", "b", "c"]})
COLUMNS = {"prices": ["price"], "people": ["name"]}


@pytest.fixture
def keys(keyring: Keyring) -> ParquetEncryption:
    """With a key for each of two columns, and one for footers."""
    for name in ("footers", *COLUMNS):
        keyring.provider.keys.create(name)
    keyring.refresh()
    return ParquetEncryption(keyring)


class Watching:
    """A keyring, and which keys it was asked to wrap and unwrap, of how many bytes."""

    def __init__(self, keyring: Keyring) -> None:
        self.keyring = keyring
        self.asked: list[tuple[str, str, int]] = []

    def encrypt(self, data: bytes, /, *, key_id: str, associated_data: bytes) -> bytes:
        self.asked.append(("wrap", key_id, len(data)))
        return self.keyring.encrypt(data, key_id=key_id, associated_data=associated_data)

    def decrypt(self, message: bytes, /, *, key_id: str, associated_data: bytes) -> bytes:
        found = self.keyring.decrypt(message, key_id=key_id, associated_data=associated_data)
        self.asked.append(("unwrap", key_id, len(found)))
        return found

    def rewrap(self, message: bytes, /, *, associated_data: bytes) -> bytes:
        self.asked.append(("rewrap", self.keyring.describe(message).key_id, len(message)))
        return self.keyring.rewrap(message, associated_data=associated_data)


def write(keys: ParquetEncryption, file: Path, **more: Any) -> None:
    made = keys.encryption("footers", COLUMNS, **more)
    parquet.write_table(TABLE, file, encryption_properties=made)


def read(keys: ParquetEncryption, path: Path, *where: Path, **more: Any) -> Any:
    return parquet.read_table(path, decryption_properties=keys.decryption(*where), **more)


def test_columns_are_encrypted_and_read_back(keys: ParquetEncryption, tmp_path: Path) -> None:
    """Nobody reads so much as the footer without the keys."""
    write(keys, tmp_path / "a.parquet")
    assert (tmp_path / "a.parquet").read_bytes()[:4] == b"PARE"
    assert read(keys, tmp_path / "a.parquet").equals(TABLE)
    with pytest.raises(OSError, match="encrypted"):
        parquet.read_table(tmp_path / "a.parquet")


def test_all_of_a_file_under_one_key(keys: ParquetEncryption, tmp_path: Path) -> None:
    """Where no columns are named; and the application's keyring where none is given."""
    configure(keys.keys)
    try:
        ours = ParquetEncryption()
    finally:
        configure(None)
    made = ours.encryption("footers")
    parquet.write_table(TABLE, tmp_path / "a.parquet", encryption_properties=made)
    assert read(keys, tmp_path / "a.parquet").equals(TABLE)
    metadata = parquet.ParquetFile(
        tmp_path / "a.parquet", decryption_properties=keys.decryption()
    ).metadata
    assert metadata.num_columns == 3


def test_who_may_not_use_a_key_reads_the_other_columns(
    keys: ParquetEncryption, tmp_path: Path
) -> None:
    """Its state says so at once: nothing is kept from one file to the next."""
    write(keys, tmp_path / "a.parquet")
    assert read(keys, tmp_path / "a.parquet").num_columns == 3
    keys.keys.provider.states.apply(Verb.SUSPEND, "people:v1")
    keys.keys.refresh()
    read_so_far = read(keys, tmp_path / "a.parquet", columns=["id", "price"])
    assert read_so_far.equals(TABLE.select(["id", "price"]))
    with pytest.raises(KeyStateError):
        read(keys, tmp_path / "a.parquet")


def test_data_keys_have_256_bits_and_arrows_own_wrapping_keys_128(
    keys: ParquetEncryption, tmp_path: Path
) -> None:
    """Why named keys wrap data keys themselves, unless fewer requests are asked for."""
    for double, size in ((False, 32), (True, 16)):
        watching = Watching(keys.keys)
        watched = ParquetEncryption(watching, double_wrapping=double)
        write(watched, tmp_path / "a.parquet")
        assert sorted(watching.asked) == [
            ("wrap", name, size) for name in ("footers", "people", "prices")
        ]
        watching.asked.clear()
        assert read(watched, tmp_path / "a.parquet", columns=["price"]).num_columns == 1
        assert set(watching.asked) == {("unwrap", "footers", size), ("unwrap", "prices", size)}


@pytest.mark.parametrize("double", [False, True])
def test_a_rotation_writes_the_wrapped_keys_alone(
    keys: ParquetEncryption, tmp_path: Path, double: bool
) -> None:
    """They lie beside the file, which stays as it is; the old versions may then go."""
    keys = ParquetEncryption(keys.keys, double_wrapping=double)
    path, beside = tmp_path / "a.parquet", tmp_path / "_KEY_MATERIAL_FOR_a.parquet.json"
    write(keys, path, path=path)
    before = path.read_bytes()
    for name in ("footers", *COLUMNS):
        keys.keys.provider.rotate_key(name)
    keys.keys.refresh()
    keys.rotate(path)
    assert path.read_bytes() == before
    wrapped = "wrappedKEK" if double else "wrappedDEK"
    for entry in json.loads(beside.read_text()).values():
        message = base64.b64decode(json.loads(entry)[wrapped])
        assert keys.keys.describe(message).version == 2
    for name in ("footers", *COLUMNS):
        keys.keys.provider.states.apply(Verb.SUSPEND, f"{name}:v1")
    keys.keys.refresh()
    assert read(keys, path, path).equals(TABLE)
    assert not list(tmp_path.glob("_TMP*"))


def test_a_rotation_opens_no_key_and_loses_none(keys: ParquetEncryption, tmp_path: Path) -> None:
    """Each is moved once; where one is not moved, or it is no key material, nothing is changed."""
    path, beside = tmp_path / "a.parquet", tmp_path / "_KEY_MATERIAL_FOR_a.parquet.json"
    watching = Watching(keys.keys)
    watched = ParquetEncryption(watching)
    write(watched, path, path=path)
    beside.chmod(0o640)
    watching.asked.clear()
    watched.rotate(path)
    assert sorted(asked[:2] for asked in watching.asked) == [
        ("rewrap", name) for name in ("footers", "people", "prices")
    ]
    assert beside.stat().st_mode & 0o777 == 0o640
    before = beside.read_bytes()
    keys.keys.provider.states.apply(Verb.SUSPEND, "people:v1")
    keys.keys.refresh()
    with pytest.raises(KeyStateError):
        watched.rotate(path)
    assert beside.read_bytes() == before
    for text in (
        b"[]",
        b"{",
        b"[" * 9999,
        b'{"a":1}',
        b'{"a":"1"}',
        before.replace(b"PKMT1", b"P"),
    ):
        beside.write_bytes(text)
        with pytest.raises(InvalidInputError, match="no key material"):
            watched.rotate(path)
        assert beside.read_bytes() == text
    with pytest.raises(FileNotFoundError):
        watched.rotate(tmp_path / "b.parquet")


def test_keys_beside_a_file_in_another_file_system_are_moved(
    keys: ParquetEncryption, tmp_path: Path
) -> None:
    """One of pyarrow, as S3 is one."""
    far = fs.SubTreeFileSystem(str(tmp_path), fs.LocalFileSystem())
    made = keys.encryption("footers", COLUMNS, path="a.parquet", filesystem=far)
    parquet.write_table(TABLE, "a.parquet", filesystem=far, encryption_properties=made)
    for name in ("footers", *COLUMNS):
        keys.keys.provider.rotate_key(name)
    keys.keys.refresh()
    keys.rotate("a.parquet", far)
    for name in ("footers", *COLUMNS):
        keys.keys.provider.states.apply(Verb.SUSPEND, f"{name}:v1")
    keys.keys.refresh()
    found = parquet.read_table(
        "a.parquet", filesystem=far, decryption_properties=keys.decryption("a.parquet", far)
    )
    assert found.equals(TABLE)


@pytest.mark.parametrize("far", [False, True])
def test_a_folder_is_rotated_and_what_does_not_move_is_named(
    keys: ParquetEncryption, tmp_path: Path, far: bool
) -> None:
    """Of files with their keys beside them all move; those with keys in the footer need old ones.

    One that fails stops no other, and plain files, Parquet or not, are none of it.
    """
    store = fs.SubTreeFileSystem(str(tmp_path), fs.LocalFileSystem()) if far else None
    place = "" if far else f"{tmp_path}/"
    (tmp_path / "d" / "e").mkdir(parents=True)
    for name in ("d/a.parquet", "d/e/b.parquet", "d/bad.parquet"):
        write(keys, tmp_path / name, path=tmp_path / name)
    write(keys, tmp_path / "d" / "e" / "inside.parquet")
    parquet.write_table(TABLE, tmp_path / "d" / "plain.parquet")
    (tmp_path / "d" / "notes").write_bytes(b"PAR")
    (tmp_path / "d" / "_KEY_MATERIAL_FOR_bad.parquet.json").write_bytes(b"{")
    for name in ("footers", *COLUMNS):
        keys.keys.provider.rotate_key(name)
    keys.keys.refresh()
    found = keys.rotate_folder(f"{place}d", store)
    assert found.moved == [f"{place}d/a.parquet", f"{place}d/e/b.parquet"]
    assert found.inside == [f"{place}d/e/inside.parquet"]
    assert isinstance(found.failed.pop(f"{place}d/bad.parquet"), InvalidInputError)
    assert not found.failed
    assert not found.complete
    assert keys.rotate_folder(f"{place}d/e", store).inside
    with pytest.raises(InvalidInputError, match="stand in its footer"):
        keys.rotate(f"{place}d/e/inside.parquet", store)
    with pytest.raises(FileNotFoundError):
        keys.rotate(f"{place}d/plain.parquet", store)
    for name in ("footers", *COLUMNS):
        keys.keys.provider.states.apply(Verb.SUSPEND, f"{name}:v1")
    keys.keys.refresh()
    for path in (tmp_path / "d" / "a.parquet", tmp_path / "d" / "e" / "b.parquet"):
        assert read(keys, path, path).equals(TABLE)
    with pytest.raises(KeyStateError):
        read(keys, tmp_path / "d" / "e" / "inside.parquet")
    (tmp_path / "d" / "e" / "inside.parquet").unlink()
    assert keys.rotate_folder(f"{place}d/e", store).complete


def test_a_wrapped_key_is_no_other_message(keys: ParquetEncryption) -> None:
    """Whoever may decrypt messages and not these learns no data key by it, nor the other way."""
    client = KeyringKmsClient(keys.keys)
    wrapped = client.wrap_key(bytes(32), "prices")
    assert client.unwrap_key(wrapped.decode(), "prices") == bytes(32)
    with pytest.raises(DecryptionError):
        keys.keys.decrypt(base64.b64decode(wrapped))
    other = base64.b64encode(keys.keys.encrypt(bytes(32), key_id="prices")).decode()
    for text, key_id in ((other, "prices"), (wrapped.decode(), "people"), ("?", "prices")):
        with pytest.raises(DecryptionError):
            client.unwrap_key(text, key_id)


def test_a_changed_page_is_refused(keys: ParquetEncryption, tmp_path: Path) -> None:
    """Each has a tag."""
    path = tmp_path / "a.parquet"
    write(keys, path)
    chunk = parquet.read_metadata(path, decryption_properties=keys.decryption()).row_group(0)
    content = bytearray(path.read_bytes())
    content[chunk.column(1).data_page_offset + 60] ^= 1
    path.write_bytes(content)
    with pytest.raises(OSError, match=r"(?i)decrypt"):
        read(keys, path)
    assert read(keys, path, columns=["id"]).num_rows == 3


def test_what_arrow_cannot_name_is_refused(keys: ParquetEncryption) -> None:
    """Its configuration is one text, which a name could break out of."""
    for columns in ({"prices": ["a,b"]}, {"prices": [" a"]}, {"prices": ["a; people: b"]}):
        with pytest.raises(InvalidInputError, match="cannot name"):
            keys.encryption("footers", columns)
    for footer, columns in (("footers:v1", {}), ("footers", {"prices:v1": ["a"]})):
        with pytest.raises(InvalidInputError, match="version"):
            keys.encryption(footer, columns)


def test_a_dataset_is_written_and_read_in_partitions(
    keys: ParquetEncryption, tmp_path: Path
) -> None:
    """With the configurations that pyarrow's datasets take."""
    dataset = pyarrow.dataset
    format = dataset.ParquetFileFormat()
    options = format.make_write_options(
        encryption_config=dataset.ParquetEncryptionConfig(
            keys.factory, keys.connection, keys.configuration("footers", COLUMNS)
        )
    )
    dataset.write_dataset(
        TABLE, tmp_path / "d", format=format, file_options=options, partitioning=["id"]
    )
    reading = dataset.ParquetDecryptionConfig(
        keys.factory, keys.connection, keys.decryption_configuration
    )
    encrypted = dataset.ParquetFileFormat(
        default_fragment_scan_options=dataset.ParquetFragmentScanOptions(decryption_config=reading)
    )
    found = dataset.dataset(tmp_path / "d", format=encrypted, partitioning=["id"])
    assert sorted(found.to_table()["name"].to_pylist()) == ["a", "b", "c"]


def wrapped_by(beside: Path) -> set[bytes]:
    """The handles of the versions that wrapped the keys that lie there, doubly."""
    entries = map(json.loads, json.loads(beside.read_text()).values())
    return {base64.b64decode(entry["wrappedKEK"])[4:12] for entry in entries}


def test_scopes_of_the_service_decide_who_reads_which_column(
    service: Running, client: httpx.Client, keys: ParquetEncryption, tmp_path: Path
) -> None:
    """A client stands where the keyring does."""
    names = {name: f"parquet-{name}" for name in ("footers", *COLUMNS)}
    for name in names.values():
        assert client.post("/keys", json={"key_id": name}).status_code == 201
    columns = {names[key]: group for key, group in COLUMNS.items()}
    path = tmp_path / "a.parquet"
    with Client(service.url, service.api_key) as writer:
        made = ParquetEncryption(writer, double_wrapping=True).encryption(
            names["footers"], columns, path=path
        )
        parquet.write_table(TABLE, path, encryption_properties=made)
        for name in names.values():
            writer.rotate_key(name)
    versions = wrapped_by(tmp_path / "_KEY_MATERIAL_FOR_a.parquet.json")
    assert len(versions) == len(names)
    mover_key = credential(client, *[f"rewrap:{name}" for name in names.values()], name="mover")
    with Client(service.url, mover_key) as mover:
        ParquetEncryption(mover).rotate(path)
        with pytest.raises(MfnError):
            read(ParquetEncryption(mover), path, path)
    assert not versions & wrapped_by(tmp_path / "_KEY_MATERIAL_FOR_a.parquet.json")
    scopes = [f"decrypt:{names[key]}" for key in ("footers", "prices")]
    with Client(service.url, credential(client, *scopes)) as reader:
        reading = ParquetEncryption(reader)
        assert read(reading, path, path, columns=["price"]).equals(TABLE.select(["price"]))
        with pytest.raises(KeyNotFoundError):
            read(reading, path, path)


def test_in_fips_mode_it_is_refused(keyring: Keyring) -> None:
    """Arrow's OpenSSL is not the module's."""

    class Fips(Watching):
        class policy:
            fips_mode = True

    for refused in (ParquetEncryption, KeyringKmsClient):
        with pytest.raises(AlgorithmNotAllowedError, match="OpenSSL of its own"):
            refused(Fips(keyring))


def test_the_configuration_is_what_it_is_said_to_be(keys: ParquetEncryption) -> None:
    """Arrow's defaults are others."""
    made = keys.configuration("footers", COLUMNS)
    assert made.encryption_algorithm == "AES_GCM_V1"
    assert made.data_key_length_bits == 256
    assert made.cache_lifetime.total_seconds() == 0
    assert not made.plaintext_footer
    assert made.column_keys == COLUMNS
    assert arrow_encryption.EncryptionConfiguration("x").data_key_length_bits == 128
