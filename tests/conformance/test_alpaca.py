"""Fine-tuning on real Alpaca rows: a small model that the demo's data trained is overfitted to 200 of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import corpus
import trainer
from corpus.mixture.plan.recipe_file import load_recipe_file
from demo import c4
from trainer.science.sweep_grid import merged

ROWS, EPOCHS, LENGTH = 200, 40, 512
BASE = {
    "domains": {"c4": {"stages": []}},
    "validation": {"fraction": 0.01},
    "tokenizer": {"preset": "llama", "vocab_size": 2048},
    "packing": {"sequence_length": LENGTH},
    "mixture": {"c4": {"share": 100, "epochs": 2}},
}


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_two_hundred_alpaca_rows_are_overfitted(samples: Path, tmp_path: Path) -> None:
    c4.build(tmp_path / "raw" / "c4")
    made = corpus.run(BASE, tmp_path / "raw", tmp_path / "out", workers=2, quiet=True)
    assert "packed" in made
    base = tmp_path / "base"
    trainer.fit(
        tmp_path / "out" / "packed", model="llama-tiny", output=base, steps=60, batch_size=8, threads=2, quiet=True
    )

    rows = json.loads((samples / "alpaca" / "alpaca_random_9k.json").read_text())[:ROWS]
    questions = tmp_path / "alpaca" / "instructions"
    questions.mkdir(parents=True)
    (questions / "alpaca_data.json").write_text(json.dumps(rows))
    tokenizer = str(tmp_path / "out" / "tokenizer" / "tokenizer.model")
    changes = {"tokenizer": {"path": tokenizer}, "mixture": {"instructions": {"epochs": EPOCHS}}}
    recipe = merged(load_recipe_file("alpaca"), changes)
    corpus.run(recipe, tmp_path / "alpaca", tmp_path / "tuned-data", workers=2, quiet=True)

    packed = tmp_path / "tuned-data" / "packed"
    tuned = trainer.fit(
        packed, init_from=str(base), preset="alpaca", output=tmp_path / "tuned", batch_size=2, threads=2, quiet=True,
        steps=600, settings={"optimizer.lr": 4e-3},
    )  # fmt: skip
    losses = [record["loss"] for record in tuned.metrics() if record["kind"] == "train"]
    first, last = sum(losses[:5]) / 5, sum(losses[-20:]) / 20
    assert first > 5 and last < 1.2
