"""The `trainer` command. Nothing heavy is imported before a command runs, so that `--help` answers at once."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from corpus.cli_options import (
    Group,
    Quantity,
    build_config,
    config_options,
    json_option,
    output_option,
    print_json,
    quiet_option,
)
from corpus.completion import completion_command
from corpus.option import Bounds
from corpus.plugins import load_plugins
from trainer.api import share_cores
from trainer.config.memory_options import MemoryOptions
from trainer.config.options import DEVICE_DOC, DEVICES, FitOptions
from trainer.evaluation.options import EvaluationOptions
from trainer.examples import EXAMPLES
from trainer.needs import needed
from trainer.report_cli import compare, report
from trainer.run.sampling import SamplingConfig
from trainer.science_cli import (
    doremi,
    memorization,
    noise_command,
    note,
    plan_command,
    probe,
    regmix,
    scale,
    silent,
    sweep,
)

_DIRECTORY = click.Path(path_type=Path)
_device_option = click.option("--device", type=click.Choice(DEVICES), help=DEVICE_DOC)
_checkpoint_option = click.option(
    "--checkpoint", "step", type=Quantity("count", Bounds(least=0)), help="Its step. Default: the newest."
)


class _Group(Group):
    """Answers an unknown option of `fit` with the setting that is meant, too, and asks for torch by name."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except ModuleNotFoundError as error:
            raise needed(error) from None

    def further_names(self, command: str) -> list[str]:
        from corpus.config import option_names
        from trainer.config.config import SECTIONS

        if command != "fit":
            return []
        return [f"--set {section}.{name}" for section, kind in SECTIONS.items() for name in option_names(kind)]


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="corpusmill")
def main() -> None:
    """Train language models on packed sets."""


def _renamed(context: click.Context, option: click.Parameter, value: object) -> None:
    """The callback of an option that has another name now."""
    if value is not None:
        from trainer.config.renamed import RENAMED

        raise click.UsageError(f"--{option.name} is called --{RENAMED[str(option.name)]} now.", context)


@main.command(short_help="Train a model, or go on with it.")
@click.option("--config", type=_DIRECTORY, help="YAML file of these options and settings; the command line wins.")
@config_options(FitOptions, required=False)
@click.option("--ledger", hidden=True, expose_value=False, callback=_renamed)
@click.option(
    "--plugin", "plugins", multiple=True, metavar="FILE.py", help="A file that adds model families. (repeatable)"
)
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
@json_option("Print one JSON object: of each key its default, doc and choices.")
def settings(model: str | None, plugins: tuple[str, ...], as_json: bool) -> None:
    """List the keys of fit's --set (and of --config) with their defaults, those of MODEL where it is given."""
    load_plugins(plugins)
    from trainer.config.settings import setting_lines, settings_json

    if as_json:
        print_json(settings_json(model))
        return

    for line in setting_lines(model):
        click.echo(line)


