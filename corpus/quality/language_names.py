"""The languages of lid.176 by their codes, so that a name is answered with its code."""

from __future__ import annotations

import difflib
from collections.abc import Set

from corpus.option import nearest

_LINES = """
af Afrikaans
als Alemannic German
am Amharic
an Aragonese
ar Arabic
arz Egyptian Arabic
as Assamese
ast Asturian
av Avar
az Azerbaijani
azb South Azerbaijani
ba Bashkir
bar Bavarian
bcl Central Bikol
be Belarusian
bg Bulgarian
bh Bihari
bn Bengali
bo Tibetan
bpy Bishnupriya
br Breton
bs Bosnian
bxr Buryat
ca Catalan
cbk Chavacano
ce Chechen
ceb Cebuano
ckb Central Kurdish
co Corsican
cs Czech
cv Chuvash
cy Welsh
da Danish
de German
diq Zazaki
dsb Lower Sorbian
dty Doteli
dv Divehi
el Greek
eml Emilian-Romagnol
en English
eo Esperanto
es Spanish
et Estonian
eu Basque
fa Persian
fi Finnish
fr French
frr North Frisian
fy West Frisian
ga Irish
gd Scottish Gaelic
gl Galician
gn Guarani
gom Goan Konkani
gu Gujarati
gv Manx
he Hebrew
hi Hindi
hif Fiji Hindi
hr Croatian
hsb Upper Sorbian
ht Haitian Creole
hu Hungarian
hy Armenian
ia Interlingua
id Indonesian
ie Interlingue
ilo Ilocano
io Ido
is Icelandic
it Italian
ja Japanese
jbo Lojban
jv Javanese
ka Georgian
kk Kazakh
km Khmer
kn Kannada
ko Korean
krc Karachay-Balkar
ku Kurdish
kv Komi
kw Cornish
ky Kyrgyz
la Latin
lb Luxembourgish
lez Lezgian
li Limburgish
lmo Lombard
lo Lao
lrc Northern Luri
lt Lithuanian
lv Latvian
mai Maithili
mg Malagasy
mhr Meadow Mari
min Minangkabau
mk Macedonian
ml Malayalam
mn Mongolian
mr Marathi
mrj Hill Mari
ms Malay
mt Maltese
mwl Mirandese
my Burmese
myv Erzya
mzn Mazanderani
nah Nahuatl
nap Neapolitan
nds Low German
ne Nepali
new Newar
nl Dutch
nn Norwegian Nynorsk
no Norwegian
oc Occitan
or Odia
os Ossetian
pa Punjabi
pam Kapampangan
pfl Palatine German
pl Polish
pms Piedmontese
pnb Western Punjabi
ps Pashto
pt Portuguese
qu Quechua
rm Romansh
ro Romanian
ru Russian
rue Rusyn
sa Sanskrit
sah Yakut
sc Sardinian
scn Sicilian
sco Scots
sd Sindhi
sh Serbo-Croatian
si Sinhala
sk Slovak
sl Slovenian
so Somali
sq Albanian
sr Serbian
su Sundanese
sv Swedish
sw Swahili
ta Tamil
te Telugu
tg Tajik
th Thai
tk Turkmen
tl Tagalog
tr Turkish
tt Tatar
tyv Tuvan
ug Uyghur
uk Ukrainian
ur Urdu
uz Uzbek
vec Venetian
vep Veps
vi Vietnamese
vls West Flemish
vo Volapük
wa Walloon
war Waray
wuu Wu Chinese
xal Kalmyk
xmf Mingrelian
yi Yiddish
yo Yoruba
yue Cantonese
zh Chinese
"""
LANGUAGE_NAMES = dict(line.split(" ", 1) for line in _LINES.strip().splitlines())
"""English names by the codes of lid.176: ISO 639-1, else 639-3 or those of Wikipedia."""
_CLOSE = 0.8


def language_hint(given: str, known: Set[str]) -> str:
    """What to give in the place of `given`, which is no label among those `known` to a model."""
    parts = [part.strip() for part in given.split(",")]
    if len(parts) > 1:
        each = " ".join(f"--keep {part}" for part in parts if part)
        return f"give --keep for each, as {each} (of a recipe keep: [{', '.join(filter(None, parts))}])."
    if (code := _code(given)) in known:
        return f"did you mean '{code}'?"
    if known >= LANGUAGE_NAMES.keys():
        return "give a code such as en; docs/classifier.md lists them with their languages."
    return nearest(given, known)


def _code(given: str) -> str:
    """The code of a language that is given by name, in capitals or with a country (`en-US`); empty where none is found."""
    codes = {name.lower(): code for code, name in LANGUAGE_NAMES.items()}
    wanted = given.strip().lower()
    base = wanted.replace("_", "-").partition("-")[0]
    if base in LANGUAGE_NAMES:
        return base
    return next((codes[name] for name in difflib.get_close_matches(wanted, codes, n=1, cutoff=_CLOSE)), "")
