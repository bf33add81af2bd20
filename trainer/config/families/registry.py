"""The models of all families, by name: those of the papers, of installed packages and of plug-in files."""

from __future__ import annotations

from collections.abc import Mapping

from corpus.errors import UsageError
from corpus.option import nearest
from corpus.plugins import loaded_plugins
from corpus.registry import Registry
from trainer.config.families.preset import Preset

FAMILIES = Registry(
    "model family",
    "corpusmill.families",
    {
        name: f"trainer.config.families.{name}:{name.upper()}"
        for name in (
            "llama",
            "palm",
            "gpt3",
            "gopher",
            "chinchilla",
            "lamda",
            "galactica",
            "opt",
            "bloom",
            "neox",
            "pythia",
            "starcoder",
            "glm",
            "llama2",
            "llama3",
            "nanochat",
            "checkpoint",
        )
    },
)
"""The families by name: each a table of presets by the names of its models."""


def _models(family: str) -> Mapping[str, Preset]:
    models: Mapping[str, Preset] = FAMILIES.load(family)
    return models


PRESETS: Mapping[str, Preset] = {
    name: preset for family in FAMILIES.builtin() for name, preset in _models(family).items()
}
"""The models of the built-in families."""


def find_preset(name: str) -> Preset:
    """The preset of that name, or a UsageError that names the nearest."""
    return _models(find_family(name))[name]


def find_family(name: str) -> str:
    """The family that has the model `name`; a UsageError where none has, or where several have."""
    owners = [family for family in FAMILIES if name in _models(family)]
    if not owners:
        known = [model for family in FAMILIES for model in _models(family)]
        raise UsageError(f"there is no model '{name}': {nearest(name, known)}")
    if len(owners) > 1:
        sources = ", ".join(f"{family} ({FAMILIES[family].source})" for family in owners)
        raise UsageError(f"the model '{name}' is in several families, {sources}: rename it in one of them.")
    return owners[0]


def family_digest(name: str) -> dict[str, str]:
    """The digest, by file name, of the plug-in file that the model `name` comes from; empty for one of a package."""
    source = FAMILIES[find_family(name)].source
    return {plugin.name: plugin.digest for plugin in loaded_plugins() if plugin.path == source}
