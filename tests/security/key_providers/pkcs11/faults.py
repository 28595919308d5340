"""Answers of a library that SoftHSM does not give: one function of it answers a test's number."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from mycelium_fractal_net.security.key_providers.pkcs11 import cryptoki
from mycelium_fractal_net.security.key_providers.pkcs11.library import Library

_TYPES: dict[str, Any] = {each[0]: each[1] for each in cryptoki.FunctionList._fields_}


@contextlib.contextmanager
def answering(library: Library, **functions: Callable[..., int | None]) -> Iterator[None]:
    """Within the block, ``C_Encrypt=call`` is called with the function's arguments.

    It gives the number that the function answers, or None to have SoftHSM answer.
    """
    real = library._functions
    changed = cryptoki.FunctionList.from_buffer_copy(real)
    for name, call in functions.items():
        setattr(changed, name, _TYPES[name](_or(call, getattr(real, name))))
    library._functions = changed
    try:
        yield
    finally:
        library._functions = real


def _or(call: Callable[..., int | None], real: Callable[..., int]) -> Callable[..., int]:
    def function(*arguments: Any) -> int:
        given = call(*arguments)
        return real(*arguments) if given is None else given

    return function


class Once:
    """Answers a number, as often as is said, then what SoftHSM does; ``calls`` counts."""

    def __init__(self, code: int, times: int = 1) -> None:
        self.code = code
        self.times = times
        self.calls = 0

    def __call__(self, *_: Any) -> int | None:
        self.calls += 1
        return self.code if self.calls <= self.times else None


class Always(Once):
    """Answers a number each time."""

    def __init__(self, code: int) -> None:
        super().__init__(code, 1_000_000)
