"""Models that a recipe trains on documents of the run and judges others by: their order, their texts, what is too little."""

from __future__ import annotations

import json
import random
import shutil
from html import escape
from pathlib import Path

import pytest

from corpus.data.dataset import Dataset
from corpus.data.manifest import Manifest
from corpus.data.run_state import clean
from corpus.data.verify import find_datasets, verify_dataset
from corpus.engine.runner import RunOptions
from corpus.errors import UsageError
from pipelines.recipes.estimate import estimate
from pipelines.recipes.recipe import load_recipe
from pipelines.recipes.run import run_recipe
from pipelines.recipes.steps import RecipeRun
from pipelines.recipes.summary import summarize
from tests.corpus.quality.lm.texts import made_texts

QUIET = RunOptions(quiet=True)
RECIPE = """
domains:
  crawl:
    reader: jsonl
    stages:
      - dedup: {level: document}
      - filter: {rules: ["min_chars:5"]}
      - filter:
          rules:
            - min_chars:10
            - perplexity: {models: {step: models/lm}, cutoffs: {step: models/cutoffs}, keep: [head, middle, all], language: en}
            - reference: {model: {step: models/classifier}, threshold: 0.3}
  wikipedia: {}
models:
  classifier:
    train-classifier:
      {cited: {step: models/links}, min_positives: 20, positive: {step: wikipedia/train}, negative: {step: crawl/filter},
       language: en, dim: 8, rate: 1, epochs: 20, min_documents: 20}
  lm: {train-lm: {documents: {step: wikipedia/train}, language: en, vocab_size: 120, min_text: 8K}}
  cutoffs:
    lm-cutoffs: {documents: {step: crawl/filter}, models: {step: models/lm}, language: en, sample_documents: 200, min_documents: 30}
  links: {references: {dumps: {step: wikipedia/raw}}}
validation: {fraction: 0.02, overlap: exact}
tokenizer: {preset: llama, vocab_size: 400}
packing: {sequence_length: 32}
mixture: {crawl: 80, wikipedia: 20}
"""


