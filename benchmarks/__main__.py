"""Measure everything and write the table, the JSON and the plots.

python -m benchmarks [--quick] [--only messages,kept,file,folder,growth,startup] [--out FOLDER]
python -m benchmarks --fips [--quick] [--out FOLDER]

With --fips, FIPS mode beside the normal one and nothing else: fips.md and fips.json.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmarks import files, fips, growth, kept, messages, report, startup

PARTS = ("messages", "kept", "startup", "growth", "folder", "file")


def main() -> None:
    """Parse the options, measure, write."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rounds and a smaller file")
    parser.add_argument("--only", default=",".join(PARTS), help="parts, separated by commas")
    parser.add_argument("--out", type=Path, default=Path("docs/benchmarks"))
    parser.add_argument("--fips", action="store_true", help="FIPS mode beside the normal one")
    options = parser.parse_args()
    if options.fips:
        fips.report(options.out, quick=options.quick)
        return
    parts = options.only.split(",")
    if unknown := set(parts) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    results = report.Results(quick=options.quick)
    quick = options.quick
    for part in PARTS:
        if part not in parts:
            continue
        print(f"{part} ...", flush=True)
        if part == "messages":
            results.messages = messages.measure(5 if quick else 9, 0.05 if quick else 0.2)
        elif part == "kept":
            results.kept = kept.measure(3 if quick else 9)
        elif part == "startup":
            results.startup = startup.measure(5 if quick else 15)
        elif part == "growth":
            counts = (10, 1000) if quick else (10, 1000, 10_000, 100_000)
            results.growth = growth.measure(counts, 3 if quick else 9)
            results.versions = growth.measure_versions((1, 100, 2000), 9)
        elif part == "folder":
            results.folder = files.measure_folder(1000 if quick else 10_000, 3)
        else:
            results.file = files.measure_file((256 if quick else 1024) << 20, 3 if quick else 9)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "results.md").write_text(report.markdown(results))
    (options.out / "results.json").write_text(report.as_json(results))
    report.plots(results, options.out)
    for goal in report.goals(results):
        print(f"{'met   ' if goal.met else 'MISSED'} {goal.what}: {goal.seen} ({goal.reach})")


if __name__ == "__main__":
    main()
