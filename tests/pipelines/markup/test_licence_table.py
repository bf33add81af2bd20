"""Sixty licence files, judged: permissive, copyleft, choices, several at once, with conditions of their own, and none at all."""

from __future__ import annotations

import pytest

from pipelines.markup.licences.licences import licences_of_text
from pipelines.markup.licences.survey import refusal
from pipelines.readers.github import GithubReader
from tests.pipelines import licence_texts
from tests.pipelines.licence_texts import AGPL, APACHE, BSD4, GPL3, ISC, LGPL

MIT = licence_texts.MIT.replace(
    "WARRANTY OF ANY KIND.",
    "WARRANTY OF ANY KIND, EXPRESS OR\nIMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY,\n"
    "FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE\nAUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, "
    "DAMAGES OR OTHER\nLIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM,\nOUT OF OR IN CONNECTION WITH THE "
    "SOFTWARE OR THE USE OR OTHER DEALINGS IN THE\nSOFTWARE.",
)
BSD2 = """Copyright (c) 2020, Somebody
All rights reserved.

Redistribution and use in source and binary forms, with or without modification, are permitted provided that the following
conditions are met:

1. Redistributions of source code must retain the above copyright notice, this list of conditions and the following disclaimer.
2. Redistributions in binary form must reproduce the above copyright notice, this list of conditions and the following disclaimer in
the documentation and/or other materials provided with the distribution.

THIS SOFTWARE IS PROVIDED BY THE COPYRIGHT HOLDERS AND CONTRIBUTORS "AS IS" AND ANY EXPRESS OR IMPLIED WARRANTIES, INCLUDING, BUT NOT
LIMITED TO, THE IMPLIED WARRANTIES OF MERCHANTABILITY AND FITNESS FOR A PARTICULAR PURPOSE ARE DISCLAIMED. IN NO EVENT SHALL THE
COPYRIGHT HOLDER OR CONTRIBUTORS BE LIABLE FOR ANY DIRECT, INDIRECT, INCIDENTAL, SPECIAL, EXEMPLARY, OR CONSEQUENTIAL DAMAGES
(INCLUDING, BUT NOT LIMITED TO, PROCUREMENT OF SUBSTITUTE GOODS OR SERVICES; LOSS OF USE, DATA, OR PROFITS; OR BUSINESS INTERRUPTION)
HOWEVER CAUSED AND ON ANY THEORY OF LIABILITY, WHETHER IN CONTRACT, STRICT LIABILITY, OR TORT (INCLUDING NEGLIGENCE OR OTHERWISE)
ARISING IN ANY WAY OUT OF THE USE OF THIS SOFTWARE, EVEN IF ADVISED OF THE POSSIBILITY OF SUCH DAMAGE.
"""
BSD3 = BSD2.replace(
    "\n\nTHIS SOFTWARE",
    "\n3. Neither the name of the copyright holder nor the names of its contributors may be used to endorse or promote products\n"
    "derived from this software without specific prior written permission.\n\nTHIS SOFTWARE",
)
ZLIB = """This software is provided 'as-is', without any express or implied warranty. In no event will the authors be held liable for
any damages arising from the use of this software. Permission is granted to anyone to use this software for any purpose, including
commercial applications, and to alter it and redistribute it freely, subject to the following restrictions:
1. The origin of this software must not be misrepresented; you must not claim that you wrote the original software. If you use this
software in a product, an acknowledgment in the product documentation would be appreciated but is not required.
2. Altered source versions must be plainly marked as such, and must not be misrepresented as being the original software.
3. This notice may not be removed or altered from any source distribution.
"""
UNLICENSE = """This is free and unencumbered software released into the public domain. Anyone is free to copy, modify, publish, use,
compile, sell, or distribute this software, either in source code form or as a compiled binary, for any purpose, commercial or
non-commercial, and by any means.
"""
BOOST = "Boost Software License - Version 1.0 - August 17th, 2003\n"
APACHE_NOTICE = """Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance with
the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
"""
GPL2_NOTICE = """This program is free software; you can redistribute it and/or modify it under the terms of the GNU General Public License
as published by the Free Software Foundation; either version 2 of the License, or (at your option) any later version.
"""
GPL3_NOTICE = GPL2_NOTICE.replace("version 2", "version 3")
LGPL_NOTICE = GPL2_NOTICE.replace("General", "Lesser General").replace("version 2", "version 2.1")
AGPL_NOTICE = GPL3_NOTICE.replace("GNU General", "GNU Affero General")
MPL_NOTICE = """This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0. If a copy of the MPL was not
distributed with this file, You can obtain one at http://mozilla.org/MPL/2.0/.
"""
COMMONS = """"Commons Clause" License Condition v1.0. The Software is provided to you by the Licensor under the License, as defined below,
subject to the following condition. Without limiting other conditions in the License, the grant of rights under the License will not
include, and the License does not grant to you, the right to Sell the Software.
"""
HOLDER = "Copyright (c) 2014-2021 The Example Authors <all@example.org>\n"

