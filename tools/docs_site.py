"""What the site has beside the pages of docs/: a hook of MkDocs (`mkdocs.yml`), run at every build."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tools.reference.pages import reference_pages  # noqa: E402 (MkDocs loads a hook by its path, and knows no packages)

_ITEM = re.compile(r"(- |\d+\. )")


def listed(nav: Any) -> set[str]:
    """The pages that a navigation names."""
    if isinstance(nav, str):
        return {nav}
    entries = nav.values() if isinstance(nav, dict) else nav
    return {page for entry in entries for page in listed(entry)}


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Put pages that the navigation does not name at its end, so that none is forgotten."""
    folder = Path(config.docs_dir)
    pages = {path.relative_to(folder).as_posix() for path in folder.rglob("*.md")}
    more = sorted(pages - listed(config.nav))
    config.nav = [*(config.nav or ()), *([{"More": more}] if more else [])]
    config.nav.append({"Changes": "changes.md"})
    return config


def on_page_markdown(markdown: str, **_: Any) -> str:
    """A list right after a paragraph is one on GitHub; this Markdown wants an empty line between them."""
    lines, code = [""], False
    for line in markdown.split("\n"):
        code ^= line.startswith("```")
        before = lines[-1]
        if not code and _ITEM.match(line) and before and not before.startswith(" ") and not _ITEM.match(before):
            lines.append("")
        lines.append(line)
    return "\n".join(lines[1:])


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are made from the code."""
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8").replace("](docs/", "](")
    for place, text in (("changes.md", changes), *reference_pages()):
        files.append(File.generated(config, place, content=text))
    return files
