"""Every function that touches a secret has its note in docs/side_channels.md."""

from __future__ import annotations

import ast

import pytest

from scripts.side_channels import (
    PAGE,
    PASSES,
    SHAPE,
    Touch,
    faults,
    functions,
    notes,
    page,
    touch_of,
)


def touch(source: str) -> Touch | None:
    """What the only function of a source text touches."""
    ((_, function),) = functions(ast.parse(source))
    return touch_of(function)


def test_every_function_that_touches_a_secret_has_a_note_that_is_true() -> None:
    """And every note has its function; what the code proves by itself is held against it."""
    text = PAGE.read_text()
    assert faults(text) == []
    assert len(notes(text)) > 150
    assert page(text) == text


def test_a_note_that_is_missing_or_of_nothing_or_wrong_is_found() -> None:
    """And the row that is to be there is written with a question."""
    text = PAGE.read_text()
    ours = "| `MacKey.verify` |"
    assert text.count(ours) == 1
    without = "".join(line for line in text.splitlines(True) if not line.startswith(ours))
    (missing,) = faults(without)
    assert missing.startswith("security/algorithms/mac.py: MacKey.verify touches")
    assert "say why this is fine" in faults(page(without))[0]
    assert "touches no secret" in faults(text.replace(ours, f"| `Gone` | `key` | x |\n{ours}"))[0]
    row = next(line for line in text.splitlines() if line.startswith(ours))
    (wrong,) = faults(text.replace(row, f"{row.rsplit(' | ', 1)[0]} | {PASSES} |"))
    assert "it does more" in wrong


@pytest.mark.parametrize(
    ("source", "secrets"),
    [
        ("def f(key: bytes): use(key)", ("key",)),
        ("def f(key: Key): use(key)", None),
        ("def f(key: str): use(key)", None),
        ("def f(passphrase: str | None): use(passphrase)", ("passphrase",)),
        ("def f(self): return self._material", ("._material",)),
        ("def f(a: bytes, b: bytes): return compare_digest(a, b)", ("compare_digest()",)),
        ("def f(size: int): return size", None),
    ],
)
def test_the_rule_is_about_names(source: str, secrets: tuple[str, ...] | None) -> None:
    """Of parameters that hold bytes, of attributes, and of what is called."""
    found = touch(source)
    assert (None if found is None else found.secrets) == secrets


@pytest.mark.parametrize(
    ("body", "note"),
    [
        ("return make(key)", PASSES),
        ("if len(key) != 32: raise ValueError", SHAPE),
        ("if key is None: raise ValueError", SHAPE),
        ("if key[0]: raise ValueError", ""),
        ("made = hashed(key)\n if made == b'': raise ValueError", ""),
        ("return TABLE[key[0]]", ""),
        ("for each in key: use(each)", ""),
        ("return [each for each in FOUND if each == key]", ""),
        ("while next(key): pass", ""),
        ("return b'' if other else key", PASSES),
    ],
)
def test_what_decides_by_a_secret_is_found(body: str, note: str) -> None:
    """Branches, loops, lookups and comparisons, of it and of what was made of it."""
    found = touch(f"def f(key: bytes):\n {body}\n")
    assert found is not None
    assert found.note == note
