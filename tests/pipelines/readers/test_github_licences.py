"""Licences of the files of a repository: their own notices, and those of folders."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.formats.source import source_of
from pipelines.markup.licences.notice import licences_of_notice
from pipelines.readers.github import GithubReader
from tests.pipelines.licence_texts import BSD2, GPL3, MIT
from tests.pipelines.readers.reading import reasons_of, records_of
from tests.pipelines.readers.test_github import CODE, read

MPL_NOTICE = """This Source Code Form is subject to the terms of the Mozilla Public
License, v. 2.0. If a copy of the MPL was not distributed with this
file, You can obtain one at https://mozilla.org/MPL/2.0/."""


@pytest.mark.parametrize(
    ("name", "text", "licences"),
    [
        ("x.py", "# SPDX-License-Identifier: GPL-3.0-only\nz=2\n", {"gpl-3.0"}),
        ("x.c", "/* SPDX-License-Identifier: GPL-2.0-or-later WITH Linux-syscall-note */\nint a;\n", {"gpl-2.0"}),
        ("x.c", "int a;\n// SPDX-License-Identifier: (GPL-2.0 OR MIT)\n", {"gpl-2.0 OR mit"}),
        ("x.html", "<!-- SPDX-License-Identifier: MPL-2.0 -->\n<p>x</p>\n", {"mpl-2.0"}),
        ("x.c", "// SPDX-License-Identifier: MIT\n// SPDX-License-Identifier: LGPL-2.1-only\n", {"mit", "lgpl-2.1"}),
        ("x.py", 'tag = "SPDX-License-Identifier: GPL-3.0-only"\n', set()),
        ("x.py", "print('SPDX-License-Identifier: GPL-3.0-only')\n", set()),
        ("x.js", "/* " + MPL_NOTICE + " */\na()\n", {"mpl-2.0"}),
        ("x.rs", "".join(f"// {line}\n" for line in MPL_NOTICE.split("\n")) + "fn a() {}\n", {"mpl-2.0"}),
        ("x.py", '#!/usr/bin/python\n"""Counts.\n\nLicensed under the GPLv2.\n"""\nimport a\n', {"gpl-2.0"}),
        ("x.py", "r'''Counts what is licensed under nothing.'''\nimport a\n", set()),
        ("x.js", "'use strict'\nlet a = 1\n\n/* " + MPL_NOTICE + " */\na()\n", {"mpl-2.0"}),
        ("x.md", "Under https://www.gnu.org/licenses/gpl-3.0.html, redistributed.\n", set()),
        ("x.sh", "#!/bin/sh\n# Licensed under the GPLv2.\nls\n", {"gpl-2.0"}),
        ("x.sh", "# Licensed under a modified version of the Apache License 2.0, you may not sell it.\nls\n", {"apache-2.0", "restricted"}),
        ("x.go", "// Use of this source code is governed by a BSD-style\n// license that can be found in the LICENSE file.\npackage a\n", set()),
        ("x.py", "# Talks to GPL programs over a pipe, which needs permission.\nimport a\n", set()),
        ("x.java", "/* Unauthorized copying of this file is strictly prohibited. Proprietary and confidential. */\n",
         {"proprietary", "restricted"}),
        ("x.py", "# License: GPL v3\nz = 2\n", {"gpl-3.0"}),
        ("x.js", "/**\n * @license GPL-2.0-or-later\n */\na()\n", {"gpl-2.0"}),
        ("x.js", "/** @license LGPL-3.0 */\na()\n", {"lgpl-3.0"}),
        ("x.php", "<?php\n/**\n * @license http://www.gnu.org/licenses/gpl-2.0.html GNU General Public License\n */\na();\n", {"gpl", "gpl-2.0"}),
        ("x.py", "# License: CC BY-NC-SA 4.0\nz = 2\n", {"noncommercial"}),
        ("x.java", "/* All rights reserved. Confidential and proprietary. */\nclass A {}\n", {"proprietary"}),
        ("x.py", '__license__ = "GPLv3"\nz = 2\n', {"gpl-3.0"}),
        ("x.py", "# OpenERP, AGPL-3 or later (see the site)\nz = 2\n", {"agpl-3.0"}),
        ("x.c", "/* Free for non-commercial use only. */\nint a;\n", {"noncommercial"}),
        ("x.py", "# License: MIT\nz = 2\n", {"mit"}),
        ("x.py", "# License: see LICENSE\nz = 2\n", set()),
        ("x.js", "/**\n * @license Angular v1.3\n * (c) 2010 X\n * License: MIT\n */\na()\n", {"mit"}),
        ("x.js", "/* Dual licensed under the MIT or GPL Version 2 licenses. */\na()\n", {"gpl-2.0 OR mit"}),
        ("x.js", "/* Dual licensed under the MIT and GPL licenses. */\na()\n", {"gpl OR mit"}),
        ("x.js", "/* Dual licensed under the MIT and GPL licenses:\n * http://www.opensource.org/licenses/mit-license.php\n"
         " * http://www.gnu.org/licenses/gpl-3.0.html\n */\na()\n", {"gpl OR gpl-3.0 OR mit"}),
        ("x.c", "/* It is released under the MIT license or the GPL, at your option. */\nint a;\n", {"gpl OR mit"}),
        ("x.c", "/* Licensed under the GPL version 2, or at your option any later version. */\nint a;\n", {"gpl-2.0"}),
    ],
)  # fmt: skip
def test_a_files_own_notice_decides(tmp_path: Path, name: str, text: str, licences: set[str]) -> None:
    assert licences_of_notice(text, source_of(name, text.encode()).language) == licences
    items = read(tmp_path, {"r/LICENSE": MIT, f"r/{name}": text})
    permitted = all({"mit"} & set(licence.split(" OR ")) for licence in licences)
    assert len(records_of(items)) == permitted
    if not permitted:
        return
    items = read(tmp_path, {"r/COPYING": GPL3, f"r/{name}": text})
    assert len(records_of(items)) == bool(licences), "of a repository that is refused only what permits itself is taken"


