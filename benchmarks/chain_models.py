"""The chain with perplexity and the reference classifier against the chain without, on the same pages in one run.

Both models are trained by the run, on pages of the text that the chain goes through: the language model on a half of the
English ones, the classifier to tell that half from the other. What they would drop says nothing here, so they score every
page and drop none. A model of so little text is small: one of CCNet's size misses the cache more often.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from benchmarks.chain_stages import DOMAIN, Models, StageTime, one_core, run_chain, some_files, stage_table, steps_of
from benchmarks.chain_text import Text
from corpus.engine.runner import RunOptions, run_stage
from corpus.quality.classifier import TrainClassifierConfig, TrainClassifierStage
from corpus.quality.lm.stage import TrainLmConfig, TrainLmStage
from pipelines.recipes.steps import Step

_TRAINING = 40_000_000
"""Bytes of pages that the models are trained on."""
_WANTED, _WANTED_WITHOUT = 12, 15


def with_models(text: Text, work: Path, tokenizer: Path, runs: int) -> None:
    """Print the stages of both chains."""
    models = make_models(text, work, tokenizer)
    rates = {}
    for title, given in (("without models", None), ("with perplexity and classifier", models)):
        with one_core():
            rows = run_chain(text, work / "models-chain", tokenizer, True, runs, models=given)
            found = stage_table(f"**{text.kind} pages, {title}**, one core, median of {runs}", text.size, rows)
        rates[title] = _rates(text, found)
    for (title, (wall, processor)), wanted in zip(rates.items(), (_WANTED_WITHOUT, _WANTED), strict=True):
        print(f"{title}: {wall:.1f} MB/s by the wall, {processor:.1f} of processor time ({wanted} wanted)", flush=True)


def _rates(text: Text, found: list[StageTime]) -> tuple[float, float]:
    """MB of pages a second, by the wall and of processor time; what the main process does is in both."""
    seconds, processor = sum(row.seconds for row in found), sum(row.processor for row in found)
    return text.size / 1e6 / seconds, text.size / 1e6 / processor


def make_models(text: Text, work: Path, tokenizer: Path) -> Models:
    """Train both models on two halves of a part of the pages, as far as these are through language identification."""
    place = work / "models"
    models = Models(place / "lm", place / "classifier")
    shutil.rmtree(place, ignore_errors=True)
    halves = []
    for number in range(2):
        raw = some_files(text, _TRAINING, place / f"raw-{number}")
        files = sorted((raw / DOMAIN).iterdir())
        for file in files[number::2] if len(files) > 1 else ():  # the other half's
            file.unlink()
        for step in steps_of(raw, place / f"run-{number}", tokenizer, True):
            run_stage(step.make(), place / f"run-{number}" / step.output, RunOptions(workers=1, quiet=True))
            if _is_filtered(step):
                halves.append(place / f"run-{number}" / step.output)
                break
    run_stage(TrainLmStage((str(halves[0]),), TrainLmConfig(language="en")), models.lm / "en", RunOptions(quiet=True))
    classifier = TrainClassifierStage(tuple(map(str, halves)), 1, TrainClassifierConfig(language="en"))
    run_stage(classifier, models.classifier, RunOptions(quiet=True))
    return models


def _is_filtered(step: Step) -> bool:
    return step.output.endswith("filter")
