"""Hold every package that the locks pin against published advisories, by pip-audit --strict.

python scripts/audit.py          # exit 0: none is known; 1: some are; 3: nothing could be found out

A machine without the internet, or with a mirror that has packages and no advisories, gives an empty
answer that looks like a good one. So each source is asked first about a release that is known to be
vulnerable; one that knows nothing of it is not believed.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final, NamedTuple

ROOT: Final = Path(__file__).resolve().parent.parent
LOCKS: Final = sorted((ROOT / "requirements").glob("*.txt"))
SOURCES: Final = ("pypi", "osv")  # pip-audit's names of them
VULNERABLE: Final = "urllib3==1.24.1"  # PYSEC-2019-133 and many after it
CLEAN, FOUND, UNKNOWN = 0, 1, 3

_SECONDS: Final = 180


class Answer(NamedTuple):
    """What pip-audit said: its JSON, None where it gave none, and the last line of its errors."""

    document: Any
    error: str


Ask = Callable[[str, Iterable[Path], tuple[str, ...]], Answer]


def ask(source: str, files: Iterable[Path], more: tuple[str, ...]) -> Answer:
    """Run pip-audit on requirement files; it looks at what they pin, and installs nothing."""
    command = [sys.executable, "-m", "pip_audit", "--strict", "--disable-pip", *more]
    command += ["--vulnerability-service", source, "--format", "json", "--progress-spinner", "off"]
    for file in files:
        command += ["--requirement", str(file)]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return Answer(None, f"no answer in {_SECONDS} seconds")
    lines = done.stderr.strip().splitlines()
    try:
        document = json.loads(done.stdout)
    except ValueError:
        document = None
    return Answer(document, lines[-1] if lines else f"exit code {done.returncode}")


def vulnerable(document: Any) -> list[str]:
    """``NAME VERSION: ID, mended in VERSIONS`` for each advisory in an answer."""
    return [
        f"{each['name']} {each['version']}: {found['id']}, mended in"
        f" {', '.join(found['fix_versions']) or 'no release'}"
        for each in document["dependencies"]
        for found in each.get("vulns", ())
    ]


def audit(asked: Ask = ask) -> int:
    """Find a source that can be believed, ask it about the locks, and print what it says."""
    reasons = []
    with tempfile.TemporaryDirectory() as folder:
        known = Path(folder, "known-to-be-vulnerable.txt")
        known.write_text(f"{VULNERABLE}\n")
        for source in SOURCES:
            tried = asked(source, [known], ("--no-deps",))
            if tried.document is None or not vulnerable(tried.document):
                reasons.append(f"{source}: {_why_not(tried)}")
                continue
            answer = asked(source, LOCKS, ("--require-hashes",))
            if answer.document is None:
                reasons.append(f"{source}: {answer.error}")
                continue
            return _tell(source, answer.document)
    print("NOT AUDITED: no advisory data can be reached from here, so nothing is known about")
    print("vulnerabilities of what the locks pin. Run it again where there is some.")
    for reason in reasons:
        print(f"  {reason}")
    return UNKNOWN


def _why_not(tried: Answer) -> str:
    if tried.document is None:
        return tried.error
    return f"it knows nothing against {VULNERABLE}, which is known to be vulnerable"


def _tell(source: str, document: Any) -> int:
    found = vulnerable(document)
    for line in found:
        print(line)
    number = len(document["dependencies"])
    print(
        f"known vulnerabilities: {len(found)}, in {number} packages, by the advisories of {source}"
    )
    return FOUND if found else CLEAN


if __name__ == "__main__":
    sys.exit(audit())
