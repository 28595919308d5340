"""Stores over a custodian, and services over them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mycelium_fractal_net import Keyring
from mycelium_fractal_net.bootstrap import initialise
from mycelium_fractal_net.config import load_settings
from tests.support.service import Running, start

_PLAIN = {"security": {"tls": {"required": False}}, "server": {"request_signing": "off"}}


def made_store(
    variables: dict[str, str], folder: Path, settings: dict[str, Any] | None = None
) -> Keyring:
    """A fresh store, whose settings ``variables`` name from then on."""
    config = folder / f"{Path(variables['MFN_HOME']).name}.json"
    config.write_text(json.dumps({**_PLAIN, **(settings or {})}))
    variables["MFN_CONFIG"] = str(config)
    return initialise(settings=load_settings(environ=variables))


@contextmanager
def served(home: Path, variables: dict[str, str]) -> Iterator[Running]:
    """A service over it, with one worker."""
    running = start(home, env=variables)
    try:
        yield running
    finally:
        running.stop()
