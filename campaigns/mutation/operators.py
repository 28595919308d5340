"""What is changed: mutmut's operators, and four that it lacks."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Final

import libcst as cst
from mutmut.mutation.mutators import mutation_operators

Change = tuple[cst.CSTNode, cst.CSTNode]

# Calls whose arguments are for a reader, or for the type checker, and decide nothing.
_TO_A_READER: Final = frozenset({"debug", "info", "warning", "error", "exception", "critical"})
TO_THE_TYPE_CHECKER: Final = frozenset({"cast", "TypeVar", "ParamSpec", "NewType"})
_UNCHANGED_CALLS: Final = frozenset({"len", "isinstance"})  # as in mutmut: any change is a crash


def _negated_condition(node: cst.CSTNode) -> Iterator[Change]:
    """``if`` and ``while`` and the conditions of comprehensions, turned round."""
    if isinstance(node, cst.If | cst.While | cst.CompIf):
        inner = node.test.with_changes(lpar=[cst.LeftParen()], rpar=[cst.RightParen()])
        yield node.test, cst.UnaryOperation(cst.Not(), inner)


def _removed_statement(node: cst.CSTNode) -> Iterator[Change]:
    """A call whose answer nobody takes, a ``raise``, a ``del``: each left out."""
    called = isinstance(node, cst.Expr) and isinstance(node.value, cst.Call | cst.Await)
    if called or isinstance(node, cst.Raise | cst.Del):
        yield node, cst.Pass()


def _returned_none(node: cst.CSTNode) -> Iterator[Change]:
    """A function that gives nothing."""
    if isinstance(node, cst.Return) and node.value is not None and not _is_none(node.value):
        yield node.value, cst.Name("None")


def _uncaught_error(node: cst.CSTNode) -> Iterator[Change]:
    """A handler that catches nothing."""
    if isinstance(node, cst.ExceptHandler) and node.type is not None:
        yield node.type, cst.Tuple([])


def _changed_argument(call: cst.CSTNode) -> Iterator[Change]:
    """mutmut's ``arg_removal``: None for each argument, and named ones left out.

    One that is given by its place is not left out: almost always that is a crash.
    """
    if not isinstance(call, cst.Call):
        return
    for index, argument in enumerate(call.args):
        if argument.star == "" and not _is_none(argument.value):
            yield argument.value, cst.Name("None")
        if argument.keyword is not None:
            yield call, call.with_changes(args=[*call.args[:index], *call.args[index + 1 :]])


_OWN: Final = (_negated_condition, _removed_statement, _returned_none, _uncaught_error)


def changes(node: cst.CSTNode, *, in_text: bool) -> Iterator[tuple[str, Change]]:
    """Each operator's name, the node that it changes (this one or a child), and what it puts there.

    ``in_text`` says that the node stands in a message for a reader: there no string is changed.
    """
    for kind, operator in mutation_operators:
        name = operator.__name__.removeprefix("operator_")
        if not isinstance(node, kind) or (name == "string" and in_text):
            continue
        if name == "arg_removal":
            if not (in_text or is_text(node) or name_of(node) in _UNCHANGED_CALLS):
                for change in _changed_argument(node):
                    yield name, change
            continue
        found = operator(node)
        for each in islice(found, 1) if name == "string" else found:  # not its case as well
            yield name, (node, each)
    for own in _OWN:
        for change in own(node):
            yield own.__name__.lstrip("_"), change


def _is_none(node: cst.CSTNode) -> bool:
    return isinstance(node, cst.Name) and node.value == "None"


def is_text(node: cst.CSTNode) -> bool:
    """Whether what stands in this node is read by people alone: an error's message, a log's."""
    return isinstance(node, cst.Raise) or (
        isinstance(node, cst.Call)
        and (name_of(node) in TO_THE_TYPE_CHECKER or name_of(node) in _TO_A_READER)
    )


def name_of(call: cst.CSTNode) -> str:
    if not isinstance(call, cst.Call):
        return ""
    if isinstance(call.func, cst.Attribute):
        return call.func.attr.value
    return call.func.value if isinstance(call.func, cst.Name) else ""
