"""Planning: hand-computed cases, the papers' tables, and what holds for every mixture."""

from __future__ import annotations

import math
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.errors import UsageError
from corpus.mixture.plan.counts import load_counts
from corpus.mixture.plan.plan import Plan, Request, plan_mixture
from corpus.mixture.plan.table import bytes_text, count_text, render, render_padding
from corpus.mixture.plan.weights import load_mixture, parse_mixture

LLAMA = {
    "commoncrawl": (67.0, 1.10, 938),
    "c4": (15.0, 1.06, 210),
    "github": (4.5, 0.64, 63),
    "wikipedia": (4.5, 2.45, 63),
    "books": (4.5, 2.23, 63),
    "arxiv": (2.5, 1.06, 35),
    "stackexchange": (2.0, 1.03, 28),
}
"""LLaMA (arXiv 2302.13971), Table 1: sampling proportion, epochs at 1.4 T tokens; and proportion x 1.4 T in
billions."""

REDPAJAMA = {
    "commoncrawl": 878, "c4": 175, "github": 59, "books": 26, "arxiv": 28, "wikipedia": 24, "stackexchange": 20,
}  # fmt: skip
"""RedPajama v1 (README): billions of tokens."""


def plan(weights: Any, unique: dict[str, int], **request: Any) -> Plan:
    return plan_mixture(parse_mixture(weights, "weights"), unique, Request(**request))


def llama() -> dict[str, dict[str, float]]:
    return {domain: {"share": share, "epochs": epochs} for domain, (share, epochs, _) in LLAMA.items()}


def llama_unique() -> dict[str, int]:
    """The unique tokens that the table implies: sampled tokens / epochs."""
    return {domain: round(sampled * 10**9 / epochs) for domain, (_, epochs, sampled) in LLAMA.items()}


def by_name(table: Plan) -> dict[str, Any]:
    return {domain.domain: domain for domain in table.domains}


