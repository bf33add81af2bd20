"""Known templates by name: those whose text is the article's own and whose definition a dump lacks or has as a program.

They mark or format the words given to them: foreign words, units, fractions, dates, dashes, red links, quotations; of
Wiktionary the mentions, translations and labels.
"""

import re
from collections.abc import Callable, Sequence
from functools import partial

from pipelines.markup.wikitext import showers as show
from pipelines.markup.wikitext.marks import REMOVED
from pipelines.markup.wikitext.showers import Arguments, Shower

_BLANK = f" \t\n{REMOVED}"
_FORM = re.compile(r"[a-z -]+ of")
_CENTURY = re.compile(r"[ivx]{1,5}e siècle")  # French: {{XIXe siècle}}
_NAMED = re.compile(r"\s*([\w-]{1,20})\s*=(.*)", re.S)


def known(name: str) -> Callable[[Sequence[str]], str] | None:
    """What shows the template of a name (lower-case), given its arguments as written; None if it is not known."""
    shower = NAMES.get(name)
    if shower is None:
        if name.startswith(("lang-", "link-")):
            shower = show.first
        elif _CENTURY.fullmatch(name):
            shower = show.constant(f"{name.partition('e')[0].upper()}e siècle")
        elif _FORM.fullmatch(name):
            shower = show.form_of(name)
        else:
            return None
    return partial(_shown, shower)


def _shown(shower: Shower, parts: Sequence[str]) -> str:
    placed: list[str] = []
    named: dict[str, str] = {}
    for argument in parts:
        if "=" in argument and (found := _NAMED.fullmatch(argument)):
            named[found[1].lower()] = found[2].strip(_BLANK)
        else:
            placed.append(argument.strip(_BLANK))
    return shower(Arguments(tuple(placed), named))


