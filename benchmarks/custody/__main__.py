"""What a master key in AWS KMS costs, beside the AWS Encryption SDK; writes
docs/benchmarks/custody.md and .json.

python -m benchmarks.custody [--quick] [--out FOLDER]

The server is moto's, on loopback, the same for both.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from benchmarks.custody import cold_start, outage, signatures, steady
from benchmarks.custody.report import Results, as_json, markdown
from tests.support.custodians.aws_kms import AWSKMSHarness


def main() -> int:
    """Parse the options, measure, write."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.custody",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="fewer messages, keys and rounds")
    parser.add_argument("--out", type=Path, default=Path("docs/benchmarks"))
    options = parser.parse_args()
    kms = AWSKMSHarness()
    try:
        kms.make_key()
        with tempfile.TemporaryDirectory(prefix="mfn-custody-") as folder:
            results = measure(kms, Path(folder), quick=options.quick)
    finally:
        kms.close()
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "custody.md").write_text(markdown(results))
    (options.out / "custody.json").write_text(as_json(results))
    print(markdown(results))
    return 0


def measure(kms: AWSKMSHarness, folder: Path, *, quick: bool) -> Results:
    messages, theirs = (2000, 50) if quick else (steady.MESSAGES, 1000)
    keys = 50 if quick else cold_start.KEYS
    count, rounds = (100, 1) if quick else (2000, 5)
    return Results(
        steady=[steady.of_service(kms, folder, messages), steady.of_sdk(kms, theirs)],
        cold=[cold_start.of_keyring(kms, folder, keys), cold_start.of_sdk(kms, folder, keys)],
        signatures=signatures.of_service(kms, folder, count, rounds),
        outage=outage.of_service(kms, folder, 500 if quick else 10_000, rounds),
        quick=quick,
    )


if __name__ == "__main__":
    sys.exit(main())
