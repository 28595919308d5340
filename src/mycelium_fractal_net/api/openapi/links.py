"""Which answer is of use for which request, for the OpenAPI document."""

from __future__ import annotations

from typing import Any, Final

_SUBJECT: Final = {"key_id": "key_id", "credential_id": "id", "name": "name"}


def _of(parameter: str, operation: str, about: str) -> dict[str, Any]:
    """A link to what may be done with the ``parameter`` that an answer names."""
    value = f"$response.body#/{_SUBJECT[parameter]}"
    return {"operationId": operation, "parameters": {parameter: value}, "description": about}


def _key(operation: str, about: str) -> dict[str, Any]:
    return _of("key_id", f"{operation}_key", about)


def _whole(operation: str, about: str) -> dict[str, Any]:
    return {"operationId": operation, "requestBody": "$response.body", "description": about}


def _verifies(operation: str, member: str) -> dict[str, Any]:
    own = {name: f"$response.body#/{name}" for name in (member, "key_id")}
    body = {"data": "$request.body#/data", **own}
    return {"operationId": operation, "requestBody": body, "description": "It verifies."}


LINKS: Final[dict[str, dict[str, Any]]] = {
    "create_key": {
        "show": _key("show", "Show it."),
        "rotate": _key("rotate", "Add a version."),
        "suspend": _key("suspend", "Stop its newest version for the time being."),
        "deactivate": _key("deactivate", "Retire its newest version."),
        "compromise": _key("compromise", "Mark its newest version as known to others."),
        "change": _key("change", "Change its policy."),
        "public": _key("public", "Its public key, where it signs."),
        "encrypt": {
            "operationId": "encrypt",
            "requestBody": {"data": "aGVsbG8=", "key_id": "$response.body#/key_id"},
            "description": "Encrypt with it, where its type is encryption.",
        },
    },
    "begin_import": {
        "finish": {
            "operationId": "finish_import",
            "parameters": {"import_id": "$response.body#/import_id"},
            "description": "Take in the key that was wrapped for it.",
        }
    },
    "finish_import": {"show": _key("show", "Show it.")},
    "suspend_key": {"activate": _key("activate", "Let it serve again.")},
    "deactivate_key": {"destroy": _key("destroy", "Destroy it after its recovery window.")},
    "destroy_key": {"cancel": _key("cancel_destruction", "Keep it after all.")},
    "encrypt": {
        "decrypt": _whole("decrypt", "The answer is a request; add the associated data."),
        "rewrap": _whole("rewrap", "Move it to the newest version of its key."),
    },
    "rewrap": {"decrypt": _whole("decrypt", "The answer is a request; add the associated data.")},
    "sign": {"verify": _verifies("verify", "signature")},
    "mac": {"verify": _verifies("verify_mac", "mac")},
    "create_credential": {
        "show": _of("credential_id", "show_credential", "Show it."),
        "rotate": _of("credential_id", "rotate_credential", "Give it a new secret."),
        "revoke": _of("credential_id", "revoke_credential", "End it."),
    },
    "add_signer": {
        "show": _of("name", "show_signer", "Show it."),
        "revoke": _of("name", "revoke_signer", "End it."),
    },
}
"""By operation id: the links of its success (OpenAPI 3.1 section 4.8.20)."""
