"""``--from``: the values of an encrypted field are not sealed yet, but of another form."""

from __future__ import annotations

import dataclasses
import datetime
from typing import TYPE_CHECKING, Final

import click

from mycelium_fractal_net.cli.completion import key_names
from mycelium_fractal_net.cli.exits import CommandError
from mycelium_fractal_net.cli.inputs import read_small, require_private
from mycelium_fractal_net.cli.parsing import record
from mycelium_fractal_net.security.errors import ExitCode

if TYPE_CHECKING:
    from mycelium_fractal_net.columns.source import Source

_KEYS_BYTES: Final = 65_536
# As integrations.spelling has them, which is not loaded to parse a command line.
_KINDS: Final = (
    "text", "bytes", "integer", "decimal", "float", "boolean", "date", "datetime", "datetime-utc",
    "time", "uuid", "json",
)  # fmt: skip
_FORMS: Final = ("plaintext", "fernet", "xor")


@dataclasses.dataclass(frozen=True, slots=True)
class Takeover:
    """What a column holds, which is to be sealed under ``key``."""

    source: Source
    key: str | None
    dry_run: bool
    old_column: str | None = None
    kind: str = "text"


def _takeover(
    form: str | None,
    fernet_key_file: str | None,
    or_plaintext: bool,
    old_column: str | None,
    kind: str | None,
    key: str | None,
    dry_run: bool,
) -> Takeover | None:
    if form is None:
        if any((key, dry_run, fernet_key_file, or_plaintext, old_column, kind)):
            raise CommandError(
                ExitCode.USAGE,
                "--key, --dry-run and the options of a form are of --from",
                "add --from plaintext",
            )
        return None
    if form != "fernet" and (fernet_key_file is not None or or_plaintext):
        raise CommandError(
            ExitCode.USAGE,
            "--fernet-key-file and --or-plaintext are of Fernet tokens",
            "add --from fernet",
        )
    if kind is not None and old_column is None:
        raise CommandError(
            ExitCode.USAGE, "--kind is of a column that is filled", "add --source COLUMN"
        )
    source = _source(form, fernet_key_file, or_plaintext)
    return Takeover(source, key, dry_run, old_column, kind or "text")


def _source(form: str, fernet_key_file: str | None, or_plaintext: bool) -> Source:
    forever = datetime.date.max  # who runs the command says that these values count now
    if form == "fernet":
        from mycelium_fractal_net.columns import Fernet

        return Fernet(_keys(fernet_key_file), until=forever, or_plaintext=or_plaintext)
    if form == "xor":
        from mycelium_fractal_net.legacy.source import XorCipher

        return XorCipher(until=forever)
    from mycelium_fractal_net.columns import Plaintext

    return Plaintext(until=forever)


def _keys(file: str | None) -> list[bytes]:
    if file is None:
        raise CommandError(
            ExitCode.USAGE,
            "Fernet tokens are opened by their keys",
            "name a file of them with --fernet-key-file",
        )
    require_private(file)
    return read_small(file, _KEYS_BYTES, "Fernet keys").split()


# Parameter ``takeover``, a Takeover, or None where what is there is sealed.
takeover = record(
    "takeover",
    _takeover,
    click.option(
        "--from",
        "form",
        type=click.Choice(_FORMS),
        help="Seal what the field's column still holds in this form, in place.",
    ),
    click.option(
        "--fernet-key-file",
        metavar="FILE",
        help="With --from fernet: the keys, one a line, in a file of mode 0600; or -.",
    ),
    click.option(
        "--or-plaintext",
        is_flag=True,
        help="With --from fernet: what does not begin as a token is plaintext.",
    ),
    click.option(
        "--source",
        "old_column",
        metavar="COLUMN",
        help="With --from: fill --column where it is NULL from this one, which stays as it is.",
    ),
    click.option(
        "--kind",
        type=click.Choice(_KINDS),
        help="With --source: what its values are; text, unless said.",
    ),
    click.option(
        "--key",
        "-k",
        metavar="KEY",
        help="With --from: the key to seal with [default-encryption].",
        shell_complete=key_names,
    ),
    click.option("--dry-run", is_flag=True, help="With --from: count, and change nothing."),
)
