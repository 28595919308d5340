"""What an operator should mend in Vault: a policy that permits more than a store needs, and keys
and tokens that invite a loss. All of it is asked for, and nothing is changed to find out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mycelium_fractal_net.security.key_providers.vault.key_state import TransitKey
    from mycelium_fractal_net.security.key_providers.vault.session import Session

_SERVES: Final = 200
_NEEDED: Final = {"encrypt": "update", "decrypt": "update", "rewrap": "update", "keys": "read"}
_TOO_MUCH: Final = {
    "create": "it makes a deleted key anew, under which nothing opens: permit update alone",
    "delete": "it deletes the key, and all that is under it",
    "sudo": "no store needs it",
}
_NEVER: Final = {
    "keys/{}/config": "it allows deletion and export, and disables versions",
    "keys/{}/rotate": "it makes versions: leave that to who operates Vault",
    "keys/{}/trim": "it destroys versions",
    "export/encryption-key/{}": "it hands the master key out",
    "backup/{}": "it hands the master key out",
}


def warnings_of(session: Session, mount: str, key: TransitKey) -> tuple[str, ...]:
    """A sentence for each."""
    return (*_of_key(key), *_of_token(session), *_of_policy(session, mount, key.name))


def _of_key(key: TransitKey) -> Iterator[str]:
    if key.deletion_allowed:
        yield (
            f"the transit key {key.name} may be deleted (deletion_allowed):"
            " nothing that is under it would ever open"
        )
    if key.exportable:
        yield (
            f"the transit key {key.name} may leave Vault (exportable, or allow_plaintext_backup),"
            " which cannot be taken back: move to another"
        )


def _of_token(session: Session) -> Iterator[str]:
    answer = session.ask("GET", "auth/token/lookup-self")
    data = answer.document.get("data")
    if answer.status != _SERVES or not isinstance(data, dict):
        yield (
            "the token may not look at itself (auth/token/lookup-self, which the policy default"
            " permits), so nothing is known of its end"
        )
        return
    policies = data.get("policies")
    if isinstance(policies, list) and "root" in policies:
        yield "the token is root's, which may do everything in Vault: use one with the policy alone"
    seconds = data.get("ttl")
    if isinstance(seconds, int) and seconds > 0 and not data.get("period") and not session.logs_in:
        yield (
            f"the token ends in {seconds} seconds and is not periodic: once it cannot be renewed"
            " longer, another must be put in its place"
        )


def _of_policy(session: Session, mount: str, name: str) -> Iterator[str]:
    needed = {f"{mount}/{verb}/{name}": each for verb, each in _NEEDED.items()}
    never = {f"{mount}/{path.format(name)}": why for path, why in _NEVER.items()}
    body = {"paths": [*needed, *never]}
    answer = session.ask("POST", "sys/capabilities-self", body)
    data = answer.document.get("data")
    if answer.status != _SERVES or not isinstance(data, dict):
        yield (
            "the token may not ask what it may do (sys/capabilities-self, which the policy default"
            " permits), so nothing is known of its policy"
        )
        return
    for path, capability in needed.items():
        found = _capabilities(data, path)
        if "root" in found:
            return  # that was said
        for each, why in _TOO_MUCH.items():
            if each in found and each != capability:
                yield f'the policy permits "{each}" on {path}: {why}'
    for path, why in never.items():
        if _capabilities(data, path) - {"deny", "list"}:
            yield f"the policy permits to use {path}: {why}"


def _capabilities(data: dict[str, Any], path: str) -> set[str]:
    found = data.get(path)
    return {each for each in found if isinstance(each, str)} if isinstance(found, list) else set()
