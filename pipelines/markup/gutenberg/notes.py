"""Credits and notes of the volunteers who made a Gutenberg text: who scanned it, what was changed, which marks are used."""

import re
from collections.abc import Iterator

CREDIT = re.compile(
    r"\[?\W*(?:(?:Produced|Prepared|Transcribed|Scanned|Digitized|Proofread) (?:by|from|and)\b|Credits?(?: for e-text)?:"
    r"|(?:This |The )?(?:Project Gutenberg )?E-?(?:text|book)s? (?:was |is |were )?(?:produced|prepared|scanned|typed|"
    r"transcribed|created|edited)|(?:Editorial )?Note: (?:Project Gutenberg|Images of the original pages)"
    r"|(?:This )?HTML (?:version|file)|Images? of the original pages are available|Project Gutenberg has)",
    re.I,
)
_NAMES = (
    r"Transcri(?:ber|ption|ptor)[’']?s?[’']?[ -](?:end)?(?:Notes?|comments?)|Notes? (?:by|from|of) the transcriber"
    r"|Notas? (?:del?|d[oa]s?|de la)[ -](?:transcripci[oó]n|transcriptora?|transcri[çc][ãa]o|transcritora?|transcripci[oó])"
    r"|Notes? (?:de|du|sur la|de la)[ -](?:transcript(?:eur|ion|rice))|Notes? (?:au lecteur|sur la version) .{0,20}(?:digital|[ée]lectronique|num[ée]rique)"
    r"|(?:Anmerkung(?:en)?|Hinweise?|Bemerkung(?:en)?|Notiz(?:en)?) (?:zur|zum|der|des|zu dieser)[ -](?:Transkript\w*|Bearbeit\w*|elektronischen \w+)"
    r"|Not[ae] (?:del|di|della|sulla)[ -](?:trascrittore|trascrizione|trascrittrice)"
    r"|(?:Opmerking(?:en)?|Noot|Noten|Aantekening(?:en)?) (?:van|bij) de (?:bewerker|bewerkers|transcribent|transcriptie)"
    r"|(?:Transkriberarens|Avskrivarens|Utskriftens) (?:anm[äa]rkning\w*|noter\w*)|Anm[äa]rkning(?:ar)? (?:fr[åa]n|av|till) (?:transkrib\w*|avskr\w*)"
    r"|(?:Bem[æa]rkninger|Noter) (?:til|fra) (?:den elektroniske|transskri\w*|afskri\w*)"
    r"|(?:Uwagi|Notatki|Przypisy|Od) (?:transkrybenta|transkryptora|do wydania elektronicznego)"
    r"|Pozn[áa]mk[ay] (?:p[řr]episovatele|transkriptora)|Transkription huomautu\w*|Huomautus transkript\w*"
    r"|Примечани[ея] (?:переписчика|транскриб\w*|транскрипт\w*)|Σημει[ώω]σε?ι?ς? (?:του )?μεταγραφ\w*|Noto de la transskrib\w*"
)
_BRACKETED = re.compile(rf"^[ \t]*(?P<open>[\[{{])[ \t|*_=+~/:-]*(?P<name>{_NAMES})\b[^\n]*", re.I | re.M)
NOTE = re.compile(rf"^[ \t]*(?P<open>[\[{{]?)[ \t|*_=+~/:-]*(?P<name>{_NAMES})\b[^\n]*", re.I | re.M)
_HEADING = re.compile(rf"[\W_]*(?:{_NAMES})(?: (?:on|about|to|for|sur|zu|sobre) [^\n]{{1,40}})?[\W_]*", re.I)
_PARAGRAPH = re.compile(r"(?:[^\n]*\S[^\n]*(?:\n|\Z))+")
_RULE = re.compile(r"[ \t]*(?:(?:[*·•] *){3,}|[-_=~+]{5,})[ \t]*")
_BOX = re.compile(r"[ \t]*[|+┃│┌└├╔╚║]")
_GAP = re.compile(r"\n[ \t]*\n[ \t]*\n")
_WORDS = re.compile(
    r"transcri|\boriginal|typograph|spelling|\bspelt|hyphen|punctuat|italic|\bcorrect(?:ed|ion)|\bretain|\bchanged|e-?text|e-?book|html"
    r"|printer|misprint|footnote|inconsisten|\bpages? ?[\divxl]|\bp\. ?\d|\blines? \d|\berrat|silently|underscor|unicode|ascii"
    r"|ortogra|corregi|errores|cursiva|p[áa]gina|orthograph|corrig|Rechtschreib|Schreibweise|korrig|\bSeite|kursiv|gesperrt|Fraktur"
    r"|corrett|refus[oi]\b|verbeter|bladzijde|cursief|zetfout|stavning|r[äa]ttat|\brettet|korjat|popraw|pisowni|исправ|орфограф"
    r"|\[was\b|[\"”’'] (?:to|was|for) [\"“‘']",
    re.I,
)
_IMAGE = re.compile(
    r"^[ \t]*[\w-]+\.(?:jpe?g|png|gif) ?\(\d+ ?[KM]B?\)[ \t]*\n(?:[ \t]*\n){0,3}(?:[ \t]*Full Size[ \t]*(?:\n|\Z))?",
    re.M | re.I,
)

