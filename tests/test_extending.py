"""docs/extending.md and docs/api.md: the example package is taken out of the page, installed, and run on two workers; the
same as plug-in files; and the code of the API page runs on what came of it."""

from __future__ import annotations

import os
import random
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from corpus.api import OpenRun
from corpus.data.verify import find_datasets, verify_dataset

ROOT = Path(__file__).parents[1]
RUN = """
import sys
from pathlib import Path
from corpus.engine.runner import RunOptions
from corpus.plugins import load_plugins
from pipelines.recipes.recipe import load_recipe
from pipelines.recipes.steps import RecipeRun
from pipelines.recipes.run import run_recipe

if __name__ == "__main__":
    recipe, raw, output, *plugins = sys.argv[1:]
    load_plugins(plugins)
    options = RunOptions(workers=2, always_pool=True, quiet=True)
    run_recipe(RecipeRun(load_recipe(recipe), Path(raw), Path(output)), options)
"""
FILES = ("lines.py", "shape.py", "shouting.py", "rare.py")


def blocks(page: str) -> Iterator[tuple[str, str]]:
    """The code blocks of a page of the docs that begin with the name of a file, and these names."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    for block in re.findall(r"^```\w+\n(.*?)^```", text, re.M | re.S):
        if match := re.match(r"# (\S+\.\w+)\n", block):
            yield match[1], block


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the `package`, where it is installed (`site`), the raw files and the recipe."""
    folder = tmp_path_factory.mktemp("extending")
    for name, block in blocks("extending.md"):
        path = folder / ("recipe.yaml" if name == "recipe.yaml" else f"package/{name}")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(block, encoding="utf-8")
    (folder / "package/mill_extras/__init__.py").touch()
    (folder / "run.py").write_text(RUN, encoding="utf-8")
    install = [
        "install",
        "--quiet",
        "--no-index",
        "--no-deps",
        "--no-build-isolation",
        "--target",
        str(folder / "site"),
    ]
    subprocess.run([sys.executable, "-m", "pip", *install, str(folder / "package")], check=True)
    rng = random.Random(5)
    words = "river mill stone grain water wheel dust light morning evening bridge letter winter garden".split()
    for number in range(3):
        lines = ["# a comment", "no tab here", "2001-01-01\tTHE MILL STONE TURNS", "2001-01-02\tmill"]
        lines += [f"2001-02-03\t  {' '.join(rng.choices(words, k=rng.randint(9, 15)))}. " for _ in range(150)]
        lines += ["2001-02-03\ta b c"]
        path = folder / f"raw/notes/{number}.tsv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(lines), encoding="utf-8")
    return folder


def call(place: Path, *args: object, site: bool = False, code: int = 0) -> str:
    """Run a Python program with this project, and with the installed example if `site`; its output."""
    paths = [str(ROOT), *([str(place / "site")] if site else [])]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
    result = subprocess.run(
        [sys.executable, *map(str, args)], capture_output=True, text=True, env=environment, cwd=place
    )
    assert result.returncode == code, result.stdout + result.stderr
    return result.stdout + result.stderr


def corpus_command(place: Path, *args: object, site: bool = False, code: int = 0) -> str:
    return call(place, "-c", "from corpus.cli import main; main()", *args, site=site, code=code)


@pytest.fixture(scope="module")
def packaged(place: Path) -> Path:
    """The output of the recipe with the installed package, on two workers."""
    call(place, "run.py", "recipe.yaml", "raw", "packaged", site=True)
    return place / "packaged"


@pytest.fixture(scope="module")
def plugged(place: Path) -> Path:
    """The output of the recipe with plug-in files, on two workers."""
    for name in FILES:
        (place / name).write_bytes((place / "package/mill_extras" / name).read_bytes())
    call(place, "run.py", "recipe.yaml", "raw", "plugged", *FILES)
    return place / "plugged"


def test_examples_are_short() -> None:
    found = dict(blocks("extending.md"))
    assert {Path(name).name for name in found} >= {*FILES, "almanac.py", "pebble.py", "pyproject.toml", "recipe.yaml"}
    for name, block in found.items():
        assert not name.endswith(".py") or len(block.splitlines()[1:]) < 40, name


def test_examples_are_listed(tmp_path: Path) -> None:
    files = [(tmp_path / Path(name).name, block) for name, block in blocks("extending.md") if name.endswith(".py")]
    for path, block in files:
        path.write_text(block, encoding="utf-8")
    plugins = [part for path, _ in files for part in ("--plugin", path)]
    listed = corpus_command(tmp_path, "plugins", *plugins)
    for name, file in zip(
        ("lines", "shape", "no_shouting", "rare", "almanac", "pebble", "in_turn"),
        (path for path, _ in files),
        strict=True,
    ):
        assert re.search(rf"^  {name} +{file} +\S", listed, re.M), listed


