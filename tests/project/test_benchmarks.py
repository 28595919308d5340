"""The benchmark harness: its arithmetic, and small pieces of each part; nothing is timed."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest
from sqlalchemy import create_engine
from sqlalchemy.pool import StaticPool

from benchmarks import (
    backup,
    columns,
    data,
    fields,
    files,
    fips,
    growth,
    harness,
    kept,
    lookups,
    messages,
    recipients,
    report,
)
from benchmarks.custody import report as custody
from benchmarks.custody.cold_start import ColdStart
from benchmarks.custody.outage import of_spans
from benchmarks.custody.signatures import Signatures
from benchmarks.custody.steady import Steady
from benchmarks.custody.wrk import Span
from mycelium_fractal_net import initialise, open_keyring
from mycelium_fractal_net.integrations.application import configure
from mycelium_fractal_net.security.keyring.keyring import Keyring
from tests.support import postgres
from tests.support.presence import need


def test_ratios_are_of_rounds_side_by_side() -> None:
    """A machine that slows down in one round slows both, and the ratio does not show it."""
    reference, other = harness.figures({"a": [1.0, 10.0, 1.0], "b": [2.0, 20.0, 4.0]})
    assert (reference.ratio, other.ratio) == (1.0, 2.0)
    assert (other.least, other.greatest, other.seconds) == (2.0, 4.0, 4.0)


def test_every_contender_gets_its_rounds() -> None:
    """Alternating, as often as the budget allows and once at least."""
    calls: list[str] = []
    figures = harness.compare(
        {"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, rounds=3, budget=0
    )
    assert [figure.name for figure in figures] == ["a", "b"]
    assert calls[-6:] == ["a", "b", "b", "a", "a", "b"]  # who begins takes turns


def test_a_failing_command_is_not_measured() -> None:
    """A figure of something that did not work would be worse than none."""
    with pytest.raises(RuntimeError, match="failed"):
        harness.run(["sh", "-c", "echo no >&2; exit 3"], env={})


def test_the_memory_of_a_command_is_its_own() -> None:
    """What this process holds is not counted as the command's, and what that one holds is."""
    ballast = os.urandom(64 << 20)
    env = {"PATH": os.defpath}
    small = harness.run(["true"], env=env).memory
    code = "b'x' * (48 << 20)"
    large = harness.run([sys.executable, "-I", "-S", "-c", code], env=env).memory
    assert 0 < small < 32 << 20 < len(ballast)
    assert large - small > 40 << 20


def test_every_installed_peer_gives_back_what_it_was_given(tmp_path: Path) -> None:
    """Peers that are not installed are named as absent; ours has its own tests."""
    env = files.environment(tmp_path)
    tools, absent = files._tools(tmp_path, env)
    (tmp_path / "in").write_bytes(b"data" * 1000)
    for name in {*tools} - {"mfn"}:
        sealed, opened = files._there_and_back(tools[name], tmp_path, "in", env)
        assert sealed.memory > 0 < opened.memory
    assert {*tools, *absent} == {"cp", "mfn", "age", "Tink streaming", "AESGCM, whole file"}


def test_a_tool_that_gives_back_something_else_is_not_measured(tmp_path: Path) -> None:
    """Speed counts only for those who do the work."""
    (tmp_path / "in").write_bytes(b"data")
    wrong = files.Tool(
        lambda source, target: ["cp", source, target],
        lambda source, target: ["cp", "/dev/null", target],
    )
    with pytest.raises(RuntimeError, match="not what was sealed"):
        files._there_and_back(wrong, tmp_path, "in", {"PATH": os.defpath})


def test_all_contenders_work(keyring: Keyring) -> None:
    """Each of them does its work once, and ours are there with theirs."""
    keyring.provider.keys.create("bench")
    for group in messages.contenders(keyring, 100).values():
        assert len(group) >= 2
        for work in group.values():
            assert work()


def test_all_contenders_of_lookups_work(keyring: Keyring) -> None:
    """And the page says whether what was to be reached was."""
    lookups.prepare(keyring)
    groups = lookups.tags(keyring) | lookups.messages(keyring, 32)
    found = {name: harness.compare(group, rounds=1, budget=0) for name, group in groups.items()}
    page = lookups.markdown(found)
    assert "| a tag beside hmac.digest | <= 1.5 x |" in page
    assert json.loads(lookups.as_json(found))["lookups"].keys() == groups.keys()


