"""A configuration that allows a broken algorithm starts nothing."""

from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING

import pytest

from mycelium_fractal_net.security.algorithms.names import FORBIDDEN
from tests.support.cli import one_line

if TYPE_CHECKING:
    from mycelium_fractal_net.security.algorithms.names import FORBIDDEN
from tests.support.cli import Mfn

COMMANDS = (
    ("init",),
    ("key", "list"),
    ("key", "create", "new"),
    ("encrypt", "file", "-k", "orders"),
    ("decrypt", "file", "-o", "other"),
    ("sign", "file", "-k", "release"),
    ("verify", "file", "file", "--public-key", "file"),
    ("credential", "list"),
    ("signer", "list"),
    ("master", "rotate"),
    ("rotation", "run"),
    ("backup", "copy"),
    ("audit", "verify"),
    ("serve", "--port", "0"),
)


@pytest.mark.parametrize("setting", ["allowed_algorithms", "allowed_macs_and_kdfs"])
def test_no_command_starts_on_a_list_with_a_broken_algorithm(mfn: Mfn, setting: str) -> None:
    """Whichever list it stands on; the error names both."""
    config = mfn.folder / "config.json"
    (mfn.folder / "file").write_bytes(b"data")
    for command, name in zip(COMMANDS, itertools.cycle(sorted(FORBIDDEN))):
        config.write_text(json.dumps({"security": {setting: [name], "tls": {"required": False}}}))
        told = one_line(mfn("--config", config, *command), 3)
        assert told.startswith(f"security.{setting}: {name} is broken and never allowed"), command
