"""Which answer is of use for which request, for the OpenAPI document."""

from __future__ import annotations

from typing import Any, Final


def _key(operation: str, about: str) -> dict[str, Any]:
    return {
        "operationId": operation,
        "parameters": {"key_id": "$response.body#/key_id"},
        "description": about,
    }


def _credential(operation: str, about: str) -> dict[str, Any]:
    return {
        "operationId": operation,
        "parameters": {"credential_id": "$response.body#/id"},
        "description": about,
    }


def _signer(operation: str, about: str) -> dict[str, Any]:
    return {
        "operationId": operation,
        "parameters": {"name": "$response.body#/name"},
        "description": about,
    }


def _whole(operation: str, about: str) -> dict[str, Any]:
    return {"operationId": operation, "requestBody": "$response.body", "description": about}


LINKS: Final[dict[str, dict[str, Any]]] = {
    "create_key": {
        "show": _key("show_key", "Show it."),
        "rotate": _key("rotate_key", "Add a version."),
        "suspend": _key("suspend_key", "Stop its newest version for the time being."),
        "deactivate": _key("deactivate_key", "Retire its newest version."),
        "compromise": _key("compromise_key", "Mark its newest version as known to others."),
        "change": _key("change_key", "Change its policy."),
        "public": _key("public_key", "Its public key, where it signs."),
        "encrypt": {
            "operationId": "encrypt",
            "requestBody": {"data": "aGVsbG8=", "key_id": "$response.body#/key_id"},
            "description": "Encrypt with it, where its type is encryption.",
        },
    },
    "suspend_key": {"activate": _key("activate_key", "Let it serve again.")},
    "deactivate_key": {"destroy": _key("destroy_key", "Destroy it after its recovery window.")},
    "destroy_key": {"cancel": _key("cancel_destruction_key", "Keep it after all.")},
    "encrypt": {
        "decrypt": _whole("decrypt", "The answer is a request; add the associated data."),
        "rewrap": _whole("rewrap", "Move it to the newest version of its key."),
    },
    "rewrap": {"decrypt": _whole("decrypt", "The answer is a request; add the associated data.")},
    "sign": {
        "verify": {
            "operationId": "verify",
            "requestBody": {
                "data": "$request.body#/data",
                "signature": "$response.body#/signature",
                "key_id": "$response.body#/key_id",
            },
            "description": "It verifies.",
        }
    },
    "mac": {
        "verify": {
            "operationId": "verify_mac",
            "requestBody": {
                "data": "$request.body#/data",
                "mac": "$response.body#/mac",
                "key_id": "$response.body#/key_id",
            },
            "description": "It verifies.",
        }
    },
    "create_credential": {
        "show": _credential("show_credential", "Show it."),
        "rotate": _credential("rotate_credential", "Give it a new secret."),
        "revoke": _credential("revoke_credential", "End it."),
    },
    "add_signer": {
        "show": _signer("show_signer", "Show it."),
        "revoke": _signer("revoke_signer", "End it."),
    },
}
"""By operation id: the links of its success (OpenAPI 3.1 section 4.8.20)."""