def test_files_to_a_recipient_stand_beside_one_under_a_key(tmp_path: Path) -> None:
    """Each contender seals what it opens again, and each ratio of a large file is a goal."""
    keys = recipients.prepare(tmp_path / "home")
    (tmp_path / "in").write_bytes(b"data" * 1000)
    with open_keyring(home=tmp_path / "home") as keyring:
        works = recipients.in_one_process(keyring, keys, tmp_path / "in")
        sealed, opened = (harness.compare(each, rounds=1, budget=0) for each in works)
    found: recipients.Found = {"sealing": {"64 MiB": sealed, "1 KiB": opened}}
    assert [each.name for each in sealed] == [recipients.KEY, *recipients.KINDS]
    assert [each.what for each in recipients.goals(found)] == [
        f"sealing, 64 MiB, {name} beside a key" for name in recipients.KINDS
    ]
    assert "| sealing | 64 MiB | 1 KiB |" in recipients.markdown(found)
    assert json.loads(recipients.as_json(found))["recipients"].keys() == {"sealing"}


def test_what_is_kept_is_counted_in_page_faults(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each contender runs in a process of its own; a kept MiB is at least its 256 pages."""
    initialise(home=tmp_path).close()
    with open_keyring(home=tmp_path) as keyring:
        keyring.provider.keys.create("bench")
    for way, names in kept.CONTENDERS.items():
        for name in names:
            kept.main(way, name, 1 << 20, str(tmp_path))
            seconds, faults = capsys.readouterr().out.split()
            assert float(seconds) > 0
            assert int(faults) >= 0  # none where the tests before left enough memory mapped
    seconds_here, faults_here = kept._run("encrypt", "keyring, sealed", 1 << 20, str(tmp_path))
    assert seconds_here > 0
    assert 256 <= faults_here < 280


def test_filled_stores_hold_authentic_keys(keyring: Keyring) -> None:
    """The keys that stand in for many are made by the provider's own code."""
    growth.fill(keyring.provider, 5)
    names = [key.key_id for key in keyring.provider.keys.all()]
    assert names[:5] == [f"filler-{number:06}" for number in range(5)]
    assert len(keyring.provider.get_key("filler-000003")) == 32


def test_a_store_is_measured_as_a_whole(home: Path) -> None:
    """A look, a list and who is due, over real keys; and one key of many versions."""
    with initialise(home=home) as keyring:
        keyring.provider.keys.create("orders")
        growth.fill(keyring.provider, 3)
    assert all(seconds > 0 for seconds in growth._whole(home, 1))
    assert [each.count for each in growth.measure_versions((1, 5), 1)] == [1, 5]


def test_a_backup_is_measured_beside_sqlites_own_call(tmp_path: Path) -> None:
    """All four works are done over a small store, and the page says what each took."""
    home = tmp_path / "home"
    initialise(home=home).close()
    names = (backup.SQLITE, backup.BACKUP, backup.VERIFY, backup.RESTORE)
    ran = {name: backup.run_one(name, home) for name in names}
    seconds = {name: each.seconds for name, each in ran.items()}
    memory = {name: each.memory for name, each in ran.items()}
    figures = harness.figures({name: [each] for name, each in seconds.items()})
    sizes = {backup.SQLITE: 2 << 20, backup.BACKUP: backup.file_of(home).stat().st_size}
    results = backup.Results(3, figures, seconds, memory, sizes)
    page = backup.markdown(results)
    assert all(f"| {name} | " in page for name in names)
    assert json.loads(backup.as_json(results))["keys"] == 3


def test_the_report_says_what_was_met_and_what_was_missed(tmp_path: Path) -> None:
    """Table, JSON and plots from the same results."""
    good, bad = harness.Figure("cp", 1.0, 1.0, 1.0, 1.0), harness.Figure("x", 2.0, 9.0, 8.0, 9.5)
    sealed = harness.Figure("keyring, sealed", 1e-3, 1.1, 1.0, 1.2)
    results = report.Results(
        startup={"help": [good, sealed], "list": [good, bad]},
        growth=[
            growth.Growth(keys, good, good, good, bad, 1.0, look=0.01, listed=5e-5, due=0.002)
            for keys in (10, 100)
        ],
        kept={"encrypt": {1 << 20: [kept.Kept(good, 257), kept.Kept(sealed, 256)]}},
        versions=[growth.Versions(2000, 0.0175)],
        folder=files.FolderFigures(3000, [good, harness.Figure("mfn encrypt -r", 1, 2, 1, 3)]),
    )
    text = report.markdown(results)
    assert "3,000 files/s | met" in text
    assert "9.00 x (8.00 to 9.50) | **missed**" in text
    assert "| met |" in text
    assert "| <= 35 ms of CPU | 17.50 ms of CPU | met |" in text
    assert "| <= 40 us of CPU | 50.00 us of CPU | **missed** |" in text
    assert "| keyring, sealed | 1,000 us; 1.10 x (1.00 to 1.20); 256 faults |" in text
    assert '"met": false' in report.as_json(results)
    report.plots(results, tmp_path)


def test_a_column_is_measured_beside_the_databases_own_rewriting() -> None:
    """A small one is rewritten in both ways, and the page has both and their ratio."""
    if postgres.binaries() is None:
        need("PostgreSQL's server (Debian: postgresql)")
    results = columns.measure(rows=300, rounds=1, workers=2)
    assert results.value_bytes == 184
    page = columns.markdown(results)
    assert "| 1.00 x |" in page
    assert json.loads(columns.as_json(results))["rows"] == 300


def span(p99: float) -> Span:
    return Span(1000.0, p99, {"service": 0.00025})


def test_what_custody_costs_is_told_with_what_was_not_met() -> None:
    """Each goal beside what was seen."""
    seen = custody.Results(
        steady=[Steady("ours", 100_000, {"Decrypt": 19}, 1.0), Steady("theirs", 9, {}, 1.0)],
        cold=[
            ColdStart("this library, KMS", 1000, 61.0, {"Decrypt": 1000, "DescribeKey": 1}),
            ColdStart("theirs", 1000, 1.0, {}),
        ],
        signatures=[
            Signatures(
                "OpenBao",
                "wrk",
                100.0,
                90.0,
                0.9,
                {"custodian": 0.0009, "wrk": 0.0001},
                {"custodian": 0.0006, "service": 0.002},
            )
        ],
        outages=[of_spans("OpenBao", [span(0.001), span(0.003)], [span(0.0026)])],
        quick=True,
    )
    page = custody.markdown(seen)
    assert "| < 20 | 19 |" in page
    assert "| <= 60 s | 61.0 s, **not met** |" in page
    assert "| >= 0.8 x | 0.90 x |" in page
    assert "custodian 900, wrk 100 | custodian 600, service 2,000 |" in page
    assert "the CPU, 0.38 x. One worker, which has one core, signs 500 times" in page
    assert "| <= 1.2 x | 1.30 x, **not met** |" in page
    assert "| 2.00 ms | 2.60 ms | 1.30 x | 3.00 x | 250 | 250 |" in page
    assert "Decrypt 1,000, DescribeKey 1" in page
    assert json.loads(custody.as_json(seen))["quick"]


def test_the_work_of_both_modes_is_the_same_and_its_table_has_a_row_for_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every piece of work goes well once; the ratios stand beside the times."""
    monkeypatch.setenv("MFN_HOME", str(tmp_path / "home"))
    with initialise() as keyring:
        keyring.provider.keys.create("bench-signing", "signing", algorithm="ECDSA-P256")
    found = fips.work()
    for each in found.values():
        each()
    assert len(found) == 10
    rows = {name: harness.figures({"normal": [2e-6], "FIPS": [3e-6]}) for name in found}
    table = fips.markdown({**rows, fips.START: harness.figures({"a": [0.1], "b": [0.2]})})
    assert "| sign, ECDSA-P256 | 2.0 us | 3.0 us | 1.50 (1.50 to 1.50) |" in table
    assert "| start: mfn key list | 100 ms | 200 ms | 2.00 (2.00 to 2.00) |" in table


def test_encrypted_columns_are_compared(keyring: Keyring) -> None:
    """Each way of writing and reading runs, searches find who is looked for, and goals are told."""
    keyring.provider.keys.create("customers")
    keyring.provider.keys.create("customers-index", "index")
    configure(keyring)
    engine = create_engine("sqlite://", poolclass=StaticPool)
    try:
        written, read, both = fields.values(1, 0)
        tags = harness.compare(fields.tagging(keyring), rounds=1, budget=0)
        objects = fields.objects(1, 0)
        fields.fill(engine, 250)
        searched = harness.compare(fields.searches(engine, 250), rounds=1, budget=0)
        asked, covered = (
            harness.compare(fields.questions(engine, 250, columns), rounds=1, budget=0)
            for columns in ("id, email, name", "id, email")
        )
    finally:
        configure(None)
        engine.dispose()
    results = fields.Results(
        250,
        written,
        read,
        both,
        tags,
        objects,
        *({"SQLite": each} for each in (searched, asked, covered)),
    )
    assert len(fields.goals(results)) == 5
    assert "| The same for id and address alone, SQLite |" in fields.markdown(results)
    assert json.loads(fields.as_json(results))["rows"] == 250


def test_tables_and_arrays_are_read_by_all_contenders() -> None:
    """What is measured is what was written; a few rows here."""
    results = data.measure(5_000, 1, 0)
    assert set(results.scans) == set(data.REACH)
    assert all(results.share(kind) > 0 and results.speed(kind) > 0 for kind in results.scans)
    page = data.markdown(results)
    assert "| uncompressed |" in page
    assert f"| {data.FILLED} |" in page
    assert json.loads(data.as_json(results))["array_bytes"] == 40_000
