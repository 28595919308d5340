"""Run security campaigns and publish what they measured.

python -m campaigns [NAME,NAME] [--quick] [--minutes M] [--part NAME] [--again] [--fresh]
                    [--republish]

Without names, all of them. A full run writes docs/campaigns/NAME.json and the campaign's section
of its page; it is kept part by part under build/campaigns/, and the same command goes on where it
was ended. --again runs what is finished once more with what it kept: of the mutants those that
survived tests that were others than now. --quick is the short form of CI: it begins anew, publishes
nothing, and is run once more where it missed something.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from pathlib import Path

from campaigns.catalogue import NAMES, campaign
from campaigns.frame.campaign import Results
from campaigns.frame.runner import publish, run


def main() -> None:
    """Parse the options, run, publish; exit 1 where something missed its goal."""
    parser = argparse.ArgumentParser(
        prog="python -m campaigns",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("names", nargs="?", default=",".join(NAMES), help="separated by commas")
    parser.add_argument("--quick", action="store_true", help="seconds for each; publishes nothing")
    parser.add_argument("--minutes", type=float, help="pause after so long; run it again to go on")
    parser.add_argument("--part", action="append", default=[], help="this one alone; repeatable")
    parser.add_argument(
        "--again", action="store_true", help="run finished parts too, with what they kept"
    )
    parser.add_argument("--fresh", action="store_true", help="forget what was kept of them")
    parser.add_argument("--republish", action="store_true", help="write the pages anew, run none")
    parser.add_argument("--work", type=Path, default=Path("build/campaigns"))
    parser.add_argument("--docs", type=Path, default=Path("docs"))
    options = parser.parse_args()
    names = [name for name in options.names.split(",") if name]
    if unknown := set(names) - set(NAMES):
        parser.error(f"no such campaign: {', '.join(sorted(unknown))}")
    work: Path = options.work.resolve()  # parts go into folders of their own
    until = None if options.minutes is None else time.monotonic() + 60 * options.minutes
    failures: list[str] = []
    for name in names:
        found = campaign(name)
        if options.republish:
            results = Results.from_file(options.docs / "campaigns" / f"{name}.json")
            publish(found, results, options.docs)
            continue
        if options.fresh:
            for form in ("quick", "full"):
                shutil.rmtree(work / form / name, ignore_errors=True)
        began = time.monotonic()
        results = run(
            found,
            work,
            quick=options.quick,
            parts=options.part,
            until=until,
            again=options.again,
        )
        if options.quick and results.failures():
            # So few samples tell little on a machine that was busy just then: twice is no chance.
            print(f"{name}: once more, since {'; '.join(results.failures())}", flush=True)
            results = run(found, work, quick=True, parts=options.part, until=until)
        failures += [f"{name}: {failure}" for failure in results.failures()]
        if results.parts and not options.quick:
            publish(found, results, options.docs)
        print(f"{name}: {len(results.parts)} of {len(found.parts)} parts,", end=" ")
        print(f"{time.monotonic() - began:.0f} s now, {results.seconds:.0f} s in all", flush=True)
    for failure in failures:
        print(f"MISSED {failure}")
    sys.exit(bool(failures))


if __name__ == "__main__":
    main()
