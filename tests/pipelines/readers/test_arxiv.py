"""arXiv's bulk tars: layouts, identifiers, encodings, and damage that must not lose a readable paper."""

from __future__ import annotations

import gzip
import io
import json
import random
import re
import tarfile
from pathlib import Path

import pytest

from corpus.errors import UsageError
from corpus.ingest.files import find_files
from corpus.ingest.reader import Item, Merged, RawFile, Reader, Record, Skipped, Unreadable
from pipelines.markup.latex.names import PROTECTED
from pipelines.markup.latex.sources import Sources
from pipelines.readers.arxiv import ArxivReader, paper_id
from pipelines.readers.papers import members, source_files
from tests.pipelines.readers.reading import items_of, reasons_of, records_of

PAPER = "\\documentclass{{article}}\n\\begin{{document}}\nTitle\n\\section{{S}}\n{}\n\\end{{document}}\n"


def tar(files: dict[str, bytes], form: int = tarfile.GNU_FORMAT) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def packed(*files: tuple[str, str]) -> bytes:
    return gzip.compress(tar({name: text.encode() for name, text in files}), mtime=0)


def single(text: str, encoding: str = "utf-8") -> bytes:
    return gzip.compress(PAPER.format(text).encode(encoding), mtime=0)


def test_a_bulk_tar(tmp_path: Path) -> None:
    path = tmp_path / "arXiv_src_2301_001.tar"
    files = {
        "2301/2301.00001.gz": packed(("ms.tex", PAPER.format("\\input{b}")), ("b.tex", "included"), ("f.pdf", "%PDF")),
        "2301/2301.00002.gz": single("alone"),
        "2301/2301.00003.pdf": b"%PDF-1.5",
        "0001/astro-ph0001001.gz": single("old"),
        "2301/2301.00004.gz": gzip.compress(b"%PDF-1.5 in a gz"),
        "2301/2301.00005.gz": packed(("readme.md", "nothing")),
        "2301/notes.txt": b"x",
        "2301/2301.00006.gz": gzip.compress(b"\\documentclass{a}\\begin{document}\\end{document}"),
    }
    path.write_bytes(tar(files))
    items = items_of(ArxivReader(), path)
    assert [record.text for record in records_of(items)] == [
        f"\\section{{S}}\n{text}" for text in ("included", "alone", "old")
    ]
    assert [record.url for record in records_of(items)] == [
        "https://arxiv.org/abs/2301.00001", "https://arxiv.org/abs/2301.00002", "https://arxiv.org/abs/astro-ph/0001001",
    ]  # fmt: skip
    assert reasons_of(items) == ["pdf only", "pdf only", "no TeX source", "not a source file", "empty text"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("2301/2301.00001", ("2301.00001", True)),
        ("0704/0704.0001v2", ("0704.0001", True)),
        ("0001/astro-ph0001001", ("astro-ph/0001001", True)),
        ("math/0301001", ("math/0301001", True)),
        ("math.AG/0301001v3", ("math/0301001", True)),
        ("sample/EricDarve__existence_of_lu", ("EricDarve__existence_of_lu", False)),
    ],
)
def test_identifiers(name: str, expected: tuple[str, bool]) -> None:
    assert paper_id(name) == expected


@pytest.mark.parametrize(
    ("encoding", "inputenc"),
    [("utf-8", ""), ("latin-1", ""), ("cp1252", ""), ("cp1251", "cp1251"), ("koi8-r", "koi8-r")],
)
def test_no_encoding_loses_a_paper(tmp_path: Path, encoding: str, inputenc: str) -> None:  # f3, row 12
    word = "Пуанкаре" if inputenc else "Poincaré"
    text = PAPER.format(word).replace("article}", f"article}}\\usepackage[{inputenc}]{{inputenc}}")
    files = source_files(gzip.compress(text.encode(encoding)))
    assert word in files["main.tex"]
    two = source_files(gzip.compress(tar({"a.tex": "Erdős".encode(), "b.tex": "Poincaré".encode("latin-1")})))
    assert two == {"a.tex": "Erdős", "b.tex": "Poincaré"}


