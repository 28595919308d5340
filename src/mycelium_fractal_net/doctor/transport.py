"""Keys on their way: which may leave, and imports that are under way."""

from __future__ import annotations

from collections.abc import Iterator

from mycelium_fractal_net.doctor.findings import Examined, Finding, critical, notice
from mycelium_fractal_net.security.errors import MfnError
from mycelium_fractal_net.security.records.keys import Key


def exportable_findings(key: Key) -> Iterator[Finding]:
    """A key that whoever has ``keys:admin`` may take along."""
    if key.exportable:
        yield notice(
            "exportable",
            f"key {key.key_id}",
            "may be exported by whoever has keys:admin; who did is in: mfn audit show --event"
            " key.export",
        )


def import_findings(store: Examined) -> Iterator[Finding]:
    """Imports under way, by name; those that have expired go with the next look of a scheduler."""
    imports = store.provider.imports
    now = imports.clock()
    for name, pending in imports.each():
        if isinstance(pending, MfnError):
            yield critical("authentication", f"import {name}", str(pending))
        elif pending.expires_at <= now:
            yield notice(
                "import",
                f"import {name}",
                f"of key {pending.key_id!r} has expired, and what opens it is still there: mfn"
                " rotation run deletes it",
            )
        else:
            yield notice(
                "import",
                f"import {name}",
                f"of key {pending.key_id!r} is under way until"
                f" {pending.expires_at:%Y-%m-%dT%H:%M:%SZ}",
            )
