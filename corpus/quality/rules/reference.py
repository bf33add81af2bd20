"""The rule of LLaMA that keeps pages like those that Wikipedia cites (arXiv 2302.13971, section 2.1): a linear classifier.

The paper drops pages that are "not classified as references" and names no threshold: preset `llama` takes 0.5. RedPajama
v1 keeps those with 0.25 or more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import pyarrow as pa

from corpus.config import check_options
from corpus.data.buffers import text_buffers
from corpus.data.columns import Column
from corpus.data.dataset import check_listed
from corpus.engine.document_map import DocumentBatch, DocumentMap, Mapped
from corpus.errors import UsageError
from corpus.option import nearest, option
from corpus.quality.no_model import why_no_model

if TYPE_CHECKING:
    from corpus.quality.fasttext.model import FastText

SCORE = Column(
    "reference", "float32", "How probable the classifier finds that the text is like its positive documents."
)
THRESHOLDS = {"llama": 0.5, "redpajama-v1": 0.25}
NO_SCORE, LOW = "reference: no score", "reference: low score"
_USUAL_LABELS = ("positive", "wiki")
"""What train-classifier and RedPajama v1 call the label that counts."""


@dataclass(frozen=True)
class Reference(DocumentMap):
    """Drops texts that a classifier finds unlike its positive documents; the score is a column. Line ends are shown to it
    as spaces."""

    name: ClassVar[str] = "reference"
    columns: ClassVar[tuple[Column, ...]] = (SCORE,)

    model: str = option("", "What train-classifier wrote, or a fastText model file.", metavar="MODEL")
    preset: Literal["llama", "redpajama-v1"] = option("llama", "Whose threshold: llama 0.5, redpajama-v1 0.25.")
    threshold: float | None = option(None, "Score that a text needs at least (preset's own).", least=0, most=1)
    label: str = option("", "The label whose probability counts (positive, or else wiki).")

    def __post_init__(self) -> None:
        check_options(self, "filter rule reference: ")
        if not self.model:
            raise UsageError(
                "filter rule reference has no model: give --set reference.model=DIR, the output of corpus train-classifier."
            )

    @property
    def path(self) -> Path:
        """The file of the model."""
        given = Path(self.model)
        return given / "model.bin" if given.is_dir() else given

    @property
    def least(self) -> float:
        """The threshold in force."""
        return THRESHOLDS[self.preset] if self.threshold is None else self.threshold

    @property
    def _none(self) -> bool:
        """Whether train-classifier had too few documents for a model: then nothing is judged."""
        return bool(why_no_model(Path(self.model), "classifier"))

    def notice(self) -> str:
        none = why_no_model(Path(self.model), "classifier")
        return f"rule reference judges nothing: there is no model ({none})" if none else ""

    def files(self) -> Mapping[str, Path]:
        return {} if self._none else {"model": self.path}

    def config(self) -> dict[str, Any]:
        if self._none:
            return super().config() | {"model": "", "threshold": self.least, "label": ""}
        self.prepare()
        return super().config() | {"threshold": self.least, "label": self._label(self._load())}

    def prepare(self) -> None:
        if self._none:
            return
        check_listed(self.path)
        self._label(self._load())

    def _load(self) -> FastText:
        from corpus.quality.fasttext.model import load_model

        return load_model(self.path)

    def _label(self, model: FastText) -> str:
        known = model.labels
        if self.label and self.label not in known:
            raise UsageError(
                f"filter rule reference: '{self.label}' is no label of {self.path}: {nearest(self.label, known)}"
            )
        usual = next((label for label in _USUAL_LABELS if label in known), "")
        if not (self.label or usual):
            raise UsageError(
                f"filter rule reference: say which label of {self.path} counts, as --set reference.label={known[0]};"
                f" known are {', '.join(sorted(known)[:20])}."
            )
        return self.label or usual

    def apply(self, batch: DocumentBatch) -> Mapped:
        if self._none:
            return Mapped({SCORE.name: pa.nulls(batch.num_rows, pa.float32())})
        model = self._load()
        number = model.labels.index(self._label(model))
        labels, probabilities = model.predict(*text_buffers(batch.column("text")), k=len(model.labels))
        here = labels == number
        scores = np.minimum(np.where(here, probabilities, 0).sum(axis=1, dtype=np.float64), 1.0).astype(np.float32)
        answered = labels[:, 0] >= 0
        low = scores.astype(np.float64) < self.least
        reasons = np.where(~answered, NO_SCORE, np.where(low, LOW, ""))
        column = pa.array(reasons.tolist(), pa.string(), mask=(answered & ~low))
        return Mapped({SCORE.name: pa.array(scores, mask=~answered)}, column)
