"""What a sealed file is called, to be bound into it or compared: alone, or in a folder."""

from __future__ import annotations

import os
from pathlib import Path

from msgspec.structs import replace

from mycelium_fractal_net.files.walk import SEALED_SUFFIX
from mycelium_fractal_net.security.records.file_names import FileName
from mycelium_fractal_net.security.records.open_options import OpenOptions


def file_name(path: Path, below: Path | None = None, *, required: bool = False) -> FileName:
    """The name of the sealed file ``path``; its path from the folder ``below`` in a run there."""
    whole = _absolute(path)
    if whole.suffix == SEALED_SUFFIX:
        whole = whole.with_suffix("")
    folder = whole.parent if below is None else _absolute(below)
    name = whole.relative_to(folder).as_posix()
    return FileName(name, folder.as_posix().strip("/"), required)


def _absolute(path: Path) -> Path:
    return Path(os.path.normpath(path.absolute()))  # not resolved: a link has a name of its own


def named_options(
    options: OpenOptions, path: Path, below: Path | None = None, *, required: bool = False
) -> OpenOptions:
    """How ``path`` is opened: under the name that ``options`` give, otherwise under its own."""
    if options.name is not None:
        return options
    return replace(options, name=file_name(path, below, required=required))
