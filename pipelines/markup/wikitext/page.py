"""Wikitext -> plain text: link texts, headings, lists and formulas (as `$TeX$`) stay; templates, tables and references go.

The scans run in the order of MediaWiki's own preprocessor (comments and extension tags, templates, tables, then links
and HTML) and each is linear in the page: a general parser backtracks on unclosed markup, for minutes on a hostile page.
"""

import html
import re
from collections.abc import Iterable
from dataclasses import dataclass

from pipelines.markup.wikitext.scans import apostrophes, expand_variants, remove_tables
from pipelines.markup.wikitext.templates import REMOVED, expand_templates, tidy_removed

DROPPED = (
    "ref|references|chem|gallery|timeline|score|hiero|graph|chart|imagemap|mapframe|maplink|templatedata|inputbox|"
    "categorytree|includeonly|templatestyles|indicator|charinsert|ce|rss|dynamicpagelist|phonos|languages|quiz"
)
VERBATIM = "nowiki|pre|source|syntaxhighlight|math"
ENTITIES_SHOWN = ("nowiki", "pre", "math")  # in code they stand for themselves
ALIASES = (
    "file image media category".split()
    + (
        "bild datei fichier imagen archivo immagine afbeelding bestand grafika plik imagem ficheiro изображение файл soubor "
        "obrázek billede fil imatge fitxer slika слика датотека datoteka kép fájl imagine fișier зображення картинка "
        "kuva tiedosto 画像 ファイル 图像 圖像 文件 檔案 파일 그림 resim dosya lêer restr mynd súbor imachen faidhle figura ofbyld "
        "պատկեր fayl rikcha выява dosiero gambar ไฟล์ پرونده íomhá attēls рәсем сурет зураг fail ملف קובץ "
        "kategorie catégorie categoría categoria categorie kategoria категория категорія катэгорыя kategori kategória kategorija "
        "категорија luokka kategorio категори kategooria kateqoriya kategoriya kategorya kategorî kategory flokkur rummad "
        "turkum санат төркем ангилал կատեգորիա تصنيف رده پۆل קטגוריה קאַטעגאָריע श्रेणी वर्ग வகைப்பு వర్గం ವರ್ಗ വർഗ്ഗം "
        "หมวดหมู่ 分类 分類 カテゴリ 분류 κατηγορία jamii catagóir categuria bólkur roinn-seòrsa sokajy بؤلمه"
    ).split()
)
MAX_TITLE = 300  # MediaWiki's limit is 255 bytes
PICTURE = re.compile(r"[^\n|]+:[^\n|]+\.(?:jpe?g|png|svg|gif|tiff?|webp|og[gav]|webm|djvu|pdf|mp[34]|wav|mid)\s*", re.I)
EXTENSION = re.compile(rf"<!--|<({VERBATIM}|{DROPPED})\b([^<>]*)>", re.I)
CLOSERS = {name: re.compile(rf"</{name}\s*>", re.I) for name in (*VERBATIM.split("|"), *DROPPED.split("|"))}
LANGUAGE_LINK = re.compile(
    r"^[ \t]*\[\[ *(?:[a-z]{2,3}|simple|[a-z]{2,3}(?:-[a-z]+)+) *:[^\[\]|\n]+\]\][ \t]*\n?", re.M
)
MAGIC = re.compile(r"__([^\W\d_]+(?:_[^\W\d_]+)*)__")
LINK_MARK = re.compile(r"\[\[|\]\]")
EXTERNAL_LINK = re.compile(r"\[(?:[a-z]{3,8}://|//|mailto:|news:)[^\s\[\]]*+[ \t]*+([^\[\]\n]*+)\]", re.I)
LINE_TAGS = frozenset("br div p center blockquote table tr li ul ol dl dt dd h1 h2 h3 h4 h5 h6 hr poem caption".split())
TAG = re.compile(
    r"</?(br|ref|small|big|div|span|p|center|font|sup|sub|b|i|u|s|tt|em|strong|blockquote|table|t[rdh]|li|ul|ol|dl|"
    r"d[td]|code|noinclude|onlyinclude|includeonly|poem|nowiki|abbr|cite|del|ins|strike|hr|h[1-6]|var|kbd|samp|bdi|bdo|"
    r"ruby|r[tpb]|q|dfn|references|gallery|math|time|mark|wbr|translate|tvar|section|caption|data|pre)\b[^<>\n]*>",
    re.I,
)
ENTITY = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
NBSP = re.compile("&(?:nbsp|#160|#xA0);|[\u00a0\u200e]", re.I)
LIST = re.compile(r"^([*#:;]+)[ \t]*(.*)$")
LABEL = re.compile(r"[^:]{1,40}:[ ,;.]*")  # of a list item whose templates are gone
EMPTY_PARENTHESES = re.compile(r" ?[(\uff08][\s,;:/\u3001]*[)\uff09]")
OPENED = re.compile(r"([(\uff08]) ?[,;:](?: ?[,;:])*+ *+")  # `(; born` after templates are gone
BRACKETS = re.compile(r"\[\[|\]\]|\{\{+|\}\}+|\{\|")
DIGITS = {
    "sup": str.maketrans("0123456789+-−=()", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁻⁼⁽⁾"),
    "sub": str.maketrans("0123456789+-−=()", "₀₁₂₃₄₅₆₇₈₉₊₋₋₌₍₎"),
}
SCRIPT = re.compile(r"<(sup|sub)>([0-9+\-−=()]{1,12})</\1>", re.I)


@dataclass(frozen=True)
class Namespaces:
    """The namespaces of a wiki whose links show no text: pictures, media, categories."""

    removed: frozenset[str]  # their names, lower-case

    @classmethod
    def of(cls, names: Iterable[str]) -> "Namespaces":
        """From the local names in the dump; the English ones and common aliases always count."""
        return cls(frozenset(ALIASES) | {name.strip().replace("_", " ").lower() for name in names if name})

    def removes(self, target: str) -> bool:
        """Whether a link to `target` shows no text of the article."""
        name, colon, _ = target.partition(":")
        if colon and name.strip().replace("_", " ").lower() in self.removed:
            return True
        return len(target) <= MAX_TITLE and bool(PICTURE.fullmatch(target.strip()))


def wikitext_to_text(source: str, namespaces: Namespaces) -> str:
    """Plain text of one page; any input gives some text, in time linear in its length."""
    text = source.replace("\r\n", "\n").replace("\x00", "").replace(REMOVED, "")
    text = _remove_extensions(text)
    text = remove_tables(expand_templates(text))
    text = expand_variants(LANGUAGE_LINK.sub("", text))
    text = apostrophes(MAGIC.sub(lambda match: "" if match[1].upper() == match[1] else match[0], text))
    text = _resolve_links(text, namespaces)
    text = EXTERNAL_LINK.sub(lambda match: match[1], text)
    text = _remove_tags(text)
    text = tidy_removed(BRACKETS.sub("", NBSP.sub(" ", text)))
    text = EMPTY_PARENTHESES.sub("", text)
    text = OPENED.sub(r"\1", text)
    text = "\n".join(_tidy(text.split("\n")))
    return ENTITY.sub(lambda match: html.unescape(match[0]), text)


def _remove_extensions(text: str) -> str:
    """Removes comments and extension tags; keeps the text of <nowiki> and of code, shielded from the parser."""
    pieces: list[str] = []
    last = 0
    unclosed: set[str] = set()  # tags with no closing one from here on: looked for once, so that a page cannot hang
    while match := EXTENSION.search(text, last):
        pieces.append(text[last : match.start()])
        last = match.end()
        if match[1] is None:
            end = text.find("-->", last)
            last = end + 3 if end >= 0 else len(text)
            continue
        name = match[1].lower()
        if match[2].endswith("/"):
            continue
        closer = None if name in unclosed else CLOSERS[name].search(text, last)
        if closer is None:
            unclosed.add(name)
            continue
        if name in VERBATIM.split("|"):
            inner = text[last : closer.start()]
            if name in ENTITIES_SHOWN:
                inner = html.unescape(inner)
            if name == "math":
                inner = f"${' '.join(inner.split())}$"
            inner = re.sub(r"[\[\]{}<>|='*#:;_~&-]", lambda char: f"&#{ord(char[0])};", inner)
            pieces.append(inner if name in ("nowiki", "math") else f"\n{inner}\n")
        last = closer.end()
    return "".join([*pieces, text[last:]])


def _resolve_links(text: str, namespaces: Namespaces) -> str:
    """Replaces `[[target|text]]` by what the reader sees, from the inside out; unclosed brackets vanish."""
    levels: list[list[str]] = [[]]  # pieces of the text, then of every link that is open
    last = 0
    for match in LINK_MARK.finditer(text):
        levels[-1].append(text[last : match.start()])
        last = match.end()
        if match[0] == "[[":
            levels.append([])
        elif len(levels) > 1:
            inner = "".join(levels.pop())
            levels[-1].append(_link_text(inner, namespaces))
    levels[-1].append(text[last:])
    return "".join(piece for level in levels for piece in level)


def _link_text(inner: str, namespaces: Namespaces) -> str:
    target, bar, shown = inner.partition("|")
    target = target.strip()
    if namespaces.removes(target):
        return ""
    if shown.strip():
        return shown
    target = target.removeprefix(":")
    if bar:  # the pipe trick: [[Name (kind)|]]
        return re.sub(r" \([^()]*\)$", "", target.rpartition(":")[2])
    return target


def _remove_tags(text: str) -> str:
    """HTML: line and block tags become line ends, small numbers keep their place, the others leave their text."""
    if "<" not in text:
        return text
    text = SCRIPT.sub(lambda match: match[2].translate(DIGITS[match[1].lower()]), text)
    return TAG.sub(lambda match: "\n" if match[1].lower() in LINE_TAGS else "", text)


def heading_level(line: str) -> int:
    """1 to 6 for `= a =` to `====== a ======`, 0 for another line."""
    if not (line.startswith("=") and line.endswith("=") and len(line) > 2):
        return 0
    front, back = len(line) - len(line.lstrip("=")), len(line) - len(line.rstrip("="))
    return min(front, back, 6, (len(line) - 1) // 2)


def _tidy(lines: list[str]) -> list[str]:
    """Lists as `- ` lines, headings as plain lines, empty sections and repeated blank lines dropped."""
    kept: list[str] = []
    following = 7  # the level of the heading that follows, 0 if text follows, 7 at the end
    below = 0  # how deep the list line that follows stands, 0 if another line follows
    for line in reversed(lines):
        line = re.sub(r" +(?=[ ,])", "", line.replace("\t", " ")).strip()
        if level := heading_level(line):
            title = line[level:-level].strip()
            if title and following < 7 and not 0 < following <= level:
                following = level
                kept += ["", title, ""]
            continue
        if match := LIST.match(line):
            depth = min(sum(mark in "*#" for mark in match[1]), 9)
            within = depth > 0 and match[1].endswith(":")  # another line of the list's item
            line = match[2].strip()
            if not line or (depth and LABEL.fullmatch(line) and below <= depth):
                continue
            below = depth + within
            if depth:
                line = "  " * depth + line if within else "  " * (depth - 1) + "- " + line
        elif line.startswith(("|", "!")):  # a row of a broken table
            continue
        else:
            below = 0
        if line.strip(" -,.;:"):
            following = 0
            kept.append(line)
        elif not line:
            kept.append("")
    kept.reverse()
    while kept and not kept[-1]:
        kept.pop()
    return [line for index, line in enumerate(kept) if line or (index and kept[index - 1])]
