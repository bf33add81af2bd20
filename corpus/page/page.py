"""A page as one HTML file: style, scripts, charts and data are in it, and its policy forbids the browser every request.

Vega, Vega-Lite and Vega-Embed are in `scripts/` as npm has them (`tools/vega_scripts.py` fetches them again).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from corpus.errors import DataError
from corpus.page.figures import number
from corpus.page.parts import Cell, Chart, Fold, Page, Part

SCRIPTS = ("vega.min.js", "vega-lite.min.js", "vega-embed.min.js")
_ROOM = "corpus.page"
_CONTROLS = dict.fromkeys({*range(9), 11, 12, *range(14, 32), *range(127, 160)}, "\N{REPLACEMENT CHARACTER}")


def html(page: Page) -> str:
    """The file's text. Equal pages give equal text."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader(_ROOM),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_plain,
    )
    environment.filters["cell"] = cell
    charts = list(_charts([part for section in page.sections for part in section.parts]))
    room = files(_ROOM)
    scripts = [room / "scripts" / name for name in SCRIPTS] if charts else []
    return environment.get_template("page.html").render(
        page=page,
        style=Markup((room / "templates" / "style.css").read_text(encoding="utf-8")),
        code=Markup((room / "templates" / "page.js").read_text(encoding="utf-8")),
        scripts=[Markup(script.read_text(encoding="utf-8")) for script in scripts],
        specs=Markup(embedded([chart.spec for chart in charts])),
        places={id(chart): place for place, chart in enumerate(charts)},
        place_of=id,
    )


def write_page(page: Page, path: Path) -> int:
    """Write the file in the place of what is there; its size in bytes."""
    data = html(page).encode("utf-8", "replace")
    temporary = path.with_name(f".{path.name}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(data)
        temporary.replace(path)
    except OSError as error:
        raise DataError(f"{path} cannot be written ({error.strerror}): give another --output.") from None
    return len(data)


def _charts(parts: Sequence[Part]) -> Iterator[Chart]:
    for part in parts:
        if isinstance(part, Chart):
            yield part
        elif isinstance(part, Fold):
            yield from _charts(part.parts)


def embedded(value: Any) -> str:
    """JSON that can stand in a script element: nothing in it ends the element."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def cell(value: Cell) -> str:
    """A table's cell as it is shown."""
    if value is None:
        return "–"
    return number(value) if isinstance(value, int | float) else value


def _plain(value: Any) -> Any:
    """Texts without the control characters that HTML does not know."""
    return value.translate(_CONTROLS) if isinstance(value, str) and not isinstance(value, Markup) else value
