"""Several domains: what is validation in one is training in none, at each level of overlap."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.cli import cli
from corpus.data.dataset import Dataset
from corpus.data.verify import verify_dataset
from corpus.engine.runner import RunOptions, run_stage
from corpus.errors import DataError
from corpus.heldout.choice import LINES_IN_TRAINING, OTHER_SIDE, REPEATED_TEXT
from corpus.heldout.config import ChoiceConfig
from corpus.heldout.report import report_lines
from corpus.heldout.side import SIDES, side_stage
from corpus.heldout.stage import ChoiceStage
from tests.corpus.dedup.similar_twin import shingles
from tests.datasets import write_documents

QUIET = RunOptions(quiet=True)
Make = Callable[..., Path]
WORDS = [f"{a}{b}{c}" for a in "bdfgklmn" for b in "aeiou" for c in "rstxyz"]


def own_text(rng: random.Random) -> str:
    return "\n".join(" ".join(rng.choices(WORDS, k=rng.randrange(5, 12))) for _ in range(rng.randrange(1, 8)))


def varied(text: str, rng: random.Random) -> str:
    """A copy of a text, or one with some lines or words of its own."""
    lines = text.split("\n")
    kind = rng.randrange(4)
    if kind == 1:
        lines = [line if rng.random() < 0.6 else own_text(rng) for line in lines]
        rng.shuffle(lines)
    elif kind == 2:
        words = text.split(" ")
        words[rng.randrange(len(words))] = "changed"
        return " ".join(words).upper()
    elif kind == 3:
        lines.append("  " + " ".join(rng.choices(WORDS, k=3)))
    return "\n".join(lines)


def planted(seed: int) -> dict[str, list[str]]:
    """Domains of different sizes, of which much is a copy, or nearly one, of what stands in any of them."""
    rng = random.Random(seed)
    domains: dict[str, list[str]] = {name: [] for name in ("c4", "crawl", "books")[: rng.randrange(2, 4)]}
    every: list[str] = []
    for _ in range(rng.randrange(90, 160)):
        text = varied(rng.choice(every), rng) if every and rng.random() < 0.3 else own_text(rng)
        every.append(text)
        domains[rng.choices([*domains], weights=[4, 2, 1][: len(domains)])[0]].append(text)
    return {name: [*texts, *(own_text(rng) for _ in range(20))] for name, texts in domains.items()}


def lines_of(text: str) -> list[str]:
    return [line for line in (part.strip() for part in text.split("\n")) if line]


def contents(output: Path) -> dict[str, bytes]:
    files = (path for path in output.rglob("*") if path.is_file() and "_log" not in path.parts)
    return {str(path.relative_to(output)): path.read_bytes() for path in files}


def run(folder: Path, sources: dict[str, Path], options: RunOptions = QUIET, **config: Any) -> dict[str, Any]:
    """The choice and the texts of both sides of each domain; all verified, all accounted for."""
    wanted = {"validation": "10%", "min_bytes": 0, "min_documents": 4} | config
    stage = ChoiceStage(tuple(map(str, sources.values())), ChoiceConfig(**wanted))
    run_stage(stage, folder / "choice", options)
    found: dict[str, Any] = {"choice": Dataset.open(folder / "choice")}
    for name, source in sources.items():
        for side in SIDES:
            output = folder / side / name
            run_stage(side_stage((str(source),), folder / "choice", name, side), output, options)
            assert verify_dataset(output).problems == []
            found[f"{side}/{name}"] = [t for b in Dataset.open(output).batches(["text"]) for t in b["text"].to_pylist()]
        train, validation = (Dataset.open(folder / side / name).manifest.counts["documents"] for side in SIDES)
        assert train.kept == validation.dropped.get(OTHER_SIDE, 0)
        assert train.seen == validation.seen == train.kept + validation.kept + sum(
            number for reason, number in validation.dropped.items() if reason != OTHER_SIDE
        )  # fmt: skip
        (row,) = (row for row in found["choice"].manifest.extra["validation"] if row["domain"] == name)
        assert (row["kept"], row["dropped"]) == (validation.kept, validation.dropped)
    assert verify_dataset(folder / "choice").problems == []
    return found


@settings(max_examples=6, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(["exact", "lines", "near"]))
def test_no_validation_document_has_its_like_in_training(seed: int, overlap: str) -> None:
    domains = planted(seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sources = {domain: write_documents(folder / domain, domains[domain], domain, 30) for domain in domains}
        found = run(folder, sources, overlap=overlap)
    trained = [text for domain in domains for text in found[f"train/{domain}"]]
    lines = {line for text in trained for line in lines_of(text)}
    sets = [set(shingles(text, 5)) for text in trained]
    for domain in domains:
        validation = found[f"validation/{domain}"]
        assert validation and len(set(validation)) == len(validation)
        assert not set(validation) & set(trained)
        # what is validation here is validation wherever it stands
        for other in domains:
            assert set(validation) & set(domains[other]) <= set(found[f"validation/{other}"])
        for text in validation if overlap != "exact" else ():
            sizes = [(len(line.encode()), line in lines) for line in lines_of(text)]
            assert 2 * sum(size for size, shared in sizes if shared) <= sum(size for size, _ in sizes)
        for text in validation if overlap == "near" else ():
            own = set(shingles(text, 5))
            assert all(len(own & other) < Fraction(3, 4) * len(own | other) for other in sets if own or other)
    # training loses the texts that were chosen, and nothing else
    chosen = set().union(*domains.values()) - set(trained)
    for domain, texts in domains.items():
        assert found[f"train/{domain}"] == [text for text in texts if text not in chosen]


def test_two_domains_of_the_same_texts(tmp_path: Path, make_documents: Make) -> None:
    rng = random.Random(0)
    texts = [own_text(rng) for _ in range(600)]
    sources = {name: make_documents(name, texts, domain=name) for name in ("one", "two")}
    found = run(tmp_path, sources, validation="5%", overlap="exact")
    assert found["validation/one"] == found["validation/two"] and len(found["validation/one"]) > 20
    assert not set(found["validation/one"]) & {*found["train/one"], *found["train/two"]}


def test_pairs_are_named(tmp_path: Path, make_documents: Make) -> None:
    rng = random.Random(5)
    shared = [own_text(rng) for _ in range(40)]
    crawl = [*(own_text(rng) for _ in range(400)), *shared, shared[0]]
    sources = {
        "small": make_documents("small", [*shared, *(own_text(rng) for _ in range(10))], domain="small"),
        "crawl": make_documents("crawl", crawl, domain="crawl"),
    }
    wanted = {"min_bytes": 10_000, "min_documents": 1, "max_share_of_one_document": "100%"}
    found = run(tmp_path, sources, validation="1%", **wanted)
    choice = found["choice"].manifest
    (small, large) = choice.extra["validation"]
    joined = [pair for pair in choice.extra["pairs"] if pair.get("texts") and pair["validation"] == "small"]
    assert [pair["other"] for pair in joined] == ["crawl"]
    here = set(found["validation/small"]) & set(shared)
    assert len(here) >= 15 and here <= set(found["validation/crawl"])
    said = list(report_lines(choice))
    assert f"{joined[0]['texts']:,} documents of crawl are held out for texts chosen in small" in said
    repeated = large["dropped"].get(REPEATED_TEXT, 0)
    assert repeated == (shared[0] in here)
    assert small["dropped"].keys() <= {OTHER_SIDE, LINES_IN_TRAINING}


@pytest.mark.parametrize(("validation", "least", "said"), [("1%", 10**6, True), ("1%", 16, False), ("50%", 16, False)])
def test_more_than_a_tenth_is_explained(
    tmp_path: Path, make_documents: Make, validation: str, least: int, said: bool
) -> None:
    rng = random.Random(11)
    sources = {"small": make_documents("small", [own_text(rng) for _ in range(40)], domain="small")}
    found = run(tmp_path, sources, validation=validation, overlap="exact", min_bytes=least)
    lines = "\n".join(report_lines(found["choice"].manifest, "validation.min_tokens"))
    assert ("20 of 40 (50%) held out: validation.min_tokens; lower it" in lines) == said
    assert ("held out:" in lines) == said


def test_a_document_that_is_there_twice_is_refused(tmp_path: Path, make_documents: Make) -> None:
    rng = random.Random(7)
    texts = [own_text(rng) for _ in range(60)]
    two = [make_documents("one", texts, domain="c4"), make_documents("two", [*texts, "more"], domain="c4")]
    stage = ChoiceStage(tuple(map(str, two)), ChoiceConfig(validation="20%"))
    with pytest.raises(DataError, match="domain c4: Documents of the same id and text are there twice"):
        run_stage(stage, tmp_path / "choice", QUIET)


def test_another_domain_changes_only_what_it_shares(tmp_path: Path, make_documents: Make) -> None:
    rng = random.Random(6)
    texts = [own_text(rng) for _ in range(200)]
    one = make_documents("one", texts, domain="one")
    two = make_documents("two", [own_text(rng) for _ in range(100)], domain="two")
    alone = run(tmp_path / "alone", {"one": one}, overlap="exact")
    both = run(tmp_path / "both", {"two": two, "one": one}, overlap="exact")
    assert both["train/one"] == alone["train/one"] and both["validation/one"] == alone["validation/one"]
    for side in SIDES:  # the bytes, too: neither order nor other domains are in them
        assert contents(tmp_path / "both" / side / "one") == contents(tmp_path / "alone" / side / "one")


def test_workers_and_memory_change_nothing(
    tmp_path: Path, make_documents: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    domains = planted(11)
    sources = {name: make_documents(name, texts, domain=name, shard_rows=30) for name, texts in domains.items()}
    run(tmp_path / "one", sources, overlap="near")
    options = RunOptions(workers=2, memory=200_000_000, quiet=True, always_pool=True)
    run(tmp_path / "two", sources, options, overlap="near")
    for name in ("lines", "near"):
        monkeypatch.setattr(f"corpus.heldout.{name}._LEAST_MEMORY", 1)
    monkeypatch.setattr("corpus.heldout.choice._FEWEST_WAITING", 7)
    monkeypatch.setattr("corpus.heldout.stage._CHUNK", 5)
    run(tmp_path / "small", sources, RunOptions(memory=1, quiet=True), overlap="near")
    one, two, small = (contents(tmp_path / which) for which in ("one", "two", "small"))
    assert one == two == small


def test_the_command_writes_a_folder_for_each_domain(tmp_path: Path, make_documents: Make) -> None:
    domains = planted(4)
    sources = {name: make_documents(name, texts, domain=name) for name, texts in domains.items()}
    command = ["split", *map(str, sources.values()), "--validation", "10%", "--min-bytes", "0", "--workers", "1"]
    out = tmp_path / "out"
    result = CliRunner().invoke(cli, [*command, "--output", str(out)])
    assert result.exit_code == 0, result.output
    assert sorted(path.name for path in (out / "train").iterdir()) == sorted(domains)
    for line in report_lines(Dataset.open(out / "choice").manifest):
        assert line in result.output
    result = CliRunner().invoke(cli, [*command, "--side", "validation", "--output", str(tmp_path / "one")])
    assert result.exit_code == 0, result.output
    for name in domains:
        assert Dataset.open(tmp_path / "one" / name).manifest == Dataset.open(out / "validation" / name).manifest
    result = CliRunner().invoke(cli, [*command, "--output", str(sources["c4"])])
    assert (result.exit_code, "is a dataset, and" in result.output) == (2, True)
