"""What is shown of a record in JSON: by ``--json``, by the service, in docs/openapi.json.

Each record has one shape here: its members with their descriptions, and the function that makes
it. The OpenAPI document is derived from these; docs/cli.md lists them.
"""

from __future__ import annotations

from mycelium_fractal_net.shapes.callers import CredentialAnswer, credential_shape, signer_shape
from mycelium_fractal_net.shapes.json_values import parse_timestamp, time_text
from mycelium_fractal_net.shapes.keys import key_shape, primary_id, rotation_shape, version_meant
from mycelium_fractal_net.shapes.retention import cleanup_shape, usage_shape
from mycelium_fractal_net.shapes.rotation import look_shape, schedule_shape
from mycelium_fractal_net.shapes.transport import cancelled_shape, export_shape, import_shape

__all__ = [
    "CredentialAnswer",
    "cancelled_shape",
    "cleanup_shape",
    "credential_shape",
    "export_shape",
    "import_shape",
    "key_shape",
    "look_shape",
    "parse_timestamp",
    "primary_id",
    "rotation_shape",
    "schedule_shape",
    "signer_shape",
    "time_text",
    "usage_shape",
    "version_meant",
]
