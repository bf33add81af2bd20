"""Short lines by which pages talk of themselves: bylines, dates, credits, advertisements, hints at other pages.

Pages write them alike in each language; here are those of English, German, French, Spanish, Italian, Portuguese, Dutch and Polish.
A line is one of these only as a block of its own and of few words, outside tables and code; the head of a section of other pages
takes what is linked below it along.
"""

from __future__ import annotations

import re

import numpy as np

from pipelines.markup.html.blocks import TAG, Blocks

_MONTH = (
    r"(?:jan|feb|m[aä]r|apr|ma[iy]|jun|jul|aug|sep|o[ck]t|nov|de[cz]|ene|abr|ago|dic|janv|f[eé]v|avr|juin|juil|ao[uû]t|d[eé]c"
    r"|gen|mag|giu|lug|set|ott|out|fev|mei|mrt)[a-zäçéûñ]*\.?"
)
_DAY = (
    r"(?:\d{1,4}[./-]\d{1,2}[./-]\d{1,4}"
    rf"|\d{{1,2}}(?:st|nd|rd|th|\.)?(?: de)? {_MONTH}(?:(?: de)?,? ?\d{{4}})?"
    rf"|{_MONTH} \d{{1,2}}(?:st|nd|rd|th)?,? \d{{4}}|{_MONTH} \d{{4}})"
)
_CLOCK = r"(?:\d{1,2}[:.h]\d{2}(?::\d{2})?(?: ?(?:[ap]\.?m\.?|uhr|h)\b)?(?-i: [A-Z]{2,4}\b)?)"
_TIME = rf"(?>(?<!\d)(?:{_DAY}|{_CLOCK})(?!\d))"
"""A day or a clock, read in one way only: else a row of them that ends as no date does is tried in each way."""
_DATE = re.compile(
    r"(?:(?:first |last |zuletzt |originally )?(?:published|posted|updated|modified|created|written|edited|revised|date|stand|datum"
    r"|fecha|data|veröffentlicht|aktualisiert|erstellt|publié|mis à jour|publicado|actualizado|pubblicato|aggiornato|gepubliceerd"
    r"|opublikowano|dodano)\b[ :]*)?(?:(?:on|at|am|um|le|el|il|op|by|the|vom) )?(?:[^\W\d]{2,10}[.,]{1,2} ?)?"
    rf"{_TIME}(?:[ ,|·•–—-]++(?:(?:at|um|à|a las|alle|o|u|om) )?{_TIME})*+[ .)|]*",
    re.IGNORECASE,
)
_AGO = re.compile(r".{0,40}\b(?:\d+|an?|one) (?:second|minute|hour|day|week|month|year)s? ago\W*", re.IGNORECASE)
_BYLINE = re.compile(
    r"(?:by|von|par|por|di|da|written by|text|autor(?:in)?|author|posted by|reporting by)[: ]+\S", re.IGNORECASE
)
_YEAR = r"(?:19|20)\d\d\b"
_LABEL = r"(?=.{0,100}$)(?!.*[.!?…]\W*$)"
"""The rest of a short line that does not end as a sentence."""
_CERTAIN = (
    r"(?:(?:copyright|[©ⓒ]|\(c\)) ?)++\W*(?:(?-i:[A-Z][\w.&’'-]*,? ){1,6}" + _YEAR + r"\W*$"
    r"|" + _YEAR + r"(?:\W+" + _YEAR + r")?\W*(?:$|by\b|(?-i:[A-Z])))",
    r"[(\[]?(?:photos?|pictures?|images?|fotos?|bild(?:er|quelle)?|quelle|credits?|copyright|©|ⓒ|video|grafik|crédits?"
    r"|zdjęci[ae]|źródło|source)(?: (?:by|von|par|credit|courtesy of|source|de|di))?\s?[:/©|]" + _LABEL,
    r"[©ⓒ]\s" + _LABEL,
    r".{0,40}\b(?:getty images|shutterstock|istock(?:photo)?|afp|reuters|dpa|ap photo|imago)\W*$(?<![.!?])",
    r".{0,60}\b(?:all rights reserved|alle rechte vorbehalten|tous droits réservés|todos los derechos reservados"
    r"|tutti i diritti riservati|wszelkie prawa zastrzeżone|무단전재)\W*$",
    r"(?:advertisement|advertising|anzeige|werbung|publicité|publicidad|pubblicità|reklama|advertentie|sponsored)\W*$",
    r"(?:share|teilen|partager|compartir|condividi|udostępnij|tweet|print|drucken|email|e-mail)\W*$",
    r"(?:related|recommended)(?: (?:articles?|posts?|stories|news|content|topics|links))?\W*$",
    r"(?:(?:read|see|learn|view|show|load) (?:more|also|next|full|all)|continue reading|click here|keep reading|weiterlesen"
    r"|mehr (?:zum thema|dazu|lesen|infos?|erfahren)|lire aussi|leer más|leggi anche|leia mais|czytaj więcej)\W*$",
    r"skip to (?:main )?content\W*$|back to top\W*$|nach oben\W*$|zum (?:inhalt|seitenanfang|anfang)\W*$|zurück(?: zur)?\W*$"
    r"|\W*(?:next|previous) (?:article|post|story)\W*$",
    r"(?:leave a (?:comment|reply)|(?:post|add|write) a comment|no comments|\d+ comments?|comments? ?(?:\(\d+\))?|kommentare?"
    r"|kommentar schreiben)\W*$",
    r"\d+ min(?:ute)?s?\.? (?:read|lesezeit|de lecture)\W*$|min read\W*$",
)
"""Whole lines that no sentence is: they are left out anywhere."""
_LIKELY = (
    r"(?:copyright|©|ⓒ)\s|.{0,60}\b(?:all rights reserved|alle rechte vorbehalten|tous droits réservés)\b",
    r"[(\[]?(?:photos?|pictures?|images?|fotos?|bild(?:er|quelle)?|quelle|credits?|crédits?)"
    r"(?: (?:by|von|par|credit|courtesy of|source|de|di))?\s?[:/©|]|.{0,40}\b(?:getty images|shutterstock|afp|reuters|dpa)\W*$",
    r"share (?:this|on|via|with)\b|(?:artikel|beitrag) (?:teilen|drucken)",
    r"(?:please )?(?:follow|like|find) (?:us|me|him|her|them|@?[\w ]{2,30}) on (?:twitter|facebook|instagram|linkedin|youtube|google)\b",
    r".{0,120}\bfollow (?:us|me|him|her|them) on (?:twitter|facebook|instagram)\b",
    r"(?:subscribe|sign up|register) (?:to|for|now|here|today|with)\b",
    r"get the (?:latest|day[’']s|best)\b.{0,60}\b(?:inbox|newsletter|email)|.{0,60}\b(?:to|for|our|unseren|unser|den) newsletter\b",
    r"we use cookies|this (?:site|website) uses cookies|diese (?:web)?seite verwendet cookies",
    r"(?:read|see|learn|view|show|load) (?:more|also|next|full|all)\b(?!.{0,20}\bthan\b)|continue reading|click here\b|keep reading",
    r"(?:related|recommended):|(?:see also|also read|more on this|don[’']t miss|you (?:may|might) (?:also )?(?:like|be interested))\b",
    r"(?:mehr (?:zum thema|dazu|lesen|infos?|erfahren)|weiterlesen|lesen sie (?:auch|mehr|hier)|lies auch|auch interessant"
    r"|siehe auch|das könnte|zum thema|passend dazu|hier geht[’']?s)\b",
    r"(?:lire aussi|à lire|voir aussi|en savoir plus|lea también|leer más|te puede interesar|ver también|leggi anche"
    r"|leia (?:também|mais)|lees (?:ook|meer)|czytaj (?:także|też|więcej)|zobacz (?:także|też|również)|przeczytaj)\b",
    r"skip to (?:main )?content|back to top|nach oben|zum (?:inhalt|seitenanfang|anfang)|\W*(?:next|previous) (?:article|post|story)",
    r"originally published|this (?:article|post|story) (?:was )?(?:originally |first )?(?:appeared|published)",
    r"leave a (?:comment|reply)|(?:post|add|write) a comment"
    r"|kommentar schreiben|schreib(?:e|en sie)? (?:einen|ihren|deinen) kommentar",
    r"filed under|tagged (?:with|as)?|tags?:|schlagw[oö]rt\w*:|kategorien?:|categories:|topics:|labels:|mots[- ]clés|etiquetas:",
    r"reading time\b|lesezeit\b|\d+ min(?:ute)?s?\.? (?:read|lesezeit|de lecture)|min read",
)
"""Beginnings that sentences have too: such a line is left out where it is linked, or before or after the paragraphs."""
_LINE = re.compile("|".join(_CERTAIN), re.IGNORECASE)
_PERHAPS = re.compile("|".join(_LIKELY), re.IGNORECASE)
_SECTION = re.compile(
    r"(?:related|recommended|recent|popular|latest|trending|similar|further)"
    r" (?:articles?|posts?|stories|news|content|topics|reading|links|coverage|videos?)?\W*$"
    r"|more (?:great |top |from |stories|articles|posts|news|like)\b|most (?:read|popular|viewed)"
    r"|more (?:on|in|about)(?: (?:this|the) (?:topic|story|subject|series))?\W*$"
    r"|you (?:may|might) (?:also )?(?:like|be interested)|(?:read|see|watch) (?:also|next|more)|also on|what[’']s next|don[’']t miss|up next"
    r"|(?:leave a (?:comment|reply)|comments?(?: \(\d+\))?|\d+ comments?|join the (?:conversation|discussion))\W*$"
    r"|\d+ (?:comments?|responses?|thoughts?) (?:on|to) [“\"‘'«„]"
    r"|about the authors?|share (?:this|on)|follow us|newsletter\W*$"
    r"|(?:sign up|subscribe)(?:\W*$| (?:to (?:our|the|my)|for (?:our|the|free)|now|today|here|via)\b)"
    r"|(?:weitere|verwandte|ähnliche|neueste|aktuelle|beliebte|meistgelesene?) \w+|mehr (?:zum thema|von|aus|zu)|das könnte"
    r"|auch interessant|zum thema|kommentare?\W*$|über den autor|lesen sie auch|empfehlungen|entdecke weitere"
    r"|articles? (?:similaires|liés|associés)|à lire|sur le même (?:sujet|thème)|lire aussi|plus d[’']|commentaires?"
    r"|(?:artículos|noticias|notas|temas) relacionad[oa]s|te puede interesar|lo más|más (?:noticias|leídas)|comentarios?\W*$"
    r"|(?:articoli|notizie) correlat[ie]|potrebbe interessarti|leggi anche|commenti\W*$|zobacz (?:także|też|również)|czytaj"
    r"|komentarze|powiązane|gerelateerd|lees ook|veja (?:também|mais)|leia (?:também|mais)",
    re.IGNORECASE,
)
_FEW, _HEAD, _LINE_WORDS, _PROSE = 12, 4, 30, 20
"""Words at most of a heading or a date, of the head of a section that is no heading, of a line, and at least of a paragraph."""
_DATE_CHARACTERS = 120
"""Characters at most of a date or a byline."""
_LINKED, _TAIL = 0.25, 4
"""The share of words in links below which a paragraph is text, and how many blocks at the end may be a date."""
_HEADINGS = frozenset(TAG[f"h{level}"] for level in range(1, 7))
_CELLS = frozenset((TAG["td"], TAG["th"]))
_PRE, _ITEM = TAG["pre"], TAG["li"]


