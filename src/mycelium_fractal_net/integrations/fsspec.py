"""Sealed files in any file system of fsspec: ``mfn::s3://bucket/sales.parquet``.

    pandas.read_parquet("mfn::s3://bucket/sales.parquet")
    frame.to_parquet("mfn::s3://bucket/sales.parquet", storage_options={"key_id": "sales"})

Reading takes the parts that are asked for, each authenticated; a file that was cut yields nothing.
Writing publishes a file when it is closed, whole, and never after an exception. Names, folders and
what lies in a store are what they are; contents and sizes are those of the plaintext.
"""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final

from mycelium_fractal_net.files.recipients import (
    open_reader_with,
    open_writer_to,
    read_identities,
    read_recipients,
)
from mycelium_fractal_net.integrations.application import application_keyring
from mycelium_fractal_net.integrations.publishing import LocalPlace, PublishedFile, RemotePlace
from mycelium_fractal_net.security.byte_io.binary_io import HEAD_BYTES, read_fully
from mycelium_fractal_net.security.byte_io.delivered import delivered
from mycelium_fractal_net.security.byte_io.private import check_private
from mycelium_fractal_net.security.errors import DecryptionError, InvalidInputError, unusable_extra
from mycelium_fractal_net.security.records.file_names import FileName
from mycelium_fractal_net.security.records.open_options import OpenOptions
from mycelium_fractal_net.security.sealed.addressed_layout import (
    IDENTITY,
    RECIPIENT,
    SEALED_IDENTITY,
    header_bytes_at_most,
    is_addressed,
    parse_addressed_header,
)
from mycelium_fractal_net.security.sealed.layout import plain_bytes, plaintext_bytes

try:
    import fsspec
    from fsspec.implementations.chained import ChainedFileSystem
    from fsspec.implementations.local import LocalFileSystem
    from fsspec.utils import stringify_path, tokenize
except ImportError as error:
    raise unusable_extra("files by fsspec", "fsspec", error) from None

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mycelium_fractal_net.security.keyring.keyring import Keyring
    from mycelium_fractal_net.security.sealed.reader import SealedReader
    from mycelium_fractal_net.security.sealed.recipients import Recipient, RecipientKey

__all__ = ["MfnFileSystem"]

Info = dict[str, Any]

_BEGINNING_BYTES: Final = 1 << 16  # of an object, fetched in one request as it is opened
_MAGIC_BYTES: Final = 3
_AHEAD_BYTES: Final = 1 << 22  # at most, for who reads from beginning to end
_BUFFER_BYTES: Final = 1 << 16  # for whoever reads line by line


