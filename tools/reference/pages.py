"""The pages of the reference by their place in the documentation."""

from __future__ import annotations

from collections.abc import Iterator

from tools.reference.api import api_page
from tools.reference.commands import commands_page
from tools.reference.formats import formats_page
from tools.reference.recipes import recipes_page
from tools.reference.settings import settings_page


def reference_pages() -> Iterator[tuple[str, str]]:
    """Of each page where it stands and its Markdown."""
    from corpus.cli import cli
    from trainer.cli import main

    yield "reference/corpus.md", commands_page("corpus", cli)
    yield "reference/trainer.md", commands_page("trainer", main)
    yield "reference/recipes.md", recipes_page()
    yield "reference/settings.md", settings_page()
    yield "reference/formats.md", formats_page()
    yield "reference/api.md", api_page()
