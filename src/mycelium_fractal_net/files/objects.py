"""Sealed objects in a store that fsspec knows, moved to the newest versions of their keys.

An object is read, rewrapped into a nameless file of this machine, which holds ciphertext alone,
and sent back in a transaction of the store's driver, which ends only if the object is still what
was read. What that can promise is up to the store: docs/rewrap.md.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path, PurePosixPath
from tempfile import TemporaryFile
from typing import Any, Final, Unpack

from mycelium_fractal_net.files.file_run import FileOptions, FileRun
from mycelium_fractal_net.files.rewrapping import heads, rewrap_paths
from mycelium_fractal_net.files.walk import SEALED_SUFFIX, FileReport, reason_of
from mycelium_fractal_net.security.byte_io.binary_io import HEAD_BYTES
from mycelium_fractal_net.security.errors import (
    ConfigurationError,
    DecryptionError,
    FileBusyError,
    InvalidInputError,
    KeyNotFoundError,
    MfnError,
    MissingExtraError,
)
from mycelium_fractal_net.security.keyring.keyring import Keyring, MessageInfo
from mycelium_fractal_net.security.records.open_options import PLAIN, OpenOptions
from mycelium_fractal_net.security.sealed.addressed_layout import is_addressed

Before = Callable[[Iterable[bytes]], None]
Info = dict[str, Any]

_BATCH: Final = 256  # objects that are recorded and worked on together
_WORKERS: Final = 16  # by default: they wait for the store, not for a processor
_TRIES: Final = 3  # of an object that others change meanwhile
_COPY_BYTES: Final = 1 << 20

# By what drivers tell one state of an object from another: S3 and Azure, GCS, WebDAV, file
# systems, HDFS, memory. The size alone tells nothing.
_MARKS: Final = (
    *("ETag", "etag", "e_tag", "VersionId", "version_id", "generation", "md5Hash", "content_md5"),
    *("LastModified", "last_modified", "updated", "mtime", "modified", "created", "ino"),
)


def rewrap_objects(
    keyring: Keyring,
    url: str,
    options: OpenOptions = PLAIN,
    *,
    any_name: bool = False,
    finishing: str | None = None,
    before: Before | None = None,
    **how: Unpack[FileOptions],
) -> FileReport:
    """Move the object at ``url``, or every ``.mfn`` object below it, to its key's newest version.

    ``file://`` is what :func:`rewrap_paths` is for, and goes there. ``before`` gets the first
    bytes of each batch of messages before one of them is opened. Otherwise as there.

    Raises :class:`ConfigurationError` where fsspec or the store's driver is not installed,
    :class:`InvalidInputError` for a URL that none knows, :class:`FileNotFoundError`.
    """
    run = FileRun(**how)
    store = _Store(url)
    if store.is_local:
        path = Path(store.root)
        if before is not None:
            before(heads(keyring, [path], any_name=any_name))
        return rewrap_paths(keyring, [path], options, any_name=any_name, finishing=finishing, **how)

    report, work = run.report, _ObjectWork(keyring, store, options, run)
    look_at_all = any_name or finishing is not None
    with ThreadPoolExecutor(run.workers or _WORKERS, "mfn-object") as pool:
        found = store.objects(report, every=look_at_all)
        try:
            while batch := list(islice(found, _BATCH)):
                seen = list(pool.map(work.look, batch))
                chosen = [each for each in seen if _is_taken(each, report, any_name, finishing)]
                if before is not None and chosen:
                    before([each.head for each in chosen])
                for each, outcome in zip(chosen, pool.map(work.move, chosen), strict=True):
                    if isinstance(outcome, str):
                        report.fail(each.name, outcome)
                    else:
                        report.take(outcome)
                    if run.progress is not None:
                        run.progress(1)
        except BaseException:
            run.stop()
            pool.shutdown(cancel_futures=True)
            raise
    return report


@dataclass(frozen=True, slots=True)
class _Seen:
    """An object by its path in the store, its beginning, and what that says, if anything."""

    path: str
    name: str
    head: bytes
    info: MessageInfo | None
    error: Exception | None


def _is_taken(seen: _Seen, report: FileReport, any_name: bool, finishing: str | None) -> bool:
    if is_addressed(seen.head):  # for recipients: no key of the store has a part in it
        report.others += 1
        return False
    if PurePosixPath(seen.path).suffix == SEALED_SUFFIX:
        return True
    if any_name and (seen.info is not None or isinstance(seen.error, KeyNotFoundError)):
        return True
    if seen.info is not None and seen.info.key_id == finishing:
        report.fail(seen.name, f"is sealed, and its name does not end in {SEALED_SUFFIX}")
    elif finishing is not None and not isinstance(seen.error, DecryptionError | None):
        report.fail(seen.name, _reason(seen.error))
    else:
        report.others += 1
    return False


class _ObjectWork:
    """What the threads do with one object."""

    def __init__(self, keyring: Keyring, store: _Store, options: OpenOptions, run: FileRun) -> None:
        self._keyring = keyring
        self._store = store
        self._options = options
        self._run = run

    def look(self, path: str) -> _Seen:
        """Its beginning."""
        name = self._store.name(path)
        head, info, error = b"", None, None
        try:
            head = self._store.driver.cat_file(path, start=0, end=HEAD_BYTES)
            info = self._keyring.describe(head)
        except Exception as caught:  # a driver may raise whatever it likes
            error = caught
        return _Seen(path, name, head, info, error)

    def move(self, seen: _Seen) -> int | str | None:
        """Rewrap it; returns its size, None where it was skipped, or what failed."""
        error = seen.error
        if error is None and seen.info is not None:
            if seen.info.newest:
                return None
            for _ in range(_TRIES):
                try:
                    return self._rewrap(seen.path)
                except FileBusyError as caught:
                    error = caught
                    continue
                except Exception as caught:  # as above
                    error = caught
                    break
        return _reason(error)

    def _rewrap(self, path: str) -> int | None:
        driver = self._store.driver
        marks = _marks(driver.info(path))
        if self._keyring.describe(driver.cat_file(path, start=0, end=HEAD_BYTES)).newest:
            return None
        with TemporaryFile() as made:
            with driver.open(path, "rb") as reader:
                self._keyring.rewrap_stream(reader, made, self._options, progress=self._run.watch)
            size = made.tell()
            made.seek(0)
            with driver.transaction:
                with driver.open(path, "wb") as writer:
                    while block := made.read(_COPY_BYTES):
                        self._run.watch(0)
                        writer.write(block)
                if _marks(driver.info(path)) != marks:
                    raise FileBusyError("was changed meanwhile; it was left as it is")
        return size


class _Store:
    """The store that a URL names, with a driver for each thread: a transaction is a driver's."""

    def __init__(self, url: str) -> None:
        try:
            from fsspec.core import url_to_fs
        except ModuleNotFoundError:
            raise MissingExtraError("a path in an object store", "fsspec") from None
        try:
            self._driver, self.root = url_to_fs(url)
        except ImportError as error:
            raise ConfigurationError(f"this store needs its driver: {error}") from None
        except ValueError:
            raise InvalidInputError("no store of fsspec has a URL that begins like this") from None
        self._local = threading.local()

    @property
    def is_local(self) -> bool:
        """Whether it is the file system of this machine."""
        from fsspec.implementations.local import LocalFileSystem

        return isinstance(self._driver, LocalFileSystem)

    @property
    def driver(self) -> Any:
        """The driver of this thread, without a memory of what it has listed."""
        found = getattr(self._local, "driver", None)
        if found is None:
            options = dict(self._driver.storage_options)
            options |= {"use_listings_cache": False, "skip_instance_cache": True}
            found = self._local.driver = type(self._driver)(*self._driver.storage_args, **options)
        return found

    def name(self, path: str) -> str:
        """The object's URL, without what gives access to it."""
        return str(self._driver.unstrip_protocol(path))

    def objects(self, report: FileReport, *, every: bool) -> Iterator[str]:
        """The paths of the objects, one listing of a folder at a time."""
        if not self.driver.isdir(self.root):
            self.driver.info(self.root)  # raises where there is nothing
            yield self.root
            return
        folders = [self.root]
        while folders:
            folder = folders.pop()
            try:
                entries: Iterable[Info] = self.driver.ls(folder, detail=True)
            except Exception as error:  # whatever the driver raises, the other folders go on
                report.fail(self.name(folder), _reason(error))
                continue
            for entry in entries:
                path = str(entry["name"])
                if entry.get("type") == "directory":
                    folders.append(path)
                elif every or path.endswith(SEALED_SUFFIX):
                    yield path
                else:
                    report.others += 1


def _marks(info: Info) -> tuple[object, ...]:
    """What changes with an object. Raises :class:`FileBusyError` where the store tells nothing."""
    found = tuple(info[name] for name in _MARKS if info.get(name) is not None)
    if not found:
        raise OSError("the store does not say when an object was changed; it was left as it is")
    return (info.get("size"), *found)


def _reason(error: Exception | None) -> str:
    """An error in one line; of a driver's own its class alone, since it may quote an address."""
    if isinstance(error, MfnError | OSError):
        return reason_of(error)
    return f"the store's driver failed: {type(error).__name__}"
