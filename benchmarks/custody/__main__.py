"""What a master key in AWS KMS or OpenBao costs; writes docs/benchmarks/custody.md and .json.

python -m benchmarks.custody [--quick] [--out FOLDER]

The servers are on loopback: moto's for KMS, which the AWS Encryption SDK beside us asks too, and
OpenBao's own, with TLS. Needs wrk (Debian: wrk). It takes some six minutes, --quick two.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

from benchmarks.custody import cold_start, outage, signatures, steady
from benchmarks.custody.report import Results, as_json, markdown
from benchmarks.http.load import require_wrk
from tests.support.custodians.aws_kms import AWSKMSHarness
from tests.support.custodians.vault import VaultHarness


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
    require_wrk()
    with (
        closing(AWSKMSHarness()) as kms,
        closing(VaultHarness()) as vault,
        tempfile.TemporaryDirectory(prefix="mfn-custody-") as folder,
    ):
        kms.make_key()
        vault.make_key()
        results = measure(kms, vault, Path(folder), quick=options.quick)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "custody.md").write_text(markdown(results))
    (options.out / "custody.json").write_text(as_json(results))
    print(markdown(results))
    return 0


def measure(kms: AWSKMSHarness, vault: VaultHarness, folder: Path, *, quick: bool) -> Results:
    """One part after the other; each says when it begins."""
    messages, theirs = (2000, 50) if quick else (steady.MESSAGES, 500)
    keys = 50 if quick else cold_start.KEYS
    seconds, rounds = (1, 1) if quick else (4, 5)
    started = time.monotonic()

    def begins(part: str) -> None:
        print(f"{time.monotonic() - started:4.0f} s: {part} ...", file=sys.stderr, flush=True)

    begins("signatures")
    signed = [
        signatures.of_openbao(vault, folder, seconds, rounds),
        signatures.of_kms(kms, folder, seconds, rounds),
    ]
    begins("outages")
    outages = [
        outage.of_service("OpenBao", vault, folder, seconds, rounds),
        outage.of_service("AWS KMS (moto)", kms, folder, seconds, rounds),
    ]
    begins("cold starts")
    cold = [
        cold_start.of_keyring("OpenBao", vault, folder, keys),
        cold_start.of_keyring("AWS KMS (moto)", kms, folder, keys),
        cold_start.of_sdk(kms, folder, keys),
    ]
    begins("steady traffic")
    steadily = [steady.of_service(kms, folder, messages), steady.of_sdk(kms, theirs)]
    begins("done")
    return Results(steadily, cold, signed, outages, quick=quick)


if __name__ == "__main__":
    sys.exit(main())
