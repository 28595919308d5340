"""Parquet modular encryption under the keys of a keyring, column by column.

    keys = ParquetEncryption(keyring)
    made = keys.encryption("footers", {"prices": ["price"], "people": ["name", "email"]})
    pyarrow.parquet.write_table(table, "sales.parquet", encryption_properties=made)
    pyarrow.parquet.read_table("sales.parquet", decryption_properties=keys.decryption())

Each column has a data key of its own, which its named key wraps: who may not use that key does not
read the column, and reads the others. Arrow encrypts (AES-GCM of its own OpenSSL), and the format
is that of Apache Parquet: any reader of it with this key management opens the file.
"""

from __future__ import annotations

import base64
import binascii
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

from mycelium_fractal_net.integrations.application import application_keyring
from mycelium_fractal_net.integrations.key_material import (
    material_path,
    rewrap_material,
    rewrapped,
)
from mycelium_fractal_net.integrations.parquet_folders import (
    FolderRotation,
    keys_inside,
    refusal,
    rotate_each,
)
from mycelium_fractal_net.security.errors import (
    AlgorithmNotAllowedError,
    DecryptionError,
    InvalidInputError,
    unusable_extra,
)
from mycelium_fractal_net.security.fips.process import proven
from mycelium_fractal_net.security.records.keys import parse_key_id

try:
    from pyarrow.fs import FileSelector, LocalFileSystem
    from pyarrow.parquet import encryption as parquet
except ImportError as error:
    raise unusable_extra("Parquet encryption", "pyarrow", error) from None

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["FolderRotation", "KeyringKmsClient", "ParquetEncryption"]

DATA_KEY_BITS: Final = 256  # Arrow's own default is 128
WRAPPED_FOR: Final = b"mycelium-fractal-net/parquet-key/v1"
"""The associated data of each wrapped key: no other message opens as one, and it as no other."""

_NOTHING_KEPT: Final = timedelta(0)
_PARTING: Final = frozenset(",;:")  # what parts columns and keys in Arrow's configuration


class WrapsKeys(Protocol):
    """What wraps: a :class:`Keyring`, or a :class:`~mycelium_fractal_net.client.Client`."""

    def encrypt(self, data: bytes, /, *, key_id: str, associated_data: bytes) -> bytes:
        """Seal under the newest version of that key."""

    def decrypt(self, message: bytes, /, *, key_id: str, associated_data: bytes) -> bytes:
        """Open what that key sealed."""

    def rewrap(self, message: bytes, /, *, associated_data: bytes) -> bytes:
        """The same under the newest version of its key."""


def _refuse_in_fips_mode(keys: object) -> None:
    """A client of the service has no policy here, and the mode is one of the process."""
    of_keyring = getattr(getattr(keys, "policy", None), "fips_mode", False)
    if of_keyring or proven() is not None:
        raise AlgorithmNotAllowedError(
            "security.fips_mode: Arrow encrypts with an OpenSSL of its own, not with the module's"
        )


class KeyringKmsClient(parquet.KmsClient):  # type: ignore[misc]
    """Wraps the keys of Parquet files by named keys: sealed messages in base64.

    For whoever has a factory of his own: ``CryptoFactory(KeyringKmsClient.factory(keys))``.
    """

    def __init__(self, keys: WrapsKeys) -> None:
        super().__init__()
        _refuse_in_fips_mode(keys)
        self._keys = keys

    @classmethod
    def factory(cls, keys: WrapsKeys) -> Any:
        """What a ``CryptoFactory`` is made of."""
        return lambda _connection: cls(keys)

    def wrap_key(self, key_bytes: bytes, master_key_identifier: str) -> bytes:
        """``key_bytes`` sealed under the newest version of the key of that name."""
        sealed = self._keys.encrypt(
            key_bytes, key_id=master_key_identifier, associated_data=WRAPPED_FOR
        )
        return base64.b64encode(sealed)

    def unwrap_key(self, wrapped_key: str, master_key_identifier: str) -> bytes:
        """The key again. Raises :class:`DecryptionError`."""
        try:
            sealed = base64.b64decode(wrapped_key, validate=True)
        except (binascii.Error, ValueError):
            raise DecryptionError from None
        return self._keys.decrypt(sealed, key_id=master_key_identifier, associated_data=WRAPPED_FOR)


