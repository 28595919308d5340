"""docs/openapi.json, the description of the service."""

from __future__ import annotations

import json

from mycelium_fractal_net.api.application import create_app
from mycelium_fractal_net.config import Settings


def page(_: str = "") -> str:
    """The document as it belongs into the file, whatever it is now."""
    return json.dumps(create_app(Settings()).openapi(), indent=1, ensure_ascii=False) + "\n"
