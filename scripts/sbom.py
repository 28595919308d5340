"""Write the software bill of materials of the wheel, CycloneDX 1.6, from the locks alone.

python scripts/sbom.py                   # to standard output
python scripts/sbom.py --output FILE     # to a file

What the package needs at run time, and what each extra brings, is as the locks pin it, with the
hashes of the files and who needs it. The build puts it where PEP 770 has it in the wheel
(hatch_build.py). One tree gives one document: the time in it is that of SOURCE_DATE_EPOCH, or there
is none.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import tomllib
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

ROOT: Final = Path(__file__).resolve().parent.parent
NAME: Final = "mycelium_fractal_net.cdx.json"
_LOCKS: Final = ("run", "server", "test")  # of what is at work; they agree where they share
_PACKAGE: Final = re.compile(
    r"^(?P<name>[A-Za-z0-9._-]+)==(?P<version>\S+)(?: ; (?P<marker>.+?))? \\\n"
    r"(?P<hashes>(?:    --hash=sha256:[0-9a-f]{64}(?: \\)?\n)+)"
    r"    # via (?P<via>.+)$",
    re.MULTILINE,
)
_NAMESPACE: Final = uuid.UUID("6ba7b811-9dad-11d1-80b4-00c04fd430c8")  # RFC 9562, of URLs


class Locked(NamedTuple):
    """One package as a lock has it; ``needed_by`` are names of packages."""

    name: str
    version: str
    marker: str | None
    hashes: tuple[str, ...]
    needed_by: frozenset[str]

    @property
    def purl(self) -> str:
        """Its package URL."""
        return f"pkg:pypi/{self.name}@{self.version}"


def canonical(name: str) -> str:
    """A name as PEP 503 compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def locked(root: Path = ROOT) -> dict[str, Locked]:
    """Every package that the locks pin for running, by its name."""
    found: dict[str, Locked] = {}
    for lock in _LOCKS:
        for match in _PACKAGE.finditer((root / "requirements" / f"{lock}.txt").read_text()):
            name = canonical(match["name"])
            via = {canonical(each) for each in match["via"].split(", ") if each[0] != "-"}
            hashes = tuple(re.findall("[0-9a-f]{64}", match["hashes"]))
            known = found.get(name)
            needed_by = frozenset(via) | (known.needed_by if known else frozenset())
            found[name] = Locked(name, match["version"], match["marker"], hashes, needed_by)
    return found


def closure(roots: Iterable[str], packages: dict[str, Locked]) -> set[str]:
    """The packages of those names, and what they need."""
    reached, waiting = set(), [each for each in roots if each in packages]
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            waiting += [each.name for each in packages.values() if name in each.needed_by]
    return reached


def _names(requirements: Iterable[str]) -> list[str]:
    return [canonical(re.split(r"[\[<>=!~; ]", each)[0]) for each in requirements]


def sbom(root: Path = ROOT, epoch: str | None = None) -> dict[str, Any]:
    """The document. ``epoch`` are seconds since 1970."""
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    packages = locked(root)
    needed = _names(project["dependencies"])
    extras = {name: _names(each) for name, each in project["optional-dependencies"].items()}
    required = closure(needed, packages)
    by_extra = {name: closure(each, packages) - required for name, each in extras.items()}
    wanted = sorted(required.union(*by_extra.values()))
    missing = sorted({name for each in extras.values() for name in each} - packages.keys())
    document: dict[str, Any] = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": "",
        "version": 1,
        "metadata": _metadata(project, epoch, missing),
        "components": [
            _component(
                packages[name],
                [extra for extra, reached in by_extra.items() if name in reached],
                required=name in required,
            )
            for name in wanted
        ],
        "dependencies": _dependencies(project["name"], needed, extras, packages, wanted),
    }
    text = json.dumps(document, sort_keys=True)
    document["serialNumber"] = f"urn:uuid:{uuid.uuid5(_NAMESPACE, text)}"
    return document


def _metadata(project: dict[str, Any], epoch: str | None, missing: list[str]) -> dict[str, Any]:
    moment = {}
    if epoch is not None:
        moment["timestamp"] = datetime.fromtimestamp(int(epoch), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        **moment,
        "lifecycles": [{"phase": "build"}],
        "tools": {"components": [{"type": "application", "name": "scripts/sbom.py"}]},
        "component": {
            "type": "library",
            "bom-ref": project["name"],
            "name": project["name"],
            "version": project["version"],
            "description": project["description"],
            "authors": [{"name": each["name"]} for each in project["authors"]],
            "licenses": [{"license": {"id": project["license"]}}],
            # Of extras, and pinned by no lock, so that nothing is known of them here.
            "properties": [{"name": "mfn:not-locked", "value": each} for each in missing],
        },
    }


def _component(package: Locked, extras: list[str], *, required: bool) -> dict[str, Any]:
    facts = [("extra", extra) for extra in extras]
    if package.marker is not None:
        facts.append(("marker", package.marker))
    component: dict[str, Any] = {
        "type": "library",
        "bom-ref": package.purl,
        "name": package.name,
        "version": package.version,
        "scope": "required" if required else "optional",
        "purl": package.purl,
        "externalReferences": [
            {
                "type": "distribution",
                "url": package.purl,
                "comment": "the hash of the file is one of these",
                "hashes": [{"alg": "SHA-256", "content": each} for each in package.hashes],
            }
        ],
    }
    if facts:
        component["properties"] = [{"name": f"mfn:{name}", "value": text} for name, text in facts]
    return component


def _dependencies(
    root: str,
    needed: list[str],
    extras: dict[str, list[str]],
    packages: dict[str, Locked],
    wanted: list[str],
) -> list[dict[str, Any]]:
    direct = {name for each in (needed, *extras.values()) for name in each if name in packages}
    found = [{"ref": root, "dependsOn": [packages[name].purl for name in sorted(direct)]}]
    for name in wanted:
        needs = [packages[each].purl for each in wanted if name in packages[each].needed_by]
        found.append({"ref": packages[name].purl, "dependsOn": needs})
    return found


def write(path: Path, root: Path = ROOT) -> None:
    """Write the document of the tree at ``root``, at the time of SOURCE_DATE_EPOCH."""
    document = sbom(root, os.environ.get("SOURCE_DATE_EPOCH"))
    path.write_text(json.dumps(document, indent=1) + "\n")


def main() -> int:
    """Write it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--output", type=Path, help="a file, instead of standard output")
    chosen = parser.parse_args()
    if chosen.output is None:
        json.dump(sbom(ROOT, os.environ.get("SOURCE_DATE_EPOCH")), sys.stdout, indent=1)
        print()
    else:
        write(chosen.output)
    return 0


if __name__ == "__main__":
    sys.exit(main())
