"""The output of a small run, for the tests that look at it (`explain`, `report`)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from corpus.engine.runner import RunOptions
from pipelines.recipes.recipe import load_recipe
from pipelines.recipes.run import run_recipe
from pipelines.recipes.steps import RecipeRun
from tests.raw import RECIPE, write_raw


@pytest.fixture(scope="session")
def out(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The output of a run of three domains, cut into many groups and pieces."""
    folder = tmp_path_factory.mktemp("run")
    write_raw(folder / "raw", documents=50, files=6)
    (folder / "recipe.yaml").write_text(RECIPE, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("corpus.ingest.groups._GROUP_BYTES", 20_000)
        patch.setattr("corpus.engine.task.PIECE_BYTES", 3_000)
        patch.setattr("corpus.data.writer.GROUP_ROWS", 9)
        run_recipe(
            RecipeRun(load_recipe(str(folder / "recipe.yaml")), folder / "raw", folder / "out"), RunOptions(quiet=True)
        )
    yield folder / "out"
