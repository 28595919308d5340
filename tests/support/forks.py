"""Programs run in forks of one process that has imported what they need, which takes most time.

Run as ``python -m tests.support.forks [FOLDER]``. With the folder of a FIPS module it sets FIPS
mode up first, and every fork is in it; without, nothing has imported ``cryptography`` yet. Each
line of standard input asks for one fork, as JSON; each line of standard output is its exit code.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path
from typing import Any, NoReturn

_ROOT = Path(__file__).parents[2]


class Forks:
    """Such a process, started by the first that asks."""

    def __init__(self, folder: Path | None = None) -> None:
        self._given = [] if folder is None else [str(folder)]
        self._process: subprocess.Popen[str] | None = None

    def run(
        self, *, argv: list[str] | None = None, code: str = "", env: dict[str, str]
    ) -> tuple[int, bytes, bytes]:
        """Run ``mfn`` with those arguments, or that program; its exit code, output and errors."""
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.support.forks", *self._given],
                cwd=_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                start_new_session=True,
                env=env | {"PYTHONPATH": os.pathsep.join((str(_ROOT), str(_ROOT / "src")))},
            )  # fmt: skip
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        with tempfile.TemporaryDirectory() as folder:
            out, err = Path(folder, "out"), Path(folder, "err")
            asked = {
                "argv": argv, "code": code, "env": env, "cwd": os.getcwd(),
                "out": str(out), "err": str(err),
            }  # fmt: skip
            process.stdin.write(json.dumps(asked) + "\n")
            process.stdin.flush()
            ended = int(process.stdout.readline())
            return ended, out.read_bytes(), err.read_bytes()

    def close(self) -> None:
        """End it, and what it forked."""
        if self._process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.communicate(timeout=5)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            for stream in (self._process.stdin, self._process.stdout):
                assert stream is not None
                stream.close()


def _serve(folder: str | None) -> None:
    from mycelium_fractal_net.security.fips import process

    for name in ("click", "sqlalchemy", "alembic.command", "mycelium_fractal_net.cli.app"):
        importlib.import_module(name)
    if folder is None:
        for name in ("fips", "security.fips.installed", "security.fips.python_openssl"):
            importlib.import_module(f"mycelium_fractal_net.{name}")
        assert "cryptography.hazmat.bindings._rust" not in sys.modules
    else:
        process.start(Path(folder))
        from mycelium_fractal_net.cli import main

        with tempfile.TemporaryDirectory() as home:  # imports all that commands do, mostly
            for command in (["init", "--quiet"], ["doctor", "--json"]):
                with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
                    main(["--home", f"{home}/home", *command])
    for line in sys.stdin:
        child = os.fork()
        if not child:
            _become(json.loads(line))
        ended = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        sys.stdout.write(f"{ended}\n")
        sys.stdout.flush()


def _become(asked: dict[str, Any]) -> NoReturn:
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for name, number in (("out", 1), ("err", 2)):
        os.dup2(os.open(asked[name], os.O_WRONLY | os.O_CREAT, 0o600), number)
    os.environ.clear()
    os.environ.update(asked["env"])
    os.chdir(asked["cwd"])
    code = 0
    try:
        if asked["argv"] is None:
            exec(compile(asked["code"], "<program>", "exec"), {"__name__": "__main__"})
        else:
            from mycelium_fractal_net.cli import main

            sys.argv[1:] = asked["argv"]
            code = main()
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 0
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    _serve(sys.argv[1] if len(sys.argv) > 1 else None)