@pytest.mark.parametrize("licence", ["mpl-2.0", "MPL-2.0", "unlicense", "gpl-3.0-only", "GPL-3.0-or-later"])
def test_other_licences_can_be_asked_for(tmp_path: Path, licence: str) -> None:
    texts = {
        "mpl": "Mozilla Public License Version 2.0\nmeans the GNU General Public License, Version 2.0, with Exhibit B",
        "unl": "This is free and unencumbered software released into the public domain.",
        "gpl": GPL3,
    }
    text = texts[licence[:3].lower()]
    if licence[:3].lower() == "mpl":
        text = MPL_NOTICE
    items = read(tmp_path, {"r/LICENSE": text, "r/a.py": CODE}, GithubReader(licences=(licence,)))
    assert len(records_of(items)) == 1


@pytest.mark.parametrize(
    ("files", "licence"),
    [
        ({"r/a/LICENSE": MIT}, "mit"),
        ({"r/COPYING": GPL3, "r/a/LICENSE": MIT}, "mit"),
        ({"r/LICENSE": MIT, "r/a/LICENSE": "CC0 1.0: dedicated to the public domain, Creative Commons Zero"}, ""),
        ({"r/LICENSE": MIT, "r/a/package.json": '{"license": "Apache-2.0"}'}, "apache-2.0"),
        ({"r/LICENSE": MIT, "r/a/license.md": "See LICENSE."}, "mit"),
        ({"r/LICENSE": MIT, "r/a/package.json": '{"license": "SEE LICENSE IN ../LICENSE"}'}, "mit"),
        ({"r/LICENSE": MIT, "r/a/package.json": '{"license": "ask me"}'}, ""),
        ({"r/LICENSE": MIT, "r/a/x.egg-info/PKG-INFO": "License: GPL-3.0-only\n"}, "mit"),
        ({"r/LICENSE": MIT, "r/b/LICENSE": GPL3}, "mit"),
        ({"r/LICENSE": MIT, "r/a/b/LICENSE": GPL3}, "mit"),
        ({"r/pom.xml": "<project><licenses>\n<license><name>Apache License, Version 2.0</name></license></licenses></project>"}, "apache-2.0"),
        ({"r/x.cabal": "name: x\nlicense:        BSD3\n"}, "bsd-3-clause"),
        ({"r/x.gemspec": "Gem::Specification.new do |s|\n  s.license = 'MIT'\nend\n"}, "mit"),
        ({"r/x.gemspec": 'spec.licenses = ["MIT"]\n'}, "mit"),
        ({"r/setup.py": 'setup(\n    name="x",\n    license="BSD 3-Clause",\n)\n'}, "bsd-3-clause"),
        ({"r/setup.py": 'setup(classifiers=["License :: OSI Approved :: MIT License"])\n'}, "mit"),
        ({"r/pyproject.toml": '[tool.poetry]\nlicense = "MIT"\n'}, "mit"),
        ({"r/Cargo.toml": '[workspace.package]\nlicense = "MIT OR Apache-2.0"\n'}, "apache-2.0 OR mit"),
        ({"r/package.json": '{"license":{"type":"MIT"}}'}, "mit"),
        ({"r/package.json": '{"licenses": [{"type": "MIT", "url": "x"}, {"type": "GPL-2.0"}]}'}, "gpl-2.0 OR mit"),
        ({"r/composer.json": '{"license": ["MIT", "LGPL-3.0-only"]}'}, "lgpl-3.0 OR mit"),
        ({"r/README.md": "# X\n\nCounts.\n\n## License\n\nMIT, see the file.\nThis is under the MIT license.\n\n## Links\n\nGPL\n"}, "mit"),
        ({"r/README.rst": "X\n=\n\nLicense\n-------\n\nApache License 2.0\n\nUse\n---\n\nGPL\n"}, "apache-2.0"),
        ({"r/README.md": "# X\n\nIt reads the MIT license of files.\n"}, ""),
        ({"r/README.md": "# X\n\n## License\n\nAsk me.\n"}, ""),
        ({"r/x.cabal": "license: GPL-3\n", "r/README.md": "## License\n\nMIT License\n"}, ""),
        ({"r/LICENSE-MIT": MIT, "r/COPYING": GPL3, "r/Cargo.toml": '[package]\nlicense = "MIT OR GPL-3.0"\n'}, "gpl-3.0 OR mit"),
        (
            {"r/LICENSE": "This software is made available under the terms of either of the licenses found in LICENSE.BSD or LICENSE.GPL.",
             "r/LICENSE.BSD": BSD2, "r/LICENSE.GPL": GPL3, "r/PKG-INFO": "License-Expression: GPL-3.0-only OR BSD-2-Clause\n"},
            "bsd-2-clause OR gpl-3.0",
        ),
    ],
)  # fmt: skip
def test_each_part_has_its_own_licence(tmp_path: Path, files: dict[str, bytes | str | None], licence: str) -> None:
    records = records_of(read(tmp_path, {**files, "r/a/x.py": CODE}))
    kept = [record.metadata["licence"] for record in records if record.metadata["path"] == "a/x.py"]
    assert kept == ([licence] if licence else [])