class MfnFileSystem(ChainedFileSystem):  # type: ignore[misc]
    """The file system ``mfn``, over another one.

    ``key_id`` seals (the default key where it is not given), and ``associated_data`` is bound to
    every file, as text or bytes. With ``bind_below``, a folder, files are bound to the path that
    they have below it, and only such are opened: nobody can put one in the place of another. With
    ``suffix``, such as ``.mfn``, files have it in the store, and not here, where others are not
    seen. ``keyring`` is that of the application (:mod:`.application`) where none is given; one that
    is given does not go to other processes.

    With ``to`` files are sealed to recipients in place of a key: the path of a file of public keys,
    a line of one as text, a :class:`Recipient`, or several of them. With ``identity`` what was
    sealed to one of those private keys is opened: the path of a file that nobody else may read, a
    :class:`RecipientKey`, which does not go to other processes, or several. No key store is needed
    for either.

    Beside what the other file system raises, opening raises what :meth:`Keyring.open_reader` and
    :meth:`Keyring.open_writer` do.
    """

    protocol: ClassVar[str] = "mfn"
    cachable = False  # by their options, two keyrings would be one

    def __init__(
        self,
        fs: Any = None,
        *,
        fo: str = "",
        target_protocol: str = "file",
        target_options: dict[str, Any] | None = None,
        keyring: Keyring | None = None,
        key_id: str | None = None,
        to: Any = (),
        identity: Any = (),
        associated_data: str | bytes = b"",
        bind_below: str | None = None,
        suffix: str = "",
        allow_compromised: bool = False,
        **options: Any,
    ) -> None:
        """``fs``, or what ``target_protocol`` and ``target_options`` name, is the other one."""
        super().__init__(**options)
        del fo  # the path comes with each call
        self.fs = fs or fsspec.filesystem(target_protocol, **(target_options or {}))
        # Of the class in fsspec; what is a path is the other file system's to say.
        self.sep, self.root_marker = self.fs.sep, self.fs.root_marker
        self._strip_protocol = self._here
        self._parent = self._above
        self._keyring = keyring
        self._key_id = key_id
        self._to, self._identity = _several(to), _several(identity)
        if self._to and key_id is not None:
            raise InvalidInputError("files are sealed to recipients or under a key, not both")
        self._bound = (
            associated_data.encode() if isinstance(associated_data, str) else associated_data
        )
        self._below = None if bind_below is None else self._here(bind_below)
        self._suffix = suffix
        self._allow_compromised = allow_compromised

    @property
    def keyring(self) -> Keyring:
        """The keyring that seals and opens."""
        return self._keyring or application_keyring()

    @cached_property
    def _recipients(self) -> list[Recipient]:
        return [one for each in self._to for one in _recipients_of(each)]

    @cached_property
    def _identities(self) -> list[RecipientKey]:
        return [one for each in self._identity for one in _identities_of(each)]

    @property
    def _fs_token(self) -> Any:
        # Keys show nothing of themselves: two would be one for who keeps what was read.
        keys = [each.public.line() for each in self._identity if not _is_path(each)]
        return tokenize(self._fs_token_, self.fs._fs_token, id(self._keyring), keys)

    # Names --------------------------------------------------------------------------------

    def _here(self, path: Any) -> Any:
        """A path as the other file system has it."""
        path = stringify_path(path)
        if isinstance(path, str):
            for prefix in ("mfn::", "mfn://"):
                path = path.removeprefix(prefix)
            return self.fs._strip_protocol(path)
        return [self._here(each) for each in path]

    def _above(self, path: str) -> str:
        """The folder that a path is in."""
        return str(self.fs._parent(self._here(path)))

    def _place(self, path: str) -> str:
        """The folder of that path, or the file as it is called in the store."""
        path = self._here(path)
        return path if not self._suffix or self.fs.isdir(path) else self._stored(path)

    def unstrip_protocol(self, name: str) -> str:
        """The URL, such as ``mfn::s3://bucket/x``."""
        return f"mfn::{self.fs.unstrip_protocol(self._here(name))}"

    def _stored(self, path: str) -> str:
        path = self._here(path)
        return path if path.endswith(self._suffix) else path + self._suffix

    def _name(self, path: str) -> FileName:
        """What a file is called, for what is bound into it."""
        path = path.removesuffix(self._suffix)
        if self._below is not None:
            root = self._below.rstrip("/") + "/"
            if not path.startswith(root):
                raise InvalidInputError("the path is not below the folder of bind_below")
            return FileName(path.removeprefix(root).removesuffix(".mfn"), required=True)
        above, _, name = path.strip("/").rpartition("/")
        return FileName(name.removesuffix(".mfn"), above)

    # Contents -----------------------------------------------------------------------------

    def open(
        self,
        path: str,
        mode: str = "rb",
        block_size: int | None = None,
        cache_options: Any = None,
        compression: str | None = None,
        **more: Any,
    ) -> Any:
        """A file, as fsspec has it. ``fsspec.open`` compresses what is written, this does not."""
        if compression is not None and "r" not in mode:
            # What compresses closes nothing below it, so that the file would never be whole.
            raise NotImplementedError("to write compressed files use fsspec.open(…, compression=…)")
        return super().open(path, mode, block_size, cache_options, compression, **more)

    def _open(
        self,
        path: str,
        mode: str = "rb",
        block_size: int | None = None,
        autocommit: bool = True,
        cache_options: Any = None,
        **more: Any,
    ) -> Any:
        del cache_options
        stored = self._stored(path)
        if mode == "rb":
            return self._reading(path, stored, block_size or _BUFFER_BYTES, **more)
        if mode not in ("wb", "xb"):
            raise NotImplementedError("a sealed file is read, or written anew; not appended to")
        force = mode == "wb"
        place: LocalPlace | RemotePlace
        if isinstance(self.fs, LocalFileSystem):
            if self.fs.auto_mkdir:
                self.fs.makedirs(self.fs._parent(stored), exist_ok=True)
            place = LocalPlace(stored, force=force)
        else:
            place = RemotePlace(self.fs, stored, force=force)

        def seal(file: Any) -> Any:
            name = None if self._below is None else self._name(stored)
            bound = self._bound
            if self._to:
                return open_writer_to(self._recipients, file, associated_data=bound, name=name)
            return self.keyring.open_writer(
                file, key_id=self._key_id, associated_data=bound, name=name
            )

        return PublishedFile(place, seal, path, mode, autocommit=autocommit)

    def _reading(self, path: str, stored: str, buffer_bytes: int, **more: Any) -> OpenedFile:
        options = OpenOptions(
            self._bound, allow_compromised=self._allow_compromised, name=self._name(stored)
        )
        file: Any
        if isinstance(self.fs, LocalFileSystem):
            file = io.FileIO(stored)
        else:
            if not isinstance(self.fs, ChainedFileSystem):
                more.setdefault("cache_type", "none")  # what is read ahead is seldom what is next
            file = _Fetched(self.fs.open(stored, "rb", **more))
        try:
            return OpenedFile(self, path, file, self._reader(file, options), buffer_bytes)
        except BaseException:
            file.close()
            raise

    def _reader(self, file: Any, options: OpenOptions) -> SealedReader:
        addressed = is_addressed(file.read(_MAGIC_BYTES))
        file.seek(0)
        if not addressed:
            return self.keyring.open_reader(file, options)
        try:
            return open_reader_with(self._identities, file, options)
        except DecryptionError as error:
            if not self._identity:
                error.add_note("it is sealed to recipients: give identity=")
            raise

    def cat_file(
        self, path: str, start: int | None = None, end: int | None = None, **more: Any
    ) -> bytes:
        """The plaintext between two positions, as a slice has them: nothing where they cross."""
        with self.open(path, "rb", **more) as file:
            begin, stop, _ = slice(start, end).indices(file.size)
            file.seek(begin)
            return bytes(file.read(max(stop - begin, 0)))

    def pipe_file(self, path: str, value: Any, mode: str = "overwrite", **more: Any) -> None:
        """Seal ``value`` under that path, in folders that are made where they are not there."""
        self.makedirs(self._parent(path), exist_ok=True)
        with self.open(path, "xb" if mode == "create" else "wb", **more) as file:
            file.write(value)

    def ls(self, path: str, detail: bool = True, *, sizes: bool = True, **more: Any) -> Any:
        """What is at ``path``, as fsspec has it, with the sizes of the plaintexts.

        For these the first bytes of every file are read, in one call of the other file system.
        The size of what is no sealed file is None.
        """
        found = self.fs.ls(self._place(path), detail=True, **more)
        listed = self._plain(found, sizes=sizes and detail)
        return listed if detail else [each["name"] for each in listed]

    def info(self, path: str, *, sizes: bool = True, **more: Any) -> Info:
        """What is at ``path``: one request more than the other file system makes."""
        found = self.fs.info(self._place(path), **more)
        return self._plain([found], sizes=sizes)[0] | {"name": self._here(path)}

    def find(
        self,
        path: str,
        maxdepth: int | None = None,
        withdirs: bool = False,
        detail: bool = False,
        *,
        sizes: bool = True,
        **more: Any,
    ) -> Any:
        """All files below ``path``, in one listing where the other file system has that."""
        found = self.fs.find(
            self._place(path), maxdepth=maxdepth, withdirs=withdirs, detail=True, **more
        )
        listed = self._plain(found.values(), sizes=sizes and detail)
        if not detail:
            return [each["name"] for each in listed]
        return {each["name"]: each for each in listed}

    def glob(self, path: str, maxdepth: int | None = None, **more: Any) -> Any:
        """The files that match; their sizes are read where details are asked for."""
        return super().glob(path, maxdepth, **({"sizes": more.get("detail", False)} | more))

    def _plain(self, found: Iterable[Info], *, sizes: bool) -> list[Info]:
        """The entries of a listing as they are here."""
        entries = [
            entry
            for entry in found
            if entry["type"] != "file" or entry["name"].endswith(self._suffix)
        ]
        files = [entry for entry in entries if entry["type"] == "file"] if sizes else []
        heads: dict[str, Any] = {}
        if files:
            paths = [entry["name"] for entry in files]
            read = self.fs.cat_ranges(paths, 0, HEAD_BYTES, on_error="return")
            heads = dict(zip(paths, read, strict=True))
            heads |= self._addressed_heads(heads)
        plain = []
        for entry in entries:
            made = dict(entry)
            if entry["type"] == "file":
                made["name"] = entry["name"].removesuffix(self._suffix)
                made["sealed_size"] = entry["size"]
                made["size"] = _plain_size(heads.get(entry["name"]), entry["size"])
            plain.append(made)
        return plain

    def _addressed_heads(self, heads: dict[str, Any]) -> dict[str, Any]:
        """Those of files for so many recipients that the list of them is longer, whole."""
        ends = {
            path: end
            for path, head in heads.items()
            if isinstance(head, bytes) and (end := _end_of_list(head)) > HEAD_BYTES
        }
        if not ends:
            return {}
        read = self.fs.cat_ranges([*ends], [0] * len(ends), [*ends.values()], on_error="return")
        return dict(zip(ends, read, strict=True))

    def exists(self, path: str, **more: Any) -> bool:
        """Whether there is a file or folder."""
        return bool(self.fs.exists(self._place(path), **more))

    def isdir(self, path: str) -> bool:
        """Whether it is a folder."""
        return bool(self.fs.isdir(self._here(path)))

    def isfile(self, path: str) -> bool:
        """Whether it is a file."""
        return bool(self.fs.isfile(self._stored(path)))

    # What the other file system does, with what is sealed -----------------------------------

    def cp_file(self, path1: str, path2: str, **more: Any) -> None:
        """Copy what is sealed; where names are bound, it is opened and sealed anew."""
        if self.isdir(path1):
            self.makedirs(path2, exist_ok=True)
        elif self._below is None:
            self.fs.cp_file(self._stored(path1), self._stored(path2), **more)
        else:
            with self.open(path1, "rb") as reader, self.open(path2, "wb") as writer:
                while block := reader.read(1 << 20):
                    writer.write(block)

    def rm_file(self, path: str) -> None:
        """Remove a file."""
        self.fs.rm_file(self._stored(path))

    def rm(self, path: Any, recursive: bool = False, maxdepth: int | None = None) -> None:
        """Remove files and folders; of a folder all that is in it, sealed or not."""
        for each in [path] if isinstance(path, str) else path:
            for one in self.expand_path(each) if any(c in each for c in "*?[") else [each]:
                self.fs.rm(self._place(one), recursive=recursive, maxdepth=maxdepth)

    def mkdir(self, path: str, create_parents: bool = True, **more: Any) -> None:
        """Make a folder."""
        self.fs.mkdir(self._here(path), create_parents=create_parents, **more)

    def makedirs(self, path: str, exist_ok: bool = False) -> None:
        """Make a folder and those above it."""
        self.fs.makedirs(self._here(path), exist_ok=exist_ok)

    def rmdir(self, path: str) -> None:
        """Remove an empty folder."""
        self.fs.rmdir(self._here(path))

    def created(self, path: str) -> Any:
        """When a file was made."""
        return self.fs.created(self._stored(path))

    def modified(self, path: str) -> Any:
        """When a file was last written."""
        return self.fs.modified(self._stored(path))

    def invalidate_cache(self, path: str | None = None) -> None:
        """Have the other file system forget what it has listed."""
        self.fs.invalidate_cache(None if path is None else self._here(path))


