"""Peak memory of the stages: no more than the interpreter's own, `--memory`, and a tenth; also where dedup spills."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from corpus.dedup.config import LEAST_MEMORY, DedupConfig
from corpus.dedup.levels import dedup_stage
from corpus.dedup.lines.stage import LineDedupStage
from corpus.engine.document_stage import MapStage
from corpus.engine.runner import RunOptions, run_stage
from corpus.engine.stage import Stage
from corpus.heldout.config import ChoiceConfig
from corpus.heldout.side import side_stage
from corpus.heldout.stage import ChoiceStage
from corpus.mixture.pack.stage import MixConfig, MixStage
from corpus.quality.filter import FilterConfig
from corpus.quality.langid import Langid
from tests.datasets import write_documents
from tokenizer.tokenize import TokenizeConfig, TokenizeStage
from tokenizer.train import TrainTokenizerConfig, TrainTokenizerStage

MEMORY = 256_000_000


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_peak_memory_is_bounded(tmp_path: Path) -> None:
    rng = random.Random(0)
    words = ["".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=rng.randint(2, 9))) for _ in range(20_000)]
    texts = ["\n".join(" ".join(rng.choices(words, k=12)) for _ in range(60)) for _ in range(30_000)]
    write_documents(tmp_path / "in", texts, shard_rows=30_000)
    del texts
    (tmp_path / "weights.yaml").write_text("c4: {epochs: 1.5}\n", encoding="utf-8")
    documents = (str(tmp_path / "dedup"),)
    stages: dict[str, Stage] = {
        "dedup": LineDedupStage((str(tmp_path / "in"),), DedupConfig()),
        "langid": MapStage(documents, "langid", maps=(Langid(threshold=0.0),)),
        "filter": MapStage(documents, "filter", maps=FilterConfig(rules=("min_chars:10",)).maps()),
        "choice": ChoiceStage(documents, ChoiceConfig(overlap="near")),
        "train": side_stage(documents, tmp_path / "choice", "c4", "train"),
        "validation": side_stage(documents, tmp_path / "choice", "c4", "validation"),
        "tokenizer": TrainTokenizerStage(documents, TrainTokenizerConfig(vocab_size=1000, sample_bytes=2_000_000)),
    }
    for name, stage in stages.items():
        _run(stage, tmp_path / name)
    _run(TokenizeStage(documents, str(tmp_path / "tokenizer"), TokenizeConfig()), tmp_path / "tokens")
    _run(MixStage((str(tmp_path / "tokens"),), MixConfig(weights=str(tmp_path / "weights.yaml"))), tmp_path / "packed")


def short_texts(level: str) -> Iterator[list[str]]:
    """Texts that are next to nothing but keys, in parts; a sixteenth of them stand twice."""
    rng = random.Random(level)
    parts, texts, lines, words = {
        "line": (2, 200, 10_000, 1),
        "document": (8, 100_000, 1, 2),
        "book": (4, 5_000, 1, 90),
        "near": (8, 6_000, 1, 40),
    }[level]
    for _ in range(parts):
        made = [
            "\n".join(" ".join(map(_word, rng.choices(range(1 << 28), k=words))) for _ in range(lines))
            for _ in range(texts)
        ]
        yield made + made[: texts // 16]


def _word(number: int) -> str:
    return "".join(chr(97 + (number >> shift & 15)) for shift in range(0, 28, 4))


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("level", ["line", "document", "book", "near"])
def test_peak_memory_of_dedup_that_spills(tmp_path: Path, level: str) -> None:
    """With the least memory and more keys than it holds: 16 bytes for a line, four times the record at other levels."""
    keys = 0
    for number, texts in enumerate(short_texts(level)):
        write_documents(tmp_path / f"in{number}", texts, domain=f"d{number}")
        keys += {"line": 10_000, "document": 1, "book": 64, "near": 14}[level] * len(texts)
    bytes_per_key, part = {"line": (16, 2), "document": (128, 1), "book": (96, 2), "near": (96, 2)}[level]
    assert keys * bytes_per_key > LEAST_MEMORY // part
    documents = tuple(str(path) for path in sorted(tmp_path.glob("in*")))
    settings: dict[str, Any] = {"level": level}
    _run(dedup_stage(documents, DedupConfig(**settings)), tmp_path / "out", LEAST_MEMORY)


def _run(stage: Stage, output: Path, memory: int = MEMORY) -> None:
    run_stage(stage, output, RunOptions(workers=1, memory=memory, always_pool=True, quiet=True))
    log = json.loads((output / "_log" / "finished.json").read_text(encoding="utf-8"))
    print(stage.name, log["fixed_memory"] // 1_000_000, log["peak_memory"] // 1_000_000, log["task_seconds"])
    assert log["peak_memory"] <= 1.1 * (log["fixed_memory"] + memory), stage.name