CREDIT_LINES = 15  # a longer paragraph is the book's own, whatever it begins with
NOTE_LINES = 40  # of a note at the beginning that only its layout ends
LONG_LINES = 500  # of a note whose words are a note's
ROUNDS = 4  # credits after notes after credits
MOST = 30  # headings of notes that are looked at; what has more is no book
FRONT = 20_000  # characters of a book in which notes stand at its beginning
TAIL = 0.25  # part of a book in which notes stand at its end
SHARE = 0.3  # of the paragraphs of a long note that speak of the making of the text


def without_credits(body: str) -> str:
    """The book without credits and notes, at the top, in brackets, and at the end, and without the names of image files."""
    for _ in range(ROUNDS):
        before, body = body, _without_notes(_without_credits(body))
        if body == before:
            break
    return _IMAGE.sub("", body) if "K)" in body or "k)" in body else body


def _without_credits(body: str) -> str:
    """Drops the leading paragraphs that tell who made the file."""
    while match := re.match(r"\s*\n(?=[ \t]*\S)|(?=\S)", body):
        paragraph = _PARAGRAPH.match(body, match.end())
        if paragraph is None or not CREDIT.match(paragraph.group()[:400]):
            break
        if paragraph.group().count("\n") > CREDIT_LINES:
            break
        body = body[_bracket_end(body, match.end()) or paragraph.end() :]
    return body


def _without_notes(body: str) -> str:
    pieces: list[str] = []
    last = 0
    unbracketed = 0
    for match in _candidates(body):
        start = match.start()
        unbracketed += not match["open"]
        if start < last or unbracketed > MOST or not _begins_paragraph(body, start):
            continue
        end = _note_end(body, start, match)
        if end is None:
            continue
        if not body[end:].strip():
            end = len(body)
        if end == len(body):
            pieces.append(_without_rules(body[last:start]))
        else:
            pieces.append(_without_border(body[last:start]))
        last = end
    return "".join([*pieces, body[last:]]) if last else body


def _candidates(body: str) -> Iterator[re.Match[str]]:
    """Lines that name a note: any in front and tail, of the rest those in brackets."""
    tail = max(FRONT, int((1 - TAIL) * len(body)))
    yield from NOTE.finditer(body, 0, FRONT)
    yield from _BRACKETED.finditer(body, FRONT, tail)
    yield from NOTE.finditer(body, tail)


def _begins_paragraph(body: str, start: int) -> bool:
    before = body[max(0, start - 200) : start].rsplit("\n", 2)[-2:]
    line = before[0] if len(before) == 2 else ""
    return not line.strip() or bool(_RULE.fullmatch(line)) or bool(_BOX.match(line) and not line.strip(" \t|+-=_"))


