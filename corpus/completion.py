"""The command `completion` of both programs: the script by which a shell completes their commands and options."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

SHELLS = ("bash", "zsh", "fish")
_WHERE = {
    "bash": '~/.bashrc: eval "$({program} completion bash)"',
    "zsh": '~/.zshrc: eval "$({program} completion zsh)"',
    "fish": "~/.config/fish/completions/{program}.fish, as a file",
}


def completion_command(program: str) -> click.Command:
    """The command of a program."""

    @click.command("completion", short_help="Print the script of shell completion.")
    @click.argument("shell", type=click.Choice(SHELLS))
    @click.pass_context
    def completion(context: click.Context, shell: str) -> None:
        found = get_completion_class(shell)
        assert found is not None, shell
        group = context.find_root().command
        variable = f"_{program}_complete".upper()
        click.echo(found(group, {}, program, variable).source())

    places = "\n".join(f"  {line.format(program=program)}" for line in _WHERE.values())
    completion.help = f"Print the script by which a shell completes commands and options of {program}.\n\nWhere it goes:\n\n\b\n{places}"
    return completion


CORPUS = completion_command("corpus")
