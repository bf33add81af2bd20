"""RedPajama v1's cleaner, fault by fault: what its regular expressions do to a paper."""

from __future__ import annotations

import pytest

from pipelines.markup.latex.redpajama import LostPaper, clean_faithful


def cleaned(text: str, **more: str) -> str:
    files = {"main.tex": text, **{f"{name}.tex": other for name, other in more.items()}}
    return clean_faithful({name: value.encode() for name, value in files.items()})


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("front\n\\section{S}\nword% comment\nx", "\\section{S}\nwor\nx"),  # the character before goes, too
        ("\\section{S}\nabc%\nd", "\\section{S}\nabc%\nd"),  # one at the line's end stays
        ("\\section{S}\n% all\nd", "\\section{S}\nd"),
        ("\\section{S}\na \\\\% line break", "\\section{S}\na \\\\% line break"),  # taken for an escaped one
        ('\\section{S}\nprintf("%d")\nx', "\\section{S}\nprintf(\nx"),
        ("no heading", ""),
        ("\\paragraph{P} text", ""),
        ("\\section*[s]{S} a \\appendix \\section{A} b", "\\section*[s]{S} a "),
        ("\\section{S} a \\bibliography{x} after", "\\section{S} a "),
        ("\\section{S} a \\printbibliography b", "\\section{S} a \\printbibliography b"),
    ],
)
def test_cuts_and_comments(source: str, expected: str) -> None:
    assert cleaned(source) == expected


def test_macros() -> None:
    assert cleaned("\\newcommand{\\R}{\\mathbb{R}}\n\\section{S} $\\R\\R\\R$") == (
        "\\section{S} $\\mathbb{R}\\R\\mathbb{R}$"
    )
    assert (
        cleaned("\\def\\x{y}\n\\section{S} \\x z \\xx \\x") == "\\section{S} y z \\xx \\x"
    )  # not at the end of a file
    assert (
        cleaned("\\newcommand\\x{y}\n\\newcommand{\\z}[1]{#1}\n\\section{S} \\x. \\z{a}") == "\\section{S} \\x. \\z{a}"
    )
    with pytest.raises(LostPaper, match="not ASCII"):
        cleaned("\\newcommand{\\nm}{Poincaré}\n\\section{S} x")


def test_files_stand_in_the_order_of_the_archive() -> None:
    assert (
        cleaned("\\section{M} \\input{b}", b="lost", c="\\section{C} c") == "\\section{M} \\input{b}\n\n\\section{C} c"
    )
    with pytest.raises(LostPaper, match="UTF-8"):
        clean_faithful({"a.tex": b"\\section{S} caf\xe9"})
