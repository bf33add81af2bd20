"""`corpus init` and `corpus recipes`."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

from click.testing import CliRunner

from corpus.cli import cli
from pipelines.recipes.recipe import load_recipe


def invoke(*arguments: str | Path, code: int = 0) -> str:
    """What a command prints."""
    done = CliRunner().invoke(cli, list(map(str, arguments)))
    assert done.exit_code == code, done.output
    return done.output


def test_a_new_recipe_is_whole_and_commented(tmp_path: Path) -> None:
    path = tmp_path / "sub" / "mine.yaml"
    assert "corpus run" in invoke("init", path, "--domain", "notes=jsonl", "--domain", "wikipedia")
    recipe = load_recipe(str(path))
    assert {name: entry.reader for name, entry in recipe.domains.items()} == {
        "notes": "jsonl",
        "wikipedia": "wikipedia",
    }
    text = path.read_text(encoding="utf-8")
    assert "# min_tokens: 2049" in text and "half of the domain" in text
    assert text.count("# settings: {text_field: text}") == 1 and "--vocab-size 1K --sequence-length 128" in text
    opened = text.replace("# settings: {text_field: text} #", "settings: {text_field: body.content} #")
    (tmp_path / "opened.yaml").write_text(opened, encoding="utf-8")
    assert load_recipe(str(tmp_path / "opened.yaml")).domains["notes"].settings == {"text_field": "body.content"}
    assert str(path) in text.splitlines()[1] and text.count("#") > 15
    assert [weight.share for weight in recipe.weights().weights] == [Fraction(1, 2)] * 2
    raw = tmp_path / "raw"
    for name, file in (("notes", "a.jsonl"), ("wikipedia", "b-pages-articles.xml")):
        (raw / name).mkdir(parents=True)
        (raw / name / file).write_text('{"text": "a"}\n', encoding="utf-8")
    plan = json.loads(invoke("run", path, "--input", raw, "--output", tmp_path / "out", "--dry-run", "--json"))
    assert {step["output"] for step in plan["steps"]} >= {"documents/notes/00-ingest", "tokenizer", "packed"}
    assert plan["domains"][0]["files"] == 1 and plan["free"] > 0 and not (tmp_path / "out").exists()


def test_what_cannot_be_written_is_said(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    invoke("init", path)
    assert "is there already" in invoke("init", path, code=2)
    invoke("init", path, "--from", "llama", "--overwrite")
    assert load_recipe(str(path)) == load_recipe("llama")
    assert "did you mean 'llama'" in invoke("init", tmp_path / "b.yaml", "--from", "lama", code=2)
    assert "did you mean 'jsonl'" in invoke("init", tmp_path / "b.yaml", "--domain", "a=jsnl", code=2)
    assert "is there twice" in invoke("init", tmp_path / "b.yaml", "--domain", "c4", "--domain", "c4=jsonl", code=2)
    assert "no name of a domain" in invoke("init", tmp_path / "b.yaml", "--domain", "a b=jsonl", code=2)


def test_recipes_are_listed_and_printed() -> None:
    lines = invoke("recipes").splitlines()
    at = next(number for number, line in enumerate(lines) if line.startswith("llama "))
    assert "Touvron" in lines[at] and "commoncrawl, c4" in lines[at + 1]
    text = invoke("recipes", "llama.yaml")
    assert text.startswith("# LLaMA") and "mixture:" in text
    found = json.loads(invoke("recipes", "--json"))["recipes"]
    assert {"llama", "palm"} <= {entry["name"] for entry in found} and all(entry["doc"] for entry in found)
    assert "did you mean 'palm'" in invoke("recipes", "plam", code=2)
