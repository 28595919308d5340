"""Shell completion: what is completed beyond options and commands, and getting it into a shell.

Completing names of keys and signers and ids of credentials never asks, and never fails aloud.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Final

from mycelium_fractal_net.cli.exits import CommandError
from mycelium_fractal_net.cli.invocation import Invocation
from mycelium_fractal_net.cli.parsing import flag_that_ends
from mycelium_fractal_net.security.errors import ExitCode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import click

    from mycelium_fractal_net.security.key_providers import StoredKeyProvider

    Completion = Callable[[click.Context, click.Parameter, str], list[str]]

COMPLETION_VARIABLE: Final = "_MFN_COMPLETE"  # set by the scripts that are installed in a shell
_PROGRAM: Final = "mfn"
_MOST: Final = 200  # more than anyone reads; keeps the TAB key quick in a large store
# Below the home folder: where a shell's script goes, the file that is to have a line, the line.
_PLACES: Final[dict[str, tuple[str, str, str]]] = {
    "bash": (".bash_completions/mfn.sh", ".bashrc", "source ~/.bash_completions/mfn.sh"),
    "zsh": (".zfunc/_mfn", ".zshrc", "fpath+=~/.zfunc; autoload -Uz compinit; compinit"),
    "fish": (".config/fish/completions/mfn.fish", "", ""),
    "pwsh": (
        ".config/powershell/mfn.ps1",
        ".config/powershell/Microsoft.PowerShell_profile.ps1",
        ". ~/.config/powershell/mfn.ps1",
    ),
}


# What is completed ---------------------------------------------------------------------------


def _completion(table: str, field: str) -> Completion:
    """Completes the ``field`` of what a table of the provider has: such as the names of keys."""

    def complete(context: click.Context, _parameter: click.Parameter, prefix: str) -> list[str]:
        return [getattr(each, field) for each in _page(context, table, field, prefix)]

    return complete


key_names = _completion("keys", "key_id")
credential_ids = _completion("credentials", "credential_id")
signer_names = _completion("signers", "name")
import_ids = _completion("imports", "import_id")


def version_names(
    context: click.Context, _parameter: click.Parameter, incomplete: str
) -> list[str]:
    """The names of keys and, once a name is whole, its versions."""
    from mycelium_fractal_net.security.records.keys import version_id

    name, colon, _ = incomplete.partition(":")
    keys = _page(context, "keys", "key_id", name)
    if not colon:
        return [key.key_id for key in keys]
    of_name = (key for key in keys if key.key_id == name)
    return [version_id(name, each.version) for key in of_name for each in key.versions]


def _page(context: click.Context, table: str, field: str, prefix: str) -> list[Any]:
    """The records whose ``field`` begins with ``prefix``; none where they cannot be read."""
    with contextlib.suppress(Exception), _provider(context) as provider:
        found = getattr(provider, table).page(after=_just_before(prefix), limit=_MOST)
        sound = (each for _, each in found if not isinstance(each, Exception))
        return [each for each in sound if getattr(each, field).startswith(prefix)]
    return []


@contextlib.contextmanager
def _provider(context: click.Context) -> Iterator[StoredKeyProvider]:
    with context.ensure_object(Invocation).keyring(may_ask=False) as keyring:
        yield keyring.provider


def _just_before(prefix: str) -> str:
    """What sorts before all names that begin with ``prefix`` and after all that are less."""
    # "~" is above every character of a name, and names are compared by their ASCII bytes.
    return prefix and f"{prefix[:-1]}{chr(ord(prefix[-1]) - 1)}~"


def complete(entry: click.Command, instruction: str) -> int:
    """Answer a shell's script, which asks by ``instruction``; returns the exit code."""
    from click.shell_completion import BashComplete, shell_complete

    from mycelium_fractal_net.cli.shells import register

    register()
    if instruction != "complete_bash":
        return shell_complete(entry, {}, _PROGRAM, COMPLETION_VARIABLE, instruction)
    # The script that mfn 4.1 installed takes one value a line, and files where there is none.
    shell = BashComplete(entry, {}, _PROGRAM, COMPLETION_VARIABLE)
    items = shell.get_completions(*shell.get_completion_args())
    print("\n".join(str(each.value) for each in items if each.type == "plain"))
    return 0


# Into a shell --------------------------------------------------------------------------------


def _show(context: click.Context) -> None:
    print(_script(context, _current_shell()))


def _install(context: click.Context) -> None:
    from pathlib import Path

    shell = _current_shell()
    name, startup, line = _PLACES[shell]
    script = Path.home() / name
    script.parent.mkdir(parents=True, exist_ok=True)
    script.write_text(_script(context, shell))
    if startup:  # fish loads it by itself
        _append_once(Path.home() / startup, line)
    print(f"{shell} completion installed in {script}; it works in the next shell that is started")


install_completion = flag_that_ends(
    "--install-completion", _install, "Install completion for the current shell."
)
show_completion = flag_that_ends(
    "--show-completion",
    _show,
    "Show completion for the current shell, to copy it or customize the installation.",
)


def _script(context: click.Context, shell: str) -> str:
    from click.shell_completion import get_completion_class

    from mycelium_fractal_net.cli.shells import register

    register()
    made = get_completion_class(shell)
    assert made is not None  # noqa: S101 - each of _PLACES has one
    return made(context.find_root().command, {}, _PROGRAM, COMPLETION_VARIABLE).source()


def _append_once(path: Path, line: str) -> None:
    now = path.read_text() if path.exists() else ""
    if line not in now.splitlines():
        with path.open("a") as file:
            file.write(f"{line}\n" if now.endswith("\n") or not now else f"\n{line}\n")


def _current_shell() -> str:
    """The shell that this process was started from; where none is seen, the user's login shell.

    Raises :class:`CommandError` for one that there is no script for.
    """
    import os
    import pwd
    from pathlib import Path

    with contextlib.suppress(OSError, ValueError):  # no /proc here
        process = os.getppid()
        while process > 1:
            # "PID (NAME) STATE PARENT ...", where NAME may hold anything
            stat = Path(f"/proc/{process}/stat").read_text()
            name = stat[stat.index("(") + 1 : stat.rindex(")")]
            if name in _PLACES:
                return name
            process = int(stat[stat.rindex(")") :].split()[2])
    with contextlib.suppress(KeyError):
        name = Path(pwd.getpwuid(os.getuid()).pw_shell).name
        if name in _PLACES:
            return name
    raise CommandError(
        ExitCode.USAGE,
        "completion is for bash, zsh, fish and PowerShell, and this is none of them",
        "start mfn from one of them",
    )
