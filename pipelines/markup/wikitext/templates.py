"""Templates of wikitext: a documented few whose text is the article's own are resolved, all the others are removed.

What a template shows is a page of its own wiki and is not in the dump, so `NAMES` says what is known: templates that
mark or format the words given to them (foreign words, units, fractions, dates, dashes; of Wiktionary the mentions,
translations and labels). Boxes, notes, citations, navigation and whatever is not named go.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

REMOVED = "\x02"  # stands for a template removed within a line, until `tidy_removed` repairs what was around it
MAX_TEXT = 10_000  # characters; a longer one is no phrase
MAX_DEPTH = 20  # what is nested deeper is removed, so that no text is copied more often
BRACES = re.compile(r"\{{2,}|\}{2,}")
SEPARATOR = re.compile(r"\[\[|\]\]|\|")
NAMED = re.compile(r"\s*([\w-]{1,20})\s*=(.*)", re.S)
LANGUAGE = re.compile(r"[a-z]{2,3}(?:-[A-Za-z-]+)?|[A-Z]{2,3}\.")
ROMAN = re.compile(r"[IVX]+")
CHARGE = re.compile(r"\d*[+\-\u2212]")

UNITS = {
    "km2": "km²", "m2": "m²", "cm2": "cm²", "sqmi": "sq mi", "sqkm": "km²", "sqft": "sq ft", "m3": "m³", "km3": "km³",
    "cuft": "cu ft", "cumi": "cu mi", "C": "°C", "F": "°F", "C-change": "°C", "F-change": "°F", "km/h": "km/h",
    "mph": "mph", "nmi": "nautical miles", "/km2": "/km²", "/sqmi": "/sq mi", "PD/km2": "/km²", "PD/sqmi": "/sq mi",
    "acre": "acres", "mi": "miles", "ft": "feet", "in": "inches", "lb": "pounds", "yd": "yards", "ha": "hectares",
}  # fmt: skip
RANGES = {"x": " × ", "×": " × ", "by": " by ", "to": " to ", "and": " and ", "or": " or ", "-": "–", "–": "–"}
RANGES |= {"to(-)": " to ", "+/-": " ± ", "±": " ± ", "xx": " × ", "(-)": "–"}
MONTHS = "January February March April May June July August September October November December".split()


@dataclass(frozen=True, slots=True)
class Arguments:
    """What a template is given: arguments by place, and by name."""

    placed: tuple[str, ...]
    named: Mapping[str, str]

    def at(self, place: int) -> str:
        """The argument at a place from 1 on, also if it is written `2=…`; empty if there is none."""
        if str(place) in self.named:
            return self.named[str(place)]
        return self.placed[place - 1] if place <= len(self.placed) else ""

    def behind_language(self) -> tuple[str, ...]:
        """The arguments that are no language code: it comes first, unless it is named."""
        rest = self.placed if "lang" in self.named else self.placed[1:]
        return tuple(entry for entry in rest if entry)


def expand_templates(text: str) -> str:
    """Resolves `{{…}}` from the inside out and removes `{{{…}}}`; unclosed braces stay.

    Within a line `REMOVED` is left where a template went, for `tidy_removed`; its own line goes with a template.
    """
    if "{{" not in text:
        return text
    runs: list[tuple[int, int, list[str]]] = [(0, 0, [])]  # open runs: position, braces left in it, pieces after it
    last = 0
    for match in BRACES.finditer(text):
        begin, end = match.span()
        runs[-1][2].append(text[last:begin])
        last = end
        if text[begin] == "{":
            runs.append((begin, end - begin, []))
            continue
        at = begin
        while len(runs) > 1 and end - at >= 2:
            position, left, pieces = runs.pop()
            used = 3 if left >= 3 and end - at >= 3 else 2
            left, at = left - used, at + used
            shown = "" if used == 3 or len(runs) > MAX_DEPTH else show("".join(pieces))
            if left >= 2:
                runs.append((position, left, [shown]))
                continue
            around = runs[-1][2]
            around.append("{" * left)
            before = next((piece[-1] for piece in reversed(around) if piece), "\n")
            if shown or before != "\n":
                around.append(shown or REMOVED)
            elif text[at : at + 1] == "\n" and text[position - 1 : position] in ("", "\n"):
                last = at + 1  # the template had its lines to itself
        if at < end:
            runs[-1][2].append(text[at:end])
    runs[-1][2].append(text[last:])
    return "".join("{" * left + "".join(pieces) for _, left, pieces in runs)


_GAP = re.compile(rf"{REMOVED}(?:[ ,;]*{REMOVED})+")
_EMPTY = re.compile(rf" ?([(\uff08])[\s,;:/\u3001]*{REMOVED}[\s,;:/\u3001{REMOVED}]*([)\uff09])")
_OPENED = re.compile(rf"([(\uff08]) ?{REMOVED} ?[,;:]? *")
_LISTED = re.compile(rf"([:,;]) ?{REMOVED} ?[,;](?= )|^([*#:;]+ ?){REMOVED} ?[,;:]+ ?", re.M)
_CLOSED = re.compile(rf"[ ,;:]*{REMOVED}[ ,;:]*(?=[)\uff09])")
_SPACED = re.compile(rf" ?{REMOVED}(?=[ ,.;:)\uff09\n]|\Z)")


def tidy_removed(text: str) -> str:
    """Takes the marks of removed templates out, with spaces, commas and parentheses that have nothing left between them."""
    if REMOVED not in text:
        return text
    text = _OPENED.sub(r"\1", _EMPTY.sub("", _GAP.sub(REMOVED, text)))
    text = _CLOSED.sub("", _LISTED.sub(r"\1\2", text))
    return _SPACED.sub("", text).replace(REMOVED, "")


def show(source: str) -> str:
    """What the template of `name|argument|…` shows; empty if that is nothing or unknown."""
    if len(source) > MAX_TEXT:
        return ""
    name, _, rest = source.partition("|")
    name = " ".join(name.replace("_", " ").split()).lower()
    if name.startswith("formatnum:"):
        return name.removeprefix("formatnum:")
    shower = NAMES.get(name)
    if shower is None:
        if name.startswith(("lang-", "link-")):
            shower = _first
        elif re.fullmatch(r"[a-z -]+ of", name):
            shower = _form_of(name)
        else:
            return ""
    return shower(_arguments(rest)).strip("\n").replace(REMOVED, "")


def _arguments(source: str) -> Arguments:
    placed: list[str] = []
    named: dict[str, str] = {}
    for argument in _split(source) if "[[" in source else source.split("|"):
        if "=" in argument and (found := NAMED.fullmatch(argument)):
            named[found[1].lower()] = found[2].strip()
        else:
            placed.append(argument.strip())
    return Arguments(tuple(placed), named)


def _split(source: str) -> list[str]:
    """The arguments, not cut at a `|` within a link."""
    pieces: list[str] = []
    start = depth = 0
    for match in SEPARATOR.finditer(source):
        if match[0] != "|":
            depth = max(0, depth + (1 if match[0] == "[[" else -1))
        elif depth == 0:
            pieces.append(source[start : match.start()])
            start = match.end()
    return [*pieces, source[start:]]


# What templates show.


def _first(given: Arguments) -> str:
    return given.at(1)


def _second(given: Arguments) -> str:
    return given.at(2)


def _last(given: Arguments) -> str:
    return next((entry for entry in reversed(given.placed) if entry), "")


def _measure(given: Arguments) -> str:
    """`{{unité|892|km|2}}` as `892 km²`."""
    *words, power = (*given.placed, "")[:3] if len(given.placed) > 2 else (*given.placed, "")
    return " ".join(entry for entry in words if entry) + (f"<sup>{power}</sup>" if power else "")


def _numbers(given: Arguments) -> str:
    """Day, month and year of a French date, without the subject that may follow."""
    return " ".join(entry for entry in given.placed[:3] if entry)


def _quotation(given: Arguments) -> str:
    return given.named.get("text") or given.named.get("quote") or given.at(1)


def _constant(text: str) -> Callable[[Arguments], str]:
    return lambda given: text


def _wrapped(before: str, after: str) -> Callable[[Arguments], str]:
    return lambda given: f"{before}{given.at(1)}{after}" if given.at(1) else ""


def _joined(separator: str) -> Callable[[Arguments], str]:
    """The words after the language code: the parts of a compound, synonyms."""
    return lambda given: separator.join(given.behind_language())


def _noted(given: Arguments) -> str:
    """Remarks in parentheses: `{{qualifier|dated|rare}}` as `(dated, rare)`."""
    return f"({', '.join(entry for entry in given.placed if entry)})" if any(given.placed) else ""


def _label(given: Arguments) -> str:
    words = [entry for entry in given.behind_language() if entry not in ("_", "or", "and")]
    return f"({', '.join(words)})" if words else ""


def _convert(given: Arguments) -> str:
    """The measure as written: `{{convert|5|to|6|km|mi}}` as `5 to 6 km`."""
    shown = ""
    for place, argument in enumerate(given.placed):
        if place % 2 == 0:
            shown += argument
        elif argument in RANGES:
            shown += RANGES[argument]
        else:
            unit = UNITS.get(argument, argument)
            following = given.placed[place + 1 : place + 3]  # {{convert|6|ft|2|in}}
            shown += unit if unit.startswith("/") else " " + unit
            if len(following) == 2 and following[0].isdigit() and following[1] == "in":
                shown += f" {following[0]} inches"
            return shown
    return shown


def _native(given: Arguments) -> str:
    """`{{nihongo|English|漢字|romaji}}` as `English (漢字, romaji)`."""
    shown, *others = [entry for entry in (given.at(1), given.at(2), given.at(3)) if entry] or [""]
    return f"{shown} ({', '.join(others)})" if others else shown


def _fraction(given: Arguments) -> str:
    parts = [entry for entry in given.placed if entry]
    if len(parts) == 3:
        return f"{parts[0]} {parts[1]}/{parts[2]}"
    return "/".join(parts) if len(parts) == 2 else "1/" + parts[0] if parts else ""


def _value(given: Arguments) -> str:
    number, error = given.at(1), given.at(2)
    shown = number + (error if error.startswith("(") else f" ± {error}" if error else "")
    if power := given.named.get("e"):
        shown += f"×10<sup>{power}</sup>"
    unit = given.named.get("u") or given.named.get("ul")
    return f"{shown} {unit}" if unit else shown


def _formula(given: Arguments) -> str:
    """`{{chem|H|2|O}}`: numbers stand low, charges high."""
    return "".join(
        f"<sup>{part}</sup>" if CHARGE.fullmatch(part) else f"<sub>{part}</sub>" if part[:1].isdigit() else part
        for part in given.placed
    )


def _as_of(given: Arguments) -> str:
    if text := given.named.get("alt"):
        return text
    year, month, day = given.at(1), given.at(2), given.at(3)
    if month.isdigit() and 1 <= int(month[:4]) <= 12:
        month = MONTHS[int(month) - 1]
    begin = "since" if given.named.get("since") else "as of"
    shown = " ".join((begin, *(entry for entry in (day, month, year) if entry)))
    return shown if given.named.get("lc") else shown[0].upper() + shown[1:]


def _century(given: Arguments) -> str:
    return f"{given.at(1)}e siècle" if ROMAN.fullmatch(given.at(1)) else ""


def _sound(given: Arguments) -> str:
    """`{{IPA|/a/}}`, and `{{IPA|de|bɛɐ̯ˈliːn}}` with a language."""
    if given.at(2) and LANGUAGE.fullmatch(given.at(1)):
        spoken = given.at(2)
        return spoken if spoken[0] in "[/" else f"[{spoken}]"
    return given.at(1)


def _word(place: int) -> Callable[[Arguments], str]:
    """A word of Wiktionary after `place - 1` language codes, with transcription and meaning: `слово (slovo, “word”)`."""

    def shower(given: Arguments) -> str:
        shown = given.named.get("alt") or given.at(place + 1) or given.at(place)
        if shown in ("", "-"):
            return ""
        spelt = given.named.get("tr", "").strip("-")
        meaning = given.named.get("t") or given.named.get("gloss") or given.at(place + 2)
        notes = ", ".join(note for note in (spelt, f"“{meaning}”" if meaning else "") if note)
        return f"{shown} ({notes})" if notes else shown

    return shower


def _translation(given: Arguments) -> str:
    """`{{t|ru|слово|n|tr=slovo}}`: what follows the word is its gender."""
    shown, spelt = given.named.get("alt") or given.at(2), given.named.get("tr", "").strip("-")
    return f"{shown} ({spelt})" if shown and spelt else shown


def _example(given: Arguments) -> str:
    words, meaning = given.at(2), given.named.get("t") or given.named.get("translation") or given.at(3)
    return f"{words} — {meaning}" if words and meaning else words


def _quoted(given: Arguments) -> str:
    """A quotation of Wiktionary: year, author and title, then the passage."""
    named = given.named
    source = ", ".join(named[key] for key in ("year", "author", "title") if named.get(key))
    passage = named.get("passage") or named.get("text") or ""
    return f"{source}: {passage}" if source and passage else source or passage


def _form_of(name: str) -> Callable[[Arguments], str]:
    """`{{plural of|pie|lang=en}}` or, newer, `{{plural of|en|pie}}`, as `plural of pie`."""

    def shower(given: Arguments) -> str:
        by_code = "lang" not in given.named and LANGUAGE.fullmatch(given.at(1)) is not None and given.at(2) != ""
        word = given.at(2) if by_code else given.at(1)
        return f"{name} {word}" if word else ""

    return shower


NAMES: dict[str, Callable[[Arguments], str]] = {
    **dict.fromkeys(
        "nowrap nobr nobreak small smaller larger big abbr angbr keypress key vr var math mvar vanchor linktext citation "
        "incise chiarire sc smallcaps taxlink vern ipachar enprchar enpr n-g ta latin ill".split(),
        _first,
    ),
    **dict.fromkeys(("interlanguage link", "non-gloss definition", "native phrase"), _first),
    **dict.fromkeys(("lang", "langue", "script", "native name", "resize", "font color", "color", "currency"), _second),
    **dict.fromkeys(("transl", "translit", "transliteration", "w", "tooltip"), _last),
    **dict.fromkeys(("quote", "quotation", "blockquote", "cquote", "bquote"), _quotation),
    **dict.fromkeys(("unité", "nombre", "tmp"), _measure),
    **dict.fromkeys(("date", "date-", "1er"), _numbers),
    **dict.fromkeys(("convert", "cvt", "conversie"), _convert),
    **dict.fromkeys(("nihongo", "nihongo2"), _native),
    **dict.fromkeys(("frac", "sfrac", "fraction"), _fraction),
    **dict.fromkeys(("chem", "chem2"), _formula),
    **dict.fromkeys(("nbsp", "spaces", "space", "thinsp", "pad"), _constant(" ")),
    **dict.fromkeys(("mdash", "mdashb", "em dash", "—"), _constant("—")),
    **dict.fromkeys(("ndash", "en dash", "–"), _constant("–")),
    **dict.fromkeys(("snd", "spaced ndash", "spnd"), _constant(" – ")),
    **dict.fromkeys(("'", "apostrophe"), _constant("'")),
    **dict.fromkeys(("l", "link", "ll", "m", "mention", "m+", "cog", "noncog", "desc", "alter"), _word(2)),
    **dict.fromkeys(("inh", "inh+", "der", "der+", "bor", "bor+", "uder", "lbor"), _word(3)),
    **dict.fromkeys(("t", "t+", "tt", "tt+", "t-check", "t+check", "t-simple"), _translation),
    **dict.fromkeys(("lb", "label", "lbl"), _label),
    **dict.fromkeys(("qualifier", "qual", "q", "i", "gloss", "sense", "a"), _noted),
    **dict.fromkeys(("ux", "uxi", "usex"), _example),
    **dict.fromkeys(("quote-book", "quote-journal", "quote-news", "quote-web", "quote-text"), _quoted),
    **dict.fromkeys(("affix", "af", "suffix", "suf", "prefix", "pre", "compound", "com", "confix", "blend"), _joined(" + ")),
    **dict.fromkeys(("hyphenation", "hyph"), _joined("‧")),
    "'s": _constant("'s"),
    "...": _constant("[…]"),
    "nb...": _constant(" […]"),
    "eqm": _constant("⇌"),
    "as of": _as_of,
    "val": _value,
    "ipa": _sound,
    "sup": _wrapped("<sup>", "</sup>"),
    "sub": _wrapped("<sub>", "</sub>"),
    "euro": _wrapped("", " €"),
    "heure": lambda given: " h ".join(entry for entry in given.placed[:2] if entry),
    "s": _century,
    "s-": lambda given: f"{given.at(1)}e" if ROMAN.fullmatch(given.at(1)) else "",
    "segle": _wrapped("segle ", ""),
    "ier": _constant("Ier"),
    "syn": _joined(", "),
    "ant": _joined(", "),
}  # fmt: skip
"""Templates by their names in lower case, and how they are shown."""
