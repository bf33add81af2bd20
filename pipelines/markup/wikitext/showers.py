"""What known templates show: functions of the arguments that a page gives them."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

LANGUAGE = re.compile(r"[a-z]{2,3}(?:-[A-Za-z-]+)?|[A-Z]{2,3}\.")
MONTH = re.compile(r"0{0,3}(?:[1-9]|1[0-2])")
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
LANGUAGE_NAMES = dict(
    pair.split(":")
    for pair in (
        "ang:Old_English enm:Middle_English en:English sco:Scots la:Latin la-lat:Late_Latin la-vul:Vulgar_Latin LL.:Late_Latin "
        "ML.:Medieval_Latin NL.:New_Latin VL.:Vulgar_Latin grc:Ancient_Greek el:Greek gkm:Byzantine_Greek fro:Old_French "
        "frm:Middle_French fr:French xno:Anglo-Norman pro:Old_Provençal oc:Occitan it:Italian es:Spanish osp:Old_Spanish "
        "pt:Portuguese ca:Catalan ro:Romanian goh:Old_High_German gmh:Middle_High_German de:German nds:Low_German "
        "gml:Middle_Low_German osx:Old_Saxon odt:Old_Dutch dum:Middle_Dutch nl:Dutch af:Afrikaans fy:West_Frisian "
        "ofs:Old_Frisian non:Old_Norse is:Icelandic da:Danish sv:Swedish no:Norwegian got:Gothic gem-pro:Proto-Germanic "
        "gmw-pro:Proto-West_Germanic ine-pro:Proto-Indo-European sla-pro:Proto-Slavic cel-pro:Proto-Celtic ga:Irish sga:Old_Irish "
        "cy:Welsh gd:Scottish_Gaelic br:Breton ru:Russian uk:Ukrainian pl:Polish cs:Czech cu:Old_Church_Slavonic lt:Lithuanian "
        "lv:Latvian sa:Sanskrit hi:Hindi ur:Urdu fa:Persian ar:Arabic he:Hebrew hbo:Biblical_Hebrew arc:Aramaic yi:Yiddish "
        "tr:Turkish ota:Ottoman_Turkish hu:Hungarian fi:Finnish et:Estonian ja:Japanese zh:Chinese cmn:Mandarin yue:Cantonese "
        "ltc:Middle_Chinese ko:Korean vi:Vietnamese ms:Malay tl:Tagalog haw:Hawaiian mi:Maori nah:Nahuatl nci:Classical_Nahuatl"
    ).replace("\n", " ").split()
)  # fmt: skip
LANGUAGE_NAMES = {code: name.replace("_", " ") for code, name in LANGUAGE_NAMES.items()}
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

    def of(self, name: str) -> str:
        """The argument of a name, or of a place if the name is a number; empty if there is none."""
        return self.at(int(name)) if name.isdigit() else self.named.get(name, "")

    def behind_language(self) -> tuple[str, ...]:
        """The arguments that are no language code: it comes first, unless it is named."""
        rest = self.placed if "lang" in self.named else self.placed[1:]
        return tuple(entry for entry in rest if entry)


Shower = Callable[[Arguments], str]


def first(given: Arguments) -> str:
    return given.at(1)


def second(given: Arguments) -> str:
    return given.at(2)


def last(given: Arguments) -> str:
    return next((entry for entry in reversed(given.placed) if entry), "")


def measure(given: Arguments) -> str:
    """`{{unité|892|km|2}}` as `892 km²`."""
    *words, power = (*given.placed, "")[:3] if len(given.placed) > 2 else (*given.placed, "")
    return " ".join(entry for entry in words if entry) + (f"<sup>{power}</sup>" if power else "")


def numbers(given: Arguments) -> str:
    """Day, month and year of a French date, without the subject that may follow."""
    return " ".join(entry for entry in given.placed[:3] if entry)


def quotation(given: Arguments) -> str:
    return given.named.get("text") or given.named.get("quote") or given.at(1)


def constant(text: str) -> Shower:
    return lambda given: text


def wrapped(before: str, after: str) -> Shower:
    return lambda given: f"{before}{given.at(1)}{after}" if given.at(1) else ""


def joined(separator: str) -> Shower:
    """The words after the language code: the parts of a compound, synonyms."""
    return lambda given: separator.join(given.behind_language())


def noted(given: Arguments) -> str:
    """Remarks in parentheses: `{{qualifier|dated|rare}}` as `(dated, rare)`."""
    return f"({', '.join(entry for entry in given.placed if entry)})" if any(given.placed) else ""


def label(given: Arguments) -> str:
    words = [entry for entry in given.behind_language() if entry not in ("_", "or", "and")]
    return f"({', '.join(words)})" if words else ""


def convert(given: Arguments) -> str:
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


def native(given: Arguments) -> str:
    """`{{nihongo|English|漢字|romaji}}` as `English (漢字, romaji)`."""
    shown, *others = [entry for entry in (given.at(1), given.at(2), given.at(3)) if entry] or [""]
    return f"{shown} ({', '.join(others)})" if others else shown


def fraction(given: Arguments) -> str:
    parts = [entry for entry in given.placed if entry]
    if len(parts) == 3:
        return f"{parts[0]} {parts[1]}/{parts[2]}"
    return "/".join(parts) if len(parts) == 2 else "1/" + parts[0] if parts else ""


def value(given: Arguments) -> str:
    number, error = given.at(1), given.at(2)
    shown = number + (error if error.startswith("(") else f" ± {error}" if error else "")
    if power := given.named.get("e"):
        shown += f"×10<sup>{power}</sup>"
    unit = given.named.get("u") or given.named.get("ul")
    return f"{shown} {unit}" if unit else shown


def formula(given: Arguments) -> str:
    """`{{chem|H|2|O}}`: numbers stand low, charges high."""
    return "".join(
        f"<sup>{part}</sup>" if CHARGE.fullmatch(part) else f"<sub>{part}</sub>" if part[:1].isdigit() else part
        for part in given.placed
    )


def as_of(given: Arguments) -> str:
    if text := given.named.get("alt"):
        return text
    year, month, day = given.at(1), given.at(2), given.at(3)
    if MONTH.fullmatch(month):
        month = MONTHS[int(month) - 1]
    begin = "since" if given.named.get("since") else "as of"
    shown = " ".join((begin, *(entry for entry in (day, month, year) if entry)))
    return shown if given.named.get("lc") else shown[0].upper() + shown[1:]


def century(given: Arguments) -> str:
    return f"{given.at(1)}e siècle" if ROMAN.fullmatch(given.at(1)) else ""


def ordinal_century(given: Arguments) -> str:
    return f"{given.at(1)}e" if ROMAN.fullmatch(given.at(1)) else ""


def hour(given: Arguments) -> str:
    return " h ".join(entry for entry in given.placed[:2] if entry)


def sound(given: Arguments) -> str:
    """`{{IPA|/a/}}`, and `{{IPA|de|bɛɐ̯ˈliːn}}` with a language."""
    if given.at(2) and LANGUAGE.fullmatch(given.at(1)):
        spoken = given.at(2)
        return spoken if spoken[0] in "[/" else f"[{spoken}]"
    return given.at(1)


def word(place: int) -> Shower:
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


def translation(given: Arguments) -> str:
    """`{{t|ru|слово|n|tr=slovo}}`: what follows the word is its gender."""
    shown, spelt = given.named.get("alt") or given.at(2), given.named.get("tr", "").strip("-")
    return f"{shown} ({spelt})" if shown and spelt else shown


def example(given: Arguments) -> str:
    words, meaning = given.at(2), given.named.get("t") or given.named.get("translation") or given.at(3)
    return f"{words} — {meaning}" if words and meaning else words


def quoted(given: Arguments) -> str:
    """A quotation of Wiktionary: year, author and title, then the passage."""
    named = given.named
    source = ", ".join(named[key] for key in ("year", "author", "title") if named.get(key))
    passage = named.get("passage") or named.get("text") or ""
    return f"{source}: {passage}" if source and passage else source or passage


def form_of(name: str) -> Shower:
    """`{{plural of|pie|lang=en}}` or, newer, `{{plural of|en|pie}}`, as `plural of pie`."""

    def shower(given: Arguments) -> str:
        by_code = "lang" not in given.named and LANGUAGE.fullmatch(given.at(1)) is not None and given.at(2) != ""
        word = given.at(2) if by_code else given.at(1)
        return f"{name} {word}" if word else ""

    return shower


def among(*places: str) -> Shower:
    """The first argument that is given of those named or numbered."""

    def shower(given: Arguments) -> str:
        return next((text for place in places if (text := given.of(place))), "")

    return shower


def red_link(given: Arguments) -> str:
    """`{{нп5|title|text|language|title there}}` shows its text, where there is one and it is no language code."""
    shown = given.at(2) if len(given.placed) > 2 else ""
    return given.at(1) if not shown or LANGUAGE.fullmatch(shown) else shown


def translated(given: Arguments) -> str:
    """`{{tsl|en|Title|標題}}`: language, title there, title here."""
    return given.at(3) or given.at(2)


def author_and_year(given: Arguments) -> str:
    """`{{harvtxt|A|B|1970}}` as `A & B (1970)`."""
    names = [entry for entry in given.placed if entry]
    if len(names) < 2:
        return "".join(names)
    *authors, year = names
    if len(authors) > 3:
        return f"{authors[0]} et al. ({year})"
    listed = ", ".join(authors[:-1])
    return f"{listed} & {authors[-1]} ({year})" if listed else f"{authors[0]} ({year})"


def about(given: Arguments) -> str:
    years = [entry for entry in given.placed if entry]
    return f"c. {'–'.join(years)}" if years else "c."


def misspelt(given: Arguments) -> str:
    shown = given.at(1) + given.at(2)
    return shown if "hide" in given.named else f"{shown} [sic]".lstrip()


def chinese(given: Arguments) -> str:
    """`{{zh|s=北京|p=Běijīng}}` as `Chinese: 北京; pinyin: Běijīng`."""
    labels = (
        ("c", "Chinese"), ("s", "simplified Chinese"), ("t", "traditional Chinese"), ("p", "pinyin"),
        ("hp", "pinyin"), ("w", "Wade–Giles"), ("j", "Jyutping"), ("y", "Yale"), ("poj", "Pe̍h-ōe-jī"), ("l", "lit."),
    )  # fmt: skip
    shown = [f"{label}: {given.named[key]}" for key, label in labels if given.named.get(key)]
    return "; ".join(shown) or given.at(1)


def english_sound(given: Arguments) -> str:
    """`{{IPAc-en|b|ɜr|ˈ|l|ɪ|n}}` as `/bɜrˈlɪn/`."""
    notes = ("lang", "pron", "us", "uk", "local", "audio", "also", "ipa", "uk:", "us:", "")
    sound = "".join(
        entry for entry in given.placed if entry.lower() not in notes and not entry.endswith((".ogg", ".wav"))
    )
    return f"/{sound}/" if sound else ""


def english_date(given: Arguments) -> str:
    """`{{birth date|1866|11|4|df=y}}` as `4 November 1866`."""
    year, month, day = given.at(1), given.at(2), given.at(3)
    if MONTH.fullmatch(month):
        month = MONTHS[int(month) - 1]
    if not day or not month:
        return " ".join(entry for entry in (month, year) if entry)
    return f"{day} {month} {year}" if given.named.get("df") else f"{month} {day}, {year}"


def numbered(given: Arguments) -> str:
    """`{{NumBlk|:|formula|1}}` as `formula (1)`."""
    return f"{given.at(2)} ({given.at(3)})" if given.at(3) else given.at(2)


def listed(given: Arguments) -> str:
    """The entries of a list in a line."""
    return " · ".join(entry for entry in given.placed if entry)


def items(given: Arguments) -> str:
    """The entries of a list, one a line; a list that is written with its own bullets stays as it is."""
    placed = [entry for entry in given.placed if entry]
    if len(placed) == 1 and placed[0][0] in "*#":
        return f"\n{placed[0]}\n"
    return "".join(f"\n* {entry}" for entry in placed) + "\n"


def block(given: Arguments) -> str:
    """A text that stands by itself, in columns or a frame."""
    shown = given.named.get("content") or given.named.get("text") or given.at(1)
    return f"\n{shown}\n" if shown else ""


def title_in_quotes(given: Arguments) -> str:
    return f"„{given.at(1)}“" if given.at(1) else ""


def origin(given: Arguments) -> str:
    """`{{etyl|la|en}}` of Wiktionary: the name of a language."""
    return LANGUAGE_NAMES.get(given.at(1), "")


def parts_spoken(given: Arguments) -> str:
    return "-".join(entry for entry in given.placed if entry)
