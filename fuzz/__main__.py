"""Run one target: python -m fuzz NAME [OPTIONS OF LIBFUZZER] CORPUS [MORE INPUTS].

Only this package and the targets are instrumented, so that edges that are counted are theirs: all
of the interpreter's library takes half a minute to begin with, and every run is slower.
"""

from __future__ import annotations

import contextlib
import io
import sys
from importlib import import_module

import atheris

INSTRUMENTED = ["mycelium_fractal_net", "fuzz"]


def main() -> None:
    """Import the target with counters in its code, and give it to libFuzzer."""
    name = sys.argv.pop(1)
    said = io.StringIO()  # a line for each module
    with contextlib.redirect_stderr(said), atheris.instrument_imports(include=INSTRUMENTED):
        target = import_module("fuzz.planted" if name == "planted" else f"fuzz.fuzz_{name}")
    sys.argv[0] = f"{sys.executable} -m fuzz {name}"  # so libFuzzer starts it again for -merge
    atheris.Setup(sys.argv, target.one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
