"""The headers of what is on its way out."""

from __future__ import annotations

from datetime import UTC, datetime

from mycelium_fractal_net.api.http.deprecation import Deprecated


def test_the_headers_are_those_of_the_standards() -> None:
    """RFC 9745 section 2.1 and RFC 8594 section 3, at the times of their examples."""
    since = datetime(2023, 6, 30, 23, 59, 59, tzinfo=UTC)
    until = datetime(2018, 12, 31, 23, 59, 59, tzinfo=UTC)
    assert Deprecated(since).headers() == ((b"deprecation", b"@1688169599"),)
    assert Deprecated(since, until).headers()[1:] == (
        (b"sunset", b"Mon, 31 Dec 2018 23:59:59 GMT"),
    )