@main.command(short_help="Continue prompts with the model of a run or of transformers.")
@click.argument("run", metavar="RUN|DIR", type=_DIRECTORY)
@click.option(
    "--prompt", "prompts", multiple=True, help="The beginning of a text. Default: the start of a document. (repeatable)"
)
@click.option("--prompts", "file", type=_DIRECTORY, help="A file of prompts, one a line: text, or a JSON string.")
@click.option(
    "--template", metavar="NAME", help="Prompts are questions, and this is how fine-tuning rendered them, as alpaca."
)
@click.option(
    "--system", default="", metavar="TEXT", help="What stands before the question, where the template takes it."
)
@config_options(SamplingConfig)
@_checkpoint_option
@_device_option
@quiet_option()
@json_option("Print one JSON object: of each prompt its text.")
def generate(
    run: Path,
    prompts: tuple[str, ...],
    file: Path | None,
    template: str | None,
    system: str,
    step: int | None,
    device: str | None,
    quiet: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Continue prompts with the newest checkpoint of RUN, or with the model in a directory DIR of transformers, or answer
    them (--template). One prompt's text is printed as it comes; several go through the model together."""
    share_cores()
    from trainer.run.pretrained import open_model
    from trainer.run.prompts import Asked, read_prompts

    asked = Asked((*prompts, *(read_prompts(file) if file is not None else ())) or ("",), template, system)
    sampling = build_config(SamplingConfig, options)
    model = open_model(run, note(quiet), device, step)
    if len(asked.prompts) == 1 and not as_json:
        for piece in asked.stream(model, sampling):
            click.echo(piece, nl=False)
        click.echo()
        return
    texts = asked.texts(model, sampling)
    if not as_json:
        click.echo("\n\n".join(texts))
    elif len(texts) == 1:
        print_json({"run": str(run), "prompt": asked.prompts[0], "text": texts[0]})
    else:
        pairs = zip(asked.prompts, texts, strict=True)
        print_json({"run": str(run), "texts": [{"prompt": prompt, "text": text} for prompt, text in pairs]})


@main.command(name="eval", short_help="Scores of a run on validation sets and tasks.")
@click.argument("run", type=_DIRECTORY)
@config_options(EvaluationOptions)
@_checkpoint_option
@quiet_option()
@json_option("Print the scores as one JSON object.")
def evaluate(run: Path, step: int | None, quiet: bool, as_json: bool, **options: Any) -> None:
    """Loss, perplexity and bits per byte per domain of the newest checkpoint of RUN, or another one, and their mean by the
    mixture that it trains on; figures that rest on few documents are marked. With --tasks its scores on tasks of lm-eval,
    and with --corpus how many of their examples the corpus holds."""
    share_cores()
    from trainer.evaluation.run import evaluate_run

    found = evaluate_run(run, build_config(EvaluationOptions, options), note(quiet), step)
    if as_json:
        print_json(found.record())
        return
    for line in found.lines():
        click.echo(line)


@main.command(short_help="The documents of a training step.")
@click.argument("run", type=_DIRECTORY)
@click.option("--data", type=_DIRECTORY, required=True, help="The packed set that RUN was trained on.")
@click.option("--step", type=Quantity("count", Bounds(least=1)), required=True, help="The step, from 1.")
@json_option()
def trace(run: Path, data: Path, step: int, as_json: bool) -> None:
    """The documents that a training step held, one line per document and row."""
    from trainer.run.trace import HEADER, step_documents
    from trainer.run.trace import trace as run_trace

    if as_json:
        entries = [dict(zip(HEADER, entry, strict=True)) for entry in step_documents(run, data, step)]
        print_json({"run": str(run), "step": step, "documents": entries})
        return
    for line in run_trace(run, data, step):
        click.echo(line)


@main.command(short_help="Write a model for transformers or llama.cpp.")
@click.argument("run", type=_DIRECTORY)
@click.option(
    "--format",
    "kind",
    type=click.Choice(["hf", "gguf", "peft"]),
    required=True,
    help="transformers, llama.cpp, or adapters alone.",
)
@output_option("Directory to make; it must not exist.")
@_checkpoint_option
@click.option("--dtype", type=click.Choice(["fp32", "bf16"]), default="fp32", show_default=True, help="hf: of weights.")
@click.option(
    "--shard-bytes", type=Quantity("bytes", Bounds(least=1)), default="5GB", show_default=True,
    help="hf: most bytes of a file of weights.",
)  # fmt: skip
@click.option("--check", type=_DIRECTORY, help="A packed set, of whose first 100 documents the loss is compared too.")
@quiet_option()
def export(run: Path, kind: str, output: str, quiet: bool, **options: Any) -> None:
    """Write a checkpoint of RUN for another program, compared with what transformers computes from it: logits, greedy
    tokens and losses. hf takes every family that transformers has a class for, gguf those that llama.cpp knows."""
    share_cores()
    from trainer.export.run import export_run

    export_run(run, kind, Path(output), silent if quiet else click.echo, **options)


@main.command(short_help="What a training takes of a GPU's memory.")
@click.argument("model")
@config_options(MemoryOptions)
@json_option("Print one JSON object: of each way its bytes.")
def memory(model: str, as_json: bool, **options: Any) -> None:
    """What it takes to train MODEL on GPUs, all of it or with LoRA, and what each way to save memory saves."""
    from trainer.config.families.registry import find_preset
    from trainer.config.memory_table import memory_table, table_lines

    shape, asked = find_preset(model).shape, build_config(MemoryOptions, options)
    if as_json:
        ways = [{**asdict(line), "total": line.total} for line in memory_table(shape, asked)]
        print_json({"model": model, "ways": ways})
        return
    for line in table_lines(model, shape, asked):
        click.echo(line)


@main.command(short_help="The steps that saw records which were removed.")
@click.argument("run", type=_DIRECTORY)
@click.argument("report", type=_DIRECTORY)
@json_option("Print one JSON object: of each record its steps.")
def seen(run: Path, report: Path, as_json: bool) -> None:
    """In which steps RUN saw the records of REPORT, a file of OUT/removals that corpus remove wrote."""
    from trainer.run.seen import seen_lines, seen_steps

    if as_json:
        print_json({"run": str(run), "records": seen_steps(run, report)})
        return
    for line in seen_lines(run, report):
        click.echo(line)


@main.command(short_help="What happened to a run.")
@click.argument("run", type=_DIRECTORY)
@json_option("Print one JSON object: of each event its step, kind and words.")
def log(run: Path, as_json: bool) -> None:
    """What happened to RUN, by steps: changes of settings, spikes and what was done about them, forks, checkpoints."""
    from trainer.run.log import events, log_lines

    if as_json:
        print_json({"run": str(run), "events": events(run)})
        return
    for line in log_lines(run):
        click.echo(line)


@main.command()
@click.argument("run", type=_DIRECTORY)
@output_option("The file to write: SVG, PDF or PNG by its ending.", file=True)
def plot(run: Path, output: str) -> None:
    """Draw the loss curve of RUN."""
    from trainer.run.plot import plot as draw_plot

    draw_plot(run, Path(output))


main.add_command(completion_command("trainer"))
main.examples = EXAMPLES
scale.examples = {name.removeprefix("scale "): lines for name, lines in EXAMPLES.items() if name.startswith("scale ")}
for command in (plan_command, memorization, doremi, noise_command, probe, regmix, scale, sweep, report, compare):
    main.add_command(command)