TAKEN = [
    (MIT, {"mit"}),
    (MIT.replace("Copyright (c) 2020 Somebody", "Copyright © 2001, 2002 A & B Ltd, Zürich"), {"mit"}),
    (HOLDER + HOLDER.replace("Example", "Second") + MIT, {"mit"}),
    (MIT.upper(), {"mit"}),
    (MIT.replace("\n", " "), {"mit"}),
    ("# License\n\n```\n" + MIT + "```\n", {"mit"}),
    ("/*\n" + "".join(f" * {line}\n" for line in MIT.splitlines()) + " */\n", {"mit"}),
    (MIT.replace("MIT License\n", ""), {"mit"}),
    ("The MIT License (MIT)\n\nSee https://opensource.org/licenses/MIT\n", {"mit"}),
    ("This project is licensed under the MIT license.", {"mit"}),
    ("Released under the MIT License. Contributions are welcome.", {"mit"}),
    (BSD2, {"bsd-2-clause"}),
    (BSD3, {"bsd-3-clause"}),
    ("Distributed under the 3-clause BSD license.", {"bsd-3-clause"}),
    ("Licensed under the New BSD License.", {"bsd-3-clause"}),
    ("Simplified BSD License (BSD-2-Clause)", {"bsd-2-clause"}),
    (APACHE, {"apache-2.0"}),
    (APACHE_NOTICE, {"apache-2.0"}),
    (HOLDER + "\n" + APACHE_NOTICE, {"apache-2.0"}),
    ("Apache License, Version 2.0", {"apache-2.0"}),
    ("Dual licensed under the MIT license or the GNU General Public License, version 2, at your option.", {"gpl-2.0 OR mit"}),
    ("You may choose either the MIT license or the Apache License 2.0.", {"apache-2.0 OR mit"}),
    ("This software is licensed under either of Apache License, Version 2.0 or MIT license at your option.", {"apache-2.0 OR mit"}),
    ("Choose one of: BSD-3-Clause, GPL-3.0-only.", {"bsd-3-clause OR gpl-3.0"}),
    (MIT + "\n\n" + APACHE_NOTICE, {"apache-2.0", "mit"}),
    (MIT + "\nThis project bundles files of others, each under the MIT license.\n", {"mit"}),
]  # fmt: skip
"""What the default takes: MIT, BSD with two or three clauses, Apache 2.0, and choices with one of them."""

LEFT = [
    (ISC, {"isc"}),
    (ZLIB, {"zlib"}),
    (UNLICENSE, {"unlicense"}),
    (BSD4, {"bsd-4-clause"}),
    (GPL3, {"gpl-3.0"}),
    (LGPL, {"lgpl-2.1"}),
    (AGPL, {"agpl-3.0"}),
    (GPL2_NOTICE, {"gpl-2.0"}),
    (GPL3_NOTICE, {"gpl-3.0"}),
    (LGPL_NOTICE, {"lgpl-2.1"}),
    (AGPL_NOTICE, {"agpl-3.0"}),
    (MPL_NOTICE, {"mpl-2.0"}),
    ("GNU GPL v3", {"gpl-3.0"}),
    ("This work is licensed under a Creative Commons Attribution-ShareAlike 4.0 International License.", {"cc-by-sa"}),
    ("Licensed under CC BY-NC 4.0", {"noncommercial"}),
    (BOOST, {"bsl-1.0"}),
    (MIT + "\n\n" + GPL2_NOTICE, {"gpl-2.0", "mit"}),
    (APACHE_NOTICE + "\nParts are under the GNU Lesser General Public License 2.1.\n", {"apache-2.0", "lgpl"}),
    (COMMONS + MIT, {"commons-clause", "mit"}),
    (MIT + "\nThe Software may not be used by the military.\n", {"mit", "restricted"}),
    (MIT + "\nThe Software shall be used for Good, not Evil.\n", {"json", "mit", "restricted"}),
    (APACHE_NOTICE + "\nwith the additional condition that you may not offer it as a hosted service.\n", {"apache-2.0", "restricted"}),
    ("Licensed under a modified version of the Apache License 2.0, with additional conditions: commercial use is prohibited.",
     {"apache-2.0", "restricted"}),
    (BSD3 + "\nRedistribution for a fee requires prior written permission.\n", {"bsd-3-clause", "restricted"}),
    (MIT + "\nFree for non-commercial use only.\n", {"mit", "noncommercial"}),
    ("Copyright (c) 2020 X. All rights reserved. Unauthorized copying of this file is strictly prohibited.", {"proprietary"}),
    ("All rights reserved.", {"unknown"}),
    ("You may use this software only for evaluation. Redistribution is not permitted.", {"unknown"}),
    ("Permission is granted to look at this software on Sundays.", {"unknown"}),
    ("Dual licensed under the GNU General Public License, version 2, or a commercial license.", {"gpl-2.0"}),
    ("Licensed under the European Union Public Licence 1.2", {"eupl"}),
    ("Licensed under the Eclipse Public License 2.0", {"epl"}),
    ("Redistribution and use are governed by the terms of the Server Side Public License, version 1.", {"sspl-1.0"}),
    ("Business Source License 1.1\nLicensor: X\nChange License: Apache License, Version 2.0", {"apache-2.0", "busl-1.1"}),
]  # fmt: skip
"""What it leaves: copyleft, licences that were not asked for, conditions that a licence does not have, and what cannot be told."""


@pytest.mark.parametrize(("text", "licences"), TAKEN)
def test_what_is_taken(text: str, licences: set[str]) -> None:
    found = licences_of_text(text)
    assert found == licences
    assert refusal(found, GithubReader().permitted) is None


@pytest.mark.parametrize(("text", "licences"), LEFT)
def test_what_is_left(text: str, licences: set[str]) -> None:
    found = licences_of_text(text)
    assert not found or refusal(found, GithubReader().permitted) is not None
    assert found == licences


def test_the_table_has_sixty_texts() -> None:
    assert len({text for text, _ in [*TAKEN, *LEFT]}) == 60
