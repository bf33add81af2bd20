"""The command `mix`: settings, plans, and sentences for what cannot be."""

from __future__ import annotations

import itertools
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from click.testing import CliRunner

from corpus.cli import cli
from corpus.data.dataset import Dataset
from corpus.data.files import checksum
from corpus.data.manifest import Manifest
from corpus.data.verify import verify_dataset
from corpus.engine.runner import run_stage
from corpus.errors import DataError, UsageError
from corpus.mixture.pack.stage import MixConfig, MixStage
from corpus.mixture.plan.weights import parse_mixture
from pipelines.recipes.recipe import load_recipe
from tests.corpus.mixture.mixed import MIXTURE, QUIET, check_set, packed_rows, stage
from tests.corpus.mixture.mixing import write_tokens


@pytest.fixture(autouse=True)
def fast_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are not waited for: what a power cut leaves is no part of these tests."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


@pytest.fixture
def inputs(tmp_path: Path) -> list[Path]:
    generator = np.random.default_rng(0)
    return [
        write_tokens(tmp_path / "in" / "a", "alpha", generator.integers(1, 60, 40).tolist(), shards=3),
        write_tokens(tmp_path / "in" / "b", "beta", generator.integers(1, 400, 10).tolist(), shards=2, first=7000),
        write_tokens(tmp_path / "in" / "c", "gamma", generator.integers(1, 90, 17).tolist(), first=17_000),
        write_tokens(tmp_path / "in" / "d", "alpha", generator.integers(1, 60, 7).tolist(), first=25_000),
    ]


def test_the_name_of_the_weights_decides_nothing(tmp_path: Path, inputs: list[Path]) -> None:
    manifests = []
    for name in ("one.yaml", "two.yaml"):
        (tmp_path / name).write_text("shares_sum: 4\nmixture: {alpha: 2, beta: 1, gamma: 1}")
        config = MixConfig(weights=str(tmp_path / name), sequence_length=16, tokens=1600, exhausted="repeat")
        manifests.append(run_stage(MixStage(tuple(map(str, inputs)), config), tmp_path / f"{name}-out", QUIET))
    assert manifests[0].extra["messages"] == ["The shares of the mixture sum to 4 and were divided by that."]
    assert manifests[0] == manifests[1]
    assert manifests[0].digest == manifests[1].digest


def test_tokens_and_shares(tmp_path: Path, inputs: list[Path]) -> None:
    mixture = {"alpha": 50, "beta": 30, "gamma": 20}
    manifest = run_stage(stage(inputs, mixture, tokens=3200, exhausted="repeat"), tmp_path / "out", QUIET)
    assert {line["domain"]: line["rows"] for line in manifest.extra["domains"]} == {
        "alpha": 100,
        "beta": 60,
        "gamma": 40,
    }
    assert manifest.totals["tokens"] == 3200
    check_set(tmp_path / "out", inputs, 16)


def test_wide_vocabularies(tmp_path: Path) -> None:
    source = write_tokens(tmp_path / "in", "alpha", [30] * 20, vocab_size=256_000, first=70_000)
    run_stage(stage([source], {"alpha": {"epochs": 1}}), tmp_path / "out", QUIET)
    check_set(tmp_path / "out", [source], 16)
    (batch, *_) = Dataset.open(tmp_path / "out").batches(["tokens"])
    assert batch.schema.field("tokens").type.value_type == pa.uint32()


def test_validation_is_read_once_in_stream_order(tmp_path: Path, inputs: list[Path]) -> None:
    made = stage([inputs[1]], None, split="validation")
    manifest = run_stage(made, tmp_path / "out", QUIET)
    assert manifest.extra["split"] == "validation"
    (ledger,) = manifest.extra["ledger"].values()
    assert ledger["epochs_begun"] == 1
    assert ledger["cut"] == ledger["unused"] == 0
    rows = packed_rows(tmp_path / "out")
    assert all(row["tokens"][-1] == after["tokens"][0] for row, after in itertools.pairwise(rows))
    check_set(tmp_path / "out", inputs[1:2], 16)


def test_a_validation_set_too_small_for_a_row(tmp_path: Path) -> None:
    source = write_tokens(tmp_path / "in", "beta", [9, 7])
    with pytest.raises(
        UsageError, match=r"16 validation tokens of 'beta', too few for one sequence of 17 tokens: split off more"
    ):
        stage([source], None, split="validation").plan()


def test_the_tokenizer_comes_along(tmp_path: Path) -> None:
    (tmp_path / "tok").mkdir()
    (tmp_path / "tok" / "tokenizer.model").write_bytes(b"pieces")
    digest = checksum(tmp_path / "tok" / "tokenizer.model")
    source = write_tokens(tmp_path / "in", "alpha", [30] * 20, tokenizer=digest)
    for path in (tmp_path / "tok", tmp_path / "tok" / "tokenizer.model"):
        output = tmp_path / f"out-{path.suffix}"
        run_stage(stage([source], {"alpha": {"epochs": 1}}, tokenizer=str(path)), output, QUIET)
        assert (output / "_tokenizer" / "tokenizer.model").read_bytes() == b"pieces"
    other = write_tokens(tmp_path / "other", "alpha", [30] * 20)
    with pytest.raises(DataError, match="did not make these tokens"):
        run_stage(stage([other], {"alpha": {"epochs": 1}}, tokenizer=str(tmp_path / "tok")), tmp_path / "no", QUIET)
    with pytest.raises(UsageError, match="There is no tokenizer model at"):
        run_stage(stage([source], {"alpha": {"epochs": 1}}, tokenizer=str(tmp_path / "x")), tmp_path / "no2", QUIET)


