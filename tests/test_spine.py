"""The whole chain: raw files to packed rows to a model; the same bytes for any workers and after kills anywhere."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from corpus.data.dataset import Dataset
from corpus.data.manifest import Manifest
from corpus.data.run_state import clean, stage_states
from corpus.data.verify import find_datasets, verify_dataset
from corpus.engine.faults import POINTS
from corpus.engine.runner import RunOptions
from corpus.errors import DataError, UsageError
from pipelines.recipes.recipe import load_recipe
from pipelines.recipes.run import run_recipe
from pipelines.recipes.steps import RecipeRun
from pipelines.recipes.summary import summarize
from tests.raw import RECIPE, write_raw


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `raw`, `recipe.yaml` and `one`, the output of one worker."""
    folder = tmp_path_factory.mktemp("spine")
    write_raw(folder / "raw")
    (folder / "recipe.yaml").write_text(RECIPE, encoding="utf-8")
    run_recipe(
        RecipeRun(load_recipe(str(folder / "recipe.yaml")), folder / "raw", folder / "one"), RunOptions(quiet=True)
    )
    return folder


def contents(output: Path) -> dict[str, bytes]:
    """Every file of a run but the logs."""
    files = (path for path in output.rglob("*") if path.is_file() and "_log" not in path.parts)
    return {str(path.relative_to(output)): path.read_bytes() for path in files}


def command(place: Path, output: Path, workers: int) -> list[str]:
    program = (
        "import sys\nfrom pathlib import Path\nfrom corpus.engine import runner\nrunner.IN_PROCESS_BYTES = 0\n"
        "from corpus.cli import main\nif __name__ == '__main__':\n    main()\n"
    )
    script = place / "corpus_always_parallel.py"
    script.write_text(program, encoding="utf-8")
    return [
        sys.executable, str(script), "run", str(place / "recipe.yaml"), "--input", str(place / "raw"),
        "--output", str(output), "--workers", str(workers), "--quiet",
    ]  # fmt: skip


def environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}


def test_every_dataset_verifies_and_every_count_adds_up(place: Path) -> None:
    datasets = find_datasets(place / "one")
    assert len(datasets) == (4 + 4 + 4) + 1 + 1 + 3 + 1 + 3 + 3
    for path in datasets:
        assert verify_dataset(path).problems == [], path
        manifest = Manifest.load(path)
        assert all(counts.missing == 0 for counts in manifest.counts.values()), path
    ingest = Manifest.load(place / "one/documents/books/00-ingest")
    counts = ingest.counts["records"]
    assert (counts.seen, counts.kept, counts.quarantined) == (4 * 65, 4 * 61, 4 * 3)
    assert counts.dropped == {"no text": 4}


def test_wikipedia_and_books_pass_two_epochs(place: Path) -> None:
    table = {row["domain"]: row for row in Manifest.load(place / "one/packed").extra["domains"]}
    assert table["wikipedia"]["epochs_begun"] == 3 and table["books"]["epochs_begun"] == 3
    for domain, epochs in (("commoncrawl", 1.1), ("wikipedia", 2.45), ("books", 2.23)):
        assert abs(table[domain]["realised_epochs"] - epochs) < 0.01
    summary = summarize(place / "one")
    assert "wikipedia" in summary and "-choice" not in summary


