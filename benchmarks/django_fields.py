"""What encrypted fields of Django cost beside django-fernet-encrypted-fields and plaintext.

python -m benchmarks.django_fields [--rows 200000] [--rounds 9] [--quick] [--out FOLDER]

Values of 32 B are written with `bulk_create` and read with `values_list`, in SQLite in memory, so
that little but the fields is measured. Then a customer is looked for by e-mail with `get`, in
SQLite (a file) and PostgreSQL, among many.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import json
import random
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import django
from django.conf import settings
from django.db import connections, models, transaction

from benchmarks.harness import Figure, Work, compare
from benchmarks.report import Goal, goals_table, machine
from mycelium_fractal_net import initialise
from mycelium_fractal_net.integrations.application import configure
from mycelium_fractal_net.integrations.django import EncryptedField, UniqueTag
from tests.support import postgres

PEER: Final = "django-fernet-encrypted-fields"
PLAIN: Final = "plaintext"
SEALED: Final = "encrypted"
INDEXED: Final = "encrypted, with an index"
VALUES: Final = 500  # of one statement
_SEARCHES: Final = 200
_BATCH: Final = 10_000
_KEYS: Final[dict[str, Any]] = {"key_id": "customers", "index": "customers-index"}
_SQLITE: Final = {"ENGINE": "django.db.backends.sqlite3"}


@dataclass(frozen=True)
class Results:
    """All that one run measured: each list begins with its reference."""

    rows: int
    written: list[Figure]
    read: list[Figure]
    both: list[Figure]
    searched: dict[str, list[Figure]]


def main() -> int:
    """Parse the options, measure, write."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.django_fields",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--quick", action="store_true", help="2,000 rows and three short rounds")
    parser.add_argument("--out", type=Path, default=Path("docs/benchmarks"))
    options = parser.parse_args()
    if find_spec("encrypted_fields") is None:
        parser.error(f"{PEER} is not installed: make bench-django installs it")
    if options.quick:
        results = measure(2_000, rounds=3, budget=0.05)
    else:
        results = measure(options.rows, rounds=options.rounds, budget=1.0)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "django_fields.md").write_text(markdown(results))
    (options.out / "django_fields.json").write_text(as_json(results))
    print(markdown(results))
    return 0


