"""Loose TeX files in folders: which of them are one paper, and its files brought together.

The files of a paper come as single raw files; the paper is the document of the first TeX file, and the others are merged
into it. A paper is the highest folder that has TeX files of its own; a file named by an identifier of arXiv is a paper
alone, so that a folder of such files is many.
"""

import io
import posixpath
import sqlite3
import tarfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path

LOOSE = (".tex", ".ltx", ".latex", ".sty", ".cls", ".tikz", ".pgf")
TEX = (".tex", ".ltx", ".latex")
CONTENT, DATABASE = "content", "papers.sqlite"


def is_loose(name: str) -> bool:
    """Whether a raw file is one of the sources of a paper and no archive."""
    return name.lower().endswith(LOOSE)


def gather_papers(surveys: Sequence[tuple[str, Path]], folder: Path, is_id: Callable[[str], bool]) -> None:
    """Writes a look-up of loose files: the first TeX file of each one's paper, and with that a tar of them all."""
    names = {name: survey / CONTENT for name, survey in surveys if is_loose(name)}
    tops = {posixpath.dirname(name) for name in names if name.lower().endswith(TEX) and not is_id(_stem(name))}
    papers: dict[tuple[str, str], list[str]] = {}
    for name in names:
        folder_of = posixpath.dirname(name) if is_id(_stem(name)) else _paper_folder(name, tops)
        papers.setdefault((folder_of, _stem(name) if is_id(_stem(name)) else ""), []).append(name)
    with closing(sqlite3.connect(folder / DATABASE)) as connection:
        connection.execute("PRAGMA synchronous = OFF")  # made again if the run is killed
        connection.execute("CREATE TABLE file (name PRIMARY KEY, first, paper, sources)")
        for (above, stem), members in papers.items():
            first = next((name for name in members if name.lower().endswith(TEX)), members[0])
            title = "/".join(part for part in (above, stem) if part) or _stem(first)
            tar = _tar((posixpath.relpath(name, above or "."), names[name]) for name in members)
            connection.execute("INSERT INTO file VALUES (?, ?, ?, ?)", (first, first, title, tar))
            connection.executemany(
                "INSERT INTO file VALUES (?, ?, '', NULL)", [(name, first) for name in members if name != first]
            )
        connection.commit()


def loose_paper(database: Path, name: str) -> tuple[str, str, bytes]:
    """For a loose file the first file of its paper; for that file itself the paper's name, too, and a tar of its sources."""
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        first, paper, sources = connection.execute(
            "SELECT first, paper, sources FROM file WHERE name = ?", (name,)
        ).fetchone()
    return first, paper, sources or b""


def _stem(name: str) -> str:
    return posixpath.splitext(posixpath.basename(name))[0]


def _paper_folder(name: str, tops: set[str]) -> str:
    """The highest folder above a file that has TeX files of its own; the file's own folder where none has."""
    parts = posixpath.dirname(name).split("/")
    above = ("/".join(parts[:depth]) for depth in range(len(parts) + 1))
    return next((folder for folder in above if folder in tops), posixpath.dirname(name))


def _tar(files: Iterator[tuple[str, Path]]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, path in files:
            info = tarfile.TarInfo(name)
            info.size = path.stat().st_size
            with path.open("rb") as content:
                archive.addfile(info, content)
    return buffer.getvalue()
