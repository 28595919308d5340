"""The mutants of one file: each place, what stands there, and the whole text with it changed."""

from __future__ import annotations

import difflib
import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import CodeType
from typing import Any, Final, cast

import libcst as cst
from libcst.metadata import MetadataWrapper, PositionProvider

from campaigns.mutation.operators import TO_THE_TYPE_CHECKER, changes, is_text, name_of


@dataclass(frozen=True)
class Mutant:
    """One change to one file.

    ``before`` and ``after`` are the lines that differ, without their indentation; with ``scope``
    (the dotted name of the function, empty for the module's and a class's own level) and ``which``
    of several alike they name the mutant for as long as those lines stay as they are.
    """

    file: str  # from the root, with slashes
    scope: str
    operator: str
    before: str
    after: str
    which: int
    first_line: int
    last_line: int
    is_in_function: bool  # else it is run once, when the module is imported
    source: str  # of the whole file, changed

    @property
    def key(self) -> str:
        """A name that holds as long as the lines stay what they are."""
        parts = (self.file, self.scope, self.operator, self.before, self.after, str(self.which))
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


_NOT_WALKED: Final = (cst.Annotation, cst.Decorator, cst.Import, cst.ImportFrom)


def mutants_of(file: str, source: str) -> list[Mutant]:
    """All mutants of a file that are another program than it, and than one another, in order.

    What compiles to the same instructions is no mutant (trivial compiler equivalence, Papadakis
    et al., ICSE 2015).
    """
    wrapper = MetadataWrapper(cst.parse_module(source), unsafe_skip_copy=True)
    positions = wrapper.resolve(PositionProvider)
    seen = {fingerprint(source)}
    alike: Counter[tuple[str, ...]] = Counter()
    found: list[Mutant] = []
    lines = source.splitlines()
    splice = _Splicer(wrapper.module, source)
    for top, before, after in _tops(wrapper.module, source):
        for place in _places(top, ""):
            position: Any = positions[place.node]
            text = (
                splice(place, position)
                or before
                + wrapper.module.code_for_node(
                    cast(cst.BaseStatement, top.deep_replace(place.node, place.instead))
                )
                + after
            )
            try:
                program = fingerprint(text)
            except SyntaxError:
                continue
            if program in seen:
                continue
            seen.add(program)
            old, new = _difference(lines, text.splitlines())
            name = (place.scope, place.operator, old, new)
            found.append(
                Mutant(
                    file=file,
                    scope=place.scope,
                    operator=place.operator,
                    before=old,
                    after=new,
                    which=alike[name],
                    first_line=position.start.line,
                    last_line=position.end.line,
                    is_in_function=place.is_in_function,
                    source=text,
                )
            )
            alike[name] += 1
    return found


def fingerprint(source: str) -> bytes:
    """What a program does, whatever its lines are numbered: the hash of its instructions."""
    return hashlib.sha256(repr(_instructions(compile(source, "", "exec"))).encode()).digest()


def _instructions(code: CodeType) -> tuple[object, ...]:
    constants = [
        _instructions(each)
        if isinstance(each, CodeType)
        else (type(each), sorted(map(repr, each)) if isinstance(each, frozenset) else repr(each))
        for each in code.co_consts
    ]
    names = code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars
    return (code.co_qualname, code.co_flags, code.co_code, code.co_exceptiontable, names, constants)


def _tops(module: cst.Module, source: str) -> Iterator[tuple[cst.CSTNode, str, str]]:
    """Each statement of the module's own level, with the text before and after it.

    To write one of them anew is many times cheaper than to write the module.
    """
    written = [module.code_for_node(each) for each in module.body]
    head = source.index("".join(written))
    place = head
    for statement, text in zip(module.body, written, strict=True):
        yield statement, source[:place], source[place + len(text) :]
        place += len(text)


@dataclass(frozen=True)
class _Place:
    node: cst.CSTNode
    instead: cst.CSTNode
    operator: str
    scope: str
    is_in_function: bool


