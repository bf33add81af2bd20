"""Repository archives: licences, licence headers, damage."""

from __future__ import annotations

import bz2
import gzip
import io
import random
import stat
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest

from corpus.ingest.reader import Item, Record, Skipped, Unreadable
from pipelines.formats import archive
from pipelines.formats.archive import Damage, Member, read_archive
from pipelines.readers.github import GithubReader
from tests.pipelines.licence_texts import AGPL, APACHE, BSD2, BSD3, BSD4, GPL3, ISC, LGPL, MIT
from tests.pipelines.readers.reading import items_of, reasons_of, records_of

CODE = 'print("hello")\n'


def tar_bytes(files: dict[str, bytes | str | None], **options: Any) -> bytes:
    """A tar; None is a folder, a text that begins with '->' a link."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", **options) as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            if data is None:
                info.type = tarfile.DIRTYPE
            elif isinstance(data, str) and data.startswith("->"):
                info.type, info.linkname = tarfile.SYMTYPE, data[2:]
            encoded = data.encode() if isinstance(data, str) else data or b""
            info.size = len(encoded) if info.type == tarfile.REGTYPE else 0
            tar.addfile(info, io.BytesIO(encoded))
    return buffer.getvalue()


def read(tmp_path: Path, files: dict[str, bytes | str | None], reader: GithubReader | None = None) -> list[Item]:
    path = tmp_path / "repo-1.0.tar.gz"
    path.write_bytes(gzip.compress(tar_bytes(files)))
    return items_of(reader or GithubReader(), path)


def test_a_permitted_repository(tmp_path: Path) -> None:
    files = {
        "repo-1.0": None,
        "repo-1.0/LICENSE": MIT,
        "repo-1.0/src/Main.PY": "# Copyright 2020 Somebody\n\n" + CODE,
        "repo-1.0/Makefile": "all:\n\techo\n",
        "repo-1.0/data.bin": b"\0\1",
        "repo-1.0/nul.c": b"int a;\0",
        "repo-1.0/latin.c": b"// caf\xe9\n",
        "repo-1.0/bom.c": b"\xef\xbb\xbfint b;\n",
        "repo-1.0/empty.py": "\n",
        "repo-1.0/table.csv": "a,b\n",
        "repo-1.0/odd.qqq": "a\n",
        "repo-1.0/link.py": "->src/Main.PY",
    }
    items = read(tmp_path, files)
    common = {
        "repository": "repo-1.0", "licence": "mit", "licence_file": ["LICENSE"], "copyright": ["Copyright (c) 2020 Somebody"],
    }  # fmt: skip
    assert records_of(items) == [
        Record(
            1,
            CODE,
            metadata={**common, "path": "src/Main.PY", "language": "Python", "notice": "Copyright 2020 Somebody"},
        ),
        Record(2, "all:\n\techo\n", metadata={**common, "path": "Makefile", "language": "Makefile"}),
        Record(6, "int b;\n", metadata={**common, "path": "bom.c", "language": "C"}),
    ]
    assert [item for item in items if not isinstance(item, Record)] == [
        Skipped(0, "licence file"),
        Skipped(3, "binary"),
        Skipped(4, "binary"),
        Unreadable(5, 0, 8, "not UTF-8", b"// caf\xe9\n"),
        Skipped(7, "no text", "\n"),
        Skipped(8, "data"),
        Skipped(9, "no language"),
        Skipped(10, "not a file"),
    ]


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({}, "no licence"),
        ({"r/COPYING": GPL3}, "licence gpl-3.0"),
        ({"r/COPYING.LESSER": LGPL}, "licence lgpl-2.1"),
        ({"r/licence.txt": AGPL}, "licence agpl-3.0"),
        ({"r/LICENSE": ISC}, "licence isc"),
        ({"r/LICENSE": BSD4}, "licence bsd-4-clause"),
        ({"r/LICENSE": "Copyright me. You have my permission to look."}, "licence unknown"),
        ({"r/LICENSE": "see website"}, "licence unknown"),
        ({"r/LICENSE": b"\0" * (2 << 20)}, "licence unknown"),
        ({"r/LICENSE": "Mozilla Public License Version 2.0"}, "licence mpl-2.0"),
        ({"r/LICENSE": "PYTHON SOFTWARE FOUNDATION LICENSE VERSION 2"}, "licence psf-2.0"),
        (
            {"r/UNLICENSE": "This is free and unencumbered software released into the public domain."},
            "licence unlicense",
        ),
        ({"r/LICENSE": "Parts are under the GNU GPL v2, the others:\n" + MIT}, "licence gpl-2.0"),
        ({"r/LICENSE": MIT + "Commons Clause: you may not sell it."}, "licence commons-clause"),
        ({"r/LICENSE": MIT, "r/licenses/vendored": GPL3}, "licence gpl-3.0"),
        ({"r/LICENSE-MIT": MIT, "r/LICENSE-GPL": GPL3}, "licence gpl-3.0"),
        ({"r/PKG-INFO": "Name: x\nLicense: GPLv3\n"}, "licence gpl-3.0"),
        ({"r/pyproject.toml": '[project]\nlicense = "MIT AND GPL-2.0-or-later"\n'}, "licence gpl-2.0"),
        ({"r/pyproject.toml": '[project]\nlicense = "LGPL-3.0-only OR GPL-2.0-or-later"\n'}, "several licences"),
        (
            {
                "r/LICENSE": "Under a modified version of the Apache License 2.0, with additional conditions: you may not\n"
            },
            "licence restricted",
        ),
        ({"r/LICENSE": MIT + "\nThe Software may not be used by companies.\n"}, "licence restricted"),
        ({"r/PKG-INFO": "Classifier: License :: OSI Approved :: BSD License\n"}, "licence bsd"),
    ],
)
def test_repositories_that_may_not_be_taken(tmp_path: Path, files: dict[str, bytes | str | None], reason: str) -> None:
    items = read(tmp_path, {**files, "r/main.py": CODE})
    assert records_of(items) == []
    assert set(reasons_of(items)) == {reason}


@pytest.mark.parametrize(
    ("files", "licence"),
    [
        ({"r/LICENSE": BSD2}, "bsd-2-clause"),
        ({"r/License.md": BSD3}, "bsd-3-clause"),
        ({"r/LICENCE": APACHE}, "apache-2.0"),
        ({"r/LICENSE-MIT": MIT, "r/LICENSE-APACHE": APACHE}, "apache-2.0 AND mit"),
        ({"r/LICENSES/MIT.txt": MIT}, "mit"),
        ({"r/MIT-LICENSE": MIT}, "mit"),
        ({"r/LICENSE.txt": "This is under the MIT license.\n"}, "mit"),
        ({"r/LICENSE": MIT, "r/docs/license.rst": ".. include:: ../LICENSE"}, "mit"),
        ({"r/LICENSE": MIT, "r/license.py": CODE, "r/PKG-INFO": "License: GPL\n"}, "mit"),
        (
            {"r/PKG-INFO": "License: BSD-3-Clause\nClassifier: License :: OSI Approved :: BSD License\n\nbody"},
            "bsd-3-clause",
        ),
        ({"r/pyproject.toml": '[project]\nlicense = {text = "Apache License 2.0"}\n'}, "apache-2.0"),
        ({"r/package.json": '{"license": "MIT"}'}, "mit"),
        ({"r/setup.cfg": "[metadata]\nlicense = MIT\n"}, "mit"),
        ({"r/Cargo.toml": '[package]\nlicense = "MIT/Apache-2.0"\n'}, "apache-2.0 OR mit"),
        (
            {"r/pyproject.toml": '[project]\nlicense = "(MIT OR GPL-2.0-only) AND BSD-3-Clause"\n'},
            "bsd-3-clause AND (gpl-2.0 OR mit)",
        ),
        ({"r/LICENSE": "Either under the GNU GPL v2, or:\n" + MIT}, "gpl-2.0 OR mit"),
        ({"r/setup.cfg": "[metadata]\nlicense = MIT or public domain\n"}, "mit OR public-domain"),
    ],
)
def test_repositories_that_may_be_taken(tmp_path: Path, files: dict[str, bytes | str | None], licence: str) -> None:
    records = records_of(read(tmp_path, {**files, "r/main.py": CODE}))
    main = [record for record in records if record.metadata["path"] == "main.py"]
    assert [record.metadata["licence"] for record in main] == [licence]


def test_a_nested_licence_holds_for_its_folder(tmp_path: Path) -> None:
    files: dict[str, bytes | str | None] = {
        "r/parts/gpl/x.py": CODE,
        "r/parts/bsd/x.py": CODE,
        "r/main.py": CODE,
        "r/parts/gpl/COPYING": GPL3,
        "r/parts/bsd/LICENSE": BSD3,
        "r/LICENSE": MIT,
    }
    items = read(tmp_path, files)
    assert [(record.metadata["path"], record.metadata["licence"]) for record in records_of(items)] == [
        ("parts/bsd/x.py", "bsd-3-clause"),
        ("main.py", "mit"),
    ]
    assert reasons_of(items) == ["licence gpl-3.0", "licence gpl-3.0", "licence file", "licence file"]


def test_several_repositories_and_none(tmp_path: Path) -> None:
    items = read(tmp_path, {"a/LICENSE": MIT, "a/x.py": CODE, "b/x.py": CODE})
    assert [record.metadata["repository"] for record in records_of(items)] == ["a"]
    assert reasons_of(items) == ["licence file", "no licence"]
    (record,) = records_of(read(tmp_path, {"./LICENSE": MIT, "./src/x.py": CODE}))
    assert (record.metadata["repository"], record.metadata["path"]) == ("repo-1.0", "src/x.py")


def test_options(tmp_path: Path) -> None:
    reader = GithubReader(licences=("gpl-3.0",), extensions=(".TXT",), strip_headers=False)
    files: dict[str, bytes | str | None] = {"r/COPYING": GPL3, "r/a.txt": "# Copyright\nx\n", "r/a.py": CODE}
    assert [record.text for record in records_of(read(tmp_path, files, reader))] == ["# Copyright\nx\n"]


def test_a_large_member_is_skipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("formats.archive",):
        monkeypatch.setattr(f"pipelines.{module}.MAX_MEMBER_BYTES", 2_000)
    items = read(tmp_path, {"r/LICENSE": MIT, "r/a.py": "#" * 2_001, "r/b.py": CODE})
    assert (len(records_of(items)), reasons_of(items)) == (1, ["licence file", "too large"])


def test_zip(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("r/", "")
        file.writestr("r/LICENSE", MIT)
        file.writestr("r/one.py", "one = 1\n" * 100)
        file.writestr("r/two.py", CODE)
        link = zipfile.ZipInfo("r/link.py")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        file.writestr(link, "two.py")
    items = items_of(GithubReader(), path)
    assert [record.text for record in records_of(items)] == ["one = 1\n" * 100, CODE]
    assert reasons_of(items) == ["licence file", "not a file"]
    with zipfile.ZipFile(path) as file:
        place = file.getinfo("r/one.py").header_offset + 40
    broken = bytearray(path.read_bytes())
    broken[place] ^= 0xFF
    path.write_bytes(broken)
    items = items_of(GithubReader(), path)
    assert [record.text for record in records_of(items)] == [CODE]
    assert reasons_of(items) == ["licence file", "corrupt zip member", "not a file"]
    path.write_bytes(broken[:-30])
    (torn,) = items_of(GithubReader(), path)
    assert torn == Unreadable(0, 0, len(broken) - 30, "no whole zip archive", bytes(broken[:-30]))


def members(path: Path) -> list[Member | Damage]:
    return list(read_archive(path, lambda name, size: True))


@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT, tarfile.USTAR_FORMAT])
@pytest.mark.parametrize("pack", [bytes, gzip.compress, bz2.compress])
def test_tar_formats(tmp_path: Path, form: int, pack: Any) -> None:
    long = "r/" + "d" * 60 + "/" + "f" * 80 + ".py"
    names = [long, "r/ä/ü.py", "r/short.py"] if form != tarfile.USTAR_FORMAT else [long, "r/short.py"]
    if form != tarfile.USTAR_FORMAT:
        names.append("r/" + "very/" * 100 + "long.py")
    path = tmp_path / "a.tar"
    path.write_bytes(pack(tar_bytes({name: name for name in names}, format=form)))
    assert members(path) == [Member(name, "file", len(name.encode()), name.encode()) for name in names]
    with tarfile.open(path) as tar:
        assert tar.getnames() == names


def test_a_tar_cut_anywhere_gives_every_whole_member(tmp_path: Path) -> None:
    files: dict[str, bytes | str | None] = {f"r/{number}.py": f"{number}\n" * 300 for number in range(6)}
    plain = tar_bytes(files, format=tarfile.USTAR_FORMAT)
    step = 512 + 1536 if len("0\n" * 300) > 512 else 1024
    path = tmp_path / "a.tar"
    for cut in range(1, len(plain), 97):
        path.write_bytes(plain[:cut])
        found = members(path)
        whole = min(6, cut // step)
        assert [entry.data for entry in found if isinstance(entry, Member)][:whole] == [
            str(data).encode() for data in list(files.values())[:whole]
        ]
        damage = [entry for entry in found if isinstance(entry, Damage)]
        if cut < 6 * step + 512:  # no zero block of the end is left
            assert [entry.reason for entry in damage] in (["truncated tar"], ["no tar header"])
    stored = gzip.compress(plain, mtime=0)
    for cut in range(20, len(stored), 7):
        path.write_bytes(stored[:cut])
        assert members(path)[-1].__class__ is Damage


def test_a_bad_header_costs_its_member(tmp_path: Path) -> None:
    files: dict[str, bytes | str | None] = {f"r/{number}.py": f"{number}\n" * 100 for number in range(4)}
    stored = bytearray(tar_bytes(files, format=tarfile.USTAR_FORMAT))
    stored[1024 + 3] ^= 1
    path = tmp_path / "a.tar"
    path.write_bytes(stored)
    found = members(path)
    assert [entry.name for entry in found if isinstance(entry, Member)] == ["r/0.py", "r/2.py", "r/3.py"]
    assert found[1] == Damage(1024, 1024, "corrupt tar header", bytes(stored[1024:2048]))


def test_damaged_repositories(tmp_path: Path) -> None:
    path = tmp_path / "a.tar.gz"
    generator = random.Random(1)
    files: dict[str, bytes | str | None] = {"r/LICENSE": MIT}
    files |= {f"r/{number}.py": generator.randbytes(600).hex() for number in range(20)}
    stored = gzip.compress(tar_bytes(files))
    path.write_bytes(stored[: len(stored) // 2])
    items = items_of(GithubReader(), path)
    assert 7 <= len(records_of(items)) <= 11
    assert reasons_of(items) == ["licence file", "truncated gzip"]
    assert [record.text for record in records_of(items)] == list(files.values())[1 : len(records_of(items)) + 1]
    last = items[-1]
    assert isinstance(last, Unreadable)
    assert last.offset == len(stored) // 2
    path.write_bytes(b"")
    assert items_of(GithubReader(), path) == [Unreadable(0, 0, 0, "empty file", b"")]
    path.write_bytes(b"<html>" * 1_000)
    assert reasons_of(items_of(GithubReader(), path)) == ["no tar header"]


def test_a_missing_end_of_the_archive_is_said(tmp_path: Path) -> None:
    stored = tar_bytes({"r/LICENSE": MIT, "r/a.py": CODE})
    path = tmp_path / "a.tar"
    path.write_bytes(stored[: (len(stored.rstrip(b"\0")) + 511) // 512 * 512])
    items = items_of(GithubReader(), path)
    assert (len(records_of(items)), reasons_of(items)) == (1, ["licence file", "truncated tar"])
    path.write_bytes(stored + stored)  # `cat a.tar a.tar`
    assert len(records_of(items_of(GithubReader(), path))) == 2
    assert archive.MAX_MEMBER_BYTES == 64 << 20
