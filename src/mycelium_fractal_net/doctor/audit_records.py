"""Audit records that were tampered with, or that cannot be written."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from mycelium_fractal_net.bootstrap import audit_report
from mycelium_fractal_net.doctor.findings import Examined, Finding, critical, notice
from mycelium_fractal_net.security.audit.verification import ChainFault
from mycelium_fractal_net.security.errors import StoreIntegrityError

# Of each audit chain, the newest files up to this size are verified: under two seconds.
AUDIT_BYTES: Final = 134_217_728
_MOST_FAULTS: Final = 20  # of audit records, told one by one; mfn audit verify tells all


def audit_findings(store: Examined) -> Iterator[Finding]:
    """Faults in the newest records of each chain, and folders that take no more of them."""
    folder = store.settings.audit_folder
    chains: list[Path] = []
    try:
        report = audit_report(
            store.settings, store.provider, also=store.also, most_bytes=AUDIT_BYTES
        )
        for fault in report.faults[:_MOST_FAULTS]:
            yield _tampered(*_named(fault))
        for fault in report.acknowledged[:_MOST_FAULTS]:
            yield _known(fault)
        chains = [folder / chain.chain for chain in report.chains]
    except StoreIntegrityError as error:
        yield _tampered("audit key", str(error))
    except OSError as error:
        yield _unusable(error.filename or folder, "read", error)
    for path in (folder, *(each for each in chains if each.is_dir())):
        try:
            _try_writing(path)
        except OSError as error:
            yield _unusable(path, "written", error)


def _named(fault: ChainFault) -> tuple[str, str]:
    record = f"record {fault.sequence}: " if fault.sequence else ""
    return f"audit chain {fault.chain}" if fault.chain else "audit chains", f"{record}{fault.what}"


def _known(fault: ChainFault) -> Finding:
    subject, what = _named(fault)
    known = fault.acknowledged
    by = f"known since {known.time:%Y-%m-%d} to {known.actor}: {known.reason}" if known else ""
    return notice("audit-acknowledged", subject, f"{what}; {by}")


def _tampered(subject: str, what: str) -> Finding:
    return critical(
        "audit-tampering",
        subject,
        f"{what}; keep the folder as it is and run mfn audit verify, which reads all of it."
        " Where records were moved name the folder with --also; of what you have looked into say"
        " so: mfn audit acknowledge --reason TEXT",
    )


def _unusable(path: str | Path, done: str, error: OSError) -> Finding:
    return critical(
        "audit-folder",
        str(path),
        f"audit records cannot be {done}: {error.strerror}; nothing is done without a record",
    )


def _try_writing(folder: Path) -> None:
    """Write a file that never has a name, there or in what the folder would be made in.

    Raises :class:`OSError`.
    """
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    with tempfile.TemporaryFile(dir=existing, buffering=0) as file:
        file.write(bytes(4096))
        os.fsync(file.fileno())