class _Splicer:
    """Puts what an operator made into the text, where the old node stands there word for word."""

    def __init__(self, module: cst.Module, source: str) -> None:
        self._module = module
        self._source = source
        self._starts = [0]
        for line in source.splitlines(keepends=True):
            self._starts.append(self._starts[-1] + len(line))

    def __call__(self, place: _Place, position: Any) -> str | None:
        begin = self._starts[position.start.line - 1] + position.start.column
        end = self._starts[position.end.line - 1] + position.end.column
        if self._module.code_for_node(place.node) != self._source[begin:end]:
            return None  # it spans lines, or stands in brackets: the whole statement is written
        return self._source[:begin] + self._module.code_for_node(place.instead) + self._source[end:]


def _places(
    node: cst.CSTNode, scope: str, *, in_text: bool = False, inside: bool = False
) -> Iterator[_Place]:
    if isinstance(node, _NOT_WALKED) or _is_for_types(node) or _is_docstring(node):
        return
    if _is_bookkeeping(node):
        return
    if isinstance(node, cst.FunctionDef | cst.ClassDef):
        scope = f"{scope}.{node.name.value}".lstrip(".")
    in_text = in_text or is_text(node)
    for operator, (changed, instead) in changes(node, in_text=in_text):
        yield _Place(changed, instead, operator, scope, inside)
    # What a default says is made when the function is: only plain ones, as in mutmut.
    if isinstance(node, cst.Param):
        if isinstance(node.default, cst.Name | cst.BaseNumber | cst.BaseString):
            yield from _places(node.default, scope, in_text=in_text)
        return
    inside = inside or isinstance(node, cst.FunctionDef | cst.Lambda)
    for child in node.children:
        yield from _places(child, scope, in_text=in_text, inside=inside)


def _is_for_types(node: cst.CSTNode) -> bool:
    return (
        isinstance(node, cst.If)
        and isinstance(node.test, cst.Name)
        and node.test.value == "TYPE_CHECKING"
    )


def _is_bookkeeping(node: cst.CSTNode) -> bool:
    """What saves memory, names a logger, what a star imports, or a type."""
    if isinstance(node, cst.Assign):
        target = node.targets[0].target
    elif isinstance(node, cst.AnnAssign):
        target = node.target
    else:
        return False
    if isinstance(node.value, cst.Call) and name_of(node.value) in TO_THE_TYPE_CHECKER:
        return True
    if isinstance(node, cst.AnnAssign) and cst.Module([]).code_for_node(
        node.annotation.annotation
    ).endswith("TypeAlias"):
        return True
    return isinstance(target, cst.Name) and target.value in {"__slots__", "__all__", "_LOG"}


def _is_docstring(node: cst.CSTNode) -> bool:
    return isinstance(node, cst.Expr) and isinstance(
        node.value, cst.SimpleString | cst.ConcatenatedString
    )


def _difference(old: list[str], new: list[str]) -> tuple[str, str]:
    """The lines that differ; one block, since one node was replaced."""
    begin = 0
    while begin < min(len(old), len(new)) and old[begin] == new[begin]:
        begin += 1
    end = 0
    while end < min(len(old), len(new)) - begin and old[-1 - end] == new[-1 - end]:
        end += 1
    return tuple(  # type: ignore[return-value]
        "\n".join(line.strip() for line in lines[begin : len(lines) - end]) for lines in (old, new)
    )


def difference(original: str, mutant: Mutant) -> str:
    """A unified diff, for a reader."""
    pair = original.splitlines(), mutant.source.splitlines()
    return "\n".join(difflib.unified_diff(*pair, mutant.file, mutant.file, lineterm="", n=1))


def counts(mutants: Mapping[str, list[Mutant]]) -> dict[str, int]:
    """How many each operator made."""
    return dict(Counter(each.operator for some in mutants.values() for each in some))
