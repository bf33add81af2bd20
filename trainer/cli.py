"""The `trainer` command. Nothing heavy is imported before a command runs, so that `--help` answers at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from corpus.plugins import load_plugins
from trainer.api import share_cores

_DIRECTORY = click.Path(path_type=Path)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="corpusmill")
def main() -> None:
    """Train language models on packed sets."""


def _renamed(context: click.Context, option: click.Parameter, value: object) -> None:
    """The callback of an option that has another name now."""
    if value is not None:
        from trainer.config.renamed import RENAMED

        raise click.UsageError(f"--{option.name} is called --{RENAMED[str(option.name)]} now.", context)


@main.command(short_help="Train a model, or go on with it.")
@click.option("--data", type=_DIRECTORY, help="The packed set to train on (from corpus mix).")
@click.option("--model", help="Name of a model, such as llama-tiny, llama-7b, palm-8b.")
@click.option("--output", type=_DIRECTORY, help="Directory of the run; an unfinished run goes on.")
@click.option("--config", type=_DIRECTORY, help="YAML file of these options and settings; the command line wins.")
@click.option("--steps", type=click.IntRange(min=1), help="Number of updates. Default: one epoch, less a reserve.")
@click.option("--tokens", type=click.IntRange(min=1), help="Instead of --steps: tokens to train on, rounded up.")
@click.option("--batch-size", type=click.IntRange(min=1), help="Sequences of one update. Default: the model's.")
@click.option("--micro-batch-size", type=click.IntRange(min=1), help="Sequences at once. Default: the whole batch.")
@click.option("--save-every", type=click.IntRange(min=1), default=100, show_default=True, help="Steps between saves.")
@click.option("--save-minutes", type=click.FloatRange(min=0), help="Also save when this many minutes have passed.")
@click.option("--background-saves", is_flag=True, help="Save from a copy in memory while the training goes on.")
@click.option(
    "--keep", type=click.IntRange(min=0), default=2, show_default=True, help="Newest checkpoints to keep; 0: all."
)
@click.option("--keep-every", type=click.IntRange(min=1), help="Also keep those of steps that are multiples of this.")
@click.option("--validation", type=_DIRECTORY, help="A packed set, or a directory of them, to evaluate on.")
@click.option("--validate-every", type=click.IntRange(min=1), help="Steps between evaluations. Default: at the end.")
@click.option("--document-mask", is_flag=True, help="Let tokens attend within their own document only.")
@click.option("--precision", type=click.Choice(["fp32", "bf16"]), help="Arithmetic of the model. Default: fp32.")
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    help="A setting, such as optimizer.lr=3e-4; trainer settings lists them.",
)
@click.option("--skip-log", type=_DIRECTORY, help="A skip_log.json to replay: what it skips is skipped from the start.")
@click.option("--ledger", hidden=True, expose_value=False, callback=_renamed)
@click.option("--seed", type=click.IntRange(min=0), help="Seed of the first weights. Default: 0.")
@click.option(
    "--threads", type=click.IntRange(min=1), help="CPU threads. Default: all; a resumed run keeps its number."
)
@click.option("--device", type=click.Choice(["cpu", "cuda"]), help="Where to train. Default: a GPU if there is one.")
@click.option(
    "--parallel",
    type=click.Choice(["ddp", "fsdp"]),
    default="ddp",
    show_default=True,
    help="Under torchrun: ranks hold the whole model (ddp), or a part of it each (fsdp).",
)
@click.option("--tensorboard", is_flag=True, help="Write the metrics for TensorBoard too.")
@click.option(
    "--plugin", "plugins", multiple=True, metavar="FILE.py", help="A file that adds model families. (repeatable)"
)
@click.option("--overwrite", is_flag=True, help="Start the run anew, with another configuration too.")
@click.pass_context
def fit(context: click.Context, /, config: Path | None, plugins: tuple[str, ...], **options: object) -> None:
    """Train a model; the same command again goes on where a stopped run was."""
    load_plugins(plugins)
    given = {name: value for name, value in options.items() if _is_given(context, name)}
    share_cores()
    from trainer.config.options import make_options
    from trainer.loop.loop import fit as run_fit

    run_fit(make_options(given, config), say=click.echo)


def _is_given(context: click.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source not in (click.core.ParameterSource.DEFAULT, click.core.ParameterSource.DEFAULT_MAP)


@main.command(short_help="List the keys of --set.")
@click.argument("model", required=False)
@click.option(
    "--plugin", "plugins", multiple=True, metavar="FILE.py", help="A file that adds model families. (repeatable)"
)
def settings(model: str | None, plugins: tuple[str, ...]) -> None:
    """List the keys of fit's --set (and of --config) with their defaults, those of MODEL where it is given."""
    load_plugins(plugins)
    from trainer.config.settings import setting_lines

    for line in setting_lines(model):
        click.echo(line)