class ParquetEncryption:
    """Properties with which pyarrow writes and reads encrypted Parquet files.

    ``keys`` is a keyring, by default that of the application, or a client of the service, where
    the scopes ``encrypt:KEY`` and ``decrypt:KEY`` decide who writes and reads which columns.

    Data keys have 256 bits, and named keys wrap them. With ``double_wrapping`` they wrap
    key-encryption keys that wrap data keys: fewer requests to a service, but Arrow gives those keys
    128 bits. No key is kept from one file to the next, so that what is done to a named key holds as
    soon as the keyring knows of it.

    Raises :class:`AlgorithmNotAllowedError` in FIPS mode: Arrow brings an OpenSSL of its own.
    """

    def __init__(self, keys: WrapsKeys | None = None, *, double_wrapping: bool = False) -> None:
        self.keys: Any = application_keyring() if keys is None else keys
        _refuse_in_fips_mode(self.keys)
        self.double_wrapping = double_wrapping
        self.factory = parquet.CryptoFactory(KeyringKmsClient.factory(self.keys))
        self.connection = parquet.KmsConnectionConfig()

    def configuration(
        self,
        footer_key: str,
        columns: Mapping[str, Sequence[str]] | None = None,
        *,
        outside: bool = False,
    ) -> Any:
        """An ``EncryptionConfiguration``, as ``pyarrow.dataset.ParquetEncryptionConfig`` takes it.

        ``columns`` gives for each key the columns that it encrypts, ``person.name`` for a part of
        one; others stay in the clear, unless ``columns`` is None: then ``footer_key`` encrypts all.
        The footer, with names and statistics, is always encrypted.
        """
        for name in (footer_key, *(columns or ())):
            if parse_key_id(name)[1] is not None:
                raise InvalidInputError("name keys without a version: the newest one wraps")
        for column in (each for group in (columns or {}).values() for each in group):
            if _PARTING & set(column) or column != column.strip() or not column:
                raise InvalidInputError("Arrow's configuration cannot name a column like that")
        which: dict[str, Any] = {"uniform_encryption": True}
        if columns is not None:
            which = {"column_keys": {key: list(group) for key, group in columns.items()}}
        return parquet.EncryptionConfiguration(
            footer_key,
            encryption_algorithm="AES_GCM_V1",  # the other leaves pages without a tag
            plaintext_footer=False,
            double_wrapping=self.double_wrapping,
            cache_lifetime=_NOTHING_KEPT,
            internal_key_material=not outside,
            data_key_length_bits=DATA_KEY_BITS,
            **which,
        )

    @property
    def decryption_configuration(self) -> Any:
        """A ``DecryptionConfiguration``, for ``pyarrow.dataset.ParquetDecryptionConfig`` too."""
        return parquet.DecryptionConfiguration(cache_lifetime=_NOTHING_KEPT)

    def encryption(
        self,
        footer_key: str,
        columns: Mapping[str, Sequence[str]] | None = None,
        *,
        path: str | Path | None = None,
        filesystem: Any = None,
    ) -> Any:
        """The ``encryption_properties`` of one file; see :meth:`configuration`.

        With ``path`` its wrapped keys lie beside it, in ``_KEY_MATERIAL_FOR_NAME.json``, which
        alone :meth:`rotate` writes; without, in its footer, which is never written again.
        """
        made = self.configuration(footer_key, columns, outside=path is not None)
        return self.factory.file_encryption_properties(self.connection, made, path, filesystem)

    def decryption(self, path: str | Path | None = None, filesystem: Any = None) -> Any:
        """The ``decryption_properties`` of files; of one whose keys lie beside it by its path.

        What the keyring raises for a column passes through where that is read.
        """
        return self.factory.file_decryption_properties(
            self.connection, self.decryption_configuration, path, filesystem
        )

    def rotate(self, path: str | Path, filesystem: Any = None) -> None:
        """Move the keys that lie beside a file to their newest versions.

        The data keys and the file stay as they are, and no key is opened here by a client of the
        service: the scope ``rewrap:KEY`` is enough. On this machine the keys are replaced at once,
        or not at all; in a ``filesystem`` of pyarrow as it does that: S3 and others at once too.
        Not while another does so. Raises :class:`InvalidInputError` for what is no key material,
        and for a file whose keys stand in its footer, which do not move; and what ``rewrap`` does.
        Then nothing was changed.
        """
        try:
            self._rotate(material_path(path), filesystem)
        except FileNotFoundError:
            store = LocalFileSystem() if filesystem is None else filesystem
            if keys_inside(store, Path(path).as_posix()):
                raise refusal() from None
            raise

    def rotate_folder(self, folder: str | Path, filesystem: Any = None) -> FolderRotation:
        """:meth:`rotate` for each file below a folder, and which there are whose keys do not move.

        Old versions may go only where the answer is ``complete``: of a dataset, whose keys stand in
        its footers, it never is. One file that fails stops no other. Of each file that has no keys
        beside it the last four bytes are read.
        """
        store = LocalFileSystem() if filesystem is None else filesystem
        found = store.get_file_info(FileSelector(Path(folder).as_posix(), recursive=True))
        paths = (each.path for each in found if each.is_file)
        return rotate_each(paths, lambda path: self.rotate(path, filesystem), store)

    def _rotate(self, place: Path, filesystem: Any) -> None:
        if filesystem is None:
            rewrap_material(place, self._moved)
            return
        with filesystem.open_input_stream(place.as_posix()) as file:
            moved = rewrapped(file.read(), self._moved)
        with filesystem.open_output_stream(place.as_posix()) as file:
            file.write(moved)

    def _moved(self, message: bytes) -> bytes:
        return bytes(self.keys.rewrap(message, associated_data=WRAPPED_FOR))
