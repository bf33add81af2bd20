"""`corpus recipes` and `corpus init`: what recipes there are, and a commented one to begin with."""

from __future__ import annotations

from pathlib import Path

import click

from corpus.cli_options import json_option, print_json
from corpus.errors import UsageError


@click.command()
@click.argument("name", required=False)
@json_option("Print name, description, domains and text as one JSON object.")
def recipes(name: str | None, as_json: bool) -> None:
    """List the recipes that come with the package, or print the one called NAME, with its comments."""
    from corpus.mixture.plan.recipe_file import load_recipe_file, packaged, recipe_doc, recipe_text

    names = packaged() if name is None else [name.removesuffix(".yaml")]
    texts = {one: recipe_text(one) for one in names}
    if as_json:
        entries = [
            {"name": one, "doc": recipe_doc(text), "domains": list(load_recipe_file(one)["domains"]), "text": text}
            for one, text in texts.items()
        ]
        print_json({"recipes": entries})
    elif name is not None:
        click.echo(texts[names[0]], nl=False)
    else:
        for one, text in texts.items():
            click.echo(f"{one:12} {recipe_doc(text)}")
            click.echo(f"{'':12} domains: {', '.join(load_recipe_file(one)['domains'])}")


@click.command("init")
@click.argument("file", metavar="FILE.yaml", type=click.Path(dir_okay=False, path_type=Path))
@click.option(
    "--domain",
    "domains",
    multiple=True,
    metavar="NAME[=READER]",
    help="A domain, and its reader where that is called otherwise. Default: mine=jsonl. (repeatable)",
)
@click.option("--from", "source", metavar="RECIPE", help="Copy a packaged recipe, with its comments, instead.")
@click.option("--overwrite", is_flag=True, help="Replace a file that is there.")
def init(file: Path, domains: tuple[str, ...], source: str | None, overwrite: bool) -> None:
    """Write a commented recipe, in which every section is explained and nothing is left to fill in."""
    from corpus.mixture.plan.recipe_file import recipe_text
    from pipelines.recipes.new import new_recipe

    if source is not None and domains:
        raise UsageError("--from copies a recipe with its domains: leave --domain out.")
    if file.exists() and not overwrite:
        raise UsageError(f"{file} is there already: give another name, or --overwrite.")
    text = (
        recipe_text(source.removesuffix(".yaml"))
        if source is not None
        else new_recipe(domains or ("mine=jsonl",), str(file))
    )
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{file} cannot be written ({error.strerror}): give another name.") from None
    click.echo(
        f"{file} is written; see what it will do with: corpus run {file} --input RAW --output OUT --dry-run", err=True
    )
