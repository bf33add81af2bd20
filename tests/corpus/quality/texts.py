"""Texts that rules stumble over: every blank, marks, characters of all sizes, repeated parts."""

from __future__ import annotations

from hypothesis import strategies as st

BLANKS = "".join(char for char in map(chr, range(0x110000)) if char.isspace())
ODD = "\0\x01\x7f\u0301\u200b\ufeff\ufffd\ufffe\U0010ffffÅéİKſßΣςǅ²½Ⅷ٣९漢字かなไทย😀"
MARKS = "#.…-•*–!?\"')]({[edit]0123456789"
CHARACTERS = BLANKS + ODD + MARKS + "abcABC\n\n\n\n      "
PIECES = ("...", "…", "[edit]", "[citation needed]", "[12]", "[٣]", "[]", "lorem ipsum", "Lorem Ipsum", "JavaScript", "{",
          "Terms of Use", "privacy policy", "cooKie policy", "uses cookies", "use of cookies", "use cookies", "\n", "\n\n",
          "\n \n", "\r\n", "\u2028", ". ", "!\" ", "the", "The", "of", "OF", "word", "longer-than-eight", "longer-than-nine.",
          "a line of five words.", "x" * 20)  # fmt: skip

texts = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"])),
    st.text(st.sampled_from(CHARACTERS), max_size=60),
    st.lists(st.one_of(st.sampled_from(PIECES), st.text(st.sampled_from(CHARACTERS), max_size=4)), max_size=50).map(
        "".join
    ),
    st.lists(st.sampled_from(["a", "bb", "longer-than-eight", "é", "\n", "\n\n"]), max_size=80).map(" ".join),
)
"""Any text at all, odd characters, odd pieces, and few words over and over."""
