"""Shells whose completion click does not know, or knows not well enough."""

from __future__ import annotations

import os

from click.shell_completion import (
    BashComplete,
    CompletionItem,
    ShellComplete,
    add_completion_class,
    split_arg_string,
)


def register() -> None:
    """Have click take them."""
    add_completion_class(BashWithColons)
    add_completion_class(PowerShellComplete)


class BashWithColons(BashComplete):
    """Bash, where a colon ends a word: ``orders:v`` comes as three, and ``v1`` is to be given back.

    What ``COMP_WORDBREAKS`` has no colon for comes as one word, and goes back whole.
    """

    name = "bash"
    _given = ""  # what of the word stands before the part that bash replaces

    def get_completion_args(self) -> tuple[list[str], str]:
        """The whole words before the one that is completed, and that one."""
        count = int(os.environ["COMP_CWORD"]) + 1
        words = split_arg_string(os.environ["COMP_WORDS"])[:count]
        words += [""] * (count - len(words))
        whole: list[str] = []
        for word in words:
            if whole and (word == ":" or whole[-1].endswith(":")):
                whole[-1] += word
            else:
                whole.append(word)
        last = whole.pop()
        if last != words[-1]:
            self._given = last[: last.rindex(":") + 1]
        return whole[1:], last

    def format_completion(self, item: CompletionItem) -> str:
        """Type and value, without what stands there already."""
        return f"{item.type},{item.value.removeprefix(self._given)}"


class PowerShellComplete(ShellComplete):
    """PowerShell: its script hands over the line up to the cursor, and the word there."""

    name = "pwsh"
    source_template = """\
Register-ArgumentCompleter -Native -CommandName %(prog_name)s -ScriptBlock {
    param($word, $command, $cursor)
    $line = $command.ToString()
    $env:COMP_WORDS = $line.Substring(0, [Math]::Min($line.Length, $cursor))
    $env:COMP_WORD = $word
    $env:%(complete_var)s = "pwsh_complete"
    %(prog_name)s | ForEach-Object {
        $type, $value, $help = $_ -split "`t", 3
        if ($type -eq "plain") {
            if (-not $help) { $help = $value }
            $made = [System.Management.Automation.CompletionResult]
            $made::new($value, $value, "ParameterValue", $help)
        }
    }
    Remove-Item Env:COMP_WORDS, Env:COMP_WORD, Env:%(complete_var)s
}
"""

    def get_completion_args(self) -> tuple[list[str], str]:
        """The words before the one that is completed, and that one."""
        words, word = split_arg_string(os.environ["COMP_WORDS"])[1:], os.environ["COMP_WORD"]
        return words[:-1] if word and words else words, word

    def format_completion(self, item: CompletionItem) -> str:
        """Type, value and help, parted by tabs."""
        return "\t".join((item.type, item.value, item.help or ""))
