"""The github domain: source distributions of invented packages, with their licence files."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from random import Random

from demo import licences
from demo.archive import tar, write
from demo.cast import person
from demo.prose import GRAMMARS, Prose, load_grammar

NAMES = (
    "barrelkit", "ledgerline", "tidemark", "oakframe", "lanternlog", "parcelpost", "ropewalk", "gaugework", "shelfmark",
    "harvestcount", "signalbox", "quillpen", "copperpot", "millrace",
)  # fmt: skip
LICENCES = ("MIT", "BSD-3-Clause", "Apache-2.0")
COPYLEFT = "millrace"
SUFFIXES = {"python": "py", "c": "c", "js": "js"}
COMMENT = {"py": ("", "# ", ""), "c": ("/*\n", " * ", " */\n"), "js": ("/*\n", " * ", " */\n")}
DUPLICATED = "textwidth.py"  # vendored unchanged in several packages


@cache
def snippets(language: str) -> tuple[str, ...]:
    """The program fragments of one language; `@name@` marks what a package fills in."""
    text = (GRAMMARS / "code" / f"{language}.txt").read_text(encoding="utf-8")
    return tuple(part.strip("\n") for part in text.split("%%\n"))


def writer(rng: Random) -> Prose:
    """Writes comments, names and manuals."""
    return Prose(load_grammar("code/words"), rng, {})


def fragment(template: str, prose: Prose) -> str:
    """One fragment with its names filled in; the same mark is the same word throughout."""
    noun, field = prose.say("noun"), prose.say("field")
    words = {"noun": noun, "Noun": noun.capitalize(), "NOUN": noun.upper(), "field": field, "Field": field.capitalize()}
    words |= {"verb": prose.say("verb"), "unit": prose.say("unit"), "k": str(prose.rng.randint(2, 250))}
    about = {"noun": lambda: noun, "field": lambda: field}
    comments = Prose(load_grammar("code/words"), prose.rng, about)
    words |= {"doc": comments.sentence("doc"), "doc2": comments.sentence("doc"), "note": comments.say("note")}
    for mark, word in words.items():
        template = template.replace(f"@{mark}@", word)
    return template


def source(language: str, rng: Random, head: tuple[str, ...]) -> str:
    """A source file of four to nine fragments under an optional copyright header."""
    prose = writer(rng)
    suffix = SUFFIXES[language]
    parts = [fragment(text, prose) for text in rng.sample(snippets(language), rng.randint(4, 7))]
    first, each, last = COMMENT[suffix]
    comment = first + "".join(f"{each}{line}\n" for line in head) + last if head else ""
    intro = {
        "py": f'"""{prose.sentence("doc")}"""\n\n\n',
        "c": "#include <stdio.h>\n#include <stdlib.h>\n\n",
        "js": '"use strict";\n\n',
    }
    gap = "\n\n\n" if suffix == "py" else "\n\n"
    return comment + ("\n" if comment else "") + intro[suffix] + gap.join(parts) + "\n"


def manual(name: str, rng: Random, title: str) -> str:
    """A Markdown page with headings, prose, a list and a program."""
    prose = writer(rng)
    example = fragment(snippets("python")[rng.randrange(3, 8)], prose)
    bullets = "\n".join(f"- {prose.sentence('doc')}" for _ in range(4))
    parts = [f"# {title}", prose.paragraph("readme", 3, 5), "## Use", f"```python\nimport {name}\n\n\n{example}\n```"]
    parts += ["## Details", bullets, prose.paragraph("readme", 2, 4)]
    return "\n\n".join(parts) + "\n"


def package_info(name: str, version: str, licence: str, author: str) -> str:
    """The PKG-INFO file of a source distribution."""
    return (
        f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\nSummary: A small invented package\nAuthor: {author}\n"
        f"License: {licence}\nClassifier: {licences.CLASSIFIERS[licence]}\nClassifier: Programming Language :: Python :: 3\n"
    )


def package(index: int, name: str) -> list[tuple[str, bytes]]:
    """The members of one source distribution, in archive order."""
    rng = Random(f"github {name}")
    licence = "GPL-3.0-or-later" if name == COPYLEFT else LICENCES[index % len(LICENCES)]
    owner, year = person(rng).full, rng.randint(2009, 2021)
    version = f"{rng.randint(0, 3)}.{rng.randint(0, 9)}.{rng.randint(0, 9)}"
    head = licences.header(licence, year, owner) if index % 2 else ()
    texts: list[tuple[str, str]] = [
        ("PKG-INFO", package_info(name, version, licence, owner)),
        (licences.FILE_NAMES[licence], licences.text(licence, year, owner)),
        ("README.md", manual(name, rng, name.capitalize())),
        ("docs/guide.md", manual(name, rng, f"A guide to {name}")),
        (f"{name}/__init__.py", f'"""The package {name}."""\n\n__version__ = "{version}"\n'),
    ]
    words = writer(rng)
    for language, folder, count in (("python", name, 4), ("c", "src", 2), ("js", "web", 2)):
        for _ in range(count):
            path = f"{folder}/{words.say('noun')}_{words.say('field')}.{SUFFIXES[language]}"
            texts.append((path, source(language, rng, head)))
    texts.append((f"tests/test_{name}.py", source("python", rng, ())))
    if index % 3 == 0:
        texts.append((f"{name}/{DUPLICATED}", source("python", Random("vendored"), ())))
    if index == 4:
        texts.append(
            ("web/bundle.min.js", "var t=[" + ",".join(str(rng.randrange(10**6)) for _ in range(900)) + "];\n")
        )
    root = f"{name}-{version}"
    members = [(f"{root}/{path}", text.encode()) for path, text in texts]
    if index == 5:
        members.append((f"{root}/docs/logo.png", b"\x89PNG\r\n\x1a\n" + rng.randbytes(600)))
    return members


def build(directory: Path) -> dict[str, object]:
    """Writes the tarballs; says what was planted."""
    members = 0
    copyleft = 0
    for index, name in enumerate(NAMES):
        files = package(index, name)
        root = files[0][0].partition("/")[0]
        write(directory / f"{root}.tar.gz", tar(files, compressed=True))
        members += len(files)
        copyleft += len(files) if name == COPYLEFT else 0
    return {
        "files": len(NAMES),
        "members": members,
        "copyleft_packages": 1,
        "copyleft_members": copyleft,
        "exact_duplicate_members": len(range(0, len(NAMES), 3)) - 1,
        "minified_members": 1,
        "binary_members": 1,
    }