@main.command(short_help="Continue a prompt with a run's model.")
@click.argument("run", type=_DIRECTORY)
@click.option("--prompt", default="", help="The beginning of the text. Default: the start of a document.")
@click.option("--max-tokens", type=int, default=100, show_default=True, help="Most tokens to add.")
@click.option("--temperature", type=float, default=0.0, show_default=True, help="0: greedy; else sample.")
@click.option("--top-k", type=int, default=0, show_default=True, help="Sample from the k most likely tokens; 0: all.")
@click.option("--top-p", type=float, default=1.0, show_default=True, help="Sample from the most likely mass p.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of the samples.")
@click.option("--device", type=click.Choice(["cpu", "cuda"]), help="Where to compute. Default: a GPU if there is one.")
def generate(run: Path, prompt: str, device: str | None, **options: Any) -> None:
    """Continue a prompt with the newest checkpoint of RUN."""
    share_cores()
    from trainer.run.generate import SamplingConfig
    from trainer.run.generate import generate as run_generate

    sampling = SamplingConfig(**options)
    click.echo(run_generate(run, prompt, sampling, lambda text: click.echo(text, err=True), device))


@main.command(name="eval", short_help="Perplexity of a run on validation sets.")
@click.argument("run", type=_DIRECTORY)
@click.option("--validation", type=_DIRECTORY, required=True, help="A packed set, or a directory of them.")
@click.option("--batch-size", type=click.IntRange(min=1), default=8, show_default=True, help="Sequences at once.")
@click.option("--device", type=click.Choice(["cpu", "cuda"]), help="Where to compute. Default: a GPU if there is one.")
def evaluate(run: Path, validation: Path, batch_size: int, device: str | None) -> None:
    """Loss, perplexity and bits per byte per domain of the newest checkpoint of RUN."""
    share_cores()
    from trainer.evaluation.run import evaluate_run

    for line in evaluate_run(run, validation, batch_size, lambda text: click.echo(text, err=True), device):
        click.echo(line)


@main.command(short_help="The documents of a training step.")
@click.argument("run", type=_DIRECTORY)
@click.option("--data", type=_DIRECTORY, required=True, help="The packed set that RUN was trained on.")
@click.option("--step", type=int, required=True, help="The step, from 1.")
def trace(run: Path, data: Path, step: int) -> None:
    """The documents that a training step held, one line per document and row."""
    from trainer.run.trace import trace as run_trace

    for line in run_trace(run, data, step):
        click.echo(line)


@main.command(short_help="Write a model for transformers or llama.cpp.")
@click.argument("run", type=_DIRECTORY)
@click.option("--format", "kind", type=click.Choice(["hf", "gguf"]), required=True, help="transformers or llama.cpp.")
@click.option("--output", type=_DIRECTORY, required=True, help="Directory to make; it must not exist.")
def export(run: Path, kind: str, output: Path) -> None:
    """Write the newest checkpoint of RUN for another program (LLaMA shapes), compared with transformers' logits."""
    share_cores()
    from trainer.export.run import export_run

    export_run(run, kind, output, click.echo)


@main.command()
@click.argument("run", type=_DIRECTORY)
@click.option("--output", type=_DIRECTORY, required=True, help="The SVG file to write.")
def plot(run: Path, output: Path) -> None:
    """Draw the loss curve of RUN."""
    from trainer.run.plot import plot as draw_plot

    draw_plot(run, output)
