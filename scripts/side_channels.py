"""Find the functions that touch a secret, and say which lack a note in docs/side_channels.md.

`make pages` puts rows for new ones, and takes away those without one; their notes are for a person.

The rule, so that a newcomer can apply it by eye. A function touches a secret if one of these holds:

- it has a parameter with one of the names in :data:`NAMES` that is bytes, or a text in
  :data:`TEXTS`;
- it reads an attribute with a name in :data:`ATTRIBUTES`;
- it calls what gives, takes or compares key bytes, one of :data:`CALLS`.

What the function then does with it is read from the code too: :func:`looks` finds every ``if``,
``while``, loop, comparison and lookup in which the secret, or what was made of it, has part.
"""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

ROOT: Final = Path(__file__).resolve().parent.parent
PACKAGE: Final = ROOT / "src" / "mycelium_fractal_net"
PAGE: Final = ROOT / "docs" / "side_channels.md"


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


NAMES: Final = _words(
    """
    key secret plaintext passphrase password pin tag mac material api_key data_key
    unwrapped token presented
    """
)
TEXTS: Final = _words(
    """
    secret passphrase password pin api_key token
    """
)
ATTRIBUTES: Final = _words(
    """
    secret plaintext passphrase password pin material api_key data_key
    previous_digest
    """
)
CALLS: Final = _words(
    """
    compare_digest bytes_eq unwrap unwrap_in_use unwrap_many unwrap_data_key HMAC
    AESGCM PBKDF2HMAC HKDFExpand AESSIV pbkdf2 derive_from_passphrase random_key
    token_urlsafe getpass Cobblestone256Encryptor Cobblestone256Decryptor
    """
)
PASSES: Final = "passes it on"
SHAPE: Final = "its length, type or absence"
_BYTES: Final = re.compile(
    r"\b(bytes|Buffer|Octets|bytearray|memoryview|PresentedKey|Passphrase)\b"
)
_SHAPES: Final = frozenset(["len", "type", "isinstance", "bool", "callable"])
_ROW: Final = re.compile(r"\| `([^`]+)` \| ([^|]+) \| ([^|]+) \|")

Function = ast.FunctionDef | ast.AsyncFunctionDef


class Touch(NamedTuple):
    """A function that touches a secret: which, and what of it decides something there."""

    secrets: tuple[str, ...]
    looks: tuple[str, ...]  # source texts of what looks at its content
    shapes: tuple[str, ...]  # of what looks at its length, type or absence alone

    @property
    def note(self) -> str:
        """The note that the code itself proves; nothing where somebody has to write one."""
        if self.looks:
            return ""
        return SHAPE if self.shapes else PASSES


@functools.cache
def touches() -> dict[str, Touch]:
    """Every such function of the package, as ``file.py: Class.function``."""
    found: dict[str, Touch] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        for name, function in functions(ast.parse(path.read_text())):
            if touch := touch_of(function):
                found[f"{path.relative_to(PACKAGE)}: {name}"] = touch
    return found


def functions(node: ast.AST, within: str = "") -> Iterator[tuple[str, Function]]:
    """The functions below ``node`` with their names, those within functions too."""
    for child in ast.iter_child_nodes(node):
        name = within
        if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            name = f"{within}{child.name}"
            if not isinstance(child, ast.ClassDef):
                yield name, child
            name += "."
        yield from functions(child, name)


def touch_of(function: Function) -> Touch | None:
    """What a function has to do with secrets, by the rule; None where it has nothing."""
    secrets = set(_parameters(function))
    own = list(_own(function))
    secrets |= {
        f".{node.attr}"
        for node in own
        if isinstance(node, ast.Attribute)
        and isinstance(node.ctx, ast.Load)
        and node.attr.lstrip("_") in ATTRIBUTES
    }
    secrets |= {f"{name}()" for node in own if (name := _called(node)) in CALLS}
    if not secrets:
        return None
    tainted = _tainted(function, own)
    found = [(kind, node) for node in own for kind, node in _decisions(node)]
    looks, shapes = set(), set()
    for kind, node in found:
        if _mentions(node, tainted, shaped=False):
            looks.add(f"{kind} {ast.unparse(node)}")
        elif _mentions(node, tainted, shaped=True):
            shapes.add(f"{kind} {ast.unparse(node)}")
    return Touch(tuple(sorted(secrets)), tuple(sorted(looks)), tuple(sorted(shapes)))


def _parameters(function: Function) -> Iterator[str]:
    given = function.args
    for each in (*given.posonlyargs, *given.args, *given.kwonlyargs):
        kind = "" if each.annotation is None else ast.unparse(each.annotation)
        if each.arg in NAMES and (_BYTES.search(kind) or (each.arg in TEXTS and "str" in kind)):
            yield each.arg


def _own(function: Function) -> Iterator[ast.AST]:
    """The nodes of a function without those of functions within it."""
    for child in function.body:
        yield from _within(child)


def _within(node: ast.AST) -> Iterator[ast.AST]:
    if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        yield node
        for child in ast.iter_child_nodes(node):
            yield from _within(child)