def write_wiki(path: Path, texts: list[str], cited: int, language: str = "en") -> None:
    """A dump of articles; of pages of the crawl it cites the first `cited`."""
    pages = [
        f"<page><title>T{n}</title><ns>0</ns><revision><text>"
        + escape(text + (f"<ref>[https://site{n}.test/ x]</ref>" if n < cited else ""))
        + "</text></revision></page>"
        for n, text in enumerate(texts)
    ]
    head = (
        f'<mediawiki xml:lang="{language}"><siteinfo><dbname>{language}wiki</dbname>'
        f"<base>https://{language}.wikipedia.org/wiki/Main_Page</base></siteinfo>"
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(head + "\n".join(pages) + "</mediawiki>", encoding="utf-8")


def write_crawl(path: Path, texts: list[str]) -> None:
    rows = [json.dumps({"text": text, "url": f"http://www.site{n}.test"}) for n, text in enumerate(texts)]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """`raw`: articles, and pages of which a part is like them; `recipe.yaml`."""
    rng = random.Random(1)
    articles = [text for text in made_texts(260, seed=3) if len(text) > 30]
    junk = ["\n".join("buy cheap " + " ".join(rng.choices("xyzzy plugh qwfp zxcv".split(), k=8)) for _ in range(4)) for _ in range(60)]  # fmt: skip
    pages = [f"Read on. {text}" for text in articles[100:160]] + [t for t in made_texts(200, seed=4) if len(t) > 30]
    # articles that the crawl has too: some of them will be validation on either side
    write_crawl(tmp_path / "raw/crawl/0.jsonl", [*pages, *junk, *("\n".join(["T", text]) for text in articles[:30])])
    write_wiki(tmp_path / "raw/wikipedia/enwiki-pages-articles.xml", articles, cited=40)
    (tmp_path / "recipe.yaml").write_text(RECIPE, encoding="utf-8")
    return tmp_path


def run(place: Path, output: str, options: RunOptions = QUIET, **settings: object) -> Path:
    recipe = load_recipe(str(place / "recipe.yaml"))
    run_recipe(RecipeRun(recipe, place / "raw", place / output, **settings), options)  # type: ignore[arg-type]  # of several types
    return place / output


def contents(output: Path) -> dict[str, bytes]:
    files = (path for path in output.rglob("*") if path.is_file() and "_log" not in path.parts)
    return {str(path.relative_to(output)): path.read_bytes() for path in files}


def texts_of(path: Path) -> list[str]:
    return [text for batch in Dataset.open(path).batches(["text"]) for text in batch["text"].to_pylist()]


def test_models_are_made_of_the_run_and_judge_it(place: Path) -> None:
    steps = [
        step.output for step in RecipeRun(load_recipe(str(place / "recipe.yaml")), place / "raw", place / "x").steps()
    ]
    first = ["settled/wikipedia/choice", "documents/wikipedia/01-train", "models/lm", "models/cutoffs"]
    for order in (
        first,
        ["documents/crawl/01-dedup+filter", "models/classifier"],
        ["models/links", "models/classifier"],
    ):
        assert [name for name in steps if name in order] == order
    judged = steps.index("documents/crawl/02-filter")
    assert judged > max(steps.index(f"models/{name}") for name in ("cutoffs", "classifier"))
    assert judged < steps.index("validation-choice")
    assert len(steps) == len(set(steps))
    out = run(place, "one")
    for path in find_datasets(out):
        assert verify_dataset(path).problems == [], path
    filtered = Manifest.load(out / "documents/crawl/02-filter")
    dropped = filtered.counts["documents"].dropped
    assert dropped["perplexity: tail"] > 50 and dropped["reference: low score"] > 0
    assert {entry["name"] for entry in filtered.inputs} >= {"models/lm", "models/cutoffs", "models/classifier"}
    assert (
        filtered.config["maps"][1]["cutoffs"]
        and str(place) not in (out / "documents/crawl/02-filter/manifest.json").read_text()
    )
    assert Manifest.load(out / "models/classifier").extra["classifier"]["positives"] == "cited"
    summary = summarize(out)
    assert "models/lm:" in summary and "documents that are cited" in summary
    # what the language model was trained on is exactly what training has, and nothing of it is validated
    counts = Manifest.load(out / "models/lm").counts["documents"]
    train = texts_of(out / "documents/wikipedia/01-train")
    assert counts.kept == len(train)
    for domain, number in (("wikipedia", 2), ("crawl", 4)):
        assert not set(texts_of(out / f"documents/{domain}/{number:02d}-validation")) & set(train)
    assert contents(run(place, "two", RunOptions(quiet=True, workers=2, always_pool=True))) == contents(out)


def test_a_finished_run_is_left_and_cleaned(place: Path) -> None:
    out = run(place, "out")
    before = contents(out)
    run(place, "out")
    (out / "_log/run.json").unlink()
    run(place, "out")
    assert contents(out) == before
    freed = {entry.path.relative_to(out).as_posix() for entry in clean(out, dry_run=False)}
    assert "documents/crawl/02-filter" in freed and not any(name.startswith("models") for name in freed)
    assert "documents/wikipedia/01-train" not in freed
    run(place, "out")


def test_models_are_kept_where_only_their_texts_change(place: Path) -> None:
    out = run(place, "out")
    before = {name: Dataset.open(out / "models" / name).digest for name in ("lm", "cutoffs", "classifier")}
    write_wiki(place / "raw/wikipedia/enwiki-pages-articles2.xml", made_texts(80, seed=9), cited=0)
    write_crawl(place / "raw/crawl/1.jsonl", made_texts(50, seed=10))
    run(place, "out")
    assert before == {name: Dataset.open(out / "models" / name).digest for name in before}
    run(place, "out", retrain=("lm",))
    now = {name: Dataset.open(out / "models" / name).digest for name in before}
    assert now["lm"] != before["lm"] and now["cutoffs"] != before["cutoffs"]  # measured by the other model
    assert now["classifier"] == before["classifier"]
    with pytest.raises(UsageError, match="did you mean 'classifier'"):
        run(place, "out", retrain=("clasifier",))


def test_too_little_is_said_and_judges_nothing(place: Path) -> None:
    write_wiki(place / "raw/wikipedia/enwiki-pages-articles.xml", made_texts(15, seed=77), cited=1)
    out = run(place, "out")
    said = summarize(out)
    assert "no model (" in said and "no cutoffs" in said
    assert Manifest.load(out / "documents/crawl/02-filter").counts["documents"].dropped == {}


def test_without_the_domain_that_models_need(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(place / "raw/wikipedia")
    out = run(place, "out", RunOptions(), allow_missing=True)
    said = capsys.readouterr().err
    for name in ("lm", "cutoffs", "links", "classifier"):
        assert f"models/{name} is not made, since there is no wikipedia; rules that need it are left out" in said
    maps = Manifest.load(out / "documents/crawl/01-dedup+filter+filter").config["maps"]
    assert [entry["map"] for entry in maps] == ["min_chars", "min_chars.2"] and not (out / "models").exists()


def test_steps_over_all_domains_come_after_the_models(place: Path) -> None:
    text = RECIPE + "across: {order: [wikipedia], stages: [dedup: {level: document}]}\n"
    (place / "recipe.yaml").write_text(text, encoding="utf-8")
    out = run(place, "out")
    early, late = texts_of(out / "settled/wikipedia/train"), texts_of(out / "documents/wikipedia/02-train")
    assert early == late and Manifest.load(out / "models/lm").counts["documents"].kept == len(early)


def test_a_dry_run_tells_the_steps(place: Path) -> None:
    run_ = RecipeRun(load_recipe(str(place / "recipe.yaml")), place / "raw", place / "out")
    lines = estimate(run_, 2).lines()
    assert any("models/lm" in line for line in lines) and not (place / "out").exists()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("{step: wikipedia/train}, language: en, v", "{step: wikipedia/trian}, language: en, v", "did you mean 'wikipedia/train'"),
        ("{step: wikipedia/train}, language: en, v", "{step: crawl/train}, language: en, v", "wait for each other"),
        ("lm: {train-lm: ", "lm: {train-ml: ", "did you mean 'train-lm'"),
        ("vocab_size: 120", "vocab_sise: 120", "did you mean 'vocab_size'"),
        ("{documents: {step: wikipedia/train}, language", "{language", "documents is missing"),
        ("{step: models/links}", "{step: models/link}", "did you mean 'models/links'"),
        ("  links: {ref", "  tokenizer: {ref", "cannot be called 'tokenizer'"),
        ("perplexity: {models: {step: models/lm}", "perplexity: {models: {step: wikipedia/raw}", "does not exist"),
    ],
)  # fmt: skip
def test_the_recipe_names_what_is_wrong(place: Path, old: str, new: str, message: str) -> None:
    assert old in RECIPE
    (place / "recipe.yaml").write_text(RECIPE.replace(old, new), encoding="utf-8")
    with pytest.raises(UsageError, match=message):
        load_recipe(str(place / "recipe.yaml"))


def test_a_limit_is_of_what_models_read_of_raw_files_too(place: Path) -> None:
    recipe = load_recipe(str(place / "recipe.yaml")).sampled(25, None)
    run_recipe(RecipeRun(recipe, place / "raw", place / "few"), QUIET)
    links = Manifest.load(place / "few/models/links")
    assert links.extra["links"] == 25 and links.config["limit"] == 25
