"""The text of a raw record, read again from its file: what `corpus clean` took can be told from that."""

from __future__ import annotations

import tempfile
from pathlib import Path

from corpus.errors import DataError, UsageError
from corpus.explain.lookup import position_of
from corpus.ingest.reader import RawFile, Record, needs_survey
from pipelines.recipes.growth import raw_folder, saved_listing
from pipelines.recipes.recipe import load_recipe, make_reader


def reread(output: Path, id: str) -> str | None:
    """The text that the reader of the run in `output` gives for a record. None where the raw file is not there any more as it
    was, where the reader has to know all files of its domain first, and where the record is no document."""
    domain, (name, ordinal) = id.partition("/")[0], position_of(id)
    folder, known = raw_folder(output, domain), saved_listing(output).get(domain, {}).get(name)
    if folder is None or known is None:
        return None
    try:
        reader = make_reader(domain, load_recipe(str(output / "recipe.yaml")).domains[domain])
        path = folder / name
        status = path.stat()
        if (status.st_size, status.st_mtime_ns) != tuple(known) or needs_survey(reader):
            return None
        with tempfile.TemporaryDirectory() as scratch:
            for item in reader.read(RawFile(path, name), Path(scratch)):
                if item.ordinal == ordinal:
                    return item.text if isinstance(item, Record) else None
    except (OSError, KeyError, DataError, UsageError):  # not to be had: it is said that the text is gone
        return None
    return None
