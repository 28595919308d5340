"""What rewrapping a column costs beside the database's own rewriting of it.

python -m benchmarks.columns [--rows 1000000] [--rounds 3] [--out FOLDER]

A PostgreSQL server of this machine is started, a table of messages of 100 B filled, and in turn
the database rewrites the column by itself, in one statement that gives every value other bytes,
and `rewrap_column` moves it to a newer version. Between the turns the table is written anew
(`VACUUM FULL`), so that both begin alike. fsync is on, as it is where data counts.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import psycopg

from benchmarks.report import machine
from mycelium_fractal_net import initialise
from mycelium_fractal_net.columns import MessageColumn, rewrap_column
from mycelium_fractal_net.security.keyring.keyring import Keyring
from tests.support import postgres

PLAIN_BYTES = 100
_KEY = "rows"
# Every value gets other bytes, as in a rewrap, and none is calculated: the last one changes.
_OWN = "UPDATE items SET sealed = set_byte(sealed, 150, (get_byte(sealed, 150) + 1) % 256)"


@dataclass(frozen=True)
class Round:
    """Seconds of one round."""

    own: float
    rewrap: float
    again: float


@dataclass(frozen=True)
class Results:
    """All that one run measured."""

    rows: int
    value_bytes: int
    workers: int
    rounds: list[Round]
    table_bytes: int


def main() -> int:
    """Parse the options, measure, write."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.columns",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--out", type=Path, default=Path("docs/benchmarks"))
    options = parser.parse_args()
    results = measure(options.rows, options.rounds, options.workers)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "columns.md").write_text(markdown(results))
    (options.out / "columns.json").write_text(as_json(results))
    print(markdown(results))
    return 0


def measure(rows: int, rounds: int, workers: int) -> Results:
    """Fill a table and rewrite it in both ways, in turn."""
    with (
        tempfile.TemporaryDirectory(prefix="mfn-columns-") as home,
        initialise(home=home) as keyring,
        postgres.server(fsync=True) as server,
    ):
        keyring.provider.keys.create(_KEY)
        url = postgres.create_database(server, "columns")
        with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
            _fill(connection, keyring, rows)
            size = connection.execute("SELECT pg_total_relation_size('items')").fetchone()
            found = [_round(connection, keyring, url, rows, workers) for _ in range(rounds)]
            value = connection.execute("SELECT avg(octet_length(sealed)) FROM items").fetchone()
    assert size is not None
    assert value is not None
    return Results(rows, round(value[0]), workers, found, size[0])


def _fill(connection: psycopg.Connection, keyring: Keyring, rows: int) -> None:
    connection.execute("CREATE TABLE items (id BIGINT PRIMARY KEY, sealed BYTEA)")
    copy = connection.cursor().copy("COPY items FROM STDIN (FORMAT BINARY)")
    with copy as into:
        into.set_types(["int8", "bytea"])
        for number in range(rows):
            into.write_row((number, keyring.encrypt(os.urandom(PLAIN_BYTES), key_id=_KEY)))


def _round(
    connection: psycopg.Connection, keyring: Keyring, url: str, rows: int, workers: int
) -> Round:
    _settle(connection)
    own = _seconds(connection, _OWN)
    connection.execute(_OWN.replace("+ 1", "+ 255"))  # messages again
    keyring.provider.rotate_key(_KEY)
    keyring.refresh()
    _settle(connection)
    times = []
    for wanted in (rows, 0):
        began = time.perf_counter()
        report = rewrap_column(keyring, MessageColumn(url, "items", "sealed"), workers=workers)
        times.append(time.perf_counter() - began)
        if (report.done, report.failed) != (wanted, 0):
            raise RuntimeError(f"not what was to be done: {report}")
    return Round(own, *times)


def _settle(connection: psycopg.Connection) -> None:
    for statement in ("VACUUM (FULL, ANALYZE) items", "VACUUM items", "CHECKPOINT"):
        connection.execute(statement)


def _seconds(connection: psycopg.Connection, statement: str) -> float:
    began = time.perf_counter()
    connection.execute(statement)
    return time.perf_counter() - began


# What is written --------------------------------------------------------------------------------


def markdown(results: Results) -> str:
    """The page."""
    own = statistics.median(each.own for each in results.rounds)
    rewrap = statistics.median(each.rewrap for each in results.rounds)
    again = statistics.median(each.again for each in results.rounds)
    ratios = [each.rewrap / each.own for each in results.rounds]
    rows = results.rows
    size = results.table_bytes / 2**20
    least, most, median = min(ratios), max(ratios), statistics.median(ratios)
    table = [
        (
            "the database's own rewriting: one `UPDATE` that gives every value other bytes",
            own,
            "1.00 x",
        ),
        (
            "`mfn rewrap`: read, open, seal, write if unchanged, at most 2,000 rows a transaction",
            rewrap,
            f"{median:.2f} x ({least:.2f} to {most:.2f})",
        ),
        ("the same again, when all is newest", again, ""),
    ]
    lines = "\n".join(
        f"| {what} | {seconds:.1f} | {rows / seconds:,.0f} | {ratio} |"
        for what, seconds, ratio in table
    )
    return f"""# Rewrapping a column

`make bench-columns`: {machine()}.

{rows:,} rows in PostgreSQL on the same machine, fsync on: a bigint key and a sealed message of
{PLAIN_BYTES} B, {results.value_bytes} B long, {size:.0f} MiB with its index.
{results.workers} processes, median of {len(ratios)} rounds.

| what | seconds | rows/s | beside the database's own |
| --- | --- | --- | --- |
{lines}

The `UPDATE` is one statement in one process of the server, keeps every row locked until its end,
and does no cryptography.
"""


def as_json(results: Results) -> str:
    """Everything that was measured."""
    return json.dumps({"machine": machine(), **asdict(results)}, indent=2) + "\n"


if __name__ == "__main__":
    raise SystemExit(main())
