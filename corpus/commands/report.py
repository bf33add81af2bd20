"""`corpus report OUT` and `corpus compare OUT OTHER`: corpora as pages."""

from __future__ import annotations

from pathlib import Path

import click

from corpus.cli_options import Quantity, quiet_option
from corpus.option import Bounds


@click.command()
@click.argument("output", metavar="OUT")
@click.option(
    "--output", "-o", "page", metavar="FILE", type=click.Path(path_type=Path, dir_okay=False),
    help="The HTML file to write. [default: OUT/report.html]",
)  # fmt: skip
@click.option(
    "--documents", type=Quantity("count", Bounds(least=1)), default=100_000, show_default=True,
    help="About how many documents of each domain to read for languages, lengths, scores and licences.",
)  # fmt: skip
@quiet_option()
def report(output: str, page: Path | None, documents: int, quiet: bool) -> None:
    """Write a run of corpus run as one HTML page that needs nothing else.

    It shows what came in and what is left at each step, why the rest went, with examples, what the documents are like, the
    mixture beside the paper's, and where time and disk went.
    """
    from corpus.page.extra import check_extra

    check_extra()
    from corpus.page.figures import size
    from corpus.page.page import write_page
    from corpus.report.report import report_page
    from corpus.report.run import CorpusRun

    path = page if page is not None else Path(output) / "report.html"
    written = write_page(report_page(CorpusRun(Path(output)), documents), path)
    if not quiet:
        click.echo(f"{path}  {size(written)}")


@click.command()
@click.argument("output", metavar="OUT")
@click.argument("other", metavar="OTHER")
@click.option(
    "--output", "-o", "page", metavar="FILE", type=click.Path(path_type=Path, dir_okay=False),
    default=Path("comparison.html"), show_default=True, help="The HTML file to write.",
)  # fmt: skip
@quiet_option()
def compare(output: str, other: str, page: Path, quiet: bool) -> None:
    """Write two runs of corpus run side by side as one HTML page.

    It shows their counts, drops and mixtures, the documents that only one of them has, and why the other has not, those whose
    text differs, with examples, and how their recipes differ. All ids and texts to train on are read, but for domains that are
    equal.
    """
    from corpus.page.extra import check_extra

    check_extra()
    from corpus.page.figures import size
    from corpus.page.page import write_page
    from corpus.report.comparison import Pair, comparison_page

    written = write_page(comparison_page(Pair.open(Path(output), Path(other))), page)
    if not quiet:
        click.echo(f"{page}  {size(written)}")
