"""An extra that is not installed is named; of one that is there and broken the cause is told."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from mycelium_fractal_net.security.errors import (
    EXTRA_MODULES,
    ConfigurationError,
    MissingExtraError,
    unusable_extra,
)
from tests.support.cli import environment

PYPROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
DOORS = {
    "aws-kms": (
        "from mycelium_fractal_net.security.key_providers.aws_kms import KmsClient, KmsPlace\n"
        "KmsClient(KmsPlace('alias/orders'))"
    ),
    "client": "from mycelium_fractal_net.client import Client",
    "mysql": (
        "from mycelium_fractal_net.columns.column_database import ColumnDatabase\n"
        "ColumnDatabase('mariadb://app@127.0.0.1/app')"
    ),
    "postgresql": (
        "from mycelium_fractal_net.security.key_store import Database\n"
        "Database('postgresql://keys@127.0.0.1/keys')"
    ),
    "redis": (
        "from mycelium_fractal_net.api.rate_limits.rates import RateCounter\n"
        "RateCounter('redis://127.0.0.1:1/0')"
    ),
    "server": "from mycelium_fractal_net.api import app",
    "mfn serve": "from mycelium_fractal_net.cli import main\nraise SystemExit(main(['serve']))",
}
BROKEN = {
    "import nowhere_at_all": "No module named 'nowhere_at_all'",
    "raise ImportError('no pq wrapper.\\nAttempts made:\\n- libpq.so.5: no such file')": (
        "no pq wrapper. Attempts made: - libpq.so.5: no such file"
    ),
}


def test_what_an_extra_imports_is_what_it_installs() -> None:
    """The table of modules is that of pyproject.toml."""
    extras = PYPROJECT["project"]["optional-dependencies"]
    for extra, modules in EXTRA_MODULES.items():
        installed = {re.split(r"[\[>=<]", each)[0].replace("-", "_") for each in extras[extra]}
        assert installed == set(modules)
    assert set(extras) - set(EXTRA_MODULES) <= {"numpy", "torch"}


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("source", BROKEN)
def test_an_extra_that_is_there_and_does_not_import_tells_why(
    tmp_path: Path, door: str, source: str
) -> None:
    """On Python 3.11.2 `redis` lacked a package of its own, and was said to be missing."""
    module = EXTRA_MODULES["server" if door == "mfn serve" else door][0]
    (tmp_path / module).mkdir()
    (tmp_path / module / "__init__.py").write_text(source)
    ran = subprocess.run(
        [sys.executable, "-c", f"import sys\nsys.path.insert(0, {str(tmp_path)!r})\n{DOORS[door]}"],
        env=environment({"MFN_HOME": str(tmp_path / "home")}),
        capture_output=True,
        text=True,
        check=False,
    )
    (told,) = [line for line in ran.stderr.splitlines() if "is there and not whole" in line]
    assert BROKEN[source] in told
    assert "pip install" not in told


def test_one_that_is_missing_is_named() -> None:
    """And what to install."""
    error = unusable_extra("it", "redis", ModuleNotFoundError("no", name="redis.asyncio"))
    assert isinstance(error, MissingExtraError)
    for other in (ModuleNotFoundError("no", name="async_timeout"), ImportError("no")):
        error = unusable_extra("it", "redis", other)
        assert type(error) is ConfigurationError
        assert str(error) == "it: the extra 'redis' is there and not whole: no"