def test_a_single_domain_needs_no_weights(tmp_path: Path, inputs: list[Path]) -> None:
    alone = run_stage(stage(inputs[1:2], None), tmp_path / "alone", QUIET)
    same = run_stage(stage(inputs[1:2], {"beta": {"share": 1, "epochs": 1}}), tmp_path / "same", QUIET)
    assert alone == same and alone.extra["domains"][0]["realised_epochs"] == pytest.approx(1, abs=0.1)
    more = run_stage(stage(inputs[1:2], None, tokens=8000, exhausted="repeat"), tmp_path / "more", QUIET)
    assert more.rows == 500
    with pytest.raises(UsageError, match=r"Mixing alpha, beta, gamma needs a mixture; give --weights"):
        stage(inputs, None)


def test_what_is_left_over_is_explained(tmp_path: Path, inputs: list[Path]) -> None:
    result = CliRunner().invoke(cli, ["mix", str(inputs[1]), "--sequence-length", "16", "-o", str(tmp_path / "out")])
    assert result.exit_code == 0 and "tail is the first token of a domain" in result.output
    assert "cut is" not in result.output


def test_different_tokenizers_are_refused(tmp_path: Path) -> None:
    one = write_tokens(tmp_path / "one", "alpha", [30] * 20)
    two = write_tokens(tmp_path / "two", "beta", [30] * 20, tokenizer="1" * 32)
    with pytest.raises(DataError, match=r"were tokenized differently .tokenizer 00000000 and 11111111"):
        stage([one, two], {"alpha": {"epochs": 1}, "beta": {"epochs": 1}}).plan()


def test_a_missing_domain(tmp_path: Path, inputs: list[Path]) -> None:
    mixture = MIXTURE | {"books": {"epochs": 2}}
    with pytest.raises(UsageError, match="The domain 'books' of the mixture has no tokens"):
        stage(inputs, mixture).plan()
    made = stage(inputs, mixture, allow_missing=True)
    manifest = run_stage(made, tmp_path / "out", QUIET)
    assert manifest.extra["messages"] == ["Without tokens and left out: books."]
    empty = write_tokens(tmp_path / "empty", "books", [])
    manifest = run_stage(stage([*inputs, empty], mixture, allow_missing=True), tmp_path / "out2", QUIET)
    assert manifest.shards == Manifest.load(tmp_path / "out").shards


def test_shards_that_are_not_what_their_manifest_says(tmp_path: Path) -> None:
    source = write_tokens(tmp_path / "in", "alpha", [30] * 20)
    data = (source / "00000.arrow").read_bytes()
    (source / "00000.arrow").write_bytes(data[:-100])
    with pytest.raises(DataError, match=r"00000.arrow is damaged \(it has [\d,]+ bytes and not [\d,]+\)"):
        run_stage(stage([source], {"alpha": {"epochs": 1}}), tmp_path / "out", QUIET)
    (source / "00000.arrow").write_bytes(data[:-100] + bytes(100))
    with pytest.raises(DataError, match=r"00000.arrow is damaged \(some of its bytes"):
        run_stage(stage([source], {"alpha": {"epochs": 1}}), tmp_path / "out2", QUIET)


def test_ids_outside_the_vocabulary(tmp_path: Path) -> None:
    source = write_tokens(tmp_path / "in", "alpha", [30] * 20)
    manifest = (source / "manifest.json").read_text()
    Manifest.load(source)
    extra = {"domain": "alpha", "tokenizer": {"digest": "0" * 32, "vocab_size": 100, "eod_id": 2}}
    loaded = Manifest.load(source)
    Manifest(**(vars(loaded) | {"extra": extra})).save(source)
    assert manifest != (source / "manifest.json").read_text()
    with pytest.raises(DataError, match=r"00000.arrow holds the id \d+, outside the vocabulary of 100; tokenize"):
        run_stage(stage([source], {"alpha": {"epochs": 1}}), tmp_path / "out", QUIET)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"sequence_length": 0}, "--sequence-length is 0: give at least 1"),
        ({"tokens": 0}, "--tokens is 0: give at least 1"),
        ({"shard_bytes": 0}, "--shard-bytes is 0: give at least 1"),
        ({"packing": "best-fit", "sequence_length": 1 << 24}, "best-fit makes sequences of at most 16,777,215 tokens"),
        ({"split": "validation", "tokens": 5}, "leave --weights and --tokens out"),
    ],
)
def test_settings_that_make_no_sense(config: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        MixConfig(**config)


def test_weights_are_needed(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="There are no tokens to mix"):
        MixStage((), MixConfig())
    (tmp_path / "w.yaml").write_text("alpha: {epochs: 2}")
    made = MixStage(("x",), MixConfig(weights=str(tmp_path / "w.yaml")))
    (tmp_path / "w.yaml").unlink()
    assert pickle.loads(pickle.dumps(made)).mixture == parse_mixture({"alpha": {"epochs": 2}}, "w")


@pytest.fixture
def corpus(monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, str]]:
    """Run `corpus mix`; its exit code and what it printed."""

    def run(*arguments: object) -> tuple[int, str]:
        found = CliRunner().invoke(cli, ["mix", *map(str, arguments)])
        assert found.exception is None or isinstance(found.exception, SystemExit), found.exception
        return found.exit_code, found.output

    return run