def _called(node: ast.AST) -> str:
    return ast.unparse(node.func).rpartition(".")[2] if isinstance(node, ast.Call) else ""


def _tainted(function: Function, own: list[ast.AST]) -> set[str]:
    """The local names that hold a secret, or what was made of one."""
    tainted = set(_parameters(function))
    before = -1
    while len(tainted) > before:
        before = len(tainted)
        for node in own:
            if isinstance(node, (ast.Assign, ast.AnnAssign, ast.AugAssign, ast.NamedExpr)):
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                if node.value is not None and _mentions(node.value, tainted, shaped=False):
                    tainted |= {
                        n.id for t in targets for n in ast.walk(t) if isinstance(n, ast.Name)
                    }
            elif isinstance(node, (ast.For, ast.AsyncFor, ast.comprehension)) and _mentions(
                node.iter, tainted, shaped=False
            ):
                tainted |= {n.id for n in ast.walk(node.target) if isinstance(n, ast.Name)}
    return tainted - {"self", "cls"}


def _decisions(node: ast.AST) -> Iterator[tuple[str, ast.expr]]:
    """What decides where the processor goes, or which memory it reads."""
    if isinstance(node, (ast.If, ast.While, ast.IfExp, ast.Assert)):
        yield "if", node.test
    elif isinstance(node, (ast.For, ast.AsyncFor)):
        yield "for", node.iter
    elif isinstance(node, ast.comprehension):
        yield "for", node.iter
        yield from (("if", test) for test in node.ifs)
    elif isinstance(node, (ast.Compare, ast.BoolOp)):
        yield "compare", node
    elif isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load):
        yield "look up", node.slice
    elif isinstance(node, ast.Match):
        yield "match", node.subject


def _mentions(node: ast.expr, tainted: set[str], *, shaped: bool) -> bool:
    """Whether a secret has part in an expression; by default not where its shape alone has."""
    if not shaped and _is_shape(node):
        return False
    if isinstance(node, ast.Name):
        return node.id in tainted
    if isinstance(node, ast.Attribute) and node.attr.lstrip("_") in ATTRIBUTES:
        return True
    if _called(node) in CALLS:
        return True
    below = (child.value if isinstance(child, ast.keyword) else child for child in _children(node))
    return any(
        _mentions(each, tainted, shaped=shaped) for each in below if isinstance(each, ast.expr)
    )


def _children(node: ast.AST) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        # What is gone through within a comprehension is an expression too.
        yield from _children(child) if isinstance(child, ast.comprehension) else (child,)


def _is_shape(node: ast.AST) -> bool:
    """``len(x)``, ``type(x)``, ``isinstance(x, …)``, ``x is None``."""
    if _called(node) in _SHAPES:
        return True
    return isinstance(node, ast.Compare) and all(
        isinstance(each, (ast.Is, ast.IsNot)) for each in node.ops
    )


def notes(page: str) -> dict[str, tuple[str, str]]:
    """The rows of the page: what touches, with the secrets that it names and the note."""
    found: dict[str, tuple[str, str]] = {}
    file = ""
    for line in page.splitlines():
        if line.startswith("### `"):
            file = line.strip("# `")
        elif row := _ROW.fullmatch(line):
            found[f"{file}: {row[1]}"] = (row[2].strip(), row[3].strip())
    return found


def faults(page: str) -> list[str]:
    """What of the page is not as the code is, each with what to do."""
    there, noted = touches(), notes(page)
    found = [
        f"{name} touches {_secrets(touch)} and has no note: run make pages, then say in its"
        " row what depends on the secret, and why that is fine"
        for name, touch in there.items()
        if name not in noted
    ]
    found += [
        f"{name} has a note and touches no secret: run make pages"
        for name in noted.keys() - there.keys()
    ]
    for name in there.keys() & noted.keys():
        touch, (secrets, note) = there[name], noted[name]
        if secrets != _secrets(touch):
            found.append(f"{name} touches {_secrets(touch)}: look at it again, run make pages")
        elif note in ("", "?"):
            found.append(f"{name}: say why this is fine: {'; '.join(touch.looks)}")
        elif note in (PASSES, SHAPE) and note != touch.note:
            found.append(f"{name}: it does more: {'; '.join(touch.looks or touch.shapes)}")
    return sorted(found)


def _secrets(touch: Touch) -> str:
    return ", ".join(f"`{each}`" for each in touch.secrets)


def page(text: str) -> str:
    """The page with a row for each function, in order; notes that are there stay."""
    there, noted = touches(), notes(text)
    lines, file = [], ""
    for name, touch in there.items():
        of, function = name.split(": ")
        if of != file:
            file = of
            lines += [
                "",
                f"### `{file}`",
                "",
                "| function | secret | what depends on it |",
                "| --- | --- | --- |",
            ]
        note = noted.get(name, ("", ""))[1]
        if note in ("", "?", PASSES, SHAPE):
            note = touch.note or "?"
        lines.append(f"| `{function}` | {_secrets(touch)} | {note} |")
    head, mark, _ = text.partition("## The functions\n")
    return f"{head}{mark}" + "\n".join(lines) + "\n"
