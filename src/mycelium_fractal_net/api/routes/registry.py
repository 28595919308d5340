"""How a route file declares its operations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from mycelium_fractal_net.api.operation import Spec

if TYPE_CHECKING:
    from collections.abc import Callable

    from mycelium_fractal_net.api.schemas import Model

    _F = TypeVar("_F", bound=Callable[..., Any])

__all__ = ["Routes"]


class Routes:
    """The operations of one tag, in the order in which they were declared."""

    def __init__(self, tag: str) -> None:
        self.tag = tag
        self.specs: list[Spec] = []

    def add(
        self, method: str, path: str, event: str, answer: type[Model] | None, **more: Any
    ) -> Callable[[_F], _F]:
        """Declare what is decorated as the handler of ``method`` and ``path``.

        ``event`` names it in audit and metrics, ``answer`` is the model of what it returns; for
        the rest see :class:`Spec`.
        """

        def declare(endpoint: _F) -> _F:
            self.specs.append(Spec(method, path, endpoint, event, answer, self.tag, **more))
            return endpoint

        return declare
