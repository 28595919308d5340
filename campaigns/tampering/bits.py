"""The part that changes every bit: each form with each single change, and how it was refused."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Final

from campaigns.frame.campaign import Figures
from campaigns.frame.run import Run
from campaigns.tampering import ciphertexts, signed
from campaigns.tampering.forms import Form, tried
from campaigns.tampering.mutations import every_change, sampled

_QUICK_CHANGES: Final = 40  # of each form


def forms(folder: Path) -> list[Form]:
    """Every form that is bytes; the rows of the store are a part of their own."""
    folder.mkdir(parents=True, exist_ok=True)
    return [
        *ciphertexts.messages(),
        *ciphertexts.keys_on_their_way(),
        *ciphertexts.of_the_store(folder),
        *signed.signature_files(),
        *signed.public_keys(),
        *signed.requests(),
        *signed.audit_records(folder),
    ]


def every_bit(run: Run) -> Figures:
    """Each change of each form is refused with its one error, or harmless as it says."""
    counts = run.kept()
    there = forms(run.folder / "files")
    for number, form in enumerate(there):
        if form.name in counts:
            continue
        changes = (
            sampled(form.data, _QUICK_CHANGES, number) if run.quick else every_change(form.data)
        )
        counts[form.name] = {"bytes": len(form.data), **asdict(tried(form, changes))}
        counts[form.name]["failures"] = counts[form.name]["failures"][:20]
        counts[form.name]["texts"] = len(counts[form.name]["texts"])
        run.keep(counts)
        run.progress(number + 1, len(there), form.name)
        run.pause_if_due()
    failures = [each for count in counts.values() for each in count["failures"]]
    return {"forms": counts, "failures": failures}
