"""Which requests must be signed: decided on the route that will run, never on the path as sent.

A path can be spelt in ways that a rule does not foresee and a router understands. So the router
is asked, by its own ``matches``, into whatever is mounted in it; what it finds has one name.
"""

from __future__ import annotations

import logging
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from mycelium_fractal_net.security.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, MutableMapping


_LOG: Final = logging.getLogger(__name__)
_FULL: Final = 2  # starlette.routing.Match.FULL; this file knows no framework


class SigningPolicy(StrEnum):
    """What is asked of a request.

    ``required``: one valid signature. ``optional``: none, or a valid one. ``off``: nothing, but
    of a credential that a signer names.
    """

    REQUIRED = "required"
    OPTIONAL = "optional"
    OFF = "off"


_STRICTNESS: Final = (SigningPolicy.OFF, SigningPolicy.OPTIONAL, SigningPolicy.REQUIRED)


class Rules:
    """Policies for the routes of a Starlette or FastAPI application.

    ``rules`` maps a route to its policy, by its path as it was declared, ``/orders/{id}``, or by
    method and path, ``GET /orders/{id}``, which goes before. A route that no rule names, and a
    request that no route takes, get the strictest policy that is configured. A rule that names no
    route is told of in the log, when the first request comes.
    """

    def __init__(
        self, default: str = SigningPolicy.REQUIRED, rules: Mapping[str, str] | None = None
    ) -> None:
        try:
            self._default = SigningPolicy(default)
            self._rules = {name: SigningPolicy(policy) for name, policy in (rules or {}).items()}
        except ValueError:
            raise ConfigurationError(
                "a policy of request signing is required, optional or off"
            ) from None
        for name in self._rules:
            if not name.rpartition(" ")[2].startswith("/"):
                raise ConfigurationError("a rule of request signing names a path, or METHOD /path")
        self._strictest = max(self._rules.values(), key=_STRICTNESS.index, default=self._default)
        self._strictest = max(self._strictest, self._default, key=_STRICTNESS.index)
        self._were_compared = False

    def of(self, scope: MutableMapping[str, Any]) -> SigningPolicy:
        """The policy for the request of an ASGI scope, in which the application is ``app``."""
        if not self._rules:
            return self._default
        routes = getattr(scope.get("app"), "routes", ())
        if not self._were_compared:
            self._compare(routes)
        path = _route_path(routes, dict(scope))
        if path is None:
            return self._strictest
        method = scope.get("method", "GET")
        for name in (f"{method} {path}", path):
            if name in self._rules:
                return self._rules[name]
        return self._strictest

    def _compare(self, routes: Iterable[Any]) -> None:
        """Write to the log, once, which rules no route of the application has."""
        self._were_compared = True
        declared = set(_declared(routes))
        for name in self._rules:
            if not declared & {name, f"* {name.rpartition(' ')[2]}"}:
                _LOG.warning("the rule of request signing for %r names no route", name)


def _route_path(routes: Iterable[Any], scope: dict[str, Any]) -> str | None:
    """The declared path of the route that takes the request; None where none does."""
    for route in routes:
        match, child = route.matches(scope)
        if match.value != _FULL:
            continue
        path = str(getattr(route, "path", ""))
        inner = getattr(route, "routes", None)
        if inner is None:
            return path
        # What is mounted sees the rest of the path; an application that has no routes is a leaf.
        found = _route_path(inner, {**scope, **child})
        if found is not None:
            return path + found
        return path if not inner else None
    return None


def _declared(routes: Iterable[Any], above: str = "") -> Iterator[str]:
    """How rules may name the routes: by path, and by method and path."""
    for route in routes:
        path = above + str(getattr(route, "path", ""))
        yield path
        yield from (f"{method} {path}" for method in getattr(route, "methods", None) or "*")
        yield from _declared(getattr(route, "routes", None) or (), path)
