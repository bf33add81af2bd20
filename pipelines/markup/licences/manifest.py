"""Which licences a package states of itself: in its manifests, and in the section of its readme that is called licence."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterable, Mapping

from pipelines.markup.licences.expression import licences_of_expression
from pipelines.markup.licences.licences import RESTRICTED, UNKNOWN, licences_of_text

_README = re.compile(r"^readme(\.(md|markdown|rst|txt|adoc|org|rdoc))?$")
_SECTION = re.compile(
    r"^(?:\#{1,6}[ \t]*|=+[ \t]+|\*+[ \t]+)?(?:\d+\.?[ \t]*)?(?:copyright (?:and|&) )?licen[cs](?:e|es|ing)(?: information)?[ \t:]*\#*[ \t]*$",
    re.IGNORECASE | re.MULTILINE,
)
_HEADING = re.compile(r"^(?:\#{1,6}[ \t]|=+[ \t]+\S|[^\n]+\n(?:={3,}|-{3,}|~{3,})[ \t]*$)", re.MULTILINE)
_UNDERLINE = re.compile(r"\A\s*(={3,}|-{3,}|~{3,})[ \t]*\n")
_FILE = re.compile(r"(see|file:)[ \t].*\b(licen[cs]es?|copying|file)\b|(licen[cs]e|copying)(\.\w+)?$", re.IGNORECASE)
_SECTION_CHARS = 4_000


def is_manifest(path: str) -> bool:
    """Whether a '/'-separated path is called like a file in which packages state their licences; what a build tool wrote
    into a folder of its own says it of another."""
    folder, _, name = path.lower().rpartition("/")
    return not folder.endswith((".egg-info", ".dist-info")) and (
        name in _BY_NAME or name.rpartition(".")[2] in _BY_SUFFIX
    )


def is_readme(path: str) -> bool:
    """Whether a '/'-separated path is called like a readme."""
    return _README.match(path.rpartition("/")[2].lower()) is not None


def licences_of_manifest(path: str, text: str) -> frozenset[str]:
    """The licences that a package states in the manifest at `path`; empty if none."""
    name = path.rpartition("/")[2].lower()
    stated = (_BY_NAME.get(name) or _BY_SUFFIX[name.rpartition(".")[2]])(text)
    named = (expression for expression in stated if not _FILE.match(expression.strip()))
    return without_parts(licence for expression in named for licence in licences_of_expression(expression))


def licences_of_readme(text: str) -> frozenset[str]:
    """The licences that the section on them names; empty if there is none that names one."""
    section = _SECTION.search(text)
    if section is None:
        return frozenset()
    body = _UNDERLINE.sub("", text[section.end() : section.end() + _SECTION_CHARS])
    following = _HEADING.search(body)
    found = licences_of_text(body[: following.start()] if following else body)
    return found if found - {UNKNOWN, RESTRICTED} else frozenset()


def without_parts(licences: Iterable[str]) -> frozenset[str]:
    """Licences without those that are named by themselves beside a choice that has them, as classifiers are."""
    found = set(licences)
    for choice in [licence for licence in found if " OR " in licence]:
        found -= set(choice.split(" OR "))
    if len([licence for licence in found if licence.startswith("bsd")]) > 1:
        found.discard("bsd")  # the classifier, which knows no clauses
    return frozenset(found)


def _pkg_info(text: str) -> list[str]:
    header = text.replace("\r\n", "\n").partition("\n\n")[0]
    stated = re.findall(r"^Licen[cs]e(?:-Expression)?:[ \t]*(\S.*)$", header, re.MULTILINE)
    return stated + re.findall(r"^Classifier: License :: (?:OSI Approved :: )?(\S.*)$", header, re.MULTILINE)


def _setup_cfg(text: str) -> list[str]:
    stated = re.findall(r"^license[ \t]*=[ \t]*(\S.*)$", text, re.MULTILINE)
    return stated + re.findall(r"^[ \t]*License :: (?:OSI Approved :: )?(\S.*)$", text, re.MULTILINE)


def _setup_py(text: str) -> list[str]:
    stated = re.findall(r"""^[ \t]+license[ \t]*=[ \t]*["']([^"'\n]{1,200})["']""", text, re.MULTILINE)
    return stated + re.findall(r"""["']License :: (?:OSI Approved :: )?([^"'\n]{1,200})["']""", text)


def _json(text: str) -> list[str]:
    """npm's and composer's `license`: a name, a list of them, an object; `licenses`, a list of objects."""
    stated: list[str] = []
    for value in re.findall(r'"licen[cs]es?"\s*:\s*("[^"\n]{1,200}"|\{[^{}]{0,1000}\}|\[[^\[\]]{0,2000}\])', text):
        if value[0] == '"':
            stated.append(value[1:-1])
            continue
        types = re.findall(r'"(?:type|name)"\s*:\s*"([^"\n]{1,200})"', value)
        names = re.findall(r'"([^"\n]{1,200})"', value) if value[0] == "[" and "{" not in value else []
        stated.append(" OR ".join(f"({name})" for name in types or names))  # of a list one can be chosen
    return stated


def _maven(text: str) -> list[str]:
    found: list[str] = []
    for block in re.findall(r"<licenses>(.{0,4000}?)</licenses>", _without_comments(text), re.DOTALL):
        found += re.findall(r"<license>.{0,1000}?<name>\s*([^<]{1,200}?)\s*</name>", block, re.DOTALL)
    return found


def _without_comments(text: str) -> str:
    first, *others = text.split("<!--")  # a pattern would look for the end of each anew
    return first + "".join(part.partition("-->")[2] for part in others)


def _cabal(text: str) -> list[str]:
    names = re.findall(r"^license[ \t]*:[ \t]*(\S.*)$", text, re.MULTILINE | re.IGNORECASE)
    return [{"BSD3": "BSD-3-Clause", "BSD2": "BSD-2-Clause"}.get(name.strip(), name) for name in names]


def _gemspec(text: str) -> list[str]:
    stated = re.findall(r"""\.license\s*=\s*(?:%q\{)?["']?([^"'\n{}]{1,200}?)["'}]""", text)
    for listed in re.findall(r"\.licenses\s*=\s*(?:%w)?\[([^\]]{1,400})\]", text):
        stated += re.findall(r"""["']([^"'\n]{1,200})["']""", listed) or listed.split()
    return stated


def _toml(text: str) -> list[str]:
    try:
        document = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError):
        return []
    tool, workspace = document.get("tool"), document.get("workspace")
    tables = [
        document.get("project"),
        document.get("package"),
        tool.get("poetry") if isinstance(tool, dict) else None,
        workspace.get("package") if isinstance(workspace, dict) else None,
    ]
    stated: list[str] = []
    for table in tables:
        if not isinstance(table, dict):
            continue
        licence = table.get("license")
        if isinstance(licence, dict):
            licence = licence.get("text")
        if isinstance(licence, str):
            stated.append(licence)
        classifiers = table.get("classifiers")
        if isinstance(classifiers, list):
            stated += [str(entry).rpartition("::")[2] for entry in classifiers if str(entry).startswith("License ::")]
    return stated


_BY_NAME: Mapping[str, Callable[[str], list[str]]] = {
    "pkg-info": _pkg_info, "metadata": _pkg_info, "pyproject.toml": _toml, "cargo.toml": _toml, "setup.cfg": _setup_cfg,
    "setup.py": _setup_py, "package.json": _json, "composer.json": _json, "bower.json": _json, "pom.xml": _maven,
}  # fmt: skip
_BY_SUFFIX: Mapping[str, Callable[[str], list[str]]] = {"cabal": _cabal, "gemspec": _gemspec}
