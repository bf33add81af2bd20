"""A plan for a cluster is the calibration, scaled."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from corpus.cli import cli
from corpus.engine.runner import RunOptions
from corpus.errors import UsageError
from pipelines.recipes.cluster import Calibration, input_bytes, plan_cluster
from pipelines.recipes.recipe import Recipe, load_recipe
from pipelines.recipes.run import run_recipe
from pipelines.recipes.steps import RecipeRun
from tests.raw import RECIPE, write_raw


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Recipe, Calibration]:
    place = tmp_path_factory.mktemp("cluster")
    write_raw(place / "raw")
    (place / "recipe.yaml").write_text(RECIPE)
    recipe = load_recipe(str(place / "recipe.yaml"))
    run_recipe(RecipeRun(recipe, place / "raw", place / "out"), RunOptions(quiet=True))
    return place, recipe, Calibration(place / "out")


def test_the_same_bytes_take_what_they_took(finished: tuple[Path, Recipe, Calibration]) -> None:
    _, recipe, calibration = finished
    plan = plan_cluster(recipe, calibration, calibration.raw(), 1, 0.0, 2.0)
    assert [step.output for step in plan.steps] == calibration.steps()
    for step in plan.steps:
        log = calibration.log(step.output)
        assert step.core_hours * 3600 == pytest.approx(log["cpu_seconds"], abs=0.02)
        assert step.hours == pytest.approx(step.ideal_hours) and step.writes == calibration.written(step.output)
    assert plan.cost == pytest.approx(plan.hours * 2.0) and plan.kept < plan.disk


def test_a_million_times_as_much_takes_a_million_times_as_long_but_for_models(
    finished: tuple[Path, Recipe, Calibration],
) -> None:
    _, recipe, calibration = finished
    raw = calibration.raw()
    once = plan_cluster(recipe, calibration, raw, 1, 0.0, 0.0)
    plan = plan_cluster(recipe, calibration, {domain: size * 10**6 for domain, size in raw.items()}, 1000, 0.01, 0.0)
    for before, after in zip(once.steps, plan.steps, strict=True):
        factor = 10**6 if after.scaled else 1
        assert after.core_hours == pytest.approx(before.core_hours * factor)
        assert after.reads == pytest.approx(before.reads * factor) and after.memory == before.memory
        assert after.hours >= after.ideal_hours
        if after.tasks > 5000 and after.output != "packed":  # interleaving is one task
            assert after.hours < 3 * after.ideal_hours
    assert not next(step for step in plan.steps if step.output == "tokenizer").scaled


def test_bytes_of_domains(finished: tuple[Path, Recipe, Calibration]) -> None:
    _, recipe, calibration = finished
    raw = calibration.raw()
    first, *rest = raw
    found = input_bytes({first: 5}, 1005, recipe, raw)
    assert found[first] == 5 and sum(found.values()) == pytest.approx(1005, abs=len(raw))
    with pytest.raises(UsageError, match="did you mean"):
        input_bytes({first + "x": 5}, 10, recipe, raw)
    with pytest.raises(UsageError, match=f"says nothing of {rest[0]}"):
        input_bytes({first: 5}, 0, recipe, raw)


def test_the_command_and_what_is_no_calibration(finished: tuple[Path, Recipe, Calibration]) -> None:
    place, _, _ = finished
    command = ["plan-cluster", str(place / "recipe.yaml"), "--input-bytes", "4.7TB", "--cores", "1000"]
    said = CliRunner().invoke(cli, [*command, "--calibration", str(place / "out"), "--price", "0.05"])
    assert said.exit_code == 0 and "core hours" in said.output and "at 0.05 a core hour" in said.output, said.output
    as_json = CliRunner().invoke(cli, [*command, "--calibration", str(place / "out"), "--json"])
    assert json.loads(as_json.output)["cores"] == 1000
    assert CliRunner().invoke(cli, [*command, "--calibration", str(place)]).exit_code == 2
    other = place / "other.yaml"
    other.write_text(RECIPE.replace("min_chars:20", "min_chars:30"))
    wrong = CliRunner().invoke(cli, [command[0], str(other), *command[2:], "--calibration", str(place / "out")])
    assert wrong.exit_code == 2 and "another recipe" in wrong.output, wrong.output