def test_a_plan_writes_nothing(tmp_path: Path, inputs: list[Path], corpus: Any) -> None:
    (tmp_path / "w.yaml").write_text("alpha: {epochs: 2.45}\nbeta: {epochs: 0.7}\ngamma: {epochs: 1}")
    before = sorted(tmp_path.rglob("*"))
    code, text = corpus("--plan", *inputs, "--weights", tmp_path / "w.yaml", "--sequence-length", 16)
    assert code == 0
    assert text.splitlines()[1].startswith("domain")
    assert "of disk, and 38.93 kB more while they are made." in text
    assert sorted(tmp_path.rglob("*")) == before
    # the same counts give the same table
    (tmp_path / "c.yaml").write_text(
        "alpha: {tokens: 1401, documents: 47}\nbeta: {tokens: 1316, documents: 10}\n"
        "gamma: {tokens: 1012, documents: 17}"
    )
    again = corpus("--plan", "--counts", tmp_path / "c.yaml", "--weights", tmp_path / "w.yaml", "--sequence-length", 16)
    assert again == (code, text)
    wide = ["--vocab-size", 256_000]
    _, wider = corpus(
        "--plan", "--counts", tmp_path / "c.yaml", "--weights", tmp_path / "w.yaml", "--sequence-length", 16, *wide
    )
    assert wider != text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "There are no tokens to mix; give token datasets, or --plan with --counts FILE"),
        (("IN", "--weights", "W"), "Mixing needs --output DIR; --plan alone writes nothing"),
        (("--counts", "C"), "--counts only plans: add --plan"),
        (("IN", "--plan", "--counts", "C"), "give --counts or TOKENS, not both"),
        (("--plan", "--counts", "C"), "Mixing needs a mixture; give --weights"),
        (("--plan", "--counts", "C", "--split", "validation"), "leave --split validation out"),
        (("--plan", "IN", "--vocab-size", "9"), "--vocab-size belongs to --counts"),
        (("--plan", "--counts", "C", "--weights", "W", "--tokens", "-5"), "-5 is out of range: give at least 1"),
        (("--plan", "--counts", "C", "--weights", "W", "--tokens", "nan"), "'nan' is not a whole number"),
        (("--plan", "--counts", "C", "--weights", "palm"), "has no weight for the domain 'alpha'"),
        (("--plan", "--counts", "C", "--weights", "W", "--tokens", "100"), "too few for one sequence of 2,049"),
        (("--plan", "--counts", "E", "--weights", "W"), "The domain 'alpha' of the mixture has no tokens"),
    ],
)
def test_bad_commands_get_one_sentence(
    tmp_path: Path, inputs: list[Path], corpus: Any, arguments: tuple[str, ...], message: str
) -> None:
    (tmp_path / "W").write_text("alpha: {share: 100}")
    (tmp_path / "C").write_text("alpha: 1T")
    (tmp_path / "E").write_text("alpha: 0")
    named = {"IN": str(inputs[0])} | {name: str(tmp_path / name) for name in "WCE"}
    code, text = corpus(*(named.get(argument, argument) for argument in arguments))
    assert code == 2
    assert message in text


def test_best_fit_says_what_it_wastes(tmp_path: Path, inputs: list[Path], corpus: Any) -> None:
    (tmp_path / "w.yaml").write_text("alpha: {epochs: 1}")
    code, text = corpus(
        inputs[0], "-o", tmp_path / "out", "--weights", tmp_path / "w.yaml", "--sequence-length", 16,
        "--packing", "best-fit",
    )  # fmt: skip
    assert code == 0
    assert "Padding is " in text
    check_set(tmp_path / "out", inputs[:1], 16)
    assert not verify_dataset(tmp_path / "out").problems


def test_a_document_too_long_for_what_is_asked(tmp_path: Path) -> None:
    source = write_tokens(tmp_path / "in", "alpha", [1000])
    with pytest.raises(DataError, match=r"stage mix kept none of 1,000 tokens:\n  1,000 unused\nLoosen"):
        run_stage(stage([source], {"alpha": {"epochs": 0.5}}, packing="best-fit"), tmp_path / "out", QUIET)


def test_a_recipe_of_a_mixture_alone_cannot_be_run(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("mixture:\n  web: {epochs: 1}\n", encoding="utf-8")
    with pytest.raises(UsageError, match=r"holds only a mixture, so corpus run lacks its sections domains"):
        load_recipe(str(path))
