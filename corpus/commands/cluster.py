"""`corpus plan-cluster RECIPE --calibration OUT --input-bytes … --cores …`."""

from __future__ import annotations

from pathlib import Path

import click

from corpus.cli_options import Number, Quantity, json_option, print_json
from corpus.errors import UsageError
from corpus.option import Bounds
from corpus.quantity import parse_quantity


@click.command("plan-cluster")
@click.argument("recipe", metavar="RECIPE")
@click.option("--calibration", required=True, metavar="OUT", help="Output of corpus run with this recipe on a sample.")
@click.option(
    "--input-bytes",
    "given",
    required=True,
    multiple=True,
    metavar="[DOMAIN=]BYTES",
    help="Raw files: of a domain, or of all, divided by the mixture's shares. (repeatable)",
)
@click.option("--cores", type=Quantity("count", Bounds(least=1)), required=True, help="Cores of the cluster.")
@click.option(
    "--failing",
    type=Number(Bounds(least=0, most=0.5)),
    default="1%",
    show_default=True,
    help="Part of the attempts that fail.",
)
@click.option("--price", type=Number(Bounds(least=0)), default="0", help="Price of a core hour.")
@json_option("Print the plan as one JSON object.")
def plan_cluster(
    recipe: str, calibration: str, given: tuple[str, ...], cores: int, failing: float, price: float, as_json: bool
) -> None:
    """Say what a recipe takes on a cluster: core hours, hours, disk, memory and traffic of each stage.

    Rates are those of a run on a sample: its stages' processor times, bytes and memory, taken as linear in the raw bytes.
    Stragglers as in the sample and failing tasks are simulated.
    """
    from pipelines.recipes.cluster import Calibration, input_bytes
    from pipelines.recipes.cluster import plan_cluster as plan
    from pipelines.recipes.recipe import load_recipe

    loaded, sample = load_recipe(recipe), Calibration(Path(calibration))
    sample.check(loaded)
    total, domains = 0, {}
    for text in given:
        domain, named, size = text.rpartition("=")
        try:
            number = parse_quantity(size, "bytes")
        except ValueError as error:
            raise UsageError(f"--input-bytes {text}: {error}.") from None
        if named:
            domains[domain] = number
        else:
            total = number
    wanted = input_bytes(domains, total, loaded, sample.raw())
    found = plan(loaded, sample, wanted, cores, failing, price)
    if as_json:
        print_json(found.to_json())
        return
    click.echo("\n".join(found.lines()))
