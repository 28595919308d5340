"""A sealed file that appears whole, or not at all, in any file system of fsspec.

What is sealed waits in a nameless file: on this machine's file system in the folder where it gets
its name, for other stores in the temporary folder, from where it is sent when it is whole. Nothing
but ciphertext is ever in either.
"""

from __future__ import annotations

import contextlib
import logging
import os
import stat
import sys
from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Any, Final, NoReturn

from mycelium_fractal_net.files.new_file import new_file
from mycelium_fractal_net.files.permissions import umask

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import BinaryIO, Self

    from mycelium_fractal_net.security.byte_io.buffers import Buffer
    from mycelium_fractal_net.security.sealed.writer import SealedWriter

_LOG: Final = logging.getLogger(__name__)
_BY_EVERYBODY: Final = 0o666  # as open(2) is asked for, and the umask takes away from


class LocalPlace:
    """A name in a folder of this machine."""

    def __init__(self, path: str, *, force: bool) -> None:
        """Raises :class:`FileExistsError` where it is taken, unless ``force``."""
        target = Path(path)
        like = os.stat_result((_BY_EVERYBODY & ~umask(), *(0 for _ in range(9))))
        with contextlib.suppress(OSError):
            found = target.stat()
            if stat.S_ISREG(found.st_mode):
                like = found
        self._output = new_file(target, like, force=force)
        self.file: BinaryIO = self._output.__enter__()

    def publish(self) -> None:
        """Give the file its name, when it is on the disk."""
        self._output.__exit__(None, None, None)

    def discard(self) -> None:
        """Leave nothing of it."""
        with contextlib.suppress(_DiscardedError):
            self._output.__exit__(_DiscardedError, _DiscardedError(), None)


class RemotePlace:
    """A name in a store that fsspec knows."""

    def __init__(self, store: Any, path: str, *, force: bool) -> None:
        """Raises :class:`FileExistsError` where it is taken, unless ``force``."""
        self._store = store
        self._path = path
        self._force = force
        self._refuse_taken()
        self.file: Any = TemporaryFile()  # noqa: SIM115 - closed by both of what may follow

    def _refuse_taken(self) -> None:
        if not self._force and self._store.exists(self._path):
            raise FileExistsError(self._path)

    def publish(self) -> None:
        """Send it. What a store shows meanwhile is up to its driver, and opens for nobody."""
        with self.file as file:
            file.flush()
            self._refuse_taken()
            self._store.put_file(f"/proc/self/fd/{file.fileno()}", self._path)

    def discard(self) -> None:
        """Send nothing."""
        self.file.close()


class _DiscardedError(Exception):
    """What has a new file go away."""


class PublishedFile:
    """What ``open(…, "wb")`` gives: sealed as it is written, published when it is closed.

    Not where its ``with`` block raised, nor where it is closed while an exception is under way that
    was not when it was opened: wrappers such as ``fsspec.open`` and text files close what they
    wrap and do not say why. Then it is discarded, which is logged and noted on the exception.
    Whoever forgets to close it publishes nothing.
    """

    def __init__(
        self,
        place: LocalPlace | RemotePlace,
        seal: Callable[[Any], SealedWriter],
        path: str,
        mode: str,
        *,
        autocommit: bool,
    ) -> None:
        """Of a transaction, without ``autocommit``, :meth:`commit` publishes it."""
        self.path = path
        self.mode = mode
        self.autocommit = autocommit
        self._place = place
        self._under_way = sys.exc_info()[1]
        self._settled = False
        try:
            self._writer = seal(place.file)
        except BaseException:
            self._settled = True
            place.discard()
            raise

    def __repr__(self) -> str:
        return f"<PublishedFile {self.path}>"

    @property
    def closed(self) -> bool:
        """Whether it was closed."""
        return self._writer.closed

    @property
    def size(self) -> int:
        """The bytes of plaintext that were written."""
        return self._writer.size

    def readable(self) -> bool:
        """False."""
        return False

    def writable(self) -> bool:
        """Whether it is open."""
        return not self.closed

    def seekable(self) -> bool:
        """False."""
        return False

    def isatty(self) -> bool:
        """False."""
        return False

    def tell(self) -> int:
        """The bytes of plaintext that were written."""
        return self._writer.tell()

    def seek(self, *_: int) -> NoReturn:
        """What was sealed is not written again."""
        raise OSError("a sealed file is written from its beginning to its end")

    def write(self, data: Buffer, /) -> int:
        """Seal ``data``."""
        return self._writer.write(data)

    def flush(self) -> None:
        """Nothing: no part of it is of use to anybody."""

    def close(self) -> None:
        """Publish it, unless an exception is under way that was not when it was opened."""
        raised = sys.exc_info()[1]
        if raised is not None and raised is not self._under_way:
            self._drop(raised)
        else:
            self._finish()

    def _finish(self) -> None:
        if self.closed:
            return
        try:
            self._writer.close()
        except BaseException:
            self.discard()
            raise
        if self.autocommit:
            self.commit()

    def commit(self) -> None:
        """Publish what was closed."""
        if not self._settled:
            self._settled = True
            self._place.publish()

    def discard(self) -> None:
        """Publish nothing."""
        self._writer.abandon()
        if not self._settled:
            self._settled = True
            self._place.discard()

    def _drop(self, raised: BaseException) -> None:
        if self._settled:
            return
        self.discard()
        text = f"{self.path} was not published: an exception was under way as it was closed"
        _LOG.warning(text)
        raised.add_note(text)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self._finish()
        else:
            self._drop(error)

    def __del__(self) -> None:
        if hasattr(self, "_writer"):
            self.discard()