@pytest.mark.parametrize("request_", [{}, {"tokens": 14 * 10**11}, {"tokens": 14 * 10**11, "basis": "epochs"}])
def test_llama_table_1(request_: dict[str, Any]) -> None:
    table = plan(llama(), llama_unique(), **request_)
    for domain, (share, epochs, sampled) in LLAMA.items():
        line = by_name(table)[domain]
        assert abs(float(line.realised_epochs) - epochs) < 1e-6
        assert abs(float(line.realised_share) * 100 - share) < 1e-6
        assert abs(line.sampled - sampled * 10**9) <= 2048
    assert abs(table.rows - 14 * 10**11 // 2048) <= 1
    assert by_name(table)["wikipedia"].epochs_begun == 3
    assert by_name(table)["github"].epochs_begun == 1


def test_llama_at_one_trillion_tokens() -> None:
    table = by_name(plan(llama(), llama_unique(), tokens=10**12))
    expected = {"commoncrawl": 0.79, "c4": 0.76, "github": 0.46, "wikipedia": 1.75, "books": 1.59, "arxiv": 0.76}
    assert {domain: round(float(table[domain].realised_epochs), 2) for domain in expected} == expected


def test_redpajama_counts_under_llama_shares() -> None:
    unique = {domain: count * 10**9 for domain, count in REDPAJAMA.items()}
    with pytest.raises(UsageError, match=r"'github' would be read 1\.068 times, more than its max_epochs 1"):
        plan(llama(), unique, tokens=14 * 10**11)
    table = by_name(plan(llama(), unique, tokens=14 * 10**11, exhausted="repeat"))
    for domain, (share, _, _) in LLAMA.items():
        epochs = share / 100 * 1400 / REDPAJAMA[domain]
        assert abs(float(table[domain].realised_epochs) - epochs) < 1e-6


def test_palm_reads_nothing_twice() -> None:
    shares = {"conversations": 50, "webpages": 27, "books": 13, "github": 5, "wikipedia": 4, "news": 1}
    weights = {domain: {"share": share, "epochs": 1} for domain, share in shares.items()}
    table = plan(weights, {domain: share * 7_800_000_000 for domain, share in shares.items()})
    assert all(domain.epochs_begun == 1 and domain.stream <= domain.unique for domain in table.domains)
    assert all(0 < domain.tail <= 2048 for domain in table.domains)


def test_largest_remainder_by_hand() -> None:
    # quotas of 10 rows of 10 tokens: 5.5, 2.7, 1.8; whole rows 5, 2, 1; the two left go to .8 and .7
    unique = {"a": 1000, "b": 1000, "c": 1000}
    table = by_name(plan({"a": 0.55, "b": 0.27, "c": 0.18}, unique, tokens=100, sequence_length=10))
    assert [table[name].rows for name in "abc"] == [5, 3, 2]
    # equal remainders: the earlier name
    table = by_name(plan({"b": 0.3, "a": 0.3, "c": 0.4}, unique, tokens=50, sequence_length=10))
    assert [table[name].rows for name in "abc"] == [2, 1, 2]


def test_fractional_epochs_by_hand() -> None:
    # 2.45 x 1000 = 2450 tokens: 244 rows of 10 need 2441, and 9 are left; 550 of the third epoch are beyond
    (line,) = plan({"a": {"epochs": 2.45}}, {"a": 1000}, sequence_length=10).domains
    assert (line.planned_tokens, line.rows, line.epochs_begun, line.stream) == (2450, 245, 3, 2451)
    assert (line.sampled, line.tail, line.beyond) == (2450, 1, 549)


def test_rows_never_begin_one_more_epoch() -> None:
    # 1000 tokens give 100 x 10 targets only with a 1001st: the last row is not there
    (line,) = plan({"a": {"epochs": 1}}, {"a": 1000}, sequence_length=10).domains
    assert (line.rows, line.epochs_begun, line.stream, line.tail, line.beyond) == (99, 1, 1000, 10, 0)
    (line,) = plan({"a": {"epochs": 1}}, {"a": 1001}, sequence_length=10).domains
    assert (line.rows, line.tail) == (100, 1)


def test_max_epochs_error_rescale_repeat() -> None:
    weights = {
        "a": {"share": 0.5, "max_epochs": 2},
        "b": {"share": 0.25, "max_epochs": 4},
        "c": {"share": 0.25, "max_epochs": 4},
    }
    unique = {"a": 1000, "b": 1000, "c": 2000}
    with pytest.raises(UsageError, match=r"'a' would be read 4 times, more than its max_epochs 2; raise it"):
        plan(weights, unique, tokens=8000, sequence_length=10)
    repeated = by_name(plan(weights, unique, tokens=8000, sequence_length=10, exhausted="repeat"))
    assert [repeated[name].planned_tokens for name in "abc"] == [4000, 2000, 2000]
    # a stays at 2000; the 6000 left go to b and c in halves
    rescaled = plan(weights, unique, tokens=8000, sequence_length=10, exhausted="rescale")
    assert [domain.planned_tokens for domain in rescaled.domains] == [2000, 3000, 3000]
    assert [domain.rows for domain in rescaled.domains] == [199, 300, 300]
    assert rescaled.messages[0] == "At max_epochs, so that the other domains take their tokens: a."
    # b exceeds its own limit once it takes a's tokens: all the rest is c's
    rescaled = plan(weights, unique, tokens=12_000, sequence_length=10, exhausted="rescale")
    assert [domain.planned_tokens for domain in rescaled.domains] == [2000, 4000, 6000]
    with pytest.raises(UsageError, match="only 14,000 tokens within their max_epochs, fewer than the 20,000 asked for"):
        plan(weights, unique, tokens=20_000, sequence_length=10, exhausted="rescale")


def test_epochs_at_their_maximum_are_no_error() -> None:
    (line,) = plan({"a": {"epochs": 2.45, "max_epochs": 2.45}}, {"a": 999}, sequence_length=10).domains
    assert line.stream <= math.floor(Fraction(245, 100) * 999)


def test_shares_without_a_budget_take_the_most_there_is() -> None:
    table = by_name(plan({"a": 0.5, "b": 0.5}, {"a": 1000, "b": 5000}, sequence_length=10))
    assert [table[name].planned_tokens for name in "ab"] == [1000, 1000]


def test_missing_domains() -> None:
    weights = {"a": {"share": 50, "epochs": 2}, "b": {"share": 30, "epochs": 1}, "c": {"share": 20, "epochs": 1}}
    unique = {"a": 1000, "b": 3000, "c": 0}
    with pytest.raises(UsageError, match="The domain 'c' of the mixture has no tokens; give some, or --allow-missing"):
        plan(weights, unique, sequence_length=10)
    by_epochs = plan(weights, unique, sequence_length=10, allow_missing=True)
    assert [domain.planned_tokens for domain in by_epochs.domains] == [2000, 3000]
    assert by_epochs.messages == ("Without tokens and left out: c.",)
    by_share = plan(weights, unique, sequence_length=10, allow_missing=True, tokens=1600)
    assert [domain.planned_tokens for domain in by_share.domains] == [1000, 600]


@pytest.mark.parametrize(
    ("weights", "unique", "request_", "message"),
    [
        ({"books": 1}, {"book": 9999}, {}, "no weight for the domain 'book' of the tokens; did you mean 'books'?"),
        (
            {"web": {"share": 0.5}, "books": {"share": 0.5}},
            {"crawl": 9999, "books": 9},
            {},
            "no weight for the domain 'crawl' of the tokens; if it is web, of which there are no tokens, use one name",
        ),
        ({"a": 1}, {"a": 9, "b": 9}, {}, "no weight for the domain 'b' of the tokens; give it one, or leave"),
        ({"a": 1}, {"a": 0}, {"allow_missing": True}, "None of the domains of the mixture has tokens"),
        ({"a": {"epochs": 1}}, {"a": 2048}, {}, "'a' has 2,048 tokens, too few for one sequence of 2,049"),
        ({"a": 1}, {"a": 99_999}, {"tokens": 100}, "asks for 100 tokens, too few for one sequence of 2,049"),
        ({"a": 1}, {"a": 99_999}, {"basis": "epochs"}, "'a' has no epochs; give them, or mix with --basis share"),
        (
            {"a": {"epochs": 1}},
            {"a": 9999},
            {"basis": "share"},
            "'a' has no share; give it, or mix with --basis epochs",
        ),
        ({"a": {"epochs": 0}}, {"a": 9999}, {}, "All epochs of the mixture are 0"),
        ({"a": 0, "b": 1}, {"a": 9999}, {"allow_missing": True}, "All shares of the domains with tokens are 0"),
        (
            {"a": 1},
            {"a": 9},
            {"tokens": 10**7, "exhausted": "repeat"},
            "more than the 65,535 epochs that a packed set can number",
        ),
    ],
)
def test_what_cannot_be_planned(weights: Any, unique: dict[str, int], request_: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        plan(weights, unique, **request_)
    assert message in caught.value.message
    assert "\n" not in caught.value.message


def test_a_domain_too_small_for_its_share_is_said() -> None:
    table = plan({"a": 0.0001, "b": 0.9999}, {"a": 9999, "b": 99_999}, tokens=50_000)
    assert table.messages == ("Too small a share for a single sequence: a.",)
    assert by_name(table)["a"].rows == 0


EPOCHS = st.fractions(min_value=Fraction(1, 50), max_value=5, max_denominator=100)


@given(
    st.lists(st.tuples(st.integers(200, 5000), EPOCHS), min_size=1, max_size=6),
    st.integers(1, 100),
    st.sampled_from(["epochs", "share"]),
)
def test_every_plan_adds_up(sizes: list[tuple[int, Fraction]], length: int, basis: str) -> None:
    unique = {f"d{number}": size for number, (size, _) in enumerate(sizes)}
    share = Fraction(1, len(sizes))
    weights = {f"d{n}": {"share": str(float(share)), "epochs": str(float(e))} for n, (_, e) in enumerate(sizes)}
    tokens = None if basis == "epochs" else 100 * length
    try:
        table = plan(weights, unique, sequence_length=length, tokens=tokens, exhausted="repeat")
    except UsageError as error:
        assert "too few for one sequence" in error.message
        return
    assert sum(domain.planned_share for domain in table.domains) == 1
    assert sum(domain.realised_share for domain in table.domains) == 1
    for domain in table.domains:
        assert domain.unique * domain.epochs_begun == domain.sampled + domain.tail + domain.beyond
        assert domain.sampled == domain.rows * length
        assert domain.tail >= (1 if domain.rows else 0)
        assert domain.beyond >= 0
        if basis == "epochs":
            assert domain.epochs_begun <= max(1, math.ceil(domain.planned_epochs))
        assert domain.rows <= domain.planned_tokens // length + 1
    budget = sum(domain.planned_epochs * domain.unique for domain in table.domains)
    assert table.rows <= budget / length


def test_the_table_as_text() -> None:
    lines = render(plan(llama(), llama_unique())).splitlines()
    assert lines[1].split() == [
        "domain", *["given", "planned", "realised"] * 2, "unique", "sampled", "sequences", "bytes"
    ]  # fmt: skip
    wikipedia = next(line for line in lines if line.startswith("wikipedia"))
    assert wikipedia.split()[:7] == ["wikipedia", "4.50", "4.50", "4.50", "2.45", "2.45", "2.45"]
    assert "25.71 B 63.00 B" in wikipedia
    assert len({len(line) for line in lines[1:]}) == 1
    assert max(map(len, lines)) <= 100


def test_columns_that_the_weights_do_not_give_are_left_out() -> None:
    lines = render(plan({"a": 0.5, "b": 0.5}, {"a": 9999, "b": 9999})).splitlines()
    assert lines[1].split().count("given") == 1
    (_, row, *_) = (line.split() for line in lines[2:])
    assert row == ["a", "50.00", "50.00", "50.00", "1.00", "0.82", "9,999", "8,192", "4", "16.39", "kB"]


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0"),
        (9_999_999, "9,999,999"),
        (12_345_678, "12.35 M"),
        (999_990_000, "1.000 B"),
        (14 * 10**11, "1.400 T"),
        (938 * 10**9, "938.0 B"),
    ],
)
def test_counts_for_reading(number: int, text: str) -> None:
    assert count_text(number) == text


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (999_990, "1.000 MB"),
        (999_940, "999.9 kB"),
        (16_392, "16.39 kB"),
        (2_801_367_187_500, "2.801 TB"),
    ],
)
def test_bytes_for_reading(number: int, text: str) -> None:
    assert bytes_text(number) == text


