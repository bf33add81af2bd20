"""Repositories that are no archives: checkouts, bare git repositories, tables of BigQuery and of The Stack's shape."""

from __future__ import annotations

import gzip
import io
import json
import random
import stat
import tarfile
import zipfile
from pathlib import Path

import fastavro
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from dulwich.objects import Blob, Commit, Tree
from dulwich.repo import Repo

from corpus.errors import UsageError
from corpus.ingest.files import find_files
from corpus.ingest.reader import Item, Record, Skipped, Unreadable, needs_survey
from corpus.ingest.stage import IngestStage
from pipelines.formats.archive import archive_commit
from pipelines.markup.licences.survey import Survey, Surveyor
from pipelines.readers.github import PALM, GithubReader
from tests.pipelines.licence_texts import APACHE, GPL3, MIT
from tests.pipelines.readers.reading import items_of, reasons_of, records_of

CODE = 'print("hello")\n'
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def ingested(reader: GithubReader, folder: Path, scratch: Path) -> dict[str, list[Item]]:
    """The items of all files of a folder, as `corpus ingest` reads them."""
    files = list(find_files([str(folder)], reader.patterns).files)
    surveys = []
    for number, file in enumerate(files):
        survey = scratch / str(number)
        survey.mkdir(parents=True)
        reader.survey(file, survey)
        surveys.append((file.name, survey))
    gathered = scratch / "gathered"
    gathered.mkdir()
    reader.gather(surveys, gathered)
    prepared = reader.prepared(gathered)
    found = {file.name: list(prepared.read(file, scratch)) for file in files}
    for items in found.values():
        assert sorted(item.ordinal for item in items) == list(range(len(items)))
    return found


