"""As much of AWS's evaluation of policies as docs/custody/aws-kms.md needs; moto has less of it.

Allow alone; actions, resources with ``*``, and ``StringEquals`` on an encryption context, a tag of
the request or of the key, and the use of a key (IAM user guide, "Policy evaluation logic"; KMS
developer guide, "Permissions reference" and "Condition keys").
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Any

_CONTEXT = "kms:EncryptionContext:"


def allows(policies: list[dict[str, Any]], operation: str, asked: dict[str, Any], key: Any) -> bool:
    """Whether they allow the request; ``key`` gives ``arn``, ``key_usage`` and tags of a key."""
    return all(
        any(
            _covers(statement, action, arn, facts)
            for policy in policies
            for statement in policy["Statement"]
        )
        for action, arn, facts in _needed(operation, asked, key)
    )


def _needed(
    operation: str, asked: dict[str, Any], key: Any
) -> list[tuple[str, str, dict[str, str]]]:
    if operation == "ReEncrypt":
        return [
            (
                f"kms:ReEncrypt{way}",
                *_of_key(key(asked[f"{side}KeyId"]), asked.get(f"{side}EncryptionContext", {})),
            )
            for way, side in (("From", "Source"), ("To", "Destination"))
        ]
    if operation == "CreateKey":
        facts = {f"aws:RequestTag/{each['TagKey']}": each["TagValue"] for each in asked["Tags"]}
        facts["kms:KeyUsage"] = asked["KeyUsage"]
        return [("kms:CreateKey", "*", facts), ("kms:TagResource", "*", facts)]
    if "KeyId" not in asked:
        return [(f"kms:{operation}", "*", {})]
    return [(f"kms:{operation}", *_of_key(key(asked["KeyId"]), asked.get("EncryptionContext", {})))]


def _of_key(key: Any, context: dict[str, str]) -> tuple[str, dict[str, str]]:
    arn, usage, tags = key
    return arn, {
        **{f"{_CONTEXT}{name}": value for name, value in context.items()},
        **{f"aws:ResourceTag/{name}": value for name, value in tags.items()},
        "kms:KeyUsage": usage,
    }


def _covers(statement: dict[str, Any], action: str, arn: str, facts: dict[str, str]) -> bool:
    assert set(statement) <= {"Sid", "Effect", "Action", "Resource", "Condition"}
    assert statement["Effect"] == "Allow"
    conditions = statement.get("Condition", {"StringEquals": {}})
    assert set(conditions) == {"StringEquals"}
    return (
        action in statement["Action"]
        and fnmatchcase(arn, statement["Resource"])
        and all(facts.get(name) == value for name, value in conditions["StringEquals"].items())
    )
