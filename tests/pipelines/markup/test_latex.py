"""LaTeX cleaning: every row of the known faults of other cleaners, TeX's own rules, and papers that try to hang us."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.markup.latex.bibliography import remove_bibliography
from pipelines.markup.latex.comments import strip_comments
from pipelines.markup.latex.expander import expand
from pipelines.markup.latex.layout import drop_layout
from pipelines.markup.latex.paper import Parts
from pipelines.markup.latex.paper import clean as clean_paper
from pipelines.markup.latex.sources import Sources


def clean(files: dict[str, str], front: bool = False, bibliography: bool = False) -> str:
    return clean_paper(files, Parts(front=front, bibliography=bibliography, layout=True)).text


def body(text: str, preamble: str = "", **more: str) -> str:
    """The cleaned text of a paper behind its first section heading."""
    files = {name.replace("__", "/") + ".tex": content for name, content in more.items()}
    main = f"\\documentclass{{article}}\n{preamble}\n\\begin{{document}}\n\\section{{S}}\n{text}\n\\end{{document}}\n"
    cleaned = clean({"main.tex": main, **files})
    assert cleaned.startswith("\\section{S}")
    return cleaned.removeprefix("\\section{S}").strip()


@pytest.mark.parametrize(
    ("preamble", "text", "expected"),
    [
        (r"\newcommand{\nm}{Poincaré}", r"the \nm map", "the Poincaré map"),  # 1
        (r"\def\nm{a\1b}", r"\nm", r"a\1b"),  # 1: a body is no regular expression
        ("", "word% comment\nnext", "wordnext"),  # 2
        ("", "word % comment\nnext", "word next"),  # 2
        ("", "abc%\ndef", "abcdef"),  # 3
        ("", "abc%\n   def", "abcdef"),  # 3
        ("", "a\\\\% comment\nb", "a\\\\b"),  # 4
        ("", "a\\\\\\% no comment", "a\\\\\\% no comment"),  # 4
        ("", "50\\% of", "50\\% of"),
        ("", "\\begin{verbatim}\nprintf(\"%d\");  % x\n\\end{verbatim}", "\\begin{verbatim}\nprintf(\"%d\");  % x\n\\end{verbatim}"),  # 5
        ("", "\\begin{lstlisting}[language=C]\na % b\n\\end{lstlisting}\nc % d", "\\begin{lstlisting}[language=C]\na % b\n\\end{lstlisting}\nc"),  # 5
        ("", "\\url{http://a.b/c%20d} x", "\\url{http://a.b/c%20d} x"),  # 5
        ("", "\\verb|%| x % y", "\\verb|%| x"),  # 5
        (r"\newcommand{\x}[1]{X#1}", "\\begin{lstlisting}[caption={\\x{} y}]\n\\x % z\n\\end{lstlisting}", "\\begin{lstlisting}[caption={X y}]\n\\x % z\n\\end{lstlisting}"),
        (r"\newcommand{\R}{\mathbb{R}}", r"$\R\R\R$", r"$\mathbb{R}\mathbb{R}\mathbb{R}$"),  # 6
        (r"\newcommand{\R}{\mathbb{R}}", r"end \R", r"end \mathbb{R}"),  # 6: at the end
        (r"\newcommand\x{one}", r"\x", "one"),  # 7
        (r"\renewcommand{\x}{one}", r"\x", "one"),  # 7
        (r"\providecommand{\x}{one}\providecommand{\x}{two}", r"\x", "one"),  # 7
        (r"\DeclareMathOperator{\argmax}{arg\,max}", r"$\argmax f$", r"$\operatorname{arg\,max} f$"),  # 7
        (r"\DeclareMathOperator*{\lims}{lim}", r"\lims", r"\operatorname*{lim}"),  # 7
        (r"\let\eps\varepsilon", r"$\eps x\eps{}y$", r"$\varepsilon x\varepsilon y$"),  # 7
        (r"\let\oldvec\vec \renewcommand{\vec}[1]{\oldvec{\mathbf #1}}", r"$\vec{x}$", r"$\vec{\mathbf x}$"),  # 7
        ("\\newcommand{\\x}{first\n  line\n  second}", r"\x", "first\n  line\n  second"),  # 7: several lines
        ("\\newcommand{\\x}{one} % comment\n", r"\x", "one"),  # 7
        (r"\newcommand{\x}{one}\newcommand{\y}{two}\def\z{three} \relax", r"\x \y \z", "one two three"),  # 7
        (r"\newcommand{\ip}[2]{\langle #1, #2\rangle}", r"$\ip{a}{b}$ $\ip ab$", r"$\langle a, b\rangle$ $\langle a, b\rangle$"),  # 7
        (r"\newcommand{\n}[2][p]{|#2|_{#1}}", r"$\n{x}$ $\n[q]{x}$", "$|x|_{p}$ $|x|_{q}$"),  # 7
        (r"\def\pair#1#2{(#1;#2)}", r"\pair{a}{b}", "(a;b)"),  # 7
        (r"\newcommand{\aa}{\bb x}\newcommand{\bb}{B}", r"\aa", "B x"),  # 8
        (r"\newcommand{\bb}{B}\newcommand{\aa}{\bb x}", r"\aa", "B x"),  # 8
        (r"\newcommand*{\x}{one}", r"\x", "one"),
        (r"\long\def\x#1{[#1]}\global\def\y{z}", r"\x{a} \y", "[a] z"),
        (r"\NewDocumentCommand{\x}{O{d} m}{#1-#2}", r"\x{a} \x[b]{c}", "d-a b-c"),
        (r"\newcommand{\ie}{i.e.\xspace}", r"\ie this, \ie, \ie{} that", "i.e. this, i.e., i.e. that"),
        (r"\newcommand{\bx}{\mathbf}", r"$\bx x \bx{y}$", r"$\mathbf x \mathbf{y}$"),
        (r"\newcommand{\v}{\vv}\newcommand{\vv}[1]{<#1>}", r"\v{x} " * 200, ("<x> " * 200).strip()),  # arguments behind a body
        (r"\newcommand{\b}[1]{\mathbf#1}", r"$\b x$", r"$\mathbf x$"),
        (r"\newcommand{\beq}{\begin{equation}}\newcommand{\eeq}{\end{equation}}", r"\beq a\eeq", r"\begin{equation} a\end{equation}"),
        (r"\newcommand{\todo}[1]{}", r"a\todo{fix} b", "a b"),
        (r"\newcommand{\x}{a}", r"\x \renewcommand{\x}{b}\x", "a b"),
        (r"\makeatletter\renewcommand{\section}{\@startsection{x}}\def\p{\@ifnextchar[{a}{b}}", r"\section{T} \p, \p[", r"\section{T} b, a["),
        (r"\newcommand{\x}{one}", r"\begin{verbatim}\x\end{verbatim} \xx", r"\begin{verbatim}\x\end{verbatim} \xx"),
    ],
)  # fmt: skip
def test_comments_and_macros(preamble: str, text: str, expected: str) -> None:
    assert body(text, preamble) == expected


@pytest.mark.parametrize(
    ("preamble", "text", "expected"),
    [
        (r"\newcommand{\s}{\setlength{\parskip}{0pt}\begin{tabular}{c}Rain\end{tabular}}", r"See: \s", r"See: \setlength{\parskip}{0pt}\begin{tabular}{c}Rain\end{tabular}"),
        (r"\newcommand{\ie}{i.e.\@\xspace}", r"\ie that, \ie", r"i.e.\@ that, i.e.\@"),
        (r"\newcommand{\m}{\ifmmode A\else B\fi}", r"\m $\m$ \[\m\] \(x\) \m $\mbox{\m} \m$ \begin{align}\m\end{align}", r"B $A$ \[A\] \(x\) B $\mbox{B} A$ \begin{align}A\end{align}"),
        (r"\newcommand{\m}{\ifmmode A\else B\fi}", "$ never closed\n\n\\m", "$ never closed\n\nB"),
        (r"\newcommand{\v}{\ensuremath{v_0}}", r"\v{} and $\v$", "$v_0$ and $v_0$"),
        (r"\NewDocumentCommand{\x}{s o m}{\IfBooleanTF{#1}{S}{N}\IfValueTF{#2}{(#2)}{-}#3}", r"\x{a} \x*{b} \x[o]{c} \x*[o]{d}", "N-a S-b N(o)c S(o)d"),
        (r"\NewDocumentCommand{\x}{m d<> t+ r()}{#1\IfNoValueF{#2}{:#2}\IfBooleanT{#3}{+}#4}", r"\x{a}(b) \x{a}<c>+(d)", "ab a:c+d"),
        (r"\NewDocumentCommand{\x}{m e{_^}}{#1}", r"\x{a}_b", "\\NewDocumentCommand{\\x}{m e{_^}}{#1}\n\n\\x{a}_b"),  # stays
        (r"{\gdef\x{one}\def\y{two}}", r"\x \y", r"one \y"),
        (r"\makeatletter\def\my@x{one}\newcommand{\x}{\my@x}\makeatother", r"\x", "one"),
        (r"\makeatletter\def\x{\@ifstar\x@s\x@n}\def\x@s#1{S#1}\def\x@n#1{N#1}\makeatother", r"\x{a}\x*{b}", "NaSb"),
        (r"\makeatletter\def\x{\@ifnextchar[{\x@o}{\x@o[d]}}\def\x@o[#1]#2{#1:#2}\makeatother", r"\x{a} \x[b]{c}", "d:a b:c"),
        (r"\DeclarePairedDelimiter{\abs}{\lvert}{\rvert}", r"\abs{x} \abs*{x} \abs[\big]{x}", r"\lvert x\rvert \left\lvert x\right\rvert \bigl\lvert x\bigr\rvert"),
        (r"\DeclarePairedDelimiterX\ip[2]{\langle}{\rangle}{#1\,\delimsize\vert\,#2}", r"\ip{a}{b} \ip*{a}{b}", r"\langle a\,\vert\,b\rangle \left\langle a\,\middle\vert\,b\right\rangle"),
        (r"\newenvironment{claim}[1][Claim]{\textbf{#1.} }{\qed}", r"\begin{claim}a\end{claim} \begin{claim}[Fact]b\end{claim}", r"\textbf{Claim.} a\qed \textbf{Fact.} b\qed"),
        (r"\NewDocumentEnvironment{claim}{m}{<#1>}{</>}", r"\begin{claim}{n}a\end{claim}", "<n>a</>"),
        (r"\def\beg{\begin{center}}\def\endbeg{\end{center}}", r"\begin{beg}a\end{beg}", r"\begin{center}a\end{center}"),
        (r"\newcommand{\p}[1]{<#1>}", "a \\p\n\nb", "a <\n\n>b"),  # a blank line as the argument
        (r"\def\x#1.#2;{[#1|#2]}", r"\x a.b c; d", "[a|b c] d"),
        (r"\def\x(#1,#2){#2#1}", r"\x(a,b)", "ba"),
        (r"\edef\x{a}\edef\x{\x{}b}", r"\x", "ab"),
        (r"\newif\ifdraft\drafttrue", r"\ifdraft a\else b\fi \draftfalse\ifdraft c\else d\fi", "a d"),  # X6
        (r"\newif\ifdraft", r"a \ifdraft \ifx\u\v x\else y\fi\fi b", "a  b"),
        (r"\newboolean{long}\setboolean{long}{true}", r"\ifthenelse{\boolean{long}}{a}{b}", "a"),
        (r"\newcommand{\x}[1]{\ifx#1\empty none\else (#1)\fi}\newcommand{\y}[1]{\ifthenelse{\equal{#1}{}}{none}{(#1)}}", r"\x{a} \y{} \y{b}", "(a) none (b)"),
        (r"\excludecomment{hidden}", r"a \begin{hidden}b\end{hidden} c", "a  c"),
        (r"\newenvironment{hidden}{\comment}{\endcomment}", r"a \begin{hidden}b\end{hidden} c", "a  c"),
        (r"\let\hidden\comment\let\endhidden\endcomment", r"a \begin{hidden}b\end{hidden} c", "a  c"),
        (r"\includecomment{shown}", r"a \begin{shown}b\end{shown} c", "a b c"),
        # X4
        (r"\let\originalleft\left\renewcommand{\left}{\mathopen{}\mathclose\bgroup\originalleft}", r"$\left( x \right)$", r"$\left( x \right)$"),
        ("", r"{\def\c{XX}\c} Fran\c{c}ois", r"{XX} Fran\c{c}ois"),
        (r"\newcommand{\x}{out}", r"\begin{center}\renewcommand{\x}{in}\x\end{center} \x {\global\def\x{all}} \x", r"\begin{center}in\end{center} out {} all"),
        (r"\newcommand{\set}{\def\x{in}}\newcommand{\x}{out}", r"{\set\x} \x", "{in} out"),
        (r"\begingroup\def\x{in}\endgroup", r"\x", r"\x"),
        # what cannot be expanded stays with its definition, and with what that needs
        (r"\newcommand{\y}{Y}\newcommand{\x}{\futurelet\n\y}", r"\x", "\\newcommand{\\y}{Y}\n\\newcommand{\\x}{\\futurelet\\n\\y}\n\n\\x"),
        (r"\makeatletter\newcommand{\x}{\z@}\makeatother", r"\x", "\\makeatletter\n\\newcommand{\\x}{\\z@}\n\\makeatother\n\n\\x"),
        ("", r"\newcommand{\x}{\expandafter\y}a \x", r"\newcommand{\x}{\expandafter\y}a \x"),
        (r"\newcommand{\x}[2]{#1#2}", r"{\x a}", "\\newcommand{\\x}[2]{#1#2}\n\n{\\x a}"),
        (r"\def\a{\a}", r"\a", "\\def\\a{\\a}\n\n\\a"),
        (r"\newenvironment{e}{\futurelet\n\y}{}", r"\begin{e}a\end{e}", "\\newenvironment{e}{\\futurelet\\n\\y}{}\n\n\\begin{e}a\\end{e}"),
    ],
)  # fmt: skip
def test_expansion_as_tex_does_it(preamble: str, text: str, expected: str) -> None:  # X3, X4, X6
    source = f"\\documentclass{{a}}\n{preamble}\n\\begin{{document}}\\section{{S}}{text}\n\\end{{document}}"
    assert clean({"a.tex": source}).replace("\\section{S}", "") == expected


def test_inputs_by_macros_and_the_papers_own_styles() -> None:  # X3, X5
    files = {
        "a.tex": r"\documentclass{own}\usepackage{amsmath,mine}\usepackage{taken}\newcommand{\inc}[1]{\input{sec/#1.tex}}"
        r"\newcommand{\dir}{sec}\begin{document}\section{S}\inc{one} \input{\dir/one} \name \tool \kept \other \inner\end{document}",
        "sec/one.tex": r"text \name",
        "own.cls": r"\newcommand{\other}{from the class}",
        "mine.sty": r"\newcommand{\name}{Ours}\def\tool{\@tool x}\renewcommand{\section}{no}{\def\inner{no}}\if@x\def\inner{no}\fi",
        "taken.sty": r"\ProvidesPackage{taken}[2008/01/02 v1]\newcommand{\kept}{no}",
    }  # fmt: skip
    assert " ".join(clean(files).split()) == r"\section{S}text Ours text Ours Ours \tool \kept from the class \inner"


@pytest.mark.parametrize(
    "source",
    [
        r"\def\a#1{\a{\a#1}}\a x",
        r"\def\a#1{\a{#1}\a{#1}}\a x",
        r"\iftrue " * 30_000,
        r"\iftrue " * 3000 + r"\fi " * 3000,
        r"\newif\ifa" + r"\ifa " * 20_000,
        r"{\def\x{y}\x" * 20_000,
        r"{\def\x{y}\x}" * 10_000,
        r"\def\x{y}" * 30_000,
        r"\begin{a}\newcommand{\x}[1]{#1}\x" * 5000,
        r"\endinput\ifx\u\v " * 5000,
        r"\ifx\u\v\endinput " * 5000,
        r"\newenvironment{e}{\begin{e}}{\end{e}}" + r"\begin{e}" * 20_000,
        r"\excludecomment{h}" + r"\begin{h}" * 20_000,
        r"\newcommand{\m}{\ensuremath{x}}" + r"\m{" * 20_000,
        r"\edef\x{\x\x}" * 20_000,
        r"\makeatletter\def\x{\@ifnextchar[\x\x}\x",
        r"\def\x#1.{y}" + r"\x " * 20_000,
        r"\title{" * 20_000,
        r"\label{" * 20_000,
        r"\textcolor{a}{" * 20_000 + "}" * 20_000,
        r"\begin{tikzpicture}" * 20_000,
        r"\label{a}" * 50_000,
    ],
)  # fmt: skip
def test_no_program_hangs(source: str) -> None:
    start = time.process_time()
    clean({"main.tex": f"\\documentclass{{a}}\\begin{{document}}\\section{{S}}\n{source}\n\\end{{document}}"})
    assert time.process_time() - start < 15


@pytest.mark.parametrize("count", ["²", "9" * 5000, "-1", "x", "٣"])
def test_an_odd_count_of_parameters_loses_no_paper(count: str) -> None:
    for definer in ("newcommand{\\x}", "DeclarePairedDelimiterX{\\x}", "newenvironment{e}"):
        assert body("text", f"\\{definer}[{count}]{{a}}{{b}}{{c}}") == "text"


@pytest.mark.parametrize(
    ("preamble", "text", "expected"),
    [
        (r"\expandafter\newcommand\csname fig\endcsname{Figure}", r"See \fig{} 1.", "See Figure 1."),
        (r"\expandafter\newcommand\expandafter{\csname fig\endcsname}[1]{Figure #1}", r"See \fig{1}.", "See Figure 1."),
        (r"\expandafter\def\csname fig\endcsname#1{Figure #1}", r"See \csname fig\endcsname{1}.", "See Figure 1."),
        (r"\def\a{Figure}\expandafter\let\csname fig\endcsname=\a", r"See \fig{} 1.", "See Figure 1."),
        ("{\\global\\expandafter\\def\\csname fig\\endcsname{Figure}}", r"See \fig{} 1.", "See Figure 1."),
        (r"\makeatletter\@namedef{fig}{Figure}\@namedef{tab}#1{Table #1}\makeatother", r"\fig{} 1, \tab{2}", "Figure 1, Table 2"),
        (r"\newcommandx{\h}[2][1=d]{#1-#2}", r"\h{c} \h[a]{b}", "d-c a-b"),
        (r"\newcommandx*\h[3][1={a,b}, 3=z]{#1-#2-#3}", r"\h{c} \h[a]{b}[c]", "a,b-c-z a-b-c"),
        (r"\newenvironmentx{e}[1][1=d]{(#1 }{)}", r"\begin{e}x\end{e}\begin{e}[y]x\end{e}", "(d x)(y x)"),
        ("", r"\expandafter\def\csname fig\endcsname{Figure} See \fig{} 1.", "See Figure 1."),
        ("", r"\expandafter\def\csname fig\n\endcsname{Figure} See.", r"\expandafter\def\csname fig\n\endcsname{Figure} See."),
        (r"\def\x{y}", r"\expandafter\def\expandafter\z\expandafter{\x} z", r"\expandafter\def\expandafter\z\expandafter{\x} z"),
        (r"\def\b{y}", r"\expandafter\let\expandafter\z\csname b\endcsname z", r"\expandafter\let\expandafter\z\csname b\endcsname z"),
        (r"\def\x{y}", r"\expandafter\foo\x z", r"\expandafter\foo y z"),
    ],
)  # fmt: skip
def test_definitions_by_a_literal_name(preamble: str, text: str, expected: str) -> None:
    assert body(text, preamble) == expected


def test_a_definition_with_keys_that_are_not_known_stays() -> None:
    definition = r"\newcommandx{\h}[1][1=d,usedefault]{x#1}"
    text = clean(
        {"main.tex": f"\\documentclass{{a}}{definition}\\begin{{document}}\\section{{S}}\\h[c]\\end{{document}}"}
    )
    assert text == f"{definition}\n\n\\section{{S}}\\h[c]"


def test_comment_lines_and_paragraphs() -> None:
    assert body("a\n% whole line\nb") == "a\nb"
    assert body("a\n\n% whole line\n\nb") == "a\n\nb"
    assert body("a % end\n\nb") == "a\n\nb"
    assert body("a\n\\begin{comment}\nhidden % x\n\\end{comment}\nb") == "a\n\nb"


@pytest.mark.parametrize(
    "heading",
    ["part", "chapter", "section", "subsection", "subsubsection", "paragraph", "subparagraph", "section*"],
)
def test_every_heading_is_a_section(heading: str) -> None:  # 9
    source = f"\\documentclass{{a}}\\begin{{document}}before \\{heading}[short]{{T}} after\\end{{document}} behind"
    assert clean({"a.tex": source}) == f"\\{heading}[short]{{T}} after"


def test_a_user_macro_may_be_the_first_section() -> None:
    source = r"\documentclass{a}\newcommand{\sect}[1]{\section{#1}}\begin{document}x \sect{T} y\end{document}"
    assert clean({"a.tex": source}) == r"\section{T} y"


def test_inputs_are_followed_in_their_order() -> None:  # 10
    files = {
        "z.tex": r"\documentclass{a}\input{defs}\begin{document}\input sec/one \include{sec/two}\subfile{sub}\input{gone}E\end{document}",
        "defs.tex": r"\newcommand{\R}{\mathbb{R}}",
        "sec/one.tex": "\\section{One} in $\\R$\n\\input{three}",
        "sec/two.tex": "no heading here",
        "sec/three.tex": "deep",
        "sub.tex": r"\documentclass[z]{subfiles}\begin{document}sub body\end{document}",
        "unused.tex": "not part of the paper",
    }  # fmt: skip
    text = clean(files)
    assert text.split() == r"\section{One} in $\mathbb{R}$ deep no heading here sub body E".split()


def test_inputs_that_include_themselves_end() -> None:
    files = {
        "a.tex": r"\documentclass{a}\begin{document}\section{S}\input{b}\end{document}",
        "b.tex": r"x \input{b}\input{a} y",
    }
    assert clean(files).split() == [r"\section{S}x", "y"]


def test_the_abstract_goes_or_stays() -> None:  # 10
    source = "\\documentclass{a}\\begin{document}\\begin{abstract}Short.\\end{abstract}\n\\section{S} x\\end{document}"
    assert clean({"a.tex": source}) == "\\section{S} x"
    assert clean({"a.tex": source}, front=True) == "\\begin{abstract}Short.\\end{abstract}\n\n\\section{S} x"


def test_only_the_bibliography_is_cut() -> None:  # 11
    text = (
        "a\n\\bibliographystyle{plain}\n\\section*{References}\n\\bibliography{x,y}\n\\appendix\n\\section{Proofs} b\n"
        "\\printbibliography[heading=none]\n\\section*{References}\n"
        "\\begin{thebibliography}{9}\n\\bibitem{k} K.\n\\end{thebibliography}\nc"
    )
    assert body(text).split() == ["a", "\\appendix", "\\section{Proofs}", "b", "c"]
    assert remove_bibliography("a \\begin{references} never closed") == "a "
    kept = clean(
        {"a.tex": f"\\documentclass{{a}}\\begin{{document}}\\section{{S}}{text}\\end{{document}}"},
        bibliography=True,
    )
    assert "\\bibitem{k}" in kept and "\\bibliography{x,y}" in kept


def test_references_written_by_hand_go() -> None:
    entries = (
        "Almgren, A. 2010. ``CASTRO.'' \\emph{Journal} 715: 1221.\n\nNonaka, A. 2011. ``MAESTRO.'' \\emph{Other} 12."
    )
    heading = "\\section*{References}\\label{references}\n\\hypertarget{refs}{}\n"
    assert body(f"a\n{heading}{entries}") == "a"
    assert body(f"a\n{heading}{entries}\n\\appendix\n\\section{{B}} b").split() == [
        "a",
        "\\appendix",
        "\\section{B}",
        "b",
    ]
    figure = "\\begin{figure}\nc\n\\end{figure}"
    assert body(f"a\n{heading}{entries}\n{figure}") == f"a\n{figure}"
    assert body(f"a\n\\begin{{CSLReferences}}{{1}}{{0}}\n{entries}\n\\end{{CSLReferences}}\nb").split() == ["a", "b"]
    prose = "\\section{References}\nA reference to an object is a pointer that cannot be null."
    assert body(prose) == prose


@pytest.mark.parametrize(
    "heading", ["\\section*{Acknowledgments} thanks", "\\appendix\n\\section{Proof} p", "\\paragraph{Outline.} o"]
)
def test_a_letter_keeps_its_text(heading: str) -> None:
    front = "\\title{T}\\begin{abstract}Short.\\end{abstract}\\maketitle\n"
    for text, kept in (("Long text. " * 400, True), ("Keywords: one.", False)):
        cleaned = clean({"a.tex": f"\\documentclass{{a}}\\begin{{document}}{front}{text}\n{heading}\\end{{document}}"})
        assert cleaned == (f"{text.strip()}\n{heading}" if kept else heading.removeprefix("\\appendix\n"))
    proper = clean(
        {"a.tex": f"\\documentclass{{a}}\\begin{{document}}{'x ' * 2000}\\section{{One}} y\n{heading}\\end{{document}}"}
    )
    assert proper == f"\\section{{One}} y\n{heading}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a \\iffalse b \\ifx\\u\\v c\\else d\\fi $x \\iff y$ e\\fi f", "a  f"),
        ("a \\iffalse b\\else c\\fi d", "a  c d"),
        ("a \\if 0 \nb\n\\fi\nc", "a\nc"),
        ("a \\iffalse never closed", "a \\iffalse never closed"),
        ("a \\ifdraft b\\else c\\fi d", "a \\ifdraft b\\else c\\fi d"),
        ("\\verb|\\iffalse| b \\fi", "\\verb|\\iffalse| b \\fi"),
    ],
)
def test_what_is_never_set_goes(text: str, expected: str) -> None:
    assert body(text) == expected


def test_a_paper_without_sections_or_without_a_class() -> None:
    assert clean({"a.tex": r"\documentclass{revtex}\begin{document}Letter.\end{document}"}) == "Letter."
    assert clean({"a.tex": "Plain \\TeX{} paper % x\n\\bye rest"}) == "Plain \\TeX{} paper"
    assert clean({}) == ""


def test_the_top_file() -> None:
    top = r"\documentclass{a}\begin{document}\input{part}\end{document}"
    assert (
        Sources({"b.tex": top, "part.tex": r"\documentclass{standalone}\begin{document}x\end{document}"}).roots()[0]
        == "b.tex"
    )
    assert Sources({"a.tex": top, "ms.tex": top, "part.tex": "x"}).roots()[0] == "ms.tex"
    assert Sources({"old/ms.tex": top, "z.tex": top.replace("x", "xx")}).roots()[0] in ("old/ms.tex", "z.tex")


COMPLETE = r"\documentclass{article}\begin{document}\section{S}%s\end{document}"


def test_the_root_is_judged_with_its_inputs() -> None:  # X1
    top = r"\documentclass{article}\input{body}\end{document}"
    inner = r"\begin{document}\section{Paper} " + "text " * 100
    files = {"ms.tex": top, "body.tex": inner, "note.tex": COMPLETE % "note"}
    paper = clean_paper(files)
    assert paper.text.startswith(r"\section{Paper} text") and paper.others == ("note.tex",)
    assert clean({"top.tex": top, "body.tex": inner, "note.tex": COMPLETE % "note"}).startswith(r"\section{Paper}")
    deep = {"a.tex": r"\input{pre}\input{body}", "pre.tex": r"\documentclass{article}", "body.tex": inner}
    assert Sources(deep).roots()[0] == "a.tex"


def test_a_long_chapter_beside_a_short_outline() -> None:  # X1
    chapter = r"\chapter{One} " + "word " * 25_000
    files = {"outline.tex": COMPLETE % ("o" * 9000), "chapter.tex": chapter}
    paper = clean_paper(files)
    assert paper.text == chapter.strip() and paper.others == ("outline.tex",)
    assert clean({**files, "outline.tex": COMPLETE % r"\input{chapter}"}).endswith("word"), "a part is no root"
    numbers = {"data.tex": "1 & 2 \\\\\n" * 20_000, "outline.tex": COMPLETE % "short"}
    assert clean(numbers) == r"\section{S}short", "without a heading it is a table"
    assert clean({"long.tex": COMPLETE % ("x " * 20_000), "main.tex": COMPLETE % "m"}) == r"\section{S}m"


def test_files_that_take_each_other_have_a_root() -> None:
    ring = {f"{name}.tex": rf"\input{{{other}}} x" for name, other in ("ab", "bc", "ca")}
    assert Sources(ring).roots()[0] in ring
    doubling = {f"f{number}.tex": rf"\input{{f{number + 1}}}" * 2 for number in range(200)}
    assert Sources(doubling).roots()[0] == "f0.tex"


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (r"\title{T}\author{A}\email{a@b.c}\begin{abstract}X\end{abstract}\maketitle Body.", "Body."),
        (r"\maketitle\begin{abstract}X\end{abstract} Body.", "Body."),
        (r"\title[s]{T {\bf x}}\author{A}\abstract{X {y}} \keywords{k} Body {z}.", "Body {z}."),
        (r"\title{T}\author{A \\ B}\date{} Body \title{inner}.", r"Body \title{inner}."),
        (r"\preprint{1} \title{T} \affiliation{Here} \noindent Body", "Body"),
        (r"\begin{titlepage}T\end{titlepage} Body", "Body"),
        (r"\title{never closed Body", r"\title{never closed Body"),
        (r"Body. \begin{center}c\end{center}", r"Body. \begin{center}c\end{center}"),
        (r"Prose " * 500 + r"\begin{abstract}late\end{abstract} x", "Prose " * 500 + r"\begin{abstract}late\end{abstract} x"),
    ],
)  # fmt: skip
def test_a_letter_without_headings_begins_behind_its_front_matter(source: str, expected: str) -> None:  # X2
    assert clean({"a.tex": rf"\documentclass{{a}}\begin{{document}}{source}\end{{document}}"}) == expected


def test_inputs_as_tex_reads_them() -> None:  # X5
    files = {
        "sec/a.txt": "text a", "sec/b.tex": "text b\n\\endinput here\nnot read", "c.tex": "text c",
        "d.tex": r"\ifx\u\v\endinput\fi text d",
    }  # fmt: skip
    source = "\\input{sec/a.txt} \\input\n{sec/b} \\input\n c \\input{d} \\input{gone/x} \\include{y} \\input z.tex\n"
    paper = clean_paper({"main.tex": COMPLETE % source, **files})
    assert paper.text.split() == (r"\section{S}text a text b here text c \ifx\u\v\endinput\fi text d".split())
    assert paper.missing == ("gone/x", "y", "z.tex")


@pytest.mark.parametrize(
    "source",
    [
        r"\def\a{\b\b}\def\b{\c\c}\def\c{\d\d}\def\d{\e\e}\def\e{\f\f}\def\f{\g\g}\def\g{" + r"\h\h}\def\h{xxxxxxxx}" + r"\a" * 5000,
        r"\def\x{\x}\x" * 100,
        r"\def\x{\x\x}\x",
        r"\newcommand{\x}[1]{\x{#1#1}}\x{a}",
        r"\newcommand{\x}[1]{#1}" + r"\x{" * 50_000,
        r"\newcommand{\x}[1]{#1}" + r"\x{" * 20_000 + "}" * 20_000,
        r"\newcommand{\x}{" * 20_000,
        r"\begin{verbatim}" * 20_000,
        r"\verb" * 50_000,
        r"\url{" * 50_000,
        r"\input{" * 50_000,
        r"\input{main}" * 20_000,
        r"\section[" * 50_000,
        r"\begin{thebibliography}" * 10_000,
        r"\section{References} " * 20_000 + "x",
        r"\bibliography{" * 20_000,
        "%" * 200_000,
        "\\" * 200_000,
        "\n" * 200_000,
        " " * 200_000 + "x",
        "\x00" * 1000 + r"\section{a}" + "\x001\x00",
    ],
)  # fmt: skip
def test_no_paper_hangs(source: str) -> None:
    start = time.process_time()
    clean({"main.tex": f"\\documentclass{{a}}\\begin{{document}}\\section{{S}}\n{source}\n\\end{{document}}"})
    assert time.process_time() - start < 15


def slow_comments(text: str) -> str:
    """The rule for text without verbatim parts, line by line and character by character."""
    out, index = "", 0
    while index < len(text):
        if text[index] == "\\":
            out, index = out + text[index : index + 2], index + 2
        elif text[index] == "%":
            whole = not text[text.rfind("\n", 0, index) + 1 : index].strip(" \t")
            end = text.find("\n", index)
            begin = index
            index = len(text) if end < 0 else end + 1
            while not whole and index < len(text) and text[index] in " \t":
                index += 1
            if text[index : index + 1] == "\n" and begin and text[begin - 1] != "\n":
                out += "\n"
        else:
            out, index = out + text[index], index + 1
    return out


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (r"\section{A}\label{sec:a} See \ref{sec:a}.", r"\section{A} See \ref{sec:a}."),
        ("\\begin{figure}[t]\n\\centering\n  \\includegraphics[width=\\textwidth]{a}\n\\vspace*{-1em}\n\\caption{C}\\label{f}\n\\end{figure}", "\\begin{figure}[t]\n\\caption{C}\n\\end{figure}"),
        ("a\n  \\begin{figure}[t]\n\\centering\\includegraphics{a}\n\\end{figure}\nb", "a\nb"),
        (r"{\small text} {\color{red} b} \Large c", "{text} { b} c"),
        (r"\item\small text \item\small{x}", r"\item text \item{x}"),
        (r"\textcolor{red}{see \textcolor[rgb]{1,0,0}{this}} \resizebox{1cm}{!}{\scalebox{2}[3]{t}}", "see this t"),
        (r"a\hspace{1em}b a\newpage b", "a b a b"),
        ("a\n\\newpage\n\\setcounter{x}{1}\\clearpage\nb", "a\nb"),
        (r"\pagebreak[4]a \noindent[b]", "a [b]"),
        (r"\begin{tikzpicture}[x=1]\node{n};\end{tikzpicture}a\begin{IEEEbiography}{B}born\end{IEEEbiography}", "a"),
        (r"\begin{tikzpicture} never closed", r"\begin{tikzpicture} never closed"),
        (r"\label never \vspace{closed", r"\label never \vspace{closed"),
        (r"\labelsep \smallint \\small \%\tiny", r"\labelsep \smallint \\small \%"),
        (r"$x\label{a}y$ \mathbf\label{b}z", r"$xy$ \mathbf z"),
    ],
)  # fmt: skip
def test_layout_goes(text: str, expected: str) -> None:  # X7
    assert drop_layout(text) == expected


@given(st.text(st.sampled_from("a%\\\n {}[]"), max_size=40))
def test_text_without_layout_stays(text: str) -> None:
    assert drop_layout(text) == text


@given(st.text(st.sampled_from("a%\\\n {}"), max_size=30))
def test_comments_as_by_the_obvious_way(text: str) -> None:
    assert strip_comments(text, []) == slow_comments(text)


@given(st.text(st.sampled_from("a%\\\n {}[]#1*"), max_size=40))
def test_text_without_definitions_stays(text: str) -> None:
    assert expand(text) == text


@given(st.lists(st.sampled_from(["\\newcommand", "\\def", "\\let", "{", "}", "[1]", "\\x", "\\y", "#1", "a", " ", "\n", "\\section{", "%", "\\\\"]), max_size=30))  # fmt: skip
def test_any_mix_of_commands_gives_text(parts: list[str]) -> None:
    clean({"a.tex": "".join(parts)})