def written(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def test_checkouts(tmp_path: Path) -> None:
    folder = written(
        tmp_path / "in",
        {
            "one/LICENSE": APACHE,
            "one/NOTICE": "One\nCopyright 2020 Its Authors\n",
            "one/src/a.py": CODE,
            "one/gpl/COPYING": GPL3,
            "one/gpl/b.py": CODE,
            "two/b.py": CODE,
            "three/pyproject.toml": '[project]\nlicense = "MIT"\n',
            "three/c.py": CODE,
        },
    )
    found = ingested(GithubReader(source="checkouts"), folder, tmp_path / "s")
    records = {name: record for name, items in found.items() for record in records_of(items)}
    assert set(records) == {"one/src/a.py", "three/c.py", "three/pyproject.toml"} - {"three/pyproject.toml"}
    assert records["one/src/a.py"].metadata == {
        "path": "src/a.py", "repository": "one", "licence": "apache-2.0", "licence_file": ["LICENSE"],
        "notice_file": "One\nCopyright 2020 Its Authors", "language": "Python",
    }  # fmt: skip
    assert records["three/c.py"].metadata["licence_file"] == ["pyproject.toml"]
    reasons = {name: reason for name, items in found.items() for reason in reasons_of(items)}
    assert reasons["one/gpl/b.py"] == "licence gpl-3.0" and reasons["two/b.py"] == "no licence"
    alone = written(tmp_path / "alone", {"LICENSE": MIT, "src/a.py": CODE})
    record = ingested(GithubReader(source="checkouts"), alone, tmp_path / "t")["src/a.py"][0]
    assert isinstance(record, Record) and record.metadata["repository"] == "alone"


def repository(folder: Path, files: dict[str, bytes], links: dict[str, bytes] | None = None) -> str:
    """A bare repository with one commit; the commit."""
    folder.mkdir(parents=True)
    repo = Repo.init_bare(str(folder))

    def tree_of(entries: dict[str, tuple[int, bytes]]) -> Tree:
        tree, inner = Tree(), {}
        for name, entry in entries.items():
            top, _, rest = name.partition("/")
            if rest:
                inner.setdefault(top, {})[rest] = entry
                continue
            blob = Blob.from_string(entry[1])
            repo.object_store.add_object(blob)
            tree.add(top.encode(), entry[0], blob.id)
        for top, below in inner.items():
            tree.add(top.encode(), stat.S_IFDIR, tree_of(below).id)
        repo.object_store.add_object(tree)
        return tree

    entries = {name: (0o100644, data) for name, data in files.items()}
    entries |= {name: (0o120000, data) for name, data in (links or {}).items()}
    commit = Commit()
    commit.tree = tree_of(entries).id
    commit.author = commit.committer = b"A <a@b.c>"
    commit.author_time = commit.commit_time = 1_600_000_000
    commit.author_timezone = commit.commit_timezone = 0
    commit.message = b"m"
    repo.object_store.add_object(commit)
    repo.refs[b"refs/heads/main"] = commit.id
    repo.refs.set_symbolic_ref(b"HEAD", b"refs/heads/main")
    repo.close()
    return commit.id.decode()


def test_bare_repositories(tmp_path: Path) -> None:
    files = {"LICENSE": MIT.encode(), "src/a.py": CODE.encode(), "b.py": b"\xff", "d/data.csv": b"1"}
    commit = repository(tmp_path / "in/owner/name.git", files, {"link.py": b"src/a.py"})
    reader = GithubReader(source="repositories")
    found = ingested(reader, tmp_path / "in", tmp_path / "s")
    items = found.pop("owner/name.git/HEAD")
    (record,) = records_of(items)
    assert record.text == CODE and record.metadata == {
        "path": "src/a.py", "repository": "owner/name", "licence": "mit", "licence_file": ["LICENSE"], "commit": commit,
        "copyright": ["Copyright (c) 2020 Somebody"], "language": "Python",
    }  # fmt: skip
    assert sorted(reasons_of(items)) == ["data", "licence file", "not UTF-8", "not a file"]
    assert {reason for others in found.values() for reason in reasons_of(others)} == {
        "object or reference of a repository"
    }
    folder = tmp_path / "in/owner/name.git"
    assert records_of(items_of(reader, folder / "HEAD"))[0].metadata["repository"] == "name"


def test_damaged_repositories(tmp_path: Path) -> None:
    Repo.init_bare(str(tmp_path / "empty.git"), mkdir=True).close()
    (item,) = items_of(GithubReader(source="repositories"), tmp_path / "empty.git/HEAD")
    assert isinstance(item, Unreadable) and item.reason.startswith("no commit at the head")
    files = {"LICENSE": MIT.encode(), **{f"f{n}.py": f"x = {n}\n".encode() * 40 for n in range(8)}}
    repository(tmp_path / "r.git", files)
    reader, head = GithubReader(source="repositories"), tmp_path / "r.git/HEAD"
    objects = sorted(path for path in (tmp_path / "r.git/objects").glob("??/*"))
    dice = random.Random(1)
    for path in objects:
        data = path.read_bytes()
        path.chmod(0o644)
        for _ in range(4):
            at = dice.randrange(len(data))
            path.write_bytes(dice.choice((data[:at], data[:at] + bytes([data[at] ^ 64]) + data[at + 1 :])))
            items = items_of(reader, head)
            assert len(items) == 9 or any(isinstance(item, Unreadable) for item in items)
        path.unlink()
        assert any(isinstance(item, Unreadable | Skipped) for item in items_of(reader, head))
        path.write_bytes(data)
    assert len(records_of(items_of(reader, head))) == 8


STACK = [
    {
        "hexsha": "h1", "ext": "py", "max_stars_repo_path": "a/b.py", "max_stars_repo_name": "o/r", "content": CODE,
        "max_stars_repo_head_hexsha": COMMIT, "max_stars_repo_licenses": ["MIT"],
    },
    {"hexsha": "h2", "ext": "py", "max_stars_repo_path": "c.py", "content": CODE, "max_stars_repo_licenses": ["MIT", "GPL-3.0"]},
    {"hexsha": "h3", "ext": "py", "content": "# SPDX-License-Identifier: MIT\n" + CODE, "max_stars_repo_licenses": []},
    {"hexsha": "h4", "ext": "py", "max_stars_repo_path": "d.py", "content": None, "max_stars_repo_licenses": ["MIT"]},
]  # fmt: skip


@pytest.mark.parametrize("form", ["parquet", "jsonl.gz", "avro"])
def test_tables_shaped_like_the_stack(form: str, tmp_path: Path) -> None:
    path = tmp_path / f"part.{form}"
    names = {name: None for row in STACK for name in row}
    rows = [{**names, **row} for row in STACK]
    if form == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif form == "avro":
        kinds = {"max_stars_repo_licenses": ["null", {"type": "array", "items": "string"}]}
        listed = [{"name": name, "type": kinds.get(name, ["null", "string"])} for name in names]
        with path.open("wb") as out:
            fastavro.writer(out, {"type": "record", "name": "r", "fields": listed}, rows, codec="snappy")
    else:
        path.write_bytes(gzip.compress("\n".join(map(json.dumps, rows)).encode()))
    items = items_of(GithubReader(source="tables"), path)
    if form == "parquet":  # among archives, too
        assert items_of(GithubReader(), path) == items
    first, third = records_of(items)
    assert first.text == CODE and first.metadata == {
        "path": "a/b.py", "repository": "o/r", "licence": "mit", "licence_column": "max_stars_repo_licenses", "commit": COMMIT,
        "id": "h1", "language": "Python",
    }  # fmt: skip
    assert third.ordinal == 2 and third.metadata["licence_file"] == ["file.py"]
    assert reasons_of(items) == ["licence gpl-3.0", "no content"]
    data = path.read_bytes()
    dice = random.Random(0)
    for _ in range(60):
        at = dice.randrange(len(data))
        path.write_bytes(data[:at] + bytes([data[at] ^ 1 << dice.randrange(8)]) + data[at + 1 :])
        items_of(GithubReader(source="tables"), path)
        path.write_bytes(data[:at])
        items_of(GithubReader(source="tables"), path)


def test_bigquery_export(tmp_path: Path) -> None:
    """Contents by their ids, which have several files; licences by repository; null fields are left out."""
    contents = [
        {"id": "c1", "size": "3", "content": CODE, "binary": False, "copies": "2"},
        {"id": "c2", "size": "9", "binary": True},
        {"id": "c3", "content": CODE},
        {"id": "c4", "content": CODE, "sample_repo_name": "a/mit", "sample_path": "x.py"},
        {"id": "c5", "content": CODE, "repo_name": "b/gpl", "path": "x.py", "license": "apache-2.0"},
    ]
    files = [
        {"repo_name": "b/gpl", "ref": "refs/heads/master", "path": "copy.py", "id": "c1"},
        {"repo_name": "c/mit", "ref": COMMIT, "path": "first.py", "id": "c1"},
    ]
    licences = [{"repo_name": "a/mit", "license": "mit"}, {"repo_name": "b/gpl", "license": "gpl-2.0"}, {"repo_name": "c/mit", "license": "mit"}]  # fmt: skip
    folder = tmp_path / "in"
    folder.mkdir()
    for name, rows in (("contents-0.json", contents), ("files-0.json", files), ("licenses-0.json", licences)):
        (folder / name).write_text("\n".join(map(json.dumps, rows)))
    found = ingested(GithubReader(source="tables"), folder, tmp_path / "s")
    records = records_of(found["contents-0.json"])
    places = [[record.metadata[name] for name in ("repository", "path", "licence", "id")] for record in records]
    assert places == [
        ["c/mit", "first.py", "mit", "c1"], ["a/mit", "x.py", "mit", "c4"], ["b/gpl", "x.py", "apache-2.0", "c5"],
    ]  # fmt: skip
    assert records[0].metadata["commit"] == COMMIT
    assert reasons_of(found["contents-0.json"]) == ["binary", "no licence"]
    assert reasons_of(found["files-0.json"]) == ["table of files"]
    assert reasons_of(found["licenses-0.json"]) == ["table of licences"]


def tables(tmp_path: Path, **rows: list[dict[str, object]]) -> dict[str, list[Item]]:
    """The items of tables of JSON lines, by their names."""
    folder = tmp_path / "in"
    folder.mkdir()
    for name, table in rows.items():
        (folder / f"{name}.json").write_text("\n".join(map(json.dumps, table)))
    found = ingested(GithubReader(source="tables"), folder, tmp_path / "s")
    return {name.removesuffix(".json"): items for name, items in found.items()}


@pytest.mark.parametrize("stated", [("mit", "gpl-3.0"), ("gpl-3.0", "mit")])
@pytest.mark.parametrize("apart", [False, True])
def test_all_licences_of_a_repository_hold(stated: tuple[str, str], apart: bool, tmp_path: Path) -> None:
    licences: list[dict[str, object]] = [{"repo_name": "a/b", "license": licence} for licence in stated]
    contents: list[dict[str, object]] = [{"content": CODE, "repo_name": "a/b", "path": "x.py"}]
    parts = {"one": licences[:1], "two": licences[1:]} if apart else {"one": licences}
    assert reasons_of(tables(tmp_path, contents=contents, **parts)["contents"]) == ["licence gpl-3.0"]


def test_of_the_files_of_a_content_one_with_a_choice_is_taken(tmp_path: Path) -> None:
    files: list[dict[str, object]] = [{"repo_name": name, "path": "x.py", "id": "c"} for name in ("a/gpl", "b/dual")]
    found = tables(
        tmp_path,
        contents=[{"id": "c", "content": CODE}],
        files=files,
        licences=[
            {"repo_name": "a/gpl", "license": "gpl-3.0"},
            {"repo_name": "b/dual", "license": "MIT OR GPL-2.0-only"},
        ],
    )
    assert [record.metadata["repository"] for record in records_of(found["contents"])] == ["b/dual"]


def test_rows_without_contents_do_not_make_a_table_of_files(tmp_path: Path) -> None:
    row = {"repo_name": "a/b", "path": "x.py", "license": "mit"}
    items = tables(tmp_path, contents=[row, *({**row, "content": CODE} for _ in range(5))])["contents"]
    assert len(records_of(items)) == 5
    assert reasons_of(items) == ["no content"]


@pytest.mark.parametrize("name", ["id", "repo_name", "path", "license", "commit"])
def test_a_row_that_is_no_unicode_costs_itself(name: str, tmp_path: Path) -> None:
    row = {"id": "c", "repo_name": "a/b", "path": "x.py", "license": "mit", "commit": COMMIT}
    bad = {**row, name: ["mit", "\ud800"] if name == "license" else "\ud800"}
    found = tables(
        tmp_path,
        contents=[{**bad, "content": CODE}, {**row, "content": CODE}, {"id": "\ud800", "content": CODE}],
        files=[{"id": "d", "repo_name": "a/b", "path": "\ud800"}],
        licences=[{"repo_name": "\ud800", "license": "mit"}],
    )
    items = found["contents"]
    assert [item.reason for item in items if isinstance(item, Unreadable)] == ["not UTF-8", "not UTF-8"]
    assert len(records_of(items)) == 1


def test_the_commit_of_an_archive(tmp_path: Path) -> None:
    path = tmp_path / "r.tar.gz"
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT, pax_headers={"comment": COMMIT}) as archive:
        for name, text in (("r/LICENSE", MIT), ("r/a.py", CODE)):
            info = tarfile.TarInfo(name)
            info.size = len(text)
            archive.addfile(info, io.BytesIO(text.encode()))
    path.write_bytes(gzip.compress(buffer.getvalue()))
    assert [record.metadata["commit"] for record in records_of(items_of(GithubReader(), path))] == [COMMIT]
    zipped = tmp_path / "r.zip"
    with zipfile.ZipFile(zipped, "w") as archive:
        archive.writestr("r/a.py", CODE)
        archive.comment = COMMIT.encode()
    assert archive_commit(zipped) == COMMIT
    path.write_bytes(gzip.compress(buffer.getvalue())[:40])
    assert archive_commit(path) == ""


