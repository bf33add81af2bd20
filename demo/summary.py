"""The last screen of `make demo`: what came in, what was kept and why not, the mixture, the losses, a sample, the files."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from pipelines.recipes.summary import summarize
from trainer.run.generate import generate
from trainer.run.sampling import SamplingConfig

_PROMPT = "In the morning the"


def losses(model: Path) -> str:
    """First and last training loss of a run, and its last validation loss."""
    lines = [json.loads(line) for line in (model / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    steps = [line for line in lines if line["kind"] == "train"]
    validation = [line for line in lines if line["kind"] == "validation"]
    text = f"loss          {steps[0]['loss']:.3f} in step 1, {steps[-1]['loss']:.3f} in step {steps[-1]['step']}"
    return f"{text}; on validation text {validation[-1]['loss']:.3f}" if validation else text


def main(directory: Path) -> None:
    """Print the summary of the demo that wrote `directory`."""
    model = directory / "model"
    sampling = SamplingConfig(temperature=0.5, top_k=20, top_p=1.0, seed=0, max_tokens=60)
    sample = generate(model, _PROMPT, sampling, lambda line: None)
    print(f"\n{'═' * 40} summary {'═' * 40}")
    print(summarize(directory / "corpus"))
    print(f"raw samples   {directory / 'raw'}")
    print(f"model         {model}")
    print(losses(model))
    print(f"it writes     {' '.join(sample.split())}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
