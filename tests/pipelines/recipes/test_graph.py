"""Recipes as a graph: the order of steps, which are joined, references to other steps, and runs that are the same."""

from __future__ import annotations

import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.data.dataset import Dataset
from corpus.data.manifest import Manifest
from corpus.engine.runner import RunOptions
from corpus.errors import UsageError
from pipelines.recipes.graph import GraphStep, StepRef, domain_steps, passes, references, substituted
from pipelines.recipes.recipe import load_recipe, recipe_passes
from pipelines.recipes.run import run_recipe
from pipelines.recipes.steps import RecipeRun
from tests.raw import RECIPE, write_raw

QUIET = RunOptions(quiet=True)


def steps_of(**domains: list[tuple[str, bool, list[str]]]) -> dict[str, list[GraphStep]]:
    """Steps of domains: name, whether maps, the steps they read."""
    return {
        domain: domain_steps(
            domain, [(name, {"of": [{"step": ref} for ref in refs]}, maps) for name, maps, refs in steps]
        )
        for domain, steps in domains.items()
    }


def names(domains: dict[str, list[GraphStep]], join: bool = True) -> list[str]:
    return [one.output.removeprefix("documents/") for one in passes(domains, join)]


def test_maps_are_joined_with_the_step_before_them() -> None:
    steps = steps_of(a=[("dedup", False, []), ("langid", True, []), ("filter", True, []), ("dedup", False, [])])
    assert names(steps) == ["a/01-dedup+langid+filter", "a/02-dedup"]
    assert names(steps, join=False) == ["a/01-dedup", "a/02-langid", "a/03-filter", "a/04-dedup"]
    assert steps["a"][3].ref == StepRef("a", "dedup.2")


def test_a_step_that_is_read_stands_alone_and_comes_first() -> None:
    steps = steps_of(
        web=[("dedup", False, []), ("langid", True, []), ("perplexity", True, ["wiki/filter"])],
        wiki=[("filter", True, []), ("filter", True, [])],
    )
    assert names(steps) == ["wiki/01-filter", "web/01-dedup+langid+perplexity", "wiki/02-filter"]


def test_unknown_steps_and_circles_are_errors() -> None:
    with pytest.raises(
        UsageError, match=r"reads \{step: wiki/filtr\}, which does not exist: did you mean 'wiki/filter'"
    ):
        names(steps_of(web=[("dedup", False, ["wiki/filtr"])], wiki=[("filter", True, [])]))
    with pytest.raises(UsageError, match="wait for each other"):
        names(steps_of(a=[("dedup", False, ["b/dedup"])], b=[("dedup", False, ["a/dedup"])]))
    with pytest.raises(UsageError, match="wait for each other"):
        names(steps_of(a=[("dedup", False, []), ("langid", True, ["a/langid"])]))
    with pytest.raises(UsageError, match="is not domain/step"):
        list(references("here", {"model": {"step": "nowhere"}}))
    assert names(steps_of(a=[("dedup", False, ["b/ingest"])], b=[])) == ["a/01-dedup"]


@given(st.data())
def test_every_pass_comes_after_what_it_reads(data: st.DataObject) -> None:
    domains = [f"d{number}" for number in range(data.draw(st.integers(1, 4)))]
    lengths = {domain: data.draw(st.integers(0, 4)) for domain in domains}
    every = [f"{domain}/s{number}" for domain in domains for number in range(lengths[domain])]
    rank = {name: number for number, name in enumerate(data.draw(st.permutations(every)))}
    rank |= {
        f"{domain}/s{n}": max(rank[f"{domain}/s{m}"] for m in range(n + 1))
        for domain in domains
        for n in range(lengths[domain])
    }
    steps = steps_of(
        **{
            domain: [
                (
                    f"s{number}",
                    data.draw(st.booleans()),
                    [ref for ref in every if rank[ref] < rank[f"{domain}/s{number}"] and data.draw(st.booleans())],
                )
                for number in range(lengths[domain])
            ]
            for domain in domains
        }
    )
    ordered = passes(steps, True)
    done: set[str] = {f"{domain}/ingest" for domain in domains}
    for one in ordered:
        for step in one.steps:
            assert all(str(ref) in done or ref in [s.ref for s in one.steps] for ref in step.reads)
        done |= {str(step.ref) for step in one.steps}
    assert sum(len(one.steps) for one in ordered) == len(every)
    for domain in domains:
        assert [str(s.ref) for one in ordered if one.domain == domain for s in one.steps] == [
            f"{domain}/s{number}" for number in range(lengths[domain])
        ]