def _plain_size(head: Any, size: int | None) -> int | None:
    if isinstance(head, bytes) and size is not None:
        try:
            if is_addressed(head):
                return plain_bytes(size - len(parse_addressed_header(head).raw))
            return plaintext_bytes(head, size)
        except DecryptionError:
            pass
    return None


def _end_of_list(head: bytes) -> int:
    try:
        return header_bytes_at_most(head) if is_addressed(head) else 0
    except DecryptionError:
        return 0


def _several(given: Any) -> tuple[Any, ...]:
    return tuple(given) if isinstance(given, Sequence) and not isinstance(given, str) else (given,)


def _is_path(given: Any) -> bool:
    return isinstance(given, str | os.PathLike)


def _recipients_of(given: Any) -> list[Recipient]:
    if not _is_path(given):
        return [given]
    if str(given).startswith(RECIPIENT):
        return read_recipients(given)
    return read_recipients(Path(given).read_bytes())


def _identities_of(given: Any) -> list[RecipientKey]:
    if not _is_path(given):
        return [given]
    if any(each in str(given) for each in (IDENTITY, SEALED_IDENTITY)):
        raise InvalidInputError("name the file of a private key: options are shown and kept")
    path = Path(given)
    if delivered(path) is None:
        check_private(path)
    return read_identities(path.read_bytes())


