"""What members of shapes are: their JSON Schema, and the kinds of text that ids travel in."""

from __future__ import annotations

from typing import Annotated, Any, Final

from mycelium_fractal_net.security.records.api_keys import CREDENTIAL_ID
from mycelium_fractal_net.security.records.credentials import SCOPE
from mycelium_fractal_net.security.records.keys import KEY_NAME, VERSION, KeyState

KEY_NAME_PATTERN: Final = f"^{KEY_NAME.pattern}$"
KEY_ID_PATTERN: Final = f"^{KEY_NAME.pattern}(?::{VERSION.pattern})?$"
VERSION_ID_PATTERN: Final = f"^{KEY_NAME.pattern}:{VERSION.pattern}$"
CREDENTIAL_ID_PATTERN: Final = f"^{CREDENTIAL_ID.pattern}$"
SCOPE_PATTERN: Final = f"^(?:{SCOPE.pattern})$"
TIME_PATTERN: Final = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]+)?Z$"


class Schema:
    """Keywords of JSON Schema for a member, in an ``Annotated``. They describe and check nothing.

    Pydantic asks for them by the name of the method; nothing here imports it.
    """

    def __init__(self, **keywords: Any) -> None:
        self._keywords = keywords

    def __get_pydantic_json_schema__(self, core: Any, derive: Any) -> dict[str, Any]:
        """What pydantic derives of the type, with the keywords."""
        return {**derive(core), **self._keywords}


KeyName = Annotated[str, Schema(pattern=KEY_NAME_PATTERN)]
VersionId = Annotated[
    str, Schema(pattern=KEY_ID_PATTERN, description="The version id, such as `orders:v3`.")
]
CredentialId = Annotated[str, Schema(pattern=CREDENTIAL_ID_PATTERN)]
Time = Annotated[str, Schema(pattern=TIME_PATTERN, description="RFC 3339, in UTC.")]
Day = Annotated[
    str, Schema(pattern="^[0-9]{4}-[0-9]{2}-[0-9]{2}$", description="A day of UTC, RFC 3339.")
]
Number = Annotated[int, Schema(minimum=1)]  # of a version, or of versions
State = Annotated[str, Schema(enum=[each.value for each in KeyState])]