@pytest.mark.slow
def test_an_executor_makes_the_same(place: Path, packaged: Path) -> None:
    (place / "execution.yaml").write_text("executor: in_turn\nin_turn: {}\n", encoding="utf-8")
    plugins = [part for name in FILES for part in ("--plugin", place / "package/mill_extras" / name)]
    plugins += ["--plugin", place / "package/mill_extras/in_turn.py"]
    command = ("run", "recipe.yaml", "--input", "raw", "--execution", "execution.yaml", "--quiet")
    corpus_command(place, *command, "--output", "in-turn", *plugins)
    corpus_command(place, *command, "--output", "in-turn-package", site=True)
    one, others = OpenRun(packaged), [OpenRun(place / name) for name in ("in-turn", "in-turn-package")]
    for name, dataset in one.items():
        shards = [entry.checksum for entry in dataset.manifest.shards]
        assert all(shards == [entry.checksum for entry in other[name].manifest.shards] for other in others), name


@pytest.mark.slow
def test_package(place: Path, packaged: Path) -> None:
    for path in find_datasets(packaged):
        assert not verify_dataset(path).problems
    run = OpenRun(packaged)
    ingested = run["notes/ingest"]
    assert ingested.drops == {"comment": 3} and ingested.counts["records"].quarantined == 3
    passed = run["notes/shape+filter"]
    assert passed.drops == {"too few words": 3, "no_shouting: shouting": 3}
    assert [column.name for column in passed.columns] == ["date", "words"]
    assert all(row["words"] == len(row["text"].split()) and row["date"] == "2001-02-03" for row in passed)
    assert run["notes/rare"].drops == {"short of the average": 3}
    assert len(run["packed"]) > 20
    listed = corpus_command(place, "plugins", site=True)
    for name in ("lines", "shape", "no_shouting", "rare", "pebble"):
        assert re.search(rf"^  {name} +mill-extras 1.0 +\S", listed, re.M), listed


@pytest.mark.slow
def test_files_make_the_same(place: Path, packaged: Path, plugged: Path) -> None:
    one, other = OpenRun(packaged), OpenRun(plugged)
    assert list(one) == list(other)
    for name, dataset in one.items():
        shards = [entry.checksum for entry in dataset.manifest.shards]
        assert shards == [entry.checksum for entry in other[name].manifest.shards], name
    used = {name: set(dataset.manifest.config.get("plugins", ())) for name, dataset in other.items()}
    assert used["notes/ingest"] == {"lines.py"} and used["notes/rare"] == {"rare.py"}
    assert used["notes/shape+filter"] == {"shape.py", "shouting.py"}
    assert not used["notes/train"] and not used["packed"]
    assert not any("plugins" in dataset.manifest.config for _, dataset in one.items())


@pytest.mark.slow
def test_a_changed_file_redoes_its_stages(place: Path, plugged: Path) -> None:
    plugins = [part for name in FILES for part in ("--plugin", name)]
    command = ("run", "recipe.yaml", "--input", "raw", "--output", "plugged", *plugins)
    assert "is finished: nothing to do" in corpus_command(place, *command)
    places = {name: plugged / "documents/notes" / name for name in ("00-ingest", "01-shape+filter", "02-rare")}
    before = {name: (path / "manifest.json").stat().st_mtime_ns for name, path in places.items()}
    with (place / "rare.py").open("a", encoding="utf-8") as file:
        file.write("# changed\n")
    said = corpus_command(place, *command, code=2)
    assert "02-rare was made with other settings (plugins.rare.py: " in said and "--overwrite" in said
    corpus_command(place, *command, "--overwrite")
    after = {name: (path / "manifest.json").stat().st_mtime_ns for name, path in places.items()}
    assert {name for name in places if before[name] != after[name]} == {"02-rare"}


@pytest.mark.slow
def test_model_family(place: Path, packaged: Path) -> None:
    pebble = place / "package/mill_extras/pebble.py"
    fit = ["fit", "--data", "packaged/packed", "--model", "pebble-tiny", "--steps", "2", "--threads", "1"]
    trainer = ["-c", "from trainer.cli import main; main()"]
    call(place, *trainer, *fit, "--output", "run-file", "--plugin", pebble)
    call(place, *trainer, *fit, "--output", "run-package", site=True)
    one, other = ((place / name / "metrics.jsonl").read_text(encoding="utf-8") for name in ("run-file", "run-package"))
    losses = re.findall(r'"loss": ([^,]+)', one)
    assert losses and losses == re.findall(r'"loss": ([^,]+)', other)
    assert '"pebble.py"' in (place / "run-file/config.json").read_text()
    assert '"plugins"' not in (place / "run-package/config.json").read_text()
    said = call(place, *trainer, *fit, "--output", "run-none", code=2)
    assert "there is no model 'pebble-tiny'" in said


@pytest.mark.slow
def test_the_api_page(place: Path, plugged: Path) -> None:
    text = (ROOT / "docs/api.md").read_text(encoding="utf-8")
    code = "\n".join(re.findall(r"^```python\n(.*?)^```", text, re.M | re.S))
    (place / "notebook.py").write_text(code, encoding="utf-8")
    said = call(place, "notebook.py")
    assert "notes/shape+filter" in said and "no_shouting: shouting THE MILL STONE TURNS" in said
    assert re.search("^The mill", said, re.M)
