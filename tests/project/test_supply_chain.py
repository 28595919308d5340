"""What is built and what it is made of: the SBOM, the advisories, the same bytes each time."""

from __future__ import annotations

import json
import re
from importlib.metadata import PackageNotFoundError, requires
from typing import TYPE_CHECKING, Any

import pytest
from packaging.requirements import Requirement

from scripts import audit, build, sbom

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from cyclonedx.validation.json import JsonStrictValidator

FOUND = {"id": "PYSEC-2019-133", "fix_versions": ["1.24.2"]}
OLD = {"dependencies": [{"name": "urllib3", "version": "1.24.1", "vulns": [FOUND]}]}
NOTHING: dict[str, Any] = {"dependencies": [{"name": "any", "version": "1", "vulns": []}]}
SILENT = audit.Answer(None, "no such host")


def test_the_sbom_is_cyclonedx_1_6(cyclonedx: JsonStrictValidator) -> None:
    """Valid by the strict schema, each ref is there, and no address of a registry is in it."""
    text = json.dumps(sbom.sbom(epoch="1700000000"))
    assert cyclonedx.validate_str(text) is None
    document = json.loads(text)
    assert document["metadata"]["timestamp"] == "2023-11-14T22:13:20Z"
    refs = {each["bom-ref"] for each in document["components"]}
    named = {ref for each in document["dependencies"] for ref in each["dependsOn"]}
    assert named <= refs
    assert set(re.findall(r"https?://[^/\"]+", text)) == {"http://cyclonedx.org"}


def test_the_sbom_has_what_the_packages_say_that_they_need() -> None:
    """Held against the metadata of what is installed here, and each with a hash at least."""
    packages = sbom.locked()
    components = {each["name"]: each for each in sbom.sbom()["components"]}
    for name, each in components.items():
        assert each["externalReferences"][0]["hashes"]
        try:
            needs = requires(name) or ()
        except PackageNotFoundError:
            continue
        for text in needs:
            needed = Requirement(text)
            if needed.marker is None or needed.marker.evaluate({"extra": ""}):
                found = packages[sbom.canonical(needed.name)]
                assert name in found.needed_by, (name, text)
                assert found.name in components
    assert {each["scope"] for each in components.values()} == {"required", "optional"}
    assert components["cryptography"]["scope"] == "required"
    assert components["fastapi"]["properties"] == [{"name": "mfn:extra", "value": "server"}]
    assert not components.keys() & {"hatchling", "pytest", "moto"}


def test_an_extra_that_no_lock_pins_is_told() -> None:
    """Nothing is known of it, which is another thing than that there is nothing."""
    told = sbom.sbom()["metadata"]["component"]["properties"]
    assert told == [{"name": "mfn:not-locked", "value": "torch"}]


def test_one_tree_has_one_sbom(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Byte for byte; without a time said there is none in it."""
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
    for name in ("first", "second"):
        sbom.write(tmp_path / name)
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()
    assert "timestamp" not in json.loads((tmp_path / "first").read_text())["metadata"]


def test_what_differs_between_two_builds_is_named(tmp_path: Path) -> None:
    """What is in one alone as well."""
    for folder, files in (
        ("a", {"one": "1", "two": "2"}),
        ("b", {"one": "1", "two": "3", "x": ""}),
    ):
        (tmp_path / folder).mkdir()
        for name, text in files.items():
            (tmp_path / folder / name).write_text(text)
    assert build.different(tmp_path / "a", tmp_path / "b") == ["two", "x"]


class Answers:
    """What sources say: to the question about the old release, and about the locks."""

    def __init__(self, **sources: tuple[Any, Any]) -> None:
        self.sources = sources
        self.asked: list[tuple[str, int]] = []

    def __call__(self, source: str, files: Iterable[Path], more: tuple[str, ...]) -> audit.Answer:
        del more
        number = len(list(files))
        self.asked.append((source, number))
        answer = self.sources.get(source, (SILENT, SILENT))[number > 1]
        return answer if isinstance(answer, audit.Answer) else audit.Answer(answer, "")


@pytest.mark.parametrize(
    "sources",
    [
        {},
        {"pypi": (NOTHING, NOTHING)},
        {"pypi": (SILENT, NOTHING), "osv": (NOTHING, NOTHING)},
        {"pypi": (OLD, audit.Answer(None, "broken off"))},
    ],
    ids=["no network", "a mirror without advisories", "both", "the line broke"],
)
def test_where_nothing_can_be_found_out_it_says_so(
    sources: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    """In its own words and exit code, and never that there are no known vulnerabilities."""
    assert audit.audit(Answers(**sources)) == audit.UNKNOWN
    said = capsys.readouterr().out
    assert said.startswith("NOT AUDITED: no advisory data can be reached")
    assert "known vulnerabilities" not in said


@pytest.mark.parametrize(
    ("answer", "code", "last"),
    [
        (NOTHING, audit.CLEAN, "known vulnerabilities: 0, in 1 packages, by the advisories of osv"),
        (OLD, audit.FOUND, "known vulnerabilities: 1, in 1 packages, by the advisories of osv"),
    ],
)
def test_a_source_that_knows_the_old_release_is_believed(
    answer: Any, code: int, last: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is asked about all locks at once; the one before it, which knew nothing, is not."""
    answers = Answers(pypi=(NOTHING, NOTHING), osv=(OLD, answer))
    assert audit.audit(answers) == code
    assert answers.asked == [("pypi", 1), ("osv", 1), ("osv", len(audit.LOCKS))]
    lines = capsys.readouterr().out.splitlines()
    assert lines.pop() == last
    assert lines == (["urllib3 1.24.1: PYSEC-2019-133, mended in 1.24.2"] if code else [])
