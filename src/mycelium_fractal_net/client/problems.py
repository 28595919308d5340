"""What went wrong, as the library's own errors: a client never sees HTTP.

A problem's slug names the class that the service raised: :mod:`..security.errors`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import msgspec

from mycelium_fractal_net.security import errors

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mycelium_fractal_net.client.replies import NoReply, Reply

_TYPE: Final = re.compile("/problems/([a-z-]{1,64})")
_TEXT_CHARACTERS: Final = 300  # what is shown of a problem's text; the service's own are shorter
_UNPRINTABLE: Final = re.compile(r"[^\x20-\x7e]")
_MEDIA_TYPE: Final = "application/problem+json"
_PLAN: Final = (401, "application/json")  # the plan's answer to a request that is not signed


class ProblemDetails(msgspec.Struct, frozen=True):
    """RFC 9457 problem details, as far as they matter here."""

    type: str = ""
    title: str = ""
    detail: str = ""

    @property
    def slug(self) -> str:
        """The name of the kind of problem; empty for none of ours."""
        found = _TYPE.fullmatch(self.type)
        return "" if found is None else found[1]


_CLASSES: Final[Mapping[str, type[errors.MfnError]]] = {
    **errors.classes(),
    "store-unavailable": errors.StoreUnavailableError,
    "too-large": errors.InvalidInputError,
}
_UNAVAILABLE: Final = frozenset({429, 502, 503, 504})  # of what is in front of the service too


def problem_of(reply: Reply) -> ProblemDetails:
    """The problem in an answer; an empty one where it says nothing that is understood."""
    media_type = reply.headers.get("content-type", "").partition(";")[0].strip()
    if media_type == _MEDIA_TYPE or (reply.status, media_type) == _PLAN:
        try:
            return msgspec.json.decode(reply.body, type=ProblemDetails)
        except (msgspec.DecodeError, ValueError, RecursionError):
            pass
    return ProblemDetails()


def error_of_problem(
    problem: ProblemDetails, status: int, request_id: str | None
) -> errors.MfnError:
    """The library's error for a problem; what is unknown is judged by its status."""
    cls = _CLASSES.get(problem.slug)
    shown = _UNPRINTABLE.sub("?", problem.detail or problem.title)[:_TEXT_CHARACTERS]
    error: errors.MfnError
    if cls is errors.RequestSignatureError:
        # Not what verify() raises: that says something of the data.
        error = errors.NotPermittedError("the service accepts no signature of this request")
    elif cls is not None and cls is not errors.MfnError:
        error = cls(*(() if hasattr(cls, "TEXT") else (shown or "the service refused it",)))
    elif status in _UNAVAILABLE:
        error = errors.ServiceUnavailableError(shown or f"there was no answer but status {status}")
    elif 300 <= status < 400:
        error = errors.ServiceError("the answer leads elsewhere, and no redirect is followed")
    else:
        error = errors.ServiceError(shown or f"the answer has status {status} and no explanation")
    if request_id is not None and re.fullmatch("[0-9A-Za-z-]{1,64}", request_id):
        error.add_note(f"request {request_id} of the service")
    return error


def error_of_reply(reply: Reply) -> errors.MfnError:
    """The error of an answer that is no success."""
    return error_of_problem(problem_of(reply), reply.status, reply.headers.get("x-request-id"))


def error_of_no_reply(failure: NoReply) -> errors.MfnError:
    """The error of an answer that did not come."""
    return errors.ServiceUnavailableError(failure.reason)
