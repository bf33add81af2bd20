"""Short lines by which pages talk of themselves: bylines, dates, credits, advertisements, hints at other pages.

Pages write them alike in each language; here are those of English, German, French, Spanish, Italian, Portuguese, Dutch and Polish.
A line is one of these only as a block of its own and of few words, outside tables and code; the head of a section of other pages
takes what is linked below it along.
"""

from __future__ import annotations

import re

from pipelines.markup.html.blocks import TAG, Blocks

_MONTH = (
    r"(?:jan|feb|m[aä]r|apr|ma[iy]|jun|jul|aug|sep|o[ck]t|nov|de[cz]|ene|abr|ago|dic|janv|f[eé]v|avr|juin|juil|ao[uû]t|d[eé]c"
    r"|gen|mag|giu|lug|set|ott|out|fev|mei|mrt)[a-zäçéûñ]*\.?"
)
_DAY = (
    r"(?:\d{1,4}[./-]\d{1,2}[./-]\d{1,4}"
    rf"|\d{{1,2}}(?:st|nd|rd|th|\.)?(?: de)? {_MONTH}(?: de)?,? ?(?:\d{{4}})?"
    rf"|{_MONTH} \d{{1,2}}(?:st|nd|rd|th)?,? \d{{4}}|{_MONTH} \d{{4}})"
)
_CLOCK = r"(?:\d{1,2}[:.h]\d{2}(?::\d{2})?(?: ?(?:[ap]\.?m\.?|uhr|h))?(?: [A-Z]{2,4})?)"
_DATE = re.compile(
    r"(?:(?:first |last |zuletzt |originally )?(?:published|posted|updated|modified|created|written|edited|revised|date|stand|datum"
    r"|fecha|data|veröffentlicht|aktualisiert|erstellt|publié|mis à jour|publicado|actualizado|pubblicato|aggiornato|gepubliceerd"
    r"|opublikowano|dodano)\b[ :]*)?(?:(?:on|at|am|um|le|el|il|op|by|the|vom) )?(?:[^\W\d]{2,10}[.,]{1,2} ?)?"
    rf"(?:{_DAY}|{_CLOCK})(?:[ ,|·•–—-]*(?:(?:at|um|à|a las|alle|o|u|om|-) ?)?(?:{_DAY}|{_CLOCK}))*[ .)|]*",
    re.IGNORECASE,
)
_AGO = re.compile(r".{0,40}\b(?:\d+|an?|one) (?:second|minute|hour|day|week|month|year)s? ago\W*", re.IGNORECASE)
_BYLINE = re.compile(
    r"(?:by|von|par|por|di|da|written by|text|autor(?:in)?|author|posted by|reporting by)[: ]+\S", re.IGNORECASE
)
_CREDITS = (
    r"[(\[]?(?:photos?|pictures?|images?|fotos?|bild(?:er|quelle)?|quelle|credits?|copyright|©|ⓒ|\(c\)|video|grafik|crédits?"
    r"|zdjęci[ae]|źródło|source)(?: (?:by|von|par|credit|courtesy of|source|de|di))?\s?[:/©|]",
    r"(?:copyright|©|ⓒ|\(c\))\s",
    r".{0,40}\b(?:getty images|shutterstock|istock(?:photo)?|afp|reuters|dpa|ap photo|imago)\W*$",
    r".{0,60}\b(?:all rights reserved|alle rechte vorbehalten|tous droits réservés|todos los derechos reservados"
    r"|tutti i diritti riservati|wszelkie prawa zastrzeżone|무단전재)",
)
_APPEALS = (
    r"(?:advertisement|advertising|anzeige|werbung|publicité|publicidad|pubblicità|reklama|advertentie|sponsored)\W*$",
    r"(?:share|teilen|partager|compartir|condividi|udostępnij|tweet|print|drucken|email|e-mail)\W*$",
    r"share (?:this|on|via|with)\b|(?:artikel|beitrag) (?:teilen|drucken)",
    r"(?:please )?(?:follow|like|find) (?:us|me|him|her|them|@?[\w ]{2,30}) on (?:twitter|facebook|instagram|linkedin|youtube|google)\b",
    r".{0,120}\bfollow (?:us|me|him|her|them) on (?:twitter|facebook|instagram)\b",
    r"(?:subscribe|sign up|register) (?:to|for|now|here|today|with)\b",
    r"get the (?:latest|day[’']s|best)\b.{0,60}\b(?:inbox|newsletter|email)|.{0,60}\b(?:to|for|our|unseren|unser|den) newsletter\b",
    r"we use cookies|this (?:site|website) uses cookies|diese (?:web)?seite verwendet cookies",
)
_PAGES = (
    r"(?:read|see|learn|view|show|load) (?:more|also|next|full|all)\b(?!.{0,20}\bthan\b)|continue reading|click here\b|keep reading",
    r"(?:related|recommended)(?:$|:| (?:articles?|posts?|stories|news|content|topics|links)\W*$)",
    r"(?:see also|also read|more on this|don[’']t miss|you (?:may|might) (?:also )?(?:like|be interested))\b",
    r"(?:mehr (?:zum thema|dazu|lesen|infos?|erfahren)|weiterlesen|lesen sie (?:auch|mehr|hier)|lies auch|auch interessant"
    r"|siehe auch|das könnte|zum thema|passend dazu|hier geht[’']?s)\b",
    r"(?:lire aussi|à lire|voir aussi|en savoir plus|lea también|leer más|te puede interesar|ver también|leggi anche"
    r"|leia (?:também|mais)|lees (?:ook|meer)|czytaj (?:także|też|więcej)|zobacz (?:także|też|również)|przeczytaj)\b",
    r"skip to (?:main )?content|back to top|nach oben|zum (?:inhalt|seitenanfang|anfang)|zurück(?: zur)?\W*"
    r"|\W*(?:next|previous) (?:article|post|story)",
    r"originally published|this (?:article|post|story) (?:was )?(?:originally |first )?(?:appeared|published)",
)
_NOTES = (
    r"leave a (?:comment|reply)|(?:post|add|write) a comment|no comments|\d+ comments?|comments? ?(?:\(\d+\))?\W*$|kommentare?\W*$"
    r"|kommentar schreiben|schreib(?:e|en sie)? (?:einen|ihren|deinen) kommentar",
    r"filed under|tagged (?:with|as)?|tags?:|schlagw[oö]rt\w*:|kategorien?:|categories:|topics:|labels:|mots[- ]clés|etiquetas:",
    r"reading time\b|lesezeit\b|\d+ min(?:ute)?s?\.? (?:read|lesezeit|de lecture)|min read",
)
_LINE = re.compile("|".join((*_CREDITS, *_APPEALS, *_PAGES, *_NOTES)), re.IGNORECASE)
_SECTION = re.compile(
    r"(?:related|recommended|recent|popular|latest|trending|similar|further)"
    r" (?:articles?|posts?|stories|news|content|topics|reading|links|coverage|videos?)?\W*$"
    r"|more (?:great |top |on |from |in |stories|articles|posts|news|about|like)\b|most (?:read|popular|viewed)"
    r"|you (?:may|might) (?:also )?(?:like|be interested)|(?:read|see|watch) (?:also|next|more)|also on|what[’']s next|don[’']t miss|up next"
    r"|(?:leave a (?:comment|reply)|comments?|\d+ (?:comments|responses|thoughts)|join the (?:conversation|discussion))\b"
    r"|about the authors?|share (?:this|on)|follow us|(?:sign up|subscribe)\b|newsletter"
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
_LINKED, _TAIL = 0.25, 4
"""The share of words in links below which a paragraph is text, and how many blocks at the end may be a date."""
_HEADINGS = frozenset(TAG[f"h{level}"] for level in range(1, 7))
_CELLS = frozenset((TAG["td"], TAG["th"]))
_PRE, _ITEM = TAG["pre"], TAG["li"]


def without_phrases(blocks: Blocks, chosen: list[int]) -> list[int]:
    """The chosen blocks without those in which the page talks of itself."""
    kept: list[int] = []
    begun = section = False
    level = 0
    for place, number in enumerate(chosen):
        words, linked = blocks.counts[number].tolist()
        tag = int(blocks.tags[blocks.spans[number, 2]])
        heading = tag in _HEADINGS
        if section:
            if (heading and tag > level) or (not heading and (words - linked < _FEW or linked >= _LINKED * words)):
                continue
            section = False
        if words <= _LINE_WORDS and tag != _PRE and tag not in _CELLS:
            text = blocks.block(number)
            if begun and words <= (_FEW if heading else _HEAD) and _SECTION.match(text):
                section, level = True, tag if heading else 0
                continue
            dated = tag != _ITEM and (not begun or place >= len(chosen) - _TAIL)
            if not heading and (_LINE.match(text) or (words <= _FEW and _of_the_text(text, dated, begun))):
                continue
        begun = begun or words >= _PROSE
        kept.append(number)
    return kept


def _of_the_text(text: str, dated: bool, begun: bool) -> bool:
    """Whether a line says when, where it may, or by whom, before the text has begun."""
    return bool((dated and (_DATE.fullmatch(text) or _AGO.fullmatch(text))) or (not begun and _BYLINE.match(text)))
