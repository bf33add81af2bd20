"""The reference: what the code has is in it, and each thing has a line that says what it is."""

from __future__ import annotations

import re
from collections.abc import Iterator
from types import FunctionType

import click
import pytest

import corpus
import tokenizer
import trainer
from corpus.cli import cli
from corpus.plugins import registry
from tools.reference.markdown import cell, paragraphs
from tools.reference.pages import reference_pages
from tools.reference.recipes import SECTIONS, section_keys
from trainer.cli import main as trainer_cli


@pytest.fixture(scope="module")
def pages() -> dict[str, str]:
    return dict(reference_pages())


def commands(group: click.Group, context: click.Context) -> Iterator[tuple[str, click.Command]]:
    for name in group.list_commands(context):
        found = group.get_command(context, name)
        assert found is not None
        inner = click.Context(found, info_name=name, parent=context)
        yield inner.command_path, found
        if isinstance(found, click.Group):
            yield from commands(found, inner)


@pytest.mark.parametrize(("name", "program"), [("corpus", cli), ("trainer", trainer_cli)])
def test_every_command_and_option_is_there(pages: dict[str, str], name: str, program: click.Group) -> None:
    sections = dict(re.findall(r"^#{2,4} (.+?)\n(.*?)(?=^#{2,4} |\Z)", pages[f"reference/{name}.md"], re.M | re.S))
    found = dict(commands(program, click.Context(program, info_name=name)))
    assert list(sections) == [path for path, command in found.items() if not command.hidden]
    for path, command in found.items():
        for entry in command.params:
            if isinstance(entry, click.Option) and not entry.hidden and "--help" not in entry.opts:
                row = next((line for line in sections[path].splitlines() if f"`{entry.opts[-1]}`" in line), "")
                assert row and not row.endswith("|  |"), f"{path} {entry.opts[-1]}"


def test_every_key_of_a_recipe_says_what_it_is(pages: dict[str, str]) -> None:
    unknown = [
        f"{place}.{name}" for place, section in SECTIONS.items() for name, _, _, doc in section_keys(section) if not doc
    ]
    assert not unknown
    for name in (*registry("READERS").builtin(), *registry("RULES").builtin(), *registry("MAPS").builtin()):
        assert f"### `{name}`" in pages["reference/recipes.md"]


def test_every_exported_name_is_there_with_its_text(pages: dict[str, str]) -> None:
    for package in (corpus, trainer, tokenizer):
        for name in package.__all__:
            section = re.search(
                rf"^### {package.__name__}\.{name}\n(.*?)(?=^#|\Z)", pages["reference/api.md"], re.M | re.S
            )
            said = section is not None and re.search(r"^```\n\n\S", section[1], re.M)
            assert said or not isinstance(getattr(package, name), type | FunctionType), name


def test_text_is_no_markup() -> None:
    assert cell("a|b  <c> * `<d>|*` x_y") == "a\\|b &lt;c> \\* `<d>\\|*` x\\_y"
    assert paragraphs("One\ntwo <x>.\n\n Three") == ["", "One two &lt;x>.", "", "Three"]
    assert paragraphs("\b\nExamples:\n  a *\n  b") == ["", "Examples:", "", "```sh", "a *", "b", "```"]
