"""What the audit log of a service says, once it has ended or while it runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mycelium_fractal_net import open_keyring
from mycelium_fractal_net.config import load_settings
from mycelium_fractal_net.security.audit import AuditReport, query, verify

if TYPE_CHECKING:
    from pathlib import Path


def verified(home: Path, *, config: Path | None = None, store: str | None = None) -> AuditReport:
    """The chains of a service that has ended, verified against what the store knows."""
    settings = load_settings(config, home=home, store=store)
    with open_keyring(settings=settings) as keyring:
        provider = keyring.provider
        return verify(settings.audit_folder, provider.store, provider.audit_keys.chain_key())


def records(folder: Path, **wanted: Any) -> list[dict[str, Any]]:
    """Every record in an audit folder that fits, newest first."""
    return query(folder, limit=1_000_000, **wanted)