def test_best_fit_plans_rows_without_padding() -> None:
    """2450 tokens of whole documents fill at least 223 rows of 11, whose first tokens are no targets."""
    (line,) = plan({"a": {"epochs": 2.45}}, {"a": 1000}, sequence_length=10, best_fit=True).domains
    assert (line.planned_tokens, line.rows, line.epochs_begun, line.stream) == (2450, 223, 3, 2450)
    assert (line.sampled, line.tail, line.beyond, line.padding) == (2227, 223, 550, 0)
    table = plan({"a": {"epochs": 1}}, {"a": 1000}, sequence_length=10, best_fit=True)
    (line,) = table.fitted({"a": (95, 990)}).domains
    assert (line.rows, line.sampled, line.tail, line.beyond, line.padding) == (95, 895, 95, 10, 55)
    assert line.ledger(0) == {
        "unique": 1000, "epochs_begun": 1, "packed": 895, "tail": 95, "cut": 0, "unused": 10, "padding": 55
    }  # fmt: skip
    assert render_padding(table.fitted({"a": (95, 990)})) == "Padding is 5.263 % of the sequences (a 5.263 %)."


def packaged_plan(name: str, unique: dict[str, int], **request: Any) -> Plan:
    return plan_mixture(load_mixture(name), unique, Request(**request))


