"""The rule of CCNet that sorts pages by their perplexity under a language model (arXiv 1911.00359, section 3.3)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import pyarrow as pa

from corpus.config import check_options
from corpus.data.columns import Column
from corpus.engine.document_map import DocumentBatch, DocumentMap, Mapped
from corpus.errors import UsageError
from corpus.option import nearest, option
from corpus.quality.lm.cutoffs import BUCKETS, bucket, cutoffs_file, read_cutoffs
from corpus.quality.lm.models import ModelFiles, find_models, load_model, score, slow_because
from corpus.quality.no_model import why_no_model


@dataclass(frozen=True)
class Perplexity(DocumentMap):
    """Sets `perplexity` and `bucket`, and keeps the documents of some buckets, or all.

    `faithful` shows a page to the model as CCNet does, one sentence with its line ends deleted, which glues the last word of
    a line to the first of the next; the published cutoffs were measured so. `corrected` scores each line as a sentence.
    """

    name: ClassVar[str] = "perplexity"
    columns: ClassVar[tuple[Column, ...]] = (
        Column("perplexity", "float64", "Perplexity by the language's model; null where there is none, or no text."),
        Column("bucket", "string", "head, middle or tail by perplexity; all where no model or no cutoff judges."),
    )

    models: str = option("", "Language models, as train-lm writes them.", metavar="DIR")
    cutoffs: str = option("", "Perplexities at percentiles by language, as lm-cutoffs writes them.", metavar="PATH")
    keep: tuple[str, ...] = option(
        (), "Buckets that stay: head, middle, tail, all; none given: all stay.", metavar="BUCKET"
    )
    behaviour: Literal["corrected", "faithful"] = option(
        "corrected",
        "corrected: each line is a sentence; faithful: as CCNet, the page is one and line ends are deleted.",
    )
    head: int = option(30, "The percentile below which the head is (CCNet: 30).", least=0, most=100)
    middle: int = option(60, "The percentile below which the middle is (CCNet: 60).", least=0, most=100)
    language: str = option("", "Language of documents without one.")

    def __post_init__(self) -> None:
        check_options(self, "filter rule perplexity: ")
        if not self.models:
            raise UsageError("filter rule perplexity needs language models: give --set perplexity.models=DIR.")
        for name in self.keep:
            if name not in BUCKETS:
                raise UsageError(f"filter rule perplexity: keep is {name}: {nearest(name, BUCKETS)}")
        if self.head > self.middle:
            raise UsageError(
                f"filter rule perplexity: head is {self.head}, above middle, {self.middle}: give a lower one."
            )
        if self.keep and not self.cutoffs:
            raise UsageError("filter rule perplexity: keep needs cutoffs: give --set perplexity.cutoffs=PATH.")

    def _models(self) -> dict[str, ModelFiles]:
        return find_models(Path(self.models))

    def _cutoffs(self) -> dict[str, tuple[float, float]]:
        file = cutoffs_file(Path(self.cutoffs)) if self.cutoffs else None
        return read_cutoffs(file, self.head, self.middle) if file else {}

    def files(self) -> Mapping[str, Path]:
        cutoffs = cutoffs_file(Path(self.cutoffs)) if self.cutoffs else None
        found = {"cutoffs": cutoffs} if cutoffs else {}
        for language, files in self._models().items():
            found |= {f"models.{language}.pieces": files.pieces, f"models.{language}.ngrams": files.ngrams}
        return found

    def config(self) -> dict[str, Any]:
        values = super().config()
        models = {name: values.pop(name) for name in self.files() if name.startswith("models.")}
        return values | {"models": models, "keep": sorted(set(self.keep))}

    def notice(self) -> str:
        """Say so where SentencePiece or KenLM have to do the work themselves, which is slower, and where nothing is judged."""
        none = why_no_model(Path(self.models), "lm")
        said = [f"rule perplexity judges nothing: there is no model ({none})"] if none else []
        if self.cutoffs and not none and cutoffs_file(Path(self.cutoffs)) is None:
            said = [
                "rule perplexity parts nothing into head, middle and tail: there were too few documents for cutoffs"
            ]
        return "; ".join([*said, *(why for files in self._models().values() for why in slow_because(files))])

    def prepare(self) -> None:
        models = self._models()
        self._cutoffs()
        if len(models) == 1:
            load_model(*models.values())

    def apply(self, batch: DocumentBatch) -> Mapped:
        models = self._models()
        cutoffs = self._cutoffs()
        languages = batch.column("language").fill_null(self.language)
        found = score(models, batch.column("text"), languages, self.behaviour == "corrected")
        pairs = zip(found, languages.to_pylist(), strict=True)
        buckets = [bucket(value, cutoffs.get(language)) for value, language in pairs]
        columns = {"perplexity": pa.array(found, pa.float64()), "bucket": pa.array(buckets, pa.string())}
        reasons = [f"perplexity: {name}" if self.keep and name not in self.keep else None for name in buckets]
        return Mapped(columns, reasons)