def measure(rows: int, *, rounds: int, budget: float) -> Results:
    """Values first, then searches in each database that is there."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mfn-django-")))
        databases: dict[str, dict[str, Any]] = {
            "default": {**_SQLITE, "NAME": ":memory:"},
            "SQLite": {**_SQLITE, "NAME": str(folder / "customers.db")},
        }
        if postgres.binaries() is not None:
            server = stack.enter_context(postgres.server())
            databases["PostgreSQL"] = postgres.django_settings(f"{server}postgres")
        settings.configure(
            SECRET_KEY=secrets.token_hex(),
            SALT_KEY=secrets.token_hex(),
            DATABASES=databases,
            DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        )
        django.setup()
        stack.callback(connections.close_all)
        keyring = stack.enter_context(initialise(home=folder / "home"))
        keyring.provider.keys.create("customers")
        keyring.provider.keys.create("customers-index", "index")
        configure(keyring)
        stack.callback(configure, None)
        written, read, both = values(rounds, budget)
        searched = {}
        for name in [each for each in databases if each != "default"]:
            fill(name, rows)
            searched[name] = compare(searches(name, rows), rounds=rounds, budget=budget)
    return Results(rows, written, read, both, searched)


# Values -----------------------------------------------------------------------------------------


@functools.cache
def tables() -> dict[str, Any]:
    """A model with a value of each kind. The peer is there where it is installed, and first."""
    fields = {
        PLAIN: models.CharField(max_length=80),
        SEALED: EncryptedField(models.CharField(max_length=80), key_id="customers"),
        INDEXED: EncryptedField(models.CharField(max_length=80), **_KEYS),
    }
    if find_spec("encrypted_fields") is not None:
        from encrypted_fields.fields import EncryptedCharField

        fields = {PEER: EncryptedCharField(max_length=80), **fields}
    return {
        name: _model(f"Value{number}", value=field)
        for number, (name, field) in enumerate(fields.items())
    }


def _model(name: str, meta: dict[str, Any] | None = None, **fields: Any) -> Any:
    made = type("Meta", (), {"app_label": "benchmarks", **(meta or {})})
    return type(name, (models.Model,), {"__module__": __name__, "Meta": made, **fields})


def values(
    rounds: int, budget: float, using: str = "default"
) -> tuple[list[Figure], list[Figure], list[Figure]]:
    """Values of 32 B written, read, and both, in a field of each kind."""
    given = [secrets.token_hex(16) for _ in range(VALUES)]
    for model in tables().values():
        with connections[using].schema_editor() as editor:
            editor.create_model(model)
        model.objects.using(using).bulk_create([model(value=each) for each in given])

    def write(model: Any) -> Work:
        def work() -> None:
            with transaction.atomic(using):
                model.objects.using(using).bulk_create([model(value=each) for each in given])
                transaction.set_rollback(True, using)

        return work

    def read(model: Any) -> Work:
        def work() -> None:
            if list(model.objects.using(using).values_list("value", flat=True)) != given:
                raise RuntimeError("not what was written")

        return work

    def both(model: Any) -> Work:
        first, then = write(model), read(model)
        return lambda: (first(), then())

    found = [
        compare(
            {name: way(model) for name, model in tables().items()}, rounds=rounds, budget=budget
        )
        for way in (write, read, both)
    ]
    return found[0], found[1], found[2]


# Searches ---------------------------------------------------------------------------------------


@functools.cache
def customers() -> dict[str, Any]:
    """Customers twice: in plaintext with an index on the column, encrypted with one on tags."""
    only = [UniqueTag("email", name="one_sealed_for_each_email")]
    sealed = EncryptedField(models.EmailField(max_length=80), **_KEYS)
    return {
        PLAIN: _model("Plain", email=models.EmailField(max_length=80, unique=True)),
        SEALED: _model("Sealed", {"constraints": only}, email=sealed),
    }


def email(number: int) -> str:
    """That of one customer."""
    return f"customer.{number}@example.com"


def fill(using: str, rows: int) -> None:
    """Both tables, with the same customers."""
    connection = connections[using]
    for model in customers().values():
        with connection.schema_editor() as editor:
            editor.create_model(model)
        for some in _batches(rows):
            model.objects.using(using).bulk_create([model(email=email(each)) for each in some])
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")


def _batches(rows: int) -> Iterator[tuple[int, ...]]:
    numbers = iter(range(rows))
    while some := tuple(itertools.islice(numbers, _BATCH)):
        yield some


def searches(using: str, rows: int) -> dict[str, Work]:
    """Customers found by an address that is another one each time."""

    def work(model: Any) -> Work:
        chosen = random.Random(1)

        def search() -> None:
            with transaction.atomic(using):
                for _ in range(_SEARCHES):
                    wanted = email(chosen.randrange(rows))
                    if model.objects.using(using).get(email=wanted).email != wanted:
                        raise RuntimeError("not who was looked for")

        return search

    return {name: work(model) for name, model in customers().items()}


# What is written --------------------------------------------------------------------------------


def goals(results: Results) -> list[Goal]:
    """What was to be reached, and what was seen."""
    wanted = [
        (f"a value of 32 B written and read, beside {PEER}", 1.05, _of(SEALED, results.both)),
        (f"a value written with its tag, beside {PEER}", 1.4, _of(INDEXED, results.written)),
        *(
            (
                f"a search among {results.rows:,} rows, {name}, beside plaintext",
                1.25,
                _of(SEALED, found),
            )
            for name, found in results.searched.items()
        ),
    ]
    return [
        Goal(what, f"<= {limit:g} x", str(figure), figure.ratio <= limit)
        for what, limit, figure in wanted
    ]


def _of(name: str, found: list[Figure]) -> Figure:
    return next(each for each in found if each.name == name)


def markdown(results: Results) -> str:
    """The page."""
    lines = [
        "# Encrypted fields of Django",
        "",
        f"`make bench-django`: {machine()}, Django {django.__version__}.",
        "",
        *goals_table(goals(results)),
    ]
    many = {
        f"Written, {VALUES} values a statement": (results.written, VALUES),
        "Read": (results.read, VALUES),
        "Written and read": (results.both, VALUES),
        **{f"A search, {name}": (each, _SEARCHES) for name, each in results.searched.items()},
    }
    for title, (figures, number) in many.items():
        lines += ["", f"| {title} | each | beside |", "| --- | --- | --- |"]
        lines += [
            f"| {each.name} | {each.seconds / number * 1e6:.1f} us | {each} |" for each in figures
        ]
    return "\n".join(lines) + "\n"


def as_json(results: Results) -> str:
    """Everything that was measured."""
    return json.dumps({"machine": machine(), **asdict(results)}, indent=2) + "\n"


if __name__ == "__main__":
    raise SystemExit(main())
