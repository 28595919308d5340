"""What is shown of a record has one source, for the command line as for the service."""

from __future__ import annotations

import subprocess
import sys


def test_the_shapes_of_records_need_no_web_framework() -> None:
    """The command line prints what the service describes, without loading what describes it."""
    code = (
        "import sys; from mycelium_fractal_net import shapes;"
        "print({'pydantic', 'fastapi'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
