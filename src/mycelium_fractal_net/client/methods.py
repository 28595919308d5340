"""Methods that are written once: they block in one class, and are awaited in its twin."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable, Coroutine
from types import GeneratorType
from typing import TYPE_CHECKING, Any, Concatenate, Final, Generic, ParamSpec, TypeVar, overload

if TYPE_CHECKING:
    from mycelium_fractal_net.client.drivers import AsyncDriver, Driver
    from mycelium_fractal_net.client.steps import Effects

P = ParamSpec("P")
T = TypeVar("T")

_RESULT: Final = re.compile(r"(?:.* \| )?(?:Steps|Effects)\[(.*)\]")  # as an annotation says it


BlockingT = TypeVar("BlockingT", bound="Blocking")
AwaitedT = TypeVar("AwaitedT", bound="Awaited")


class Method(Generic[P, T]):
    """A method of a class and of its twin, made from a function that says what to do.

    It stands in what the two inherit, and each gets a function of its own, with the name, the
    text and the signature of ``shown``, of which the first ``given`` parameters are not the
    caller's.
    """

    def __init__(
        self,
        function: Callable[Concatenate[Any, P], Effects[T]],
        shown: Callable[..., Any] | None = None,
        given: int = 1,
    ) -> None:
        self._function: Callable[..., Any] = function
        self._shown = shown or self._function
        self._given = given

    @classmethod
    def at_once(cls, function: Callable[Concatenate[Any, P], T | Effects[T]]) -> Method[P, T]:
        """One whose function may have the result already."""
        return cls(function)  # type: ignore[arg-type]

    @overload
    def __get__(self, instance: Blocking, owner: object) -> Callable[P, T]: ...

    @overload
    def __get__(self, instance: Awaited, owner: object) -> Callable[P, Coroutine[Any, Any, T]]: ...

    @overload
    def __get__(
        self, instance: None, owner: type[BlockingT]
    ) -> Callable[Concatenate[BlockingT, P], T]: ...

    @overload
    def __get__(
        self, instance: None, owner: type[AwaitedT]
    ) -> Callable[Concatenate[AwaitedT, P], Coroutine[Any, Any, T]]: ...

    def __get__(self, instance: Any, owner: Any) -> Any:
        return self  # what type checkers see above has taken its place in both classes

    def of(self, owner: type[_Twin]) -> Callable[..., Any]:
        """The function of that class."""
        method = self._blocking() if issubclass(owner, Blocking) else self._awaited()
        functools.update_wrapper(method, self._shown)
        del method.__dict__["__wrapped__"]  # it would be taken for the signature
        method.__module__ = owner.__module__
        method.__qualname__ = f"{owner.__qualname__}.{method.__name__}"
        signature = inspect.signature(self._shown)
        own = inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)
        method.__signature__ = signature.replace(  # type: ignore[attr-defined]
            parameters=[own, *list(signature.parameters.values())[self._given :]],
            return_annotation=_RESULT.sub(r"\1", str(signature.return_annotation)),
        )
        return method

    def _blocking(self) -> Callable[..., Any]:
        function = self._function

        def method(self: Blocking, /, *args: Any, **kwargs: Any) -> Any:
            result = function(self, *args, **kwargs)
            return self._driver.run(result) if type(result) is GeneratorType else result

        return method

    def _awaited(self) -> Callable[..., Any]:
        function = self._function

        async def method(self: Awaited, /, *args: Any, **kwargs: Any) -> Any:
            result = function(self, *args, **kwargs)
            return await self._driver.run(result) if type(result) is GeneratorType else result

        return method


class _Twin:
    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        for name in dir(cls):
            method = inspect.getattr_static(cls, name)
            if isinstance(method, Method):
                setattr(cls, name, method.of(cls))


class Blocking(_Twin):
    """A class whose :class:`Method` is a function that blocks."""

    _driver: Driver


class Awaited(_Twin):
    """A class whose :class:`Method` is a coroutine function."""

    _driver: AsyncDriver
