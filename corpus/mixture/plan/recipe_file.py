"""Recipe files: found by path or as packaged recipes, and parsed strictly."""

from __future__ import annotations

import itertools
import json
import re
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from corpus.errors import UsageError
from corpus.option import nearest

_FOLDER = "pipelines.recipes"


class _Loader(yaml.SafeLoader):
    """YAML that refuses a key given twice; plain YAML silently takes the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[object, object]:
        seen: set[object] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                raise yaml.MarkedYAMLError(problem=f"the key '{key}' is given twice", problem_mark=key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep=deep)


def packaged() -> list[str]:
    """The names of the recipes that come with the package."""
    return sorted(
        entry.name.removesuffix(".yaml") for entry in resources.files(_FOLDER).iterdir() if entry.name.endswith(".yaml")
    )


def recipe_text(name: str) -> str:
    """A packaged recipe as it is written; a UsageError with the nearest name where there is none."""
    if name not in packaged():
        raise UsageError(f"no recipe '{name}' comes with the package: {nearest(name, packaged())}")
    return resources.files(_FOLDER).joinpath(f"{name}.yaml").read_text(encoding="utf-8")


def recipe_doc(text: str) -> str:
    """The first sentence of the comment with which a recipe begins."""
    lines = itertools.takewhile(lambda line: line.startswith("#"), text.splitlines())
    whole = " ".join(line.lstrip("# ") for line in lines)
    return re.split(r"(?<=[\w)])\.(?: (?=[A-Z])|$)", whole)[0]


def load_recipe_file(name: str) -> Any:
    """The parsed content of a recipe or weights file: an existing path (YAML, or JSON when it is named so), else a
    packaged name with or without `.yaml`. A file that is not there, not text or not valid is a UsageError."""
    path = Path(name)
    plain = name.removesuffix(".yaml")
    if not path.exists():
        if plain not in packaged():
            hint = nearest(Path(plain).name, packaged())
            raise UsageError(f"there is no recipe '{name}', neither as a file nor packaged: {hint}")
        text = recipe_text(plain)
    else:
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
            raise UsageError(f"{name} cannot be read ({reason}): give a recipe or weights file.") from None
    try:
        return json.loads(text) if path.suffix == ".json" else yaml.load(text, Loader=_Loader)
    except (yaml.YAMLError, ValueError) as error:
        raise UsageError(f"{name} is not valid ({' '.join(str(error).split())}): fix it.") from None