def test_one_paper_alone(tmp_path: Path) -> None:
    path = tmp_path / "2301.00001.tar.gz"
    path.write_bytes(packed(("ms.tex", PAPER.format("x")), ("fig.ps.gz", "y")))
    (record,) = records_of(items_of(ArxivReader(), path))
    assert record.metadata["id"] == "2301.00001"
    path = tmp_path / "bulk.tar.gz"
    path.write_bytes(gzip.compress(tar({"2301/2301.00001.gz": single("x"), "2301/2301.00002.gz": single("y")})))
    assert len(records_of(items_of(ArxivReader(), path))) == 2


def test_settings(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    text = PAPER.replace("Title", "\\begin{{abstract}}Abs\\end{{abstract}}").format("x \\bibliography{y}")
    path.write_bytes(tar({"2301/2301.00001.gz": gzip.compress(text.encode())}))
    (record,) = records_of(items_of(ArxivReader(preset="full", keep_bibliography=True), path))
    assert record.text.startswith("\\begin{abstract}Abs") and record.text.endswith("\\bibliography{y}")


PRESETS = """\\documentclass{article}
\\newcommand{\\R}{\\mathbb{R}}
\\title{On $\\R$\\thanks{x}}
\\author{Ada L. \\and Bob M.}
\\begin{document}
\\maketitle
\\begin{abstract}Abs.\\end{abstract}
Before any heading.
\\section{One}\\label{s} Text% comment
 of $\\R\\R$.
\\bibliography{refs}
\\appendix
\\section{Proofs} More.
\\end{document}
"""


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, "\\section{One} Textof $\\mathbb{R}\\mathbb{R}$.\n\n\\appendix\n\\section{Proofs} More."),
        (
            {"preset": "full"},
            "\\title{On $\\mathbb{R}$\\thanks{x}}\n\n\\begin{abstract}Abs.\\end{abstract}\n\nBefore any heading.\n"
            "\\section{One} Textof $\\mathbb{R}\\mathbb{R}$.\n\n\\appendix\n\\section{Proofs} More.",
        ),
        ({"preset": "redpajama"}, "\\section{One}\\label{s} Textof $\\mathbb{R}\\mathbb{R}$."),
        ({"preset": "redpajama", "layout": "drop"}, "\\section{One} Textof $\\mathbb{R}\\mathbb{R}$."),
        (
            {"preset": "redpajama", "variant": "faithful"},
            "\\section{One}\\label{s} Tex\n of $\\mathbb{R}\\R$.",
        ),
    ],
)
def test_presets(tmp_path: Path, settings: dict[str, str], expected: str) -> None:
    path = tmp_path / "a.tar"
    path.write_bytes(tar({"math.AG/0301001v2.gz": gzip.compress(PRESETS.encode())}))
    (record,) = records_of(items_of(ArxivReader(**settings), path))  # type: ignore[arg-type]
    assert record.text == expected
    assert record.metadata == {
        "id": "math/0301001", "version": 2, "categories": ["math.AG"], "title": "On $\\mathbb{R}$", "author": "Ada L., Bob M.",
    }  # fmt: skip


def test_settings_that_contradict() -> None:
    for settings, words in (
        ({"preset": "llam"}, "llama"),
        ({"variant": "faithful"}, "--preset redpajama"),
        ({"preset": "redpajama", "variant": "faithful", "layout": "drop"}, "leave --layout drop out"),
        ({"preset": "redpajama", "keep_bibliography": True}, "leave"),
    ):
        with pytest.raises(UsageError, match=words):
            ArxivReader(**settings)  # type: ignore[arg-type]