def test_redpajama_reads_everything_once() -> None:
    unique = {domain: count * 10**9 for domain, count in REDPAJAMA.items()}
    table = packaged_plan("redpajama", unique)
    for line in table.domains:
        assert abs(float(line.realised_share) - REDPAJAMA[line.domain] / 1210) < 1e-6
        assert line.epochs_begun == 1
    assert table.messages == ("The shares of the mixture sum to 1210 and were divided by that.",)


def test_palm_as_packaged() -> None:
    """780 B tokens where every component has more than its share: nothing twice; one token too few is an error."""
    shares = {
        "conversations": 50, "webpages": 27, "books": 13, "github": 5, "wikipedia": 4, "news": 1
    }  # fmt: skip
    unique = {domain: share * 7_800_000_000 + 1 for domain, share in shares.items()}
    table = packaged_plan("palm", unique, tokens=780 * 10**9)
    for line in table.domains:
        assert abs(line.sampled - shares[line.domain] * 7_800_000_000) <= 2048
        assert line.epochs_begun == 1
    with pytest.raises(
        UsageError,
        match=r"'news' would give 7,800,000,000 tokens, more than the 7,799,999,999 of its max_epochs 1; raise it",
    ):
        packaged_plan("palm", unique | {"news": 7_799_999_999}, tokens=780 * 10**9)


def test_chinchilla_epochs_follow_from_its_shares() -> None:
    """Table A1 agrees with itself: 45 % of 1.4 T tokens in 1.24 epochs are 508 B unique tokens, and so on."""
    weights = {weight.domain: weight for weight in load_mixture("chinchilla").weights}
    unique = {name: round(w.share * 14 * 10**11 / w.epochs) for name, w in weights.items() if w.share and w.epochs}
    assert round(unique["massiveweb"] / 1e9) == 508
    table = by_name(packaged_plan("chinchilla", unique, tokens=14 * 10**11))
    assert {name: round(float(line.realised_epochs), 2) for name, line in table.items()} == {
        "massiveweb": 1.24, "books": 0.75, "c4": 0.77, "news": 0.21, "github": 0.13, "wikipedia": 3.4
    }  # fmt: skip
    assert table["wikipedia"].epochs_begun == 4


