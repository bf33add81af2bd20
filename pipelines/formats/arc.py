"""Records of ARC files (Internet Archive, versions 1 and 2), given as those of WARC files are.

A record is a line of its URL, IP address, time, type and length, and as many bytes of an HTTP response.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from corpus.ingest.compression import QUARANTINE_BYTES, Damage, find_member, open_stream
from pipelines.formats.warc import MAX_RECORD_BYTES, WarcRecord, Window

_LINE = re.compile(
    rb"(?P<url>[a-zA-Z][a-zA-Z0-9+.-]*:[^\r\n]*?) (?P<ip>[0-9a-fA-F.:]+) (?P<time>\d{8,17}) (?P<type>[^\r\n]*?) (?P<length>\d{1,12})\r?\n"
)
_NEXT = re.compile(rb"(?<=\n)(?:https?|ftp|dns|gopher)://?[^\r\n]* [0-9a-fA-F.:]+ \d{14} [^\r\n]* \d{1,12}\r?\n")
_LINE_BYTES = 16 * 1024
_STEP = 1 << 20


def is_arc(head: bytes) -> bool:
    """Whether a file that begins so is an ARC file."""
    return head.lstrip().startswith(b"filedesc:")


def read_arc_records(path: Path) -> Iterator[WarcRecord | Damage]:
    """The records of an ARC file in any compression, each stretch without one as a `Damage`.

    Headers are those of a WARC file that say the same: type `response` (the first record: `warcinfo`), URL, date, type.
    """
    offset: int | None = 0
    while offset is not None:
        with open_stream(path, offset) as stream:
            window = Window(stream)
            yield from _records(window)
        if window.damage is None:
            return
        damage = window.damage
        offset = find_member(path, damage.member + 1, b"http") if stream.compression == "gzip" else None
        end = path.stat().st_size if offset is None else offset
        data = window.torn.data if window.torn else b""
        yield Damage(damage.member, max(0, end - damage.member), damage.reason, data)


def _records(window: Window) -> Iterator[WarcRecord | Damage]:
    while True:
        window.skip_blank()
        if not window.more():
            return
        window.more(_LINE_BYTES)
        line = _LINE.match(window.data, window.position)
        if line is None:
            broken = _resync(window, "no ARC header")
        else:
            found = _body(window, line)
            if isinstance(found, WarcRecord):
                yield found
                continue
            broken = _resync(window, found)
        if window.damage is not None and not window.more():
            window.torn = broken
            return
        yield broken


def _body(window: Window, line: re.Match[bytes]) -> WarcRecord | str:
    """The record whose line is at the position; or the reason that there is none, and the position stays."""
    offset, size, length = window.offset, line.end() - line.start(), int(line["length"])
    url = line["url"].decode("utf-8", "replace")
    time = line["time"].decode().ljust(14, "0")
    headers = {
        "warc-type": "warcinfo" if url.startswith("filedesc:") else "response",
        "warc-target-uri": url,
        "warc-date": f"{time[:4]}-{time[4:6]}-{time[6:8]}T{time[8:10]}:{time[10:12]}:{time[12:14]}Z",
        "content-type": "application/http" if url[:4].lower() == "http" else line["type"].decode("latin-1"),
        "content-length": str(length),
    }
    if length > MAX_RECORD_BYTES:
        return "record too long"
    if not window.more(size + length):
        return "truncated record"
    window.more(size + length + _LINE_BYTES)
    after = window.data[window.position + size + length :][:_LINE_BYTES]
    rest = after.lstrip(b"\r\n")
    if (
        rest
        and after[:1] not in b"\r\n"
        and not _LINE.match(rest)
        and _NEXT.search(window.data, window.position + size)
    ):
        return "wrong length"
    window.take(size)
    return WarcRecord(offset, headers, window.take(length))


def _resync(window: Window, reason: str) -> Damage:
    """Pass what cannot be read, up to the next record or the end."""
    offset = window.offset
    data = b""
    skip = 1
    while (found := _NEXT.search(window.data, window.position + skip)) is None:
        spare = len(window.data) - window.position - _LINE_BYTES
        if spare > _STEP:
            data = (data + window.take(spare))[:QUARANTINE_BYTES]
            skip = 0
        if not window.read_on():
            break
    length = (found.start() if found else len(window.data)) - window.position
    data = (data + window.take(length))[:QUARANTINE_BYTES]
    return Damage(offset, window.offset - offset, reason, data)