LISTED = {
    "id": "2301.00001", "title": "On the\n  \\'etale site", "authors": "X", "authors_parsed": [["Balázs", "C.", ""], ["Doe", "J", "Jr"]],
    "categories": "hep-ph math.AG", "license": "http://creativecommons.org/licenses/by-sa/4.0/", "update_date": "2024-01-01",
    "versions": [{"version": "v1", "created": "Mon, 2 Jan 2023 19:18:42 GMT"}],
}  # fmt: skip


def test_what_the_listing_says(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.tar").write_bytes(tar({"2301/2301.00001.gz": single("x"), "2301/2301.00002.gz": single("y")}))
    lines = [json.dumps(LISTED), "{broken", json.dumps({"id": "2301.00003", "title": 5, "versions": [{}]})]
    (tmp_path / "in/arxiv-metadata-oai-snapshot.json.gz").write_bytes(gzip.compress("\n".join(lines).encode()))
    files = list(find_files([str(tmp_path / "in")], ArxivReader.patterns).files)
    reader = gathered(ArxivReader(), files, tmp_path / "scratch")
    first, second = list(reader.read(files[0], tmp_path))
    assert isinstance(first, Record) and first.metadata == {
        "id": "2301.00001", "title": "On the étale site", "author": "C. Balázs, J Doe Jr", "date": "2023-01-02",
        "categories": ["hep-ph", "math.AG"], "licence": "CC-BY-SA-4.0",
    }  # fmt: skip
    assert isinstance(second, Record) and second.metadata == {"id": "2301.00002"}
    assert reasons_of(list(reader.read(files[1], tmp_path))) == ["listing of papers", "no entry of a listing"]


def test_an_odd_size_in_a_tar_is_passed_over(tmp_path: Path) -> None:
    info = tarfile.TarInfo("2301/2301.00001.gz")
    info.size, info.pax_headers = len(single("x")), {"comment": "9" * 5000}
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        archive.addfile(info, io.BytesIO(single("x")))
    for name in ("comment", "size"):
        data = buffer.getvalue()
        if name == "size":
            data = data.replace(b" comment=" + b"9" * 3, b" size=" + b"9" * 6)
        (tmp_path / "a.tar").write_bytes(data)
        (record,) = records_of(items_of(ArxivReader(), tmp_path / "a.tar"))
        assert record.metadata["id"] == "2301.00001"


@pytest.mark.parametrize("year", ["99999999999999999999999", "0", "10000", "9" * 5000])
def test_an_odd_date_in_the_listing_is_passed_over(tmp_path: Path, year: str) -> None:
    entry = LISTED | {"versions": [{"created": f"Mon, 1 Jan {year} 00:00:00 GMT"}]}
    files = written(tmp_path / "in", {"2301.00001.tex": "x", "arxiv-metadata-oai-snapshot.json": json.dumps(entry)})
    record = read_together(ArxivReader(), files, tmp_path / "scratch")["2301.00001.tex"]
    assert isinstance(record, Record) and record.metadata["date"] in ("2024-01-01", "2000-01-01")


def written(folder: Path, files: dict[str, str]) -> list[RawFile]:
    """Files as `corpus ingest` finds them, names relative to the folder."""
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return list(find_files([str(folder)], ArxivReader.patterns).files)


def read_together(reader: ArxivReader, files: list[RawFile], scratch: Path) -> dict[str, Item]:
    """The items of single files after the survey of them all."""
    prepared = gathered(reader, files, scratch)
    items = {}
    for file in files:
        (items[file.name],) = prepared.read(file, scratch)
    return items


def gathered(reader: ArxivReader, files: list[RawFile], scratch: Path) -> Reader:
    """The reader after the survey of all files."""
    surveys, target = [], scratch / "gathered"
    target.mkdir(parents=True)
    for number, file in enumerate(files):
        folder = scratch / str(number)
        folder.mkdir()
        reader.survey(file, folder)
        surveys.append((file.name, folder))
    reader.gather(surveys, target)
    return reader.prepared(target)


def test_a_folder_of_sources_is_a_paper(tmp_path: Path) -> None:  # X6
    files = {
        "2301.00007v2/ms.tex": PAPER.format("\\input{sec/one}\\input{gone}"),
        "2301.00007v2/sec/one.tex": "one",
        "2301.00007v2/fig.png": "x",
        "named/a.sty": "\\newcommand{\\x}{y}",
        "named/z.tex": PAPER.format("two"),
        "2301.00008.tex": PAPER.format("three"),
        "2301.00009.tex": PAPER.format("four"),
        "empty/only.tex": "%auto-ignore\n",
    }
    items = read_together(ArxivReader(), written(tmp_path / "in", files), tmp_path / "scratch")
    assert items.pop("2301.00007v2/ms.tex") == Record(
        0, "\\section{S}\none", "https://arxiv.org/abs/2301.00007", None,
        {"id": "2301.00007", "version": 2, "missing_inputs": ["gone"]},
    )  # fmt: skip
    assert items.pop("2301.00007v2/sec/one.tex") == Merged(0, 0, "2301.00007v2/ms.tex")
    assert items.pop("named/z.tex") == Record(0, "\\section{S}\ntwo", metadata={"id": "named"})
    assert items.pop("named/a.sty") == Merged(0, 0, "named/z.tex")
    assert items.pop("empty/only.tex") == Skipped(0, "withdrawn", "empty")
    assert [item.metadata["id"] for item in items.values() if isinstance(item, Record)] == ["2301.00008", "2301.00009"]
    (alone,) = records_of(items_of(ArxivReader(), tmp_path / "in" / "2301.00008.tex", empty(tmp_path / "s2")))
    assert alone.text == "\\section{S}\nthree"


def empty(folder: Path) -> Path:
    folder.mkdir()
    return folder


def test_a_folder_of_sources_at_the_top(tmp_path: Path) -> None:
    files = {"main.tex": PAPER.format("\\input{parts/b}"), "parts/b.tex": "b"}
    items = read_together(ArxivReader(), written(tmp_path / "in", files), tmp_path / "scratch")
    assert items == {
        "main.tex": Record(0, "\\section{S}\nb", metadata={"id": "main"}),
        "parts/b.tex": Merged(0, 0, "main.tex"),
    }


def test_a_folder_gives_what_its_archive_gives(samples: Path, tmp_path: Path) -> None:
    slug = "daffidwilde__kmodes-init-paper"
    folder = samples / "arxiv" / "src"
    files = [file for file in find_files([str(folder)], ArxivReader.patterns).files if file.name.startswith(slug + "/")]
    items = read_together(ArxivReader(), files, tmp_path)
    (loose,) = [item for item in items.values() if isinstance(item, Record)]
    bulk = samples / "arxiv" / "arXiv_src_sample_001.tar"
    (packed,) = [record for record in records_of(items_of(ArxivReader(), bulk)) if record.metadata["id"] == slug]
    assert len(files) > 50 and (loose.text, loose.metadata) == (packed.text, packed.metadata)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"<html><body>A paper</body></html>", "html only"),
        (b"\n<!-- made by hand -->\n<!DOCTYPE html>\n<p>", "html only"),
        (tar({"paper.html": b"<html>", "fig.gif": b"GIF"}), "html only"),
        (tar({"paper.txt": b"notes", "fig.gif": b"GIF"}), "no TeX source"),
        (b"%auto-ignore\nThis paper has been withdrawn by the author.", "withdrawn"),
        (b"%auto-ignore\n", "withdrawn"),
        (b"This paper has been withdrawn by the author due to an error in Lemma 2.", "withdrawn"),
        (tar({"p.tex": b" %%auto-ignore\n\\documentclass{a}\\begin{document}Withdrawn\\end{document}"}), "withdrawn"),
        (b"%!PS-Adobe", "no TeX source"),
        (b"", "no TeX source"),
    ],
)
def test_what_has_no_paper_goes_by_its_name(tmp_path: Path, content: bytes, reason: str) -> None:  # X6
    path = tmp_path / "a.tar"
    path.write_bytes(tar({"2301/2301.00001.gz": gzip.compress(content)}))
    assert reasons_of(items_of(ArxivReader(), path)) == [reason]