@pytest.mark.parametrize("name", ["documents/books/01-dedup", "tokens/books", "validation/books", "packed"])
def test_other_tools_see_data_rows_only(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """The calls of docs/formats.md."""
    monkeypatch.setenv("HF_DATASETS_OFFLINE", "1")
    import datasets
    import duckdb
    import pandas
    import polars
    import pyarrow.dataset
    import pyarrow.parquet

    directory = place / "one" / name
    rows = Manifest.load(directory).rows
    cache = str(place / "cache")  # shared: a dataset is never taken for another one of the same folder name
    assert datasets.load_dataset(str(directory), split="train", cache_dir=cache).num_rows == rows
    parquet = name.startswith("documents")
    files = sorted(map(str, directory.glob("*.parquet" if parquet else "*.arrow")))
    data = pyarrow.dataset.dataset(files, format="parquet" if parquet else "arrow")
    assert data.count_rows() == rows
    lazy = polars.scan_parquet(files) if parquet else polars.scan_ipc(files)
    assert lazy.select(polars.len()).collect().item() == rows
    with duckdb.connect() as connection:
        assert connection.sql("select count(*) from data").fetchall() == [(rows,)]
        if parquet:
            assert connection.sql(f"select count(*) from '{directory}/*.parquet'").fetchall() == [(rows,)]
            assert len(connection.read_parquet(files).fetchall()) == rows
    if parquet:
        assert len(pandas.read_parquet(files)) == pyarrow.parquet.read_table(files).num_rows == rows
    else:
        assert len(data.to_table().to_pandas()) == rows


def test_one_card_has_the_domains_of_a_run(place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_DATASETS_OFFLINE", "1")
    import datasets

    documents = place / "one" / "documents"
    cache = str(tmp_path / "cache")
    names = sorted(path.name for path in documents.iterdir() if path.is_dir())
    assert sorted(datasets.get_dataset_config_names(str(documents))) == names
    for name in names:
        rows = {
            side: Manifest.load(next((documents / name).glob(f"*-{side}"))).rows for side in ("train", "validation")
        }
        assert datasets.load_dataset(str(documents), name, cache_dir=cache).num_rows == rows


def test_a_rerun_does_nothing(place: Path) -> None:
    stamps = {path: path.stat().st_mtime_ns for path in (place / "one").rglob("*.parquet")}
    run = RecipeRun(load_recipe(str(place / "recipe.yaml")), place / "raw", place / "one")
    run_recipe(run, RunOptions(quiet=True))
    (place / "one/_log/run.json").unlink()
    run_recipe(run, RunOptions(quiet=True))
    assert stamps == {path: path.stat().st_mtime_ns for path in stamps}


@pytest.mark.parametrize("workers", [2, 3])
def test_workers_do_not_change_a_byte(place: Path, tmp_path: Path, workers: int) -> None:
    subprocess.run(command(place, tmp_path / "out", workers), check=True, env=environment(), timeout=110)
    assert contents(tmp_path / "out") == contents(place / "one")


@pytest.mark.timeout(400)
@pytest.mark.parametrize(
    ("workers", "counts"),
    [(1, [5, 5, 5, 5, 3, 3, 3, 3]), pytest.param(2, [10, 10, 10, 10, 12], marks=pytest.mark.slow)],
)
def test_kills_at_every_point_of_a_stage_lose_nothing(
    place: Path, tmp_path: Path, workers: int, counts: list[int]
) -> None:
    """The same command is given over and over, and killed so many tasks, phases or stages further on: where a task
    begins, has written, publishes and has published, after a phase, and (with no worker in play) within the commit."""
    points = POINTS[: len(counts)]
    settings = ",".join(f"{point}:{count}" for point, count in zip(points, counts, strict=True))
    arguments = command(place, tmp_path / "out", workers)[2:]
    done = subprocess.run(
        [sys.executable, "-m", "tests.corpus.engine.killed", settings, *arguments],
        capture_output=True, text=True, env=environment(), timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    errors = [line for line in done.stderr.splitlines() if line.startswith("Error")]
    assert all("was killed by signal 9 in phase" in line for line in errors), errors
    assert set(done.stdout.split()) == set(points)
    assert contents(tmp_path / "out") == contents(place / "one")


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("target", ["parent", "group", "worker"])
def test_kills_at_random_moments_in_every_stage_lose_nothing(place: Path, tmp_path: Path, target: str) -> None:
    """In each stage in turn the run is killed at a random moment, and the same command is given again at once."""
    rng = random.Random(target)
    out = tmp_path / "out"
    killed = 0
    for stage in json.loads((place / "one/_log/plan.json").read_text(encoding="utf-8"))["outputs"]:
        if (out / stage / "manifest.json").exists():
            continue
        process = subprocess.Popen(
            command(place, out, 2), start_new_session=True, stderr=subprocess.PIPE, text=True, env=environment()
        )
        while process.poll() is None and not (out / stage / "_work").exists():
            time.sleep(0.002)
        time.sleep(rng.choice([0, 0.01, 0.03, 0.08]))
        if process.poll() is None and not (out / stage / "manifest.json").exists():
            killed += 1
            _kill(process, target)
        elif process.poll() is None:
            process.kill()
        _, errors = process.communicate(timeout=60)
        assert process.returncode in (-signal.SIGKILL, 0, 1), errors
        assert process.returncode != 1 or "was killed" in errors, errors
    subprocess.run(command(place, out, 2), check=True, env=environment(), timeout=110)
    assert contents(out) == contents(place / "one")
    assert killed >= 8


def _kill(process: subprocess.Popen[str], target: str) -> None:
    if target == "group":
        os.killpg(process.pid, signal.SIGKILL)
        return
    if target == "parent":
        process.kill()
        return
    children = psutil.Process(process.pid).children()
    workers = [child for child in children if any("spawn_main" in part for part in child.cmdline())]
    if workers:
        workers[-1].kill()
    else:
        process.kill()


def test_another_recipe_is_refused_and_with_overwrite_leaves_nothing_old(place: Path, tmp_path: Path) -> None:
    raw, out = tmp_path / "raw", tmp_path / "out"
    write_raw(raw, documents=40, files=1)
    run_recipe(RecipeRun(load_recipe(str(place / "recipe.yaml")), raw, out), RunOptions(quiet=True))
    before = contents(out)
    path = tmp_path / "recipe.yaml"
    path.write_text(RECIPE.replace("{level: line}}, {langid: {threshold: 0.1}}", "{level: line}}"), encoding="utf-8")
    other = RecipeRun(load_recipe(str(path)), raw, out)
    with pytest.raises(UsageError, match="made with another recipe"):
        run_recipe(other, RunOptions(quiet=True))
    assert contents(out) == before
    run_recipe(other, RunOptions(quiet=True, overwrite=True))
    names = sorted(folder.name for folder in (out / "documents/commoncrawl").iterdir())
    assert names == ["00-ingest", "01-dedup+filter", "02-train", "03-validation"]
    fresh = tmp_path / "fresh"
    run_recipe(RecipeRun(load_recipe(str(path)), raw, fresh), RunOptions(quiet=True))
    assert contents(out) == contents(fresh)


def test_a_lost_shard_is_noticed(place: Path, tmp_path: Path) -> None:
    raw, out = tmp_path / "raw", tmp_path / "out"
    write_raw(raw, documents=40, files=1)
    run = RecipeRun(load_recipe(str(place / "recipe.yaml")), raw, out)
    run_recipe(run, RunOptions(quiet=True))
    before = contents(out)
    (out / "packed/00000.arrow").unlink()
    with pytest.raises(UsageError, match="missing or cut short"):
        run_recipe(run, RunOptions(quiet=True))
    run_recipe(run, RunOptions(quiet=True, overwrite=True))
    assert contents(out) == before


@pytest.mark.parametrize("cleaned", [False, True])
def test_a_damaged_shard_is_made_anew_where_that_is_asked_for(place: Path, tmp_path: Path, cleaned: bool) -> None:
    raw, out = tmp_path / "raw", tmp_path / "out"
    write_raw(raw, documents=40, files=1)
    run = RecipeRun(load_recipe(str(place / "recipe.yaml")), raw, out)
    run_recipe(run, RunOptions(quiet=True))
    before = contents(out)
    if cleaned:
        clean(out, dry_run=False)
    shard = out / "packed/00000.arrow"
    data = bytearray(shard.read_bytes())
    data[len(data) // 2] ^= 1
    shard.write_bytes(data)
    run_recipe(run, RunOptions(quiet=True, overwrite=True))
    after = contents(out)
    assert after == {name: before[name] for name in after} and (cleaned or after == before)
    assert shard.read_bytes() == before["packed/00000.arrow"]


def test_clean_keeps_the_trail_and_a_rerun_makes_what_it_needs(place: Path, tmp_path: Path) -> None:
    raw, out = tmp_path / "raw", tmp_path / "out"
    write_raw(raw, documents=40, files=1)
    run = RecipeRun(load_recipe(str(place / "recipe.yaml")), raw, out)
    run_recipe(run, RunOptions(quiet=True))
    before, said = contents(out), summarize(out)
    assert clean(out, dry_run=True) and contents(out) == before
    freed = clean(out, dry_run=False)
    after = contents(out)
    gone = before.keys() - after.keys()
    assert sum(entry.bytes for entry in freed) == sum(len(before[name]) for name in gone)
    assert {Path(name).suffix for name in gone} == {".parquet", ".arrow"}
    assert out / "documents/books/00-ingest" in [entry.path for entry in freed]
    assert summarize(out) == said and clean(out, dry_run=False) == []
    reports = [verify_dataset(path) for path in find_datasets(out)]
    assert not any(report.problems for report in reports)
    assert {report.path for report in reports if report.cleaned} == {entry.path for entry in freed}
    assert {state.state for state in stage_states(out)} == {"done", "cleaned"}
    with pytest.raises(DataError, match=r"00-ingest were removed by corpus clean"):
        Dataset.open(out / "documents/books/00-ingest").shard_paths()
    (out / "_log/run.json").unlink()
    run_recipe(run, RunOptions(quiet=True))  # all is there that is needed: nothing is made again
    assert contents(out) == after
    shutil.rmtree(out / "tokens/books")
    shutil.rmtree(out / "documents/books/02-train")
    run_recipe(run, RunOptions(quiet=True))
    assert contents(out) == after | {name: data for name, data in before.items() if name.startswith("documents/books")}
    with pytest.raises(UsageError, match="missing or cut short"):  # rows that are gone otherwise are damage
        (out / "documents/books/00-ingest/00000.parquet").unlink()
        (out / "_log/run.json").unlink()
        run_recipe(run, RunOptions(quiet=True))


def test_a_corrected_recipe_goes_on_after_a_failure(place: Path, tmp_path: Path) -> None:
    raw, out = tmp_path / "raw", tmp_path / "out"
    write_raw(raw, documents=40, files=1)
    good = (place / "recipe.yaml").read_text(encoding="utf-8")
    recipe = tmp_path / "recipe.yaml"

    def run(text: str) -> None:
        recipe.write_text(text, encoding="utf-8")
        run_recipe(RecipeRun(load_recipe(str(recipe)), raw, out), RunOptions(quiet=True))

    with pytest.raises((UsageError, DataError), match="vocab"):
        run(good.replace("vocab_size: 500", "vocab_size: 100"))
    stamp = (out / "documents/books/00-ingest/manifest.json").stat().st_mtime_ns
    filtered = 'wikipedia: {reader: jsonl, stages: [{filter: {rules: ["min_chars:%d"]'
    assert filtered % 20 in good
    with pytest.raises(UsageError, match=r"01-filter was made with other settings"):  # it is finished, so it asks
        run(good.replace(filtered % 20, filtered % 30))
    run(good)
    assert (out / "documents/books/00-ingest/manifest.json").stat().st_mtime_ns == stamp
    with pytest.raises(UsageError, match="made with another recipe"):
        run(good.replace("vocab_size: 500", "vocab_size: 400"))


def test_a_run_is_not_written_into_a_dataset(place: Path) -> None:
    run = RecipeRun(load_recipe(str(place / "recipe.yaml")), place / "raw", place / "one/tokens/books")
    with pytest.raises(UsageError, match="is a dataset"):
        run_recipe(run, RunOptions(quiet=True))


def test_a_domain_without_input_is_named(place: Path, tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    write_raw(raw, documents=40, files=1)
    (raw / "books").rename(raw / "boks")
    recipe = load_recipe(str(place / "recipe.yaml"))
    with pytest.raises(UsageError, match=r"no input for books.*did you mean 'books'.*--allow-missing"):
        run_recipe(RecipeRun(recipe, raw, tmp_path / "out"), RunOptions(quiet=True))
    run_recipe(RecipeRun(recipe, raw, tmp_path / "out", allow_missing=True), RunOptions(quiet=True))
    assert [row["domain"] for row in Manifest.load(tmp_path / "out/packed").extra["domains"]] == [
        "commoncrawl",
        "wikipedia",
    ]


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ("validation:", "validaton:", "unknown key 'validaton'; did you mean 'validation'"),
        ("vocab_size", "vocabsize", "unknown key 'tokenizer.vocabsize'; did you mean 'vocab_size'"),
        ("dedup: {level: line}", "dedupe: {level: line}", "no stage 'dedupe': did you mean 'dedup'"),
        ("level: line", "levle: line", "unknown key 'levle'; did you mean 'level'"),
        (
            "reader: jsonl, stages: [{dedup: {level: document",
            "reader: jsnl, stages: [{dedup: {level: document",
            "did you mean 'jsonl'",
        ),
        ("  books: {share: 10", "  bookz: {share: 10", "names domain bookz"),
        ("fraction: 0.02", "fraction: many", "validation.fraction"),
        ("fraction: 0.02", "fraction: 0", "validation.fraction"),
        ("sequence_length: 32", "sequence_length: 0", "packing.sequence_length"),
        ("sequence_length: 32", "row_order: bogus", "packing.row_order"),
        ("preset: llama", "preset: lama", "llama"),
        ("vocab_size: 500", "path: /nowhere", "the tokenizer /nowhere does not exist"),
        ('rules: ["min_chars:20"]', "rules: [5]", "rules is .5,., which is of the wrong type"),
        ("validation:", "packing:", "the key 'packing' is given twice"),
    ],
)
def test_mistakes_in_a_recipe_are_named(tmp_path: Path, before: str, after: str, words: str) -> None:
    assert before in RECIPE
    path = tmp_path / "recipe.yaml"
    path.write_text(RECIPE.replace(before, after), encoding="utf-8")
    with pytest.raises(UsageError, match=words):
        load_recipe(str(path))


def test_the_llama_recipe_is_the_papers_table() -> None:
    weights = {weight.domain: weight for weight in load_recipe("llama").weights().weights}
    table = {
        "commoncrawl": (0.67, 1.10), "c4": (0.15, 1.06), "github": (0.045, 0.64), "wikipedia": (0.045, 2.45),
        "books": (0.045, 2.23), "arxiv": (0.025, 1.06), "stackexchange": (0.02, 1.03),
    }  # fmt: skip
    assert {d: (float(w.share or 0), float(w.epochs or 0)) for d, w in weights.items()} == table
