"""What ``mfn`` adds to click: options that stand anywhere, commands that load late, records."""

from __future__ import annotations

import copy
import functools
import importlib
import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import click

from mycelium_fractal_net.cli.invocation import Invocation
from mycelium_fractal_net.cli.numbers import WHOLE

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


def note(context: click.Context, option: click.Parameter, given: Any) -> None:
    """Callback of an option whose value, once given, stands in the :class:`Invocation`."""
    # Always, so that all contexts of one run, those of completion as well, have the same one.
    invocation = context.ensure_object(Invocation)
    if given not in (None, False):
        setattr(invocation, str(option.name), given)


def noted(*names: str, **more: Any) -> click.Option:
    """An option whose value, once given, stands in the :class:`Invocation` under its name."""
    return click.Option(names, expose_value=False, callback=note, **more)


_JSON: Final = noted("--json", is_flag=True, help="Print JSON; docs/cli.md lists its shape.")
OF_MFN: Final = (
    noted("--config", metavar="FILE", help="Configuration file, instead of MFN_CONFIG."),
    noted("--home", metavar="FOLDER", help="Where key store and master key live [MFN_HOME]."),
    noted("--store", metavar="URL", help="Key store, such as postgresql+psycopg://…"),
    noted(
        "--passphrase-fd",
        metavar="N",
        type=WHOLE,
        help="Read a passphrase, the master key's or an --identity's, from file descriptor N.",
    ),
    noted("--debug", is_flag=True, help="Show where an error comes from."),
    noted("--quiet", "-q", is_flag=True, help="Print results and errors only."),
    _JSON,
)
"""The options of ``mfn`` itself, which every command takes as well."""


class SomePath(click.Path):
    """A path as a :class:`pathlib.Path`. One that is empty is refused."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """As click does, which would make the working folder of an empty one."""
        if value == "":
            self.fail("it is empty", param, ctx)
        return super().convert(value, param, ctx)


def _without_empty_paths(
    ctx: click.Context, params: list[click.Parameter], rest: list[str]
) -> list[str]:
    # An empty one would be the working folder: of "$UNSET" a command would take all that is there.
    for each in params:
        given = ctx.params.get(str(each.name))
        named = (each.metavar or "").strip("[].") in {"FILE", "FOLDER", "PATH"}
        if named and "" in (given if isinstance(given, tuple) else (given,)):
            raise click.BadParameter("it is empty", ctx, each)
    return rest


def _hidden(option: click.Option) -> click.Option:
    hidden = copy.copy(option)
    hidden.hidden = True
    return hidden


_ELSEWHERE: Final[list[click.Parameter]] = [_hidden(each) for each in OF_MFN if each is not _JSON]


def _with_those_of_mfn(params: list[click.Parameter]) -> list[click.Parameter]:
    """A command's own, then those of ``mfn``, then ``--help``."""
    *own, help_option = params
    return [*own, _JSON, *_ELSEWHERE, help_option]


def _note_options(ctx: click.Context, params: list[click.Parameter]) -> None:
    """Have the options of the command that runs be those that advice may name."""
    ctx.ensure_object(Invocation).options = frozenset(name for each in params for name in each.opts)


class Command(click.Command):
    """A command after which the options of ``mfn`` may stand too; its help shows ``--json``."""

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Its own, then those of ``mfn``, then ``--help``."""
        return _with_those_of_mfn(super().get_params(ctx))

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As click does; a path that is empty is refused (:class:`click.BadParameter`)."""
        return _without_empty_paths(ctx, self.params, super().parse_args(ctx, args))

    def invoke(self, ctx: click.Context) -> Any:
        """Run it; what fails in it is told with advice that its options can follow."""
        _note_options(ctx, self.params)
        return super().invoke(ctx)


def command(name: str, **more: Any) -> Callable[[Callable[..., Any]], click.Command]:
    """Make a :class:`Command` of a function whose first argument is the :class:`Invocation`."""
    return lambda run: click.command(name, cls=Command, **more)(click.pass_obj(run))


