"""What the shell completes: names of keys and signers, ids of credentials.

Never asks and never fails aloud.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Final

import typer  # typer resolves the annotations of what completes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mycelium_fractal_net.security.key_providers import StoredKeyProvider
    from mycelium_fractal_net.security.records.keys import Key

__all__ = ["credential_ids", "key_names", "signer_names", "version_names"]

_MOST: Final = 200  # more than anyone reads; keeps the TAB key quick in a large store


def key_names(context: typer.Context, incomplete: str) -> list[str]:
    """The names of keys that begin with ``incomplete``."""
    return [key.key_id for key in _keys(context, incomplete)]


def version_names(context: typer.Context, incomplete: str) -> list[str]:
    """The names of keys and, once a name is whole, its versions."""
    from mycelium_fractal_net.security.records.keys import version_id

    name, colon, _ = incomplete.partition(":")
    keys = _keys(context, name)
    if not colon:
        return [key.key_id for key in keys]
    of_name = (key for key in keys if key.key_id == name)
    return [version_id(name, each.version) for key in of_name for each in key.versions]


def credential_ids(context: typer.Context, incomplete: str) -> list[str]:
    """The ids of credentials that begin with ``incomplete``."""
    with contextlib.suppress(Exception), _provider(context) as provider:
        found = provider.credentials.page(after=_just_before(incomplete), limit=_MOST)
        ids = [credential.credential_id for credential in found]
        return [each for each in ids if each.startswith(incomplete)]
    return []


def signer_names(context: typer.Context, incomplete: str) -> list[str]:
    """The names of signers that begin with ``incomplete``."""
    with contextlib.suppress(Exception), _provider(context) as provider:
        found = provider.signers.page(after=_just_before(incomplete), limit=_MOST)
        return [signer.name for signer in found if signer.name.startswith(incomplete)]
    return []


def _keys(context: typer.Context, prefix: str) -> list[Key]:
    with contextlib.suppress(Exception), _provider(context) as provider:
        found = provider.keys.page(after=_just_before(prefix), limit=_MOST)
        return [key for key in found if key.key_id.startswith(prefix)]
    return []


@contextlib.contextmanager
def _provider(context: typer.Context) -> Iterator[StoredKeyProvider]:
    from mycelium_fractal_net.cli.session import Session

    options = context.find_root().params
    session = Session(
        config=options.get("config"), home=options.get("home"), store=options.get("store")
    )
    with session.keyring(may_ask=False) as keyring:
        yield keyring.provider


def _just_before(prefix: str) -> str:
    """What sorts before all names that begin with ``prefix`` and after all that are less."""
    # "~" is above every character of a name, and names are compared by their ASCII bytes.
    return prefix and f"{prefix[:-1]}{chr(ord(prefix[-1]) - 1)}~"