def test_references_are_replaced_by_paths() -> None:
    settings = {"model": {"step": "wiki/filter"}, "list": [1, {"step": "a/b"}], "plain": "x"}
    paths = {StepRef("wiki", "filter"): "/out/wiki", StepRef("a", "b"): "/out/ab"}
    assert substituted(settings, paths) == {"model": "/out/wiki", "list": [1, "/out/ab"], "plain": "x"}


def test_the_recipe_names_what_is_wrong(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    for wrong, message in (
        ("{langid: {model: {step: books/dedupe}}}", "did you mean 'books/dedup'"),
        ("{langid: {modl: x}}", "did you mean 'model'"),
        ("{langidd: {}}", "there is no stage 'langidd': did you mean 'langid'"),
        ("{filter: {rules: [{gopher_quality: {min_word: 3}}]}}", "did you mean 'min_words'"),
        ("{dedup: {shard_bytes: 3}}", "shards are cut once, by ingest"),
        ("{filter: {step: books/dedup}}", "unknown key 'step'"),
        ("{filter: {rules: [{5: {}}]}}", "there is no filter rule '5'"),
    ):
        path.write_text(RECIPE.replace("{langid: {threshold: 0.1}}", wrong), encoding="utf-8")
        with pytest.raises(UsageError, match=message):
            load_recipe(str(path))
    path.write_text(
        RECIPE.replace("{langid: {threshold: 0.1}}", "{langid: {model: {step: books/dedup}}}"), encoding="utf-8"
    )
    ordered = [one.output for one in recipe_passes(load_recipe(str(path)))]
    assert ordered.index("documents/books/01-dedup") < ordered.index("documents/commoncrawl/01-dedup+langid+filter")


def test_what_a_step_reads_is_made_before_it(tmp_path: Path) -> None:
    write_raw(tmp_path / "raw", documents=2, files=1)
    for ref in ("books/ingest", "books/dedup"):
        path = tmp_path / "recipe.yaml"
        path.write_text(
            RECIPE.replace("{langid: {threshold: 0.1}}", f"{{langid: {{model: {{step: {ref}}}}}}}"), encoding="utf-8"
        )
        outputs = [
            step.output for step in RecipeRun(load_recipe(str(path)), tmp_path / "raw", tmp_path / "out").steps()
        ]
        assert len(outputs) == len(set(outputs))
        made = "documents/books/" + ("00-ingest" if ref.endswith("ingest") else "01-dedup")
        assert outputs.index(made) < outputs.index("documents/commoncrawl/01-dedup+langid+filter")
        assert outputs.index("documents/commoncrawl/00-ingest") < outputs.index(made)


def test_a_step_of_a_domain_without_input_is_named(tmp_path: Path) -> None:
    write_raw(tmp_path / "raw", documents=2, files=1)
    shutil.rmtree(tmp_path / "raw/books")
    path = tmp_path / "recipe.yaml"
    text = RECIPE.replace("{langid: {threshold: 0.1}}", "{langid: {model: {step: books/dedup}}}")
    path.write_text(text, encoding="utf-8")
    run = RecipeRun(load_recipe(str(path)), tmp_path / "raw", tmp_path / "out", allow_missing=True)
    with pytest.raises(UsageError, match="and domain books has no input"):
        list(run.steps())


def rows(path: Path) -> pa.Table:
    return pa.concat_tables([pq.read_table(shard) for shard in Dataset.open(path).shard_paths()])


def test_joined_and_one_by_one_give_the_same_set(tmp_path: Path) -> None:
    write_raw(tmp_path / "raw")
    for name, join in (("joined", "true"), ("apart", "false")):
        (tmp_path / f"{name}.yaml").write_text(RECIPE + f"join: {join}\n", encoding="utf-8")
        run = RecipeRun(load_recipe(str(tmp_path / f"{name}.yaml")), tmp_path / "raw", tmp_path / name)
        run_recipe(run, QUIET)
    joined, apart = tmp_path / "joined", tmp_path / "apart"
    assert (apart / "documents/commoncrawl/03-filter").is_dir()
    left = rows(joined / "documents/commoncrawl/01-dedup+langid+filter")
    assert left.equals(rows(apart / "documents/commoncrawl/03-filter"))
    packed = [Manifest.load(path / "packed") for path in (joined, apart)]
    assert packed[0].shards == packed[1].shards
    maps = Manifest.load(joined / "documents/commoncrawl/01-dedup+langid+filter").extra["maps"]
    assert [entry["map"] for entry in maps] == ["langid", "min_chars"]
    alone = Manifest.load(apart / "documents/commoncrawl/02-langid").counts["documents"]
    assert maps[0]["counts"] == alone.to_json()
