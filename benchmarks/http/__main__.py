"""Load the service and its reference in turns; write docs/benchmarks/http.md, .json and .svg.

python -m benchmarks.http [--quick] [--only single,batch] [--rounds N] [--seconds N]
    [--without-service] [--out FOLDER]
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from benchmarks.http import report
from benchmarks.http.load import LoadFailedError, require_wrk
from benchmarks.http.measure import PARTS, Plan, measure
from benchmarks.http.process import NotEnoughCoresError
from benchmarks.http.requests import WrongAnswerError
from benchmarks.http.servers import NotRecordedError, StartFailedError

_FAILURES = (
    LoadFailedError,
    NotEnoughCoresError,
    NotRecordedError,
    StartFailedError,
    WrongAnswerError,
)


def main() -> int:
    """Parse the options, measure, write."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.http",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--quick", action="store_true", help="within a minute: two rounds of a second"
    )
    parser.add_argument("--only", default=",".join(PARTS), help=f"parts of {','.join(PARTS)}")
    parser.add_argument("--rounds", type=int, choices=range(1, 10), metavar="1-9")
    parser.add_argument("--seconds", type=int, choices=range(1, 11), metavar="1-10")
    parser.add_argument("--without-service", action="store_true", help="the reference alone")
    parser.add_argument("--out", type=Path, default=Path("docs/benchmarks"))
    options = parser.parse_args()
    parts = tuple(options.only.split(","))
    if unknown := set(parts) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    plan = Plan(
        rounds=options.rounds or (2 if options.quick else 5),
        seconds=options.seconds or (1 if options.quick else 2),
        parts=parts,
        with_service=not options.without_service,
        quick=options.quick,
    )
    try:
        require_wrk()
        results = measure(plan)
    except _FAILURES as error:
        print(error, file=sys.stderr)
        return 1
    results.quick = options.quick
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "http.md").write_text(report.markdown(results))
    (options.out / "http.json").write_text(report.as_json(results))
    report.plot(results, options.out)
    for goal in report.goals(results):
        print(f"{'met   ' if goal.met else 'MISSED'} {goal.what}: {goal.seen} ({goal.reach})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
