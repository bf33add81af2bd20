"""`corpus run RECIPE --download`: the raw files of each domain from the sources that the recipe names for it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from corpus.config import build
from corpus.errors import UsageError
from corpus.option import nearest
from pipelines.download.downloader import Download
from pipelines.download.registry import SOURCES
from pipelines.recipes.recipe import Recipe


def recipe_downloads(recipe: Recipe, raw: Path, limit: int | None = None) -> list[Download]:
    """What is fetched for each domain into its folder below `raw`, of each source the first `limit` files. A UsageError
    where the recipe names no source, or one that is not there or has other settings."""
    found = []
    for domain, entry in recipe.domains.items():
        for name, settings in entry.download.items():
            if name not in SOURCES:
                raise UsageError(f"domain {domain}: there is no source '{name}': {nearest(name, SOURCES)}")
            source = build(f"domain {domain}, source {name}", SOURCES.load(name), settings)
            found.append(Download(source, raw, limit=limit, domain=entry.folder or domain))
    if not found:
        raise UsageError("the recipe names no sources: give its domains a section download, or leave --download out.")
    return found


def fetch_all(downloads: list[Download], say: Callable[[str], None]) -> None:
    """Fetch what is not there, one source after the other."""
    for download in downloads:
        say(f"── {download.folder}: {download.source.doc}. {download.source.terms}")
        say(f"{download.folder}: {download.run()}")
