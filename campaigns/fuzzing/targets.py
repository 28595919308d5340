"""The targets there are: fuzz/fuzz_NAME.py, with what each says of itself."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
CORPORA: Final = ROOT / "fuzz" / "corpus"


def names() -> list[str]:
    return sorted(path.stem[len("fuzz_") :] for path in (ROOT / "fuzz").glob("fuzz_*.py"))


def about(name: str) -> str:
    """The first line of the target's docstring, without its first word."""
    told = (import_module(f"fuzz.fuzz_{name}").__doc__ or "").partition("\n")[0]
    return told.removeprefix("Fuzz ").rstrip(".")
