"""HTTP responses as crawlers store them: status, headers, and the body without its transfer and content codings."""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass

import brotli
import zstandard

MAX_BODY_BYTES = 64 * 1024 * 1024
"""More than this no body is decoded to."""
_STATUS = re.compile(rb"\s*HTTP/\d(?:\.\d)?[ \t]+(\d{3})[^\n]*\n")
_BLANK = re.compile(rb"\r?\n[ \t]*\r?\n")
_CHUNK = re.compile(rb"[ \t]*([0-9A-Fa-f]{1,8})[ \t]*(?:;[^\r\n]*)?\r?\n")
_STEP = 1 << 20


class BadBody(Exception):
    """The body cannot be decoded; the message is the short reason."""


@dataclass(frozen=True, slots=True)
class Response:
    """A response: header names are lower-cased, of equal ones the first counts; `body` is as stored."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def type(self) -> str:
        """The media type, lower-cased, without parameters; empty where none is stated."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    @property
    def charset(self) -> str:
        """The charset of the Content-Type header."""
        found = re.search(r"charset\s*=\s*[\"']?([\w.:-]+)", self.headers.get("content-type", ""), re.IGNORECASE)
        return found[1] if found else ""

    def content(self) -> bytes:
        """The body without chunks and compression. Codings that are named and not there (crawlers remove them and keep
        the header) are passed over. Raises BadBody where one is damaged or gives more than MAX_BODY_BYTES."""
        body = self.body
        if "chunked" in self.headers.get("transfer-encoding", "").lower():
            body = dechunked(body)
        for coding in reversed(self.headers.get("content-encoding", "").lower().split(",")):
            body = _decoded(body, coding.strip())
        return body


def parse_response(data: bytes) -> Response | None:
    """The response at the beginning of `data`; None if there is no status line."""
    status = _STATUS.match(data)
    if status is None:
        return None
    blank = _BLANK.search(data, status.end() - 2)
    end = blank.end() if blank else len(data)
    headers: dict[str, str] = {}
    for line in data[status.end() : end].decode("latin-1").splitlines():
        name, colon, value = line.partition(":")
        if colon:
            headers.setdefault(name.strip().lower(), value.strip())
    return Response(int(status[1]), headers, data[end:])


def dechunked(body: bytes) -> bytes:
    """The chunks of a body joined; what does not look like chunks is as it is, and so is what follows the last good one."""
    parts: list[bytes] = []
    at = 0
    while chunk := _CHUNK.match(body, at):
        size = int(chunk[1], 16)
        if size == 0:
            return b"".join(parts)
        parts.append(body[chunk.end() : chunk.end() + size])
        at = chunk.end() + size
        at += 2 if body[at : at + 2] == b"\r\n" else body[at : at + 1] == b"\n"
    return b"".join([*parts, body[at:]])


def _decoded(body: bytes, coding: str) -> bytes:
    if coding in ("gzip", "x-gzip") and body[:2] == b"\x1f\x8b":
        return _inflated(body, zlib.MAX_WBITS | 16)
    if coding == "deflate" and body:
        wrapped = body[0] & 15 == 8 and (body[0] << 8 | body[1 if len(body) > 1 else 0]) % 31 == 0
        try:
            return _inflated(body, zlib.MAX_WBITS if wrapped else -zlib.MAX_WBITS)
        except BadBody as error:
            if "too large" in str(error):
                raise
            return body
    if coding == "br":
        return _brotli(body)
    if coding == "zstd" and body[:4] == b"\x28\xb5\x2f\xfd":
        try:
            decoder = zstandard.ZstdDecompressor(max_window_size=1 << 27).decompressobj()
            return _collected(body, decoder.decompress)
        except zstandard.ZstdError:
            raise BadBody("corrupt zstd body") from None
    return body


def _inflated(body: bytes, bits: int) -> bytes:
    """What can be decompressed; a cut body gives what there is of it."""
    decoder = zlib.decompressobj(bits)
    try:
        data = decoder.decompress(body, MAX_BODY_BYTES + 1)
    except zlib.error:
        raise BadBody("corrupt gzip body") from None
    if len(data) > MAX_BODY_BYTES:
        raise BadBody("body too large")
    return data


def _brotli(body: bytes) -> bytes:
    decoder = brotli.Decompressor()
    try:
        return _collected(body, decoder.process)
    except brotli.error:
        if _is_text(body):
            return body
        raise BadBody("corrupt br body") from None


def _collected(body: bytes, decompress: object) -> bytes:
    assert callable(decompress)
    parts: list[bytes] = []
    size = 0
    for start in range(0, len(body), 4096):
        parts.append(decompress(body[start : start + 4096]))
        size += len(parts[-1])
        if size > MAX_BODY_BYTES:
            raise BadBody("body too large")
    return b"".join(parts)


def _is_text(body: bytes) -> bool:
    return b"<" in body[:1024] and b"\0" not in body[:1024]
