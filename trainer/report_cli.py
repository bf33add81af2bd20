"""The commands of `trainer` that write pages."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from corpus.cli_options import Quantity, build_config, config_options, quiet_option
from corpus.option import Bounds
from trainer.api import share_cores
from trainer.run.sampling import SamplingConfig
from trainer.science_cli import note, silent

if TYPE_CHECKING:
    from corpus.page.parts import Page
    from trainer.report.trained import TrainedRun

_DIRECTORY = click.Path(path_type=Path)
_FILE = click.Path(path_type=Path, dir_okay=False)


@click.command(short_help="Write a run as one HTML page.")
@click.argument("run", type=_DIRECTORY)
@click.option("--output", "-o", type=_FILE, metavar="FILE", help="The HTML file to write. [default: RUN/report.html]")
@click.option("--watch", is_flag=True, help="Write it again while the run goes on; browsers that show it follow.")
@click.option(
    "--every", type=Quantity("count", Bounds(least=1)), default=30, show_default=True, help="With --watch: seconds."
)
@click.option(
    "--prompt", "prompts", multiple=True, help="Let each checkpoint that is kept continue this text. (repeatable)"
)
@config_options(SamplingConfig)
@quiet_option()
def report(
    run: Path, output: Path | None, watch: bool, every: int, prompts: tuple[str, ...], quiet: bool, **options: Any
) -> None:
    """Write RUN as one HTML page that needs nothing else: losses and perplexities by domain, gradients, rate, batch, speed,
    memory, noise scale, spikes with their documents, checkpoints, changed settings, and with --prompt what each checkpoint
    writes."""
    from corpus.page.extra import check_extra

    check_extra()
    share_cores()
    from corpus.page.figures import size
    from corpus.page.page import write_page
    from trainer.report.report import report_page
    from trainer.report.trained import TrainedRun
    from trainer.report.watch import watch as write_again

    path = output if output is not None else run / "report.html"
    sampling = build_config(SamplingConfig, options)
    say = silent if quiet else click.echo
    make = partial(_page, report_page, prompts, sampling, note(quiet))
    if watch:
        write_again(run, path, every, make, say)
        return
    written = write_page(make(TrainedRun(run), 0), path)
    say(f"{path}  {size(written)}")


def _page(make: Any, prompts: Any, sampling: Any, say: Any, run: TrainedRun, refresh: int) -> Page:
    page: Page = make(run, prompts, sampling, say, refresh)
    return page


@click.command(short_help="Write runs beside one another as one HTML page.")
@click.argument("runs", nargs=-1, required=True, type=_DIRECTORY, metavar="RUN RUN…")
@click.option(
    "--output", "-o", type=_FILE, metavar="FILE", default=Path("comparison.html"), show_default=True,
    help="The HTML file to write.",
)  # fmt: skip
@quiet_option()
def compare(runs: tuple[Path, ...], output: Path, quiet: bool) -> None:
    """Write two or more runs beside one another as one HTML page: losses by tokens, perplexities by domain, speed, and the
    settings in which they differ."""
    from corpus.page.extra import check_extra

    check_extra()
    share_cores()
    from corpus.page.figures import size
    from corpus.page.page import write_page
    from trainer.report.comparison import comparison_page, open_runs

    written = write_page(comparison_page(open_runs(runs)), output)
    if not quiet:
        click.echo(f"{output}  {size(written)}")