def _note_end(body: str, start: int, match: re.Match[str]) -> int | None:
    """Where a note ends that begins at `start`; None if it is not to be told from the book."""
    if match["open"] and (end := _bracket_end(body, start)):
        return end
    paragraph = _PARAGRAPH.match(body, start)
    assert paragraph is not None
    if start > (1 - TAIL) * len(body) and _is_note(body[start:]):
        return len(body)
    if start < FRONT:
        if _BOX.match(body, start):
            return _boxed(body, start)
        return _front_end(body, paragraph)
    return None


def _bracket_end(body: str, start: int) -> int | None:
    """Behind the bracket that closes the one which opens at `start`, if it ends a line and is not too far."""
    at = start + len(body[start : start + 200]) - len(body[start : start + 200].lstrip())
    if body[at : at + 1] not in ("[", "{"):
        return None
    depth = 0
    for found in re.compile(r"[\[\]{}]").finditer(body, at, at + 80 * LONG_LINES):
        depth += 1 if found[0] in "[{" else -1
        if depth == 0:
            end = found.end()
            rest = body.find("\n", end)
            rest = len(body) if rest < 0 else rest
            return rest if not body[end:rest].strip(" \t.|") and body.count("\n", start, end) <= LONG_LINES else None
    return None


def _boxed(body: str, start: int) -> int:
    """Behind the lines of a box."""
    end = start
    while _BOX.match(body, end):
        cut = body.find("\n", end)
        if cut < 0:
            return len(body)
        end = cut + 1
    return end


def _front_end(body: str, first: re.Match[str]) -> int | None:
    """A note at the beginning goes on to two blank lines or a rule; without a heading, as long as it speaks as a note."""
    end = first.end()
    lines = first.group().count("\n")
    if not _HEADING.fullmatch(first.group().strip()):
        if lines > CREDIT_LINES and not _is_note(first.group()):
            return None
        while body[end : end + 1] == "\n" and body[end : end + 2] != "\n\n":
            paragraph = _PARAGRAPH.match(body, end + 1)
            if paragraph is None or not _WORDS.search(paragraph.group()):
                break
            end = paragraph.end()
        return end
    content = re.compile(r"\s*\n(?=[ \t]*\S)").match(body, end - 1)
    begin = content.end() if content else end
    gap = _GAP.search(body, begin, begin + 80 * LONG_LINES)
    rule = re.compile(rf"^{_RULE.pattern}$", re.M).search(body, begin, begin + 80 * LONG_LINES)
    ends = [(found.start(), found.end() if found is rule else found.start()) for found in (gap, rule) if found]
    if ends and (body.count("\n", begin, min(ends)[0]) <= NOTE_LINES or _is_note(body[begin : min(ends)[0]])):
        return min(ends)[1]
    return end


def _is_note(text: str) -> bool:
    """Whether enough of its paragraphs speak of spelling, pages, corrections."""
    paragraphs = _PARAGRAPH.findall(text)
    if text.count("\n") > LONG_LINES and len(paragraphs) > LONG_LINES:
        return False
    return sum(bool(_WORDS.search(paragraph)) for paragraph in paragraphs) >= SHARE * len(paragraphs)


def _without_rules(text: str) -> str:
    """The text before a note at the end, without the lines of stars and dashes that set the note off."""
    lines = text.rstrip().split("\n")
    while lines and (_RULE.fullmatch(lines[-1]) or not lines[-1].strip()):
        lines.pop()
    return "\n".join(lines) + "\n"


def _without_border(text: str) -> str:
    """The text before a note in a box, without the upper line of the box."""
    head, newline, line = text.removesuffix("\n").rpartition("\n")
    return head + newline if line.strip() and _BOX.match(line) and not line.strip(" \t|+-=_") else text
