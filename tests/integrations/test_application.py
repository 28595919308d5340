"""The keyring of an application: the one that it gave, or that its settings name."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from mycelium_fractal_net import initialise
from mycelium_fractal_net.integrations import application
from mycelium_fractal_net.integrations.application import application_keyring, configure

if TYPE_CHECKING:
    from pathlib import Path

    from mycelium_fractal_net.security.keyring.keyring import Keyring


def test_it_is_the_one_that_was_given(keyring: Keyring) -> None:
    """Until another is."""
    configure(keyring)
    try:
        assert application_keyring() is keyring
    finally:
        configure(None)


def test_it_is_opened_once_by_the_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When it is first asked for; a child of fork goes on with it. Here no site of Django runs."""
    monkeypatch.setattr(application.APPLICATION, "default", application._by_configuration)
    monkeypatch.setenv("MFN_HOME", str(tmp_path / "home"))
    initialise().close()
    try:
        opened = application_keyring()
        assert application_keyring() is opened
        child = os.fork()
        if child == 0:
            same = application_keyring() is opened
            os._exit(0 if same and application_keyring().decrypt(opened.encrypt(b"x")) else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        opened.close()
    finally:
        configure(None)
