"""The arxiv domain: one bulk tar of gzipped LaTeX sources, as arXiv hands them out."""

from __future__ import annotations

from pathlib import Path
from random import Random

from demo.archive import gz, tar, write
from demo.cast import cast, person
from demo.prose import Prose, load_grammar

PAPERS = 32
SINGLE = 6  # every so manyth paper is one tex file and no tar
LATIN = 9  # the paper with an ISO-8859-1 author
PREAMBLE = r"""\documentclass[11pt]{article}
\usepackage{amsmath,amssymb,amsthm}
\usepackage{natbib} % citations by name
\newtheorem{theorem}{Theorem}
\newtheorem{lemma}[theorem]{Lemma}
\newtheorem{remark}[theorem]{Remark}
% our own short forms
\newcommand{\R}{\mathbb{R}}
\newcommand{\abs}[1]{\left|#1\right|}
\newcommand{\eps}{\varepsilon}
\def\wid{\operatorname{w}}
\newcommand\inv{\iota}
"""
_LABELS = ("main", "cover", "width", "bound", "basic")


def section(prose: Prose, title: str, label: str) -> str:
    """A section of a few paragraphs, with a displayed formula and comments of the author's."""
    rng = prose.rng
    parts = [f"\\section{{{title}}}\\label{{sec:{label}}}"]
    for _ in range(rng.randint(4, 8)):
        parts.append(prose.paragraph("body", 2, 4))
        kind = rng.randrange(5)
        if kind == 0:
            n, m = prose.say("small"), prose.say("small2")
            parts.append(
                f"\\begin{{equation}}\\label{{eq:{label}{rng.randrange(99)}}}\n  \\sum_{{i=1}}^{{n}} \\abs{{A_i}}^{n} \\le {m} \\wid(G) + \\eps n.\n\\end{{equation}}"
            )
        elif kind == 1:
            parts.append(
                f"% check the constant {prose.say('small2')} again\n{prose.sentence('body')} % see the letter of {person(rng).family}"
            )
        elif kind == 2:
            parts.append(f"\\begin{{remark}}\n{prose.sentence('remark')}\n\\end{{remark}}")
    return "\n\n".join(parts)


def result(prose: Prose, kind: str, label: str) -> str:
    """A theorem or a lemma with its proof."""
    name = "thm" if kind == "theorem" else "lem"
    return (
        f"\\begin{{{kind}}}\\label{{{name}:{label}}}\n{prose.sentence('statement')}\n\\end{{{kind}}}\n\n"
        f"\\begin{{proof}}\n{prose.paragraph('body', 4, 7)}\n\\end{{proof}}"
    )


def bibliography(keys: list[str], rng: Random) -> str:
    """The list of references."""
    years = [rng.randint(1931, 1999) for _ in keys]
    items = []
    for key, year in zip(keys, years, strict=True):
        page = rng.randint(1, 400)
        journal = f"J.~Inv.~Math. {rng.randint(1, 90)} ({year}), {page}--{page + rng.randint(4, 40)}"
        title = f"On a question of {person(rng).family}"
        items.append(
            f"\\bibitem[{key}({year})]{{{key.lower()}{year}}}\n{person(rng).given[0]}.~{key}, {title}, {journal}."
        )
    return "\\begin{thebibliography}{99}\n" + "\n".join(items) + "\n\\end{thebibliography}\n"


def paper(number: int) -> dict[str, str]:
    """The files of one paper; the main file comes first."""
    rng = Random(f"arxiv {number}")
    who = cast(rng)
    keys = [person(rng).family for _ in range(rng.randint(5, 9))]
    books = bibliography(keys, rng)
    names = [line[line.index("]{") + 2 : -1] for line in books.split("\n") if line.startswith("\\bibitem")]
    words = who.words(familiar=False) | {"key": lambda: rng.choice(names), "label": lambda: rng.choice(_LABELS)}
    prose = Prose(load_grammar("frames/paper"), rng, words)
    head = (
        f"{PREAMBLE}\n\\title{{{prose.sentence('title')}}}\n\\author{{{who.person.full}\\\\ Institute of Mathematics, {who.town}}}\n\\date{{}}\n"
        f"\\begin{{document}}\n\\maketitle\n\n\\begin{{abstract}}\n{prose.paragraph('abstract', 3, 5)}\n\\end{{abstract}}\n"
    )
    intro = "\\section{Introduction}\n\n" + "\n\n".join(prose.paragraph("intro", 3, 4) for _ in range(3))
    first = section(prose, "Preliminaries", "basic") + "\n\n" + result(prose, "lemma", "cover")
    second = (
        section(prose, "Proof of the theorem", "main")
        + "\n\n"
        + result(prose, "theorem", "main")
        + "\n\n"
        + result(prose, "lemma", "width")
    )
    third = section(prose, prose.sentence("section"), "width") + "\n\n" + result(prose, "lemma", "bound")
    last = "\\section{Further remarks}\\label{sec:bound}\n\n" + prose.paragraph("remark", 4, 6)
    tail = f"\n\n{books}\n\\end{{document}}\n"
    if number % SINGLE == 0:
        body = "\n\n".join((intro, first, second, third, last))
        return {"paper.tex": head + body + tail}
    calls = "\n".join(("\\input{first}", "\\input{second.tex} % the proof", third, last))
    return {"main.tex": head + intro + "\n\n" + calls + tail, "first.tex": first + "\n", "second.tex": second + "\n"}


def member(number: int) -> bytes:
    """One gzipped paper: a tar of its files, or the only file itself."""
    texts = paper(number)
    if number == LATIN:
        texts["main.tex"] = texts["main.tex"].replace("Institute of", "Universit\u00e9 de")
    encoding = "latin-1" if number == LATIN else "utf-8"
    files = [(name, text.encode(encoding)) for name, text in texts.items()]
    if len(files) == 1:
        return gz(files[0][1])
    if number % 4 == 1:
        files.append(
            (
                "figure1.eps",
                b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 90 90\nnewpath 9 9 moveto 81 81 lineto stroke\n",
            )
        )
    return tar(files, compressed=True)


def build(directory: Path) -> dict[str, object]:
    """Writes the bulk tar; says what was planted."""
    members = [(f"0001/math{1001 + number:07d}.gz", member(number)) for number in range(PAPERS)]
    members.insert(PAPERS // 2, ("0001/math0001900.pdf", b"%PDF-1.2\n% a paper without its source\n%%EOF\n"))
    write(directory / "arXiv_src_0001_001.tar", tar(members))
    return {
        "files": 1,
        "members": len(members),
        "papers": PAPERS,
        "single_file_papers": len(range(0, PAPERS, SINGLE)),
        "latin_1_papers": 1,
        "pdf_members": 1,
    }
