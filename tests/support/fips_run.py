"""A run of the tests in FIPS mode: ``make test-fips``, or ``pytest -p tests.support.fips_run``.

Loaded before any conftest, it sets the mode up in the process that runs tests; whatever Python
processes they start do so by themselves (:mod:`.fips_site`). No policy there is another than that
of the mode. What is refused by design is listed in docs/fips.md by name: such a test has to be
refused, and counts as skipped; one that is not refused fails, and so does one that is refused and
not listed. A refusal is told from a fault by what the policy, or the module, says.
"""

from __future__ import annotations

import atexit
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from mycelium_fractal_net.security.fips import process
from mycelium_fractal_net.security.fips.installed import install
from tests.support.fips_list import is_listed, listed
from tests.support.fips_module import fips_module, sha256_of

if TYPE_CHECKING:
    from collections.abc import Generator

FOLDER: Final = "MFN_TEST_FIPS_FOLDER"
SITE: Final = Path(__file__).parent / "fips_site"

# What a refusal says: the policy's words, and those of ``cryptography`` where the module refuses.
WORDS: Final = (
    "is not on the list of algorithms of FIPS mode",
    "X25519 is not approved by SP 800-56A",
    "AES-SIV is not approved",
    "security.fips_mode",
    "is never opened in FIPS mode",
    "the FIPS module refuses",
    "UnsupportedAlgorithm",
    "digital envelope routines",
    "InternalError: Unknown OpenSSL error",
    "[digital envelope routines] unsupported",
)


def _begin() -> None:
    """Install the module for this run, and set the mode up here."""
    if FOLDER not in os.environ:
        place = Path(tempfile.mkdtemp(prefix="mfn-fips-"))
        atexit.register(shutil.rmtree, place, ignore_errors=True)
        module = fips_module()
        install(module, sha256_of(module), place / "fips")
        os.environ[FOLDER] = str(place / "fips")
        paths = [str(SITE), *filter(None, [os.environ.get("PYTHONPATH")])]
        os.environ["PYTHONPATH"] = os.pathsep.join(paths)
    process.start(Path(os.environ[FOLDER]))


if process.proven() is None:  # in the processes of pytest-xdist it is, by fips_site
    if "cryptography" in sys.modules:
        raise pytest.UsageError("something imported cryptography before FIPS mode was set up")
    _begin()


class Refusals:
    """What the policy refused since a test began, whatever became of the error."""

    count = 0


def _watch() -> None:
    from mycelium_fractal_net.security.algorithms.names import NOT_IN_FIPS_MODE
    from mycelium_fractal_net.security.policy import Policy

    def why_not(self: Policy, name: str) -> str:
        Refusals.count += name in NOT_IN_FIPS_MODE
        return plain(self, name)

    plain, Policy.why_not = Policy.why_not, why_not  # type: ignore[method-assign]


_watch()
_PATTERNS: Final = listed()
_REFUSED: Final = pytest.StashKey[bool]()
_BEFORE: Final = pytest.StashKey[int]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Note what was refused before a test."""
    item.stash[_BEFORE] = Refusals.count
    return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Of a listed test a refusal is a skip, and its absence a failure."""
    report = yield
    if not is_listed(item.nodeid, _PATTERNS):
        return report
    if report.failed:
        said = "\n".join([str(report.longrepr), *(text for _, text in report.sections)])
        if Refusals.count > item.stash[_BEFORE] or any(words in said for words in WORDS):
            item.stash[_REFUSED] = True
            report.outcome = "skipped"
            report.longrepr = (str(item.path), 0, "refused by design: docs/fips.md lists it")
    elif report.skipped:
        item.stash[_REFUSED] = True
    elif report.when == "teardown" and not item.stash.get(_REFUSED, False):
        report.outcome = "failed"
        report.longrepr = "docs/fips.md lists this test as refused in FIPS mode, and it is not"
    return report