NAMES: dict[str, Shower] = {
    **dict.fromkeys(
        "em strong code kbd tt nts dts url flag flagu flagcountry refnec mono samp "
        "term tq highlight underline overline "
        "equationref equationnote nowrap nobr nobreak small smaller larger big abbr keypress key vr var math mvar vanchor linktext citation "
        "incise chiarire sc smallcaps taxlink vern ipachar enprchar enpr n-g ta latin".split(),
        show.first,
    ),
    **dict.fromkeys(
        ("senza fonte", "citation bloc", "référence nécessaire", "référence à confirmer", "passage évasif", "début citation"),
        show.first,
    ),
    **dict.fromkeys(("仮リンク", "link-interwiki", "ilc", "le", "translink", "illm", "нп"), show.first),
    **dict.fromkeys(
        ("не переведено", "не перекладено", *(f"{name}{number}" for name in ("нп", "нп-", "не переведено ") for number in range(1, 6))),
        show.red_link,
    ),
    **dict.fromkeys(("lien", "ill", "interlanguage link", "interlanguage link multi"), show.among("texte", "lt", "fr", "1")),
    **dict.fromkeys(("tsl", "internal link helper"), show.translated),
    **dict.fromkeys(("harvtxt", "harvcoltxt"), show.author_and_year),
    **dict.fromkeys(("circa", "c.", "ca."), show.about),
    **dict.fromkeys(("date de naissance", "date de décès", "date de mort", "naissance", "décès"), show.numbers),
    **dict.fromkeys(("birth date", "death date", "start date", "end date", "birth date and age", "death date and age"), show.english_date),
    **dict.fromkeys(("unidad", "число", "num", "formatnum", "numero"), show.measure),
    **dict.fromkeys(("langx", "lang-x"), show.second),
    **dict.fromkeys(("ü", "üt", "tø"), show.translation),
    **dict.fromkeys(("hlist", "flatlist"), show.listed),
    **dict.fromkeys(("ubl", "unbulleted list", "plainlist", "bulleted list", "ublist"), show.items),
    **dict.fromkeys(("columns-list", "columns", "div col content", "multicol", "poem quote", "poemquote", "verse translation"), show.block),
    **{sign.lower(): show.wrapped(sign, "") for sign in "US$ A$ C$ NZ$ HK$ £ € ¥ ₹".split()},
    **dict.fromkeys(("inr", "indian rupee"), show.wrapped("₹", "")),
    **dict.fromkeys(("zitat", '"', "„"), show.title_in_quotes),
    **dict.fromkeys(("respell", "pronunciation respelling key"), show.parts_spoken),
    "ipac-en": show.english_sound,
    "zh": show.chinese,
    "sic": show.misspelt,
    "numblk": show.numbered,
    "etyl": show.origin,
    "angbr": show.wrapped("⟨", "⟩"),
    "isbn": show.wrapped("ISBN ", ""),
    "p.": show.wrapped("p. ", ""),
    "n°": show.constant("no"),
    "av jc": show.constant("av. J.-C."),
    "ap jc": show.constant("apr. J.-C."),
    **dict.fromkeys(("non-gloss definition", "native phrase"), show.first),
    **dict.fromkeys(("lang", "langue", "script", "native name", "resize", "font color", "color", "currency"), show.second),
    **dict.fromkeys(("transl", "translit", "transliteration", "w", "tooltip"), show.last),
    **dict.fromkeys(("quote", "quotation", "blockquote", "cquote", "bquote"), show.quotation),
    **dict.fromkeys(("unité", "nombre", "tmp"), show.measure),
    **dict.fromkeys(("date", "date-", "1er"), show.numbers),
    **dict.fromkeys(("convert", "cvt", "conversie"), show.convert),
    **dict.fromkeys(("nihongo", "nihongo2"), show.native),
    **dict.fromkeys(("frac", "sfrac", "fraction"), show.fraction),
    **dict.fromkeys(("chem", "chem2"), show.formula),
    **dict.fromkeys(("nbsp", "spaces", "space", "thinsp", "pad"), show.constant(" ")),
    **dict.fromkeys(("mdash", "mdashb", "em dash", "—"), show.constant("—")),
    **dict.fromkeys(("ndash", "en dash", "–"), show.constant("–")),
    **dict.fromkeys(("snd", "spaced ndash", "spnd"), show.constant(" – ")),
    **dict.fromkeys(("'", "apostrophe"), show.constant("'")),
    **dict.fromkeys(("l", "link", "ll", "m", "mention", "m+", "cog", "noncog", "desc", "alter"), show.word(2)),
    **dict.fromkeys(("inh", "inh+", "der", "der+", "bor", "bor+", "uder", "lbor"), show.word(3)),
    **dict.fromkeys(("t", "t+", "tt", "tt+", "t-check", "t+check", "t-simple"), show.translation),
    **dict.fromkeys(("lb", "label", "lbl"), show.label),
    **dict.fromkeys(("qualifier", "qual", "q", "i", "gloss", "sense", "a"), show.noted),
    **dict.fromkeys(("ux", "uxi", "usex"), show.example),
    **dict.fromkeys(("quote-book", "quote-journal", "quote-news", "quote-web", "quote-text"), show.quoted),
    **dict.fromkeys(("affix", "af", "suffix", "suf", "prefix", "pre", "compound", "com", "confix", "blend"), show.joined(" + ")),
    **dict.fromkeys(("hyphenation", "hyph"), show.joined("‧")),
    "'s": show.constant("'s"),
    "...": show.constant("[…]"),
    "nb...": show.constant(" […]"),
    "eqm": show.constant("⇌"),
    "as of": show.as_of,
    "val": show.value,
    "ipa": show.sound,
    "sup": show.wrapped("<sup>", "</sup>"),
    "sub": show.wrapped("<sub>", "</sub>"),
    "euro": show.wrapped("", " €"),
    "heure": show.hour,
    "s": show.century,
    "s-": show.ordinal_century,
    "segle": show.wrapped("segle ", ""),
    "ier": show.constant("Ier"),
    "syn": show.joined(", "),
    "ant": show.joined(", "),
}  # fmt: skip
"""Templates by their names in lower case, and how they are shown."""
