"""Titles and authors of papers as plain text, in the forms that journals' classes have."""

from __future__ import annotations

import time

import pytest

from pipelines.markup.latex.byline import authors_of, title_of, title_source
from pipelines.markup.latex.plain import plain_text


@pytest.mark.parametrize(
    ("latex", "plain"),
    [
        (r"Poincar\'e and Erd\H{o}s", "Poincaré and Erdős"),
        (r"\'{E}tale \v{C}ech, \AA ngstr\"om, Fran\c{c}ois, Mart\'{\i}n, S{\o}ren", "Étale Čech, Ångström, François, Martín, Søren"),
        (r"A \emph{new} bound\thanks{Supported by X.} on~$\sqrt{n}$", "A new bound on $\\sqrt{n}$"),
        (r"Two\\ lines \& more --- 50\% off", "Two lines & more — 50% off"),
        (r"J. Doe$^{1,2}$\orcidlink{0000-0001}", "J. Doe"),
        (r"\texttt{code} of \(k\)-means", "code of $k$-means"),
        (r"unclosed \emph{group and \'", "unclosed group and"),
    ],
)  # fmt: skip
def test_plain_text(latex: str, plain: str) -> None:
    assert plain_text(latex) == plain


@pytest.mark.parametrize(
    ("source", "names"),
    [
        (r"\author{Ada Lovelace \and Charles Babbage}", ["Ada Lovelace", "Charles Babbage"]),
        (r"\author[1]{A. One}\author[2]{B. Two, Jr.}\affil[1]{Univ}", ["A. One", "B. Two Jr."]),
        (
            r"\author{First Last\thanks{x} \\ Department of CS \\ University of Y \\ \texttt{a@b.c} \And Second Person \\ Lab}",
            ["First Last", "Second Person"],
        ),
        (
            r"\author{\IEEEauthorblockN{Ann B. and C. D. Efg}\IEEEauthorblockA{\textit{Inst} \\ City}}",
            ["Ann B.", "C. D. Efg"],
        ),
        (r"\author{Nikolai M\inst{1}, J. K\"uhn\inst{2}, and O. Z. Li}", ["Nikolai M", "J. Kühn", "O. Z. Li"]),
        (r"\author{\fnm{Jane} \sur{Doe}}", ["Jane Doe"]),
        (r"\author{王伟}", ["王伟"]),
        (r"\author{@handle}", []),
        (r"no byline, \authornote{x}", []),
    ],
)
def test_authors(source: str, names: list[str]) -> None:
    assert list(authors_of(source)) == names


def test_the_title() -> None:
    source = r"\titlerunning{Short}\title[Short]{The \textbf{long}" + "\n" + r"title\thanks{y}}"
    assert title_of(source) == "The long title"
    assert title_source(source).startswith("\\title{The \\textbf{long}")
    assert title_of(r"\title{}") == title_source("nothing") == ""


def test_hostile_bylines_end() -> None:
    begin = time.monotonic()
    for text in (
        "\\author{" * 20_000,
        "\\author{" + "a\\and " * 20_000 + "}",
        "\\title" + "[" * 50_000,
        "\\'" * 50_000,
    ):
        authors_of(text)
        title_of(text)
    plain_text("\\v{" * 300 + "x")
    assert time.monotonic() - begin < 60  # the quadratic forms took minutes
