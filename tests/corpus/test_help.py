"""The help of every command: examples that its own parser takes, units, completion."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner

from corpus.cli import cli
from corpus.commands.options import stage_options
from corpus.commands.plugins import RegistryGroup
from trainer.cli import main as trainer

PROGRAMS: dict[str, click.Group] = {"corpus": cli, "trainer": trainer}


def commands(group: click.Group, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """All commands below a group; of those that are made from names two."""
    context = click.Context(group, info_name=path[-1])
    names = group.list_commands(context)
    for name in names[:2] if isinstance(group, RegistryGroup) else names:
        command = group.get_command(context, name)
        assert command is not None
        yield (*path, name), command
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))


ALL = [entry for program, group in PROGRAMS.items() for entry in commands(group, (program,))]


def examples(command: click.Command) -> list[str]:
    """The lines of examples that the help of a command ends with."""
    text = (command.epilog or "").split("\n\n")[0].removeprefix("\b\nExamples:\n")
    return [line.strip() for line in text.split("\n") if line.strip()]


def test_every_command_has_two_examples_and_says_its_units() -> None:
    for path, command in ALL:
        lines = examples(command)
        assert len(lines) >= 2, path
        name = " ".join(path)
        assert all(f"{path[0]} " in line and (path[1] in line or name in line) for line in lines), (name, lines)
        shown = CliRunner().invoke(PROGRAMS[path[0]], [*path[1:], "--help"])
        assert shown.exit_code == 0 and lines[0] in shown.output, name
        numbers = "NUMBER" in shown.output or "BYTES" in shown.output
        assert not numbers or "Units:" in shown.output, name


def test_examples_are_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names and options of examples exist and their values are read; nothing is run."""
    ran: list[str] = []
    monkeypatch.setattr(click.Command, "invoke", lambda self, context: ran.append(context.command_path))
    monkeypatch.setattr("corpus.commands.plugins.load_plugins", lambda paths: list(paths))
    lines = {line for _, command in ALL for line in examples(command) if "map shape" not in line}
    wrong = []
    for line in sorted(lines):
        words = shlex.split(line.partition(" >")[0])
        if words[0] == "torchrun":
            words = words[words.index("-m") + 1 :]
        ran.clear()
        done = CliRunner().invoke(PROGRAMS[words[0]], words[1:])
        if done.exit_code or not ran:
            wrong.append(f"{line}\n{done.output}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("program", PROGRAMS)
def test_shells_complete_commands_options_and_choices(program: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for shell in ("bash", "zsh", "fish"):
        script = CliRunner().invoke(PROGRAMS[program], ["completion", shell])
        assert script.exit_code == 0 and f"_{program.upper()}_COMPLETE={shell}_complete" in script.output
    words = {"corpus": ("corpus dedup --le", "plain,--level"), "trainer": ("trainer ge", "plain,generate")}[program]
    monkeypatch.setenv("COMP_WORDS", words[0])
    monkeypatch.setenv("COMP_CWORD", str(words[0].count(" ")))
    monkeypatch.setenv(f"_{program.upper()}_COMPLETE", "bash_complete")
    done = CliRunner().invoke(PROGRAMS[program], [], prog_name=program)
    assert words[1] in done.output.splitlines()


def test_stages_show_their_own_options_before_those_of_all_stages() -> None:
    @stage_options
    def plain() -> None: ...

    common = {param.opts[-1] for param in click.command()(plain).params}
    stages = {path: command for path, command in ALL if common <= {param.opts[-1] for param in command.params}}
    assert {("corpus", "filter"), ("corpus", "split"), ("corpus", "run"), ("corpus", "ingest", "c4")} <= stages.keys()
    late = common | {"--cache", "--max-unreadable", "--max-drop", "--plugin"}
    for path, command in stages.items():
        shown = [param.opts[-1] for param in command.params if isinstance(param, click.Option) and not param.hidden]
        assert late >= set(shown[shown.index("--workers") :]), path
