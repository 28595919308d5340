"""What the README shows works as it stands there."""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path

import pytest

from mycelium_fractal_net import open_keyring
from tests.support.cli import Mfn

README = (Path(__file__).parents[2] / "README.md").read_text()
COMMANDS = [
    shlex.split(line, comments=True)[1:]
    for block in re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    for line in block.splitlines()
    if line.startswith("mfn ")
]
PYTHON = "\n".join(re.findall(r"```python\n(.*?)```", README, re.DOTALL))


def test_the_commands_of_the_readme_run_in_their_order(empty: Mfn) -> None:
    """Pasted one after the other beside a file and a folder of that name."""
    data = os.urandom(200_000)
    (empty.folder / "big.bin").write_bytes(data)
    (empty.folder / "photos" / "a").mkdir(parents=True)
    (empty.folder / "photos" / "a" / "b.jpg").write_bytes(b"jpg")
    assert len(COMMANDS) >= 12
    for arguments in COMMANDS:
        ran = empty(*arguments)
        # The doctor notices that the master key has no passphrase.
        assert ran.code == (20 if arguments == ["doctor"] else 0), (arguments, ran.err)
    assert (empty.folder / "big.bin").read_bytes() == data
    assert (empty.folder / "back" / "a" / "b.jpg").read_bytes() == b"jpg"


def test_the_python_of_the_readme_runs(mfn: Mfn, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the keys that the commands above it made, in a store of the environment's."""
    monkeypatch.setenv("MFN_HOME", str(mfn.home))
    exec(compile(PYTHON, "README.md", "exec"), {})
    with open_keyring() as keyring:
        assert keyring.provider.keys.get("orders").latest.version == 2