def test_what_is_below_no_licence_is_not_taken(tmp_path: Path) -> None:
    items = read(tmp_path, {"r/a/LICENSE": MIT, "r/a/x.py": CODE, "r/b/x.py": CODE, "r/x.py": CODE})
    assert [record.metadata["path"] for record in records_of(items)] == ["a/x.py"]
    assert reasons_of(items) == ["licence file", "no licence", "no licence"]


@pytest.mark.parametrize("line", ["Copyright 2020 X, GNU General Public License", "SPDX-FileComment: AGPL-3.0"])
@pytest.mark.parametrize("strip", [True, False])
def test_no_removed_line_names_a_licence_that_is_not_permitted(tmp_path: Path, line: str, strip: bool) -> None:
    items = read(tmp_path, {"r/LICENSE": MIT, "r/x.py": f"# {line}\n{CODE}"}, GithubReader(strip_headers=strip))
    assert not records_of(items)


def test_a_family_is_what_its_repository_says(tmp_path: Path) -> None:
    text = f'__license__ = "BSD"\n{CODE}'
    records = records_of(read(tmp_path, {"r/LICENSE": BSD2, "r/x.py": text}))
    assert [record.metadata["licence"] for record in records] == ["bsd-2-clause"]
    assert not records_of(read(tmp_path, {"r/LICENSE": MIT, "r/x.py": text}))
