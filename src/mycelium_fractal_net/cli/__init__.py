"""``mfn``, the command line. It parses, calls and prints; there is no cryptography in it."""

from __future__ import annotations

import gc
import sys
from collections.abc import Sequence

from mycelium_fractal_net.security.errors import ExitCode

__all__ = ["ExitCode", "main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; ``argv`` is without the program's name.

    Without ``argv`` this is the program itself. Every failure is one line on standard error
    and a code of :class:`ExitCode`; the traceback comes only with ``--debug``.
    """
    if argv is not None:
        return _run(list(argv))
    # Loading makes very many objects and no garbage: collecting it while the program starts,
    # and once more when it ends, takes a quarter of the time of a short command. The invocation
    # switches the collector on again where the work begins.
    gc.disable()
    code = _run(sys.argv[1:])
    gc.freeze()
    return code


def _run(arguments: list[str]) -> int:
    try:
        # Here and not above: a Ctrl-C while this loads must not end in a traceback.
        from mycelium_fractal_net.cli.run import run

        return run(arguments)
    except KeyboardInterrupt:
        sys.stderr.write("mfn: interrupted before anything was done\n")
        return ExitCode.INTERRUPTED
