"""In FIPS mode every command sets the mode up before anything imports ``cryptography``.

The mode is not set up here, and needs no module: each command is run up to that call.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

from tests.cli.test_everywhere import COMMANDS
from tests.support.cli import environment

if TYPE_CHECKING:
    from pathlib import Path

FILES = [
    "plain", "plain.mfn", "plain.sig", "public.pem", "client.pem", "peer.pem", "wrapped", "old-key",
    "kept.backup", "for-me.mfn", "me.key",
]  # fmt: skip
MORE = ["serve", "restore kept.backup", "fips status", "key abandon release:v1 --reason a --yes"]
IN_ORDER, WITHOUT = 10, 11  # the mode was asked for first; neither it nor cryptography was needed
PROGRAM = """
import importlib, json, os, pkgutil, sys
import click, sqlalchemy
from mycelium_fractal_net import bootstrap, config, fips, shapes
from mycelium_fractal_net.cli import app, commands
for each in pkgutil.iter_modules(commands.__path__):
    importlib.import_module(f"{commands.__name__}.{each.name}")
from mycelium_fractal_net.cli import main

def has_cryptography():
    return "cryptography.hazmat.bindings._rust" in sys.modules

assert not has_cryptography()
fips.start = lambda *_: os._exit(20 if has_cryptography() else 10)
found = {}
for line in json.loads(sys.argv[1]):
    if not (child := os.fork()):
        try:
            main(line.split())
        finally:
            os._exit(21 if has_cryptography() else 11)
    found[line] = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
print(json.dumps(found))
"""


def test_no_command_begins_with_cryptography_before_the_mode(tmp_path: Path) -> None:
    """Otherwise what it made would go on outside of the module, and the command refuses to run."""
    for name in FILES:
        (tmp_path / name).write_bytes(bytes(32))
        (tmp_path / name).chmod(0o600)
    for name in ("folder", "sealed"):
        (tmp_path / name).mkdir()
    lines = [line.replace("TOMORROW", "2100-01-01") for line in (*COMMANDS, *MORE)]
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM, json.dumps(lines)],
        env=environment(
            {"MFN_HOME": str(tmp_path / "home"), "MFN_FIPS_MODE": "true"}, in_fips_mode=False
        ),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert ran.stdout, ran.stderr
    found = json.loads(ran.stdout.splitlines()[-1])
    assert {line: code for line, code in found.items() if code not in (IN_ORDER, WITHOUT)} == {}
    assert {line for line, code in found.items() if code == WITHOUT} == {"version"}
