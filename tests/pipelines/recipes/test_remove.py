"""Records leave a run for good: out of every stage, also of later runs, with a report of where they stood."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from corpus.cli import cli
from corpus.data.dataset import Dataset
from corpus.data.files import checksum
from corpus.data.manifest import Manifest
from corpus.data.provenance import DocumentList
from corpus.data.verify import find_datasets, verify_dataset
from corpus.engine.runner import RunOptions
from corpus.errors import UsageError
from corpus.explain.way import Run
from corpus.ingest.removal import Removal, plain_url
from pipelines.recipes.recipe import load_recipe
from pipelines.recipes.run import run_recipe
from pipelines.recipes.steps import REMOVAL, RecipeRun
from tests.raw import RECIPE, write_raw

QUIET = RunOptions(quiet=True)


def run(recipe: Path, raw: Path, out: Path) -> None:
    run_recipe(RecipeRun(load_recipe(str(recipe)), raw, out), QUIET)


def content(out: Path) -> dict[str, str]:
    return {
        path.relative_to(out).as_posix(): checksum(path)
        for dataset in find_datasets(out)
        for path in dataset.rglob("*")
        if path.is_file() and "_log" not in path.parts and dataset.name != "tokenizer"
    }


def remove(out: Path, raw: Path, *arguments: object) -> Result:
    return CliRunner().invoke(cli, ["remove", str(out), "--input", str(raw), *map(str, arguments), "--json", "--quiet"])


def ids(folder: Path) -> list[str]:
    return [id for batch in Dataset.open(folder).batches(["id"]) for id in batch["id"].to_pylist()]


def test_records_are_nowhere_afterwards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("corpus.ingest.groups._GROUP_BYTES", 20_000)
    raw, out, recipe = tmp_path / "raw", tmp_path / "out", tmp_path / "recipe.yaml"
    recipe.write_text(RECIPE, encoding="utf-8")
    write_raw(raw, documents=50, files=4)
    for number in range(4):  # so that hosts of one domain can be told
        path = raw / "wikipedia" / f"{number}.jsonl"
        path.write_text(path.read_text(encoding="utf-8").replace("https://x.example/1", "http://EN.wiki.example/1"))
    run(recipe, raw, out)
    validation = ids(out / "documents/books/03-validation")[0]
    training = next(id for id in ids(out / "documents/commoncrawl/02-train") if "/3.jsonl#" in id)
    (tmp_path / "ids").write_text(f"# comment\n{validation}\n{training}\n\nbooks/none.jsonl#7\n")
    done = remove(out, raw, "--ids", tmp_path / "ids")
    assert done.exit_code == 0, done.output
    report = json.loads(done.output)
    assert report["ids"] == sorted([validation, training])
    assert report["unknown"] == ["books/none.jsonl#7"]
    assert {use["path"] for use in report["former"] if use["rows"]} == {"packed", "validation/books"}
    assert len(report["former"]) == 4  # a run on a set that held none of them is told so
    (tmp_path / "hosts").write_text("Wiki.Example\n")
    done = remove(out, raw, "--hosts", tmp_path / "hosts")
    assert done.exit_code == 0, done.output
    gone = set(report["ids"]) | set(json.loads(done.output)["ids"])
    assert len(gone) > 40
    for dataset in find_datasets(out):
        assert verify_dataset(dataset).problems == [], dataset
        kind = Manifest.load(dataset).kind
        if kind in ("documents", "tokens"):
            assert not gone & set(ids(dataset)), dataset
        if kind == "packed":
            listed = DocumentList(Dataset.open(dataset))
            assert not any(listed.look(id) for id in gone), dataset
    # not even the samples have a text of theirs
    samples = pq.read_table(out / "documents/wikipedia/00-ingest/_dropped/samples")
    texts = {row["id"]: row["text"] for row in samples.to_pylist()}
    assert all(texts[id] == "" for id in gone & texts.keys())
    assert Manifest.load(out / "documents/books/00-ingest").counts["records"].dropped["removed"] == 1
    # a run from the beginning with the same list and tokenizer is equal, and a rerun brings nothing back
    before = content(out)
    run(recipe, raw, out)
    assert content(out) == before
    fresh = tmp_path / "fresh"
    recipe.write_text(RECIPE.replace("{preset: llama, vocab_size: 500}", f"{{path: {out}/tokenizer}}"))
    run(recipe, raw, fresh)
    for option in ("--ids", "--hosts"):
        (tmp_path / "again").write_text("\n".join(json.loads((out / REMOVAL).read_text())[option[2:]]))
        assert remove(fresh, raw, option, tmp_path / "again").exit_code == 0
    assert content(fresh) == before


def test_wrong_lists_are_sentences(tmp_path: Path) -> None:
    raw, out, recipe = tmp_path / "raw", tmp_path / "out", tmp_path / "recipe.yaml"
    recipe.write_text(RECIPE, encoding="utf-8")
    write_raw(raw, documents=50, files=2)
    out.mkdir()
    (tmp_path / "ids").write_text("\n")
    assert "nothing is named" in remove(out, raw, "--ids", tmp_path / "ids").output
    assert "cannot be read" in remove(out, raw, "--ids", tmp_path / "no").output
    (tmp_path / "ids").write_text("books/0.jsonl#1\n")
    done = remove(out, raw, "--ids", tmp_path / "ids")
    assert (done.exit_code, "is not the output of corpus run" in done.output) == (2, True)


def test_a_domain_that_is_emptied_leaves_the_run(tmp_path: Path) -> None:
    raw, out, recipe = tmp_path / "raw", tmp_path / "out", tmp_path / "recipe.yaml"
    recipe.write_text(RECIPE, encoding="utf-8")
    write_raw(raw, documents=50, files=2)
    for domain in ("books", "commoncrawl"):
        for path in (raw / domain).glob("*.jsonl"):
            path.write_text(path.read_text(encoding="utf-8").replace("x.example", f"{domain}.example"))
    run(recipe, raw, out)
    (tmp_path / "hosts").write_text("books.example\n")
    done = remove(out, raw, "--hosts", tmp_path / "hosts")
    assert done.exit_code == 0, done.output
    report = json.loads(done.output)
    assert len(report["ids"]) == 102 and not report["left"]
    assert {use["path"] for use in report["former"] if use["rows"]} == {"packed", "validation/books"}
    names = {dataset.relative_to(out).as_posix() for dataset in find_datasets(out)}
    assert {name for name in names if "books" in name} == {"documents/books/00-ingest"}
    assert [row["domain"] for row in Manifest.load(out / "packed").extra["domains"]] == ["commoncrawl", "wikipedia"]
    for dataset in find_datasets(out):
        assert verify_dataset(dataset).problems == [], dataset
    before = content(out)
    run(recipe, raw, out)
    (out / "_log/run.json").unlink()  # then every step is looked at
    run(recipe, raw, out)
    assert content(out) == before
    assert "books" in Run(out).domains  # its drops can still be looked at
    # more of the domain brings it back
    (raw / "books/9.jsonl").write_text((raw / "wikipedia/0.jsonl").read_text(encoding="utf-8"))
    run(recipe, raw, out)
    assert len(Manifest.load(out / "packed").extra["domains"]) == 3


def test_what_filters_leave_of_a_domain_may_be_removed_too(tmp_path: Path) -> None:
    raw, out, recipe = tmp_path / "raw", tmp_path / "out", tmp_path / "recipe.yaml"
    recipe.write_text(RECIPE, encoding="utf-8")
    write_raw(raw, documents=50, files=2)
    lines = [json.dumps({"text": "short", "url": "https://other.example"})] * 3
    with (raw / "wikipedia/0.jsonl").open("a", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")
    run(recipe, raw, out)
    wikipedia = ids(out / "documents/wikipedia/01-filter")
    (tmp_path / "ids").write_text("\n".join(wikipedia))
    done = remove(out, raw, "--ids", tmp_path / "ids")
    assert done.exit_code == 0, done.output
    assert not list((out / "documents/wikipedia").glob("01-*"))


def test_nothing_at_all_left_is_said(tmp_path: Path) -> None:
    raw, out, recipe = tmp_path / "raw", tmp_path / "out", tmp_path / "recipe.yaml"
    recipe.write_text(RECIPE, encoding="utf-8")
    write_raw(raw, documents=50, files=2)
    run(recipe, raw, out)
    (tmp_path / "hosts").write_text("https://x.example/\n")
    done = remove(out, raw, "--hosts", tmp_path / "hosts")
    assert done.exit_code == 1
    assert "no document at all" in done.output


@pytest.mark.parametrize("line", ["*.example", "a b", "://"])
def test_what_is_no_host_is_said(tmp_path: Path, line: str) -> None:
    with pytest.raises(UsageError, match=r"is no host: write one as example\.org"):
        Removal.of(hosts=[line])


@pytest.mark.parametrize(
    ("url", "names"),
    [
        ("https://www.example.org/a/", True),
        ("http://example.org", True),
        ("//EXAMPLE.org:80/x?y#z", True),
        ("https://notexample.org/", False),
        ("https://other.net/page#part", True),
        ("http://OTHER.net/page/", True),
        ("https://other.net/Page", False),
        ("https://other.net/page?x", False),
        ("http://[::1", False),
        ("", False),
        (None, False),
    ],
)
def test_urls_and_hosts(url: str | None, names: bool) -> None:
    removal = Removal.of(urls=["http://other.net/page"], hosts=["Example.org."])
    assert removal.names("books/x#1", url) is names


@given(st.text(max_size=30))
def test_any_text_is_a_url(text: str) -> None:
    assert Removal.of(urls=[text]).names("x", text) or not plain_url(text) or not text
    Removal.of(hosts=["a.b"]).names("x", text)
