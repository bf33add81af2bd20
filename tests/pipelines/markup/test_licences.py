"""Licences of texts, manifests and headers."""

from __future__ import annotations

import importlib.metadata

import pytest

from pipelines.formats.source import source_of
from pipelines.markup.licences.expression import licences_of_expression
from pipelines.markup.licences.header import strip_licence_header
from pipelines.markup.licences.licences import is_licence_file, licence_scope, licences_of_text
from pipelines.markup.licences.manifest import licences_of_manifest, licences_of_readme
from pipelines.markup.licences.notice import licences_of_notice
from tests.pipelines.licence_texts import APACHE, BSD3, MIT


@pytest.mark.parametrize(
    ("expression", "licences"),
    [
        ("MIT", {"mit"}),
        ("MIT OR Apache-2.0", {"apache-2.0 OR mit"}),
        ("MIT/Apache-2.0", {"apache-2.0 OR mit"}),
        ("(MIT OR GPL-2.0-or-later) AND BSD-3-Clause", {"gpl-2.0 OR mit", "bsd-3-clause"}),
        ("(MIT AND ISC) OR GPL-3.0-only", {"gpl-3.0 OR isc", "gpl-3.0 OR mit"}),
        ("GPL-2.0-only WITH Classpath-exception-2.0", {"gpl-2.0"}),
        ("GPLv2 or later", {"gpl-2.0"}),
        ("LGPL, version 3 or later", {"lgpl-3.0"}),
        ("MIT or public domain", {"mit OR public-domain"}),
        ("OSI Approved :: BSD License", {"bsd"}),
        ("New BSD", {"bsd-3-clause"}),
        ("Zlib", {"zlib"}),
        ("MIT, ISC", {"mit", "isc"}),
        ("Dual License", {"unknown"}),
        ("((((MIT", {"mit"}),
        ("()) or", set()),
        (" OR ".join(["MIT"] * 100), {"unknown"}),
        ("(" * 5_000 + "MIT", {"unknown"}),
        (" OR ".join(f"(MIT AND X{number})" for number in range(5)), {"mit", "mit OR unknown", "unknown"}),
    ],
)
def test_expressions(expression: str, licences: set[str]) -> None:
    assert licences_of_expression(expression) == licences


def test_licence_file_names() -> None:
    for path in (
        "LICENSE",
        "licence.md",
        "COPYING.LESSER",
        "UNLICENSE",
        "LICENSE-2.0.txt",
        "licenses/zlib",
        "a/MIT-LICENSE",
    ):
        assert is_licence_file(path), path
    for path in ("license.py", "src/licenses.json", "licenses/tool.conf", "sublicensed.txt", "copy.txt", "README"):
        assert not is_licence_file(path), path
    assert licence_scope("r/licenses/zlib") == "r"
    assert licence_scope("r/src/LICENSE") == "r/src"
    assert licence_scope("LICENSE") == ""


def test_texts_and_statements() -> None:
    assert licences_of_text(MIT.replace("\n", "\r\n# ").upper()) == {"mit"}
    assert licences_of_text(MIT + BSD3 + APACHE) == {"mit", "bsd-3-clause", "apache-2.0"}
    assert licences_of_text(MIT.replace("The above copyright notice and this", "No")) == {"mit-0"}
    assert licences_of_text("A page about birds.") == frozenset()
    assert licences_of_manifest("r/pyproject.toml", "not [toml") == frozenset()
    assert licences_of_manifest("PKG-INFO", "License: GPLv2 or later\nLicense :: x\n\nLicense: MIT\n") == {"gpl-2.0"}


C_LICENCE = "/* Copyright (c) 2020 X.\n * Licensed under the MIT license.\n */\n"


