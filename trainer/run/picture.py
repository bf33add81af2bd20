"""Drawings as files: SVG as it is, PDF and PNG made from it by libraries of `corpusmill[report]`."""

from __future__ import annotations

import io
import os
from pathlib import Path

from corpus.data.files import sync_file, write_atomic
from corpus.errors import DataError, UsageError

ENDINGS = (".svg", ".pdf", ".png")
_PIXELS = 2.0
"""Pixels of a PNG for a unit of the drawing: sharp on dense screens."""


def check_ending(path: Path) -> None:
    """A UsageError where the name's ending is of no kind that can be written."""
    if path.suffix.lower() not in ENDINGS:
        raise UsageError(f"{path} ends in none of {', '.join(ENDINGS)}: give a name that does.")


def write_picture(path: Path, svg: str) -> None:
    """Write a drawing as SVG, PDF or PNG, by the ending of the name; a DataError where the file cannot be written, a
    UsageError where the ending or the libraries are not there."""
    check_ending(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix.lower() == ".svg":
            write_atomic(path, svg)
            return
        data = _pdf(svg) if path.suffix.lower() == ".pdf" else _png(_pdf(svg))
        temporary = path.with_name(f".{path.name}.tmp")
        temporary.write_bytes(data)
        sync_file(temporary)
        os.replace(temporary, path)
    except OSError as error:
        raise DataError(f"{path} cannot be written ({error.strerror}): give another file.") from None


def _pdf(svg: str) -> bytes:
    try:
        from reportlab.graphics import renderPDF
        from svglib.svglib import svg2rlg
    except ImportError:
        raise _missing() from None
    drawing = svg2rlg(io.StringIO(svg))
    assert drawing is not None, "our own drawings are valid"
    data: bytes = renderPDF.drawToString(drawing)
    return data


def _png(pdf: bytes) -> bytes:
    try:
        import pypdfium2
    except ImportError:
        raise _missing() from None
    document = pypdfium2.PdfDocument(pdf)
    out = io.BytesIO()
    document[0].render(scale=_PIXELS).to_pil().save(out, format="PNG")
    document.close()
    return out.getvalue()


def _missing() -> UsageError:
    return UsageError(
        "PDF and PNG need the libraries of corpusmill[report]: pip install 'corpusmill[report]', or give a name that"
        " ends in .svg."
    )
