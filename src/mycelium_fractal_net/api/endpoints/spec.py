"""How a route file declares its routes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    _F = TypeVar("_F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Spec:
    """One route as its file declares it."""

    method: str
    path: str
    endpoint: Callable[..., Any]
    event: str
    response: type[Any] | None
    tag: str
    status: int = 200
    scope: str | None = None  # a scope that is not per key, checked before anything is read
    public: bool = False
    knows_callers: bool = False  # a public route that shows more to some
    in_thread: bool = False  # it talks to the store, always
    scans: bool = False  # it searches files, until `context.is_abandoned`, in a thread for that
    recorded: bool = True  # by the route
    changes: bool = False  # the store, where the provider records it, before and after
    problems: tuple[str, ...] = ()
    media_type: str = "application/json"
    streams: bool = False  # its body and its response are octets of any length
    deprecates: bool = False  # something of what it takes, which its answer then says
    takes_bearer: bool = False  # for scrapers, which send an API key in Authorization alone

    @property
    def name(self) -> str:
        """The route as settings name it."""
        return f"{self.method} {self.path}"


class Routes:
    """The routes of one tag, in the order in which they were declared."""

    def __init__(self, tag: str) -> None:
        self.tag = tag
        self.specs: list[Spec] = []

    def add(
        self, method: str, path: str, event: str, response: type[Any] | None, **more: Any
    ) -> Callable[[_F], _F]:
        """Declare what is decorated as the handler of ``method`` and ``path``.

        ``event`` names it in audit and metrics, ``response`` is the model of what it returns; for
        the rest see :class:`Spec`.
        """

        def declare(endpoint: _F) -> _F:
            self.specs.append(Spec(method, path, endpoint, event, response, self.tag, **more))
            return endpoint

        return declare

    def change(
        self, path: str, event: str, response: type[Any], *, method: str = "POST", **more: Any
    ) -> Callable[[_F], _F]:
        """Declare what is decorated as the handler of a change of the store."""
        more = {"in_thread": True, "recorded": False, "changes": True, **more}
        more["problems"] = (*more.get("problems", ()), "conflict")
        return self.add(method, path, event, response, **more)
