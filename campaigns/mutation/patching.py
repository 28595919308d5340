"""Put a mutant into a program that has imported the file already: new code in its functions."""

from __future__ import annotations

import gc
import sys
from collections import defaultdict
from dataclasses import dataclass
from inspect import get_annotations
from types import CodeType, FunctionType, ModuleType
from typing import Final

_OPTIMIZED: Final = 0x1  # CO_OPTIMIZED: a function's code; that of a module or class lacks it


Functions = dict[str, list[FunctionType]]


def functions_by_file() -> dict[str, Functions]:
    """Every living function, by the path of its code and by its qualified name."""
    found: dict[str, Functions] = defaultdict(lambda: defaultdict(list))
    for each in gc.get_objects():
        if type(each) is FunctionType:  # isinstance() would wake what is lazy, settings of Django
            found[each.__code__.co_filename][each.__code__.co_qualname].append(each)
    return found


@dataclass
class Living:
    """A file as the process has imported it."""

    path: str
    source: str
    functions: Functions

    def __post_init__(self) -> None:
        compiled = compile(self.source, self.path, "exec")
        self._codes = _codes(compiled)
        self._top, self._classes = _shell(compiled)
        self._modules = [
            each for each in sys.modules.values() if getattr(each, "__file__", None) == self.path
        ]

    def patched(self, mutant: str) -> bool:
        """Whether the change could be made in place: in functions, their defaults, and constants.

        What a class runs when it is made, such as its fields, was run already. A constant is
        changed wherever its name was imported to; what was computed from it stays, so that a mutant
        which survives that may yet be noticed in a process that imports it.
        """
        compiled = compile(mutant, self.path, "exec")
        codes = _codes(compiled)
        top, classes = _shell(compiled)
        if classes != self._classes:
            return False
        if top != self._top:
            return len(self._modules) == 1 and self._executed(mutant)
        if any(len(self._codes[name]) != len(codes[name]) for name in self.functions):
            return False
        pairs = {
            was: now
            for name in self.functions
            for was, now in zip(self._codes[name], codes[name], strict=True)
            if was != now
        }
        for function in (each for some in self.functions.values() for each in some):
            now = pairs.get(function.__code__)
            if now is None:
                continue
            if now.co_freevars != function.__code__.co_freevars:
                return False
            function.__code__ = now
        return True

    def _executed(self, mutant: str) -> bool:
        """Run the mutant's own level beside the living module, and take over what it made."""
        (module,) = self._modules
        fresh = ModuleType(module.__name__)
        fresh.__dict__.update(__file__=self.path, __package__=module.__package__)
        exec(compile(mutant, self.path, "exec"), fresh.__dict__)
        changed, constants = False, get_annotations(module)
        for name, value in list(vars(fresh).items()):
            was = vars(module).get(name)
            if isinstance(value, FunctionType) and isinstance(was, FunctionType):
                if value.__module__ == was.__module__ == module.__name__:
                    defaults = was.__defaults__, was.__kwdefaults__
                    changed |= defaults != (value.__defaults__, value.__kwdefaults__)
                    was.__defaults__, was.__kwdefaults__ = value.__defaults__, value.__kwdefaults__
            elif name in constants and not _alike(was, value):
                changed = True
                for each in list(sys.modules.values()):
                    if getattr(each, "__dict__", {}).get(name) is was:
                        setattr(each, name, value)
        return changed


def _alike(one: object, other: object) -> bool:
    return type(one) is type(other) and repr(one) == repr(other)


def _codes(code: CodeType) -> dict[str, list[CodeType]]:
    """The code of every function in there, by its qualified name, in order."""
    found: dict[str, list[CodeType]] = defaultdict(list)
    for each in code.co_consts:
        if isinstance(each, CodeType):
            if each.co_flags & _OPTIMIZED:
                found[each.co_qualname].append(each)
            for name, some in _codes(each).items():
                found[name] += some
    return found


def _shell(code: CodeType) -> tuple[object, object]:
    """What the module's own level does, and what its classes do; neither what is in functions."""
    top = [
        each.co_qualname if isinstance(each, CodeType) else (type(each), repr(each))
        for each in code.co_consts
    ]
    classes = [
        (each.co_qualname, each.co_code, each.co_names, _shell(each))
        for each in code.co_consts
        if isinstance(each, CodeType) and not each.co_flags & _OPTIMIZED
    ]
    return (code.co_code, code.co_names, top), classes