def test_palms_languages(tmp_path: Path) -> None:
    assert len(PALM) == 24
    names = ("LICENSE", "a.py", "b.xml", "c.md", "d.jl", "E.java")
    texts = {name: MIT if name == "LICENSE" else "<a/>\n" if name == "b.xml" else "x = 1\n" for name in names}
    found = ingested(
        GithubReader(source="checkouts", select="palm"), written(tmp_path / "in/r", texts).parent, tmp_path / "s"
    )
    assert {name for name, items in found.items() if records_of(items)} == {"r/a.py", "r/b.xml", "r/E.java"}
    assert reasons_of(found["r/c.md"]) == ["language"]


def test_a_survey_is_the_same_after_writing() -> None:
    surveyor = Surveyor("r")
    for name, text in (("r/LICENSE", MIT), ("r/NOTICE", "n"), ("r/a/setup.cfg", "[metadata]\nlicense = MIT\n")):
        surveyor.take(name, text.encode())
    survey = surveyor.settle()
    again = Survey.from_json(survey.to_json())
    assert again == survey and again.licences("r/a/x.py") == survey.licences("r/a/x.py")


def test_unknown_sources_name_the_nearest() -> None:
    with pytest.raises(UsageError, match="checkouts"):
        GithubReader(source="checkout")
    assert GithubReader().patterns == GithubReader.patterns


def test_archives_are_read_each_by_itself(tmp_path: Path) -> None:
    """So that a new one does not make the others be read again; what several files tell together is surveyed."""
    assert not needs_survey(GithubReader())
    assert all(needs_survey(GithubReader(source=source)) for source in ("repositories", "checkouts", "tables"))
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("r/a.py", CODE)
    assert IngestStage(GithubReader(), (str(tmp_path),)).units()
    assert not IngestStage(GithubReader(source="checkouts"), (str(tmp_path),)).units()
