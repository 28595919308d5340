"""``python -m tests.torture --kills 10000 --store both --seed 1``."""

from __future__ import annotations

import argparse
import contextlib
import secrets
import sys
from typing import TYPE_CHECKING, Final

from tests.support import postgres
from tests.torture.operations import OPERATIONS
from tests.torture.run import KILLS_PER_PLACE, Figures, TortureFailedError, torture

if TYPE_CHECKING:
    from collections.abc import Callable


_MOST_FAILURES: Final = 5  # then something is wrong everywhere


def main() -> int:
    """Run it, and print what was done; 1 where something was lost, whose folder is kept."""
    arguments = _arguments()
    figures, failures, number = Figures(), 0, 0
    with contextlib.ExitStack() as stack:
        stores: list[Callable[[], str] | None] = []
        if arguments.store in ("both", "sqlite"):
            stores.append(None)
        if arguments.store in ("both", "postgresql"):
            server = stack.enter_context(postgres.server())
            stores.append(lambda: postgres.create_database(server, f"t{secrets.token_hex(6)}"))
        _say(f"seed {arguments.seed}")
        while failures < _MOST_FAILURES and (left := arguments.kills - figures.kills.total()) > 0:
            try:
                torture(
                    min(left, KILLS_PER_PLACE),
                    seed=arguments.seed * 1_000_000 + number,
                    database=stores[number % len(stores)],
                    only=arguments.only,
                    figures=figures,
                )
            except TortureFailedError as error:
                failures += 1
                _say(f"FAILED: {error}")
            number += 1
            _say(f"{figures.kills.total():,} of {arguments.kills:,}, {figures.seconds:.0f} s")
    _say(figures.table())
    return 1 if failures else 0


def _say(text: str) -> None:
    print(text, flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make torture", description=__doc__)
    parser.add_argument("--kills", type=int, default=10_000, help="how many processes are killed")
    parser.add_argument("--store", choices=["sqlite", "postgresql", "both"], default="both")
    parser.add_argument("--seed", type=int, default=1, help="of what is drawn")
    parser.add_argument("--only", choices=[*OPERATIONS], help="one operation alone")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
