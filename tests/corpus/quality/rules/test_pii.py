"""What is masked and what is not."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.quality.rules.pii import Pii
from tests.corpus.quality.batches import batch_of
from tests.corpus.quality.texts import texts

SHORT = Pii(email_mask="E", ip_mask="I", phone_mask="P")


def masked(text: str, rule: Pii = SHORT) -> tuple[str, tuple[int, int, int]]:
    out = rule.apply(batch_of([text]))
    left = out.columns["text"][0].as_py() if "text" in out.columns else text
    emails, ips, phones = (out.columns[f"pii_{kind}"][0].as_py() for kind in ("emails", "ips", "phones"))
    return left, (emails, ips, phones)


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("Write to john.doe+x@mail.example.co.uk.", "Write to E."),
        ("<a@b.de>, (a@b-c.de) a@b.de@c.de", "<E>, (E) E@c.de"),
        ("x@localhost a@b.c1 @name no@ @ a.@b.de a@-b.de", None),
        ("é@b.de jösé@b.de", None),
        ("host 8.8.8.8, and 93.184.216.34:80", "host I, and I:80"),
        ("version 1.2.3.4 released; Section 8.8.8.8, v1.2.3.4", None),
        ("section 8.8.8.8.1 and 1.8.8.8.8 and 8.8.8 and 8.8.8.256 and 08.8.8.8", None),
        ("10.0.0.1 127.0.0.1 192.168.1.1 172.16.0.9 169.254.1.1 100.64.0.1 255.255.255.255", None),
        ("2001:db8::1 and 2001:0db8:85a3:0000:0000:8a2e:0370:7334", "I and I"),
        ("at 12:30:45, std::vector, a::b, 1::2, C0:FF:EE", None),
        ("+49 (30) 1234-5678 or +442079460958", "P or P"),
        ("(212) 555-0123, 212-555-0123. 212.555.0123", "P, P. P"),
        ("1212-555-0123 212-555-01234 212 555 0123 +12 x 2024-11-27 +1234567", None),
    ],
)
def test_what_is_masked(text: str, left: str | None) -> None:
    assert masked(text)[0] == (text if left is None else left)


def test_counts_masks_and_private_addresses() -> None:
    text = "a@b.de, 8.8.8.8, 10.0.0.1, +49 30 123456"
    assert masked(text, Pii())[0] == "|||EMAIL_ADDRESS|||, |||IP_ADDRESS|||, 10.0.0.1, |||PHONE_NUMBER|||"
    assert masked(text) == ("E, I, 10.0.0.1, P", (1, 1, 1))
    assert masked(text, Pii(ip_mask="", private_ips=True))[1] == (1, 2, 1)
    assert masked(text, Pii(email_mask="", ip_mask="", phone_mask=""))[0] == ", , 10.0.0.1, "
    assert "text" not in SHORT.apply(batch_of(["nothing", ""])).columns


@given(st.lists(st.one_of(texts, st.text(st.sampled_from("a1.@:+()- é[")))))
def test_the_rest_of_a_text_stays(values: list[str]) -> None:
    """What is left, with the masks as gaps, is the text; and one text says nothing about the next."""
    out = Pii(email_mask="\ue000", ip_mask="\ue000", phone_mask="\ue000").apply(batch_of(values))
    left = out.columns["text"].to_pylist() if "text" in out.columns else values
    for index, (text, found) in enumerate(zip(values, left, strict=True)):
        assert re.fullmatch(".+?".join(map(re.escape, found.split("\ue000"))), text, re.DOTALL)
        numbers = (out.columns[name][index].as_py() for name in ("pii_emails", "pii_ips", "pii_phones"))
        assert sum(numbers) == found.count("\ue000")


@given(
    st.lists(st.sampled_from(["a@b.de", "john.doe@example.com", "8.8.8.8", "93.184.216.34", "2001:db8::7"]), min_size=1)
)
def test_what_stands_alone_is_always_found(values: list[str]) -> None:
    assert masked(" ; ".join(values))[0] == " ; ".join("E" if "@" in value else "I" for value in values)