class OpenedFile(io.BufferedReader):
    """What ``open(…, "rb")`` gives: the plaintext, by position. It closes the sealed file too."""

    def __init__(
        self, fs: MfnFileSystem, path: str, file: Any, reader: SealedReader, buffer_bytes: int
    ) -> None:
        super().__init__(reader, buffer_bytes)
        self._file = file
        self.fs = fs
        self.path = path
        self.size = reader.size

    def close(self) -> None:
        """Close both."""
        try:
            super().close()
        finally:
            self._file.close()

    def __reduce__(self) -> Any:
        return _again, (self.fs, self.path, self.tell())


def _again(fs: MfnFileSystem, path: str, position: int) -> Any:
    file = fs.open(path, "rb")
    file.seek(position)
    return file


class _Fetched:
    """A file of a store, in few requests.

    Its beginning is fetched once: header and head lie in it. Who reads on from where it stopped
    gets more than was asked for, as much as it has read so far; who jumps gets no more.
    """

    def __init__(self, file: Any) -> None:
        self._file = file
        begin = bytearray(_BEGINNING_BYTES)
        self._begin = bytes(begin[: read_fully(file, memoryview(begin))])
        self._ahead, self._ahead_at = b"", 0
        self._read_on = 0  # bytes that were fetched one after the other
        self._position = 0

    def read(self, size: int, /) -> bytes:
        data = self._held(size)
        if len(data) < size:
            at = self._position + len(data)
            wanted = size - len(data)
            if at != self._ahead_at + len(self._ahead):
                self._read_on = 0
            more = max(wanted, min(self._read_on, _AHEAD_BYTES))
            self._file.seek(at)
            self._ahead, self._ahead_at = bytes(self._file.read(more)), at
            self._read_on += len(self._ahead)
            data += self._ahead[:wanted]
        self._position += len(data)
        return data

    def _held(self, size: int) -> bytes:
        """What of the next ``size`` bytes is here, from the first on."""
        for at, part in ((0, self._begin), (self._ahead_at, self._ahead)):
            if at <= self._position < at + len(part):
                return part[self._position - at :][:size]
        return b""

    def seek(self, offset: int, whence: int = 0, /) -> int:
        self._position = self._file.seek(offset, whence) if whence == 2 else offset
        return self._position

    def tell(self) -> int:
        return self._position

    def close(self) -> None:
        self._file.close()