@click.pass_context
def help_when_alone(context: click.Context) -> None:
    """Print the help of a group that is called without a command."""
    if context.invoked_subcommand is None:
        print(context.get_help())


class CommandGroup(click.Group):
    """A group that lists its commands in the order in which they were added."""

    def __init__(self, name: str | None = None, **more: Any) -> None:
        more.setdefault("callback", help_when_alone)
        # Without a command the help is an answer, with exit code 0, and no mistake.
        more |= {"invoke_without_command": True, "subcommand_metavar": "COMMAND [ARGS]..."}
        super().__init__(name, **more)

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Its own, and those of ``mfn``, unless it is that."""
        found = super().get_params(ctx)
        return found if ctx.parent is None else [*found, _hidden(_JSON), *_ELSEWHERE]

    def add(self, name: str) -> Callable[[Callable[..., Any]], click.Command]:
        """Add what :func:`command` makes."""

        def added(run: Callable[..., Any]) -> click.Command:
            made = command(name)(run)
            self.add_command(made)
            return made

        return added

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, as they stand."""
        del ctx
        return list(self.commands)


class ActingGroup(CommandGroup):
    """A group that is a command too: it acts where none of its commands is named."""

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """As those of a :class:`Command`."""
        return _with_those_of_mfn(click.Group.get_params(self, ctx))

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As a :class:`Command` does."""
        return _without_empty_paths(ctx, self.params, super().parse_args(ctx, args))

    def invoke(self, ctx: click.Context) -> Any:
        """Run it; its options are those that advice may name."""
        _note_options(ctx, self.params)
        return super().invoke(ctx)


class LazyGroup(CommandGroup):
    """A group that imports a command when it is called: its help must not wait for all of them.

    ``lazy`` has for each name the module and attribute of the command, as ``.module:attribute``
    from ``package`` on, and the first sentence of its help.
    """

    def __init__(
        self,
        name: str | None = None,
        *,
        lazy: Mapping[str, tuple[str, str]],
        package: str,
        **more: Any,
    ) -> None:
        stands_for = {each: click.Command(each, help=text) for each, (_, text) in lazy.items()}
        super().__init__(name, commands=stands_for, **more)
        self.lazy = lazy
        self.package = package

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name, imported now."""
        del ctx
        if cmd_name not in self.lazy:
            return None
        module, _, attribute = self.lazy[cmd_name][0].partition(":")
        command: click.Command = getattr(importlib.import_module(module, self.package), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands without importing them."""
        del ctx
        limit = formatter.width - 6 - max(map(len, self.commands))
        with formatter.section("Commands"):
            formatter.write_dl(
                [(name, each.get_short_help_str(limit)) for name, each in self.commands.items()]
            )


def flag_that_ends(name: str, act: Callable[[click.Context], None], help: str) -> Decorator:
    """An option that does something before all others are read, and ends the run with it."""

    def callback(context: click.Context, _option: click.Parameter, wanted: bool) -> None:
        if wanted and not context.resilient_parsing:
            act(context)
            context.exit()

    return click.option(
        name, is_flag=True, is_eager=True, expose_value=False, callback=callback, help=help
    )


def record(name: str, make: Callable[..., Any], *options: Decorator) -> Decorator:
    """Give a command options that belong together, as one value.

    The command has the ``options`` and takes, as its parameter ``name``, what ``make`` returns
    for their values, which are its parameters by name. What ``make`` raises, the command raises.
    """
    taken = tuple(inspect.signature(make).parameters)  # by which click hands them over

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(command)
        def called(*given: Any, **values: Any) -> Any:
            made = make(**{each: values.pop(each) for each in taken})
            return command(*given, **{name: made}, **values)

        with_options: Callable[..., Any] = called
        for option in reversed(options):
            with_options = option(with_options)
        return with_options

    return decorate
