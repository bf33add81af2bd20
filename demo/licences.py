"""Licence texts and file headers for the invented packages: what a licence detector must tell apart."""

from __future__ import annotations

_DISCLAIMER = (
    'THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE\n'
    "WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR\n"
    "COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR\n"
    "OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.\n"
)
MIT = (
    "MIT License\n\nCopyright (c) {year} {owner}\n\n"
    "Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated\n"
    'documentation files (the "Software"), to deal in the Software without restriction, including without limitation the\n'
    "rights to use, copy, modify, merge, publish, distribute, sublicense, and/or sell copies of the Software, and to permit\n"
    "persons to whom the Software is furnished to do so, subject to the following conditions:\n\n"
    "The above copyright notice and this permission notice shall be included in all copies or substantial portions of the\n"
    "Software.\n\n" + _DISCLAIMER
)
BSD = (
    "BSD 3-Clause License\n\nCopyright (c) {year}, {owner}\nAll rights reserved.\n\n"
    "Redistribution and use in source and binary forms, with or without modification, are permitted provided that the\n"
    "following conditions are met:\n\n"
    "1. Redistributions of source code must retain the above copyright notice, this list of conditions and the following\n"
    "   disclaimer.\n\n"
    "2. Redistributions in binary form must reproduce the above copyright notice, this list of conditions and the following\n"
    "   disclaimer in the documentation and/or other materials provided with the distribution.\n\n"
    "3. Neither the name of the copyright holder nor the names of its contributors may be used to endorse or promote\n"
    "   products derived from this software without specific prior written permission.\n\n"
    'THIS SOFTWARE IS PROVIDED BY THE COPYRIGHT HOLDERS AND CONTRIBUTORS "AS IS" AND ANY EXPRESS OR IMPLIED WARRANTIES,\n'
    "INCLUDING, BUT NOT LIMITED TO, THE IMPLIED WARRANTIES OF MERCHANTABILITY AND FITNESS FOR A PARTICULAR PURPOSE ARE\n"
    "DISCLAIMED.\n"
)
APACHE = (
    "                                 Apache License\n                           Version 2.0, January 2004\n"
    "                        http://www.apache.org/licenses/\n\n"
    "Copyright {year} {owner}\n\n"
    'Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance with\n'
    "the License. You may obtain a copy of the License at\n\n    http://www.apache.org/licenses/LICENSE-2.0\n\n"
    "Unless required by applicable law or agreed to in writing, software distributed under the License is distributed on an\n"
    '"AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.\n'
)
GPL = (
    "                    GNU GENERAL PUBLIC LICENSE\n                       Version 3, 29 June 2007\n\n"
    "Copyright (C) {year} {owner}\n\n"
    "This program is free software: you can redistribute it and/or modify it under the terms of the GNU General Public\n"
    "License as published by the Free Software Foundation, either version 3 of the License, or (at your option) any later\n"
    "version.\n\n"
    "This program is distributed in the hope that it will be useful, but WITHOUT ANY WARRANTY; without even the implied\n"
    "warranty of MERCHANTABILITY or FITNESS FOR A PARTICULAR PURPOSE. See the GNU General Public License for more details.\n"
)
TEXTS = {"MIT": MIT, "BSD-3-Clause": BSD, "Apache-2.0": APACHE, "GPL-3.0-or-later": GPL}
CLASSIFIERS = {
    "MIT": "License :: OSI Approved :: MIT License",
    "BSD-3-Clause": "License :: OSI Approved :: BSD License",
    "Apache-2.0": "License :: OSI Approved :: Apache Software License",
    "GPL-3.0-or-later": "License :: OSI Approved :: GNU General Public License v3 or later (GPLv3+)",
}
FILE_NAMES = {"MIT": "LICENSE", "BSD-3-Clause": "LICENSE.txt", "Apache-2.0": "LICENSE", "GPL-3.0-or-later": "COPYING"}


def text(licence: str, year: int, owner: str) -> str:
    """The licence file of a package."""
    return TEXTS[licence].format(year=year, owner=owner)


def header(licence: str, year: int, owner: str) -> tuple[str, ...]:
    """The lines of a copyright header as authors put them at the top of a source file."""
    return (
        f"Copyright {year} {owner}.",
        f"Distributed under the terms of the {licence} licence; see the licence file.",
    )
