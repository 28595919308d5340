"""Secrets that lie where they need not: a first API key, a configuration file."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING, Any, Final

from mycelium_fractal_net.config.document import read_document
from mycelium_fractal_net.doctor.findings import Finding, critical, warning
from mycelium_fractal_net.security.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mycelium_fractal_net.config import Settings

FIRST_API_KEY: Final = "first-api-key"  # what `mfn serve` writes into the home folder
_URLS: Final = (("key_store", "url"), ("server", "rate_limit_storage"))


def secret_findings(settings: Settings) -> Iterator[Finding]:
    """The first API key, which may do all, still in its file."""
    first = settings.home / FIRST_API_KEY
    if first.exists():
        yield warning(
            "first-api-key",
            str(first),
            "holds an API key that may do all, as the service made it the first time: make others"
            " with the scopes that are needed, revoke it, and delete the file",
        )


def configuration_file_findings(path: Path) -> Iterator[Finding]:
    """A configuration file that others may write, or that holds a secret."""
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        document = read_document(path, "doctor")
    except (OSError, ConfigurationError):
        return  # it was read a moment ago, and is gone
    if mode & (stat.S_IWGRP | stat.S_IWOTH):
        yield critical(
            "configuration-file",
            str(path),
            f"others than its owner may write it (mode {mode:04o}), and name a store and a master"
            f" key of their own; run: chmod go-w {path}",
        )
    held = sorted(_secrets(document))
    if held:
        yield warning(
            "secret-in-configuration",
            str(path),
            f"holds a secret in {', '.join(held)}: keep it in a file of its own that one user may"
            " read, or in what starts the service",
        )


def _secrets(document: dict[str, Any]) -> Iterator[str]:
    """The settings of a configuration that was read, and is right, which hold a secret."""
    managed = document.get("security", {}).get("key_management", {})
    if "vault_token" in managed:
        yield "security.key_management.vault_token"
    for section, name in _URLS:
        url = document.get(section, {}).get(name)
        if url is not None and _has_password(url):
            yield f"{section}.{name}"


def _has_password(url: str) -> bool:
    from urllib.parse import parse_qs, urlsplit

    try:
        parts = urlsplit(url)
        return bool(parts.password) or "password" in parse_qs(parts.query)
    except ValueError:
        return False