def test_galactica_is_divided_by_its_rounded_sum() -> None:
    unique = {"papers": 88, "code": 7, "reference_material": 7, "knowledge_bases": 2, "commoncrawl": 1}
    counts = {domain: count * 10**9 for domain, count in unique.items()} | {"prompts": 4 * 10**8, "other": 2 * 10**8}
    table = packaged_plan("galactica", counts)
    assert abs(sum(line.sampled for line in table.domains) / (4.25 * 105.6e9) - 1) < 1e-6
    assert table.messages == ("The shares of the mixture sum to 99.9 and were divided by that.",)


@pytest.mark.parametrize("name", ["palm", "chinchilla", "gopher", "lamda", "galactica", "redpajama", "llama"])
def test_packaged_mixtures_have_all_of_their_tokens(name: str) -> None:
    weights = load_mixture(name).weights
    assert sum(weight.share for weight in weights if weight.share is not None) == 1
    table = packaged_plan(name, {weight.domain: 10**12 for weight in weights}, tokens=10**10)
    assert abs(table.rows - 10**10 // 2048) <= 1


def write(tmp_path: Path, text: str) -> str:
    (tmp_path / "counts.yaml").write_text(text, encoding="utf-8")
    return str(tmp_path / "counts.yaml")


def test_counts_with_units(tmp_path: Path) -> None:
    text = "a: 1.4T\nb: 59B\nc: 0.02 g\nd: 24_000_000\ne: {tokens: 7, documents: 2K}\nf: 1.5e3\ng: 0\nh: '1,000'"
    tokens, documents = load_counts(write(tmp_path, text))
    assert tokens == {
        "a": 14 * 10**11, "b": 59 * 10**9, "c": 2 * 10**7, "d": 24 * 10**6, "e": 7, "f": 1500, "g": 0, "h": 1000
    }  # fmt: skip
    assert documents == {"e": 2000}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: -5", "tokens of domain 'a' is -5; give a whole number from 0 up"),
        ("a: .nan", "tokens of domain 'a' is nan"),
        ("a: .inf", "tokens of domain 'a' is inf"),
        ("a: 0.5", "tokens of domain 'a' is 0.5"),
        ("a: 1.4X", "tokens of domain 'a' is '1.4X'"),
        ("a: true", "tokens of domain 'a' is True"),
        ("a: {token: 5}", "unknown key 'token'; did you mean 'tokens'?"),
        ("a: {documents: 5}", "domain 'a' has no tokens"),
        ("a: {tokens: 5, documents: many}", "documents of domain 'a' is 'many'"),
        ("a: 9e30", "tokens of domain 'a' is '9e30'"),
        ("a: 99999999T", "tokens of domain 'a' is '99999999T'"),
        ("3: 5", "3 is no domain name"),
        ("[a]", "holds no counts"),
        ("", "holds no counts"),
        ("a: 1\na: 2", "the key 'a' is given twice"),
    ],
)
def test_bad_counts_get_one_sentence(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        load_counts(write(tmp_path, text))
    assert message in caught.value.message
    assert "counts.yaml" in caught.value.message
    assert "\n" not in caught.value.message


def test_a_counts_file_has_to_be_there() -> None:
    with pytest.raises(UsageError, match=r"There is no counts file palm; give"):
        load_counts("palm")


def test_shares_that_are_far_from_those_given_are_named_with_what_gives_them() -> None:
    weights = {
        "web": {"share": 80, "epochs": 1},
        "wiki": {"share": 15, "epochs": 2},
        "books": {"share": 5, "epochs": 2},
    }
    table = plan(weights, {"web": 10**6, "wiki": 10**6, "books": 10**5})
    (message,) = table.messages
    assert "web 31.26% (given 80.00%)" in message and "wiki 62.52% (given 15.00%)" in message and "books" not in message
    assert message.endswith("--basis share gives these.")
    by_share = plan(weights, {"web": 10**6, "wiki": 10**6, "books": 10**5}, basis="share")
    assert by_share.messages == ()
    rescaled = plan(weights, {"web": 10**5, "wiki": 10**6, "books": 10**6}, tokens=10**6, exhausted="rescale")
    assert "--exhausted repeat gives these" in rescaled.messages[-1]
    # a domain without tokens is no reason: shares are those of the domains that are there
    there = plan({"a": 10, "b": 10, "gone": 80}, {"a": 10**5, "b": 10**5}, allow_missing=True)
    assert not any("factor of two" in message for message in there.messages)
