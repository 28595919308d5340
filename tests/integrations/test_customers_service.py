"""The service in ``examples/customers_service``: docs/tutorials/fastapi.md, as it is read."""

from __future__ import annotations

import json
import re
import shlex
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.cli import Mfn, environment
from tests.support.service import START_SECONDS

pytestmark = pytest.mark.long

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "customers_service"
PAGE = (ROOT / "docs" / "tutorials" / "fastapi.md").read_text()
COMMANDS = [
    shlex.split(line)
    for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
    for line in block.splitlines()
]
_NOTICED_SECONDS = 2.2  # a process reads the store's generation every two seconds


class Service:
    """The service of the page; what is asked of it stands there as commands of curl."""

    def __init__(self, folder: Path, home: Path) -> None:
        self.folder = folder
        self.env = environment({"MFN_HOME": str(home)}) | {"PYTHONDONTWRITEBYTECODE": "1"}
        self.process: subprocess.Popen[str] | None = None
        self.client = httpx.Client(timeout=START_SECONDS)

    def start(self, command: list[str]) -> None:
        port = command.index("--port") + 1
        words = [sys.executable, *command[1:port], "0", "--app-dir", str(EXAMPLE)]
        self.process = subprocess.Popen(
            words, cwd=self.folder, env=self.env, stderr=subprocess.PIPE, text=True
        )
        assert self.process.stderr is not None
        said = ""
        for line in self.process.stderr:
            said += line
            found = re.search(r"running on (http://127\.0\.0\.1:\d+)", line)
            if found:
                self.client.base_url = httpx.URL(found[1])
                return
        raise AssertionError(said)

    def curl(self, command: list[str]) -> httpx.Response:
        path = httpx.URL(command[-1]).path
        if "-d" not in command:
            return self.client.get(path)
        return self.client.post(path, json=json.loads(command[command.index("-d") + 1]))

    def stop(self) -> None:
        self.client.close()
        if self.process is not None:
            self.process.terminate()
            self.process.communicate(timeout=START_SECONDS)


@pytest.fixture
def service(tmp_path: Path, home: Path) -> Iterator[Service]:
    """It is stopped, whatever happens."""
    made = Service(tmp_path, home)
    yield made
    made.stop()


def test_the_page_is_the_example() -> None:
    """Each piece of code in it stands in the example's files, and the README has its commands."""
    files = [each.read_text() for each in EXAMPLE.glob("*.py")]
    for block in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL):
        assert any(block in text for text in files), block
    readme = re.findall(
        r"^    ((?:mfn|python) .*)$", (EXAMPLE / "README.md").read_text(), re.MULTILINE
    )
    assert [shlex.split(each) for each in readme] == COMMANDS[:4]


def test_the_service_runs_as_its_page_says(
    service: Service, tmp_path: Path, home: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    """From no key at all; at each step a customer is found, and no address is taken twice."""
    mfn = Mfn(home, tmp_path, capfdbinary)
    answers: list[Any] = []
    for command in COMMANDS:
        if command[0] == "mfn":
            ran = mfn.process(*command[1:])
            assert ran.code == 0, ran.err
        elif command[0] == "python":
            service.start(command)
        elif command[0] == "sleep":
            time.sleep(_NOTICED_SECONDS)
        else:
            answers.append(service.curl(command))
        if len(answers) == 3:
            found = service.client.post("/customers/search", json={"email": "ADA@example.com"})
            assert (found.status_code, found.json()["id"]) == (200, 1), command
            again = {"email": "ada@EXAMPLE.com", "name": "Somebody"}
            assert service.client.post("/customers", json=again).status_code == 409, command
    made, found, read = answers
    assert made.status_code == 201
    assert made.json() == found.json() == read.json()
    assert found.json()["notes"] == {"likes": "engines"}
    nobody = {"email": "bob@example.com"}
    assert service.client.post("/customers/search", json=nobody).status_code == 404
    assert service.client.post("/customers/search", json={"email": "bob"}).status_code == 422
    with sqlite3.connect(tmp_path / "customers.db") as connection:
        ((stored,),) = connection.execute("SELECT email FROM customers").fetchall()
    connection.close()
    assert stored[32:35] == b"MFN"
    assert b"example" not in (tmp_path / "customers.db").read_bytes()