@pytest.fixture
def bulk(tmp_path: Path) -> Path:
    path = tmp_path / "bulk.tar"
    path.write_bytes(tar({f"2301/2301.0000{number}.gz": single(f"paper {number} " * 40) for number in range(6)}))
    return path


def test_truncation_anywhere_keeps_every_whole_paper(bulk: Path) -> None:
    whole = bulk.read_bytes()
    ends = [member.offset + 512 + member.size for member in members(io.BytesIO(whole), 0)]
    for cut in [*range(1, ends[-1], 97), ends[-1], ends[-1] + 200]:
        bulk.write_bytes(whole[:cut])
        items = items_of(ArxivReader(), bulk)
        padded = [-(-end // 512) * 512 for end in ends]
        whole_papers = sum(end <= cut for end in ends)
        assert len(records_of(items)) in (whole_papers, sum(end <= cut for end in padded))
        assert isinstance(items[-1], Unreadable)


def test_a_flipped_bit_costs_one_paper_and_is_told(bulk: Path) -> None:
    whole = bulk.read_bytes()
    clean_items = items_of(ArxivReader(), bulk)
    source = random.Random(5)
    for _ in range(300):
        damaged = bytearray(whole)
        damaged[source.randrange(len(whole))] ^= 1 << source.randrange(8)
        bulk.write_bytes(damaged)
        items = items_of(ArxivReader(), bulk)
        assert len(records_of(items)) >= 5
        texts = {record.text for record in records_of(clean_items)}
        assert {record.text for record in records_of(items)} <= texts, "a damaged paper is no document"


def test_a_damaged_header_does_not_end_the_archive(bulk: Path) -> None:
    whole = bytearray(bulk.read_bytes())
    second = [member.offset for member in members(io.BytesIO(bytes(whole)), 0)][1]
    whole[second : second + 100] = b"\xff" * 100
    bulk.write_bytes(whole)
    items = items_of(ArxivReader(), bulk)
    assert [type(item) for item in items] == [Record, Unreadable, Record, Record, Record, Record]
    assert reasons_of(items) == ["damaged tar header"]


@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT, tarfile.USTAR_FORMAT])
def test_tar_formats(form: int) -> None:
    name = "a" * 90 + "/" + "b" * 60 + ".tex"
    found = list(
        members(io.BytesIO(tar({name: b"x" * 1000, "é.tex" if form != tarfile.USTAR_FORMAT else "e": b"y"}, form)), 10)
    )
    assert (found[0].name, found[0].size, found[0].data) == (name, 1000, b"x" * 10)
    assert len(found) == 2 and not any(member.fault for member in found)


