"""The keys of `trainer fit --set` and `--config`, section by section, and the models that have values of their own for them."""

from __future__ import annotations

import inspect

from corpus.plugins import registry
from tools.reference.markdown import code, paragraphs, table
from tools.reference.options import option_table
from trainer.config.config import SECTIONS


def settings_page() -> str:
    """The page."""
    lines = [
        "# Settings of the trainer",
        "",
        "Each is `--set section.name=VALUE` of `trainer fit`, or a key of its `--config` file. `trainer settings MODEL` lists those"
        " of a model; what they do is in [the trainer](../trainer.md).",
    ]
    for name, config in SECTIONS.items():
        lines += ["", f"## `{name}`", *paragraphs(inspect.getdoc(config) or ""), *option_table(config, f"{name}.")]
    families = registry("FAMILIES")
    rows = [(name, ", ".join(map(code, families.load(name)))) for name in families.builtin() if name != "checkpoint"]
    lines += ["", "## Models", "", "Of each, how it is proved and where it differs: [families](../families.md)."]
    return "\n".join(lines + table(("family", "models"), rows)) + "\n"
