"""Damage as files have it, by a seed: bytes flipped, lost, doubled, zeroed, markup in the wrong place."""

from __future__ import annotations

import random

MARKUP = (
    b"<page>", b"</page>", b"<text>", b"</text", b"<!--", b"]]>", b"<![CDATA[", b"&#0;", b"&lt;ref&gt;", b"{{", b"}}", b"{{{",
    b"[[", b"]]", b"{|", b"\n|}", b"|", b"\n==", b"'''", b"\x00", b"\xff\xfe", b"\xc3", b"<table>", b"</table>", b"*** END OF",
    b"&amp;amp;lt;", b"__NOTOC__", b"\r", b"-{", b"&lt;math&gt;", b"&lt;nowiki&gt;", b"\xe2\x80", b'{"', b'"}', b"\n", b"</html>",
)  # fmt: skip


def mutated(data: bytes, source: random.Random, begin: int, end: int) -> bytes:
    """A copy with one to four damages within bytes `begin` to `end`."""
    middle = bytearray(data[begin:end])
    for _ in range(source.randint(1, 4)):
        at = source.randrange(len(middle) + 1)
        size = source.choice((1, 2, 7, 60, 700))
        kind = source.randrange(6)
        if kind == 0 and at < len(middle):
            middle[at] ^= 1 << source.randrange(8)
        elif kind == 1:
            del middle[at : at + size]
        elif kind == 2:
            middle[at:at] = middle[at : at + size]
        elif kind == 3:
            middle[at : at + size] = bytes(len(middle[at : at + size]))
        else:
            middle[at:at] = source.choice(MARKUP) * source.choice((1, 1, 2, 50))
    return data[:begin] + bytes(middle) + data[end:]
