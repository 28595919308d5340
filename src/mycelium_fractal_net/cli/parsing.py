"""What ``mfn`` adds to click: commands that load when they are called, and records of options."""

from __future__ import annotations

import functools
import importlib
import inspect
from collections.abc import Callable, Mapping
from typing import Any

import click

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


@click.pass_context
def help_when_alone(context: click.Context) -> None:
    """Print the help of a group that is called without a command."""
    if context.invoked_subcommand is None:
        print(context.get_help())


class Group(click.Group):
    """A group that lists its commands in the order in which they were added."""

    def __init__(self, name: str | None = None, **more: Any) -> None:
        more.setdefault("callback", help_when_alone)
        # Without a command the help is an answer, with exit code 0, and no mistake.
        more |= {"invoke_without_command": True, "subcommand_metavar": "COMMAND [ARGS]..."}
        super().__init__(name, **more)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, as they stand."""
        del ctx
        return list(self.commands)


class LazyGroup(Group):
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
