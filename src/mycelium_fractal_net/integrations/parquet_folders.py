"""The Parquet files below a folder: whose keys lie beside them and move, and whose do not.

A file whose keys stand in its footer ends in ``PARE`` (Parquet modular encryption, encrypted
footer) and has no key material beside it. That footer is never written again, and so it names for
ever the versions that were the newest when the file was written.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from mycelium_fractal_net.integrations.key_material import described_by, material_path
from mycelium_fractal_net.security.errors import InvalidInputError, MfnError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_MAGIC: Final = b"PARE"


@dataclass(frozen=True)
class FolderRotation:
    """What a rotation of a folder came to, by the paths of the Parquet files."""

    moved: list[str] = field(default_factory=list)
    """Whose keys lie beside them, and are under the newest versions now."""

    inside: list[str] = field(default_factory=list)
    """Whose keys stand in their footers, and stay as they are: the old versions are needed."""

    failed: dict[str, Exception] = field(default_factory=dict)
    """Whose keys were not moved, and stay as they were; and why."""

    @property
    def complete(self) -> bool:
        """Whether no file of the folder needs a version older than the newest."""
        return not self.inside and not self.failed


def rotate_each(paths: Iterable[str], rotate: Callable[[str], None], store: Any) -> FolderRotation:
    """Have ``rotate`` move the keys of each Parquet file; one that fails stops no other.

    ``paths`` are all files of a folder, in ``store``, a file system of pyarrow.
    """
    names, found = set(paths), FolderRotation()
    for path in sorted(names):
        file = described_by(path)
        if file is None:
            if material_path(path).as_posix() not in names and keys_inside(store, path):
                found.inside.append(path)
            continue
        try:
            rotate(file)
        except (MfnError, OSError) as error:
            found.failed[file] = error
        else:
            found.moved.append(file)
    return found


def keys_inside(store: Any, path: str) -> bool:
    """Whether the file is an encrypted Parquet file, by its last four bytes."""
    with store.open_input_file(path) as file:
        size = file.size()
        return bool(size > len(_MAGIC) and file.read_at(len(_MAGIC), size - len(_MAGIC)) == _MAGIC)


def refusal() -> InvalidInputError:
    """Of a file whose keys do not move."""
    return InvalidInputError(
        "its keys stand in its footer, which is never written again: keep their versions, or write"
        " the file anew, with path="
    )
