"""What of the service is on its way out, as its answers say: RFC 9745 and RFC 8594.

docs/stability.md says how long a word of warning is. An answer to what used such a thing has the
header ``Deprecation``, since when that is advised against, and once its end is decided ``Sunset``.
"""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Final, NamedTuple


class Deprecated(NamedTuple):
    """Since when something is deprecated, and when it will be gone, where that is decided. UTC."""

    since: datetime
    until: datetime | None = None

    def headers(self) -> tuple[tuple[bytes, bytes], ...]:
        """The headers of an answer that used it."""
        since = (b"deprecation", b"@%d" % self.since.timestamp())  # RFC 9745 section 2.1
        if self.until is None:
            return (since,)
        return since, (b"sunset", format_datetime(self.until, usegmt=True).encode())


XOR_CIPHER: Final = Deprecated(datetime(2025, 12, 2, tzinfo=UTC))
"""Opening messages of the XOR cipher, which the remediation plan of that day put an end to. It
goes when nobody needs it, so no day is named."""
