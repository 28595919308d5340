"""What doctor finds of custodians, each caused for real."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

import pytest

from mycelium_fractal_net import initialise
from mycelium_fractal_net.config import load_settings
from mycelium_fractal_net.doctor import Finding, Severity, diagnose
from mycelium_fractal_net.security.key_providers import CustodianStatus
from tests.support import custodian
from tests.support.custodian import KEK_ID, NAME, Elsewhere, registered

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mycelium_fractal_net.config import Settings

STORE_ID = "ab" * 16


@pytest.fixture(autouse=True)
def _registered() -> Iterator[None]:
    with registered():
        yield


def settings(home: Path, **more: str) -> Settings:
    """A store whose master key is on that machine."""
    env = {"MFN_HOME": str(home), "MFN_KEY_PROVIDER": NAME, "MFN_STORE_ID": STORE_ID, **more}
    found = load_settings(environ={name: value for name, value in env.items() if value})
    initialise(settings=found, create_key=True).close()
    return found


def found(chosen: Settings, check: str) -> list[Finding]:
    return [each for each in diagnose(chosen) if each.check == check]


def test_what_a_custodian_warns_of_is_a_warning(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In its own words, each by itself."""
    said = ("rotation is off", "the key is to be deleted")

    def inspect(self: Elsewhere) -> CustodianStatus:
        return CustodianStatus(str(self.folder), (KEK_ID,), "remote", warnings=said)

    monkeypatch.setattr(custodian.Elsewhere, "inspect", inspect)
    findings = found(settings(home), "custodian")
    assert tuple(each.advice for each in findings) == said
    assert {each.severity for each in findings} == {Severity.WARNING}


def test_the_store_id_in_a_file_is_told(home: Path) -> None:
    """With what to set; where it is set nothing is said."""
    chosen = settings(home, MFN_STORE_ID="")
    (finding,) = found(chosen, "store-id")
    told = (home / "store-id").read_text().strip()
    assert f"MFN_STORE_ID={told} " in finding.advice
    assert finding.severity is Severity.NOTICE
    assert found(settings(home, MFN_STORE_ID=told), "store-id") == []


def test_rows_under_a_master_key_of_nobody_are_critical(home: Path) -> None:
    """Whoever made the key, nothing opens them here."""
    chosen = settings(home)
    assert found(chosen, "unknown-master-key") == []
    with sqlite3.connect(home / "keys.db") as store:
        store.execute("UPDATE mfn_keys SET master_id = 'other:1' WHERE key_id = 'default-mac'")
    store.close()
    (finding,) = found(chosen, "unknown-master-key")
    assert finding.severity is Severity.CRITICAL
    assert finding.advice.startswith("1 rows are under a master key that no custodian")


def test_a_former_custodian_is_asked_too(home: Path) -> None:
    """One that does not answer is a warning: it may still be needed."""
    Elsewhere.create(home / "elsewhere")
    chosen = load_settings(environ={"MFN_HOME": str(home), "MFN_FORMER_KEY_PROVIDERS": NAME})
    initialise(settings=chosen).close()
    assert found(chosen, "custodian") == []
    (home / "elsewhere" / "mode").write_text("down")
    (finding,) = found(chosen, "custodian")
    assert (finding.severity, finding.subject) == (Severity.WARNING, "elsewhere")
    assert "does not answer" in finding.advice
    assert "mfn master status" in finding.advice