@pytest.mark.parametrize(
    ("content", "reason"), [(b"", "empty file"), (b"garbage" * 300, "damaged tar header"), (b"short", "truncated tar")]
)
def test_files_that_are_no_tar(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "a.tar"
    path.write_bytes(content)
    assert reasons_of(items_of(ArxivReader(), path)) == [reason]


def test_names_that_climb_out_are_only_names(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    path.write_bytes(tar({"../../2301.00001.gz": packed(("../../ms.tex", PAPER.format("x")))}))
    (record,) = records_of(items_of(ArxivReader(), path))
    assert record.metadata["id"] == "2301.00001"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.tar"]


def test_real_papers(samples: Path) -> None:
    path = samples / "arxiv" / "arXiv_src_sample_001.tar"
    papers = json.loads((samples / "arxiv" / "papers.json").read_text())
    items = items_of(ArxivReader(), path)
    texts = {record.metadata["id"]: record.text for record in records_of(items)}
    assert set(texts) == {paper["slug"] for paper in papers if paper["split"] == "public"} and len(texts) == 49
    labels = 0
    for slug, text in texts.items():
        start = re.match(r"(?:\\makeatletter\n|\\makeatother\n|\\newcommand.*\n|\\def.*\n|\\let.*\n|\n)*", text)
        assert text.startswith(("\\section", "\\chapter", "\\part", "\\paragraph"), start.end() if start else 0), slug
        assert "\\begin{thebibliography}" not in text and "\\ensuremath" not in text, slug
        labels += text.count("\\label{")
    assert labels < 60, "those of listings in their verbatim text, and of definitions that stay"
    agree = 0
    with path.open("rb") as stream:
        for member in members(stream, 1 << 30):
            files = source_files(member.data)
            slug = member.name.split("/")[1].removesuffix(".gz")
            expected = next(paper["main"] for paper in papers if paper["slug"] == slug)
            agree += Sources(files).roots()[0] == expected or len(files) == 1
    assert agree == 48, "of one paper only a chapter of 109 kB is there beside a top file of 2 kB without its parts"
    assert not any(isinstance(item, Skipped | Unreadable) for item in items)


def read_files(files: dict[str, str], root: str) -> str:
    """What TeX reads of a paper, by the plain rule: inputs that stand in the source as such, each once, without comments."""
    seen: set[str] = set()

    def flat(name: str) -> str:
        seen.add(name)
        text = re.sub(r"(?<!\\)%.*", "", files[name])
        return re.sub(r"\\(?:input|include)\s*\{?\s*([^{}\s\\]+)\}?", put, text)

    def put(match: re.Match[str]) -> str:
        return next((flat(name) for name in (match[1] + ".tex", match[1]) if name in files and name not in seen), "")

    return flat(root)


DEFINED = re.compile(
    r"\\(?:(?:re)?newcommand|providecommand|DeclareRobustCommand|DeclareMathOperator|NewDocumentCommand|DeclarePairedDelimiterX?)"
    r"\*?\s*\{?\s*\\([A-Za-z]+)|\\(?:[gex]?def|let)\s*\\([A-Za-z]+)"
)
NOT_PRINTED = {  # text of macros without a body that uses it, and titles before the first heading
    "dorisjlee__ZV-paper", "lexingxie__Transform-and-Tell---latex", "maojm__Multi-Type-BIC-Exploration", "RichardEvans__EL",
    "python-hydro__pyro2",
}  # fmt: skip


def test_no_call_loses_its_definition_and_no_prose_is_lost(samples: Path) -> None:
    path = samples / "arxiv" / "arXiv_src_sample_001.tar"
    texts = {record.metadata["id"]: record.text for record in records_of(items_of(ArxivReader(layout="keep"), path))}
    fragments = lost = 0
    with path.open("rb") as stream:
        for member in members(stream, 1 << 30):
            files = source_files(member.data)
            slug = member.name.split("/")[1].removesuffix(".gz")
            source = read_files(dict(files), Sources(files).roots()[0])
            text = re.sub(r"\\begin\{(lstlisting|verbatim)\}.*?\\end\{\1\}", "", texts[slug], flags=re.S)
            defined = {first or second for first, second in DEFINED.findall(source)} - PROTECTED
            kept = {first or second for first, second in DEFINED.findall(text)}
            assert set(re.findall(r"\\([A-Za-z]+)", text)) & defined <= kept, slug
            if slug in NOT_PRINTED:
                continue
            heading = re.search(r"\\(?:section|chapter|part|paragraph)\b", source)
            body = source[heading.start() if heading else 0 :].split("\\end{document}")[0]
            body = re.sub(r"\\begin\{(thebibliography|comment)\}.*?\\end\{\1\}", "", body, flags=re.S)
            plain = [" ".join(piece.split()) for piece in re.split(r"\n|\\[A-Za-z@]+|[\\{}$&~%]", body)]
            plain = [piece for piece in plain if len(piece) >= 40 and "][" not in piece]
            words = " ".join(texts[slug].split())
            fragments += len(plain)
            lost += sum(piece not in words for piece in plain)
    assert fragments > 25_000 and lost / fragments < 0.001