def without_phrases(blocks: Blocks, chosen: list[int]) -> list[int]:
    """The chosen blocks without those in which the page talks of itself."""
    kept: list[int] = []
    begun = section = False
    level, head = 0, -1  # `head` is the heading of a section that nothing has followed yet
    counts = blocks.counts[chosen]
    prose = np.flatnonzero((counts[:, 0] >= _PROSE) & (counts[:, 1] < _LINKED * counts[:, 0]))
    last = int(prose[-1]) if len(prose) else -1
    for place, number in enumerate(chosen):
        words, links = counts[place].tolist()
        tag = int(blocks.tags[blocks.spans[number, 2]])
        heading, linked, fixed = tag in _HEADINGS, links >= _LINKED * words, tag == _PRE or tag in _CELLS
        if section:
            if linked and not fixed and (not heading or tag > level):
                head = -1
                continue
            section = not (heading or fixed or words >= _FEW)
            if head >= 0 and not heading and not section:  # it is one of the text
                kept.append(head)
            head = -1
        if words <= _LINE_WORDS and not fixed:
            text = blocks.block(number)
            if begun and words <= (_FEW if heading else _HEAD) and _SECTION.match(text):
                section, level, head = True, tag if heading else 0, number if heading else -1
                continue
            dated = section or (tag != _ITEM and (not begun or place >= len(chosen) - _TAIL))
            aside = linked or not begun or place > last
            if not heading and (_is_line(text, aside) or (words <= _FEW and _of_the_text(text, dated, begun))):
                continue
        begun = begun or words >= _PROSE
        kept.append(number)
    return kept


def _is_line(text: str, aside: bool) -> bool:
    """Whether the page talks of itself in a line, which is a link or not among paragraphs where it is `aside`."""
    return bool(_LINE.match(text) or (aside and _PERHAPS.match(text)))


def _of_the_text(text: str, dated: bool, begun: bool) -> bool:
    """Whether a line says when, where it may, or by whom, before the text has begun."""
    if len(text) > _DATE_CHARACTERS:
        return False
    return bool((dated and (_DATE.fullmatch(text) or _AGO.fullmatch(text))) or (not begun and _BYLINE.match(text)))
