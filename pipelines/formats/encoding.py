"""Bytes of unknown encoding -> text, without ever losing a document: books and LaTeX files of the last fifty years."""

import codecs
import re

BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
ESCAPED = re.compile("[\udc80-\udcff]")
NON_ASCII = re.compile("[^\x00-\x7f]")
CONTROL = re.compile("[\x80-\x9f]")
WINDOWS = {byte: bytes([byte]).decode("cp1252", "ignore") or chr(byte) for byte in range(128, 256)}
ESCAPES = {0xDC00 + byte: char for byte, char in WINDOWS.items()}
CONTROLS = {byte: char for byte, char in WINDOWS.items() if byte < 160}  # Windows-1252 once taken for ISO-8859-1
STRAY_SHARE = 0.1  # of the non-ASCII characters: with fewer stray bytes a text is damaged UTF-8, not another encoding
LATIN = frozenset(("ascii", "iso8859-1", "cp1252"))


def decode(data: bytes, declared: str | None = None) -> tuple[str, str]:
    """Gives (text, encoding): by its byte order mark, else UTF-8, else as `declared`, else Windows-1252.

    ISO-8859-1 files often hold Windows-1252 quotes, so both are read as the latter; the five bytes that it leaves
    undefined become the control characters of ISO-8859-1. A stray byte in otherwise valid UTF-8 is read alone, and the
    control characters U+0080 to U+009F in UTF-8 are the Windows-1252 quotes and dashes of a file converted wrongly.
    """
    for mark, name in BOMS:
        if data.startswith(mark):
            if name == "utf-8":
                data = data[len(mark) :]
                break
            return data[len(mark) :].decode(name, "replace"), name
    escaped = data.decode("utf-8", "surrogateescape")
    if escaped.isascii():
        return escaped, "utf-8"
    if CONTROL.search(escaped):
        escaped = escaped.translate(CONTROLS)
    stray = len(ESCAPED.findall(escaped))
    if stray == 0:
        return escaped, "utf-8"
    if stray <= STRAY_SHARE * len(NON_ASCII.findall(escaped)):
        return escaped.translate(ESCAPES), "utf-8"
    codec = _codec(declared)
    if codec is not None and codec not in LATIN:
        try:
            return data.decode(codec), codec
        except UnicodeDecodeError:
            pass  # the declaration is wrong
    return data.decode("ascii", "surrogateescape").translate(ESCAPES), "cp1252"


def _codec(declared: str | None) -> str | None:
    """Python's name of a declared text encoding that is not UTF-8, or None."""
    if not declared:
        return None
    label = re.sub(r"^(?:codepage|code page|windows code page)[ -]*", "cp", declared.strip().lower())
    try:
        name = codecs.lookup(label.split(",")[0].split(" (")[0].replace(" ", "-")).name
        b"".decode(name)
    except (LookupError, ValueError):
        return None
    return None if name.startswith("utf") else name
