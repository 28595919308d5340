"""What a form is: bytes that were written, who reads them, and what refusing them looks like."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from campaigns.tampering.mutations import Change

Harmless = Callable[[bytes, Any], str | None]


def _never(_changed: bytes, _read: object) -> str | None:
    return None


@dataclass(frozen=True)
class Form:
    """Something that is written. ``read`` raises one of ``errors`` for what is not ``data``.

    ``harmless`` says why a changed one may be taken, given what was read of it; None: it must not
    be. A form that is a ``ciphertext`` is refused with one text, whatever was changed.
    """

    name: str
    data: bytes
    read: Callable[[bytes], object]
    errors: tuple[type[Exception], ...]
    harmless: Harmless = _never
    ciphertext: bool = True


@dataclass
class Count:
    """How the changes of one form ended."""

    changes: int
    refused: int
    harmless: dict[str, int]
    texts: list[str]
    failures: list[str]


def tried(form: Form, changes: Iterable[Change]) -> Count:
    """Read each changed one; count, and say what should not have been."""
    count = Count(0, 0, {}, [], [])
    texts: set[str] = set()
    for change in changes:
        kind, changed = change.kind, change.of(form.data)
        count.changes += 1
        try:
            found = form.read(changed)
        except form.errors as error:
            count.refused += 1
            texts.add(f"{type(error).__name__}: {error}")
        except Exception as error:
            count.failures.append(f"{form.name}: {kind}: {type(error).__name__}, not its error")
        else:
            reason = form.harmless(changed, found)
            if reason is None:
                count.failures.append(f"{form.name}: {kind}: taken, at {_first(form, changed)}")
            else:
                count.harmless[reason] = count.harmless.get(reason, 0) + 1
    count.texts = sorted(texts)
    if form.ciphertext and len(texts) > 1:
        count.failures.append(f"{form.name}: refused with {len(texts)} texts")
    with contextlib.suppress(*form.errors):
        form.read(form.data)
        return count
    count.failures.append(f"{form.name}: it does not open as it was written")
    return count


def _first(form: Form, changed: bytes) -> int:
    """Where the first byte is that differs."""
    pairs = zip(form.data, changed, strict=False)
    return next((at for at, (one, other) in enumerate(pairs) if one != other), len(changed))
