"""The certificate that is served: what is taken of the files, and when they are read again."""

from __future__ import annotations

import logging
import time
from datetime import timedelta
from typing import TYPE_CHECKING

from mycelium_fractal_net.api.transport.certificate import Certificate
from mycelium_fractal_net.config.settings import Tls
from tests.support.tls import Authority

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_a_pair_that_is_not_valid_yet_is_served_once_it_is(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The authority's clock may be ahead of ours; nobody writes the files a second time."""
    authority = Authority()
    authority.issue().write(tmp_path)
    served = Certificate(
        Tls(certificate=tmp_path / "server.pem", private_key=tmp_path / "server.key")
    )
    first = served.context()
    authority.issue(begins=timedelta(seconds=1.2)).write(tmp_path)
    with caplog.at_level(logging.ERROR):
        for _ in range(3):
            served.check()
    assert (served.state, served.context()) == ("renewal-refused", first)
    assert len(caplog.records) == 1  # which says it once
    deadline = time.monotonic() + 5
    while served.state != "ok" and time.monotonic() < deadline:
        time.sleep(0.05)
        served.check()
    assert served.state == "ok"
    assert served.context() is not first
