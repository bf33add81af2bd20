"""Peak memory of the stages: no more than the interpreter's own, `--memory`, and a tenth."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from corpus.dedup.lines import DedupConfig, DedupStage
from corpus.filters.filter import FilterConfig, FilterStage
from corpus.langid import LangidConfig, LangidStage
from corpus.mixture.mix import MixConfig, MixStage
from corpus.split import SplitConfig, SplitStage
from corpus.stage.runner import RunOptions, run_stage
from corpus.stage.stage import Stage
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
        "dedup": DedupStage((str(tmp_path / "in"),), DedupConfig()),
        "langid": LangidStage(documents, LangidConfig(threshold=0.0)),
        "filter": FilterStage(documents, FilterConfig(rules=("min_chars:10",))),
        "split": SplitStage(documents, SplitConfig()),
        "tokenizer": TrainTokenizerStage(documents, TrainTokenizerConfig(vocab_size=1000, sample_bytes=2_000_000)),
    }
    for name, stage in stages.items():
        _run(stage, tmp_path / name)
    _run(TokenizeStage(documents, str(tmp_path / "tokenizer"), TokenizeConfig()), tmp_path / "tokens")
    _run(MixStage((str(tmp_path / "tokens"),), MixConfig(weights=str(tmp_path / "weights.yaml"))), tmp_path / "packed")


def _run(stage: Stage, output: Path) -> None:
    run_stage(stage, output, RunOptions(workers=1, memory=MEMORY, always_pool=True, quiet=True))
    log = json.loads((output / "_log" / "finished.json").read_text(encoding="utf-8"))
    print(stage.name, log["fixed_memory"] // 1_000_000, log["peak_memory"] // 1_000_000, log["task_seconds"])
    assert log["peak_memory"] <= 1.1 * (log["fixed_memory"] + MEMORY), stage.name
