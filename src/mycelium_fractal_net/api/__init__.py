"""The HTTP service: ``uvicorn mycelium_fractal_net.api:app``, or better ``mfn serve``.

``app`` is made when it is first asked for, from the settings that the environment names.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mycelium_fractal_net.security.errors import unusable_extra

if TYPE_CHECKING:
    from mycelium_fractal_net.api.application import Application, create_app

    app: Application

__all__ = ["app", "create_app"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from mycelium_fractal_net.fips import start_by_environment

    start_by_environment()
    try:
        from mycelium_fractal_net.api import application
    except ImportError as error:
        if error.name is not None and error.name.startswith(__name__.partition(".")[0]):
            raise
        raise unusable_extra("the service", "server", error) from None
    if name == "create_app":
        return application.create_app
    from mycelium_fractal_net.security.hardening import harden_process

    harden_process()  # the process is the service; who calls create_app decides for his own
    made = globals()["app"] = application.create_app()
    return made
