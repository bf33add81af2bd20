"""Weights files: every accepted form, and one sentence for everything else."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.errors import UsageError
from corpus.mixture.plan.weights import Mixture, exact, load_mixture, parse_mixture

RECIPE = """
domains: {c4: {input: "*.gz"}}
tokenizer: {preset: llama}
mixture:
  commoncrawl: {share: 67.0, epochs: 1.10}
  c4: {share: 15.0, epochs: 1.06, max_epochs: 4}
  wikipedia: {share: 18.0, epochs: 2.45}
"""


def load(tmp_path: Path, text: str, name: str = "weights.yaml") -> Mixture:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return load_mixture(path)


def test_the_section_of_a_recipe_is_read_exactly(tmp_path: Path) -> None:
    weights = load(tmp_path, RECIPE).weights
    assert [weight.domain for weight in weights] == ["commoncrawl", "c4", "wikipedia"]
    assert [weight.share for weight in weights] == [Fraction(67, 100), Fraction(3, 20), Fraction(9, 50)]
    assert [weight.epochs for weight in weights] == [Fraction(11, 10), Fraction(53, 50), Fraction(49, 20)]
    assert [weight.max_epochs for weight in weights] == [None, Fraction(4), None]


@pytest.mark.parametrize(
    "text",
    [
        "{a: 0.25, b: 0.75}",
        "{a: 25, b: 75}",
        "a: {share: 25}\nb: {share: 75}",
        "mixture: {a: 0.25, b: 0.75}",
        "train: {a: 0.25, b: 0.75}\nvalid: {c: 1.0}\nmodel_name: tiny",
        '{"train_domain_weights": {"a": 0.25, "b": 0.75}, "eval_domain_weights": {"a": 0.5, "b": 0.5}}',
    ],
)
def test_forms_that_mean_the_same(tmp_path: Path, text: str) -> None:
    mixture = load(tmp_path, text)
    assert [(weight.domain, weight.share) for weight in mixture.weights] == [
        ("a", Fraction(1, 4)),
        ("b", Fraction(3, 4)),
    ]
    assert mixture.has_shares
    assert not mixture.has_epochs


def test_foreign_weights_are_divided_by_their_sum(tmp_path: Path) -> None:
    """DoReMi's configuration for RedPajama sums to 1.0075 and RegMix's for DoReMi to 0.81: both projects normalise."""
    doremi = """{"train_domain_weights": {"common_crawl": 0.7316, "c4": 0.1458, "github": 0.0492, "wikipedia": 0.02,
        "book": 0.0216, "arxiv": 0.0233, "stackexchange": 0.016}, "eval_domain_weights": {"common_crawl": 1.0}}"""
    mixture = load(tmp_path, doremi, "rp_baseline.json")
    assert mixture.weights[0].share == Fraction(7316, 10_075)
    assert mixture.note == "The shares of the mixture sum to 1.0075 and were divided by that."
    regmix = "train:\n  train_the_pile_arxiv: 0.3\n  train_the_pile_europarl: 2.9e-06\nvalid: {valid_the_pile_cc: 1.0}"
    mixture = load(tmp_path, regmix, "regmix.yaml")
    assert [weight.domain for weight in mixture.weights] == ["the_pile_arxiv", "the_pile_europarl"]
    assert mixture.weights[1].share == Fraction(29, 3_000_029)
    assert load(tmp_path, "train: {train_a: 0.4, b: 0.6}", "mixed.yaml").weights[0].domain == "train_a"
    assert load(tmp_path, "train: {train_a: 0.4, train_b: 0.6}").note == ""


def test_a_declared_sum(tmp_path: Path) -> None:
    mixture = load(tmp_path, "shares_sum: 99.9\nmixture: {a: 83, b: 16.9}")
    assert mixture.weights[0].share == Fraction(830, 999)
    assert mixture.note == "The shares of the mixture sum to 99.9 and were divided by that."
    assert mixture.as_config() == parse_mixture({"train": {"a": 83, "b": 16.9}}, "x").as_config()


def test_json_with_exponents(tmp_path: Path) -> None:
    mixture = load(tmp_path, '{"train_domain_weights": {"a": 1e-05, "b": 0.99999}}', "doremi.json")
    assert mixture.weights[0].share == Fraction(1, 100_000)
    assert load(tmp_path, "{a: 1e-05, b: 0.99999}").weights[0].share == Fraction(1, 100_000)


def test_a_domain_may_be_called_train(tmp_path: Path) -> None:
    assert load(tmp_path, "train: {share: 1}").weights[0].domain == "train"


def test_shares_within_a_millionth_are_normalised(tmp_path: Path) -> None:
    mixture = load(tmp_path, "{a: 0.3333333, b: 0.6666666}")
    assert sum(weight.share for weight in mixture.weights if weight.share is not None) == 1
    with pytest.raises(UsageError, match=r"the shares sum to 0\.99999, not to 1 or 100"):
        load(tmp_path, "{a: 0.33333, b: 0.66666}")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{a: 0.5, b: 0.4}", "sum to 0.9, not to 1 or 100"),
        ("{a: 1.2, b: -0.2}", "share of domain 'b' is -0.2, less than zero"),
        ("{a: .nan, b: 0.2}", "share of domain 'a' is nan"),
        ("{a: .inf, b: 0.2}", "share of domain 'a' is inf"),
        ("{a: much, b: 0.2}", "share of domain 'a' is 'much'"),
        ('{a: "1e400", b: 0.2}', "share of domain 'a' is '1e400'; give a number from 0 to 1e+18"),
        ("a: {epochs: 1e5000}", "epochs of domain 'a' is '1e5000'; give a number from 0 to 1e+18"),
        ("a: {epochs: 1e99999999}", "epochs of domain 'a' is '1e99999999'; give"),
        ("a: {epochs: 1" + 5000 * "0" + "}", "is not valid"),
        ("a: {epochs: '1" + 50 * "0" + "'}", "epochs of domain 'a' is '1000"),
        ("a: {epochs: 1, max_epochs: 1.1e18}", "max_epochs of domain 'a' is '1.1e18'; give"),
        ("shares_sum: 1e400\nmixture: {a: 83, b: 16.8}", "shares_sum is '1e400'; give what"),
        ("{a: true}", "share of domain 'a' is True"),
        ("a: {shares: 1}", "unknown key 'shares'; did you mean 'share'?"),
        ("a: {max_epochs: 1}", "domain 'a' has neither a share nor epochs"),
        ("a: {epochs: 3, max_epochs: 2}", "epochs 3, more than its max_epochs 2"),
        ("a: {epochs: 3, max_epochs: 0}", "max_epochs of domain 'a' is 0"),
        ("a: {share: 1}\nb: {epochs: 2}", "domain 'b' has no share while others have one"),
        ("a: {share: 0.5, epochs: 1}\nb: 0.5", "domain 'b' has no epochs while others have one"),
        ("a: 0.5\na: 0.5", "the key 'a' is given twice"),
        ("1: 1.0", "1 is no domain name"),
        ("[a, b]", "holds no mixture"),
        ("", "holds no mixture"),
        ("mixture: {}", "holds no domains"),
        ("domains: {a: 1}", "recipe without a section 'mixture'"),
        ("a: [", "is not valid"),
        ("shares_sum: 99.9\nmixture: {a: 83, b: 16.8}", "sum to 99.8, not to the 99.9 of shares_sum (within"),
        ("shares_sum: lots\nmixture: {a: 83, b: 16.8}", "shares_sum is 'lots'; give what the shares sum to"),
        ("shares_sum: 0\nmixture: {a: 83, b: 16.8}", "shares_sum is 0; give what"),
        ("train: {a: 0, b: 0}", "sum to 0, not to 1 or 100"),
    ],
)
def test_bad_files_get_one_sentence(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        load(tmp_path, text)
    assert message in caught.value.message
    assert "weights.yaml" in caught.value.message
    assert "\n" not in caught.value.message


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="neither as a file nor packaged"):
        load_mixture(tmp_path / "none.yaml")
    (tmp_path / "latin.yaml").write_bytes(b"\xff\xfe\xfa")
    with pytest.raises(UsageError, match=r"cannot be read \(it is not UTF-8"):
        load_mixture(tmp_path / "latin.yaml")


@given(st.fractions(min_value=0, max_value=10**9))
def test_exact_text_loses_nothing(number: Fraction) -> None:
    assert Fraction(exact(number)) == number


def test_configuration_is_exact_text() -> None:
    mixture = parse_mixture(
        {"a": {"share": 1, "epochs": 2.45}, "b": {"share": 2.0, "epochs": 1}, "c": {"share": 97, "epochs": 0.045}}, "x"
    )
    assert mixture.as_config() == [
        {"domain": "a", "share": "0.01", "epochs": "2.45"},
        {"domain": "b", "share": "0.02", "epochs": "1"},
        {"domain": "c", "share": "0.97", "epochs": "0.045"},
    ]


def test_packaged_recipes_are_found_by_name() -> None:
    for name in ("llama", "llama.yaml"):
        weights = {weight.domain: weight for weight in load_mixture(Path(name)).weights}
        assert float(weights["wikipedia"].epochs or 0) == 2.45
    with pytest.raises(UsageError, match="did you mean 'llama'"):
        load_mixture(Path("lama.yaml"))
