"""Lines without blanks around them: the kernels against their obvious twin."""

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.formats.stripped_lines import stripped_lines

BLANKS = "".join(chr(code) for code in range(sys.maxunicode + 1) if chr(code).isspace())
NEAR = "\u0084\u00a1\u1681\u1fff\u200b\u2027\u202a\u2030\u205e\u2060\u2fff\u3001\u0008\u000e\u001b\u0021"


def twin(data: bytes) -> str:
    text = data.decode("utf-8").replace("\r\n", "\n").replace("\r", "\n")
    return "\n".join(line.strip() for line in text.split("\n"))


@given(st.text(alphabet=st.sampled_from("ab\r\n" + BLANKS + NEAR)) | st.text())
def test_lines_are_stripped_as_strings_are(text: str) -> None:
    assert stripped_lines(text.encode()) == twin(text.encode())


@pytest.mark.parametrize("blank", BLANKS + NEAR)
def test_every_blank_at_every_place(blank: str) -> None:
    for text in (
        blank,
        f"a{blank}",
        f"{blank}a",
        f"a{blank}b",
        f"a\n{blank}\nb",
        f"aaaaaaa{blank}\n{blank}漢",
        f"漢{blank}",
    ):
        assert stripped_lines(text.encode()) == twin(text.encode())


@given(
    st.binary() | st.lists(st.sampled_from([b"\xc2", b"\x85", b"\xe2", b"\x80", b"\xe3", b"a", b"\n"])).map(b"".join)
)
def test_what_is_no_utf_8_is_refused(data: bytes) -> None:
    try:
        wanted = twin(data)
    except UnicodeDecodeError:
        with pytest.raises(UnicodeDecodeError):
            stripped_lines(data)
    else:
        assert stripped_lines(data) == wanted


def test_lines_that_need_nothing_and_one_that_does() -> None:
    page = "".join(f"line {number}, of a few words\n" for number in range(40))
    assert stripped_lines(page.encode()) == page
    assert stripped_lines((page + " \tlast\r\nend").encode()) == page + "last\nend"
