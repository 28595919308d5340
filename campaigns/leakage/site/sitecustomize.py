"""Processes that tests start draw their keys as markers, too."""

import os
import sys
from pathlib import Path

_FOLDER = os.environ.get("MFN_TEST_LEAKAGE")
if _FOLDER:
    sys.path.append(str(Path(__file__).parents[3]))
    from campaigns.leakage.drawing import draw_markers

    draw_markers((Path(_FOLDER) / "tag").read_bytes())