@pytest.mark.parametrize(
    ("extension", "text", "expected"),
    [
        (".c", "#include <stdio.h>\n#include <math.h>\nint main;\n", None),
        (".c", C_LICENCE + "\n#include <stdio.h>\n", "#include <stdio.h>\n"),
        (".c", "/* A parser of licence keys. */\nint a;\n/* Copyright */\n", None),
        (".c", "/* A tool. */\n\n// Copyright X\n// All rights reserved.\n\nint a;\n", "/* A tool. */\n\nint a;\n"),
        (
            ".c",
            "/*\n * tool.c - does it\n *\n * Copyright X\n */\nint a;\n",
            "/*\n * tool.c - does it\n *\n */\nint a;\n",
        ),
        (".c", "/* Copyright X\n\n   How it works. */\nint a;\n", "/*\n   How it works. */\nint a;\n"),
        (".c", "/* Copyright X */ int a;\n", None),
        (".c", "/* Copyright X, and never closed\nint a;\n", None),
        (
            ".py",
            "#!/usr/bin/python\n# -*- coding: utf-8 -*-\n# Copyright X\nimport a\n",
            "#!/usr/bin/python\n# -*- coding: utf-8 -*-\nimport a\n",
        ),
        (".py", "# Copyright X\n# This module counts.\nimport a\n", "# This module counts.\nimport a\n"),
        (
            ".py",
            "# Licensed under the Apache License\n# you may not\n# use it\n#\n# Counts.\nimport a\n",
            "# Counts.\nimport a\n",
        ),
        (".py", '"""Copyright X"""\nimport a\n', None),
        (".py", "# Copyright X\r\nimport a\r\n", "import a\r\n"),
        (".sql", "-- name: get_user\nSELECT 1;\n", None),
        (".sql", "-- Copyright X\n\n-- name: get_user\nSELECT 1;\n", "-- name: get_user\nSELECT 1;\n"),
        (".md", "# Copyright law\n\nText.\n", None),
        (".md", "<!-- Copyright X -->\n# Title\n", "# Title\n"),
        (".xml", "<?xml version='1.0'?>\n<!--\n  Copyright X\n-->\n<a/>\n", "<?xml version='1.0'?>\n<a/>\n"),
        (".go", "// Copyright X\n\n//go:build linux\n\npackage a\n", "//go:build linux\n\npackage a\n"),
        (".rst", ".. Copyright X\n\nTitle\n", None),
        (".js", "// Copyright X", ""),
        (".tex", "% Copyright X\n\\section{A}\n", "\\section{A}\n"),
        ("Makefile", "# SPDX-License-Identifier: MIT\nall:\n", "all:\n"),
        (
            ".py",
            "# Copyright 2020 X\n# Counts the words of\n# each file.\n# Licensed under the MIT license.\nimport a\n",
            "# Counts the words of\n# each file.\nimport a\n",
        ),
        (".py", "# Prints the copyright of each file.\n# Reads licence files, too.\nimport a\n", None),
        (
            ".c",
            "/* Copyright 2020 X\n * A list.\n *\n * This file is licensed under the BSD licence, see\n * LICENSE for it.\n"
            " * Thread-safe.\n */\nint a;\n",
            "/*\n * A list.\n *\n * Thread-safe.\n */\nint a;\n",
        ),
        (
            ".html",
            "<!-- Copyright X -->\n<p>&notanentity; &amp;lt; &copy;</p>\n",
            "<p>&notanentity; &amp;lt; &copy;</p>\n",
        ),
    ],
)
def test_licence_headers(extension: str, text: str, expected: str | None) -> None:
    assert strip_licence_header(text, source_of("x" + extension if "." in extension else extension, b"").language)[
        0
    ] == (text if expected is None else expected)


def test_installed_packages_are_judged_as_they_say() -> None:
    """The licence files of the packages that this one needs, against what is known of them."""
    for package, licence in PACKAGES.items():
        found = [
            licences_of_text(entry.read_text())
            for entry in importlib.metadata.files(package) or ()
            if "info/" in str(entry)
            and is_licence_file(str(entry))
            and not entry.name.startswith(("NOTICE", "AUTHORS"))
        ]
        assert found, package
        assert set().union(*found) == set(licence.split()), package


PACKAGES = {
    "annotated-types": "mit", "brotli": "mit", "click": "bsd-3-clause", "datasets": "apache-2.0", "datatrove": "apache-2.0",
    "filelock": "mit", "fsspec": "bsd-3-clause", "grimp": "bsd-2-clause", "hypothesis": "mpl-2.0", "idna": "bsd-3-clause",
    "iniconfig": "mit", "inflate64": "lgpl-2.1", "isal": "psf-2.0", "Jinja2": "bsd-3-clause", "lz4": "bsd-3-clause",
    "mwparserfromhell": "mit", "pathspec": "mpl-2.0", "pluggy": "mit", "psutil": "bsd-3-clause", "py7zr": "lgpl-2.1",
    "pydantic": "mit", "Pygments": "bsd-2-clause", "pytest": "mit", "PyYAML": "mit", "requests": "apache-2.0", "rich": "mit",
    "safetensors": "apache-2.0", "tqdm": "mit mpl-2.0", "trafilatura": "apache-2.0", "transformers": "apache-2.0",
    "types-PyYAML": "apache-2.0 mit", "urllib3": "mit", "xxhash": "bsd-2-clause", "zstandard": "bsd-3-clause",
}  # fmt: skip


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "text",
    [
        "bsd " * 20_000, "distributed " * 20_000, "<!--" * 20_000, "<licenses>" * 10_000, "<licenses><license>" * 6_000,
        '"license": [' * 10_000, "License:\n" * 10_000, "=\n" * 40_000, "Copyright (c) 2020 " * 10_000, "(" * 40_000 + ")",
        "SPDX-License-Identifier: (" * 6_000, "# " * 40_000, "license licence " * 10_000, "\n\n\n#\n" * 20_000, "[a]\n" * 10_000,
    ],
)  # fmt: skip
def test_hostile_texts_end(text: str) -> None:
    for language in ("Python", "C", "HTML", ""):
        begin = {"Python": "# Copyright 2020 X ", "C": "/* Copyright 2020 X ", "HTML": "<!-- Copyright 2020 X "}.get(
            language, ""
        )
        strip_licence_header(begin + text, language)
        strip_licence_header(begin + text + " */ -->\n", language)
        licences_of_notice(begin + text, language)
    for name in (
        "pom.xml",
        "package.json",
        "setup.py",
        "setup.cfg",
        "PKG-INFO",
        "pyproject.toml",
        "x.cabal",
        "x.gemspec",
    ):
        licences_of_manifest(name, text)
    licences_of_readme("# License\n\n" + text)
    licences_of_text(text)
    licences_of_expression(text)
