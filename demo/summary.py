"""The last screen of `make demo`: what came in, what was kept and why not, the mixture, the losses, a text and the document that its
words come from, answers, the files."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from corpus.commands.explain import explain
from corpus.data.message import Message
from demo.trail import find_trail
from pipelines.recipes.summary import summarize
from trainer.run.generate import LoadedModel
from trainer.run.sampling import SamplingConfig

_PROMPT = "In the morning the"
_QUESTIONS = ("What does a miller do?", "What does a shepherd do?", "What does a printer do?")


def losses(model: Path) -> str:
    """First and last training loss of a run, and its last validation loss."""
    lines = [json.loads(line) for line in (model / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    steps = [line for line in lines if line["kind"] == "train"]
    validation = [line for line in lines if line["kind"] == "validation"]
    text = f"loss          {steps[0]['loss']:.3f} in step 1, {steps[-1]['loss']:.3f} in step {steps[-1]['step']}"
    return f"{text}; on validation text {validation[-1]['loss']:.3f}" if validation else text


def show_text(directory: Path) -> None:
    """Print a text of the model, and the way of a document that holds the longest part of it."""
    model, corpus = directory / "model", directory / "corpus"
    loaded = LoadedModel.load(model, lambda line: None)
    sampling = SamplingConfig(temperature=0.5, top_k=20, top_p=1.0, seed=0, max_tokens=60)
    text = loaded.generate(_PROMPT, sampling)
    trail = find_trail(loaded, corpus / "packed", text.removeprefix(_PROMPT))
    print(f"it writes     {' '.join(text.split())}")
    print(
        f"of that       “{' '.join(trail.words.split())}” was in training {trail.times} times; once in this document:\n"
    )
    explain.main([str(corpus), trail.documents[0], "--run", str(model)], standalone_mode=False)


def show_answers(tuned: Path) -> None:
    """Print what the fine-tuned model answers."""
    loaded = LoadedModel.load(tuned, lambda line: None)
    sampling = SamplingConfig(temperature=0, max_tokens=30)
    answers = loaded.chat_all([[Message("user", question)] for question in _QUESTIONS], "alpaca", sampling)
    print("\nfine-tuned, it answers")
    for question, answer in zip(_QUESTIONS, answers, strict=True):
        print(f"  {question:<26}{' '.join(answer.split())}")


def main(directory: Path) -> None:
    """Print the summary of the demo that wrote `directory`."""
    print(f"\n{'═' * 40} summary {'═' * 40}")
    print(summarize(directory / "corpus"))
    print(losses(directory / "model"))
    show_text(directory)
    show_answers(directory / "tuned")
    for name in ("raw", "corpus", "model", "tuned", "report.html"):
        print(f"{name.removesuffix('.html'):<14}{directory / name}")
    print(f"\nOpen {(directory / 'report.html').absolute().as_uri()} in a browser.")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
