"""Every command line of README and docs/ is one that the programs take: commands, options, values, keys of --set."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from corpus.cli import cli as corpus_cli
from corpus.config import option_names
from corpus.plugins import registry
from corpus.quality.rules.registry import PRESETS
from tests.docs.command_lines import PAGES, ROOT, CommandLine, command_lines, shell_lines
from trainer.cli import main as trainer_cli
from trainer.config.config import SECTIONS

PROGRAMS = {"corpus": corpus_cli, "trainer": trainer_cli}
GIVEN = (ROOT / "README.md", *PAGES)
EXAMPLES = frozenset(("shape", "no_shouting"))
"""Commands and rules that docs/extending.md builds."""
PLACEHOLDER = re.compile(r"[A-Z]+$|.*(…|\.\.\.)|NAME@?|[A-Z]+@N")
FLAG = re.compile(r"(?<![\w-])--[a-z][a-z-]*")
FOREIGN = frozenset(
    (
        *("--quick", "--prose", "--only"),  # the benchmarks
        *("--data-path", "--reset-position-ids", "--reset-attention-mask", "--eod-mask-loss"),  # Megatron
        *("--discount", "--nproc-per-node", "--ray-address"),  # lmplz, torchrun, an executor that may not be installed
        *(
            "--index-url",
            "--target",
            "--tag",
            "--rm",
            "--volume",
            "--gpus",
            "--force-reinstall",
            "--no-deps",
        ),  # pip, docker
        *("--learning-rate", "--least"),  # a wrong name that is shown, and an example's
    )
)
"""Options in the text that are none of the two programs."""


def find(line: CommandLine) -> tuple[click.Context, list[str]] | None:
    """The innermost command of a line and the words that are left to it; None where it is an example's."""
    context = click.Context(PROGRAMS[line.program], info_name=line.program)
    words = list(line.words)
    while isinstance(context.command, click.Group):
        parser = context.command.make_parser(context)
        parser.allow_interspersed_args = False
        _, words, _ = parser.parse_args(words)
        if not words or PLACEHOLDER.match(words[0]):
            return context, []
        if words[0] in EXAMPLES:
            return None
        command = context.command.get_command(context, words[0])
        if command is None:
            raise click.UsageError(f"there is no command {words[0]}")
        context = click.Context(command, info_name=words[0], parent=context)
        words = words[1:]
    return context, words


def problems(line: CommandLine) -> Iterator[str]:
    """What is wrong with a command line."""
    try:
        found = find(line)
        if found is None:
            return
        context, words = found
        values, rest, _ = context.command.make_parser(context).parse_args(words)
    except click.UsageError as error:
        if getattr(error, "option_name", None) in FOREIGN:
            return
        if not (line.partial and "requires an argument" in error.format_message()):
            yield error.format_message()
        return
    if rest:
        yield f"{' '.join(rest)} is too much"
    for parameter in context.command.params:
        given = values.get(parameter.name)
        entries = given if isinstance(given, list | tuple) else [given]
        entries = [entry for entry in entries if isinstance(entry, str)]
        if parameter.required and not entries and not line.partial and not isinstance(context.command, click.Group):
            yield f"{parameter.name} is missing"
        for entry in entries:
            yield from _problem_of_value(context, parameter, entry)


def _problem_of_value(context: click.Context, parameter: click.Parameter, value: str) -> Iterator[str]:
    if PLACEHOLDER.match(value) or isinstance(parameter.type, click.Path):
        return
    if "--set" in parameter.opts:
        section, _, name = value.partition("=")[0].rpartition(".")
        if name not in _settings(str(context.command.name), section):
            yield f"--set {value}: no such key"
        return
    rule = re.split("[:@]", value)[0]
    if "--rules" in parameter.opts and rule not in (*EXAMPLES, *PRESETS, *registry("RULES")):
        yield f"--rules {value}: no such rule"
    try:
        parameter.type.convert(value, parameter, context)
    except click.BadParameter as error:
        yield error.format_message()


def _settings(command: str, section: str) -> set[str]:
    if command == "fit":
        return set(option_names(SECTIONS[section])) if section in SECTIONS else set()
    found: Any = registry("RULES").load(section) if section in registry("RULES") else None
    return set(getattr(found, "__dataclass_fields__", ()))


@pytest.mark.parametrize("page", GIVEN, ids=lambda page: page.name)
def test_every_command_line_is_one(page: Path) -> None:
    assert not [f"{line}: {problem}" for line in command_lines(page) for problem in problems(line)]


def test_there_are_command_lines() -> None:
    assert sum(len(list(command_lines(page))) for page in GIVEN) > 250


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("fit --date X --output RUN", "No such option"),
        ("fit --data X --output RUN --set optimizer.speed=1", "no such key"),
        ("fit --data X --output RUN --steps many", "many"),
        ("generate", "run is missing"),
        ("fly", "no command fly"),
        ("eval RUN OTHER --validation DIR", "OTHER is too much"),
    ],
)
def test_a_wrong_line_is_found(words: str, said: str) -> None:
    line = CommandLine(ROOT / "README.md", 1, "trainer", tuple(words.split()), partial=False)
    assert said in "\n".join(problems(line))


def test_lines_are_joined_and_comments_go(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "Say `corpus verify DIR`.\n\n```sh\n$ trainer fit --data X \\\n    --output RUN   # a # b\nls\n```\n"
    )
    found = [(line.program, line.words, line.line, line.partial) for line in command_lines(page)]
    assert found == [
        ("trainer", ("fit", "--data", "X", "--output", "RUN"), 4, False),
        ("corpus", ("verify", "DIR"), 1, True),
    ]
    assert list(shell_lines("a \\\n b\n\nc")) == [(0, "a b"), (3, "c")]


def _flags(command: click.Command, context: click.Context) -> Iterator[str]:
    for parameter in command.params:
        yield from (*parameter.opts, *parameter.secondary_opts)
    yield from ("--help", "--version")
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            assert found is not None
            yield from _flags(found, context)


def test_every_option_in_the_text_is_one() -> None:
    known = {flag for program in PROGRAMS.values() for flag in _flags(program, click.Context(program))}
    unknown = [
        f"{page.name}: {flag}"
        for page in GIVEN
        if page.name != "cluster.md"  # speaks of options of schedulers
        for span in re.findall(r"(?<!`)`([^`\n]+)`", re.sub(r"```.*?```", "", page.read_text("utf-8"), flags=re.S))
        for flag in FLAG.findall(span)
        if flag not in known | FOREIGN
    ]
    assert not unknown
