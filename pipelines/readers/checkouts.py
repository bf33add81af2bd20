"""Checkouts of repositories, file by file: what their files say of licences, brought together for each repository."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from functools import lru_cache
from pathlib import Path

from corpus.ingest.reader import RawFile
from pipelines.markup.licences.survey import Survey, Surveyor

CONTENT, ARCHIVE, DATABASE = "content", "archive", "checkouts.sqlite"


def survey_file(file: RawFile, folder: Path) -> None:
    """Copies a file that says something of licences, and notes the folder of one that lies in no folder of the input."""
    if Surveyor.wants(file.name, file.path.stat().st_size):
        shutil.copyfile(file.path, folder / CONTENT)
    if "/" not in file.name:
        (folder / ARCHIVE).write_text(file.path.absolute().parent.name)


def gather_checkouts(surveys: Sequence[tuple[str, Path]], folder: Path) -> None:
    """Writes a survey of each repository: of each folder of the input, or of the input where files lie in it itself."""
    root = next((survey for name, survey in surveys if (survey / ARCHIVE).exists()), None)
    archive = (root / ARCHIVE).read_text() if root else ""
    surveyors: dict[str, Surveyor] = {}
    for name, survey in surveys:
        surveyor = surveyors.setdefault("" if root else name.partition("/")[0], Surveyor(archive))
        content = survey / CONTENT
        surveyor.take(name, content.read_bytes() if content.exists() else None)
    with closing(sqlite3.connect(folder / DATABASE)) as database:
        database.execute("CREATE TABLE checkout (top TEXT PRIMARY KEY, survey TEXT)")
        rows = ((top, surveyor.settle().to_json()) for top, surveyor in surveyors.items())
        database.executemany("INSERT INTO checkout VALUES (?, ?)", rows)
        database.commit()


def survey_of(folder: Path, name: str) -> tuple[Survey, str]:
    """The survey of the repository that a file is of, and the file's name in it; `folder` is what was gathered."""
    return _survey(str(folder / DATABASE), name.partition("/")[0]), name


@lru_cache(maxsize=64)
def _survey(database: str, top: str) -> Survey:
    with closing(sqlite3.connect(f"file:{database}?mode=ro&immutable=1", uri=True)) as connection:
        select = "SELECT survey FROM checkout WHERE top IN (?, '') ORDER BY top"
        return Survey.from_json(connection.execute(select, (top,)).fetchone()[0])
