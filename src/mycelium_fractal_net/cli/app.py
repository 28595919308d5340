"""The commands of ``mfn`` and its global options, put together."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from mycelium_fractal_net import __version__
from mycelium_fractal_net.cli import (
    audit,
    backup,
    credential,
    doctor,
    init,
    inspect,
    key,
    key_states,
    master,
    migrate,
    retention,
    rewrap,
    rotation,
    seal,
    serve,
    sign,
    signer,
)
from mycelium_fractal_net.cli.session import Session

__all__ = ["application", "command"]


def application() -> typer.Typer:
    """A fresh typer application with every command."""
    # Plain help and plain errors: rich would be loaded for them, and pretty tracebacks show
    # the values of variables, which may be keys.
    app = typer.Typer(
        name="mfn",
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    )
    app.callback(invoke_without_command=True)(_global_options)
    init.register(app)
    key_group = _group(app, "key", "Make, list and change keys.")
    key.register(key_group)
    key_states.register(key_group)
    migrate.register_import(key_group)
    seal.register(app)
    rewrap.register(app)
    migrate.register(app)
    sign.register(app)
    inspect.register(app)
    credential.register(_group(app, "credential", "Make, list and change API keys of the service."))
    signer.register(_group(app, "signer", "Register public keys that may sign requests."))
    master.register(_group(app, "master", "Change the master key, which wraps every key at rest."))
    rotation.register(_group(app, "rotation", "Rotate keys on time, and retire old versions."))
    retention.register(app)
    audit.register(_group(app, "audit", "Verify and read the audit records of this machine."))
    backup.register(app)
    serve.register(app)
    doctor.register(app)
    app.command(name="version")(_version)
    return app


def _group(app: typer.Typer, name: str, text: str) -> typer.Typer:
    group = typer.Typer(rich_markup_mode=None, help=text)
    group.callback(invoke_without_command=True)(_help_when_alone)
    app.add_typer(group, name=name)
    return group


def _help_when_alone(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        print(context.get_help())


def command() -> Any:
    """The application as the command object that parses arguments."""
    return typer.main.get_command(application())


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"mfn {__version__}")
        raise typer.Exit


def _version() -> None:
    """Print the version of mfn."""
    _print_version(True)


def _global_options(
    context: typer.Context,
    config: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Configuration file, instead of MFN_CONFIG."),
    ] = None,
    home: Annotated[
        str | None,
        typer.Option(metavar="FOLDER", help="Where key store and master key live [MFN_HOME]."),
    ] = None,
    store: Annotated[
        str | None, typer.Option(metavar="URL", help="Key store, such as postgresql+psycopg://…")
    ] = None,
    passphrase_fd: Annotated[
        int | None,
        typer.Option(metavar="N", help="Read the master key's passphrase from file descriptor N."),
    ] = None,
    debug: Annotated[bool, typer.Option("--debug", help="Show where an error comes from.")] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Print results and errors only.")
    ] = False,
    _version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    """Keep keys; encrypt, sign and check files with them.

    Begin with: mfn init, mfn key create orders, mfn encrypt FILE -k orders.
    """
    session = context.ensure_object(Session)
    session.config, session.home, session.store = config, home, store
    session.passphrase_fd, session.debug, session.quiet = passphrase_fd, debug, quiet
    if context.invoked_subcommand is None:
        print(context.get_help())
