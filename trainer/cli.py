"""The `trainer` command. Nothing heavy is imported before a command runs, so that `--help` answers at once."""

from __future__ import annotations

import os
from pathlib import Path

import click

_DIRECTORY = click.Path(path_type=Path)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="corpusmill")
def main() -> None:
    """Train language models on packed sets."""


@main.command()
@click.option("--data", type=_DIRECTORY, required=True, help="The packed set to train on (from corpus mix).")
@click.option("--model", required=True, help="Name of a model, such as llama-tiny, llama-7b, palm-8b.")
@click.option("--output", type=_DIRECTORY, required=True, help="Directory of the run; an unfinished run goes on.")
@click.option("--steps", type=click.IntRange(min=1), help="Number of updates. Default: one pass over the packed set.")
@click.option("--tokens", type=click.IntRange(min=1), help="Instead of --steps: tokens to train on, rounded up.")
@click.option("--batch-size", type=click.IntRange(min=1), help="Rows of one update. Default: the model's.")
@click.option("--micro-batch-size", type=click.IntRange(min=1), help="Rows at once. Default: the whole batch.")
@click.option("--save-every", type=click.IntRange(min=1), default=100, show_default=True, help="Steps between saves.")
@click.option(
    "--keep", type=click.IntRange(min=0), default=2, show_default=True, help="Newest checkpoints to keep; 0: all."
)
@click.option("--validation", type=_DIRECTORY, help="A packed set, or a directory of them, to evaluate on.")
@click.option("--validate-every", type=click.IntRange(min=1), help="Steps between evaluations. Default: at the end.")
@click.option("--document-mask", is_flag=True, help="Let tokens attend within their own document only.")
@click.option("--precision", type=click.Choice(["fp32", "bf16"]), help="Arithmetic of the model. Default: fp32.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="A setting, such as optimizer.lr=3e-4.")
@click.option("--seed", type=click.IntRange(min=0), help="Seed of the first weights. Default: 0.")
@click.option(
    "--threads", type=click.IntRange(min=1), help="CPU threads. Default: all; a resumed run keeps its number."
)
@click.option("--overwrite", is_flag=True, help="Start the run anew, with another configuration too.")
def fit(**options: object) -> None:
    """Train a model; the same command again goes on where a stopped run was."""
    _share_cores()
    from trainer.config import FitRequest
    from trainer.loop import fit as run_fit

    run_fit(FitRequest(**options), say=click.echo)  # type: ignore[arg-type]  # click has checked the types


@main.command()
@click.argument("run", type=_DIRECTORY)
@click.option("--prompt", default="", help="The beginning of the text. Default: the start of a document.")
@click.option("--max-tokens", type=int, default=100, show_default=True, help="Most tokens to add.")
@click.option("--temperature", type=float, default=0.0, show_default=True, help="0: greedy; else sample.")
@click.option("--top-k", type=int, default=0, show_default=True, help="Sample from the k most likely tokens; 0: all.")
@click.option("--top-p", type=float, default=1.0, show_default=True, help="Sample from the most likely mass p.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of the samples.")
def generate(run: Path, prompt: str, max_tokens: int, temperature: float, top_k: int, top_p: float, seed: int) -> None:
    """Continue a prompt with the newest checkpoint of RUN."""
    _share_cores()
    from trainer.generate import SamplingConfig
    from trainer.generate import generate as run_generate

    sampling = SamplingConfig(temperature, top_k, top_p, seed, max_tokens)
    click.echo(run_generate(run, prompt, sampling, lambda text: click.echo(text, err=True)))


@main.command(name="eval")
@click.argument("run", type=_DIRECTORY)
@click.option("--validation", type=_DIRECTORY, required=True, help="A packed set, or a directory of them.")
@click.option("--batch-size", type=click.IntRange(min=1), default=8, show_default=True, help="Rows at once.")
def evaluate(run: Path, validation: Path, batch_size: int) -> None:
    """Loss and perplexity per domain of the newest checkpoint of RUN."""
    _share_cores()
    from trainer.evaluate_run import evaluate_run

    for line in evaluate_run(run, validation, batch_size, lambda text: click.echo(text, err=True)):
        click.echo(line)


@main.command()
@click.argument("run", type=_DIRECTORY)
@click.option("--data", type=_DIRECTORY, required=True, help="The packed set that RUN was trained on.")
@click.option("--step", type=int, required=True, help="The step, from 1.")
def trace(run: Path, data: Path, step: int) -> None:
    """The documents that a training step held, one line per document and row."""
    from trainer.trace import trace as run_trace

    for line in run_trace(run, data, step, lambda text: click.echo(text, err=True)):
        click.echo(line)


def _share_cores() -> None:
    """Let OpenMP's threads sleep at barriers. Threads that spin there, as they do by default, take the cores from the
    very thread they wait for when anything else runs: steps were twice as slow on a busy machine. To be called before
    torch is imported; a setting of the user's own stays."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
