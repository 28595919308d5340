"""``python -m tests.torture --kills 10000 --store both --seed 1``, or ``--faults``."""

from __future__ import annotations

import argparse
import contextlib
import secrets
from typing import TYPE_CHECKING

from tests.support import postgres
from tests.torture.faults import faults
from tests.torture.operations import OPERATIONS
from tests.torture.run import KILLS_PER_PLACE, Figures, torture

if TYPE_CHECKING:
    from collections.abc import Callable


def main() -> None:
    """Run it, and print what was done."""
    arguments = _arguments()
    if arguments.faults:
        print(faults(seed=arguments.seed, said=print).table())
        return
    figures = Figures()
    with contextlib.ExitStack() as stack:
        stores: list[Callable[[], str] | None] = []
        if arguments.store in ("both", "sqlite"):
            stores.append(None)
        if arguments.store in ("both", "postgresql"):
            server = stack.enter_context(postgres.server())
            stores.append(lambda: postgres.create_database(server, f"t{secrets.token_hex(6)}"))
        print(f"seed {arguments.seed}", flush=True)
        done = 0
        while done < arguments.kills:
            for database in stores:
                share = min(KILLS_PER_PLACE, arguments.kills - done)
                if share:
                    seed = arguments.seed * 1_000_000 + done
                    torture(share, seed=seed, database=database, only=arguments.only,
                            figures=figures)  # fmt: skip
                    done += share
            print(f"{done:,} of {arguments.kills:,}, {figures.seconds:.0f} s", flush=True)
    print(figures.table())


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make torture", description=__doc__)
    parser.add_argument("--kills", type=int, default=10_000, help="how many processes are killed")
    parser.add_argument("--store", choices=["sqlite", "postgresql", "both"], default="both")
    parser.add_argument("--seed", type=int, default=1, help="of what is drawn")
    parser.add_argument("--only", choices=[*OPERATIONS], help="one operation alone")
    parser.add_argument("--faults", action="store_true", help="a disk that refuses, instead")
    return parser.parse_args()


if __name__ == "__main__":
    main()
