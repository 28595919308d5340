"""The list of names in docs/library.md, from the code.

What is public is said by docs/stability.md: the names in ``__all__`` of :data:`MODULES`, and what
their classes have.
"""

from __future__ import annotations

import enum
import importlib
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

PACKAGE: Final = "mycelium_fractal_net"
PAGE: Final = Path(__file__).resolve().parent.parent / "docs" / "library.md"
BEGIN, END = "<!-- names -->\n", "<!-- end of names -->\n"
MODULES: Final[dict[str, str]] = {
    "": "what most programs need",
    "client": "the service over HTTP; the extra `client`",
    "fips": "FIPS mode of the process",
    "files": "files and folders, each whole under its name or not at all",
    "columns": "messages in columns of a database that is yours",
    "security.aes_encryption": "plain AES-256-GCM",
    "security.errors": "every error",
    "security.key_providers": "where keys come from, and who holds the master key",
    "security.request_signing": "signed requests in front of an application",
    "security.rotation": "keys that are rotated on schedule",
    "integrations.application": "the keyring that all integrations use",
    "integrations.django": "the extra `django`",
    "integrations.sqlalchemy": "encrypted columns",
    "integrations.sqlalchemy.rows": "values that are bound to their row",
    "integrations.sqlalchemy.migrations": "for Alembic's `env.py`",
    "integrations.fsspec": "the extra `fsspec`",
    "integrations.pyarrow": "the extra `pyarrow`",
    "integrations.numpy": "the extra `numpy`",
    "integrations.safetensors": "the extra `numpy`",
}
CHOSEN: Final[dict[str, tuple[str, ...]]] = {
    "files": (
        "open_file", "open_tree", "rewrap_file", "rewrap_objects", "rewrap_paths", "seal_file",
        "seal_tree",
    ),
    "columns": (
        "EncryptedField",
        "Fernet",
        "MessageColumn",
        "Plaintext",
        "django_fernet_keys",
        "fill_column",
        "rewrap_column",
        "sqlalchemy_utils_key",
        "take_over_column",
    ),
}  # fmt: skip
"""Of these modules the other names are for the command line."""
_ROLE: Final = re.compile(r":\w+:`[.~]*(?:!)?([\w.]+)`")
_LITERAL: Final = re.compile(r"``([^`]+)``")
_MADE: Final = re.compile(r"[Mm]ade by :|as a context manager, or|whose service is awaited")
_OF_VALUES: Final = ("bytes", "str", "int", "tuple", "object", "ABC", "Generic", "Protocol")


def module_named(name: str) -> Any:
    """One of the modules; the first is the package itself."""
    return importlib.import_module(f"{PACKAGE}.{name}" if name else PACKAGE)


def public_names(name: str) -> list[str]:
    """The public names of one of the modules."""
    return sorted(CHOSEN.get(name, module_named(name).__all__), key=str.lower)


def first_sentence(thing: object) -> str:
    """Of its docstring, as Markdown; nothing where it has none of its own."""
    text = inspect.getdoc(thing) or ""
    flat = " ".join(text.partition("\n\n")[0].split())
    flat = _ROLE.sub(lambda m: f"`{m[1].removeprefix(PACKAGE + '.')}`", flat)
    flat = _LITERAL.sub(r"`\1`", flat)
    sentence = re.split(r"(?<=[.;:])\s+(?=[A-Z`])", flat)[0].rstrip(".;: ")
    return sentence.replace("|", "\\|").replace("<", "&lt;")


def called(name: str, thing: Any) -> str:
    """A name with what it is called with; what may be left away ends in ``=``."""
    if inspect.isclass(thing) and _MADE.search(inspect.getdoc(thing) or ""):
        return name
    if fields := getattr(thing, "__struct_fields__", ()):
        return f"{name}({', '.join(f'{each}=' for each in fields)})"
    try:
        given = list(inspect.signature(thing).parameters.values())
    except (TypeError, ValueError):
        return name
    if [each.name for each in given] == ["args", "kwargs"]:
        return name
    shown = []
    for each in given:
        if each.name in ("self", "cls") or each.name.startswith("_"):
            continue
        star = "*" * ((each.kind is each.VAR_POSITIONAL) + 2 * (each.kind is each.VAR_KEYWORD))
        optional = "=" if each.default is not each.empty else ""
        shown.append(f"{star}{each.name}{optional}")
    return f"{name}({', '.join(shown)})"


def members(kind: type) -> Iterator[tuple[str, Any]]:
    """What a class of ours has that says what it does; of one that extends others' nothing."""
    ours = [base for base in kind.__mro__ if base.__module__.startswith(PACKAGE)]
    if any(base not in ours and base.__name__ not in _OF_VALUES for base in kind.__mro__):
        return
    if issubclass(kind, BaseException) or kind.__name__.startswith("Async"):
        return  # the latter as those without, and awaited
    for name in sorted({name for base in ours for name in vars(base)}):
        thing = inspect.getattr_static(kind, name)
        if name.startswith("_") or isinstance(thing, type):
            continue
        if isinstance(thing, staticmethod | classmethod):
            thing = thing.__func__
        if inspect.isroutine(thing) or isinstance(thing, property):
            yield name, thing


def rows(module_name: str) -> Iterator[tuple[str, str]]:
    """Every public name of a module, and what it is."""
    module = module_named(module_name)
    for name in public_names(module_name):
        thing = getattr(module, name)
        if not (inspect.isclass(thing) or inspect.isroutine(thing)):
            yield name, f"`{thing!r}`" if not name.startswith("__") else "the release"
            continue
        if isinstance(thing, enum.EnumType):
            values = ", ".join(f"`{each}`" for each in thing.__members__)
            yield name, f"{first_sentence(thing)}: {values}"
            continue
        is_error = issubclass_of(thing, BaseException)
        yield name if is_error else called(name, thing), first_sentence(thing)
        if inspect.isclass(thing):
            for member, what in members(thing):
                shown = f"{name}.{member}"
                yield (
                    called(shown, what) if inspect.isroutine(what) else shown,
                    first_sentence(what),
                )


def issubclass_of(thing: Any, kind: type) -> bool:
    """Whether it is a class, and one of that kind."""
    return inspect.isclass(thing) and issubclass(thing, kind)


def names() -> str:
    """A table for each module."""
    found = []
    for name, about in MODULES.items():
        title = f"`{PACKAGE}.{name}`" if name else f"`{PACKAGE}`"
        found += [f"### {title}", "", f"{about[0].upper()}{about[1:]}.", ""]
        found += ["| name | is |", "| --- | --- |"]
        found += [f"| `{shown}` | {what} |" for shown, what in rows(name)]
        found.append("")
    return "\n".join(found)


def page(text: str) -> str:
    """``text`` with the names made anew."""
    before, after = text.partition(BEGIN)[0], text.partition(END)[2]
    return f"{before}{BEGIN}\n{names()}\n{END}{after}"
