"""What mfn doctor says of the XOR cipher: still met, history, or not to be opened at all."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace
from sqlalchemy import create_engine, text

from mycelium_fractal_net import initialise, open_keyring
from mycelium_fractal_net.config import Settings, load_settings
from mycelium_fractal_net.config.settings import Legacy
from mycelium_fractal_net.doctor import Finding, Severity, diagnose
from mycelium_fractal_net.legacy.kept import forget_kept, note_kept
from mycelium_fractal_net.legacy.key import import_xor_key
from mycelium_fractal_net.security.key_store.rows import day_of
from mycelium_fractal_net.security.key_store.usage import OPEN
from mycelium_fractal_net.security.records.keys import Verb
from tests.support.legacy_xor import OLD_KEY, write_xor

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def off(home: Path) -> Settings:
    """The settings of a store that has the old cipher's key, and does not read old messages."""
    found = load_settings(environ={"MFN_HOME": str(home)})
    with initialise(settings=found) as keyring:
        import_xor_key(keyring.provider, OLD_KEY)
    return found


@pytest.fixture
def on(off: Settings) -> Settings:
    """The same, reading them."""
    return replace(off, legacy=Legacy(read_xor=True))


def said(settings: Settings) -> list[Finding]:
    """What is found of the old cipher."""
    return [each for each in diagnose(settings) if each.check.startswith("xor-")]


def used(settings: Settings, days_ago: int) -> None:
    """An old message was opened that long ago."""
    with open_keyring(settings=settings) as keyring:
        handle = keyring.provider.keys.get("legacy-xor").latest.handle
        day = day_of(keyring.provider.clock() - timedelta(days=days_ago))
        keyring.usage.add({(handle, day, OPEN): 3})


def imported_long_ago(settings: Settings) -> None:
    """Make the key 40 days old."""
    with open_keyring(settings=settings) as keyring:
        provider = keyring.provider

        def older(key):  # type: ignore[no-untyped-def]
            from dataclasses import replace as changed

            before = key.latest.created_at - timedelta(days=40)
            return changed(key, versions=(changed(key.latest, created_at=before),))

        provider.keys.update("legacy-xor", older)


def test_while_old_messages_are_met_the_last_day_is_said(on: Settings) -> None:
    """And when it can be switched off."""
    (finding,) = said(on)
    assert (finding.check, finding.severity) == ("xor-met", Severity.NOTICE)
    assert "none was opened yet" in finding.advice
    assert "30 days" in finding.advice
    with open_keyring(settings=on) as keyring:
        keyring.decrypt(write_xor("old").encode())
        today = f"{keyring.provider.clock():%Y-%m-%d}"
    (finding,) = said(on)
    assert (finding.check, finding.subject) == ("xor-met", "legacy.read_xor")
    assert f"the last was on {today}" in finding.advice


@pytest.mark.parametrize(("days", "check"), [(29, "xor-met"), (30, "xor-over"), (400, "xor-over")])
def test_after_thirty_days_it_can_be_switched_off(on: Settings, days: int, check: str) -> None:
    """Counted from the last old message."""
    used(on, days)
    (finding,) = said(on)
    assert finding.check == check
    if check == "xor-over":
        assert "switch it off" in finding.advice


def test_a_key_that_never_opened_anything_is_over_after_thirty_days(on: Settings) -> None:
    """Counted from its import."""
    imported_long_ago(on)
    (finding,) = said(on)
    assert finding.check == "xor-over"
    assert "opened ever" in finding.advice


def test_old_messages_that_are_kept_keep_it_on(on: Settings) -> None:
    """The places are named."""
    used(on, 100)
    note_kept(on, "/srv/letters")
    note_kept(on, "/srv/letters/in")
    note_kept(on, "column people.secret of db/app")
    assert sorted((each.check, each.subject) for each in said(on)) == [
        ("xor-kept", "/srv/letters"),
        ("xor-kept", "/srv/letters/in"),
        ("xor-kept", "column people.secret of db/app"),
        ("xor-met", "legacy.read_xor"),
    ]
    forget_kept(on, "/srv/letters")
    assert [each.subject for each in said(on)] == [
        "column people.secret of db/app", "legacy.read_xor",
    ]  # fmt: skip
    forget_kept(on, "nowhere")
    forget_kept(on, "column people.secret of db/app")
    assert not (on.home / "xor-kept.json").exists()
    assert [each.check for each in said(on)] == ["xor-over"]


def test_once_it_is_off_the_key_can_go(off: Settings) -> None:
    """Unless it was used lately; and not twice."""
    assert said(off) == []
    used(off, 31)
    (finding,) = said(off)
    assert (finding.check, finding.subject) == ("xor-over", "key legacy-xor:v1")
    assert "mfn key destroy legacy-xor:v1" in finding.advice
    with open_keyring(settings=off) as keyring:
        keyring.provider.states.apply(Verb.DESTROY, "legacy-xor")
    assert said(off) == []


def test_a_setting_without_the_key_is_a_warning(home: Path) -> None:
    """Nothing opens, whatever the setting says."""
    found = load_settings(environ={"MFN_HOME": str(home)})
    initialise(settings=found).close()
    assert said(found) == []
    (finding,) = said(replace(found, legacy=Legacy(read_xor=True)))
    assert (finding.check, finding.severity) == ("xor-key", Severity.WARNING)
    assert "mfn key import-xor" in finding.advice


def test_the_old_key_is_no_key_that_waits_for_its_rotation(off: Settings) -> None:
    """It has no active version and no next one, and that is as it should be."""
    imported_long_ago(off)
    subjects = {each.subject for each in diagnose(off) if each.check != "xor-over"}
    assert not [each for each in subjects if "legacy-xor" in each]


def test_a_damaged_record_is_said_once(on: Settings) -> None:
    """By the check of all keys."""
    engine = create_engine(f"sqlite:///{on.store}")
    with engine.begin() as connection:
        connection.execute(text("update mfn_keys set publish = 1 where key_id = 'legacy-xor'"))
    engine.dispose()
    assert said(on) == []
    assert [each.subject for each in diagnose(on) if each.severity is Severity.CRITICAL] == [
        "key legacy-xor"
    ]


def test_a_damaged_note_of_places_is_like_none(on: Settings) -> None:
    """It is a help and no more."""
    (on.home / "xor-kept.json").write_text("{")
    assert [each.check for each in said(on)] == ["xor-met"]
    note_kept(on, "/srv")
    assert json.loads((on.home / "xor-kept.json").read_text()) == ["/srv"]


def test_two_that_note_places_at_once_lose_none(off: Settings) -> None:
    """And what a run that was killed had begun to write is gone with the next."""
    begun = off.home / "xor-kept.new"
    begun.write_text('["/lost')
    places = [f"/srv/{number}" for number in range(20)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda place: note_kept(off, place), places))
    assert json.loads((off.home / "xor-kept.json").read_text()) == sorted(places)
    assert not begun.exists()
