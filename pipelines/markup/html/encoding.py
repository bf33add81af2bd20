"""The text of a page, whatever its bytes say of their encoding."""

from __future__ import annotations

import codecs
import re

from resiliparse.parse.encoding import detect_encoding, map_encoding_to_html5

from pipelines.formats.encoding import BOMS

_META = re.compile(rb"<meta[^>]{0,500}?charset\s*=\s*[\"']?\s*([\w.:-]{1,40})", re.IGNORECASE)
_META_BYTES = 4096
_DETECTED_BYTES = 64 * 1024
_REPLACED_SHARE = 0.005


def decode_page(data: bytes, declared: str = "") -> str:
    """The text of a page: by its byte order mark; as UTF-8 if it is that; as the HTTP header (`declared`) or the page
    itself declares, if that fits; else as it looks (uchardet). Nothing is raised: what is left is U+FFFD."""
    for mark, name in BOMS:
        if data.startswith(mark):
            return data[len(mark) :].decode(name, "replace")
    meta = _META.search(data, 0, _META_BYTES)
    labels = [label for label in (declared, meta[1].decode("ascii", "replace") if meta else "") if label]
    if b"\x1b$" not in data[:_META_BYTES] or not any("2022" in label for label in labels):
        try:
            return data.decode("utf-8")
        except UnicodeDecodeError:
            pass
    for label in labels:
        text = _decoded(data, label)
        if text is not None:
            return text
    name = detect_encoding(data, max_len=_DETECTED_BYTES) or "utf-8"
    try:
        return data.decode(name, "replace")
    except (LookupError, UnicodeError):
        return data.decode("utf-8", "replace")


def _decoded(data: bytes, label: str) -> str | None:
    """The text in the encoding that browsers take `label` for; None if that is not known, or does not fit."""
    name = map_encoding_to_html5(label, fallback_utf8=False)
    if name is None:
        try:
            name = codecs.lookup(label).name
        except (LookupError, ValueError):
            return None
    try:
        text = data.decode(name, "replace")
    except (LookupError, UnicodeError):
        return None
    lost = text.count("\ufffd")
    return None if lost > _REPLACED_SHARE * max(200, len(text)) else text
