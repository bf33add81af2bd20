"""Makes pipelines/markup/wikitext/mediawiki.json: names of MediaWiki in all its languages, out of its message files.

    apt-get download mediawiki && dpkg-deb -x mediawiki_*.deb DIR
    python tools/mediawiki_names.py DIR/usr/share/mediawiki > pipelines/markup/wikitext/mediawiki.json

Only names are taken: of namespaces, behaviour switches, magic words, languages. The output is the same for the same release.
"""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

NAMESPACES = {"NS_MEDIA": "media", "NS_FILE": "file", "NS_CATEGORY": "category", "NS_TEMPLATE": "template"}
STRING = r"'((?:[^'\\]|\\.)*)'|\"((?:[^\"\\]|\\.)*)\""
COMMENT = re.compile(r"^\s*(?:#|//).*$|/\*.*?\*/", re.M | re.S)
BLOCK = r"^\$%s(?:\[\s*'[\w-]+'\s*\])?\s*=\s*(?:\[|array\()(.*?)^(?:\]|\));"
WORD = re.compile(rf"(?:{STRING})\s*=>\s*\[\s*'?([01])'?\s*,([^\]]*)\]")
SWITCH = re.compile(r"(?:__|＿＿).+(?:__|＿＿)")
OTHER_WIKIS = "be-x-old nb roa-rup simple zh-classical zh-min-nan zh-yue".split()
EXTENSION_SWITCHES = (
    # of extensions that Wikimedia's wikis run and the package does not hold
    "__ARCHIVEDTALK__ __DISAMBIG__ __EXPECTED_UNCONNECTED_PAGE__ __EXPECTWITHOUTSCANS__ __NOGLOBAL__ __NOTALK__ "
    "__STATICREDIRECT__"
).split()  # fmt: skip


def blocks(source: str, name: str) -> Iterator[str]:
    for match in re.finditer(BLOCK % name, COMMENT.sub("", source), re.M | re.S):
        yield match[1]


def strings(source: str) -> list[str]:
    return [
        re.sub(r"\\(.)", r"\1", single or double).replace("_", " ").strip()
        for single, double in re.findall(STRING, source)
    ]


def main(root: Path) -> None:
    spaces: dict[str, set[str]] = {name: set() for name in NAMESPACES.values()}
    words: dict[str, tuple[int, set[str]]] = {}
    messages = sorted((root / "languages/messages").glob("Messages*.php"))
    for path in messages:
        source = path.read_text(encoding="utf-8")
        for block in blocks(source, "namespaceNames"):
            for key, *value in re.findall(rf"(NS_\w+)\s*=>\s*(?:{STRING})", block):
                if key in NAMESPACES:
                    spaces[NAMESPACES[key]].update(strings(f"'{value[0]}'" if value[0] else f'"{value[1]}"'))
        for block in blocks(source, "namespaceAliases"):
            for *value, key in re.findall(rf"(?:{STRING})\s*=>\s*(NS_\w+)", block):
                if key in NAMESPACES:
                    spaces[NAMESPACES[key]].update(strings(f"'{value[0]}'" if value[0] else f'"{value[1]}"'))
    for path in [*messages, *sorted(root.glob("extensions-core/*/*magic.php"))]:
        for block in blocks(path.read_text(encoding="utf-8"), "magicWords"):
            for single, double, case, names in WORD.findall(block):
                if not (single or double).startswith("img_"):
                    _, known = words.setdefault(single or double, (int(case), set()))
                    known.update(name.replace("\0", "_").rstrip(":：") for name in strings(names.replace("_", "\0")))
    switches = {key: known for key, (_, known) in words.items() if any(map(SWITCH.fullmatch, known))}
    exact = {name for key, known in switches.items() if words[key][0] for name in known}
    codes = re.findall(
        r"^\s*'([a-z][a-z-]+)'\s*=>", (root / "includes/languages/data/Names.php").read_text("utf-8"), re.M
    )
    release = re.search(r"MW_VERSION', '([\d.]+)'", (root / "includes/Defines.php").read_text("utf-8"))
    table = {
        "source": f"MediaWiki {release[1] if release else ''}, message files of languages and extensions",
        "licence": "names alone are taken; MediaWiki itself is under GPL-2.0-or-later",
        **{key: sorted(value) for key, value in spaces.items()},
        "languages": sorted({*codes, *OTHER_WIKIS}),
        "switches": sorted(set().union(*switches.values(), EXTENSION_SWITCHES) - exact),
        "switches in this case only": sorted(exact),
        "words": {key: sorted(known) for key, (_, known) in sorted(words.items()) if key not in switches},
    }
    print(json.dumps(table, ensure_ascii=False, indent=0))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
