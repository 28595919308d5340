"""The file beside a Parquet file that its wrapped keys lie in, moved to the newest versions.

It is ``_KEY_MATERIAL_FOR_NAME.json``: JSON that has for each key of the file a text, which is JSON
again ("Parquet: external key material", PKMT1). Arrow's own rotation opens every key, removes the
file and then renames another into its place, of which nothing was synced: a crash between may lose
all keys. Here keys are moved as messages are, by ``rewrap``, and the file is replaced at once.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from mycelium_fractal_net.files.new_file import new_file
from mycelium_fractal_net.security.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Callable

_TYPE: Final = "PKMT1"
_BEFORE, _BEHIND = "_KEY_MATERIAL_FOR_", ".json"


def material_path(path: str | Path) -> Path:
    """Where the keys of the Parquet file ``path`` lie."""
    file = Path(path)
    return file.with_name(f"{_BEFORE}{file.name}{_BEHIND}")


def described_by(path: str) -> str | None:
    """Of which Parquet file ``path`` has the keys; None where by its name it has none."""
    folder, slash, name = path.rpartition("/")
    file = name.removeprefix(_BEFORE).removesuffix(_BEHIND)
    return None if not file or name != f"{_BEFORE}{file}{_BEHIND}" else folder + slash + file


def rewrap_material(path: Path, rewrap: Callable[[bytes], bytes]) -> None:
    """Replace the file by one whose keys ``rewrap`` has moved; it is on the disk when this returns.

    Raises :class:`InvalidInputError` where it is no key material, and what ``rewrap`` does; then
    nothing was changed.
    """
    text = rewrapped(path.read_bytes(), rewrap)
    with new_file(path, path.stat(), force=True) as file:
        file.write(text)


def rewrapped(text: bytes, rewrap: Callable[[bytes], bytes]) -> bytes:
    """The content of the file after ``rewrap``; a key that stands in it twice is moved once."""
    moved: dict[str, str] = {}
    made = {}
    for name, entry in _object(text.decode("utf-8", "replace")).items():
        material = _object(entry)
        field = "wrappedKEK" if material.get("doubleWrapping") is True else "wrappedDEK"
        wrapped = material.get(field)
        if material.get("keyMaterialType") != _TYPE or not isinstance(wrapped, str):
            raise _no_material()
        if wrapped not in moved:
            try:
                message = base64.b64decode(wrapped, validate=True)
            except ValueError:
                raise _no_material() from None
            moved[wrapped] = base64.b64encode(rewrap(message)).decode()
        made[name] = json.dumps(material | {field: moved[wrapped]}, separators=(",", ":"))
    return json.dumps(made, separators=(",", ":")).encode()


def _object(text: Any) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, TypeError, RecursionError):
        raise _no_material() from None
    if not isinstance(found, dict):
        raise _no_material()
    return found


def _no_material() -> InvalidInputError:
    return InvalidInputError("it is no key material of a Parquet file")
