"""Which licences a package states of itself in its metadata."""

from __future__ import annotations

import re
import tomllib

from pipelines.markup.licences.expression import licences_of_expression


def licences_of_metadata(path: str, text: str) -> frozenset[str]:
    """The licences a package states in PKG-INFO, METADATA, pyproject.toml, setup.cfg, Cargo.toml or package.json."""
    name = path.rpartition("/")[2].lower()
    stated: list[str] = []
    if name in ("pkg-info", "metadata"):
        header = text.replace("\r\n", "\n").partition("\n\n")[0]
        stated += re.findall(r"^Licen[cs]e(?:-Expression)?:[ \t]*(\S.*)$", header, re.MULTILINE)
        stated += re.findall(r"^Classifier: License :: (?:OSI Approved :: )?(\S.*)$", header, re.MULTILINE)
    elif name in ("pyproject.toml", "cargo.toml"):
        stated += _toml(text)
    elif name == "setup.cfg":
        stated += re.findall(r"^license[ \t]*=[ \t]*(\S.*)$", text, re.MULTILINE)
        stated += re.findall(r"^[ \t]*License :: (?:OSI Approved :: )?(\S.*)$", text, re.MULTILINE)
    elif name == "package.json":
        stated += re.findall(r'"license"\s*:\s*"([^"\n]+)"', text)
    found = {licence for expression in stated for licence in licences_of_expression(expression)}
    if len([licence for licence in found if licence.startswith("bsd")]) > 1:
        found.discard("bsd")  # the classifier, which knows no clauses
    return frozenset(found)


MANIFESTS = frozenset(("pkg-info", "metadata", "pyproject.toml", "cargo.toml", "setup.cfg", "package.json"))


def _toml(text: str) -> list[str]:
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return []
    stated: list[str] = []
    for table in (document.get("project"), document.get("package")):
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
